"""What operators are told of the city behind the door."""

from __future__ import annotations

import re
from dataclasses import replace
from math import inf
from pathlib import Path

from fastapi.testclient import TestClient
from hamlet import Hamlet, neighbours_lists

from kangma.gateway.front.app import Silent
from kangma.gateway.front.serving import Guard
from kangma.gateway.front.watch.gauges import watch_city
from kangma.gateway.front.watch.inner import make_inner
from kangma.gateway.front.watch.sensors import Sensors
from kangma.signing import rotation
from kangma.signing.trust import sign_trust
from kangma.store.alarms import What, raise_alarm
from kangma.store.keyfiles import read_key_file
from kangma.store.signing import install, open_signing, stop_signing
from kangma.terms import DAY, HOUR


def test_a_city_at_work_and_a_day_on_which_much_goes_wrong(door: Hamlet) -> None:
    def told(name: str, **labels: str) -> float:
        said = door.sensors.registry.get_sample_value(f"kangma_front_{name}", labels)
        assert said is not None, name
        return said

    watch_city(door.sensors, door.city)
    assert (told("release"), told("answers_behind"), told("release_age_seconds")) == (1, 0, 0)
    assert told("stopped") == 0
    assert told("free_bytes") > 0
    assert told("alarms", what="sequence_gap") == 0
    month = told("keys_end_seconds", use="credential")
    assert 20 * DAY < month <= 30 * DAY
    assert told("trust_ends_seconds") > month

    door.clock.now += 25 * DAY  # and nobody announced a key
    with door.state.registry.write() as on:
        raise_alarm(on, What.SEQUENCE_GAP, "lab7", {"expected": 2, "got": 3}, door.clock.now)
    stop_signing(door.path, "a drill", now=door.clock.now)
    assert told("release_age_seconds") == 25 * DAY
    assert told("keys_end_seconds", use="credential") == month - 25 * DAY
    assert told("stopped") == 1
    assert told("alarms", what="sequence_gap") == 1

    (door.path / "public" / "trust").unlink()  # what cannot be told is not a number, and hides nothing else
    assert told("trust_ends_seconds") != told("trust_ends_seconds")
    assert "kangma_front_alarms" in door.sensors.text().decode()


def recognise_a_neighbour(door: Hamlet) -> None:
    trust, now = open_signing(door.path).trust, door.clock.now
    neighbour = replace(trust.publisher, id="cn-zz", base="https://zz.example", keys=())
    officers = [read_key_file(door.path / "root" / f"root-{n}.pem") for n in (1, 2)]
    install(door.path, sign_trust(rotation.recognise(trust, neighbour, now), officers), now=now)


def test_a_mirror_that_stands_still_is_seen_by_what_it_left(door: Hamlet) -> None:
    sensors, inner = Sensors(), TestClient(make_inner(door.city, Sensors()))
    watch_city(sensors, door.city)

    def told() -> tuple[float | None, object]:
        figure = sensors.registry.get_sample_value("kangma_front_elsewhere_age_seconds", {"city": "cn-zz"})
        return figure, inner.get("/health/parts").json()["elsewhere_age_s"]

    assert told() == (None, {})
    recognise_a_neighbour(door)
    assert told() == (inf, {"cn-zz": None})  # believed, and no door can verify its codes
    assert b'elsewhere_age_seconds{city="cn-zz"} +Inf' in sensors.text()
    neighbours_lists(door.path / "public")
    door.clock.now += 2 * HOUR
    assert told() == (2 * HOUR, {"cn-zz": 2 * HOUR})
    assert inner.get("/health/ready").status_code == 200
    (door.path / "public" / "trust").unlink()
    assert told() == (None, {})


def test_every_alert_goes_by_a_figure_that_is_told_and_has_a_playbook(door: Hamlet) -> None:
    root = Path(__file__).parents[2]
    rules = (root / "deploy/alerts.yml").read_text("utf-8")
    watch_city(door.sensors, door.city)
    told = {sample.name for metric in door.sensors.registry.collect() for sample in metric.samples}
    Guard(door.defence.alarm, door.sensors, Silent(), door.clock, None)
    told |= {metric.name for metric in door.sensors.registry.collect()}  # with labels that were not met yet
    asked = set(re.findall(r"kangma_front_\w+", rules))
    assert {re.sub(r"_(total|bucket)$", "", name) for name in asked} <= {
        re.sub(r"_(total|bucket|sum|count|created)$", "", name) for name in told
    }
    named = re.findall(r"- alert: (\w+)", rules)
    playbooks = re.findall(r"^## (\w+)$", (root / "docs/operate.md").read_text("utf-8"), re.M)
    assert named == playbooks

"""An attack on the door becomes one draft in the register of incidents, within five minutes, with what was measured and
what kept working. The two are systems of their own: what passes between them is one HTTP request with a small token."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hamlet import CITY, NURSE, Events, Hamlet
from house import House, house

from kangma.gateway.front.defence.alarm import Alarm, Event
from kangma.gateway.front.defence.telling import AFTER, MOST_WAITING, Teller, as_sent, signal_of
from kangma.gateway.front.serving import Guard
from kangma.incidents.life import Right, Role
from kangma.incidents.signal import draft_of
from kangma.terms import moment

FIVE_MINUTES = 300
START = moment("2022-04-28T08:41:00+08:00")


@dataclass
class Wall:
    now: int = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def register(tmp_path: Path) -> Any:
    with house(tmp_path / "register") as made:
        yield made


def machine(register: House) -> Any:
    """Whoever may signal and nothing else."""
    ann = register.register.member("ann")
    rights = [Right.SIGNAL]
    _, token = register.register.make_token(
        ann, "ann", rights, now=register.clock(), expires_at=register.clock() + 86_400
    )
    client = register.client()
    client.headers["authorization"] = f"Bearer {token}"
    return client


def posting(client: Any) -> Any:
    def post(content: bytes) -> bool:
        said = client.post("/v1/signals", content=content, headers={"content-type": "application/json"})
        return bool(said.status_code == 200)

    return post


@dataclass
class Watch:
    """A door's guard, second by second, with its teller."""

    door: Hamlet
    guard: Guard
    teller: Teller
    wall: Wall

    def seconds(self, count: int, **refused: int) -> None:
        for _ in range(count):
            for why, n in refused.items():
                for _ in range(n):
                    self.guard.alarm.refused(why)
            self.wall.now += 1
            self.guard.tick(1.0, late=0.0)


def watch(door: Hamlet, post: Any) -> Watch:
    wall = Wall()
    teller = Teller(door.path / "front", system=CITY.name.en, post=post)
    return Watch(door, Guard(Alarm(), door.sensors, Events(), wall, teller), teller, wall)


def test_the_flood_of_a_morning_becomes_one_draft_that_says_what_was_seen(
    door: Hamlet, register: House
) -> None:
    """At 08:41 somebody begins to try tokens, by the thousand; codes go on being shown."""
    seen = watch(door, posting(machine(register)))
    seen.seconds(60)  # a quiet minute
    phone = door.resident(NURSE)
    opened = None
    for second in range(FIVE_MINUTES):
        seen.seconds(1, token=2_000, rate=400)
        if second % 30 == 0:
            assert phone.get("/v1/me/code").status_code == 200
        if seen.teller.send():
            opened = opened or second
    assert opened is not None
    assert opened <= FIVE_MINUTES

    def figures() -> dict[str, int]:
        (draft,) = register.client(Role.EDITOR).get("/v1/drafts").json()["drafts"]
        said = register.client(Role.EDITOR).get(f"/v1/drafts/{draft['id']}").json()["record"]
        return {f["what"]["en"]: int(f["value"]) for f in said["impact"]}

    refused = "requests refused for a bad token"
    assert figures()[refused] == pytest.approx(AFTER * 2_000, rel=0.05)  # what was sent until it was told
    seen.seconds(120)  # it is over
    seen.teller.send()
    assert figures()[refused] == pytest.approx(FIVE_MINUTES * 2_000, rel=0.05)

    (draft,) = register.client(Role.EDITOR).get("/v1/drafts").json()["drafts"]
    said = register.client(Role.EDITOR).get(f"/v1/drafts/{draft['id']}").json()["record"]
    assert said["kinds"] == ["denial-of-service"]
    assert said["certainty"] == "suspected"
    assert said["victim"]["name"] == CITY.name.en
    began, ended = said["date"].split("/")  # UTC, to the second that the alarm says
    assert began.startswith("2022-04-28T00:4")
    assert ended > began
    assert figures()["refused in a minute, at most"] == pytest.approx(2_400 * 60, rel=0.05)
    assert figures()["codes shown meanwhile"] == 10
    kept = [k["what"]["en"] for k in said["kept_working"]]
    assert kept == ["doors verify offline", "phones show the last state with its age", "codes are shown"]
    assert "actors" not in said
    assert "motives" not in said


def test_a_short_attack_is_told_when_it_is_over_and_a_second_one_is_another(
    door: Hamlet, register: House
) -> None:
    seen = watch(door, posting(machine(register)))
    for _ in range(2):
        seen.seconds(10, address=500)
        seen.seconds(90)
        seen.teller.send()
    drafts = register.client(Role.EDITOR).get("/v1/drafts").json()["drafts"]
    assert len(drafts) == 2


def test_a_quiet_day_opens_none(door: Hamlet, register: House) -> None:
    seen = watch(door, posting(machine(register)))
    seen.seconds(3_600, token=10)
    assert seen.teller.send() == 0
    assert register.client(Role.EDITOR).get("/v1/drafts").json()["drafts"] == []


def test_while_the_register_is_away_signals_wait_and_the_door_does_not(door: Hamlet, register: House) -> None:
    away = [True]
    post = posting(machine(register))
    seen = watch(door, lambda content: not away[0] and post(content))
    seen.seconds(10, token=500)
    seen.seconds(90)
    assert seen.teller.send() == 0
    waiting = list((door.path / "front" / "signals").iterdir())
    assert len(waiting) == 1
    away[0] = False
    assert seen.teller.send() == 1
    assert list((door.path / "front" / "signals").iterdir()) == []


def test_without_a_register_signals_wait_for_one_and_not_for_ever_many(door: Hamlet) -> None:
    teller = Teller(door.path / "front", system="Songyuli")
    for n in range(MOST_WAITING + 5):
        teller.saw(Event(START + n, START + n + 1), now=START + n + 60)
    assert len(list((door.path / "front" / "signals").iterdir())) == MOST_WAITING
    assert teller.send() == 0


@pytest.mark.parametrize("url", ["http://register.example", "ftp://127.0.0.1", "register.example", ""])
def test_a_token_goes_over_no_open_line(door: Hamlet, url: str) -> None:
    (door.path / "front" / "register.json").write_text(json.dumps({"url": url, "token": "kmi_x"}))
    teller = Teller(door.path / "front", system="Songyuli")
    teller.saw(Event(START, START + 9), now=START + 60)
    assert teller.send() == 0


def test_a_signal_says_nothing_about_anybody_and_fits_a_record() -> None:
    event = Event(START, START + 61)
    event.refused.update(token=5, rate=4, address=3, work=2, busy=1)
    signal = signal_of(event, system="Songyuli", now=START + 61)
    record = draft_of(signal, "x", now=START + 61)
    assert len(record.impact) == 7
    said = json.loads(as_sent(signal))
    assert set(said) == {
        "source", "event", "kind", "system", "title", "began", "ended", "affected", "kept_working", "figures",
    }  # fmt: skip

"""A ride: the passenger agrees once, the platform is told pass, refuse or unknown, and two platforms that put together
all they were ever told know no passenger again."""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hamlet import CASE, ELDER, EVERYBODY, NURSE, TEACHER, Hamlet, hamlet, result, unlimited
from laboratory import Client, registered

from kangma.gateway.front.clients.partners import MOST_SAID
from kangma.gateway.front.clients.passing import result_of
from kangma.publish.policies import policies
from kangma.store.front_clients import ClientStore
from kangma.terms import moment

NOON = "2022-04-25T12:00:00+08:00"


def new_ride() -> str:
    return secrets.token_urlsafe(18)


def agree(phone: TestClient, partner: str, ride: str) -> dict[str, Any]:
    said = phone.post("/v1/me/rides", json={"partner": partner, "ride": ride})
    assert said.status_code == 201, said.text
    got: dict[str, Any] = said.json()
    return got


def check(http: TestClient, ride: str, consent: str) -> Any:
    return http.post(f"/partner/v1/rides/{ride}/check", json={"consent": consent})


def room(door: Hamlet, partner: Client, phone: TestClient, rides: int = 20) -> None:
    """So many rides more, so that no test runs into the day's checks."""
    for _ in range(rides):
        ride = agree(phone, partner.name, new_ride())["ride"]
        phone.delete(f"/v1/me/rides/{ride}")


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Hamlet]:
    with hamlet(tmp_path, defence=unlimited()) as made:
        yield made


@pytest.fixture
def cars(door: Hamlet) -> Client:
    return registered(door, "cars", "ride:check")


def test_a_passenger_agrees_and_the_platform_is_told_and_the_passenger_sees_it(
    door: Hamlet, cars: Client
) -> None:
    phone, ride = door.resident(NURSE), new_ride()
    given = agree(phone, "cars", ride)
    assert given["expires_at"] == "2022-04-25T20:05:00+08:00"
    said = check(cars.http(), ride, given["consent"])
    assert said.status_code == 200, said.text
    assert said.json() == {"result": "pass", "expires_at": "2022-04-25T18:20:00+08:00"}
    looks = phone.get("/v1/me/looks").json()["looks"]
    assert looks == [{"at": "2022-04-25T18:05:00+08:00", "who": "cars", "purpose": "ride"}]
    open_rides = phone.get("/v1/me/rides").json()["rides"]
    assert [(x["partner"], x["ride"]) for x in open_rides] == [("cars", given["ride"])]


def test_a_code_that_turned_is_refused_at_the_next_check(door: Hamlet, cars: Client) -> None:
    phone, ride, http = door.resident(CASE), new_ride(), cars.http()
    room(door, cars, phone, 5)
    given = agree(phone, "cars", ride)
    assert phone.get("/v1/me/code").json()["colour"] == "red"
    assert check(http, ride, given["consent"]).json()["result"] == "refuse"
    nurse, ride = door.resident(NURSE), new_ride()
    consent = agree(nurse, "cars", ride)["consent"]
    assert check(http, ride, consent).json()["result"] == "pass"
    door.cycle({"tests": [result(NURSE, "T-1", NOON, "positive")]})
    assert check(http, ride, consent).json()["result"] == "refuse"


def test_every_reason_to_say_nothing_gives_one_answer(door: Hamlet, cars: Client) -> None:
    """Made up, withdrawn, over, of another ride, of another platform, of somebody who left: nobody can tell."""
    phone, other = door.resident(NURSE), registered(door, "other-cars", "ride:check")
    room(door, cars, phone, 15)
    room(door, other, phone, 5)
    http, theirs = cars.http(), other.http()
    ride = new_ride()
    good = agree(phone, "cars", ride)
    late_ride = new_ride()
    late = agree(phone, "cars", late_ride)
    gone_phone, gone_ride = door.resident(ELDER), new_ride()
    gone = agree(gone_phone, "cars", gone_ride)
    assert gone_phone.delete("/v1/me").status_code == 204
    said = {
        "made up": check(http, ride, secrets.token_urlsafe(24)),
        "of another ride": check(http, new_ride(), good["consent"]),
        "of another platform": check(theirs, ride, good["consent"]),
        "of somebody who left": check(http, gone_ride, gone["consent"]),
    }
    assert check(http, ride, good["consent"]).json()["result"] == "pass"
    assert phone.delete(f"/v1/me/rides/{good['ride']}").status_code == 204
    said["withdrawn"] = check(http, ride, good["consent"])
    assert {x.status_code for x in said.values()} == {200}
    assert len({x.content for x in said.values()}) == 1
    assert said["withdrawn"].json()["result"] == "unknown"
    assert {len(x.content) for x in said.values()} == {MOST_SAID}
    assert len({str(sorted(x.headers.items())) for x in said.values()}) == 1
    door.clock.now += 7_200
    over = check(cars.http(), late_ride, late["consent"])
    assert over.json()["result"] == "unknown"
    assert len(phone.get("/v1/me/looks").json()["looks"]) == 1  # only what was told is a look
    assert phone.delete(f"/v1/me/rides/{good['ride']}").status_code == 404


def test_nothing_known_and_not_verified_are_unknown_and_never_refused(door: Hamlet, cars: Client) -> None:
    """Nobody walks for lack of data."""
    policy, now = policies(door.state).in_force(door.clock.now), door.clock.now
    nothing = {"colour": "unknown", "notices": [], "nat": None}
    assert result_of(policy, nothing, now=now) == "unknown"
    ride = new_ride()
    held = door.bound_without_answers(ELDER)
    consent = agree(door.client(held["token"]), "cars", ride)["consent"]
    assert check(cars.http(), ride, consent).json()["result"] == "unknown"  # no answer is prepared yet


@pytest.mark.parametrize(
    ("colour", "popup", "wanted"),
    [("green", False, "pass"), ("green", True, "refuse"), ("yellow", False, "refuse"), ("red", False, "refuse"),
     ("unknown", False, "unknown")],
)  # fmt: skip
def test_the_policys_door_for_rides_decides(shared: Hamlet, colour: str, popup: bool, wanted: str) -> None:
    notices = [{"code": "4", "kind": "popup", "rule": "x"}] * popup
    nat = {"result": "negative", "sampled_at": None, "reported_at": NOON, "days": 0}
    code = {"colour": colour, "notices": notices, "nat": nat}
    now = moment("2022-04-25T18:05:00+08:00")
    policy = policies(shared.state).in_force(now)
    assert result_of(policy, code, now=now) == wanted
    without = dataclasses.replace(policy, doors=())
    assert result_of(without, code, now=now) == wanted


def test_consent_is_given_once_for_a_ride_and_only_to_a_platform(door: Hamlet, cars: Client) -> None:
    registered(door, "lab", "source:tests")
    phone, ride = door.resident(NURSE), new_ride()
    agree(phone, "cars", ride)
    again = phone.post("/v1/me/rides", json={"partner": "cars", "ride": ride})
    assert again.status_code == 409
    said = [
        phone.post("/v1/me/rides", json={"partner": name, "ride": new_ride()}) for name in ("lab", "nobody")
    ]
    assert [x.status_code for x in said] == [422, 422]
    for bad in (NURSE.id_number, "110101199003077774", NURSE.phone, "a" * 65, "a b" * 9):
        assert phone.post("/v1/me/rides", json={"partner": "cars", "ride": bad}).status_code == 422
        assert check(cars.http(), bad, secrets.token_urlsafe(24)).status_code in (400, 404, 422)
    for _ in range(19):
        agree(phone, "cars", new_ride())
    assert phone.post("/v1/me/rides", json={"partner": "cars", "ride": new_ride()}).status_code == 422
    ClientStore(door.city.store).close("cars", now=door.clock.now)
    door.city.registered._read = float("-inf")
    assert phone.post("/v1/me/rides", json={"partner": "cars", "ride": new_ride()}).status_code == 422


def test_checks_beyond_the_rides_of_the_day_are_cut_off(door: Hamlet, cars: Client) -> None:
    phone, http = door.resident(NURSE), cars.http()
    rides = [new_ride() for _ in range(10)]
    consents = [agree(phone, "cars", ride)["consent"] for ride in rides]
    said = [check(http, rides[i % 10], consents[i % 10]) for i in range(13)]
    assert [x.status_code for x in said] == [200] * 12 + [429]
    assert "retry-after" in said[-1].headers
    batch = {"checks": [{"ride": rides[0], "consent": consents[0]}]}
    assert http.post("/partner/v1/checks", json=batch).status_code == 429
    assert len(phone.get("/v1/me/looks").json()["looks"]) == 12
    door.clock.now += 86_400
    assert check(cars.http(), rides[0], consents[0]).status_code == 429  # no ride, no check
    assert (
        registered(door, "idle", "ride:check").http().post("/partner/v1/checks", json=batch).status_code
        == 429
    )


def test_a_ride_over_midnight_may_be_checked_on_both_days(door: Hamlet, cars: Client) -> None:
    door.clock.now = moment("2022-04-25T23:30:00+08:00")
    phone, ride = door.resident(NURSE), new_ride()
    consent = agree(phone, "cars", ride)["consent"]
    assert check(cars.http(), ride, consent).status_code == 200
    door.clock.now += 3_600
    assert check(cars.http(), ride, consent).json()["result"] == "pass"


def test_many_at_once_are_answered_in_order_or_not_at_all(door: Hamlet, cars: Client) -> None:
    nurse, case, http = door.resident(NURSE), door.resident(CASE), cars.http()
    asked = []
    for phone in (nurse, case, nurse, case, nurse):
        ride = new_ride()
        asked.append({"ride": ride, "consent": agree(phone, "cars", ride)["consent"]})
    asked[2]["consent"] = secrets.token_urlsafe(24)
    said = http.post("/partner/v1/checks", json={"checks": asked})
    assert said.status_code == 200, said.text
    assert [x["result"] for x in said.json()["checks"]] == ["pass", "refuse", "unknown", "refuse", "pass"]
    assert len(said.content) == MOST_SAID * 6
    assert http.post("/partner/v1/checks", json={"checks": asked}).status_code == 429
    assert len(nurse.get("/v1/me/looks").json()["looks"]) == 2
    for wrong in ([], asked * 100):
        assert http.post("/partner/v1/checks", json={"checks": wrong}).status_code == 422


# collusion -----------------------------------------------------------------------------------------------------------


def everything_told(door: Hamlet, partner: Client, phones: list[TestClient]) -> list[list[Any]]:
    """For each passenger all that ever reached the platform: rides, consents, answers, headers."""
    http, seen = partner.http(), []
    for phone in phones:
        mine: list[Any] = []
        for _ in range(2):
            ride = new_ride()
            given = agree(phone, partner.name, ride)
            said = check(http, ride, given["consent"])
            mine.append((ride, given["consent"], said.json(), sorted(said.headers.items())))
        seen.append(mine)
    return seen


def test_two_platforms_that_put_all_together_cannot_join_their_users(door: Hamlet) -> None:
    """Whatever is in both platforms' logs is there for several passengers alike."""
    people = [NURSE, TEACHER, CASE, ELDER]
    phones = [door.resident(p) for p in people]
    one, other = registered(door, "one-cars", "ride:check"), registered(door, "other-cars", "ride:check")
    logs = [everything_told(door, partner, phones) for partner in (one, other)]
    words: list[list[set[str]]] = [[_words(person) for person in log] for log in logs]
    assert _unlinked(words)
    told = json.dumps(logs, ensure_ascii=False)
    assert not [x for p in EVERYBODY for x in (p.id_number, p.name, p.phone) if x in told]


def _words(log: Any) -> set[str]:
    return set(re.findall(r"[A-Za-z0-9_:+.-]+", json.dumps(log)))


def _unlinked(words: list[list[set[str]]]) -> bool:
    """No word is in both logs and of one passenger alone, but the three results."""
    in_both = set.union(*words[0]) & set.union(*words[1])
    of_how_many = Counter(w for person in words[0] for w in person if w in in_both)
    return all(n > 1 or w in ("pass", "refuse", "unknown") for w, n in of_how_many.items())


def test_an_answer_that_lasts_as_long_as_the_code_would_be_caught(door: Hamlet) -> None:
    """The control: with the code's own next change in it the logs can be joined."""
    words = [[{"pass", "2022-05-09T10:07:31+08:00"}, {"pass", "2022-05-01T08:00:00+08:00"}]] * 2
    assert not _unlinked(words)


def test_a_made_up_consent_costs_the_same_statements_as_a_good_one(door: Hamlet, cars: Client) -> None:
    from sqlalchemy import event  # noqa: PLC0415

    phone, ride, http = door.resident(NURSE), new_ride(), cars.http()
    room(door, cars, phone, 5)
    consent, said = agree(phone, "cars", ride)["consent"], list[list[str]]()
    check(http, ride, consent)
    statements: list[str] = []
    event.listen(door.city.store._engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    for one in (consent, secrets.token_urlsafe(24)):
        statements.clear()
        check(http, ride, one)
        said.append(list(statements))
    assert said[0] == said[1]
    assert len(said[0]) >= 5


def test_partners_and_sources_leave_nobody_in_what_is_kept_of_them(tmp_path: Any) -> None:
    with hamlet(tmp_path, defence=unlimited()) as door:
        cars, phone, ride = registered(door, "cars", "ride:check"), door.resident(NURSE), new_ride()
        consent = agree(phone, "cars", ride)["consent"]
        check(cars.http(), ride, consent)
        kept = b"".join(file.read_bytes() for file in (door.path / "front").iterdir() if file.is_file())
        for secret in (ride, consent, NURSE.id_number, NURSE.name, NURSE.phone):
            assert secret.encode() not in kept
        told = json.dumps(door.events.lines) + door.sensors.text().decode()
        assert ride not in told
        assert consent not in told
        assert "/partner/v1/rides/{ride}/check" in told

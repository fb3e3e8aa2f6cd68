"""Scanning in at a door: what the phone, the door and the evidence get to know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hamlet import CASE, CHILD, ELDER, NURSE, STRANGER, TEACHER, Hamlet, hamlet, unlimited

from kangma.credential.venue_code import code_at, minute_of, token_at
from kangma.gateway.front.at_once import entering
from kangma.gateway.front.people.venues import _result
from kangma.store.venues import Venues

HOUR = 3_600


class Door:
    """A registered door, as its device draws it."""

    def __init__(self, at: Hamlet, name: str = "样本食堂", **more: Any) -> None:
        self.at = at
        venue, self.key = at.city.venues.register("V1", name, now=at.clock.now, **more)
        self.number = venue.venue

    def shows(self, seconds: int = 0) -> dict[str, object]:
        """The code as at so many seconds from now."""
        minute = minute_of(self.at.clock.now + seconds)
        return {"venue": self.number, "minute": minute, "code": code_at(self.key, minute)}

    def sees(self) -> dict[str, Any]:
        """What its device is told."""
        token = token_at(self.number, self.key, minute_of(self.at.clock.now))
        said = self.at.client(token).get("/v1/venue")
        assert said.status_code == 200, said.text
        got: dict[str, Any] = said.json()
        return got


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Hamlet]:
    with hamlet(tmp_path, defence=unlimited()) as made:
        yield made


def scan(phone: TestClient, entered: object, left: object = None) -> Any:
    body = {"entered": entered} | ({} if left is None else {"left": left})
    said = phone.post("/v1/me/visits", json=body)
    assert said.status_code == 201, said.text
    return said.json()


def visits(at: Hamlet, phone: TestClient) -> list[dict[str, Any]]:
    """Those that were scanned in, after a cycle."""
    at.city.scans.let_go()
    at.cycle()
    return [v for v in phone.get("/v1/me/visits").json()["visits"] if v["sealed"]]


def refused(phone: TestClient, entered: object, left: object = None) -> str:
    body = {"entered": entered} | ({} if left is None else {"left": left})
    said = phone.post("/v1/me/visits", json=body)
    assert said.status_code == 422, said.text
    code: str = said.json()["code"]
    return code


def test_a_nurse_scans_in_and_out_and_sees_her_visit(at: Hamlet) -> None:
    door, phone = Door(at), at.resident(NURSE)
    came = door.shows()
    said = scan(phone, came)
    assert (said["place"], said["result"], said["assumed"], said["sealed"]) == (
        "样本食堂",
        "pass",
        True,
        True,
    )
    assert (said["entered_at"], said["left_at"]) == ("2022-04-25T18:05:00+08:00", "2022-04-25T19:05:00+08:00")
    at.clock.now += 25 * 60
    said = scan(phone, came, door.shows())
    assert (said["left_at"], said["assumed"], said["result"]) == ("2022-04-25T18:31:00+08:00", False, None)
    (visit,) = visits(at, phone)
    assert visit["visit"] == said["visit"]
    assert (visit["place"], visit["left_at"], visit["source"]) == ("样本食堂", said["left_at"], "scan")
    assert visit in phone.get("/v1/me/export").json()["visits"]


def test_who_shared_a_table_with_a_case_is_found_by_their_scans(at: Hamlet) -> None:
    """The whole way: two phones, one door, a result the day after, and the other one's code says so."""
    door = Door(at)
    nurse, elder = at.resident(NURSE), at.resident(ELDER)
    for phone in (nurse, elder):
        scan(phone, door.shows())
        at.clock.now += 300
    at.city.scans.let_go()
    at.cycle()
    assert elder.get("/v1/me/code").json()["holds"] == []
    case = {
        "document_id": "c2", "case_id": "C2", "kind": "confirmed", "onset_at": "2022-04-25T20:00:00+08:00",
        "confirmed_at": "2022-04-25T20:00:00+08:00",
    }  # fmt: skip
    at.cycle({"cases": [NURSE.named | case]}, after=3 * HOUR)
    assert [h["rule"] for h in elder.get("/v1/me/code").json()["holds"]] == ["A-P3"]
    assert elder.get("/v1/me/code").json()["colour"] == "green"
    assert (
        scan(elder, door.shows())["result"] == "wait"
    )  # green with a notice: as at a door that reads the code


def test_the_same_again_is_the_same_visit_and_counted_once(at: Hamlet) -> None:
    door, phone = Door(at), at.resident(NURSE)
    came = door.shows()
    first = scan(phone, came)
    assert [scan(phone, came) for _ in range(3)] == [first] * 3
    assert door.sees()["today"]["pass"] == 1
    assert [v["visit"] for v in visits(at, phone)] == [first["visit"]]


def test_the_door_learns_pass_or_not_and_how_many_and_never_who(at: Hamlet) -> None:
    door = Door(at)
    said = [scan(at.resident(p), door.shows()) for p in (NURSE, TEACHER, CASE)]
    assert [s["result"] for s in said] == ["pass", "wait", "wait"]  # the teacher has met the case: a notice
    seen = door.sees()
    assert set(seen) == {"venue", "name", "now", "today", "recent"}
    assert seen["today"] == {"pass": 1, "wait": 2, "unknown": 0, "left": 0, "late": 0}
    assert {tuple(r) for r in seen["recent"]} == {("at", "result")}
    at.clock.now += 400
    assert door.sees()["recent"] == []  # single results are gone, figures stay
    for file in (at.path / "front").glob("venues.sqlite*"):
        content = file.read_bytes()
        assert not any(s["visit"].encode() in content for s in said)


@pytest.mark.parametrize(
    ("colour", "kind", "wanted"),
    [("green", None, "pass"), ("green", "remind", "pass"), ("green", "popup", "wait"), ("red", "popup", "wait"),
     ("unknown", "popup", "unknown"), ("unknown", None, "unknown")],
)  # fmt: skip
def test_a_notice_lets_nobody_pass_and_makes_nothing_known(
    colour: str, kind: str | None, wanted: str
) -> None:
    notices = [] if kind is None else [{"code": "4", "kind": kind, "rule": "A-P4a"}]
    answer = json.dumps({"colour": colour, "notices": notices}, separators=(",", ":")).encode()
    assert _result(answer) == wanted


def test_what_was_kept_on_the_phone_while_we_were_dark_is_taken_later(at: Hamlet) -> None:
    door, phone = Door(at), at.resident(NURSE)
    came, left = door.shows(), door.shows(20 * 60)
    at.clock.now += 72 * HOUR
    said = scan(phone, came)
    assert (said["late"], said["result"]) == (True, None)  # nobody stands there any more
    assert scan(phone, came, left)["left_at"] == "2022-04-25T18:26:00+08:00"
    assert door.sees()["today"] == {"pass": 0, "wait": 0, "unknown": 0, "left": 0, "late": 2}
    assert [v["left_at"] for v in visits(at, phone)] == ["2022-04-25T18:26:00+08:00"]
    at.clock.now += 23 * HOUR
    scan(phone, came)


def test_each_wrong_code_is_refused_for_its_reason(at: Hamlet) -> None:
    door, other, phone = Door(at), Door(at, "another"), at.resident(NURSE)
    good = door.shows()
    at.clock.now += 120
    assert refused(phone, good | {"code": f"{(int(str(good['code'])) + 1) % 10**8:08d}"}) == "wrong_code"
    assert refused(phone, good | {"venue": other.number}) == "wrong_code"
    assert refused(phone, good | {"venue": "10000007"}) == "unknown_venue"
    assert refused(phone, good | {"minute": minute_of(at.clock.now) + 5}) == "code_ahead"
    assert refused(phone, door.shows(-120), door.shows(-300)) in ("ends_before_start", "wrong_code")
    assert refused(phone, door.shows(), good) == "ends_before_start"
    before = door.shows(-HOUR)
    assert refused(phone, before) == "wrong_code"  # from before it was registered: no key drew it
    at.clock.now += 97 * HOUR
    assert refused(phone, good) == "code_too_old"
    at.city.scans.let_go()
    assert not list((at.path / "front/scans").iterdir())  # nothing of it was written


def test_who_types_may_be_a_minute_late(at: Hamlet) -> None:
    door, phone = Door(at), at.resident(NURSE)
    typed = door.shows()
    at.clock.now += 60
    said = scan(phone, typed | {"minute": minute_of(at.clock.now)})
    assert said["entered_at"] == "2022-04-25T18:05:00+08:00"


def test_a_closed_door_takes_nobody_in_and_a_new_key_draws_new_codes(at: Hamlet) -> None:
    door, phone = Door(at), at.resident(NURSE)
    venues = at.city.venues
    at.clock.now += 300
    before = door.shows(-120)
    old = door.shows(120)
    key = venues.renew_key(door.number, now=at.clock.now)
    with Venues(at.path / "front") as fresh:
        venues.known = fresh.known  # type: ignore[method-assign]  # what the next two seconds bring
        at.clock.now += 120
        scan(phone, before)  # drawn by the key of its minute
        assert refused(phone, old) == "wrong_code"
        door.key = key
        scan(phone, door.shows())
    venues.end(door.number, now=at.clock.now)
    with Venues(at.path / "front") as fresh:
        venues.known = fresh.known  # type: ignore[method-assign]  # as above
        at.clock.now += 120
        assert refused(phone, door.shows()) == "unknown_venue"
        scan(phone, door.shows(-180))
    stolen = Door(at)
    shown = stolen.shows()
    venues.renew_key(stolen.number, now=at.clock.now + 60, stolen=True)
    with Venues(at.path / "front") as fresh:
        venues.known = fresh.known  # type: ignore[method-assign]  # as above
        assert refused(phone, shown) == "wrong_code"


def test_somewhere_else_ends_a_visit_that_nobody_ended(at: Hamlet) -> None:
    canteen, cinema, phone = Door(at), Door(at, "cinema"), at.resident(NURSE)
    came = canteen.shows()
    scan(phone, came)
    at.clock.now += 20 * 60
    assert scan(phone, came, cinema.shows())["left_at"] == "2022-04-25T18:25:00+08:00"
    at.clock.now += 3 * HOUR
    assert scan(phone, came, cinema.shows())["assumed"] is True  # it was over long before


def test_a_device_of_a_door_opens_nothing_else_and_nobody_else_opens_its_figures(at: Hamlet) -> None:
    door, phone = Door(at), at.resident(NURSE)
    assert phone.get("/v1/venue").status_code == 403
    assert at.client().get("/v1/venue").status_code == 401
    token = token_at(door.number, door.key, minute_of(at.clock.now))
    assert at.client(token).post("/v1/me/visits", json={"entered": door.shows()}).status_code == 403
    for wrong in (token[:-1] + ("0" if token[-1] != "0" else "1"), token.replace(door.number, "10000007")):
        assert at.client(wrong).get("/v1/venue").status_code == 401
    at.clock.now += 600
    assert at.client(token).get("/v1/venue").status_code == 401  # a token is of its minutes


def test_the_short_way_and_the_ordinary_way_say_the_same(at: Hamlet, monkeypatch: pytest.MonkeyPatch) -> None:
    door, phone = Door(at), at.resident(NURSE)
    short = scan(phone, door.shows())
    assert b"kangma_front_scan_ins_total 1.0" in at.sensors.text()
    monkeypatch.setattr(entering, "MOST_BODY", 0)
    assert scan(phone, door.shows()) == short
    assert b"kangma_front_scan_ins_total 1.0" in at.sensors.text()


def test_who_scans_too_often_is_asked_to_wait(tmp_path: Path) -> None:
    with hamlet(tmp_path) as at:
        door, phone = Door(at), at.resident(NURSE)
        said = [phone.post("/v1/me/visits", json={"entered": door.shows()}).status_code for _ in range(45)]
        assert said[:40] == [201] * 40
        assert 429 in said[40:]


# for somebody in one's care --------------------------------------------------------------------------------------------


def another(phone: TestClient, other: int, entered: object, left: object = None) -> Any:
    return phone.post(
        f"/v1/me/others/{other}/visits",
        json={"entered": entered} | ({} if left is None else {"left": left}),
    )


def with_child(at: Hamlet) -> TestClient:
    """The teacher's phone; her child, who has none, is at place 1."""
    phone = at.resident(TEACHER)
    assert phone.post("/v1/me/children", json=CHILD.asked).status_code == 201
    return phone


def test_a_mother_scans_her_child_in_and_out_and_the_child_has_the_visit(at: Hamlet) -> None:
    door, phone = Door(at), with_child(at)
    came = door.shows()
    mine, said = scan(phone, came), another(phone, 1, came)
    assert said.status_code == 201
    assert said.json()["visit"] != mine["visit"]  # two persons, two visits
    assert said.json()["result"] == "pass"
    assert (mine["result"], door.sees()["today"]["pass"]) == (
        "wait",
        1,
    )  # she has met the case, the child has not
    at.clock.now += 25 * 60
    left = another(phone, 1, came, door.shows())
    assert (left.json()["visit"], left.json()["assumed"]) == (said.json()["visit"], False)
    assert [v["visit"] for v in visits(at, phone)] == [
        mine["visit"]
    ]  # what is the child's is not the mother's
    child = at.resident(CHILD)  # years later, with a phone of their own
    (visit,) = visits(at, child)
    assert (visit["visit"], visit["left_at"]) == (said.json()["visit"], "2022-04-25T18:31:00+08:00")
    looked = [(look["who"], look["purpose"]) for look in child.get("/v1/me/looks").json()["looks"]]
    assert looked == [("guardian", "enter")] * 2


def test_who_has_a_phone_and_is_scanned_in_as_well_was_there_once(at: Hamlet) -> None:
    """An elder by consent: the daughter's scan and his own are one visit, and he sees that she did it."""
    door, elder, phone = Door(at), at.resident(ELDER), at.resident(NURSE)
    binding = phone.post("/v1/me/others", json=ELDER.asked).json()["binding"]
    at.city.outbox.empty()
    assert (
        phone.post(f"/v1/me/others/{binding}/confirm", json={"code": at.letters.sent[-1].code}).status_code
        == 201
    )
    came = door.shows()
    said, own = another(phone, 1, came), scan(elder, came)
    assert said.json()["visit"] == own["visit"]
    assert [v["visit"] for v in visits(at, elder)] == [own["visit"]]
    assert door.sees()["today"]["pass"] == 1
    (look,) = elder.get("/v1/me/looks").json()["looks"]
    assert (look["who"], look["purpose"]) == ("consent", "enter")
    (carer,) = elder.get("/v1/me/carers").json()["carers"]
    assert elder.delete(f"/v1/me/carers/{carer['carer']}").status_code == 204
    assert another(phone, 1, door.shows()).status_code == 404  # taken back is taken back
    assert len(elder.get("/v1/me/looks").json()["looks"]) == 1


def test_nobody_is_scanned_in_by_a_stranger_or_by_a_code_that_is_wrong(at: Hamlet) -> None:
    door, phone = Door(at), with_child(at)
    good = door.shows()
    at.clock.now += 120
    for other in (2, 4):
        assert another(phone, other, good).status_code == 404
    assert another(phone, 5, good).status_code == 422
    assert another(at.resident(NURSE), 1, good).status_code == 404  # somebody else's child
    assert another(at.client(), 1, good).status_code == 401
    wrong = another(phone, 1, good | {"code": f"{(int(str(good['code'])) + 1) % 10**8:08d}"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong_code")
    assert refused(phone, good, good | {"venue": "10000007"}) == "unknown_venue"
    asked = STRANGER.asked | {"name": TEACHER.name}
    assert phone.post("/v1/me/children", json=asked).status_code == 422
    assert phone.delete("/v1/me/others/1").status_code == 204
    assert another(phone, 1, door.shows()).status_code == 404  # in her care here no more
    at.city.scans.let_go()
    assert not list((at.path / "front/scans").iterdir())  # nothing of it was written
    assert at.resident(CHILD).get("/v1/me/looks").json() == {"looks": []}  # and nobody looked


def test_a_child_who_sat_with_a_case_is_found_by_the_mothers_scans(at: Hamlet) -> None:
    """The whole way: the child's own code says so, and not only hers."""
    door, phone, nurse = Door(at), with_child(at), at.resident(NURSE)
    for go in (lambda: scan(nurse, door.shows()), lambda: another(phone, 1, door.shows())):
        go()
        at.clock.now += 300
    at.city.scans.let_go()
    at.cycle()
    assert phone.get("/v1/me/others/1/code").json()["holds"] == []
    case = {
        "document_id": "c2", "case_id": "C2", "kind": "confirmed", "onset_at": "2022-04-25T20:00:00+08:00",
        "confirmed_at": "2022-04-25T20:00:00+08:00",
    }  # fmt: skip
    at.cycle({"cases": [NURSE.named | case]}, after=3 * HOUR)
    assert [h["rule"] for h in phone.get("/v1/me/others/1/code").json()["holds"]] == ["A-P3"]

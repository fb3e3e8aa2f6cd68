"""Nobody's data in logs, metrics, addresses, error pages or files that are left: unmistakable people through every
feature and every error, and then a search for them in every form that they may have taken."""

from __future__ import annotations

import base64
import gzip
import json
import re
import tempfile
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from hamlet import (
    CHILD,
    ELDER,
    EVERYBODY,
    NURSE,
    STRANGER,
    TEACHER,
    Hamlet,
    Person,
    founded,
    hamlet,
    phone_key,
    result,
    unlimited,
)
from laboratory import lines, registered, send
from platform_side import listening
from test_front_hooks import done, teller, turns
from test_front_rights import described, named

from kangma.credential.venue_code import code_at, minute_of, token_at
from kangma.gateway.front.city import Letter
from kangma.gateway.front.clients.outward import target
from kangma.store.appeals import Decision
from kangma.store.backup import take
from kangma.store.front_clients import ClientStore
from kangma.store.logs import EventLog


def forms(text: str) -> set[bytes]:
    """How a text may lie in a file."""
    raw = text.encode()
    return {
        raw, urllib.parse.quote(text).encode(), json.dumps(text)[1:-1].encode(), raw.hex().encode(),
        *(base64.b64encode(b"x" * n + raw)[4 if n else 0 : -4] for n in (0, 3)), base64.urlsafe_b64encode(raw)[:-4],
        text.encode("utf-16-le"),
    }  # fmt: skip


SECRETS = {
    form
    for p in EVERYBODY
    for text in (p.id_number, p.name, p.phone)
    for form in forms(text)
    if len(form) > 6
}
#: With these begin the number, the phone and the name of everybody in a crowd.
MARKS = ("KXCANARY", "1006660", "䶮靁齾")


def marks(text: str) -> set[bytes]:
    """The beginning of a text in every form, in base64 wherever it begins."""
    raw = text.encode()
    coded = set()
    for before in range(3):
        content = base64.b64encode(b"x" * before + raw)
        coded.add(content[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6])
    return {raw, urllib.parse.quote(text).encode(), json.dumps(text)[1:-1].encode(), raw.hex().encode(),
            raw.hex().upper().encode(), text.encode("utf-16-le"), *coded}  # fmt: skip


FOUND = re.compile(
    b"|".join(re.escape(form) for form in sorted({*SECRETS, *(m for x in MARKS for m in marks(x))}))
)


def told(content: bytes) -> list[bytes]:
    """The secrets in it, also if it is compressed."""
    if content[:2] == b"\x1f\x8b":
        content += gzip.decompress(content)
    return sorted(set(FOUND.findall(content)))


def crowd(n: int) -> list[Person]:
    return [Person("20", f"KXCANARY{i:05d}", f"䶮靁齾{chr(0x3500 + i)}", f"1006660{i:04d}") for i in range(n)]


def through(door: Hamlet, people: list[Person]) -> list[Any]:
    """Everybody through every feature and every error: bound, shown, at a door, in a car, tested, objecting, asking for
    each other, leaving. The answers that nobody should find anybody in."""
    rows = [p.named | {"name": p.name, "birth_date": "1990-01-01", "phone": p.phone, "district": "朝阳区",
                       "guardian_id_type": "", "guardian_id_number": ""} for p in people]  # fmt: skip
    visits = [
        p.named
        | {
            "place_id": "V1", "entered_at": "2022-04-24T12:30:00+08:00", "left_at": "2022-04-24T13:30:00+08:00",
            "source": "scan",
        }
        for p in people[::2]
    ]  # fmt: skip
    door.cycle({"people": rows, "visits": visits})
    lab = registered(door, "crowd-lab", "source:tests", "source:people", brake_floor=1)
    cars = registered(door, "crowd-cars", "ride:check")
    venue, venue_key = door.city.venues.register("V1", "door", now=door.clock.now)
    door.city.venues._due = 0.0
    with listening() as heard:
        client = ClientStore(door.city.store).named("crowd-cars")
        door.city.hooks.set(client, target(heard.url, private=True).url, private=True, now=door.clock.now)
        phones = [(p, door.client(door.bound_without_answers(p)["token"])) for p in people]
        door.answers.turn()
        ours, theirs, said = lab.http(), cars.http(), list[Any]()
        minute = minute_of(door.clock.now)
        scan = {"venue": venue.venue, "minute": minute, "code": code_at(venue_key, minute)}
        point = phone_key().public.compressed.hex()
        for i, (_, phone) in enumerate(phones):
            other, ride = people[i - 1], f"ride-of-the-crowd-{i:06d}"
            for path in (
                "code",
                "tests",
                "vaccinations",
                "visits",
                "looks",
                "devices",
                "others",
                "carers",
                "appeals",
                "export",
                "rides",
            ):
                assert phone.get(f"/v1/me/{path}").status_code == 200
            assert phone.post("/v1/me/credentials", json={"holders": [point]}).status_code == 201
            assert phone.post("/v1/me/visits", json={"entered": scan}).status_code == 201
            consent = phone.post("/v1/me/rides", json={"partner": "crowd-cars", "ride": ride}).json()[
                "consent"
            ]
            assert (
                theirs.post(f"/partner/v1/rides/{ride}/check", json={"consent": consent}).status_code == 200
            )
            holds = phone.get("/v1/me/code").json()["holds"]
            hold = (holds or [{"rule": "A-P3", "since": "2022-04-24T12:30:00+08:00"}])[0]
            appeal = {
                "rule": hold["rule"],
                "since": hold["since"],
                "why": "not_me",
                "text": f"{other.name} {other.phone}",
            }
            assert phone.post("/v1/me/appeals", json=appeal).status_code == (201 if holds else 422)
            asked = phone.post("/v1/me/others", json=other.asked).json()["binding"]
            said += [
                phone.post(f"/v1/me/others/{asked}/confirm", json={"code": other.phone}),
                phone.post(f"/v1/me/others/{asked}/confirm", json={"code": "000000"}),
                phone.post("/v1/me/children", json=other.asked),
                phone.post("/v1/me/appeals", json=appeal | {"rule": other.id_number}),
                phone.post("/v1/me/visits", json={"entered": scan | {"code": other.phone[:8], "venue": other.name}}),
                phone.post("/v1/me/rides", json={"partner": other.name, "ride": other.id_number}),
                phone.post("/v1/bindings", json={**other.asked, other.name: other.phone}),
                phone.delete(f"/v1/me/devices/{other.id_number}"),
                door.client(other.id_number).get("/v1/me/code"),
                door.client().get(f"/{other.id_number}/{urllib.parse.quote(other.name)}"),
                theirs.post(f"/partner/v1/rides/{other.id_number}/check", json={"consent": other.phone}),
                ours.get(f"/source/v1/receipts/{other.phone}"),
                door.client().post("/oauth/token", data=lab.asked(other.name, scope=other.id_number)),
            ]  # fmt: skip
        assert phones[0][1].post("/v1/me/paper").status_code == 201
        results = [result(p, f"C-{p.id_number}", "2022-04-25T12:00:00+08:00", "positive") for p in people]
        broken = [
            {**row, "result": p.name, p.phone: p.id_number} for row, p in zip(results, people, strict=True)
        ]
        for body in (results, broken):  # held by the brake, refused row by row
            got = send(ours, "tests", lines(body))
            assert got.status_code in (201, 202), got.text
            said += [got, *([ours.get(got.json()["rejects"])] if got.json()["rejects"] else [])]
        door.client(token_at(venue.venue, venue_key, minute)).get("/v1/venue")
        door.city.scans.let_go()
        turns(door)  # everybody's code, while they ride
        hooks = teller(door)
        done(hooks)
        for person, phone in phones[: len(phones) // 2]:
            assert phone.delete("/v1/me").status_code == 204, person
        door.cycle()
        told_to = [repr(x).encode() for x in heard.came]
    assert told_to
    assert [x for content in told_to if (x := told(content))] == []
    assert all(s.status_code >= 400 or s.request.url.path.startswith("/source") for s in said)
    return said


def everything(door: Hamlet) -> list[Any]:
    """Each feature once, rightly and wrongly; the answers that nobody should find anybody in."""
    said = []
    tokens = {p: door.bound(p)["token"] for p in (NURSE, TEACHER, ELDER)}
    phone = door.client(tokens[TEACHER])
    key = {"holders": [phone_key().public.compressed.hex()]}
    phone.post("/v1/me/children", json=CHILD.asked)
    phone.post("/v1/me/others", json=ELDER.asked)
    for path in (
        "code",
        "tests",
        "vaccinations",
        "visits",
        "looks",
        "export",
        "devices",
        "others",
        "others/1/code",
    ):
        phone.get(f"/v1/me/{path}")
    phone.post("/v1/me/others/1/credentials", json=key)
    phone.post("/v1/me/others/1/slots", json=key)
    phone.post("/v1/me/credentials", json=key)
    phone.post("/v1/me/paper")
    hold = phone.get("/v1/me/code").json()["holds"][0]
    appeal = {
        "rule": hold["rule"],
        "since": hold["since"],
        "why": "not_me",
        "text": f"{ELDER.name} {ELDER.phone}",
    }
    more = {"evidence": {"kind": "visits", "what": ELDER.id_number}}
    assert phone.post("/v1/me/appeals", json=appeal | more).status_code == 201
    venue, venue_key = door.city.venues.register("V1", "door", now=door.clock.now)
    minute = minute_of(door.clock.now)
    scan = {"venue": venue.venue, "minute": minute, "code": code_at(venue_key, minute)}
    for who in tokens.values():
        assert door.client(who).post("/v1/me/visits", json={"entered": scan}).status_code == 201
    door.client(token_at(venue.venue, venue_key, minute)).get("/v1/venue")
    decision = Decision(False, ELDER.name, ELDER.name, {})
    door.city.appeals.propose(1, decision, now=door.clock.now)
    wrong: list[Any] = [
        ELDER.asked, {**ELDER.asked, ELDER.name: 1}, {"code": ELDER.id_number, "device_key": ELDER.name},
        {"entered": {"venue": ELDER.phone, "minute": 1, "code": ELDER.name}}, appeal | {"rule": ELDER.id_number},
        {"holders": [ELDER.phone]}, {"id_type": ELDER.name, "id_number": ELDER.phone, "name": ELDER.name},
        {"id_type": "10", "id_number": ELDER.id_number, "name": ELDER.id_number}, [ELDER.name],
    ]  # fmt: skip
    for path, methods in described(door)["paths"].items():
        for method in methods:
            for n, body in enumerate(wrong if method == "post" else [STRANGER.asked]):
                for token in (None, tokens[NURSE], ELDER.id_number) if n < 2 else (tokens[NURSE],):
                    if (path, method) != ("/v1/me", "delete"):
                        said.append(door.client(token).request(method, named(path), json=body))
    said += clients(door, phone)
    client = door.client()
    for who in EVERYBODY:
        for path in (
            f"/{who.id_number}",
            f"/v1/bindings/{who.id_number}/confirm",
            f"/public/{who.id_number}",
        ):
            said += [
                client.get(path),
                client.post(path, json=who.asked),
                client.get(f"{path}?{who.phone}={who.name}"),
            ]
    return said


def clients(door: Hamlet, phone: Any) -> list[Any]:
    """A laboratory and a platform, rightly and wrongly; also with people where a name of a ride or a key belongs."""
    lab = registered(door, "lab", "source:tests", "source:people", brake_floor=1)
    cars = registered(door, "cars", "ride:check")
    ours, theirs, ride = lab.http(), cars.http(), "r" * 24
    given = phone.post("/v1/me/rides", json={"partner": "cars", "ride": ride}).json()
    said = [theirs.post(f"/partner/v1/rides/{ride}/check", json={"consent": given["consent"]})]
    results = [result(ELDER, f"C-{n}", "2022-04-25T12:00:00+08:00", "positive") for n in range(9)]
    broken = [
        {**results[0], "result": ELDER.name},
        {ELDER.name: 1},
        {**results[0], "sampled_at": ELDER.phone},
    ]
    for rows in (results[:1], results, broken):  # taken, held, refused row by row
        got = send(ours, "tests", lines(rows))
        said.append(got)
        if got.json()["rejects"]:
            said.append(ours.get(got.json()["rejects"]))
    said.append(send(ours, "tests", f"{ELDER.name},{ELDER.id_number}\n1,2\n".encode(), media="text/csv"))
    said.append(send(ours, "people", lines([{**ELDER.named, "name": ELDER.name, "phone": ELDER.phone}])))
    said.append(send(ours, "tests", lines(results[:1]), key=ELDER.id_number * 2))
    for who in (NURSE, ELDER):
        said.append(theirs.post(f"/partner/v1/rides/{who.id_number}/check", json={"consent": who.name}))
        said.append(
            theirs.post("/partner/v1/checks", json={"checks": [{"ride": who.name, "consent": who.phone}]})
        )
        said.append(phone.post("/v1/me/rides", json={"partner": who.name, "ride": who.id_number}))
        said.append(door.client().post("/oauth/token", data=lab.asked(who.name, scope=who.id_number)))
        said.append(door.client().post("/oauth/token", data={who.name: who.phone}))
        said.append(ours.get(f"/source/v1/receipts/{who.id_number}"))
    assert {x.status_code for x in said} >= {200, 201, 202, 400, 401, 422}
    return said


@pytest.mark.parametrize("residents", [8, pytest.param(1_000, marks=pytest.mark.prove)])
def test_nobody_is_found_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], residents: int
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    founded()  # before temporary files go elsewhere: all tests copy it
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    with hamlet(tmp_path / "hamlet", defence=unlimited()) as door:
        nobody_is_found(door, tmp_path, residents)
        nobody_is_in(temporary)
    assert told("".join(capfd.readouterr()).encode()) == []


def nobody_is_in(folder: Path) -> int:
    """How many files were looked through. Left out: rows and messages that were refused, kept as they were sent for the
    operator alone and in no backup (docs/formats/state.md)."""
    as_sent = {("rejects", ".csv"), ("quarantine", ".bytes")}
    files = [f for f in folder.rglob("*") if f.is_file() and (f.parent.name, f.suffix) not in as_sent]
    assert [
        (str(f.relative_to(folder)), x) for f in files if (x := told(f.read_bytes()) or told(f.name.encode()))
    ] == []
    return len(files)


def nobody_is_found(door: Hamlet, tmp_path: Path, residents: int) -> None:
    log = EventLog(tmp_path / "events.ndjson")
    door.events.info = log.info  # type: ignore[method-assign]
    door.events.warning = log.info  # type: ignore[method-assign]
    said = [*everything(door), *through(door, crowd(residents))]
    log.close()
    bad = [s for s in said if s.status_code >= 400]
    assert len(bad) > 150 + 12 * residents
    # What is said back of an unknown parameter is its name, made plain: so a number that was sent as one is there.
    problems = [s for s in bad if not s.request.url.query]
    assert [p.text for p in problems if told(p.content)] == []
    for s in said:
        assert told(str(s.headers).encode()) == []
    assert told((tmp_path / "events.ndjson").read_bytes()) == []
    assert (tmp_path / "events.ndjson").stat().st_size > 10_000
    assert told(door.sensors.text()) == []
    assert list((door.path / "front" / "held").iterdir())
    take(door.state, tmp_path / "backup", keys=tmp_path / "keys", now=door.clock.now)
    looked = [nobody_is_in(folder) for folder in (door.path, tmp_path / "backup", tmp_path / "keys")]
    assert min(looked) >= 1
    assert sum(looked) > 100
    assert "sealed" in repr(Letter("10066617001", "123456", "bind"))


@pytest.mark.parametrize("careless", ["log", "problem", "crowd", "name"])
def test_a_careless_line_is_caught(tmp_path: Path, careless: str) -> None:
    """The control."""
    (somebody,) = crowd(700)[699:]
    if careless == "crowd":
        for text in (somebody.id_number, somebody.phone, somebody.name):
            for before in ("", "a", "ab"):
                assert told(base64.b64encode(f"{before}{text}!".encode()))
            assert told(text.encode().hex().encode())
            assert told(gzip.compress(json.dumps({"x": text}).encode()))
            assert told(urllib.parse.quote(f"/v1/{text}").encode())
        return
    if careless == "name":
        (tmp_path / f"held-{somebody.id_number}.json").write_bytes(b"{}")
        with pytest.raises(AssertionError):
            nobody_is_in(tmp_path)
        return
    if careless == "log":
        (tmp_path / "events.ndjson").write_text(json.dumps({"event": f"bound {NURSE.name}"}))
        assert told((tmp_path / "events.ndjson").read_bytes())
    else:
        assert told(json.dumps({"detail": f"no such person {NURSE.id_number}"}).encode())
        assert told(base64.b64encode(f"ab {NURSE.id_number} cd".encode()))
        assert told(gzip.compress(NURSE.phone.encode()))

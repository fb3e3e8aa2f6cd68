"""Nobody's data in logs, metrics, addresses, error pages or files that are left: unmistakable people through every
feature and every error, and then a search for them in every form that they may have taken."""

from __future__ import annotations

import base64
import gzip
import json
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
    hamlet,
    phone_key,
    result,
    unlimited,
)
from laboratory import lines, registered, send
from test_front_rights import described, named

from kangma.credential.venue_code import code_at, minute_of, token_at
from kangma.gateway.front.city import Letter
from kangma.store.appeals import Decision
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


def told(content: bytes) -> list[bytes]:
    """The secrets in it, also if it is compressed."""
    if content[:2] == b"\x1f\x8b":
        content += gzip.decompress(content)
    return sorted(s for s in SECRETS if s in content)


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
            for body in wrong if method == "post" else [STRANGER.asked]:
                for token in (None, tokens[NURSE], ELDER.id_number):
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


def test_nobody_is_found_anywhere(tmp_path: Path) -> None:
    with hamlet(tmp_path / "hamlet", defence=unlimited()) as door:
        nobody_is_found(door, tmp_path)


def nobody_is_found(door: Hamlet, tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.ndjson")
    door.events.info = log.info  # type: ignore[method-assign]
    said = everything(door)
    log.close()
    bad = [s for s in said if s.status_code >= 400]
    assert len(bad) > 150
    # What is said back of an unknown parameter is its name, made plain: so a number that was sent as one is there.
    problems = [s for s in bad if not s.request.url.query]
    assert [p.text for p in problems if told(p.content)] == []
    for s in said:
        assert told(str(s.headers).encode()) == []
    assert told((tmp_path / "events.ndjson").read_bytes()) == []
    assert (tmp_path / "events.ndjson").stat().st_size > 10_000
    assert told(door.sensors.text()) == []
    assert list((door.path / "front" / "held").iterdir())
    for folder in ("front", "log", "tmp", "spool", "public", "derived", "releases"):
        for file in (door.path / folder).rglob("*"):
            if file.is_file():
                assert told(file.read_bytes()) == [], file.name
    assert "sealed" in repr(Letter("10066617001", "123456", "bind"))


@pytest.mark.parametrize("careless", ["log", "problem"])
def test_a_careless_line_is_caught(tmp_path: Path, careless: str) -> None:
    """The control."""
    if careless == "log":
        (tmp_path / "events.ndjson").write_text(json.dumps({"event": f"bound {NURSE.name}"}))
        assert told((tmp_path / "events.ndjson").read_bytes())
    else:
        assert told(json.dumps({"detail": f"no such person {NURSE.id_number}"}).encode())
        assert told(base64.b64encode(f"ab {NURSE.id_number} cd".encode()))
        assert told(gzip.compress(NURSE.phone.encode()))

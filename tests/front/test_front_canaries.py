"""Nobody's data in logs, metrics, addresses, error pages or files that are left: unmistakable people through every
feature and every error, and then a search for them in every form that they may have taken."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import re
import tempfile
import urllib.parse
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pyarrow.parquet as pq
import pytest
from hamlet import (
    BASE,
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
from house import House, house
from laboratory import lines, registered, send
from multitude import MARKS, crowd, registered_people
from platform_side import listening
from test_front_hooks import done, teller, turns
from test_front_rights import described, named
from test_front_sealed import write
from test_front_telling import machine, posting, watch

from kangma.credential.venue_code import code_at, minute_of, token_at
from kangma.gateway.front.app import ROUTES
from kangma.gateway.front.city import Letter
from kangma.gateway.front.clients.outward import target
from kangma.incidents.life import Role
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
#: What residents read of their own: every such route, so that none is left out here.
OWN = sorted(
    r.path for r in ROUTES if r.method == "GET" and r.path.startswith("/v1/me/") and "{" not in r.path
)


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
    """The secrets in it, also in what is compressed."""
    return sorted(set(FOUND.findall(b"\0".join([content, *unpacked(content)]))))


def unpacked(content: bytes) -> list[bytes]:
    """What of it is packed: a table, or any stream of gzip or zlib that begins somewhere in it."""
    if content[:4] == b"PAR1":
        return [
            json.dumps(
                pq.read_table(io.BytesIO(content)).to_pylist(), default=str, ensure_ascii=False
            ).encode()
        ]
    found = [content.replace(b"\\\\", b"\\")] if b"\\\\" in content else []  # JSON in JSON, or in a label
    for begins, bits in ((b"\x1f\x8b\x08", 31), (b"\x78\x9c", 15), (b"\x78\xda", 15)):
        for at in re.finditer(re.escape(begins), content):
            with contextlib.suppress(zlib.error):
                found.append(zlib.decompressobj(bits).decompress(content[at.start() :], 10**7))
    return found


@dataclass
class Passer:
    """One of a crowd, with a phone."""

    person: Person
    key: Any
    resident: str
    phone: Any


def through(door: Hamlet, people: list[Person]) -> list[Any]:
    """Everybody through every feature and every error: bound, shown, at a door, in a car, tested, objecting, asking for
    each other, leaving. The answers that nobody should find anybody in."""
    visits = [
        p.named
        | {
            "place_id": "V1", "entered_at": "2022-04-24T12:30:00+08:00", "left_at": "2022-04-24T13:30:00+08:00",
            "source": "scan",
        }
        for p in people[::2]
    ]  # fmt: skip
    door.cycle({**registered_people(people), "visits": visits})
    lab = registered(door, "crowd-lab", "source:tests", "source:people", brake_floor=1)
    cars = registered(door, "crowd-cars", "ride:check")
    venue, venue_key = door.city.venues.register("V1", "door", now=door.clock.now)
    door.city.venues._due = 0.0
    with listening() as heard:
        client = ClientStore(door.city.store).named("crowd-cars")
        door.city.hooks.set(client, target(heard.url, private=True).url, private=True, now=door.clock.now)
        passers = [passer(door, p) for p in people]
        door.answers.turn()
        ours, theirs, said = lab.http(), cars.http(), list[Any]()
        minute = minute_of(door.clock.now)
        scan = {"venue": venue.venue, "minute": minute, "code": code_at(venue_key, minute)}
        for i, one in enumerate(passers):
            before = passers[i - 1]
            features(door, one, before, theirs, scan, n=i)
            said += errors(door, one.phone, before.person, ours, theirs, lab, scan)
        results = [result(p, f"C-{p.id_number}", "2022-04-25T12:00:00+08:00", "positive") for p in people]
        broken = [
            {**row, "result": p.name, p.phone: p.id_number} for row, p in zip(results, people, strict=True)
        ]
        for body in (results, broken):  # held by the brake, refused row by row
            got = send(ours, "tests", lines(body))
            assert got.status_code in (201, 202), got.text
            said += [got, ours.get(f"/source/v1/receipts/{got.json()['receipt']}")]
            said += [ours.get(got.json()["rejects"])] if got.json()["rejects"] else []
        door.client(token_at(venue.venue, venue_key, minute)).get("/v1/venue")
        door.city.scans.let_go()
        turns(door)  # everybody's code, while they ride
        hooks = teller(door)
        done(hooks)
        for i, one in enumerate(passers):
            if i % 2:
                assert one.phone.delete("/v1/me").status_code == 204, one.person
            else:
                (device,) = one.phone.get("/v1/me/devices").json()["devices"]
                assert one.phone.delete(f"/v1/me/devices/{device['device']}").status_code == 204
        door.cycle()
        told_to = [repr(x).encode() for x in heard.came]
    assert told_to
    assert [x for content in told_to if (x := told(content))] == []
    assert all(s.status_code >= 400 or s.request.url.path.startswith("/source") for s in said)
    return said


def passer(door: Hamlet, person: Person) -> Passer:
    key = phone_key()
    got = door.bound_without_answers(person, key)
    return Passer(person, key, got["resident"], door.client(got["token"]))


def features(door: Hamlet, one: Passer, before: Passer, theirs: Any, scan: dict[str, Any], *, n: int) -> None:
    """All that a resident does, as it should be done. `before`: whose code is cared for."""
    phone, point, now = one.phone, phone_key().public.compressed.hex(), door.clock.now
    for path in OWN:
        assert phone.get(path).status_code == 200
    sent = {
        "resident": one.resident,
        "at": now,
        "signature": one.key.sign(f"KM1 token {one.resident} {now}".encode()).hex(),
    }
    renewed = door.client().post("/v1/tokens", json=sent)
    assert renewed.status_code == 201, renewed.text
    slots = one.key.sign(f"KM1 slots {one.resident} {point} {now}".encode()).hex()
    assert phone.post("/v1/me/slots", json={"key": point, "at": now, "signature": slots}).status_code == 200
    assert phone.post("/v1/me/credentials", json={"holders": [point]}).status_code == 201
    assert phone.post("/v1/me/visits", json={"entered": scan}).status_code == 201
    if n % 50 == 0:  # a picture takes a while
        assert phone.post("/v1/me/paper").status_code == 201
    rides = [f"ride-of-the-crowd-{n:06d}-{k}" for k in range(3)]
    given = [
        phone.post("/v1/me/rides", json={"partner": "crowd-cars", "ride": ride}).json() for ride in rides
    ]
    consents = [x["consent"] for x in given]
    assert (
        theirs.post(f"/partner/v1/rides/{rides[0]}/check", json={"consent": consents[0]}).status_code == 200
    )
    if n % 10 == 0:
        many = {"checks": [{"ride": rides[0], "consent": consents[0]}]}
        assert theirs.post("/partner/v1/checks", json=many).status_code == 200
    assert theirs.delete(f"/partner/v1/rides/{rides[1]}").status_code == 204
    assert phone.delete(f"/v1/me/rides/{given[2]['ride']}").status_code == 204
    holds = phone.get("/v1/me/code").json()["holds"]
    hold = (holds or [{"rule": "A-P3", "since": "2022-04-24T12:30:00+08:00"}])[0]
    text = f"{before.person.name} {before.person.phone}"
    appeal = {"rule": hold["rule"], "since": hold["since"], "why": "not_me", "text": text}
    filed = phone.post("/v1/me/appeals", json=appeal)
    assert filed.status_code == (201 if holds else 422)
    if holds and n % 4 == 0:
        assert phone.delete(f"/v1/me/appeals/{filed.json()['appeal']}").status_code == 204
    cares(door, one, before, point, scan, n=n)


def cares(door: Hamlet, one: Passer, before: Passer, point: str, scan: dict[str, Any], *, n: int) -> None:
    """With the other's code: their code is shown, until either of the two ends it."""
    if one is before:
        return
    asked = one.phone.post("/v1/me/others", json=before.person.asked).json()["binding"]
    door.city.outbox.empty()
    code = {"code": door.letters.sent[-1].code}
    got = one.phone.post(f"/v1/me/others/{asked}/confirm", json=code)
    assert got.status_code == 201, got.text
    assert one.phone.get("/v1/me/others/1/code").status_code == 200
    assert one.phone.post("/v1/me/others/1/credentials", json={"holders": [point]}).status_code == 201
    assert one.phone.post("/v1/me/others/1/visits", json={"entered": scan}).status_code == 201
    now = door.clock.now
    slots = one.key.sign(f"KM1 slots {one.resident}/1 {point} {now}".encode()).hex()
    got = one.phone.post("/v1/me/others/1/slots", json={"key": point, "at": now, "signature": slots})
    assert got.status_code == 200, got.text
    if n % 2:
        assert one.phone.delete("/v1/me/others/1").status_code == 204
        return
    (carer,) = before.phone.get("/v1/me/carers").json()["carers"]
    assert before.phone.delete(f"/v1/me/carers/{carer['carer']}").status_code == 204


THINGS = ("devices", "others", "carers", "appeals", "rides")


def errors(
    door: Hamlet, phone: Any, other: Person, ours: Any, theirs: Any, lab: Any, scan: dict[str, Any]
) -> list[Any]:
    """All that is refused, with somebody's number, phone and name wherever something may stand."""
    asked = phone.post("/v1/me/others", json=other.asked).json()["binding"]
    appeal = {"rule": other.id_number, "since": other.name, "why": "not_me", "text": other.phone}
    who, nobody, named_ = other.id_number, door.client(), urllib.parse.quote(other.name)
    # Whatever is sent for a paper, one's own comes.
    taking = [
        r.path for r in ROUTES if r.method == "POST" and r.path.startswith("/v1/me/") and "{" not in r.path
    ]
    own = [
        phone.post(x, json={**other.asked, other.name: other.phone}) for x in taking if x != "/v1/me/paper"
    ]
    return [
        *own,
        phone.post(f"/v1/me/others/{asked}/confirm", json={"code": other.phone}),
        phone.post(f"/v1/me/others/{asked}/confirm", json={"code": "000000"}),
        phone.post("/v1/me/children", json=other.asked),
        phone.post("/v1/me/others/4/slots", json={"key": other.phone, "at": 1, "signature": who}),
        phone.post("/v1/me/others/4/visits", json={"entered": scan | {"venue": other.name}}),
        phone.post("/v1/me/appeals", json=appeal),
        phone.post("/v1/me/visits", json={"entered": scan | {"code": other.phone[:8], "venue": other.name}}),
        phone.post("/v1/me/rides", json={"partner": other.name, "ride": who}),
        phone.post("/v1/bindings", json={**other.asked, other.name: other.phone}),
        *(phone.delete(f"/v1/me/{what}/{x}") for what in THINGS for x in (who, named_)),
        nobody.post("/v1/tokens", json={"resident": other.name, "at": other.phone, "signature": who}),
        nobody.post(f"/v1/bindings/{who}/confirm", json={"code": other.phone, "device_key": other.name}),
        door.client(who).get("/v1/me/code"),
        door.client(named_).get("/v1/venue"),
        nobody.get(f"/{who}/{named_}"),
        nobody.get(f"/public/{who}/{named_}"),
        nobody.get(f"/partner/v1/keys?of={who}"),
        nobody.delete("/v1/me"),
        theirs.post(f"/partner/v1/rides/{who}/check", json={"consent": other.phone}),
        theirs.post("/partner/v1/checks", json={"checks": [{"ride": who, "consent": other.name}]}),
        theirs.delete(f"/partner/v1/rides/{named_}"),
        ours.get(f"/source/v1/receipts/{other.phone}"),
        ours.get(f"/source/v1/receipts/{who}/rejects"),
        ours.post(f"/source/v1/{named_}", content=lines([other.asked])),
        nobody.post("/oauth/token", data=lab.asked(other.name, scope=who)),
    ]  # fmt: skip


def everything(door: Hamlet) -> list[Any]:
    """Each feature once, rightly and wrongly; the answers that nobody should find anybody in."""
    said = []
    tokens = {p: door.bound(p)["token"] for p in (NURSE, TEACHER, ELDER)}
    phone = door.client(tokens[TEACHER])
    key = {"holders": [phone_key().public.compressed.hex()]}
    phone.post("/v1/me/children", json=CHILD.asked)
    phone.post("/v1/me/others", json=ELDER.asked)
    for path in (*OWN, "/v1/me/others/1/code", "/v1/me/others", "/v1/me/carers"):
        assert phone.get(path).status_code == 200
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


# where they are looked for --------------------------------------------------------------------------------------------


@dataclass
class Traces:
    """Everything that is left of a day: the answers that nobody should be found in, texts, folders."""

    said: list[Any]
    texts: dict[str, Callable[[], bytes]]
    folders: dict[str, Path]

    def sinks(self) -> dict[str, Callable[[], list[Any]]]:
        """Sink → what looks through it."""
        texts = {name: lambda text=text: told(text()) for name, text in self.texts.items()}
        folders = {name: lambda folder=folder: in_files(folder) for name, folder in self.folders.items()}
        return {**texts, **folders, "problems": self.problems, "headers and addresses": self.headers}

    def problems(self) -> list[str]:
        # What is said back of an unknown parameter is its name, made plain: so a number that was sent as one is there.
        return [
            s.text for s in self.said if s.status_code >= 400 and not s.request.url.query and told(s.content)
        ]

    def headers(self) -> list[str]:
        return [
            str(s.headers) for s in self.said if told(b"\n".join(k + b": " + v for k, v in s.headers.raw))
        ]

    def found(self) -> dict[str, list[Any]]:
        """Sink → where, and what; sinks in which nobody is are left out."""
        return {name: x for name, look in self.sinks().items() if (x := look())}


def files_of(folder: Path) -> list[Path]:
    """Left out: rows and messages that were refused, kept as they were sent for the operator alone and in no backup
    (docs/formats/state.md)."""
    as_sent = {("rejects", ".csv"), ("quarantine", ".bytes")}
    return [f for f in folder.rglob("*") if f.is_file() and (f.parent.name, f.suffix) not in as_sent]


def in_files(folder: Path) -> list[tuple[str, list[bytes]]]:
    return [
        (str(f.relative_to(folder)), x)
        for f in files_of(folder)
        if (x := told(f.read_bytes()) or told(str(f.relative_to(folder)).encode()))
    ]


def traces(
    door: Hamlet, register: House, tmp_path: Path, said: list[Any], printed: Callable[[], str]
) -> Traces:
    return Traces(
        said,
        {
            "log": (tmp_path / "events.ndjson").read_bytes,
            "metrics": door.sensors.text,
            "drafts of the register": lambda: drafts(register),
            "what was printed": lambda: printed().encode(),
        },
        {
            "state and public folder": door.path, "register": tmp_path / "register", "backup": tmp_path / "backup",
            "keys": tmp_path / "keys", "temporary files": tmp_path / "temporary",
        },
    )  # fmt: skip


def drafts(register: House) -> bytes:
    """All that the register's people see of what machines told it."""
    editor = register.client(Role.EDITOR)
    found = editor.get("/v1/drafts").json()["drafts"]
    return b"\n".join(editor.get(f"/v1/drafts/{draft['id']}").content for draft in found)


def attacked(door: Hamlet, register: House) -> None:
    """While all this goes on the door is attacked, and tells the register."""
    seen = watch(door, posting(machine(register)))
    seen.seconds(200, token=2_000, rate=400)
    assert seen.teller.send() == 1


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "temporary"
    made.mkdir()
    founded()  # before temporary files go elsewhere: all tests copy it
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    monkeypatch.setenv("TMPDIR", str(made))
    return made


@pytest.mark.parametrize("residents", [4, pytest.param(1_000, marks=pytest.mark.prove)])
def test_nobody_is_found_anywhere(
    tmp_path: Path, temporary: Path, capfd: pytest.CaptureFixture[str], residents: int
) -> None:
    log = EventLog(tmp_path / "events.ndjson")
    with hamlet(tmp_path / "hamlet", defence=unlimited()) as door, house(tmp_path / "register") as register:
        door.events.info = log.info  # type: ignore[method-assign]
        door.events.warning = log.info  # type: ignore[method-assign]
        said = [*everything(door), *through(door, crowd(residents))]
        assert not_gone_through(door) == []
        attacked(door, register)
        write(door)  # sealed slots
        log.close()
        take(door.state, tmp_path / "backup", keys=tmp_path / "keys", now=door.clock.now)
        left = traces(door, register, tmp_path, said, lambda: "".join(capfd.readouterr()))
        assert left.found() == {}
        # And there was something to look through.
        assert sum(s.status_code >= 400 for s in said) > 150 + 35 * residents
        assert (tmp_path / "events.ndjson").stat().st_size > 10_000
        assert list((door.path / "front" / "held").iterdir())
        assert list((door.path / "public" / "sealed").rglob("*"))
        assert b"denial-of-service" in drafts(register)
        assert all(len(files_of(f)) > 0 for name, f in left.folders.items() if name != "temporary files")
    assert "sealed" in repr(Letter("10066617001", "123456", "bind"))


def not_gone_through(door: Hamlet) -> list[tuple[str, str]]:
    """Routes that were not answered both well and badly."""
    well, badly = set[tuple[str, str]](), set[tuple[str, str]]()
    for (method, route, status), _ in door.sensors._answers.items():
        (well if status < 400 else badly).add((method, route))
    routes = {(r.method, r.path.replace(":path", "")) for r in ROUTES if "openapi" not in r.path}
    # What is answered in front of the layers counts for itself.
    well |= {("GET", "/v1/me/code")} if door.sensors.codes else set()
    well |= {("POST", "/v1/me/visits")} if door.sensors.scan_ins else set()
    return sorted((routes - well) | (routes - badly))


def leaks(text: str) -> dict[str, bytes]:
    """A line that somebody wrote without care, in every form."""
    line = f"who={text};".encode()
    return {
        "raw": line, "URL": f"who={urllib.parse.quote(text)}".encode(), "JSON": json.dumps({"who": text}).encode(),
        "hex": line.hex().encode(), "HEX": line.hex().upper().encode(), "UTF-16": line.decode().encode("utf-16-le"),
        **{f"base64 {n}": base64.b64encode(b"x" * n + line) for n in range(3)},
        **{f"base64url {n}": base64.urlsafe_b64encode(b"x" * n + line) for n in range(3)},
        "gzip": gzip.compress(line), "zlib": b"before" + zlib.compress(line),
    }  # fmt: skip


TEXTS = ("metrics", "headers and addresses", "what was printed")


def test_a_careless_line_is_caught_in_every_sink_and_every_form(tmp_path: Path, temporary: Path) -> None:
    """The control: somebody of the crowd, in one place at a time."""
    (somebody,) = crowd(700)[699:]
    printed = list[bytes]()
    with hamlet(tmp_path / "hamlet", defence=unlimited()) as door, house(tmp_path / "register") as register:
        for name in ("backup", "keys"):
            (tmp_path / name).mkdir()
        log = tmp_path / "events.ndjson"
        log.touch()
        left = traces(door, register, tmp_path, [], lambda: b"".join(printed).decode())
        assert left.found() == {}

        def plant(sink: str, form: bytes) -> Callable[[], object]:
            """Returns what takes it away again."""
            if sink in left.folders:
                file = left.folders[sink] / "careless"
                file.write_bytes(form)
                return file.unlink
            if sink in ("problems", "headers and addresses"):
                request = httpx2.Request("GET", BASE)
                header = [] if sink == "problems" else [(b"location", form)]
                body = form if sink == "problems" else b""
                left.said.append(httpx2.Response(404, headers=header, content=body, request=request))
                return left.said.clear
            if sink == "log":
                log.write_bytes(form)
                return lambda: log.write_bytes(b"")
            if sink == "metrics":
                door.sensors.answered("GET", form.decode(), 200)
                return door.sensors._answers.clear
            printed.append(form)
            return printed.clear

        caught = Counter[str]()
        for text in (somebody.id_number, somebody.name, somebody.phone):
            for name, form in leaks(text).items():
                for sink, look in left.sinks().items():
                    if sink == "drafts of the register":
                        continue  # below
                    if sink in TEXTS and name in ("gzip", "zlib", "UTF-16"):
                        continue  # they hold text
                    away = plant(sink, form)
                    assert look(), (sink, name)
                    away()
                    caught[sink] += 1
        assert len(caught) == len(left.sinks()) - 1
        assert left.found() == {}
        (door.path / "front" / "held").mkdir(exist_ok=True)
        (door.path / "front" / "held" / f"{somebody.id_number}.json").write_bytes(b"{}")  # a name is enough
        seen = watch(door, posting(machine(register)))
        seen.teller.system = f"door of {somebody.name}"
        seen.seconds(200, token=2_000)
        seen.teller.send()
        assert set(left.found()) == {"drafts of the register", "register", "state and public folder"}


def test_a_feature_that_nobody_went_through_is_found(door: Hamlet) -> None:
    """The other control: a crowd that does nothing looks at nothing."""
    assert len(not_gone_through(door)) > 40

"""A small front door for the pages' tests: the built pages, a real city's public folder, and codes and credentials that
kangma itself makes, under the routes of the API. One request at a time, one city, its clock set by the test.

It takes the place of `kangma serve --port` where a test wants to stop it, break it or look into it.
"""

from __future__ import annotations

import base64
import http.server
import json
import re
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow.parquet as pq
from web_built import DIST

from kangma.credential import qr
from kangma.credential.claims import Kind
from kangma.credential.issue import shown
from kangma.credential.venue_code import check_digit, code_at, minute_of, token_at
from kangma.errors import Refused
from kangma.gateway.front.defence.work import Work
from kangma.intake.identity import normalised
from kangma.publish.answers import code_of_person
from kangma.publish.credentials import for_phone, mask_of, on_paper, resident
from kangma.publish.cycle import cycle
from kangma.publish.release import read_table
from kangma.publish.signer import LocalSigner
from kangma.signing.keys import PublicKey
from kangma.store.releases import last_release
from kangma.store.state import open_state
from kangma.terms import calendar, moment, zone

HERE = zone("Asia/Shanghai")
#: As the gateway sends it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "worker-src 'self'; manifest-src 'self'; media-src 'self' blob:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
CODE = "246810"
NOT_THE_CODE = (403, {"title": "Not allowed", "status": 403, "code": "not_the_code"})
#: A door that is registered.
VENUE, VENUE_KEY, PLACE = "1234567" + check_digit("1234567"), bytes(range(32)), "松榆东里社区超市"


@dataclass(frozen=True)
class Person:
    """Somebody of the city, with what they would type."""

    number: int
    id_type: str
    id_number: str
    name: str


@dataclass(frozen=True)
class Town:
    state: Path
    at: int
    people: dict[str, Person]  # by what is shown: green, notice, yellow, red

    def copied(self, to: Path) -> Path:
        shutil.copytree(self.state, to)
        return to


@cache
def town() -> Town:
    """`kangma demo` for 300 residents, and somebody of each state. Made once a process."""
    folder = Path(mkdtemp(prefix="kangma-pages-"))
    command = [sys.executable, "-m", "kangma", "demo", "--residents", "300", "--days", "8", "--json"]
    made = subprocess.run(
        [*command, "--out", str(folder / "demo")], check=True, capture_output=True, text=True
    )
    at = moment(json.loads(made.stdout)["as_of"])
    return opened(folder / "demo", at)


def opened(demo: Path, at: int) -> Town:
    """The town of a demo's folder."""
    first = min((demo / "tables").iterdir())
    rows = pq.read_table(first / "people.parquet").to_pylist()
    people: dict[str, Person] = {}
    with open_state(demo / "state") as state:
        out = read_table(state, last_release(state.registry), "out")
        states = dict(zip(out["person"].to_pylist(), out["state"].to_pylist(), strict=True))
        for row in rows:
            if row["id_type"] != "10":
                continue
            number = resident(state, row["id_type"], row["id_number"])
            name = {0: "green", 2: "notice", 3: "yellow", 4: "red"}.get(states.get(number, 0))
            if name is not None and name not in people:
                people[name] = Person(number, row["id_type"], row["id_number"], row["name"])
    return Town(demo / "state", at, people)


def signed(key: str, signature: str, said: bytes) -> bool:
    return PublicKey.from_point(bytes.fromhex(key)).verifies(bytes.fromhex(signature), said)


@dataclass
class Front:
    """What the server knows. `asked`: every request, method and path."""

    state: Path
    town: Town
    now: int
    asked: list[tuple[str, str]] = field(default_factory=list)
    bindings: dict[str, Person | None] = field(default_factory=dict)
    residents: dict[str, tuple[Person, str]] = field(default_factory=dict)  # name → (who, device key)
    tokens: dict[str, str] = field(default_factory=dict)  # token → name of a resident
    files: dict[str, bytes] = field(default_factory=dict)  # under /public/, in place of the real ones
    release: int = 0
    came: list[str] = field(default_factory=list)  # results that the door sees
    appeals: list[dict[str, Any]] = field(default_factory=list)
    others: dict[int, tuple[Person, str]] = field(default_factory=dict)  # in everybody's care: who, and how
    edited: Callable[[dict[str, Any]], None] = lambda said: None  # what a test changes in a code
    lost: Callable[[str], bool] = lambda path: False  # which paths are answered with 503
    work: Work | None = None  # under attack: what who has no token has to bring

    @property
    def public(self) -> Path:
        return self.state / "public"

    def cycle(self, seconds: int = 30) -> None:
        """The wheel turns once, `seconds` later."""
        self.now += seconds
        with open_state(self.state) as state, LocalSigner(self.state) as signer:
            cycle(state, now=self.now, signer=signer)

    def code(self, person: Person) -> dict[str, Any]:
        with open_state(self.state) as state:
            said = code_of_person(state, person.number, now=self.now)
            del said["person"]
            release = last_release(state.registry)
            assert release is not None
            said |= {"name_mask": mask_of(state, person.number), "release": release.number, "more_holds": 0}
        self.edited(said)
        return said

    def credentials(self, person: Person, holders: list[str], kind: Kind) -> list[dict[str, str]]:
        today = HERE.day(self.now)
        keys = [PublicKey.from_point(bytes.fromhex(holder)) for holder in holders]
        with open_state(self.state) as state, LocalSigner(self.state) as signer:
            made = for_phone(state, signer, person.number, keys, today=today, now=self.now, kind=kind)
        return [
            {"day": calendar(today + n).isoformat(), "text": base64.urlsafe_b64encode(c).decode().rstrip("=")}
            for n, c in enumerate(made)
        ]

    def paper(self, person: Person) -> dict[str, str]:
        with open_state(self.state) as state, LocalSigner(self.state) as signer:
            text = shown(on_paper(state, signer, person.number, today=HERE.day(self.now), now=self.now))
        return {
            "text": text,
            "png": base64.b64encode(qr.png(text)).decode(),
            "valid_until": HERE.iso(HERE.midnight(HERE.day(self.now) + 28)),
        }

    def bind(self, asked: dict[str, str]) -> str:
        name = secrets.token_urlsafe(16)
        said = (asked["id_type"], asked["id_number"], asked["name"])
        known = (p for p in self.town.people.values() if (p.id_type, p.id_number, p.name) == said)
        self.bindings[name] = next(known, None)
        return name

    def token(self, resident: str) -> dict[str, str]:
        token = secrets.token_urlsafe(24)
        self.tokens[token] = resident
        said = {"token": token, "expires_at": HERE.iso(self.now + 30 * 86_400)}
        return said | {"device": resident[:16]}

    def confirmed(self, binding: str, sent: dict[str, str]) -> Person | None:
        """Who it is, if that is the code."""
        return self.bindings.get(binding) if sent["code"] == CODE else None

    def told(self, method: str, path: str, sent: Any, token: str) -> tuple[int, Any]:
        """Status and answer of a call under /v1."""
        if (method, path) == ("POST", "/v1/bindings"):
            return self._asked(sent)
        if found := re.fullmatch(r"/v1/bindings/([\w-]+)/confirm", path):
            person = self.confirmed(found[1], sent)
            if person is None:
                return NOT_THE_CODE
            name = secrets.token_hex(16)
            self.residents[name] = person, sent["device_key"]
            mask = self.code(person)["name_mask"]
            return 201, self.token(name) | {"resident": name, "name_mask": mask}
        if (method, path) == ("POST", "/v1/tokens"):
            said = f"KM1 token {sent['resident']} {sent['at']}".encode()
            _, key = self.residents.get(sent["resident"], (None, None))
            if key is None or not signed(key, sent["signature"], said):
                return 401, {"title": "Sign in first", "status": 401, "code": "not_signed_in"}
            return 201, self.token(sent["resident"])
        if (method, path) == ("GET", "/v1/venue"):
            if token_at(VENUE, VENUE_KEY, minute_of(self.now)) != token:
                return 401, {"title": "Sign in first", "status": 401, "code": "not_allowed"}
            recent = [{"at": self.now, "result": result} for result in self.came]
            today = {"pass": len(self.came), "wait": 0, "unknown": 0, "left": 0, "late": 0}
            return 200, {"venue": VENUE, "name": PLACE, "now": self.now, "today": today, "recent": recent}
        name = self.tokens.get(token, "")
        if name not in self.residents:
            return 401, {"title": "Sign in first", "status": 401, "code": "not_signed_in"}
        return self._mine(method, path.removeprefix("/v1/me"), sent, name)

    def _asked(self, sent: dict[str, str]) -> tuple[int, Any]:
        try:
            normalised(sent["id_type"], sent["id_number"])
        except Refused as problem:
            return 422, {
                "title": "Not taken",
                "status": 422,
                "code": problem.code.value,
                "where": "id_number",
            }
        return 202, {"binding": self.bind(sent), "expires_at": HERE.iso(self.now + 600)}

    def _cared(self, method: str, path: str, sent: Any) -> tuple[int, Any]:
        """As the gateway answers for those in a resident's care."""
        since = HERE.iso(self.now - 3_600)

        def said(other: int) -> dict[str, Any]:
            return {"other": other, "how": self.others[other][1], "name_mask": "*", "since": since}

        if (method, path) == ("GET", "/others"):
            return 200, {"others": [said(other) for other in self.others]}
        if (method, path) == ("POST", "/others"):
            return self._asked(sent)
        if found := re.fullmatch(r"/others/([\w-]+)/confirm", path):
            person = self.confirmed(found[1], sent)
            if person is None:
                return NOT_THE_CODE
            self.others[len(self.others) + 1] = person, "consent"
            return 201, said(len(self.others))
        found = re.fullmatch(r"/others/([1-4])(/code|/credentials)?", path)
        if found is None or int(found[1]) not in self.others:
            return 404, {"title": "There is nothing here", "status": 404, "code": "not_there"}
        other = int(found[1])
        match (method, found[2]):
            case ("GET", "/code"):
                return 200, self.code(self.others[other][0])
            case ("POST", "/credentials"):
                return 201, {
                    "credentials": self.credentials(self.others[other][0], sent["holders"], Kind.PROXY)
                }
            case ("DELETE", None):
                del self.others[other]
                return 204, None
        return 404, {"title": "There is nothing here", "status": 404, "code": "not_there"}

    def _scanned(self, sent: Any) -> tuple[int, Any]:
        """As the gateway answers a scan-in, by the code of that minute."""
        entered, left = sent["entered"], sent.get("left")
        for scan in (entered, left):
            if scan is not None and code_at(VENUE_KEY, scan["minute"]) != scan["code"]:
                return 422, {"title": "Not taken", "status": 422, "code": "wrong_code"}
        begins = entered["minute"] * 60
        late = begins < self.now - 180
        if left is None and not late:
            self.came.append("pass")
        ends = begins + 3_600 if left is None else (left["minute"] + 1) * 60
        return 201, {
            "visit": "0" * 16, "place": PLACE, "entered_at": HERE.iso(begins), "left_at": HERE.iso(ends), "late": late,
            "assumed": left is None, "result": None if late or left else "pass", "sealed": True,
        }  # fmt: skip

    def _mine(self, method: str, path: str, sent: Any, name: str) -> tuple[int, Any]:
        if path.startswith("/others"):
            return self._cared(method, path, sent)
        person, _ = self.residents[name]
        yesterday = HERE.iso(self.now - 80_000)
        match (method, path):
            case ("GET", "/code"):
                return 200, self.code(person)
            case ("POST", "/credentials"):
                return 201, {"credentials": self.credentials(person, sent["holders"], Kind.PHONE)}
            case ("POST", "/visits"):
                return self._scanned(sent)
            case ("GET", "/appeals"):
                return 200, {"appeals": self.appeals}
            case ("POST", "/appeals"):
                said = {
                    "appeal": "0" * 16, "state": "open", "filed_at": HERE.iso(self.now), "late": False,
                    "machine": "stands",
                    "answer_by": HERE.iso(self.now + 86_400), "answer": None, "follows": None,
                    "steps": [{"at": HERE.iso(self.now), "who": "resident", "what": "filed"}],
                }  # fmt: skip
                self.appeals.append(sent | said)
                return 201, self.appeals[-1]
            case ("DELETE", "/appeals/0000000000000000"):
                self.appeals[0]["state"] = "withdrawn"
                return 204, None
            case ("POST", "/paper"):
                return 201, self.paper(person) | {"pdf": ""}
            case ("GET", "/devices"):
                ours = [name[:16], "0123456789abcdef"]
                return 200, {
                    "devices": [
                        {"device": d, "bound_at": yesterday, "seen_at": yesterday} for d in reversed(ours)
                    ]
                }
            case ("DELETE", "/devices/0123456789abcdef"):
                return 204, None
            case ("GET", "/looks"):
                looks = [
                    {"at": yesterday, "who": "示例出行", "purpose": "ride"},
                    {"at": HERE.iso(self.now - 90_000), "who": "guardian", "purpose": "show"},
                ]
                return 200, {"looks": looks}
        return 404, {"title": "There is nothing here", "status": 404, "code": "not_there"}


class _Door(http.server.BaseHTTPRequestHandler):
    front: Front
    lock: threading.Lock
    closed: bool
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        sent = self.rfile.read(int(self.headers.get("content-length") or 0))
        with self.lock:
            if self.closed:
                return None
            self.front.asked.append((method, self.path))
            if self.front.lost(self.path):
                return self._send(503, b"{}", "application/problem+json")
            if self.path.startswith("/v1/"):
                said = json.loads(sent) if sent else None
                if (challenge := self._unworked()) is not None:
                    problem = {
                        "title": "Too many requests",
                        "status": 429,
                        "code": "work_needed",
                        "work": challenge,
                    }
                    return self._send(429, json.dumps(problem).encode(), "application/problem+json")
                token = self.headers.get("authorization", "").removeprefix("Bearer ")
                status, answer = self.front.told(method, self.path, said, token)
                media = "application/json" if status < 400 else "application/problem+json"
                return self._send(status, b"" if answer is None else json.dumps(answer).encode(), media)
            if self.path.startswith("/public/"):
                name = self.path.removeprefix("/public/")
                found = self.front.files.get(name)
                file = self.front.public / name
                if found is None and file.is_file():
                    found = file.read_bytes()
                media = "application/json" if name == "latest.json" else "application/octet-stream"
                return self._send(404 if found is None else 200, found or b"", media)
            name = {
                "/": "index.html",
                "/scan": "scan.html",
                "/open": "open.html",
                "/venue": "venue.html",
            }.get(self.path, self.path[1:])
            page = DIST / "pages" / name
            if not page.is_file():
                return self._send(404, b"", "text/plain")
            return self._send(200, page.read_bytes(), MEDIA[page.suffix])

    def _unworked(self) -> dict[str, Any] | None:
        """What this caller has to solve first; None for who has, or has a token, or on a quiet day."""
        work, brought = self.front.work, self.headers.get("kangma-work", "").encode()
        if work is None or self.path.startswith("/v1/me") or work.takes(brought, now=self.front.now):
            return None
        return work.challenge(now=self.front.now)

    def _send(self, status: int, content: bytes, media: str) -> None:
        self.send_response(status)
        self.send_header("content-type", media)
        self.send_header("content-length", str(len(content)))
        self.send_header("cache-control", "no-cache")
        self.send_header("content-security-policy", POLICY)
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(content)


@dataclass
class Serving:
    front: Front
    base: str
    stop: Callable[[], None]


@contextmanager
def serving(state: Path, of: Town, *, port: int = 0) -> Iterator[Serving]:
    """The front door of a copy of the town, until it is stopped."""
    front = Front(state, of, of.at + 9 * 3_600)
    kind = type("Door", (_Door,), {"front": front, "lock": threading.Lock(), "closed": False})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()
        # Who is being answered is waited for: the interpreter must not end with a thread inside DuckDB.
        with kind.lock:
            kind.closed = True

    try:
        yield Serving(front, f"http://127.0.0.1:{server.server_port}", stop)
    finally:
        stop()

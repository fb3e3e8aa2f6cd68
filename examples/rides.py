"""A ride-hailing platform's day against a city that is served: `python examples/rides.py --help`.

What a platform needs of a city is the class `Platform`: a token for its own signature, and one question. It never learns
who rides: the passenger's phone (`Passenger`, which only this play needs) gives it a consent for one ride. `Told` reads
what a city tells unasked, when a code turns during a ride. Copy `Line`, `Platform` and `Told`; they need the standard
library, and joserfc with the cryptography that it brings.

    kangma demo --residents 2000 --days 20 --port 8080           # in one terminal; its front door stays open
    python examples/rides.py --city out/demo --address http://127.0.0.1:8080 --rides 200

To be told of turns too, before the second one, and `--listen 8090` behind it:

    kangma client out/demo/state hook demo-cars --url http://127.0.0.1:8090/told --private
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import json
import re
import secrets
import statistics
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from cryptography.exceptions import InvalidSignature
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PATIENCE = 20  # times that it comes back after "later"


class Line:
    """One connection to a city, kept open until `close`. Whoever is told "later" comes back then, and not before."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        parts = urlsplit(self.address)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._made = kind(parts.netloc, timeout=30)

    def close(self) -> None:
        self._made.close()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, method: str, path: str, body: Any = None, *, token: str = "", form: bool = False) -> Any:
        """The JSON answer; None for an answer without one. Raises RuntimeError for a problem."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        content = None
        if body is not None:
            content = (urlencode(body) if form else json.dumps(body)).encode()
            headers["content-type"] = "application/x-www-form-urlencoded" if form else "application/json"
        for _ in range(PATIENCE):
            try:
                self._made.request(method, path, content, headers)
                answer = self._made.getresponse()
                said = answer.read()
            except (http.client.HTTPException, ConnectionError):
                self._made.close()  # it was closed after a rest, or the gateway was started again
                time.sleep(0.2)
                continue
            if answer.status not in (429, 503):
                break
            time.sleep(float(answer.headers.get("retry-after", "1")))
        else:
            raise RuntimeError(f"{method} {urlsplit(path).path.split('/')[1]}: not now")
        if answer.status >= 400:
            raise RuntimeError(f"{answer.status}: {said.decode(errors='replace')[:300]}")
        return json.loads(said) if said else None


@dataclass
class Platform:
    """A partner of the city. `base` is what the city calls itself: it is what an assertion is for."""

    name: str
    key: ECKey
    line: Line
    base: str
    _token: str = field(default="", repr=False)
    _until: float = 0.0

    def token(self) -> str:
        """An access token, a new one when the last is nearly over."""
        if time.time() > self._until - 60:
            now = int(time.time())
            claims = {
                "iss": self.name, "sub": self.name, "aud": f"{self.base}/oauth/token",
                "jti": secrets.token_urlsafe(16), "iat": now, "exp": now + 120,
            }  # fmt: skip
            asked = {
                "grant_type": "client_credentials", "client_assertion_type": ASSERTION, "scope": "ride:check",
                "client_assertion": jwt.encode({"alg": "ES256"}, claims, self.key),
            }  # fmt: skip
            got = self.line.ask("POST", "/oauth/token", asked, form=True)
            self._token, self._until = got["access_token"], now + got["expires_in"]
        return self._token

    @staticmethod
    def new_ride() -> str:
        """A name for a ride: by chance, so that it says nothing and nobody guesses it."""
        return secrets.token_urlsafe(18)

    def check(self, ride: str, consent: str) -> str:
        """pass, refuse or unknown. Unknown is no refusal: it is for the driver and the passenger to look."""
        got = self.line.ask(
            "POST", f"/partner/v1/rides/{ride}/check", {"consent": consent}, token=self.token()
        )
        result: str = got["result"]
        return result

    def over(self, ride: str) -> None:
        """The ride is over: the city keeps and tells nothing more of it."""
        self.line.ask("DELETE", f"/partner/v1/rides/{ride}", token=self.token())

    def check_many(self, rides: Iterable[tuple[str, str]]) -> list[str]:
        """The same for up to 400 rides at once."""
        asked = [{"ride": ride, "consent": consent} for ride, consent in rides]
        got = self.line.ask("POST", "/partner/v1/checks", {"checks": asked}, token=self.token())
        return [one["result"] for one in got["checks"]]


@dataclass
class Told:
    """Reads what a city sends to `url` when a code turns during an open ride: POST, JSON, signed by RFC 9421. Answer with
    204 once the ride's entry is changed on your side; for anything else it comes again, with the same name."""

    url: str
    keys: list[dict[str, str]]  # as GET /partner/v1/keys has them: look once a day
    look: Callable[[], list[dict[str, str]]] | None = (
        None  # and, by this, when a key is not known; once a minute
    )
    seen: dict[str, str] = field(default_factory=dict)  # name of a message → ride: keep it for a day

    COVERED = ("@method", "@target-uri", "content-type", "content-digest", "webhook-id")
    FRESH = 300  # seconds between our clock and theirs, and on the way
    _looked: float = field(default=float("-inf"), repr=False)

    def read(
        self, headers: Mapping[str, str], body: bytes, *, now: float | None = None
    ) -> dict[str, str] | None:
        """{ride, result, expires_at}; None for what was read before. Raises ValueError for what the city did not send."""
        said = {k.lower(): v for k, v in headers.items()}
        names = " ".join(f'"{name}"' for name in self.COVERED)
        told = re.fullmatch(
            rf'city=(\({re.escape(names)}\);created=(\d+);keyid="([\w-]+)";alg="ed25519";tag="kangma-ride")',
            said.get("signature-input", ""), re.ASCII,
        )  # fmt: skip
        made = re.fullmatch(r"city=:([A-Za-z0-9+/=]+):", said.get("signature", ""))
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if told is None or made is None or said.get("content-digest") != f"sha-256=:{digest}:":
            raise ValueError("not signed, or not this body")
        if abs((time.time() if now is None else now) - int(told[2])) > self.FRESH:
            raise ValueError("of another time")
        values = {"@method": "POST", "@target-uri": self.url, **said}
        lines = [f'"{name}": {values[name]}' for name in self.COVERED]
        base = "\n".join([*lines, f'"@signature-params": {told[1]}']).encode()
        jwk = self._key(told[3])
        if jwk is None:
            raise ValueError("by a key that is not the city's")
        try:
            OKPKey.import_key(jwk).public_key.verify(base64.b64decode(made[1]), base)
        except (InvalidSignature, TypeError):
            raise ValueError("the signature does not hold") from None
        got: dict[str, str] = json.loads(body)
        if said["webhook-id"] in self.seen:
            return None
        self.seen[said["webhook-id"]] = got["ride"]
        return got

    def _key(self, kid: str) -> dict[str, str] | None:
        for again in (False, True):
            if again:
                if self.look is None or time.monotonic() < self._looked + 60:
                    break
                self._looked, self.keys = time.monotonic(), self.look()
            found = next((key for key in self.keys if key["kid"] == kid), None)
            if found is not None:
                return found
        return None


@contextmanager
def listening(told: Told, day: Day) -> Iterator[None]:
    """A platform's server, in the play: it answers 204 to what the city sent, and 400 to anything else."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(min(int(self.headers.get("content-length", "0")), 1_000))
            try:
                got = told.read(dict(self.headers.items()), body)
            except ValueError:
                self.send_response(400)
            else:
                day.told.update([got["result"]] if got else [])
                self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", urlsplit(told.url).port or 80), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Passenger:
    """A phone. In the play only: a platform never has one."""

    line: Line
    token: str = field(repr=False)

    @classmethod
    def bound(cls, line: Line, document: dict[str, str], sent: Path) -> Passenger:
        """A phone that was just bound. `sent` is where a city that is only tried out writes the codes it sends."""
        before = _size(sent)
        binding = line.ask("POST", "/v1/bindings", document)["binding"]
        until = time.monotonic() + 20
        while _size(sent) == before:
            if time.monotonic() > until:
                raise RuntimeError("no code came")
            time.sleep(0.02)
        code = json.loads(sent.read_text("utf-8").splitlines()[-1])["code"]
        point = ECKey.generate_key("P-256").as_dict(private=False)
        x, y = (base64.urlsafe_b64decode(str(point[k]) + "=") for k in ("x", "y"))
        asked = {"code": code, "device_key": (bytes([2 + y[-1] % 2]) + x).hex()}
        return cls(line, line.ask("POST", f"/v1/bindings/{binding}/confirm", asked)["token"])

    def agree(self, partner: str, ride: str) -> str:
        """The consent, for the platform."""
        asked = {"partner": partner, "ride": ride}
        got: dict[str, str] = self.line.ask("POST", "/v1/me/rides", asked, token=self.token)
        return got["consent"]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@dataclass
class Day:
    """What a day came to."""

    results: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    together: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)  # unasked
    took: float = 0.0

    def said(self) -> str:
        ms = sorted(1_000 * s for s in self.seconds)
        middle, late = statistics.median(ms), ms[min(len(ms) - 1, len(ms) * 99 // 100)]
        results = ", ".join(f"{name} {n:,}" for name, n in sorted(self.results.items()))
        took = f"a check took {middle:.1f} ms (median), {late:.1f} ms (99th percentile)"
        told = "".join(f"; told unasked: {name} {n:,}" for name, n in sorted(self.told.items()))
        return f"{len(ms):,} rides checked, {len(ms) / self.took:.1f} a second: {results}; {took}{told}"


def play(made: Day, platform: Platform, passengers: list[Passenger], rides: int) -> None:
    """So many rides, passenger after passenger: consent, check, ride, over. One in ten is asked about once more on
    its way, as an operator does."""
    start, on_way = time.perf_counter(), deque[str]()
    for n in range(rides):
        passenger, ride = passengers[n % len(passengers)], platform.new_ride()
        consent = passenger.agree(platform.name, ride)
        began = time.perf_counter()
        made.results[platform.check(ride, consent)] += 1
        made.seconds.append(time.perf_counter() - began)
        on_way.append(ride)
        if n % 10 == 9:
            made.together.update(platform.check_many([(ride, consent)]))
        if len(on_way) > 2 * len(passengers):
            platform.over(on_way.popleft())
    for ride in on_way:
        platform.over(ride)
    made.took = time.perf_counter() - start


def documents(tables: Path) -> Iterator[dict[str, str]]:
    """People of an invented city who have a phone, as its own tables have them."""
    import pyarrow.parquet as pq  # noqa: PLC0415  only the play needs it

    file = next(iter(sorted(tables.rglob("people*.parquet"))), None)
    if file is None:
        raise RuntimeError(f"no people in {tables}")
    for row in pq.read_table(file, columns=["id_type", "id_number", "name", "phone"]).to_pylist():
        if row.pop("phone"):
            yield {k: str(v) for k, v in row.items()}


def main(arguments: list[str] | None = None) -> None:
    said = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    said.add_argument("--city", type=Path, required=True, help="the folder of `kangma demo --port`")
    said.add_argument("--address", required=True, help="where its front door is")
    said.add_argument("--rides", type=int, default=10_000)
    said.add_argument("--passengers", type=int, default=40)
    said.add_argument("--listen", type=int, metavar="PORT", help="where it is told (`kangma client … hook`)")
    given = said.parse_args(arguments)
    key = ECKey.import_key((given.city / "clients" / "demo-cars.pem").read_text())
    base = json.loads((given.city / "state" / "city.json").read_bytes())["base"]
    people = [d for d, _ in zip(documents(given.city / "tables"), range(given.passengers), strict=False)]
    sent = given.city / "state" / "front" / "sent.ndjson"
    with Line(given.address) as line, Line(given.address) as phones:
        passengers = [Passenger.bound(phones, document, sent) for document in people]
        sys.stdout.write(f"{len(passengers)} passengers\n")
        platform, made = Platform("demo-cars", key, line, base), Day()
        with ExitStack() as stack:
            if given.listen:

                def look() -> list[dict[str, str]]:
                    with Line(given.address) as asked:  # the other one is the play's own
                        keys: list[dict[str, str]] = asked.ask("GET", "/partner/v1/keys")["keys"]
                        return keys

                told = Told(f"http://127.0.0.1:{given.listen}/told", look(), look)
                stack.enter_context(listening(told, made))
            play(made, platform, passengers, given.rides)
        sys.stdout.write(made.said() + "\n")


if __name__ == "__main__":
    main()

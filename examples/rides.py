"""A ride-hailing platform's day against a city that is served: `python examples/rides.py --help`.

What a platform needs of a city is the class `Platform`: a token for its own signature, and one question. It never learns
who rides: the passenger's phone (`Passenger`, which only this play needs) gives it a consent for one ride. Copy `Line`
and `Platform`; they need the standard library and joserfc.

    kangma demo --residents 2000 --days 20 --port 8080           # in one terminal; its front door stays open
    python examples/rides.py --city out/demo --address http://127.0.0.1:8080 --rides 200
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import secrets
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

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

    def check_many(self, rides: Iterable[tuple[str, str]]) -> list[str]:
        """The same for up to 400 rides at once."""
        asked = [{"ride": ride, "consent": consent} for ride, consent in rides]
        got = self.line.ask("POST", "/partner/v1/checks", {"checks": asked}, token=self.token())
        return [one["result"] for one in got["checks"]]


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

    def agree(self, partner: str, ride: str) -> tuple[str, str]:
        """(consent for the platform, what the phone calls the ride)."""
        asked = {"partner": partner, "ride": ride}
        got = self.line.ask("POST", "/v1/me/rides", asked, token=self.token)
        return got["consent"], got["ride"]

    def over(self, ride: str) -> None:
        self.line.ask("DELETE", f"/v1/me/rides/{ride}", token=self.token)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@dataclass
class Day:
    """What a day came to."""

    results: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    together: Counter[str] = field(default_factory=Counter)

    def told(self) -> str:
        ms = sorted(1_000 * s for s in self.seconds)
        middle, late = statistics.median(ms), ms[min(len(ms) - 1, len(ms) * 99 // 100)]
        results = ", ".join(f"{name} {n:,}" for name, n in sorted(self.results.items()))
        took = f"a check took {middle:.1f} ms (median), {late:.1f} ms (99th percentile)"
        return f"{len(ms):,} rides checked: {results}; {took}"


def day(platform: Platform, passengers: list[Passenger], rides: int) -> Day:
    """So many rides, passenger after passenger: consent, check, ride, over. One in ten is asked about once more on
    its way, as an operator does."""
    made, waiting = Day(), list[tuple[str, str, Passenger, str]]()
    for n in range(rides):
        passenger, ride = passengers[n % len(passengers)], platform.new_ride()
        consent, own = passenger.agree(platform.name, ride)
        began = time.perf_counter()
        made.results[platform.check(ride, consent)] += 1
        made.seconds.append(time.perf_counter() - began)
        waiting.append((ride, consent, passenger, own))
        if len(waiting) == 10:
            made.together.update(platform.check_many([waiting[0][:2]]))
            for _, _, whose, what in waiting:
                whose.over(what)
            waiting.clear()
    for _, _, whose, what in waiting:
        whose.over(what)
    return made


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
    given = said.parse_args(arguments)
    key = ECKey.import_key((given.city / "clients" / "demo-cars.pem").read_text())
    base = json.loads((given.city / "state" / "city.json").read_bytes())["base"]
    people = [d for d, _ in zip(documents(given.city / "tables"), range(given.passengers), strict=False)]
    sent = given.city / "state" / "front" / "sent.ndjson"
    with Line(given.address) as line, Line(given.address) as phones:
        passengers = [Passenger.bound(phones, document, sent) for document in people]
        sys.stdout.write(f"{len(passengers)} passengers\n")
        sys.stdout.write(day(Platform("demo-cars", key, line, base), passengers, given.rides).told() + "\n")


if __name__ == "__main__":
    main()

"""The same over the network: schemathesis against `kangma serve`, its layers, its rates and its late answers with it."""

from __future__ import annotations

import functools
import itertools
import time
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hamlet import phone_key, tell
from joserfc import jwt
from joserfc.jwk import ECKey
from multitude import crowd, registered_people
from test_front_openapi import drive
from test_front_serving import Served

from kangma.credential.venue_code import minute_of, token_at
from kangma.gateway.front.who.assertions import ASSERTION_TYPE, public_key
from kangma.gateway.front.who.rights import Role
from kangma.store.front import FrontStore, prepare
from kangma.store.front_clients import ClientStore
from kangma.store.state import open_state
from kangma.store.venues import Venues

PATIENCE = 5  # times that somebody asks who is told to come later
RESIDENTS, DOORS, CLIENTS = 24, 24, 4  # so that none of them asks too often


class Asking:
    """Somebody of each role in turn, each from a network of their own."""

    def __init__(self, served: Served) -> None:
        self.served, self.networks = served, itertools.count(1)
        self.people = crowd(RESIDENTS)
        with open_state(served.path) as state:
            tell(state, registered_people(self.people), int(time.time()))
        served.until(lambda: self.http("GET", "/public/latest.json").status_code == 200, "a release")
        self.tokens = itertools.cycle([self.bound(p) for p in self.people])
        with FrontStore(prepare(served.path)) as front:
            with Venues(prepare(served.path)) as venues:
                doors = [venues.register("V1", "door", now=int(time.time())) for _ in range(DOORS)]
            self.doors = itertools.cycle([(made.venue, key) for made, key in doors])
            self.keys = {name: ECKey.generate_key("P-256") for name in self.names()}
            for name, key in self.keys.items():
                kind, scope = ("partner", "ride:check") if "cars" in name else ("source", "source:tests")
                ClientStore(front).add(
                    name, kind, [scope], [public_key(key.as_pem(private=False))], now=int(time.time())
                )
        time.sleep(2)  # the workers look for new clients and doors once a second
        self.clients = {
            role: itertools.cycle([n for n in self.names() if n.startswith(beginning)])
            for role, beginning in ((Role.SOURCE, "lab"), (Role.PARTNER, "cars"))
        }

    def names(self) -> list[str]:
        return [f"{kind}-{n}" for kind in ("lab", "cars") for n in range(CLIENTS)]

    def network(self) -> dict[str, str]:
        n = next(self.networks)
        return {"x-forwarded-for": f"{1 + n // 65_536 % 9}.{n // 256 % 256}.{n % 256}.7"}

    def http(self, method: str, path: str, **more: Any) -> Any:
        return self.served.client.request(method, path, headers=self.network(), **more)

    def bound(self, person: Any) -> str:
        sent = self.served.path / "front" / "sent.ndjson"
        before = sent.read_bytes().count(b"\n") if sent.exists() else 0
        binding = self.http("POST", "/v1/bindings", json=person.asked).json()["binding"]
        self.served.until(lambda: sent.exists() and sent.read_bytes().count(b"\n") > before, "a letter")
        asked = {"code": self.served.letter(), "device_key": phone_key().public.compressed.hex()}
        said = self.http("POST", f"/v1/bindings/{binding}/confirm", json=asked)
        assert said.status_code == 201, said.text
        return str(said.json()["token"])

    @functools.cache  # noqa: B019  it lives as long as the test
    def client_token(self, name: str, _minutes: int) -> str:
        now = int(time.time())
        claims = {"iss": name, "sub": name, "aud": f"{self.served.base}/oauth/token", "jti": f"{name}-{now}-xx",
                  "iat": now, "exp": now + 120}  # fmt: skip
        asked = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE,
                 "client_assertion": jwt.encode({"alg": "ES256"}, claims, self.keys[name])}  # fmt: skip
        said = self.http("POST", "/oauth/token", data=asked)
        assert said.status_code == 200, said.text
        return str(said.json()["access_token"])

    def token(self, role: Role) -> str | None:
        match role:
            case Role.NOBODY:
                return None
            case Role.RESIDENT:
                return next(self.tokens)
            case Role.VENUE:
                venue, key = next(self.doors)
                return token_at(venue, key, minute_of(int(time.time())))
            case _:
                return self.client_token(next(self.clients[role]), int(time.time()) // 300)

    def told(self, role: Role) -> dict[str, str]:
        token = self.token(role)
        return self.network() | ({} if token is None else {"authorization": f"Bearer {token}"})


@pytest.mark.prove
@pytest.mark.parametrize(("role", "examples"), [(None, 30), *((role, 1) for role in Role)])
def test_what_is_served_keeps_what_the_description_promises(
    tmp_path: Path, role: Role | None, examples: int
) -> None:
    """Each operation as its own role, many times; then every operation as every role."""
    served = Served(tmp_path, "--proxy", "127.0.0.1")
    try:
        asking = Asking(served)
        asked = schemathesis.openapi.from_url(f"{served.base}/openapi.json")
        statuses = drive(asked, asking.told, role, examples, patience=PATIENCE)
    finally:
        served.stop()
    print(sorted(statuses.items()))
    assert 500 not in statuses
    assert statuses[429] < statuses.total() / 4  # or little was asked

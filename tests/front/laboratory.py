"""Registered clients for tests: their keys, their assertions, and what they send."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.testclient import TestClient
from hamlet import BASE, Hamlet
from joserfc import jwt
from joserfc.jwk import ECKey

from kangma.gateway.front.who.assertions import ASSERTION_TYPE, public_key
from kangma.store.front_clients import ClientStore

AUDIENCE = f"{BASE}/oauth/token"


@dataclass
class Client:
    """Somebody registered, with the private key that only they have."""

    door: Hamlet
    name: str
    key: ECKey

    def claims(self, **other: Any) -> dict[str, Any]:
        said = {
            "iss": self.name, "sub": self.name, "aud": AUDIENCE, "jti": secrets.token_urlsafe(16),
            "iat": self.door.clock.now, "exp": self.door.clock.now + 120,
        }  # fmt: skip
        return {k: v for k, v in {**said, **other}.items() if v is not None}

    def assertion(self, **other: Any) -> str:
        return jwt.encode({"alg": "ES256"}, self.claims(**other), self.key)

    def asked(self, assertion: str | None = None, **more: str) -> dict[str, str]:
        return {
            "grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion() if assertion is None else assertion, **more,
        }  # fmt: skip

    def token(self, **more: str) -> str:
        said = self.door.client().post("/oauth/token", data=self.asked(**more))
        assert said.status_code == 200, said.text
        token: str = said.json()["access_token"]
        return token

    def http(self) -> TestClient:
        return self.door.client(self.token())


def registered(door: Hamlet, name: str, *scopes: str, **more: Any) -> Client:
    """A client that was just registered; the gateway knows it at once."""
    key = ECKey.generate_key("P-256")
    kind = "partner" if scopes == ("ride:check",) else "source"
    public = public_key(key.as_pem(private=False))
    ClientStore(door.city.store).add(name, kind, scopes, [public], now=door.clock.now, **more)
    door.city.registered._read = float("-inf")
    return Client(door, name, key)


def lines(rows: Sequence[Mapping[str, object]]) -> bytes:
    """NDJSON."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def new_key() -> str:
    return secrets.token_urlsafe(16)


def send(
    http: TestClient,
    kind: str,
    body: bytes,
    *,
    key: str | None = None,
    media: str = "application/x-ndjson",
    headers: Mapping[str, str] | None = None,
) -> Any:
    said = {"content-type": media, "idempotency-key": key or new_key(), **(headers or {})}
    return http.post(f"/source/v1/{kind}", content=body, headers=said)

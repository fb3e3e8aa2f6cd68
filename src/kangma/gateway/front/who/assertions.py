"""Who a client is: a signed assertion for a token (RFC 6749, 7521, 7523), and a token for each request.

A client proves itself with its own key, by an assertion that lives five minutes at most and is taken once; there is no
shared secret. Its token lives ten minutes: client, scopes and expiry under a keyed tag, so that checking one reads
nothing but the list of clients in memory, which is at most a second old.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import struct
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any, Literal

from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, OKPKey, import_key

from kangma.errors import Code, Refused, Where
from kangma.gateway.front.who.rights import Caller, Role
from kangma.store.front_clients import PARTNER, SCOPES, Client, ClientStore, NoClient
from kangma.terms import Moment

LIVES = 600  # seconds of a token
ASSERTION_LIVES = 300  # seconds at most
SKEW = 30  # seconds that a client's clock may be ahead
MOST_ASSERTION = 4_096
LENGTH = 46
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_BODY = struct.Struct(">IQI")  # client, scopes as bits, expires
_TAG = 16
_PURPOSE = b"KMclient"
_FRESH = 1.0  # seconds

Why = Literal["invalid_request", "invalid_client", "unsupported_grant_type", "invalid_scope"]


class NotGiven(Exception):  # an answer of RFC 6749, 5.2; it does not leave this package
    """No token, and why, in the words of the standard."""

    def __init__(self, why: Why, text: str) -> None:
        self.why, self.text = why, text
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Given:
    token: str
    seconds: int
    scopes: tuple[str, ...]


class Registered:
    """The registered clients and their tokens. It can be neither printed nor pickled."""

    def __init__(
        self,
        store: ClientStore,
        key: bytes,
        *,
        audience: Collection[str],
        clock: Callable[[], Moment],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """`audience`: what an assertion may name as its audience, this city's token endpoint."""
        self.store, self._key, self._audience, self._clock, self._ticks = store, key, audience, clock, ticks
        self._known: dict[str, Client] = {}
        self._numbers: dict[int, Client] = {}
        self._read = float("-inf")

    def _refresh(self) -> None:
        if self._ticks() - self._read >= _FRESH:
            found = [c for c in self.store.all() if c.closed_at is None]
            self._known, self._numbers = {c.name: c for c in found}, {c.number: c for c in found}
            self._read = self._ticks()

    def client(self, name: str) -> Client | None:
        """The open client of that name, at most a second old."""
        self._refresh()
        return self._known.get(name)

    def of(self, caller: Caller) -> Client:
        """The client whose token was brought. Raises NoClient for one that was closed meanwhile."""
        found = self.client(caller.client)
        if found is None:
            raise NoClient
        return found

    def caller(self, token: str) -> Caller | None:
        """Whose token this is; None for any other text."""
        if len(token) != LENGTH or not token.startswith("kmc"):
            return None
        try:
            content = base64.b64decode(token[3:] + "=", altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        said = content[: _BODY.size]
        if not hmac.compare_digest(self._tag(said), content[_BODY.size :]):
            return None
        number, bits, expires = _BODY.unpack(said)
        self._refresh()
        client = self._numbers.get(number)
        if client is None or self._clock() >= expires:
            return None
        scopes = frozenset(s for i, s in enumerate(SCOPES) if bits >> i & 1) & client.scopes
        return Caller(Role.PARTNER if client.kind == PARTNER else Role.SOURCE, 0, client.name, scopes)

    def _tag(self, said: bytes) -> bytes:
        return blake2s(said, digest_size=_TAG, key=self._key, person=_PURPOSE).digest()

    def give(self, fields: dict[str, str]) -> Given:
        """A token for what a client sent to the token endpoint. Raises NotGiven."""
        if "grant_type" not in fields:
            raise NotGiven("invalid_request", "grant_type is missing")
        if fields["grant_type"] != "client_credentials":
            raise NotGiven("unsupported_grant_type", "only client_credentials")
        if fields.get("client_assertion_type") != ASSERTION_TYPE or not fields.get("client_assertion"):
            raise NotGiven("invalid_request", "a client_assertion of type jwt-bearer (RFC 7523)")
        client = self._proved(fields["client_assertion"], fields.get("client_id"))
        wanted = fields.get("scope", "").split() or sorted(client.scopes)
        if not set(wanted) <= client.scopes:
            raise NotGiven("invalid_scope", "a scope that this client was not given")
        bits = sum(1 << SCOPES.index(scope) for scope in set(wanted))
        said = _BODY.pack(client.number, bits, self._clock() + LIVES)
        token = "kmc" + base64.urlsafe_b64encode(said + self._tag(said)).rstrip(b"=").decode()
        return Given(token, LIVES, tuple(sorted(set(wanted))))

    def _proved(self, assertion: str, claimed: str | None) -> Client:
        """The client who signed this assertion, for us, now, for the first time. What is wrong with one that is none
        is not told."""
        wrong = NotGiven("invalid_client", "the assertion proves no client that is registered here")
        if len(assertion) > MOST_ASSERTION:
            raise wrong
        try:
            claims = json.loads(jws.extract_compact(assertion.encode("ascii")).payload)
        except (JoseError, ValueError, RecursionError):
            raise wrong from None
        name = claims.get("iss") if isinstance(claims, dict) else None
        client = self.client(name) if isinstance(name, str) else None
        if client is None or claims.get("sub") != name or claimed not in (None, name):
            raise wrong
        if not any(_signed(assertion, jwk) for jwk in client.keys) or not self._holds(claims):
            raise wrong
        if not self.store.first_time(client, claims["jti"], expires=claims["exp"], now=self._clock()):
            raise wrong
        return client

    def _holds(self, claims: dict[str, Any]) -> bool:
        now = self._clock()
        aud, expires, jti = claims.get("aud"), claims.get("exp"), claims.get("jti")
        for_us = [aud] if isinstance(aud, str) else aud if isinstance(aud, list) else []
        times = [claims[name] for name in ("iat", "nbf") if name in claims]
        return (
            any(isinstance(one, str) and one in self._audience for one in for_us)
            and type(expires) is int
            and now < expires <= now + ASSERTION_LIVES + SKEW
            and all(type(at) is int and at <= now + SKEW for at in times)
            and isinstance(jti, str)
            and 8 <= len(jti) <= 128
        )

    def __repr__(self) -> str:
        return "Registered(…)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a key does not travel")


class _Ours(jws.JWSRegistry):
    """Exactly these algorithms. EdDSA is the older name of Ed25519 (RFC 9864) and what most clients still write."""

    def __init__(self, *names: str) -> None:
        super().__init__(algorithms=list(names))
        self._names = names

    def get_alg(self, name: str) -> Any:
        if name not in self._names:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


_OF_KEY = {"EC": _Ours("ES256"), "OKP": _Ours("EdDSA", "Ed25519")}


def _signed(assertion: str, jwk: dict[str, Any]) -> bool:
    try:
        jws.deserialize_compact(assertion, import_key(jwk), registry=_OF_KEY[jwk["kty"]])
    except (JoseError, ValueError):
        return False
    return True


def public_key(content: bytes) -> dict[str, Any]:
    """The public JWK in a JWK or PEM file, P-256 or Ed25519. Refused for another key, and for a private one: whoever
    registers a client has no business with it."""
    wrong = Refused(Code.UNREADABLE, Where(path="key"), "a public P-256 or Ed25519 key, as JWK or PEM")
    try:
        text = content.decode("ascii").strip()
        if text.startswith("{"):
            said = json.loads(text)
            if said.get("kty") not in _OF_KEY:
                raise wrong
            key = import_key(said)
        elif "BEGIN PUBLIC KEY" in text or "PRIVATE KEY" in text:
            key = _of_pem(text)
        else:
            raise wrong
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise wrong from None
    if not isinstance(key, ECKey | OKPKey) or key.curve_name not in ("P-256", "Ed25519"):
        raise wrong
    if key.is_private:
        raise Refused(
            Code.NOT_ALLOWED, Where(path="key"), "this is a private key: keep it, and give the public one"
        )
    public = key.as_dict(private=False)
    return {k: public[k] for k in ("kty", "crv", "x", "y") if k in public}


def _of_pem(text: str) -> Any:
    problems: list[Exception] = []
    for kind in (ECKey, OKPKey):
        try:
            return kind.import_key(text)
        except (JoseError, ValueError, TypeError) as problem:
            problems.append(problem)
    raise ValueError(str(len(problems)))


def scopes_of(scopes: Sequence[str]) -> list[str]:
    """The scopes that an option may name, each once."""
    return sorted({scope for text in scopes for scope in text.split()})

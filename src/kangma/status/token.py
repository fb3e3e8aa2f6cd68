"""A list signed: the Status List Token of draft-ietf-oauth-status-list-21, section 5, in its CWT and its JWT form.

`OpenedList` is what bytes say of themselves. Only `verify` makes a `StatusList`, and only behind the signature is the
list inflated, so that nobody but the authority can make a verifier work.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from kangma.errors import Code, Refused
from kangma.signing import cose
from kangma.signing.keys import Algorithm, PublicKey, Signer
from kangma.status import lists
from kangma.terms import Moment

MOST_CWT = 540_000  # bytes: 2^20 values of 4 bits that do not deflate
MOST_JWT = 950_000  # characters: the same, which JOSE writes in base64 twice
MOST_SUB = 256  # characters of a URI; RFC 3986 knows no others than those of ASCII
MOST_NUMBER = 2**53 - 1  # what a reader with nothing but doubles still counts exactly

# Claims of a CWT: RFC 8392, the draft's section 14.3, and ours from the private range.
SUB, EXP, IAT, STATUS_LIST, TTL, STANDS = 2, 4, 6, 65533, 65534, -65537
CWT, JWT = "application/statuslist+cwt", "statuslist+jwt"
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a list's token says. `lst` is still deflated. The last two: the newest turn in the list stands in release
    `release`, and in the log of `tree_size` leaves."""

    sub: str  # the URI that credentials name
    iat: Moment
    exp: Moment
    ttl: int  # seconds after which to look for a newer one
    bits: int
    lst: bytes
    release: int
    tree_size: int


@dataclass(frozen=True, slots=True)
class StatusList:
    """A list whose signature was verified. Made by `OpenedList.verify` and `Delta.apply`, by nothing else."""

    sub: str
    iat: Moment
    exp: Moment
    ttl: int
    bits: int
    raw: bytes
    release: int
    tree_size: int

    @property
    def size(self) -> int:
        """Indices that the list answers for."""
        return len(self.raw) * 8 // self.bits

    def value(self, index: int) -> int:
        """The status at `index`. Raises Refused (bad_number) outside the list."""
        return lists.value(self.raw, self.bits, index)

    def values(self) -> NDArray[np.uint8]:
        """All of them, (size,)."""
        return lists.unpack(self.raw, self.bits)


@dataclass(frozen=True, slots=True)
class OpenedList:
    """A token taken apart, not verified. `claims` may be looked at to find the key, and believed in nothing."""

    key_id: bytes
    claims: Claims
    _signed_by: Callable[[PublicKey], bool]

    def verify(self, key: PublicKey, *, most: int = lists.MOST_RAW) -> StatusList:
        """The list, if `key` signed it. Raises Refused: `bad_signature`, and then what `lists.inflate` refuses."""
        if not self._signed_by(key):
            raise Refused(Code.BAD_SIGNATURE)
        c = self.claims
        raw = lists.inflate(c.lst, most)
        return StatusList(c.sub, c.iat, c.exp, c.ttl, c.bits, raw, c.release, c.tree_size)


def times_and_place(claims: Claims) -> dict[int, Any]:
    """The claims that lists and deltas share, as a CWT has them. ValueError for what no reader would take."""
    if not _sound(claims):
        raise ValueError("claims of a status list")
    return {
        SUB: claims.sub,
        EXP: claims.exp,
        IAT: claims.iat,
        TTL: claims.ttl,
        STANDS: [claims.release, claims.tree_size],
    }


def to_cwt(claims: Claims, signer: Signer) -> bytes:
    """The file that is published: a COSE_Sign1 of deterministic CBOR. ValueError for claims no reader would take."""
    payload = {**times_and_place(claims), STATUS_LIST: {"bits": claims.bits, "lst": claims.lst}}
    return cose.sign1(cose.dumps(payload), signer, headers={cose.TYP: CWT})


def open_cwt(content: bytes) -> OpenedList:
    """A list in CWT form taken apart. Raises Refused: `too_many_bytes`, `bad_message`."""
    message, payload = open_typed(content, CWT, most=MOST_CWT)
    claims = shared_claims(payload, STATUS_LIST)
    inner = payload[STATUS_LIST]
    if not (
        isinstance(inner, Mapping) and inner.keys() == {"bits", "lst"} and isinstance(inner["lst"], bytes)
    ):
        _not_a_list()
    claims = replace(claims, bits=inner["bits"], lst=inner["lst"])
    if not _sound(claims):
        _not_a_list()
    return OpenedList(message.key_id, claims, message.verify)


def open_typed(content: bytes, typ: str, *, most: int) -> tuple[cose.Opened, Mapping[Any, Any]]:
    """A COSE_Sign1 of that type (RFC 9596) with exactly our headers, and the map it signs. Raises Refused."""
    message = cose.open1(content, most=most)
    if not _exactly(message.headers, {cose.ALG, cose.KID, cose.TYP}) or message.headers[cose.TYP] != typ:
        raise Refused(Code.BAD_MESSAGE, hint=f"not of type {typ}")
    payload = cose.loads(message.payload, most=most)
    if not isinstance(payload, Mapping):
        _not_a_list()
    return message, payload


def shared_claims(payload: Mapping[Any, Any], *more: int) -> Claims:
    """The claims that lists and deltas share, of a payload that has these, `more`, and no others. Raises Refused."""
    if not _exactly(payload, {SUB, EXP, IAT, TTL, STANDS, *more}):
        raise Refused(Code.BAD_MESSAGE, hint="a claim is missing or is none of ours")
    stands = payload[STANDS]
    if not (isinstance(stands, list | tuple) and len(stands) == 2):
        _not_a_list()
    claims = Claims(payload[SUB], payload[IAT], payload[EXP], payload[TTL], lists.BITS, b"", *stands)
    if not _sound(claims):
        _not_a_list()
    return claims


def to_jwt(claims: Claims, signer: Signer) -> str:
    """The same list for clients that speak JOSE: a compact JWS, ES256. ValueError as by `to_cwt`."""
    if not _sound(claims) or signer.public.algorithm is not Algorithm.ES256:
        raise ValueError("claims of a status list, and a key of P-256")
    header = {"alg": "ES256", "kid": signer.key_id.hex(), "typ": JWT}
    payload = {
        "exp": claims.exp,
        "iat": claims.iat,
        "kangma": [claims.release, claims.tree_size],
        "status_list": {"bits": claims.bits, "lst": _base64url(claims.lst)},
        "sub": claims.sub,
        "ttl": claims.ttl,
    }
    signed = ".".join(_base64url(json.dumps(x, separators=(",", ":")).encode()) for x in (header, payload))
    return f"{signed}.{_base64url(signer.sign(signed.encode()))}"


def open_jwt(content: str | bytes) -> OpenedList:
    """A list in JWT form taken apart. Raises Refused: `too_many_bytes`, `bad_message`."""
    if len(content) > MOST_JWT:
        raise Refused(Code.TOO_MANY_BYTES)
    from joserfc import jws  # noqa: PLC0415 - a verifier of CWTs does not wait for it

    registry = jws.JWSRegistry(algorithms=["ES256"])
    registry.max_payload_length = MOST_JWT
    try:
        compact = content.encode("ascii") if isinstance(content, str) else content
        message = jws.extract_compact(compact, registry=registry)
        header, payload = (_json(_bytes(part.decode("ascii"))) for part in compact.split(b".")[:2])
        _bytes(compact.split(b".")[2].decode("ascii"))
        if header.keys() != {"alg", "kid", "typ"} or header["alg"] != "ES256" or header["typ"] != JWT:
            raise ValueError
        if payload.keys() != {"exp", "iat", "kangma", "status_list", "sub", "ttl"}:
            raise ValueError
        inner = payload["status_list"]
        if inner.keys() != {"bits", "lst"}:
            raise ValueError
        times = (payload["sub"], payload["iat"], payload["exp"], payload["ttl"])
        claims = Claims(*times, inner["bits"], _bytes(inner["lst"]), *payload["kangma"])
        key_id = bytes.fromhex(header["kid"])
        if not _sound(claims) or key_id.hex() != header["kid"]:
            raise ValueError
    except Exception:
        # Whatever readers of JSON and JOSE make of hostile text: their own errors, recursion, numbers too long.
        raise Refused(Code.BAD_MESSAGE, hint="not a status list in JWT form") from None

    def signed_by(key: PublicKey) -> bool:
        from joserfc.errors import JoseError  # noqa: PLC0415
        from joserfc.jwk import ECKey  # noqa: PLC0415

        if key.algorithm is not Algorithm.ES256:
            return False
        x, y = _base64url(key.raw[1:33]), _base64url(key.raw[33:])
        try:
            es256 = ECKey.import_key({"kty": "EC", "crv": "P-256", "x": x, "y": y})
            return jws.validate_compact(message, es256, registry=registry)
        except (JoseError, ValueError):
            return False

    return OpenedList(key_id, claims, signed_by)


def _sound(c: Claims) -> bool:
    """Types (`True` is no number) and bounds."""
    numbers = (c.iat, c.exp, c.ttl, c.release, c.tree_size)
    return (
        isinstance(c.sub, str)
        and 0 < len(c.sub) <= MOST_SUB
        and c.sub.isascii()
        and c.sub.isprintable()
        and all(type(n) is int and 0 <= n <= MOST_NUMBER for n in numbers)
        and c.iat < c.exp
        and c.ttl > 0
        and type(c.bits) is int
        and c.bits in lists.WIDTHS
        and isinstance(c.lst, bytes)
    )


def _exactly(found: Mapping[Any, Any], labels: set[int]) -> bool:
    """Whether these whole numbers, and no 2.0 or True in their place, are the labels of a map."""
    return found.keys() == labels and all(type(label) is int for label in found)


def _not_a_list() -> NoReturn:
    raise Refused(Code.BAD_MESSAGE, hint="not the claims of a status list")


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """What a base64url text without padding stands for. ValueError for any other text, a second spelling of the same
    bytes among it."""
    if _BASE64URL.fullmatch(text) is None:
        raise ValueError
    content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _base64url(content) != text:
        raise ValueError
    return content


def _json(content: bytes) -> dict[str, Any]:
    """A JSON object without a name given twice. Raises whatever `json` raises."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError
        return dict(pairs)

    found = json.loads(content, object_pairs_hook=once)
    if not isinstance(found, dict):
        raise TypeError
    return found

"""A reader of sealed slots that shares no code with the writer: docs/formats/sealed.md, cbor2 and `cryptography`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

BUCKET, HEAD, SLOT, P256 = 32_768, 768, 2_000, ec.SECP256R1()


class NotOurs(Exception):
    """What is not shown."""


# RFC 9180, base mode, as its sections say ------------------------------------------------------------------------------

_KEM, _SUITE = b"KEM\x00\x10", b"HPKE\x00\x10\x00\x01\x00\x01"


def _extract(salt: bytes, suite: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def _expand(prk: bytes, suite: bytes, label: bytes, info: bytes, size: int) -> bytes:
    said = size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(prk, said + b"\x01", "sha256")[:size]  # one block is enough here


def schedule(shared: bytes, enc: bytes, pk: bytes, info: bytes) -> tuple[bytes, bytes]:
    """(key, nonce of the first message) from the raw ECDH value."""
    eae = _extract(b"", _KEM, b"eae_prk", shared)
    secret = _expand(eae, _KEM, b"shared_secret", enc + pk, 32)
    context = b"\x00" + _extract(b"", _SUITE, b"psk_id_hash", b"") + _extract(b"", _SUITE, b"info_hash", info)
    prk = _extract(secret, _SUITE, b"secret", b"")
    return _expand(prk, _SUITE, b"key", context, 16), _expand(prk, _SUITE, b"base_nonce", context, 12)


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    n = key.public_numbers()
    return b"\x04" + n.x.to_bytes(32, "big") + n.y.to_bytes(32, "big")


def sealed_to(
    pk: ec.EllipticCurvePublicKey, once: ec.EllipticCurvePrivateKey, info: bytes, aad: bytes, said: bytes
) -> bytes:
    """Encapsulated key and ciphertext; `once` is the sender's key of this one message."""
    enc = _point(once.public_key())
    key, nonce = schedule(once.exchange(ec.ECDH(), pk), enc, _point(pk), info)
    return enc + AESGCM(key).encrypt(nonce, said, aad)


def unsealed(sk: ec.EllipticCurvePrivateKey, content: bytes, info: bytes, aad: bytes = b"") -> bytes:
    enc = content[:65]
    them = ec.EllipticCurvePublicKey.from_encoded_point(P256, enc)
    key, nonce = schedule(sk.exchange(ec.ECDH(), them), enc, _point(sk.public_key()), info)
    return AESGCM(key).decrypt(nonce, content[65:], aad)


# the slot ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    begins: int
    ends: int
    path: str
    place: int
    key: bytes


def places(answer: dict[str, str], sk: ec.EllipticCurvePrivateKey, base: str) -> list[Place]:
    text = answer["sealed"]
    content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return [Place(*one) for one in cbor2.loads(unsealed(sk, content, f"KM1 sealed {base}".encode()))]


def fetched(place: Place, ranged: Callable[[str, int, int], bytes]) -> bytes:
    """The bucket in which a place is; `ranged(path, first, last)` as an HTTP range."""
    bucket = place.place // 16
    return ranged(place.path, bucket * BUCKET, bucket * BUCKET + BUCKET - 1)


def shown(
    bucket: bytes, place: Place, base: str, keys: dict[bytes, tuple[bytes, int, int]], seen: int = 0
) -> dict[str, Any]:
    """What the phone shows. `keys`: key id → point, not before, not after, of the city's status keys; `seen`: the
    highest release that was shown. NotOurs for anything else than what the city sealed for this place."""
    size = int.from_bytes(bucket[:2], "big")
    signed = cbor2.loads(bucket[2 : 2 + size])
    protected, _, payload, signature = signed.value
    headers, claims = cbor2.loads(protected), cbor2.loads(payload)
    if (
        headers.keys() != {1, 4, 16}
        or headers[16] != "application/kangma-sealed+cwt"
        or headers[4] not in keys
    ):
        raise NotOurs("no statement of the city")
    point, begins, ends = keys[headers[4]]
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    to_sign = cbor2.dumps(["Signature1", protected, b"", payload], canonical=True)
    key = ec.EllipticCurvePublicKey.from_encoded_point(P256, point)
    key.verify(utils.encode_dss_signature(r, s), to_sign, ec.ECDSA(SHA256()))
    if not begins <= claims[6] < ends or claims[2] != f"{base}/{place.path}":
        raise NotOurs("another part")
    at, hashed = place.place // 16, hashlib.sha256(b"\x00" + bucket[HEAD:]).digest()
    for level in range(8):
        beside = bucket[512 + 32 * level : 544 + 32 * level]
        pair = beside + hashed if at >> level & 1 else hashed + beside
        hashed = hashlib.sha256(b"\x01" + pair).digest()
    if hashed != claims[-65539]:
        raise NotOurs("another bucket")
    release = claims[-65537][0]
    if release < seen:
        raise NotOurs("older than what was shown")
    slot = bucket[HEAD + place.place % 16 * SLOT :][:SLOT]
    bound = f"{claims[2]} {place.place} {release}".encode()
    padded = AESGCM(place.key).decrypt(slot[:12], slot[12:], bound)
    size = int.from_bytes(padded[:2], "big")
    content = padded[2 : 2 + (size & 0x7FFF)]
    found: dict[str, Any] = json.loads(zlib.decompress(content) if size & 0x8000 else content)
    if found["release"] < release:
        raise NotOurs("older than it is signed to be")
    return found

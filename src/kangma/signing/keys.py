"""Keys: what signs, what verifies, and the key id that names both and says where it may be believed.

Pure: key files with their rights belong to `kangma.store.keyfiles`, and a `Signer` may as well be a hardware module.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kangma.errors import Code, Refused

KEY_ID = 8  # bytes
_ECDSA = ec.ECDSA(SHA256(), deterministic_signing=True)  # RFC 6979: the same bytes give the same signature
_VERIFY = ec.ECDSA(Prehashed(SHA256()))  # hashlib's digest is 1 us cheaper than the library's own
_P256 = ec.SECP256R1()


class Algorithm(IntEnum):
    """COSE algorithm identifiers (IANA registry of RFC 9053)."""

    ES256 = -7  # ECDSA on P-256 with SHA-256; a signature is r ‖ s, 64 bytes
    EDDSA = -8  # Ed25519; a signature is 64 bytes


_ES256 = Algorithm.ES256  # before Python 3.12, each look at a member of an enumeration is a call


class Environment(StrEnum):
    """Where a key may be believed. Its first letter is the first byte of the key id, so that a code made with a
    development key says so itself and never verifies in production."""

    PRODUCTION = "production"
    TEST = "test"
    DEVELOPMENT = "development"

    @property
    def letter(self) -> bytes:
        return self.value[0].encode()


@dataclass(frozen=True)
class PublicKey:
    """`raw`: the uncompressed point of SEC 1 (65 bytes, 04 ‖ x ‖ y) for ES256, 32 bytes for Ed25519."""

    algorithm: Algorithm
    raw: bytes

    @cached_property
    def _key(self) -> ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey:
        try:
            if self.algorithm is Algorithm.ES256:
                return ec.EllipticCurvePublicKey.from_encoded_point(_P256, self.raw)
            return ed25519.Ed25519PublicKey.from_public_bytes(self.raw)
        except ValueError:
            raise Refused(Code.BAD_VALUE, hint="not a public key of its algorithm") from None

    def check(self) -> PublicKey:
        """Itself. Raises Refused (bad_value) when `raw` is no point of the curve."""
        assert self._key is not None
        return self

    @classmethod
    def from_point(cls, point: bytes) -> PublicKey:
        """A P-256 key from a SEC 1 point, compressed (33 bytes) or not. Raises Refused (bad_value) off the curve."""
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(_P256, point)
        except ValueError:
            raise Refused(Code.BAD_VALUE, hint="not a point of P-256") from None
        made = cls(Algorithm.ES256, key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
        made.__dict__["_key"] = key
        return made

    @property
    def compressed(self) -> bytes:
        """The SEC 1 compressed point, 33 bytes; P-256 only."""
        return bytes([2 + (self.raw[64] & 1)]) + self.raw[1:33]

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` (64 bytes) is this key's over `message`."""
        if len(signature) != 64:
            return False
        key: Any = self._key  # of this algorithm
        try:
            if self.algorithm is _ES256:
                key.verify(_der(signature), hashlib.sha256(message).digest(), _VERIFY)
            else:
                key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def key_id(self, environment: Environment) -> bytes:
        """8 bytes: the environment's letter, then the first seven of SHA-256 over `raw`."""
        return environment.letter + hashlib.sha256(self.raw).digest()[: KEY_ID - 1]


def point_verifies(point: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the P-256 key of a SEC 1 point, compressed or not, signed `message`; False as well off the curve. For
    keys that are met once: two thirds of the work of `PublicKey.from_point` and `verifies`."""
    if len(signature) != 64:
        return False
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(_P256, point)
        key.verify(_der(signature), hashlib.sha256(message).digest(), _VERIFY)
    except (ValueError, InvalidSignature):
        return False
    return True


def _der(signature: bytes) -> bytes:
    """r ‖ s as the DER SEQUENCE of two INTEGERs (RFC 3279, 2.2.3) that the library takes."""
    r, s = signature[:32].lstrip(b"\0"), signature[32:].lstrip(b"\0")
    # An INTEGER has no needless zeros in front, and one where the first bit would say that it is negative.
    if not r or r[0] > 0x7F:
        r = b"\0" + r
    if not s or s[0] > 0x7F:
        s = b"\0" + s
    return b"\x30%c\x02%c%b\x02%c%b" % (len(r) + len(s) + 4, len(r), r, len(s), s)


class Signer(Protocol):
    """Whatever can sign: a key file, a hardware module, a process behind a socket. `sign` is deterministic, may be
    called from several threads, and raises Unavailable when it cannot answer now."""

    @property
    def public(self) -> PublicKey: ...

    @property
    def key_id(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


class KeySigner:
    """A private key held in memory. Cannot be printed."""

    def __init__(self, algorithm: Algorithm, secret: bytes, environment: Environment) -> None:
        """`secret`: 32 bytes, the scalar (big-endian) of P-256 or the seed of Ed25519. Refused when it is no key."""
        try:
            if len(secret) != 32:
                raise ValueError
            self._key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey = (
                ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
                if algorithm is Algorithm.ES256
                else ed25519.Ed25519PrivateKey.from_private_bytes(secret)
            )
        except ValueError:
            raise Refused(Code.BAD_VALUE, hint="not a private key") from None
        self._secret, self.environment = secret, environment
        form = PublicFormat.UncompressedPoint if algorithm is Algorithm.ES256 else PublicFormat.Raw
        encoding = Encoding.X962 if algorithm is Algorithm.ES256 else Encoding.Raw
        self.public = PublicKey(algorithm, self._key.public_key().public_bytes(encoding, form))
        self.key_id = self.public.key_id(environment)

    def __repr__(self) -> str:
        return f"KeySigner({self.key_id.hex()})"

    @property
    def secret(self) -> bytes:
        """The 32 bytes that `__init__` takes: for key files and nothing else."""
        return self._secret

    def sign(self, message: bytes) -> bytes:
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        r, s = decode_dss_signature(self._key.sign(message, _ECDSA))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def new_secret(algorithm: Algorithm) -> bytes:
    """A fresh private key, 32 bytes, from the cryptographic library's source of chance."""
    if algorithm is Algorithm.EDDSA:
        return ed25519.Ed25519PrivateKey.generate().private_bytes(
            Encoding.Raw, PrivateFormat.Raw, NoEncryption()
        )
    return ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32, "big")

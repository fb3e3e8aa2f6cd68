"""COSE messages (RFC 9052) in the one shape that Kangma reads and writes: tagged, deterministic CBOR, key id in the
protected header.

`Opened` is what bytes say of themselves; nothing in it is believed before `verify` returned. The algorithm comes from
the key that the id names, never from the message: a message that names another one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import cbor2

from kangma.errors import Code, Refused
from kangma.signing.keys import PublicKey, Signer

SIGN1, SIGN = 18, 98  # CBOR tags
ALG, CONTENT, KID, TYP = 1, 3, 4, 16  # header parameters: RFC 9052 and RFC 9596
MAX_DEPTH = 8


def dumps(value: object) -> bytes:
    """Deterministic CBOR (RFC 8949, 4.2.1)."""
    return cbor2.dumps(value, canonical=True)


def loads(content: bytes, *, most: int) -> Any:
    """The one CBOR item that `content` is. Maps come as dicts, arrays as lists or tuples.

    Raises Refused: `too_many_bytes` above `most`, `bad_message` for anything but one whole item in deterministic
    form: longer encodings, unsorted or duplicate keys, indefinite lengths and trailing bytes are refused with it.
    """
    if len(content) > most:
        raise Refused(Code.TOO_MANY_BYTES)
    try:
        stream = BytesIO(content)
        value = cbor2.CBORDecoder(stream, max_depth=MAX_DEPTH).decode()
        sound = stream.tell() == len(content) and dumps(value) == content
    except Exception as problem:
        # Whatever the decoder makes of hostile bytes: its own errors, overflows, dates out of range, recursion.
        raise Refused(Code.BAD_MESSAGE, hint="not deterministic CBOR") from problem
    if not sound:
        raise Refused(Code.BAD_MESSAGE, hint="not deterministic CBOR")
    return value


@dataclass(frozen=True, slots=True)
class Opened:
    """A COSE_Sign1 taken apart, not verified."""

    key_id: bytes
    headers: Mapping[int, Any]  # protected
    payload: bytes
    protected: bytes
    signature: bytes

    def verify(self, key: PublicKey) -> bool:
        """Whether `key` signed it. False as well when the message claims another algorithm than the key's."""
        if self.headers.get(ALG) != key.algorithm:
            return False
        return key.verifies(self.signature, _to_be_signed(self.protected, self.payload))


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    return dumps(["Signature1", protected, b"", payload])


def sign1(payload: bytes, signer: Signer, *, headers: Mapping[int, Any] | None = None) -> bytes:
    """A tagged COSE_Sign1 with `alg` and `kid` (and `headers`) protected and nothing unprotected."""
    protected = dumps({ALG: int(signer.public.algorithm), KID: signer.key_id, **(headers or {})})
    signature = signer.sign(_to_be_signed(protected, payload))
    return dumps(cbor2.CBORTag(SIGN1, [protected, {}, payload, signature]))


def open1(content: bytes, *, most: int) -> Opened:
    """A tagged COSE_Sign1 taken apart. Refused as by `loads`, and `bad_message` for any other shape."""
    item = loads(content, most=most)
    try:
        if not isinstance(item, cbor2.CBORTag) or item.tag != SIGN1:
            raise ValueError
        protected, unprotected, payload, signature = item.value
        headers = loads(protected, most=256)
        if not (
            isinstance(unprotected, Mapping)
            and len(unprotected) == 0
            and isinstance(payload, bytes)
            and isinstance(signature, bytes)
            and len(signature) == 64
            and isinstance(headers, Mapping)
            and isinstance(headers[KID], bytes)
        ):
            raise ValueError
    except (ValueError, TypeError, KeyError):
        raise Refused(Code.BAD_MESSAGE, hint="not a COSE_Sign1 with a protected key id") from None
    return Opened(headers[KID], headers, payload, protected, signature)

"""COSE messages (RFC 9052) in the one shape that Kangma reads and writes: tagged, deterministic CBOR, key id in the
protected header.

`Opened` is what bytes say of themselves; nothing in it is believed before `verify` returned. The algorithm comes from
the key that the id names, never from the message: a message that names another one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NamedTuple, NoReturn

import cbor2

from kangma.errors import Code, Refused
from kangma.signing.keys import PublicKey, Signer

SIGN1, SIGN = 18, 98  # CBOR tags
ALG, CONTENT, KID, TYP = 1, 3, 4, 16  # header parameters: RFC 9052 and RFC 9596
MAX_DEPTH = 8
MAX_ITEMS = 256  # of CBOR in one message, those inside of others counted; only a trust list has more
MAX_SIGNERS = 8


def dumps(value: object) -> bytes:
    """Deterministic CBOR (RFC 8949, 4.2.1). Keys of a map are put shorter ones first, as in 4.2.3; for all maps of ours
    that is also the order of their bytes, which 4.2.1 asks for."""
    return cbor2.dumps(value, canonical=True)


def loads(content: bytes, *, most: int, items: int = MAX_ITEMS) -> Any:
    """The one CBOR item that `content` is. Maps come as dicts, arrays as lists or tuples.

    Raises Refused: `too_many_bytes` above `most`, `bad_message` for anything but one whole item in deterministic
    form: longer encodings, unsorted or duplicate keys, indefinite lengths and trailing bytes are refused with it, and
    more than `items` items, which would keep a door busy.
    """
    if len(content) > most:
        raise Refused(Code.TOO_MANY_BYTES)
    if len(content) > items and _has_more_items(content, items):
        raise Refused(Code.BAD_MESSAGE, hint=f"more than {items:,} items")
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


def _has_more_items(content: bytes, most: int) -> bool:
    """Whether more than `most` items begin in `content`, those inside of others counted; strings are leapt over. For
    bytes that are no CBOR any answer will do."""
    at = items = 0
    while at < len(content) and items <= most:
        major, argument = content[at] >> 5, content[at] & 0x1F
        at += 1
        if 24 <= argument <= 27:
            width = 1 << (argument - 24)
            argument = int.from_bytes(content[at : at + width], "big")
            at += width
        if major in (2, 3):
            at += argument
        items += 1
    return items > most


def is_map(value: object, needed: Set[int], may: Set[int] = frozenset()) -> bool:
    """Whether `value` is a map with these whole numbers as keys, those of `may` or not, and no other. `true` and 1.0
    are other keys, although they equal 1 in Python."""
    return (
        isinstance(value, Mapping)
        and all(type(k) is int for k in value)
        and needed <= value.keys() <= needed | may
    )


class Opened(NamedTuple):
    """A COSE_Sign1 taken apart, not verified. A tuple, which is made in a third of a frozen dataclass's time: one is made
    for each scan."""

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
    """The Sig_structure of RFC 9052, 4.4, as `dumps` would write it: the one message that is made for each code."""
    return b"\x84\x6aSignature1%b\x40%b" % (_bstr(protected), _bstr(payload))


_BSTR = [bytes((0x40 | n,)) if n < 24 else bytes((0x58, n)) for n in range(256)]  # heads of byte strings


def _bstr(content: bytes) -> bytes:
    return _BSTR[len(content)] + content if len(content) < 256 else dumps(content)


def sign1(payload: bytes, signer: Signer, *, headers: Mapping[int, Any] | None = None) -> bytes:
    """A tagged COSE_Sign1 with `alg` and `kid` (and `headers`) protected and nothing unprotected."""
    protected = dumps({ALG: int(signer.public.algorithm), KID: signer.key_id, **(headers or {})})
    signature = signer.sign(_to_be_signed(protected, payload))
    return dumps(cbor2.CBORTag(SIGN1, [protected, {}, payload, signature]))


def open1(content: bytes, *, most: int) -> Opened:
    """A tagged COSE_Sign1 taken apart. Refused as by `loads`, and `bad_message` for any other shape."""
    opened, end = first1(content, most=most)
    if end != len(content):
        _not_sign1()
    return opened


_USUAL = (
    b"\xd2\x84\x4d\xa2\x01\x26\x04\x48"  # tag 18, array of 4, {1: -7, 4: 8 bytes}: how all credentials begin
)


def first1(content: bytes, *, most: int) -> tuple[Opened, int]:
    """The COSE_Sign1 at the head of a CBOR sequence (RFC 8742), and how many bytes it has. Refused as by `open1`.

    Reads the one shape there is, four items in their shortest form, and asks the CBOR decoder for unusual headers
    only: a tenth of the time of decoding, encoding and comparing.
    """
    if len(content) > most:
        raise Refused(Code.TOO_MANY_BYTES)
    try:
        if content.startswith(_USUAL):
            protected, at = content[3:16], 16
            key_id = protected[5:]
            headers: Mapping[int, Any] = {ALG: -7, KID: key_id}
        else:
            if content[:2] != b"\xd2\x84":  # tag 18, array of 4
                raise ValueError
            protected, at = _bytes_at(content, 2)
            headers = loads(protected, most=256)
            key_id = headers[KID]
            if not (isinstance(headers, Mapping) and isinstance(key_id, bytes)):
                raise ValueError
        if content[at] != 0xA0:  # nothing unprotected
            raise ValueError
        payload, at = _bytes_at(content, at + 1)
        end = at + 66
        if content[at : at + 2] != b"\x58\x40" or end > len(content):  # a signature has 64 bytes
            raise ValueError
    except (ValueError, TypeError, KeyError, IndexError):
        _not_sign1()
    return Opened(key_id, headers, payload, protected, content[at + 2 : end]), end


def _bytes_at(content: bytes, at: int) -> tuple[bytes, int]:
    """The byte string that begins at `at`, and where it ends. ValueError unless its length has its shortest form and
    it is all there, IndexError where nothing is."""
    head, at = content[at], at + 1
    if head == 0x58:
        n, at, least = content[at], at + 1, 24
    elif 0x40 <= head < 0x58:
        n, least = head - 0x40, 0
    elif head == 0x59:
        n, at, least = int.from_bytes(content[at : at + 2], "big"), at + 2, 1 << 8
    elif head == 0x5A:
        n, at, least = int.from_bytes(content[at : at + 4], "big"), at + 4, 1 << 16
    else:
        raise ValueError
    end = at + n
    if n < least or end > len(content):
        raise ValueError
    return content[at:end], end


def _not_sign1() -> NoReturn:
    raise Refused(Code.BAD_MESSAGE, hint="not a COSE_Sign1 with a protected key id")


@dataclass(frozen=True, slots=True)
class Signature:
    """One COSE_Signature of a message with several, not verified."""

    key_id: bytes
    algorithm: int
    protected: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class OpenedMany:
    """A COSE_Sign taken apart, not verified. `signatures` are in the order of their key ids, one a key."""

    headers: Mapping[int, Any]  # protected, of the body
    payload: bytes
    protected: bytes
    signatures: tuple[Signature, ...]

    def signed_by(self, keys: Mapping[bytes, PublicKey]) -> frozenset[bytes]:
        """The ids of those of `keys` that signed it. Signatures by anybody else count for nothing and harm nothing."""
        return frozenset(
            s.key_id
            for s in self.signatures
            if (key := keys.get(s.key_id)) is not None
            and s.algorithm == key.algorithm
            and key.verifies(s.signature, _signed_by_one(self.protected, s.protected, self.payload))
        )


def _signed_by_one(body: bytes, signer: bytes, payload: bytes) -> bytes:
    """The Sig_structure of one signer among several (RFC 9052, 4.4)."""
    return dumps(["Signature", body, signer, b"", payload])


def sign_many(payload: bytes, signers: Sequence[Signer], *, headers: Mapping[int, Any]) -> bytes:
    """A tagged COSE_Sign (RFC 9052, 4.1) with `headers` protected in its body, and one signature by each signer with
    `alg` and `kid` protected. The order of signers makes no difference."""
    return _several(OpenedMany(headers, payload, dumps(dict(headers)), ()), signers)


def cosign(opened: OpenedMany, signers: Sequence[Signer]) -> bytes:
    """The same message with these signatures added; one that is there already is made anew."""
    return _several(opened, signers)


def _several(opened: OpenedMany, signers: Sequence[Signer]) -> bytes:
    signatures = {s.key_id: [s.protected, {}, s.signature] for s in opened.signatures}
    for signer in signers:
        protected = dumps({ALG: int(signer.public.algorithm), KID: signer.key_id})
        message = _signed_by_one(opened.protected, protected, opened.payload)
        signatures[signer.key_id] = [protected, {}, signer.sign(message)]
    if not 1 <= len(signatures) <= MAX_SIGNERS:
        raise Refused(Code.BAD_VALUE, hint=f"a message is signed by 1 to {MAX_SIGNERS} keys")
    ordered = [signatures[key_id] for key_id in sorted(signatures)]
    return dumps(cbor2.CBORTag(SIGN, [opened.protected, {}, opened.payload, ordered]))


def open_many(content: bytes, *, most: int) -> OpenedMany:
    """A tagged COSE_Sign taken apart. Refused as by `loads`, and `bad_message` for any other shape: no protected
    header, anything unprotected, no signature or more than MAX_SIGNERS, two by one key, or not in order of key ids."""
    item = loads(content, most=most)
    try:
        if not isinstance(item, cbor2.CBORTag) or item.tag != SIGN:
            raise ValueError
        protected, unprotected, payload, several = item.value
        headers = loads(protected, most=256)
        if not (
            isinstance(headers, Mapping)
            and is_map(unprotected, set())
            and isinstance(payload, bytes)
            and isinstance(several, (list, tuple))
            and 1 <= len(several) <= MAX_SIGNERS
        ):
            raise ValueError
        signatures = tuple(_opened_signature(*one) for one in several)
        ids = [s.key_id for s in signatures]
        if ids != sorted(set(ids)):
            raise ValueError
    except (ValueError, TypeError, KeyError):
        raise Refused(Code.BAD_MESSAGE, hint="not a COSE_Sign with protected key ids in order") from None
    return OpenedMany(headers, payload, protected, signatures)


def _opened_signature(protected: Any, unprotected: Any, signature: Any) -> Signature:
    headers = loads(protected, most=64)
    if not (
        is_map(headers, {ALG, KID})
        and type(headers[ALG]) is int
        and isinstance(headers[KID], bytes)
        and is_map(unprotected, set())
        and isinstance(signature, bytes)
        and len(signature) == 64
    ):
        raise ValueError
    return Signature(headers[KID], headers[ALG], protected, signature)

"""What a credential says: a closed set of CWT claims (RFC 8392) in the one order and the one length of deterministic
CBOR.

No colour, no document number, no birth date, no reason. The colour is the status that `uri` and `index` point at.
"""

from __future__ import annotations

import re
import unicodedata
from enum import IntEnum
from typing import NamedTuple, NoReturn

from kangma.errors import Code, Refused
from kangma.terms import Moment

ISS, EXP, IAT, CNF, STATUS, ABOUT = 1, 4, 6, 8, 65535, -65537  # 8: RFC 8747; 65535: Token Status List
MOST_BYTES, MOST_URI, MOST_MASK = 512, 128, 24
MOST_INDEX = 2**32
FIRST, END = 1 << 16, 1 << 32  # moments that have exactly four bytes: from 1970 to 2106
#: The `cnf` claim up to the x of its COSE_Key (RFC 9053, 7.1.1): {8: {1: {1: 2, -1: 1, -2: x, -3: sign of y}}}.
_KEY = b"\x08\xa1\x01\xa4\x01\x02\x20\x01\x21\x58\x20"


class Kind(IntEnum):
    """How the credential is carried."""

    PHONE = 1  # shown by its holder, whose phone proves each showing
    PAPER = 2  # printed; proves nothing about who shows it
    PROXY = 3  # shown on somebody else's phone: a child's, an old parent's


_KINDS = {bytes((kind,)): kind for kind in Kind}
_PAPER = bytes((Kind.PAPER,))


#: A payload: what `encode` writes, with each length beside the text that it must fit.
_FORM = re.compile(
    rb"[\xa5\xa6]\x01([\x61-\x70])([a-z0-9](?:[a-z0-9-]{0,14}[a-z0-9])?)\x04\x1a(.{4})\x06\x1a(.{4})"
    rb"(?:\x08\xa1\x01\xa4\x01\x02\x20\x01\x21\x58\x20(.{32})\x22([\xf4\xf5]))?"
    rb"\x19\xff\xff\xa1\x6bstatus_list\xa2\x63idx([\x00-\x17]|\x18.|\x19..|\x1a.{4})"
    rb"\x63uri([\x61-\x77]|\x78[\x18-\x80])([!-~]{1,128})"
    rb"\x3a\x00\x01\x00\x00\x82([\x01-\x03])([\x61-\x77]|\x78\x18)(.{1,24})",
    re.DOTALL,
).fullmatch
_LEAST = {
    1: 0,
    2: 24,
    3: 1 << 8,
    5: 1 << 16,
}  # bytes of an index with its head → from where this is the shortest form


class Claims(NamedTuple):
    """Valid in [issued, expires). `holder` is the SEC 1 compressed point (33 bytes) of the key that proves each showing,
    None for paper and only for paper.

    Whoever makes one may still be wrong: what no credential may say, `encode` refuses to write and `decode` to read. A
    tuple, which is made in a third of a frozen dataclass's time: one is made for each scan (decision 0158).
    """

    issuer: str
    issued: Moment
    expires: Moment
    uri: str
    index: int  # type: ignore[assignment]  # hides `tuple.index`, which nobody asks of claims
    kind: Kind
    mask: str
    holder: bytes | None = None


def _shown(mask: str) -> bool:
    """Whether nothing in it controls how other text is shown: no control or format characters, no line breaks."""
    return not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for c in mask)


def encode(claims: Claims) -> bytes:
    """The payload, byte for byte what deterministic CBOR (RFC 8949, 4.2.1) makes of the claims.

    ValueError for what no credential may say: what `decode` would not read again.
    """
    holder = claims.holder
    try:
        payload = (
            b"%b\x01%b\x04\x1a%b\x06\x1a%b%b\x19\xff\xff\xa1\x6bstatus_list\xa2\x63idx%b\x63uri%b%b%c%b"
            % (
                b"\xa5" if holder is None else b"\xa6",
                _text(claims.issuer),
                claims.expires.to_bytes(4, "big"),
                claims.issued.to_bytes(4, "big"),
                b""
                if holder is None
                else b"%b%b%b" % (_KEY, holder[1:], b"\x22\xf5" if holder[0] == 3 else b"\x22\xf4"),
                _head(0x00, claims.index),
                _text(claims.uri),
                b"\x3a\x00\x01\x00\x00\x82",
                claims.kind,
                _text(claims.mask),
            )
        )
        same = decode(payload) == claims
    except (ValueError, OverflowError, Refused):  # surrogates, numbers of more than four bytes, another form
        same = False
    if not same:
        raise ValueError("not claims of a credential")
    return payload


def _text(text: str) -> bytes:
    content = text.encode()
    return _head(0x60, len(content)) + content


def _head(major: int, n: int) -> bytes:
    """The shortest head of a CBOR item; `n` below 2^32."""
    if n < 24:
        return bytes((major | n,))
    size = 1 if n < 1 << 8 else 2 if n < 1 << 16 else 4
    return bytes((major | 23 + size.bit_length(),)) + n.to_bytes(size, "big")


_TEXT_HEADS = [_head(0x60, n) for n in range(MOST_URI + 1)]


def decode(payload: bytes) -> Claims:
    """The claims of a payload. Raises Refused: `too_many_bytes`, else `bad_message` for everything but the bytes that
    `encode` would make: a missing, further or repeated claim, another type or order, a longer form of a number.

    What has one form needs no CBOR decoder: the form is an expression, and few things are left to compare.
    """
    if len(payload) > MOST_BYTES:
        raise Refused(Code.TOO_MANY_BYTES)
    found = _FORM(payload)
    if found is None:
        _not_claims()
    issuer_head, issuer, expires, issued, x, sign, index, uri_head, uri, kind, mask_head, mask = (
        found.groups()
    )
    if not (
        issuer_head == _TEXT_HEADS[len(issuer)]
        and uri_head == _TEXT_HEADS[len(uri)]
        and mask_head == _TEXT_HEADS[len(mask)]
        and (x is None) == (kind == _PAPER) == (payload[0] == 0xA5)
    ):
        _not_claims()
    n = int.from_bytes(index if len(index) == 1 else index[1:], "big")
    begins, ends = int.from_bytes(issued, "big"), int.from_bytes(expires, "big")
    try:
        shown = mask.decode()
    except ValueError:
        _not_claims()
    if n < _LEAST[len(index)] or not FIRST <= begins < ends or not (shown.isprintable() or _shown(shown)):
        _not_claims()
    holder = None if x is None else (b"\x03" if sign == b"\xf5" else b"\x02") + x
    return Claims(issuer.decode(), begins, ends, uri.decode(), n, _KINDS[kind], shown, holder)


def _not_claims() -> NoReturn:
    raise Refused(Code.BAD_MESSAGE, hint="not claims of a credential")

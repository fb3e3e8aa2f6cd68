"""The text in the QR: `KM1:`, then base45 of the content.

The first byte of the content says its form: 0x00 as it is, 0x01 deflated (RFC 1951) against a fixed dictionary of what
stands in every credential. Keys and signatures do not shrink; without the dictionary nothing would be won.
"""

from __future__ import annotations

import zlib

from kangma.credential import base45
from kangma.errors import Code, Refused

PREFIX = "KM1:"
MOST_TEXT = 1_200  # characters; more is no QR code but an attempt to keep a door busy
MOST_INFLATED = 2_048  # bytes; a text of 1,200 characters could otherwise unfold to 800 kB
PLAIN, DEFLATED = 0, 1

#: What deflate may point back to. Part of the format: it never changes under `KM1:`.
DICTIONARY = (
    b"\x19\xff\xff\xa1kstatus_list\xa2cidx\x1a\x00\x0fcurix8https://.gov.cn/status/x205"
    b":\x00\x01\x00\x00\x83\x82\x01X@\x82\x1a\x03\xd2\x84M\xa2\x01&\x04H\xa0X\xb1\xa6\x01ecn-"
    b"\x04\x1ab\x06\x1ab\x08\xa1\x01\xa4\x01\x02 \x01!X \x22\xf5"
)


def pack(content: bytes) -> str:
    """The text of `content`, deflated when that makes it shorter. ValueError when no verifier would read it."""
    if len(content) > MOST_INFLATED:
        raise ValueError("more than a code may hold")
    press = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=DICTIONARY)
    pressed = press.compress(content) + press.flush()
    small = len(pressed) < len(content)
    text = PREFIX + base45.encode(bytes([DEFLATED]) + pressed if small else bytes([PLAIN]) + content)
    if len(text) > MOST_TEXT:
        raise ValueError("more than a code may hold")
    return text


def unpack(text: str) -> bytes:
    """The content that a text carries; any letter case but ours is another text.

    Raises Refused: `too_many_bytes` above MOST_TEXT, `unreadable` without the prefix or of an unknown form or with a
    damaged stream, `bad_value` for bad base45, `inflates_too_much` above MOST_INFLATED.
    """
    if len(text) > MOST_TEXT:
        raise Refused(Code.TOO_MANY_BYTES)
    if not text.startswith(PREFIX):
        raise Refused(Code.UNREADABLE, hint="not a Kangma code")
    content = base45.decode(text[len(PREFIX) :])
    form = content[0] if content else None
    if form == PLAIN:
        return content[1:]
    if form != DEFLATED:
        raise Refused(Code.UNREADABLE, hint="not a Kangma code")
    stream = zlib.decompressobj(-15, DICTIONARY)
    try:
        found = stream.decompress(content[1:], MOST_INFLATED + 1)
    except zlib.error:
        raise Refused(Code.UNREADABLE, hint="a damaged stream") from None
    if len(found) > MOST_INFLATED:
        raise Refused(Code.INFLATES_TOO_MUCH)
    if not stream.eof or stream.unused_data:
        raise Refused(Code.UNREADABLE, hint="a damaged stream")
    return found

"""Base45 (RFC 9285): bytes as the 45 characters that a QR code packs at 5.5 bits each.

Strict in both directions: one text for each byte string, and no other text is read. Decoding works on all groups of
three characters at once, as lanes of one long integer: the loop over groups runs in C.
"""

from __future__ import annotations

from functools import lru_cache

from kangma.errors import Code, Refused

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_LETTERS = ALPHABET.encode()
_NONE = 255
_DIGITS = bytes(_LETTERS.find(bytes([c])) % 256 for c in range(256))  # character → digit, _NONE for others
_PAIRS = [ALPHABET[n % 45] + ALPHABET[n // 45] for n in range(45 * 45)]  # low digit first


def encode(content: bytes) -> str:
    """Two bytes become three characters, a last single byte two; least significant first (RFC 9285, 4)."""
    words = (int.from_bytes(content[i : i + 2], "big") for i in range(0, len(content) - 1, 2))
    text = "".join(_PAIRS[n % 2025] + ALPHABET[n // 2025] for n in words)
    return text + (_PAIRS[content[-1]] if len(content) % 2 else "")


def decode(text: str) -> bytes:
    """The bytes that encode to exactly `text`.

    Raises Refused (bad_value): a character outside the alphabet, a length that no bytes have, a group above 65,535 or
    a last pair above 255.
    """
    try:
        letters = text.encode("ascii")
    except UnicodeEncodeError:
        raise Refused(Code.BAD_VALUE, hint="not base45") from None
    groups, rest = divmod(len(letters), 3)
    digits = letters.translate(_DIGITS)
    if rest == 1 or _NONE in digits:
        raise Refused(Code.BAD_VALUE, hint="not base45")
    # Each group is one lane of three bytes, big-endian: a + 45 b + 2025 c is below 2^17 and never reaches the next. What
    # stands above its 16 bits is one bit, and may not be there.
    end = 3 * groups
    lowest, above = _lanes(groups)
    abc = int.from_bytes(digits[:end], "big")
    values = (abc >> 16 & lowest) + 45 * (abc >> 8 & lowest) + 2025 * (abc & lowest)
    if values & above:
        raise Refused(Code.BAD_VALUE, hint="not base45")
    found = bytearray(values.to_bytes(end, "big"))
    del found[::3]
    if rest:
        last = digits[end] + 45 * digits[end + 1]
        if last > 255:
            raise Refused(Code.BAD_VALUE, hint="not base45")
        found.append(last)
    return bytes(found)


@lru_cache(maxsize=1024)
def _lanes(groups: int) -> tuple[int, int]:
    """Of so many three-byte lanes: the lowest byte of each; bit 16 of each."""
    return int.from_bytes(b"\0\0\xff" * groups, "big"), int.from_bytes(b"\1\0\0" * groups, "big")

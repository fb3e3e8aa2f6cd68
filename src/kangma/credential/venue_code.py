"""The rotating code of a door, and the token by which its device asks for its counters: docs/formats/venue-code.md.

A code is a TOTP of RFC 6238 (SHA-256, eight digits, a new one each minute) under the venue's own key. The device draws it
with no network; who holds the key can tell of any minute, later too, which code was the right one.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from kangma.errors import Code, Refused, Where
from kangma.terms import Moment

STEP = 60  # seconds that a code stands
KEY_BYTES = 32
_DIGITS = 8
_IN_TEXT = re.compile(r"in\.([0-9]{8})\.([0-9]{1,10})\.([0-9]{8})", re.ASCII)
_TOKEN = re.compile(r"kv1\.([0-9]{8})\.([0-9]{1,10})\.([0-9a-f]{64})", re.ASCII)
MOST_TEXT = 300  # characters of a code's text


def minute_of(at: Moment) -> int:
    """The step in which a moment lies: whole minutes since 1970."""
    return at // STEP


def code_at(key: bytes, minute: int) -> str:
    """Eight digits. RFC 4226, 5.3 (dynamic truncation), over RFC 6238, 4.2, with T0 = 0 and X = 60."""
    said = hmac.digest(key, minute.to_bytes(8, "big"), sha256)
    at = said[-1] & 0xF
    number = int.from_bytes(said[at : at + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}d}"


def same(one: str, other: str) -> bool:
    """Whether two codes are one; the time says nothing about where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


# the number of a venue ----------------------------------------------------------------------------------------------


def check_digit(digits: str) -> str:
    """The check digit of ISO/IEC 7064, MOD 11,10: one wrong digit is always noticed."""
    left = 10
    for digit in digits:
        left = (left + int(digit)) % 10 or 10
        left = left * 2 % 11
    return str((11 - left) % 10)


def is_number(text: str) -> bool:
    """Whether it is the number of some venue: eight digits of which the last checks the others."""
    return re.fullmatch(r"[0-9]{8}", text, re.ASCII) is not None and check_digit(text[:-1]) == text[-1]


def new_number() -> str:
    """A number by chance: nobody learns from one how many there are."""
    digits = f"{secrets.randbelow(9_000_000) + 1_000_000}"
    return digits + check_digit(digits)


# what a door shows ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scan:
    """A code as a phone saw or typed it."""

    venue: str
    minute: int
    code: str


def text_of(base: str, scan: Scan) -> str:
    """The text of a door's QR: an address of the city's page, so that any camera opens it. What follows `#` is sent to
    nobody."""
    return f"{base}/#in.{scan.venue}.{scan.minute}.{scan.code}"


def scan_of(text: str, base: str | None = None) -> Scan:
    """The scan in a QR's text. Refused: too_many_bytes, bad_value (none of a door, or a digit is wrong), unknown_venue
    (of another city than `base`)."""
    if len(text) > MOST_TEXT:
        raise Refused(Code.TOO_MANY_BYTES, hint=f"at most {MOST_TEXT} characters")
    address, _, inside = text.partition("#")
    found = _IN_TEXT.fullmatch(inside)
    if found is None or urlsplit(address).scheme not in ("http", "https") or not is_number(found[1]):
        raise Refused(Code.BAD_VALUE, Where(path="text"), "not the code of a door")
    if base is not None and address.rstrip("/") != base:
        raise Refused(Code.UNKNOWN_VENUE, hint="a door of another city")
    return Scan(found[1], int(found[2]), found[3])


# what a venue's device holds --------------------------------------------------------------------------------------------


def key_text(venue: str, key: bytes) -> str:
    """The key as it is handed to a venue's device, once."""
    return f"KV1.{venue}.{key.hex()}"


def token_at(venue: str, key: bytes, minute: int) -> str:
    """What the device sends to be known as the venue's: good for this minute and its neighbours."""
    said = hmac.digest(key, f"KM1 venue {venue} {minute}".encode(), sha256)
    return f"kv1.{venue}.{minute}.{said.hex()}"


def token_of(text: str) -> tuple[str, int] | None:
    """(venue, minute) that a text claims to be a token of; whether it is one, `token_at` says. None for other texts."""
    found = _TOKEN.fullmatch(text)
    return None if found is None else (found[1], int(found[2]))

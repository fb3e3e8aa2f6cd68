"""One slot: an answer padded to one size and encrypted under a key that one phone and the city have for one local day.

Whoever looks at a slot sees 2,000 bytes of chance, whether anybody has it or not. Key and place are derived from the
secret of the day's family; when that is destroyed, nothing that was ever published under it can be read again, by
nobody. docs/formats/sealed.md is the format byte by byte.
"""

from __future__ import annotations

import hmac
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from kangma.credential.index import Permutation
from kangma.errors import Code, Refused
from kangma.signing import cose
from kangma.status.lists import inflate
from kangma.terms import Day, Moment

PLACES = 4_096  # in one part: 256 buckets of 16
SLOT = 2_000  # bytes
NONCE, TAG, KEY = 12, 16, 16
_ROOM = SLOT - NONCE - TAG
MOST = _ROOM - 2  # bytes of an answer, deflated where that is needed
_DEFLATED = 0x8000
MOST_ANSWER = 32_768  # bytes that an answer may inflate to
SECRET = 32
#: How a phone is told its places: RFC 9180, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, base mode.
SUITE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
MOST_TOLD = 4_096


#: A part's path in the public folder: the family's day, what tells it from others of that day, number of the part.
PATH = re.compile(r"sealed/(\d{1,6})(?:\.\d{1,4})?/\d{1,5}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Family:
    """The slots of one local day for numbers `first` up to `first + parts * PLACES`, laid down by one secret. `name` is
    the day, and `.1`, `.2` … behind it when more phones came than the first had room for."""

    name: str
    day: Day
    first: int
    parts: int
    secret: bytes

    @property
    def capacity(self) -> int:
        return self.parts * PLACES

    def __contains__(self, number: int) -> bool:
        return self.first <= number < self.first + self.capacity

    def path(self, part: int) -> str:
        """Of a part in the public folder, and behind the city's base address."""
        return f"sealed/{self.name}/{part}"

    def permutation(self) -> Permutation:
        return Permutation(self._drawn(b"places"), self.name, self.capacity)

    def key(self, number: int) -> bytes:
        """The key of this number's slot, 16 bytes."""
        return self._drawn(b"slot %d" % number)[:KEY]

    def _drawn(self, what: bytes) -> bytes:
        return hmac.digest(self.secret, b"KM1 sealed " + self.name.encode() + b" " + what, "sha256")

    def __repr__(self) -> str:
        return f"Family({self.name})"


def about(sub: str, place: int, release: int) -> bytes:
    """What is authenticated with a slot and not in it: whose part, which of its places, as at which release."""
    return f"{sub} {place} {release}".encode()


def seal(answer: bytes, key: bytes, nonce: bytes, bound: bytes) -> bytes:
    """A slot with this answer. `nonce`: 12 bytes of chance, never used twice with a key. ValueError for a longer one."""
    return nonce + AESGCM(key).encrypt(nonce, _padded(answer), bound)


def open_slot(slot: bytes, key: bytes, bound: bytes) -> bytes:
    """The answer. Raises Refused: `bad_signature` for another key, place, release or any changed byte; `bad_message`,
    `inflates_too_much` for what nobody sealed so."""
    if len(slot) != SLOT:
        raise Refused(Code.BAD_MESSAGE, hint="not a slot")
    try:
        padded = AESGCM(key).decrypt(slot[:NONCE], slot[NONCE:], bound)
    except InvalidTag:
        raise Refused(Code.BAD_SIGNATURE, hint="sealed for another, or changed") from None
    said = int.from_bytes(padded[:2], "big")
    length = said & ~_DEFLATED
    if length > MOST or any(padded[2 + length :]):
        raise Refused(Code.BAD_MESSAGE, hint="not a padded answer")
    content = padded[2 : 2 + length]
    return inflate(content, MOST_ANSWER) if said & _DEFLATED else content


def _padded(answer: bytes) -> bytes:
    said = len(answer)
    if said > MOST:
        answer = zlib.compress(answer, 9)
        said = len(answer) | _DEFLATED
    if len(answer) > MOST:
        raise ValueError("an answer that does not fit its slot")
    return (said.to_bytes(2, "big") + answer).ljust(_ROOM, b"\0")


def fits(answer: bytes) -> bytes:
    """`answer`, or, where even deflated it is too long, the same with fewer holds: the lightest, which stand last, are
    left out, and `more_holds` says how many. ValueError when none of it fits."""
    said: dict[str, Any] | None = None
    kept = 0
    while len(answer) > MOST and len(zlib.compress(answer, 9)) > MOST:
        if said is None:
            said = json.loads(answer)
            kept = len(said["holds"])
        if not kept:
            raise ValueError("an answer without holds that does not fit its slot")
        kept -= 1
        left = said.get("more_holds", 0) + len(said["holds"]) - kept
        shorter = said | {"holds": said["holds"][:kept], "more_holds": left}
        answer = json.dumps(shorter, ensure_ascii=False, separators=(",", ":")).encode()
    return answer


# what a phone is told ahead ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """Where a phone finds its slot in [begins, ends), and the key to it."""

    begins: Moment
    ends: Moment
    path: str
    place: int
    key: bytes

    def __repr__(self) -> str:
        return f"Told({self.path})"


def tell(several: Sequence[Told], phone: ec.EllipticCurvePublicKey, base: str) -> bytes:
    """The days' places and keys for one phone: encapsulated key (65 bytes), ciphertext."""
    said = cose.dumps([[t.begins, t.ends, t.path, t.place, t.key] for t in several])
    return SUITE.encrypt(said, phone, info=info(base))


def info(base: str) -> bytes:
    """What HPKE binds: this city, this purpose."""
    return f"KM1 sealed {base}".encode()


def told(content: bytes, phone: ec.EllipticCurvePrivateKey, base: str) -> list[Told]:
    """What `tell` said. Raises Refused: `bad_signature` for another phone's or another city's, `bad_message`."""
    try:
        said = SUITE.decrypt(content, phone, info=info(base))
    except (InvalidTag, ValueError):
        raise Refused(Code.BAD_SIGNATURE, hint="told to another phone") from None
    found = cose.loads(said, most=MOST_TOLD)
    try:
        return [Told(int(b), int(e), str(path), int(n), bytes(key)) for b, e, path, n, key in found]
    except (TypeError, ValueError):
        raise Refused(Code.BAD_MESSAGE, hint="not places of slots") from None

"""A resident's token: 26 bytes that are checked without looking anything up but one number in memory.

slot (4 bytes, big-endian) ‖ token turn (2) ‖ expires (4, seconds since 1970) ‖ BLAKE2s over these ten bytes, keyed, 16
bytes; as base64url without padding, 35 characters. Whoever revokes raises the slot's turn, and every token of the turn
before it is over.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from hashlib import blake2s

from kangma.store.slots import TokenTurns
from kangma.terms import DAY, Moment

LIVES = 30 * DAY
LENGTH = 35
_BODY = struct.Struct(">IHI")
_TAG = 16
_PURPOSE = b"KMtoken1"


class Tokens:
    """Makes and checks them. It can be neither printed nor pickled."""

    __slots__ = ("_key", "_turns")

    def __init__(self, key: bytes, turns: TokenTurns) -> None:
        self._key, self._turns = key, turns

    def make(self, slot: int, turn: int, *, now: Moment) -> tuple[str, Moment]:
        """A token and when it expires."""
        expires = now + LIVES
        said = _BODY.pack(slot, turn, expires)
        tag = blake2s(said, digest_size=_TAG, key=self._key, person=_PURPOSE).digest()
        return base64.urlsafe_b64encode(said + tag).rstrip(b"=").decode(), expires

    def slot_of(self, token: str, *, now: Moment) -> int | None:
        """The slot that a token is good for; None for anything else, whatever is wrong with it."""
        if len(token) != LENGTH:
            return None
        try:
            content = base64.b64decode(token + "=", altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        said = content[: _BODY.size]
        tag = blake2s(said, digest_size=_TAG, key=self._key, person=_PURPOSE).digest()
        if not hmac.compare_digest(tag, content[_BODY.size :]):
            return None
        slot, turn, expires = _BODY.unpack(said)
        return slot if now < expires and turn and turn == self._turns.of(slot) else None

    def __repr__(self) -> str:
        return "Tokens(…)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a key does not travel")

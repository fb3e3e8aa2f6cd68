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
#: base64url as base64; the other spelling of these two becomes what is no base64.
_PLAIN = bytes.maketrans(b"-_+/", b"+/??")


class Tokens:
    """Makes and checks them. It can be neither printed nor pickled."""

    __slots__ = ("_keyed", "_turns")

    def __init__(self, key: bytes, turns: TokenTurns) -> None:
        self._turns = turns
        self._keyed = blake2s(digest_size=_TAG, key=key, person=_PURPOSE)

    def make(self, slot: int, turn: int, *, now: Moment) -> tuple[str, Moment]:
        """A token and when it expires."""
        expires = now + LIVES
        said = _BODY.pack(slot, turn, expires)
        return base64.urlsafe_b64encode(said + self._tag(said)).rstrip(b"=").decode(), expires

    def _tag(self, said: bytes) -> bytes:
        keyed = self._keyed.copy()  # the key's block is hashed once for all
        keyed.update(said)
        return keyed.digest()

    def slot_of(self, token: str, *, now: Moment) -> int | None:
        """The slot that a token is good for; None for anything else, whatever is wrong with it."""
        return self.slot_in(token.encode(), now=now)

    def slot_in(self, token: bytes, *, now: Moment) -> int | None:
        """The same for the bytes of a header."""
        if len(token) != LENGTH:
            return None
        try:
            content = binascii.a2b_base64(token.translate(_PLAIN) + b"=", strict_mode=True)
        except binascii.Error:
            return None
        said = content[: _BODY.size]
        if not hmac.compare_digest(self._tag(said), content[_BODY.size :]):
            return None
        slot, turn, expires = _BODY.unpack(said)
        return slot if now < expires and turn and turn == self._turns.of(slot) else None

    def __repr__(self) -> str:
        return "Tokens(…)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a key does not travel")

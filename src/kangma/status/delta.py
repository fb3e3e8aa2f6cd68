"""What changed between two versions of a list, signed as the list is: for a verifier that holds the one before.

A delta names its base by time and digest and its result by digest, so that whoever applies it holds the same bytes as
whoever fetched the whole list, or is refused and fetches it.

The changes are three streams of bits, each filled up to a whole byte with zeros, lowest bit of a byte first: of each
gap between changed indices the lowest k bits; the rest of each gap, in unary; the new value of each, in unary as its
place among the new values, the most frequent first. The first two together are Golomb-Rice coding with its parts laid
apart, so that NumPy reads a stream at once (decision 0061).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from kangma.errors import Code, Refused
from kangma.signing import cose
from kangma.signing.keys import PublicKey, Signer
from kangma.status import lists
from kangma.status.token import Claims, StatusList, open_typed, shared_claims, times_and_place
from kangma.terms import Moment

CHANGES = -65538  # the claim
CWT = "application/kangma-statusdelta+cwt"
MOST_CHANGES = 2**18  # bytes
MOST_CWT = MOST_CHANGES + 1_000  # bytes
MOST_LOW = 24  # bits of a gap that are not in unary


@dataclass(frozen=True, slots=True)
class Delta:
    """A delta whose signature was verified. Made by `OpenedDelta.verify`, by nothing else."""

    claims: Claims  # of the result; `bits` and `lst` mean nothing here
    base_iat: Moment
    base: bytes  # SHA-256 of the raw bytes before
    result: bytes  # and behind
    changes: bytes

    def apply(self, base: StatusList) -> StatusList:
        """The list that `base` becomes.

        Raises Refused: `wrong_base` when it belongs to another list or version, or leads elsewhere than it says;
        `bad_message` when the changes are no changes of such a list.
        """
        c = self.claims
        if (base.sub, base.iat) != (c.sub, self.base_iat) or lists.digest(base.raw) != self.base:
            raise Refused(Code.WRONG_BASE)
        indices, new = decode_changes(self.changes, base.size, base.bits)
        values = base.values()
        values[indices] = new
        raw = lists.pack(values, base.bits)
        if lists.digest(raw) != self.result:
            raise Refused(Code.WRONG_BASE, hint="leads to another result than it says")
        return StatusList(c.sub, c.iat, c.exp, c.ttl, base.bits, raw, c.release, c.tree_size)


@dataclass(frozen=True, slots=True)
class OpenedDelta:
    """A delta taken apart, not verified. Its fields are those of `Delta`, believed in nothing."""

    key_id: bytes
    claims: Claims
    base_iat: Moment
    base: bytes
    result: bytes
    changes: bytes
    _signed_by: Callable[[PublicKey], bool]

    def verify(self, key: PublicKey) -> Delta:
        """The delta, if `key` signed it. Raises Refused (bad_signature)."""
        if not self._signed_by(key):
            raise Refused(Code.BAD_SIGNATURE)
        return Delta(self.claims, self.base_iat, self.base, self.result, self.changes)


def delta_cwt(base: bytes, base_iat: Moment, new: bytes, claims: Claims, signer: Signer) -> bytes | None:
    """The delta from the raw bytes `base`, published at `base_iat`, to `new`, whose list's claims are `claims`. None
    when it would be longer than the list: then there is none to publish.

    ValueError when the two are not of one length or time does not go forward.
    """
    if len(base) != len(new) or not 0 <= base_iat < claims.iat:
        raise ValueError("two versions of one list")
    was, will = np.frombuffer(base, np.uint8), np.frombuffer(new, np.uint8)
    touched = np.flatnonzero(was != will)  # bytes: few of them, and only their values are looked at
    before, after = (lists.unpack(raw[touched].tobytes(), claims.bits) for raw in (was, will))
    moved = np.flatnonzero(before != after)
    each = 8 // claims.bits
    changes = encode_changes(touched[moved // each] * each + moved % each, after[moved])
    if len(changes) > min(len(claims.lst), MOST_CHANGES):
        return None
    inner = {1: base_iat, 2: lists.digest(base), 3: lists.digest(new), 4: changes}
    payload = {**times_and_place(claims), CHANGES: inner}
    return cose.sign1(cose.dumps(payload), signer, headers={cose.TYP: CWT})


def open_delta(content: bytes) -> OpenedDelta:
    """A delta taken apart. Raises Refused: `too_many_bytes`, `bad_message`."""
    message, payload = open_typed(content, CWT, most=MOST_CWT)
    claims = shared_claims(payload, CHANGES)
    inner = payload[CHANGES]
    if not (
        isinstance(inner, Mapping)
        and list(inner) == [1, 2, 3, 4]
        and all(type(label) is int for label in inner)
        and type(inner[1]) is int
        and 0 <= inner[1] < claims.iat
        and all(isinstance(inner[at], bytes) for at in (2, 3, 4))
        and len(inner[2]) == len(inner[3]) == 32
    ):
        raise Refused(Code.BAD_MESSAGE, hint="not a delta")
    if len(inner[4]) > MOST_CHANGES:
        raise Refused(Code.TOO_MANY_BYTES)
    return OpenedDelta(message.key_id, claims, inner[1], inner[2], inner[3], inner[4], message.verify)


def encode_changes(indices: NDArray[np.intp], new: NDArray[np.uint8]) -> bytes:
    """`indices` ascending and unique, `new` their values: k, number (4 bytes, big-endian), then, unless it is 0,
    number of new values less 1, these values, and the three streams."""
    n = indices.size
    if n == 0:
        return bytes(5)
    gaps = np.diff(indices, prepend=-1) - 1
    k = min(range(MOST_LOW + 1), key=lambda low: n * low + int((gaps >> low).sum()))
    seen, counts = np.unique(new, return_counts=True)
    palette = seen[np.argsort(-counts, kind="stable")]
    place = np.zeros(256, np.int64)
    place[palette] = np.arange(palette.size)
    low = (gaps[:, None] >> np.arange(k)) & 1
    streams = np.packbits(low.astype(np.uint8), bitorder="little").tobytes()
    streams += _unary(gaps >> k) + _unary(place[new])
    return bytes([k]) + n.to_bytes(4, "big") + bytes([palette.size - 1]) + palette.tobytes() + streams


def decode_changes(content: bytes, size: int, bits: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Indices and new values for a list of `size` values of `bits` bits. Raises Refused (bad_message)."""
    k, n = content[0] if content else MOST_LOW + 1, int.from_bytes(content[1:5], "big")
    if content == bytes(5):
        return np.empty(0, np.int64), np.empty(0, np.uint8)
    if len(content) < 6 or not 0 < n <= size or k > MOST_LOW:
        _no_changes()
    palette = np.frombuffer(content[6 : 7 + content[5]], np.uint8)
    at = 7 + content[5]
    width = -(-n * k // 8)
    if len(content) < at + width or np.unique(palette).size != palette.size or int(palette.max()) >> bits:
        _no_changes()
    lowest = np.unpackbits(np.frombuffer(content[at : at + width], np.uint8), bitorder="little")
    if lowest[n * k :].any():
        _no_changes()
    gaps = lowest[: n * k].reshape(n, k) @ (1 << np.arange(k, dtype=np.int64))
    rest, at = _counted(content, at + width, n)
    places, at = _counted(content, at, n)
    # Nothing overflows: all unary numbers together are at most the bits of `content`, 2^23.
    indices = np.cumsum((rest << k) + gaps + 1) - 1
    if at != len(content) or int(indices[-1]) >= size or int(places.max()) >= palette.size:
        _no_changes()
    return indices, palette[places]


def _unary(numbers: NDArray[np.int64]) -> bytes:
    """Each number as that many zeros and a one."""
    ones = np.cumsum(numbers + 1) - 1
    stream = np.zeros(int(ones[-1]) + 1, np.uint8)
    stream[ones] = 1
    return np.packbits(stream, bitorder="little").tobytes()


def _counted(content: bytes, at: int, n: int) -> tuple[NDArray[np.int64], int]:
    """`n` unary numbers from byte `at` on, and the byte behind them. Raises Refused (bad_message)."""
    ones = np.flatnonzero(np.unpackbits(np.frombuffer(content[at:], np.uint8), bitorder="little"))
    if ones.size < n:
        _no_changes()
    bytes_used = int(ones[n - 1]) // 8 + 1
    if ones.size > n and int(ones[n]) < bytes_used * 8:
        _no_changes()
    return np.diff(ones[:n], prepend=-1) - 1, at + bytes_used


def _no_changes() -> NoReturn:
    raise Refused(Code.BAD_MESSAGE, hint="not the changes of such a list")

"""The list itself: one small number a credential, packed, deflated, digested (IETF draft-ietf-oauth-status-list-21,
section 4.1).

Three forms of one thing: `values` (NDArray[np.uint8], one a credential, by index), `raw` (the packed bytes, lowest
index in the lowest bits of a byte) and `lst` (raw as one zlib stream). What a list says is its raw form: two lists are
equal when their raw bytes are, whatever zlib made of them, and every digest is taken there.
"""

from __future__ import annotations

import hashlib
import zlib
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from kangma.errors import Code, Refused
from kangma.terms import State

WIDTHS = (1, 2, 4, 8)  # bits a value may have
ENTRIES = 2**20  # in each list of ours
BITS = 4  # in each list of ours
MOST_RAW = 2**20  # bytes that a list from outside may inflate to: 2^20 values of 8 bits


class Status(IntEnum):
    """What a value of 4 bits says. 0 and 1 are the registry's (section 7.1); 3 and 12 to 15 are left to applications.

    A stranger's client that knows only VALID refuses every other value, and a red code with them.
    """

    VALID = 0x0  # green
    INVALID = 0x1  # this credential is withdrawn; says nothing of its holder's colour
    NOTICE = 0x3  # green with a notice to read
    YELLOW = 0xC
    RED = 0xD
    UNKNOWN = 0xF

    @classmethod
    def _missing_(cls, value: object) -> Status:
        """A value that we never write, SUSPENDED among them, says nothing that we know."""
        return cls.UNKNOWN


#: `OF_STATE[states]` are the values of an array of `kangma.terms.State`. A REMIND stands beside a green code.
OF_STATE: NDArray[np.uint8] = np.full(16, Status.UNKNOWN, np.uint8)
OF_STATE[[State.GREEN, State.REMIND]] = Status.VALID
OF_STATE[State.POPUP], OF_STATE[State.YELLOW], OF_STATE[State.RED] = Status.NOTICE, Status.YELLOW, Status.RED
OF_STATE.setflags(write=False)


def pack(values: NDArray[np.uint8], bits: int) -> bytes:
    """`raw` of `values`; what is missing to a whole last byte is 0. ValueError when a value needs more bits."""
    if bits not in WIDTHS or (values.size and int(values.max()) >> bits):
        raise ValueError(f"values of {bits} bits")
    each = 8 // bits
    whole = np.zeros(-(-values.size // each) * each, np.uint8)
    whole[: values.size] = values
    raw = whole[::each].copy()
    for place in range(1, each):
        raw |= whole[place::each] << (place * bits)
    return raw.tobytes()


def unpack(raw: bytes, bits: int, n: int | None = None) -> NDArray[np.uint8]:
    """The first `n` values of `raw`, or all of them. ValueError when it holds fewer."""
    each = 8 // bits
    n = len(raw) * each if n is None else n
    if n > len(raw) * each:
        raise ValueError(f"fewer than {n} values")
    packed = np.frombuffer(raw, np.uint8)
    values = np.empty((len(raw), each), np.uint8)
    for place in range(each):
        values[:, place] = (packed >> (place * bits)) & ((1 << bits) - 1)
    return values.reshape(-1)[:n]


def value(raw: bytes, bits: int, index: int) -> int:
    """The value at `index`, without unpacking the others. Raises Refused (bad_number) outside the list."""
    at, place = divmod(index * bits, 8)
    if not 0 <= at < len(raw):
        raise Refused(Code.BAD_NUMBER, hint="no such index in the list")
    return (raw[at] >> place) & ((1 << bits) - 1)


def compress(raw: bytes, *, search: bool = False) -> bytes:
    """`lst` of `raw`: zlib, level 9.

    Only runs of one byte are looked for: few are not green and their indices lie at random, so that there is nothing
    else to find. Thirty times as fast as the full search and 5 % larger (decision 0060). `search`: the full search,
    whose bytes are those of the draft's examples.
    """
    strategy = zlib.Z_DEFAULT_STRATEGY if search else zlib.Z_RLE
    deflate = zlib.compressobj(9, strategy=strategy)
    return deflate.compress(raw) + deflate.flush()


def inflate(lst: bytes, most: int = MOST_RAW) -> bytes:
    """`raw` of `lst`, which must be one whole zlib stream and nothing behind it.

    Raises Refused: `inflates_too_much` above `most` bytes (no more than that is ever held), `cut_off` when the end is
    missing, `unreadable` for anything that is not zlib, a wrong checksum and bytes behind the end among it.
    """
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(lst, most + 1)
    except zlib.error:
        raise Refused(Code.UNREADABLE, hint="not a zlib stream") from None
    if len(raw) > most:
        raise Refused(Code.INFLATES_TOO_MUCH)
    if not stream.eof:
        raise Refused(Code.CUT_OFF, hint="the zlib stream ends early")
    if stream.unused_data:
        raise Refused(Code.UNREADABLE, hint="bytes behind the zlib stream")
    return raw


def digest(raw: bytes) -> bytes:
    """SHA-256 of the packed bytes: what a delta calls its base and its result by."""
    return hashlib.sha256(raw).digest()

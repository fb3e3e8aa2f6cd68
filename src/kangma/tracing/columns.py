"""Visits as sorted columns, a day at a time: what the kernel walks over.

Always derived and always rebuildable. No day knows of another, so a new day touches nothing that is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kangma.errors import Corrupt
from kangma.terms import DAY, Moment

I32 = NDArray[np.int32]
U32 = NDArray[np.uint32]
I64 = NDArray[np.int64]

BLOCK = 128  # rows whose latest leaving is kept together, so that a walk may skip them
LATEST = 2**31 - 1  # seconds after `base`, 68 years: nobody stays longer
FORMAT = 1
HEADER = "header.json"
# Array → its type and its length as a function of (rows, places, persons).
ARRAYS: dict[str, str] = {
    "person": "<u4",
    "entered": "<i4",
    "left": "<i4",
    "place_starts": "<u4",
    "person_starts": "<u4",
    "person_rows": "<u4",
    "block_left": "<i4",
    "block_place": "<u4",
}


@dataclass(frozen=True, eq=False)
class Day:
    """The visits that began on one day, ascending by (place, entered, left, person), no two alike.

    A visit over midnight, or over many days, lies in the day on which it began.

    base:          seconds since 1970 that `entered` and `left` count from
    opens, closes: the earliest entering and the latest leaving, seconds since 1970
    person:        (n,) uint32
    entered, left: (n,) int32 seconds after base
    place_starts:  (places + 1,) uint32; the rows of place p are place_starts[p] to place_starts[p + 1]
    person_starts: (persons + 1,) uint32; the rows of person q are person_rows[person_starts[q] to person_starts[q + 1]]
    person_rows:   (n,) uint32
    block_left:    (⌈n / BLOCK⌉,) int32, the latest `left` in each BLOCK rows
    block_place:   (⌈n / BLOCK⌉,) uint32, the place of the first row of each
    """

    day: int
    base: Moment
    opens: Moment
    closes: Moment
    person: U32
    entered: I32
    left: I32
    place_starts: U32
    person_starts: U32
    person_rows: U32
    block_left: I32
    block_place: U32

    @classmethod
    def build(
        cls, day: int, *, person: ArrayLike, place: ArrayLike, entered_at: ArrayLike, left_at: ArrayLike
    ) -> Day:
        """Columns of visits in any order, told once or often; all of one length, moments in seconds since 1970.

        Visits of static scans must not be among them. Raises ValueError for a visit that ends before it begins or
        that began more than 68 years off the day. 40 B of memory a visit while building.
        """
        who, where = np.asarray(person, np.uint32), np.asarray(place, np.uint32)
        begin, end = np.asarray(entered_at, np.int64), np.asarray(left_at, np.int64)
        if not len(who) == len(where) == len(begin) == len(end):
            raise ValueError("columns of different length")
        if (end < begin).any():
            raise ValueError("a visit ends before it begins")
        base = day * DAY
        if len(begin) and not (begin.min() - base > -LATEST and begin.max() - base < LATEST):
            raise ValueError("a visit that did not begin on this day")
        entered = (begin - base).astype(np.int32)
        left = np.minimum(end - base, LATEST).astype(np.int32)

        order = _order(where, entered, left, who)
        who, where, entered, left = who[order], where[order], entered[order], left[order]
        if len(who):
            fresh = np.ones(len(who), bool)
            fresh[1:] = (where[1:] != where[:-1]) | (entered[1:] != entered[:-1])
            fresh[1:] |= (left[1:] != left[:-1]) | (who[1:] != who[:-1])
            if not fresh.all():
                who, where, entered, left = who[fresh], where[fresh], entered[fresh], left[fresh]
        rows = np.arange(len(who), dtype=np.uint64)
        by_person = np.sort((who.astype(np.uint64) << np.uint64(32)) | rows)
        blocks = np.arange(0, len(who), BLOCK)
        return cls(
            day,
            base,
            base + int(entered.min()) if len(who) else base,
            base + int(left.max()) if len(who) else base,
            who,
            entered,
            left,
            _starts(where),
            _starts(who),
            (by_person & np.uint64(0xFFFFFFFF)).astype(np.uint32),
            np.maximum.reduceat(left, blocks) if len(who) else left,
            where[blocks],
        )

    @property
    def rows(self) -> int:
        return len(self.person)

    @property
    def nbytes(self) -> int:
        return sum(getattr(self, name).nbytes for name in ARRAYS)

    def to_buffers(self) -> dict[str, bytes | memoryview]:
        """Name → content: a small JSON header, and each array as little-endian bytes without any frame."""
        arrays: dict[str, bytes | memoryview] = {}
        for name, dtype in ARRAYS.items():
            array = np.ascontiguousarray(getattr(self, name), dtype)
            arrays[f"{name}.{dtype[1:]}"] = array.data.cast("B") if len(array) else b""
        header = {
            "format": FORMAT,
            "day": self.day,
            "base": self.base,
            "opens": self.opens,
            "closes": self.closes,
            "lengths": {name: len(getattr(self, name)) for name in ARRAYS},
        }
        header["seal"] = _seal(header, arrays)
        return {HEADER: json.dumps(header, sort_keys=True).encode(), **arrays}

    @classmethod
    def from_buffers(cls, buffers: Mapping[str, Any], *, whole: bool = False) -> Day:
        """What `to_buffers` gave, without copying: hand in memory maps and the day stays on disk.

        Raises Corrupt when something is missing, cut or does not fit together; with `whole` every byte is read and
        the least change is found. The kernel trusts what it reads: look at the whole once before tracing.
        """
        try:
            header = json.loads(bytes(buffers[HEADER]))
            if header["format"] != FORMAT:
                raise Corrupt(f"columns of format {header['format']}")
            arrays = {n: np.frombuffer(buffers[f"{n}.{t[1:]}"], t) for n, t in ARRAYS.items()}
            found = cls(header["day"], header["base"], header["opens"], header["closes"], **arrays)
            seal = header.pop("seal")
        except (KeyError, TypeError, ValueError) as problem:
            raise Corrupt("columns that cannot be read") from problem
        blocks = -(-found.rows // BLOCK)
        if not (
            {n: len(a) for n, a in arrays.items()} == header.get("lengths")
            and found.rows == len(found.entered) == len(found.left) == len(found.person_rows)
            and blocks == len(found.block_left) == len(found.block_place)
            and len(found.place_starts)
            and len(found.person_starts)
            and found.place_starts[-1] == found.person_starts[-1] == found.rows
        ):
            raise Corrupt("columns cut or mixed")
        if whole and seal != _seal(
            header, {f"{n}.{t[1:]}": buffers[f"{n}.{t[1:]}"] for n, t in ARRAYS.items()}
        ):
            raise Corrupt("columns that are not what was written")
        return found


@dataclass(frozen=True, eq=False)
class Columns:
    """All live days, ascending by day, one `Day` for each."""

    days: tuple[Day, ...] = ()

    @classmethod
    def build(cls, days: Mapping[int, Mapping[str, ArrayLike]]) -> Columns:
        """Columns of day → arrays `person`, `place`, `entered_at`, `left_at`; see `Day.build`."""
        return cls.of(Day.build(day, **arrays) for day, arrays in days.items())

    @classmethod
    def of(cls, days: Iterable[Day]) -> Columns:
        return cls(tuple(sorted(days, key=lambda day: day.day)))

    def __post_init__(self) -> None:
        numbers = [day.day for day in self.days]
        if numbers != sorted(set(numbers)):
            raise ValueError("days out of order, or one of them twice")

    def with_day(self, day: Day) -> Columns:
        """These columns with one day more, or with that day anew."""
        return Columns.of([*(d for d in self.days if d.day != day.day), day])

    def without_day(self, day: int) -> Columns:
        return Columns(tuple(d for d in self.days if d.day != day))

    @property
    def rows(self) -> int:
        return sum(day.rows for day in self.days)

    @property
    def nbytes(self) -> int:
        return sum(day.nbytes for day in self.days)

    @cached_property
    def table(self) -> I64:
        """(days, 14) what the kernel needs to know of each day: four numbers, two lengths, eight addresses.

        The addresses are good as long as these columns live; kernel.py names the places in a row.
        """
        table = np.empty((len(self.days), 14), np.int64)
        for row, day in zip(table, self.days, strict=True):
            row[:4] = day.opens, day.closes, day.base, day.rows
            row[4:6] = len(day.place_starts) - 1, len(day.person_starts) - 1
            row[6:] = [getattr(day, name).ctypes.data for name in ARRAYS]
        return table


def _seal(header: Mapping[str, object], arrays: Mapping[str, Any]) -> str:
    """A digest of everything, so that a changed bit is found and not traced."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for content in arrays.values():
        digest.update(content)
    return digest.hexdigest()


def _order(place: U32, entered: I32, left: I32, person: U32) -> I64:
    """(n,) rows in ascending order of (place, entered, left, person).

    One sort by a packed key and a second one of the few rows that tie; four times as fast as a sort by four keys.
    """
    if not len(place):
        return np.empty(0, np.int64)
    key = (place.astype(np.uint64) << np.uint64(32)) | (entered - np.int64(entered.min())).astype(np.uint64)
    order = np.argsort(key)
    ordered = key[order]
    same = ordered[1:] == ordered[:-1]
    if same.any():
        tied = np.zeros(len(key), bool)
        tied[1:] |= same
        tied[:-1] |= same
        rows = order[tied]
        order[tied] = rows[np.lexsort((person[rows], left[rows], key[rows]))]
    return order.astype(np.int64, copy=False)


def _starts(numbers: U32) -> U32:
    """(max + 2,) for each number, how many rows have a smaller one; one more at the end for all rows."""
    starts = np.zeros(int(numbers.max()) + 2 if len(numbers) else 1, np.uint32)
    if len(numbers):
        np.cumsum(np.bincount(numbers), out=starts[1:])
    return starts

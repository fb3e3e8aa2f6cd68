"""What tracing takes and gives: infectious windows in, exposures, meetings and companions out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kangma.terms import Moment

I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]
F64 = NDArray[np.float64]

EXPOSURES = pa.schema(
    [
        pa.field("case_id", pa.string(), nullable=False),
        pa.field("person", pa.uint32(), nullable=False),
        pa.field("minutes", pa.float64(), nullable=False),
        pa.field("meetings", pa.int64(), nullable=False),
        pa.field("first_at", pa.int64(), nullable=False),
        pa.field("last_at", pa.int64(), nullable=False),
    ]
)
COMPANIONS = pa.schema(
    [
        pa.field("case_id", pa.string(), nullable=False),
        pa.field("person", pa.uint32(), nullable=False),
        pa.field("minutes", pa.float64(), nullable=False),
        pa.field("cumulative_hours", pa.float64(), nullable=False),
        pa.field("first_at", pa.int64(), nullable=False),
        pa.field("last_at", pa.int64(), nullable=False),
    ]
)
MEETINGS = pa.schema(
    [
        pa.field("case_id", pa.string(), nullable=False),
        pa.field("person", pa.uint32(), nullable=False),
        pa.field("place", pa.uint32(), nullable=False),
        pa.field("start_at", pa.int64(), nullable=False),
        pa.field("end_at", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True, eq=False)
class Windows:
    """When each case could infect others; ascending by (case, person), one row for each such pair.

    case_ids: distinct, ascending; `case` points into it
    case:     (w,) uint32
    person:   (w,) uint32, canonical
    from_at:  (w,) int64 seconds since 1970
    to_at:    (w,) int64, the first second after the window; later than from_at
    """

    case_ids: tuple[str, ...]
    case: U32
    person: U32
    from_at: I64
    to_at: I64

    @classmethod
    def of(cls, rows: Iterable[tuple[str, int, Moment, Moment]]) -> Windows:
        """Windows of rows (case_id, person, from_at, to_at), in any order.

        Raises ValueError for an empty window and for a second window of one person in one case.
        """
        ordered = sorted(rows)
        if len({(case_id, person) for case_id, person, _, _ in ordered}) < len(ordered):
            raise ValueError("a case has one window for each of its persons")
        if any(to_at <= from_at for _, _, from_at, to_at in ordered):
            raise ValueError("a window ends after it begins")
        case_ids = tuple(sorted({row[0] for row in ordered}))
        number = {case_id: i for i, case_id in enumerate(case_ids)}
        return cls(
            case_ids,
            np.array([number[row[0]] for row in ordered], np.uint32),
            np.array([row[1] for row in ordered], np.uint32),
            np.array([row[2] for row in ordered], np.int64),
            np.array([row[3] for row in ordered], np.int64),
        )

    @classmethod
    def from_arrow(cls, table: pa.Table) -> Windows:
        """Windows of the rows that windows.sql gives."""
        columns = (table.column(name).to_pylist() for name in ("case_id", "person", "from_at", "to_at"))
        return cls.of(zip(*columns, strict=True))

    @property
    def starts(self) -> I64:
        """(cases + 1,) windows of case c are rows starts[c] to starts[c + 1]."""
        return np.searchsorted(self.case, np.arange(len(self.case_ids) + 1)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Places:
    """What tracing knows of places, by place number.

    coarse: (places,) bool, kind `grid`: where a phone was, but too wide for a meeting
    cell:   (places,) int64 as places.sql gives it, -1 for a place that nobody described
    """

    coarse: NDArray[np.bool_]
    cell: I64

    @classmethod
    def from_arrow(cls, table: pa.Table) -> Places:
        """Places of the rows that places.sql gives; numbers that are missing among them are places not described."""
        place = table.column("place").to_numpy().astype(np.int64)
        size = int(place.max()) + 1 if len(place) else 0
        coarse, cell = np.zeros(size, bool), np.full(size, -1, np.int64)
        coarse[place] = pc.equal(table.column("kind"), "grid").to_numpy(zero_copy_only=False)
        cell[place] = table.column("cell").to_numpy()
        return cls(coarse, cell)

    @cached_property
    def by_cell(self) -> tuple[I64, I64, U32]:
        """(places,) dense number of each place's cell or -1; (cells + 1,) starts; (n,) the places, cell by cell."""
        known = np.flatnonzero(self.cell >= 0)
        cells, number = np.unique(self.cell[known], return_inverse=True)
        dense = np.full(len(self.cell), -1, np.int64)
        dense[known] = number
        starts = np.zeros(len(cells) + 1, np.int64)
        np.cumsum(np.bincount(number, minlength=len(cells)), out=starts[1:])
        return dense, starts, known[np.argsort(number, kind="stable")].astype(np.uint32)


@dataclass(frozen=True, eq=False)
class ExposureTable:
    """Persons who met a case; ascending by (case, person), one row for each such pair.

    case:     (n,) uint32, index into case_ids
    person:   (n,) uint32
    minutes:  (n,) float64, all counted meetings summed
    meetings: (n,) int64
    first_at: (n,) int64, start of the first counted overlap, seconds since 1970
    last_at:  (n,) int64, end of the last
    """

    case_ids: tuple[str, ...]
    case: U32
    person: U32
    minutes: F64
    meetings: I64
    first_at: I64
    last_at: I64

    def arrow(self) -> pa.Table:
        columns = (self.person, self.minutes, self.meetings, self.first_at, self.last_at)
        return _named(self.case_ids, self.case, columns, EXPOSURES)


@dataclass(frozen=True, eq=False)
class MeetingTable:
    """Each counted meeting by itself; ascending by (case, person, start, end, place).

    case:     (n,) uint32, index into case_ids
    person:   (n,) uint32
    place:    (n,) uint32
    start_at: (n,) int64 seconds since 1970
    end_at:   (n,) int64
    """

    case_ids: tuple[str, ...]
    case: U32
    person: U32
    place: U32
    start_at: I64
    end_at: I64

    def arrow(self) -> pa.Table:
        columns = (self.person, self.place, self.start_at, self.end_at)
        return _named(self.case_ids, self.case, columns, MEETINGS)


@dataclass(frozen=True, eq=False)
class CompanionTable:
    """Persons who shared a cell with a case for long; ascending by (case, person), one row for each such pair.

    case:             (n,) uint32, index into case_ids
    person:           (n,) uint32
    minutes:          (n,) float64, all counted stretches summed
    cumulative_hours: (n,) float64, the longest cumulative stay that fulfilled the second condition
    first_at:         (n,) int64, start of the first counted stretch, seconds since 1970
    last_at:          (n,) int64, end of the last
    """

    case_ids: tuple[str, ...]
    case: U32
    person: U32
    minutes: F64
    cumulative_hours: F64
    first_at: I64
    last_at: I64

    def arrow(self) -> pa.Table:
        columns = (self.person, self.minutes, self.cumulative_hours, self.first_at, self.last_at)
        return _named(self.case_ids, self.case, columns, COMPANIONS)


def _named(
    case_ids: tuple[str, ...], case: U32, columns: tuple[NDArray[np.generic], ...], schema: pa.Schema
) -> pa.Table:
    """The columns as an Arrow table, the cases by their text."""
    names = pa.array(case_ids, pa.string()).take(pa.array(case))
    return pa.Table.from_arrays([names, *(pa.array(column) for column in columns)], schema=schema)

"""The fast twin of exposures.sql: a compiled walk over sorted columns that gives the same rows.

Everything compiled is in this one file, because Numba's cache looks at the date of one file only.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.numpy_support import carray
from numpy.typing import NDArray

from kangma.tracing.columns import BLOCK, I32, Columns, Day
from kangma.tracing.tables import I64, U32, ExposureTable, MeetingTable, Windows

F = TypeVar("F", bound=Callable[..., Any])
Bools = NDArray[np.bool_]
Whole = int | np.int64
Exposed = tuple[I64, U32, I64]

# A row of Columns.table.
OPENS, CLOSES, BASE, ROWS, PLACES, PERSONS = range(6)
PERSON, ENTERED, LEFT, PLACE_STARTS, PERSON_STARTS, PERSON_ROWS, BLOCK_LEFT, BLOCK_PLACE = range(6, 14)

CHUNK = 16  # cases that one thread takes at a time
DIGIT = 11  # bits that one turn of the radix sort orders


class Rule(NamedTuple):
    """What makes a meeting; see `trace`."""

    min_overlap: Whole
    linger: Whole
    coarse: Bools


class Spans(NamedTuple):
    """Windows as the kernel reads them; `starts` (cases + 1,) cuts the others into cases."""

    starts: I64
    carrier: U32
    from_at: I64
    to_at: I64


class Stay(NamedTuple):
    """Where the carrier was, and in which seconds [start, end) the place was infectious."""

    carrier: Whole
    place: Whole
    start: Whole
    end: Whole


class Met(NamedTuple):
    """Meetings in arrays with room to grow, of which `n` are filled; moments in seconds since 1970."""

    person: U32
    place: U32
    start: I64
    end: I64
    n: Whole


def compiled(function: F) -> F:
    """Machine code, kept on disk beside this file, that runs without the interpreter's lock."""
    return cast(F, numba.njit(cache=True, nogil=True)(function))


def _address(_typing: Any, address: Any) -> Any:
    """An address as a pointer: days are mapped from disk one by one, and no Numba type holds a changing number of
    arrays without either copying them or compiling anew for each number (decision 0021)."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), code


_pointer: Callable[..., Any] = intrinsic(_address)


@compiled
def _u32(address: Whole, length: Any) -> U32:
    array: U32 = carray(_pointer(address), (length,), np.uint32)
    return array


@compiled
def _i32(address: Whole, length: Any) -> I32:
    array: I32 = carray(_pointer(address), (length,), np.int32)
    return array


@compiled
def _place_of(day: I64, row: Whole) -> Whole:
    """The place of one row, searched between the places of the block's first row and of the next block's."""
    blocks = (day[ROWS] + BLOCK - 1) // BLOCK
    first = _u32(day[BLOCK_PLACE], blocks)
    starts = _u32(day[PLACE_STARTS], day[PLACES] + 1)
    block = row // BLOCK
    low = np.int64(first[block])
    high = np.int64(first[block + 1]) if block + 1 < blocks else day[PLACES] - 1
    while low < high:
        middle = (low + high + 1) // 2
        if starts[middle] <= row:
            low = middle
        else:
            high = middle - 1
    return low


@compiled
def _room(met: Met, wanted: Whole) -> Met:
    """The same meetings in arrays with room for `wanted` more."""
    n = met.n
    if n + wanted <= len(met.person):
        return met
    more = _none(2 * (n + wanted))
    more.person[:n], more.place[:n] = met.person[:n], met.place[:n]
    more.start[:n], more.end[:n] = met.start[:n], met.end[:n]
    return Met(more.person, more.place, more.start, more.end, n)


@compiled
def _none(room: Whole) -> Met:
    return Met(
        np.empty(room, np.uint32),
        np.empty(room, np.uint32),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.int64(0),
    )


@compiled
def _meet(days: I64, stay: Stay, min_overlap: Whole, met: Met) -> Met:
    """The meetings `met`, and those of all others at the place that cover min_overlap of the stay."""
    place = stay.place
    for d in range(len(days)):
        day = days[d]
        if (
            day[OPENS] > stay.end - min_overlap
            or day[CLOSES] < stay.start + min_overlap
            or place >= day[PLACES]
        ):
            continue
        starts = _u32(day[PLACE_STARTS], day[PLACES] + 1)
        first, high = np.int64(starts[place]), np.int64(starts[place + 1])
        if first == high:
            continue
        person, entered = _u32(day[PERSON], day[ROWS]), _i32(day[ENTERED], day[ROWS])
        left, block_left = _i32(day[LEFT], day[ROWS]), _i32(day[BLOCK_LEFT], (day[ROWS] + BLOCK - 1) // BLOCK)
        since, until = stay.start - day[BASE], stay.end - day[BASE]
        soonest, latest = since + min_overlap, until - min_overlap  # of leaving, of entering

        # Rows of a place ascend by entering: behind `high` everybody came too late.
        low = first
        while low < high:
            middle = (low + high) // 2
            if entered[middle] <= latest:
                low = middle + 1
            else:
                high = middle

        met = _room(met, high - first)
        n = met.n
        row = first
        while row < high:
            block = row // BLOCK
            stop = min(high, (block + 1) * BLOCK)
            if block_left[block] >= soonest:
                for r in range(row, stop):
                    if left[r] >= soonest:
                        came = max(since, np.int64(entered[r]))
                        went = min(until, np.int64(left[r]))
                        if went - came >= min_overlap and person[r] != stay.carrier:
                            met.person[n] = person[r]
                            met.place[n] = place
                            met.start[n] = day[BASE] + came
                            met.end[n] = day[BASE] + went
                            n += 1
            row = stop
        met = Met(met.person, met.place, met.start, met.end, n)
    return met


@compiled
def _walk(days: I64, spans: Spans, window: Whole, rule: Rule, met: Met) -> Met:
    """The meetings `met`, and those of one window: where its person was while infectious, and who was there too."""
    carrier, from_at, to_at = np.int64(spans.carrier[window]), spans.from_at[window], spans.to_at[window]
    for d in range(len(days)):
        day = days[d]
        if day[OPENS] >= to_at or day[CLOSES] < from_at or carrier >= day[PERSONS]:
            continue
        entered, left = _i32(day[ENTERED], day[ROWS]), _i32(day[LEFT], day[ROWS])
        starts = _u32(day[PERSON_STARTS], day[PERSONS] + 1)
        rows = _u32(day[PERSON_ROWS], day[ROWS])
        for i in range(starts[carrier], starts[carrier + 1]):
            row = np.int64(rows[i])
            came, went = day[BASE] + entered[row], day[BASE] + left[row]
            if came >= to_at or (went <= from_at and came < from_at):
                continue
            place = _place_of(day, row)
            if place < len(rule.coarse) and rule.coarse[place]:
                continue
            stay = Stay(carrier, place, max(came, from_at), min(went, to_at) + rule.linger)
            met = _meet(days, stay, rule.min_overlap, met)
    return met


@compiled
def _by_person(who: U32, n: Whole) -> I64:
    """(n,) person · 2³² + index of the first n, ascending: a radix sort, since persons are small dense numbers."""
    pairs, other = np.empty(n, np.int64), np.empty(n, np.int64)
    greatest = np.int64(0)
    for i in range(n):
        pairs[i] = (np.int64(who[i]) << 32) | i
        greatest = max(greatest, np.int64(who[i]))
    shift = 32
    while greatest >> (shift - 32) > 0:
        ends = np.zeros((1 << DIGIT) + 1, np.int64)
        for i in range(n):
            ends[((pairs[i] >> shift) & ((1 << DIGIT) - 1)) + 1] += 1
        for digit in range(1 << DIGIT):
            ends[digit + 1] += ends[digit]
        for i in range(n):
            digit = (pairs[i] >> shift) & ((1 << DIGIT) - 1)
            other[ends[digit]] = pairs[i]
            ends[digit] += 1
        pairs, other = other, pairs
        shift += DIGIT
    return pairs


@compiled
def _exposures(days: I64, spans: Spans, rule: Rule, low: Whole, high: Whole) -> Exposed:
    """Exposures of the cases low to high: rows of each case, then person, seconds, meetings, first and last of each."""
    rows = np.zeros(high - low, np.int64)
    persons = np.empty(1024, np.uint32)
    numbers = np.empty((1024, 4), np.int64)
    out = 0
    met = _none(4096)
    for case in range(low, high):
        met = Met(met.person, met.place, met.start, met.end, np.int64(0))
        for window in range(spans.starts[case], spans.starts[case + 1]):
            met = _walk(days, spans, window, rule, met)
        before = out
        if out + met.n > len(persons):
            more = 2 * (out + met.n)
            persons = np.concatenate((persons[:out], np.empty(more - out, np.uint32)))
            numbers = np.concatenate((numbers[:out], np.empty((more - out, 4), np.int64)))
        last = np.int64(-1)
        for pair in _by_person(met.person, met.n):
            i = pair & 0xFFFFFFFF
            person = np.int64(met.person[i])
            if person != last:
                persons[out] = person
                numbers[out, 0], numbers[out, 1] = 0, 0
                numbers[out, 2], numbers[out, 3] = met.start[i], met.end[i]
                out += 1
                last = person
            numbers[out - 1, 0] += met.end[i] - met.start[i]
            numbers[out - 1, 1] += 1
            numbers[out - 1, 2] = min(numbers[out - 1, 2], met.start[i])
            numbers[out - 1, 3] = max(numbers[out - 1, 3], met.end[i])
        rows[case - low] = out - before
    return rows, persons[:out].copy(), numbers[:out].copy()


def trace(
    columns: Columns,
    windows: Windows,
    *,
    min_overlap: int,
    linger: int = 0,
    coarse: Bools | None = None,
    threads: int = 2,
) -> ExposureTable:
    """Who met each case: the rows of exposures.sql.

    min_overlap: seconds that a meeting must last, at least 1
    linger:      seconds for which a place stays infectious after the case left it
    coarse:      (places,) true for places too coarse for a meeting (kind `grid`); a place beyond its end is not
    """
    days, spans, rule = columns.table, _spans(windows), _rule(min_overlap, linger, coarse)
    cases = len(windows.case_ids)
    cuts = [(low, min(low + CHUNK, cases)) for low in range(0, cases, CHUNK)]

    def part(cut: tuple[int, int]) -> Exposed:
        return _exposures(days, spans, rule, *cut)

    if threads > 1 and len(cuts) > 1:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(part, cuts))
    else:
        parts = [part(cut) for cut in cuts]
    nothing = (np.empty(0, np.int64), np.empty(0, np.uint32), np.empty((0, 4), np.int64))
    rows, person, numbers = (np.concatenate(arrays) for arrays in zip(nothing, *parts, strict=True))
    seconds, count, first, last = np.ascontiguousarray(numbers.T)
    case = np.repeat(np.arange(cases, dtype=np.uint32), rows)
    return ExposureTable(windows.case_ids, case, person, seconds / 60.0, count, first, last)


def meetings(
    columns: Columns, windows: Windows, *, min_overlap: int, linger: int = 0, coarse: Bools | None = None
) -> MeetingTable:
    """The single meetings that `trace` sums, with their places: for one tracer's list, not for the city."""
    spans, rule = _spans(windows), _rule(min_overlap, linger, coarse)
    met = [_walk(columns.table, spans, window, rule, _none(4096)) for window in range(len(windows.case))]
    case = np.repeat(windows.case, np.array([m.n for m in met], np.int64))
    person = np.concatenate([np.empty(0, np.uint32), *(m.person[: m.n] for m in met)])
    place = np.concatenate([np.empty(0, np.uint32), *(m.place[: m.n] for m in met)])
    start = np.concatenate([np.empty(0, np.int64), *(m.start[: m.n] for m in met)])
    end = np.concatenate([np.empty(0, np.int64), *(m.end[: m.n] for m in met)])
    order = np.lexsort((place, end, start, person, case))
    return MeetingTable(windows.case_ids, case[order], person[order], place[order], start[order], end[order])


def warm() -> None:
    """Compiles, or loads what was compiled before, so that no request waits for it."""
    day = Day.build(0, person=[0, 1], place=[0, 0], entered_at=[0, 0], left_at=[60, 60])
    columns, windows = Columns((day,)), Windows.of([("warm", 0, 0, 60)])
    trace(columns, windows, min_overlap=1)
    meetings(columns, windows, min_overlap=1)


def _rule(min_overlap: int, linger: int, coarse: Bools | None) -> Rule:
    if min_overlap < 1 or linger < 0:
        raise ValueError("a meeting lasts at least one second, and nothing lingers for less than none")
    flags = np.zeros(0, bool) if coarse is None else coarse
    return Rule(min_overlap, linger, np.require(flags, np.bool_, ["C", "W"]))


def _spans(windows: Windows) -> Spans:
    # Numba compiles anew for read-only arrays: "W" hands it one kind only.
    person, from_at, to_at = windows.person, windows.from_at, windows.to_at
    return Spans(
        windows.starts,
        np.require(person, np.uint32, ["C", "W"]),
        np.require(from_at, np.int64, ["C", "W"]),
        np.require(to_at, np.int64, ["C", "W"]),
    )

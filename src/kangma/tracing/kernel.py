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
from kangma.tracing.tables import F64, I64, U32, CompanionTable, ExposureTable, MeetingTable, Places, Windows

F = TypeVar("F", bound=Callable[..., Any])
Bools = NDArray[np.bool_]
Whole = int | np.int64

# A row of Columns.table.
OPENS, CLOSES, BASE, ROWS, PLACES, PERSONS = range(6)
PERSON, ENTERED, LEFT, PLACE_STARTS, PERSON_STARTS, PERSON_ROWS, BLOCK_LEFT, BLOCK_PLACE = range(6, 14)

CHUNK = 16  # cases that one thread takes at a time
DIGIT = 11  # bits that one turn of the radix sort orders
MASK = (1 << DIGIT) - 1


class Rule(NamedTuple):
    """What makes a meeting; see `trace`."""

    min_overlap: Whole
    linger: Whole
    coarse: Bools


class CellRule(NamedTuple):
    """What makes a companion; see `companions` and `Places.by_cell`."""

    min_shared: Whole
    min_stay: Whole
    horizon: Whole
    either: bool
    cell_of: I64
    cell_starts: I64
    places: U32


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
    """Meetings in arrays with room to grow, of which `n` are filled; span (room, 2) start and end."""

    person: U32
    place: U32
    span: I64
    n: Whole


class Sums(NamedTuple):
    """Exposures in arrays with room to grow: person, and (room, 4) seconds, meetings, first and last moment."""

    person: U32
    numbers: I64


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
    more.person[:n], more.place[:n], more.span[:n] = met.person[:n], met.place[:n], met.span[:n]
    return Met(more.person, more.place, more.span, n)


@compiled
def _none(room: Whole) -> Met:
    return Met(
        np.empty(room, np.uint32), np.empty(room, np.uint32), np.empty((room, 2), np.int64), np.int64(0)
    )


@compiled
def _sums(sums: Sums, filled: Whole, wanted: Whole) -> Sums:
    """The same sums in arrays with room for `wanted` more."""
    if filled + wanted <= len(sums.person):
        return sums
    room = 2 * (filled + wanted)
    more = Sums(np.empty(room, np.uint32), np.empty((room, 4), np.int64))
    more.person[:filled], more.numbers[:filled] = sums.person[:filled], sums.numbers[:filled]
    return more


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
        base = day[BASE]
        since, until = stay.start - base, stay.end - base
        soonest, latest = since + min_overlap, until - min_overlap  # of leaving, of entering

        # Rows of a place ascend by entering: behind `high` everybody came too late.
        low = first
        while low < high:
            middle = (low + high) // 2
            if entered[middle] <= latest:
                low = middle + 1
            else:
                high = middle

        met = _room(met, high - first + 1)
        n = met.n
        row = first
        while row < high:
            block = row // BLOCK
            stop = min(high, (block + 1) * BLOCK)
            if block_left[block] >= soonest:
                # Written first and counted after: half of the rows count, which no branch predictor can guess.
                for r in range(row, stop):
                    came = max(since, np.int64(entered[r]))
                    went = min(until, np.int64(left[r]))
                    met.person[n] = person[r]
                    met.place[n] = place
                    met.span[n, 0] = base + came
                    met.span[n, 1] = base + went
                    n += (went - came >= min_overlap) & (person[r] != stay.carrier)
            row = stop
        met = Met(met.person, met.place, met.span, n)
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
def _by_person(who: U32) -> I64:
    """(n,) person · 2³² + index, ascending: a radix sort, since persons are small dense numbers."""
    n = len(who)
    pairs, other = np.empty(n, np.int64), np.empty(n, np.int64)
    greatest = np.int64(0)
    for i in range(n):
        pairs[i] = (np.int64(who[i]) << 32) | i
        greatest = max(greatest, np.int64(who[i]))
    shift = 32
    while greatest >> (shift - 32) > 0:
        ends = np.zeros((1 << DIGIT) + 1, np.int64)
        for i in range(n):
            ends[((pairs[i] >> shift) & MASK) + 1] += 1
        for digit in range(MASK + 1):
            ends[digit + 1] += ends[digit]
        for i in range(n):
            digit = (pairs[i] >> shift) & MASK
            other[ends[digit]] = pairs[i]
            ends[digit] += 1
        pairs, other = other, pairs
        shift += DIGIT
    return pairs


@compiled
def _exposures(
    days: I64, spans: Spans, rule: Rule, cut: tuple[int, int], room: tuple[Met, Sums]
) -> tuple[tuple[Met, Sums], I64, Whole]:
    """Exposures of the cases cut[0] to cut[1]: the sums, how many each case has, and how many there are.

    `room` is only memory, given back for the next cases: fresh memory costs as much as the walk.
    """
    met, sums = room
    rows = np.zeros(cut[1] - cut[0], np.int64)
    n = 0
    for case in range(cut[0], cut[1]):
        met = Met(met.person, met.place, met.span, np.int64(0))
        for window in range(spans.starts[case], spans.starts[case + 1]):
            met = _walk(days, spans, window, rule, met)
        sums = _sums(sums, n, met.n)
        before = n
        last = np.int64(-1)
        for pair in _by_person(met.person[: met.n]):
            person, i = pair >> 32, pair & 0xFFFFFFFF
            start, end = met.span[i, 0], met.span[i, 1]
            if person != last:
                last = person
                sums.person[n] = person
                sums.numbers[n, 0], sums.numbers[n, 1] = 0, 0
                sums.numbers[n, 2], sums.numbers[n, 3] = start, end
                n += 1
            sums.numbers[n - 1, 0] += end - start
            sums.numbers[n - 1, 1] += 1
            sums.numbers[n - 1, 2] = min(sums.numbers[n - 1, 2], start)
            sums.numbers[n - 1, 3] = max(sums.numbers[n - 1, 3], end)
        rows[case - cut[0]] = n - before

    return (met, sums), rows, n


@compiled
def _turn(sums: Sums, block: I64, minutes: F64) -> None:
    """The sums as columns: person, (minutes, as real numbers in their own view,) meetings, first, last."""
    for i in range(len(minutes)):
        minutes[i] = sums.numbers[i, 0] / 60.0
        block[0, i], block[2, i] = sums.person[i], sums.numbers[i, 1]
        block[3, i], block[4, i] = sums.numbers[i, 2], sums.numbers[i, 3]


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

    blocks = [np.empty((5, 0), np.int64)] * len(cuts)
    rows = np.zeros(cases, np.int64)
    turns = iter(enumerate(cuts))  # whoever is free takes the next

    def work() -> None:
        room = (_none(4096), Sums(np.empty(4096, np.uint32), np.empty((4096, 4), np.int64)))
        for turn, cut in turns:
            room, rows[slice(*cut)], n = _exposures(days, spans, rule, cut, room)
            # One block a turn, not five arrays: NumPy asks for large pages only from 4 MB up.
            blocks[turn] = np.empty((5, n), np.int64)
            _turn(room[1], blocks[turn], blocks[turn][1].view(np.float64))

    _on_threads(work, threads if len(cuts) > 1 else 1)
    blocks = blocks or [np.empty((5, 0), np.int64)]
    person = np.concatenate([block[0] for block in blocks], dtype=np.uint32, casting="unsafe")
    minutes = np.concatenate([block[1] for block in blocks]).view(np.float64)
    count, first, last = (np.concatenate([block[i] for block in blocks]) for i in (2, 3, 4))
    case = np.repeat(np.arange(cases, dtype=np.uint32), rows)
    return ExposureTable(windows.case_ids, case, person, minutes, count, first, last)


def meetings(
    columns: Columns, windows: Windows, *, min_overlap: int, linger: int = 0, coarse: Bools | None = None
) -> MeetingTable:
    """The single meetings that `trace` sums, with their places: for one tracer's list, not for the city."""
    spans, rule = _spans(windows), _rule(min_overlap, linger, coarse)
    met = [_walk(columns.table, spans, window, rule, _none(4096)) for window in range(len(windows.case))]
    case = np.repeat(windows.case, np.array([m.n for m in met], np.int64))
    person = np.concatenate([np.empty(0, np.uint32), *(m.person[: m.n] for m in met)])
    place = np.concatenate([np.empty(0, np.uint32), *(m.place[: m.n] for m in met)])
    start, end = np.concatenate([np.empty((0, 2), np.int64), *(m.span[: m.n] for m in met)]).T
    order = np.lexsort((place, end, start, person, case))
    return MeetingTable(windows.case_ids, case[order], person[order], place[order], start[order], end[order])


@compiled
def _append(met: Met, person: Whole, start: Whole, end: Whole) -> Met:
    met = _room(met, 1)
    met.person[met.n], met.span[met.n, 0], met.span[met.n, 1] = person, start, end
    return Met(met.person, met.place, met.span, met.n + 1)


@compiled
def _in_order(met: Met) -> I64:
    """(n,) index, ascending by (person, start): two radix sorts, the second of which keeps the order of the first."""
    begun = np.empty(met.n, np.uint32)
    earliest = met.span[: met.n, 0].min() if met.n else 0
    for i in range(met.n):
        begun[i] = met.span[i, 0] - earliest
    first = _by_person(begun)
    who = np.empty(met.n, np.uint32)
    for i in range(met.n):
        who[i] = met.person[first[i] & 0xFFFFFFFF]
    order = _by_person(who)
    for i in range(met.n):
        order[i] = first[order[i] & 0xFFFFFFFF] & 0xFFFFFFFF
    return order


@compiled
def _own_cells(days: I64, carrier: Whole, since: Whole, to_at: Whole, cell_of: I64) -> Met:
    """The carrier's visits in [since, to_at), clipped to it; `person` holds the cell."""
    own = _none(256)
    for d in range(len(days)):
        day = days[d]
        if day[OPENS] >= to_at or day[CLOSES] <= since or carrier >= day[PERSONS]:
            continue
        entered, left = _i32(day[ENTERED], day[ROWS]), _i32(day[LEFT], day[ROWS])
        starts = _u32(day[PERSON_STARTS], day[PERSONS] + 1)
        rows = _u32(day[PERSON_ROWS], day[ROWS])
        for i in range(starts[carrier], starts[carrier + 1]):
            row = np.int64(rows[i])
            came, went = max(day[BASE] + entered[row], since), min(day[BASE] + left[row], to_at)
            place = _place_of(day, row)
            if went > came and place < len(cell_of) and cell_of[place] >= 0:
                own = _append(own, cell_of[place], came, went)
    return own


@compiled
def _beside(days: I64, places: U32, from_at: Whole, to_at: Whole, stays: Met, marked: Bools, met: Met) -> Met:
    """Everybody who shared any moment of [from_at, to_at) with one of the `stays`, ascending, is `marked`; who that is,
    in the room of `met`."""
    met = Met(met.person, met.place, met.span, np.int64(0))
    for d in range(len(days)):
        day = days[d]
        if day[OPENS] >= to_at or day[CLOSES] <= from_at:
            continue
        person, entered, left = (
            _u32(day[PERSON], day[ROWS]),
            _i32(day[ENTERED], day[ROWS]),
            _i32(day[LEFT], day[ROWS]),
        )
        starts = _u32(day[PLACE_STARTS], day[PLACES] + 1)
        for place in places:
            if place >= day[PLACES]:
                continue
            for row in range(starts[place], starts[place + 1]):
                came, went = max(day[BASE] + entered[row], from_at), min(day[BASE] + left[row], to_at)
                for s in range(stays.n):
                    if stays.span[s, 0] >= went:
                        break
                    if stays.span[s, 1] > came and went > came:
                        if not marked[person[row]]:
                            marked[person[row]] = True
                            met = _append(met, person[row], came, went)
                        break
    return met


@compiled
def _in_cell(
    days: I64, places: U32, carrier: Whole, since: Whole, to_at: Whole, marked: Bools, met: Met
) -> Met:
    """The visits of the `marked` but the carrier at `places` in [since, to_at), clipped to it, in the room of `met`."""
    met = Met(met.person, met.place, met.span, np.int64(0))
    for d in range(len(days)):
        day = days[d]
        if day[OPENS] >= to_at or day[CLOSES] <= since:
            continue
        person, entered, left = (
            _u32(day[PERSON], day[ROWS]),
            _i32(day[ENTERED], day[ROWS]),
            _i32(day[LEFT], day[ROWS]),
        )
        starts = _u32(day[PLACE_STARTS], day[PLACES] + 1)
        for place in places:
            if place >= day[PLACES]:
                continue
            for row in range(starts[place], starts[place + 1]):
                came, went = max(day[BASE] + entered[row], since), min(day[BASE] + left[row], to_at)
                if went > came and marked[person[row]] and person[row] != carrier:
                    met = _append(met, person[row], came, went)
    return met


@compiled
def _near(
    days: I64, spans: Spans, part: tuple[int, int, int], rule: CellRule, marked: Bools, sums: Sums
) -> tuple[Sums, Whole]:
    """Who was near the person of one window, cell by cell: shared seconds, the stay that counts, first, last. `part`:
    the window, and of the carrier's cells those whose place among them, divided by `of`, leaves `turn`."""
    window, turn, of = part
    carrier, from_at, to_at = np.int64(spans.carrier[window]), spans.from_at[window], spans.to_at[window]
    since = to_at - rule.horizon
    own = _own_cells(days, carrier, since, to_at, rule.cell_of)
    order = _in_order(own)
    met, beside = _none(4096), _none(4096)
    n = np.int64(0)
    cells = np.int64(-1)
    i = 0
    while i < len(order):
        # 1. The carrier's stays in one cell, overlapping and touching visits made one.
        cell = np.int64(own.person[order[i]])
        stays = _none(64)
        while i < len(order) and own.person[order[i]] == cell:
            start, end = own.span[order[i], 0], own.span[order[i], 1]
            if stays.n > 0 and start <= stays.span[stays.n - 1, 1]:
                stays.span[stays.n - 1, 1] = max(stays.span[stays.n - 1, 1], end)
            else:
                stays = _append(stays, carrier, start, end)
            i += 1
        cells += 1
        if cells % of != turn:
            continue
        theirs = np.int64(0)
        for s in range(stays.n):
            theirs += stays.span[s, 1] - stays.span[s, 0]
        if stays.span[stays.n - 1, 1] <= from_at:
            continue  # there, but before being infectious

        # 2. All visits to the cell of everybody who shared a moment of them there, person by person. (Most share none,
        # and sorting theirs would be most of the work.)
        places = rule.places[rule.cell_starts[cell] : rule.cell_starts[cell + 1]]
        beside = _beside(days, places, from_at, to_at, stays, marked, beside)
        met = _in_cell(days, places, carrier, since, to_at, marked, met)
        for person in beside.person[: beside.n]:
            marked[person] = False
        sums = _sums(sums, n, met.n)
        by_person = _in_order(met)
        k = 0
        while k < len(by_person):
            person = np.int64(met.person[by_person[k]])
            mine, shared, first, last = np.int64(0), np.int64(0), to_at, from_at
            while k < len(by_person) and met.person[by_person[k]] == person:
                start, end = met.span[by_person[k], 0], met.span[by_person[k], 1]
                k += 1
                while (
                    k < len(by_person)
                    and met.person[by_person[k]] == person
                    and met.span[by_person[k], 0] <= end
                ):
                    end = max(end, met.span[by_person[k], 1])
                    k += 1
                mine += end - start
                # 3. What this stay shares with the carrier's.
                for s in range(stays.n):
                    begun = max(start, stays.span[s, 0], from_at)
                    ended = min(end, stays.span[s, 1])
                    if ended - begun > rule.min_shared:
                        shared += ended - begun
                        first, last = min(first, begun), max(last, ended)
            stay = max(mine, theirs) if rule.either else mine
            if shared > 0 and stay > rule.min_stay:
                sums.person[n] = person
                sums.numbers[n, 0], sums.numbers[n, 1] = shared, stay
                sums.numbers[n, 2], sums.numbers[n, 3] = first, last
                n += 1
    return sums, n


def companions(
    columns: Columns,
    windows: Windows,
    places: Places,
    *,
    min_shared: int,
    min_stay: int,
    horizon: int,
    either: bool,
    threads: int = 2,
) -> CompanionTable:
    """Who was long in one grid cell with a case: the rows of companions.sql.

    min_shared: seconds together in the cell, to be exceeded in one stretch; at least 0
    min_stay:   seconds in the cell in all, to be exceeded
    horizon:    seconds before the window's end over which stays are summed; at most 2³² - 1
    either:     the case's own stay in the cell will do as well
    """
    if min_shared < 0 or not 0 < horizon < 2**32:
        raise ValueError("a shared stretch has some length, and a horizon fits 32 bits")
    days, spans = columns.table, _spans(windows)
    rule = CellRule(min_shared, min_stay, horizon, either, *places.by_cell)
    # A single window, the usual case of a cycle, is divided among the threads by its cells.
    of = threads if 0 < len(windows.case) < threads else 1
    parts = [(window, turn, of) for window in range(len(windows.case)) for turn in range(of)]
    found: list[tuple[U32, I64]] = [(np.empty(0, np.uint32), np.empty((0, 4), np.int64))] * len(parts)
    turns = iter(enumerate(parts))

    persons = int(days[:, PERSONS].max(initial=0))

    def work() -> None:
        sums = Sums(np.empty(4096, np.uint32), np.empty((4096, 4), np.int64))
        marked = np.zeros(persons, bool)
        for at, part in turns:
            sums, n = _near(days, spans, part, rule, marked, sums)
            found[at] = sums.person[:n].copy(), sums.numbers[:n].copy()

    _on_threads(work, threads if len(found) > 1 else 1)
    none = (np.empty(0, np.uint32), np.empty((0, 4), np.int64))
    person, numbers = (np.concatenate(column) for column in zip(none, *found, strict=True))
    of_parts = windows.case[np.array([window for window, _, _ in parts], np.int64)]
    case = np.repeat(of_parts, np.array([len(part[0]) for part in found], np.int64))

    # One person may be near in several cells, or through several windows of the case: sum, longest, first, last.
    order = np.lexsort((person, case))
    case, person, numbers = case[order], person[order], numbers[order]
    fresh = np.flatnonzero(np.r_[True, (case[1:] != case[:-1]) | (person[1:] != person[:-1])][: len(case)])
    if not len(fresh):
        nothing = np.empty(0, np.int64)
        return CompanionTable(windows.case_ids, case, person, nothing / 60, nothing / 3600, nothing, nothing)
    return CompanionTable(
        windows.case_ids,
        case[fresh],
        person[fresh],
        np.add.reduceat(numbers[:, 0], fresh) / 60,
        np.maximum.reduceat(numbers[:, 1], fresh) / 3600,
        np.minimum.reduceat(numbers[:, 2], fresh),
        np.maximum.reduceat(numbers[:, 3], fresh),
    )


def _on_threads(work: Callable[[], None], threads: int) -> None:
    if threads < 2:
        return work()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work) for _ in range(threads)]:
            done.result()


def warm() -> None:
    """Compiles, or loads what was compiled before, so that no request waits for it."""
    day = Day.build(0, person=[0, 1], place=[0, 0], entered_at=[0, 0], left_at=[60, 60])
    columns, windows = Columns((day,)), Windows.of([("warm", 0, 0, 60)])
    trace(columns, windows, min_overlap=1)
    meetings(columns, windows, min_overlap=1)
    places = Places(np.zeros(1, bool), np.zeros(1, np.int64))
    companions(columns, windows, places, min_shared=0, min_stay=0, horizon=60, either=True)


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

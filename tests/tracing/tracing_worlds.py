"""Small worlds, and the plain truth about them: every pair of visits looked at, every second counted."""

from __future__ import annotations

import atexit
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from random import Random
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from kangma.terms import DAY
from kangma.tracing.columns import Columns
from kangma.tracing.sql import sql
from kangma.tracing.tables import Windows

VISITS = pa.schema(
    [
        ("person", pa.uint32()),
        ("place", pa.uint32()),
        ("entered_at", pa.int64()),
        ("left_at", pa.int64()),
        ("source", pa.string()),
    ]
)
WINDOWS = pa.schema(
    [("case_id", pa.string()), ("person", pa.uint32()), ("from_at", pa.int64()), ("to_at", pa.int64())]
)
PLACES = pa.schema([("place", pa.uint32()), ("kind", pa.string()), ("cell", pa.int64())])


@dataclass(frozen=True)
class World:
    visits: list[tuple[int, int, int, int, str]]  # person, place, entered_at, left_at, source
    windows: list[tuple[str, int, int, int]]  # case_id, person, from_at, to_at
    places: list[tuple[int, str, int]]  # place, kind, cell

    @property
    def coarse(self) -> np.ndarray:
        return np.array([kind == "grid" for _, kind, _ in sorted(self.places)], bool)

    @property
    def cells(self) -> np.ndarray:
        return np.array([cell for _, _, cell in sorted(self.places)], np.int64)

    @property
    def columns(self) -> Columns:
        return columns(self.visits)

    @property
    def traced(self) -> Windows:
        return Windows.of(self.windows)


def columns(visits: Iterable[tuple[int, int, int, int, str]]) -> Columns:
    real = sorted((v for v in visits if v[4] != "scan_static"), key=lambda v: v[2] // DAY)
    names = ("person", "place", "entered_at", "left_at")
    return Columns.build(
        {
            day: dict(zip(names, zip(*((*v[:4],) for v in rows), strict=True), strict=True))
            for day, rows in groupby(real, key=lambda v: v[2] // DAY)
        }
    )


def table(rows: Iterable[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema)


@cache
def connection() -> duckdb.DuckDBPyConnection:
    """One engine for all small worlds: opening it costs more than asking."""
    atexit.register(connection.cache_clear)
    return duckdb.connect(config={"threads": 1})


def by_sql(world: World, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
    con = connection()
    con.register("visits", table(world.visits, VISITS))
    con.register("windows", table(world.windows, WINDOWS))
    con.register("places", table(world.places, PLACES))
    return con.execute(sql(name), parameters).fetchall()


def rows(found: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in found.to_pylist()]


def exposures(world: World, *, min_overlap: int, linger: int = 0) -> list[tuple[Any, ...]]:
    """The definition, pair by pair. A pair of visits is one meeting; equal visits are one visit."""
    kinds = {place: kind for place, kind, _ in world.places}
    visits = {v[:4] for v in world.visits if v[4] != "scan_static"}
    met = defaultdict(list)
    for case_id, carrier, from_at, to_at in world.windows:
        for person, place, entered_at, left_at in visits:
            if person != carrier or kinds.get(place) == "grid":
                continue
            start, end = max(entered_at, from_at), min(left_at, to_at)
            if start >= to_at or (end <= from_at and entered_at < from_at):
                continue  # the case was not there while infectious
            for other, there, other_entered_at, other_left_at in visits:
                if other == carrier or there != place:
                    continue
                first, last = max(start, other_entered_at), min(end + linger, other_left_at)
                if last - first >= min_overlap:
                    met[case_id, other].append((first, last))
    return [
        (
            case_id,
            person,
            sum(b - a for a, b in spans) / 60,
            len(spans),
            min(spans)[0],
            max(b for _, b in spans),
        )
        for (case_id, person), spans in sorted(met.items())
    ]


def companions(
    world: World, *, min_shared: int, min_stay: int, horizon: int, either: bool
) -> list[tuple[Any, ...]]:
    """The definition, second by second: a phone is in a cell in a second or it is not."""
    cells = {place: cell for place, _, cell in world.places}
    moments = [at for v in world.visits for at in v[2:4]] + [at for w in world.windows for at in w[2:4]]
    dawn, dusk = min(moments, default=0), max(moments, default=0)
    inside: dict[tuple[int, int], np.ndarray] = {}  # (person, cell) → one flag a second
    for person, place, entered_at, left_at, source in world.visits:
        if source != "scan_static" and place in cells:
            flags = inside.setdefault((person, cells[place]), np.zeros(dusk - dawn, bool))
            flags[entered_at - dawn : left_at - dawn] = True
    found = defaultdict(list)
    for case_id, carrier, from_at, to_at in world.windows:
        looked_at, infectious = np.zeros(dusk - dawn, bool), np.zeros(dusk - dawn, bool)
        looked_at[max(to_at - horizon - dawn, 0) : to_at - dawn] = True
        infectious[from_at - dawn : to_at - dawn] = True
        for (person, cell), flags in inside.items():
            if person == carrier or (carrier, cell) not in inside:
                continue
            mine, theirs = flags & looked_at, inside[carrier, cell] & looked_at
            stay = max(mine.sum(), theirs.sum()) if either else mine.sum()
            together = [r for r in _runs(mine & theirs & infectious, dawn) if len(r) > min_shared]
            if together and stay > min_stay:
                found[case_id, person].append((stay, together))
    return [
        (
            case_id,
            person,
            sum(len(r) for _, runs in here for r in runs) / 60,
            max(stay for stay, _ in here) / 3600,
            min(r.start for _, runs in here for r in runs),
            max(r.stop for _, runs in here for r in runs),
        )
        for (case_id, person), here in sorted(found.items())
    ]


def _runs(flags: np.ndarray, dawn: int) -> list[range]:
    """The unbroken stretches of true flags."""
    turns = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8))) + dawn
    return [range(start, stop) for start, stop in turns.reshape(-1, 2).tolist()]


def edges(*, persons: int = 3, places: int = 2, least: int = 6, most: int = 14) -> st.SearchStrategy[World]:
    """Worlds that are all edge: ten-minute marks, midnights, zero lengths, long stays, rows told twice.

    Two places and a third, which may be a telecom cell.
    """
    at = st.builds(
        lambda day, second: day * DAY + second,
        st.integers(0, 1),
        st.sampled_from([0, 1, 600, 601, 1200, 3600, 85800, 86399]),
    )
    length = st.sampled_from([0, 599, 600, 601, 1200, 7200, 7200, DAY, DAY, 2 * DAY + 5])
    visit = st.builds(
        lambda who, where, start, stay, source: (who, where, start, start + stay, source),
        st.integers(0, persons - 1),
        st.integers(0, places),
        at,
        length,
        st.sampled_from(["scan"] * 5 + ["telecom"] * 5 + ["scan_static"]),
    )
    window = st.builds(
        lambda case_id, who, start, stay: (case_id, who, start, start + stay),
        st.sampled_from(["C1", "C2", "案例三"]),
        st.integers(0, persons),
        st.sampled_from([-DAY, -DAY, 0, 1, 600, 86399, DAY]),
        st.sampled_from([1, 600, 7200, DAY, 2 * DAY, 3 * DAY, 3 * DAY]),
    )
    kinds = st.tuples(*[st.just("venue")] * places, st.sampled_from(["home", "grid"]))
    cells = st.tuples(*[st.sampled_from([7, 7, 7, 8])] * (places + 1))
    return st.builds(
        lambda visits, twice, windows, kinds, cells: World(
            visits + visits[:twice],
            windows,
            [(place, kind, cell) for place, (kind, cell) in enumerate(zip(kinds, cells, strict=True))],
        ),
        st.lists(visit, min_size=least, max_size=most),
        st.integers(0, 2),
        st.lists(window, min_size=1, max_size=3, unique_by=lambda w: w[:2]),
        kinds,
        cells,
    )


def crowd(seed: int) -> World:
    """A crowded world of chance: in most of them somebody met a case more than once."""
    chance = Random(seed)
    persons, places = chance.randint(2, 6), chance.randint(1, 4)
    marks = [0, 1, 599, 600, 1200, 3600, 40_000, 85_800, 86_399]
    lengths = [0, 599, 600, 601, 1199, 7200, 20_000, 50_000, DAY, 2 * DAY + 5]
    visits = []
    for _ in range(chance.randint(8, 40)):
        start = chance.randint(-1, 2) * DAY + chance.choice(marks)
        source = chance.choice(["scan"] * 5 + ["telecom"] * 4 + ["scan_static"])
        visits.append(
            (
                chance.randrange(persons),
                chance.randrange(places),
                start,
                start + chance.choice(lengths),
                source,
            )
        )
    windows = {}
    for _ in range(chance.randint(1, 4)):
        start = chance.randint(-1, 1) * DAY + chance.choice(marks)
        key = chance.choice(["C1", "C2", "案例三"]), chance.randrange(persons)
        windows[key] = (*key, start, start + chance.choice([1, 600, 7200, DAY, 2 * DAY, 3 * DAY]))
    kinds = ["venue", "home", "venue", "grid"]
    return World(
        visits + visits[: chance.randint(0, 3)],
        list(windows.values()),
        [(place, kinds[place], chance.choice([7, 7, 8])) for place in range(places)],
    )


def worlds(*, most: int = 14) -> st.SearchStrategy[World]:
    """Edges, which shrink to the smallest example, and crowds, which meet."""
    return st.one_of(edges(most=most), st.integers(0, 2**32 - 1).map(crowd))

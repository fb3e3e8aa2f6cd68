"""Tracing inside the cycle: what was found is kept, and only what can have changed is traced again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kangma.codes.turns import Persons
from kangma.errors import Corrupt
from kangma.evidence.runs import distinct
from kangma.evidence.views import documents
from kangma.policy.rules import Policy
from kangma.publish import MEMORY
from kangma.publish.reach import Reach, column
from kangma.publish.release import WINDOWS, read_table
from kangma.store.by_person import Documents
from kangma.store.columns import drop_columns, keep_columns, read_columns, write_columns
from kangma.store.engine import engine
from kangma.store.releases import Release
from kangma.store.state import State
from kangma.tracing.columns import Columns, Day
from kangma.tracing.derive import cell_metres, met, places, windows
from kangma.tracing.tables import Places, Windows

#: A table of more pieces than this is copied into one.
PIECES = 32


@dataclass(frozen=True, slots=True)
class Traced:
    """Everything tracing found, and the persons (ascending) for whom that differs from the release before."""

    windows: pa.Table
    exposures: pa.Table
    companions: pa.Table
    changed: Persons
    retraced: int  # cases
    key: str  # of the visits and the parameters that this was found with
    stale: pa.Array  # the cases that were traced again

    @property
    def tables(self) -> dict[str, tuple[pa.Table, pa.Array]]:
        """Name → the table, and the cases whose rows in it may not be those of the release before."""
        made = {"windows": self.windows, "exposures": self.exposures, "companions": self.companions}
        return {name: (table, self.stale) for name, table in made.items()}


def trace_city(reach: Reach, state: State, policy: Policy, last: Release | None) -> Traced:
    """Exposures and companions of every open window, by the evidence in reach.

    A case is traced again when its window moved; all are when visits, places or the tracing parameters did.
    """
    con, held = reach.con, reach.documents
    key = _key(held, policy)
    old_windows, old_exposures, old_companions = (
        read_table(state, last, name) for name in ("windows", "exposures", "companions")
    )
    if last is not None and last.counts["tracing_key"] == key:
        open_now = _opened(reach, policy, _moved(reach, last), old_windows)
        stale = _cases(open_now, old_windows)
    else:
        open_now = _opened(reach, policy, None, old_windows)
        stale = sorted({*open_now["case_id"].to_pylist(), *old_windows["case_id"].to_pylist()})
    if not stale:
        nobody = np.empty(0, np.uint32)
        return Traced(open_now, old_exposures, old_companions, nobody, 0, key, pa.array([], pa.string()))

    again = Windows.from_arrow(open_now.filter(pc.is_in(open_now["case_id"], pa.array(stale, pa.string()))))
    if again.case_ids:
        columns, known = city_columns(state, held), city_places(state, held, policy)
    else:
        columns, known = Columns(), Places(np.empty(0, np.bool_), np.empty(0, np.int64))
    exposed, companions = met(columns, again, policy.tracing, known)
    exposures, moved = _merge(con, old_exposures, exposed.arrow(), stale)
    near, moved_too = _merge(con, old_companions, companions.arrow(), stale)
    changed = np.union1d(moved, moved_too).astype(np.uint32)
    return Traced(open_now, exposures, near, changed, len(stale), key, pa.array(stale, pa.string()))


def _moved(reach: Reach, last: Release) -> pa.Array:
    """The cases whose windows may not be those of the release before: of which new documents speak, and of persons of
    whom new tests or isolations do."""
    named, generation = (
        [reach.told(kind, last.generation) for kind in ("tests", "isolations")],
        last.generation,
    )
    persons = distinct([column(told, "person").to_numpy() for told in named if told], np.uint32)
    told = reach.told("cases", generation)
    cases = [reach.cases_of(persons), *([column(told, "case_id")] if told else [])]
    return pa.concat_arrays(cases).unique()


def _opened(reach: Reach, policy: Policy, moved: pa.Array | None, before: pa.Table) -> pa.Table:
    """The windows of now: those of the cases that may have `moved` (None: all) found anew, the others as before."""
    if moved is not None and not len(moved):
        return before
    reach.of_cases(moved)
    found = infectious_windows(reach.con, policy)
    if moved is None:
        return found
    # A document of one of these cases may have been of another case before, of which not all is known here.
    again = found.filter(pc.is_in(found["case_id"], moved))
    kept = before.filter(pc.invert(pc.is_in(before["case_id"], moved)))
    return pa.concat_tables([kept, again.cast(before.schema)]).combine_chunks()


def infectious_windows(con: duckdb.DuckDBPyConnection, policy: Policy) -> pa.Table:
    """Rows of WINDOWS for every live case that has one."""
    found = windows(con, look_back_days=policy.tracing.look_back_days)
    cases = pa.array(found.case_ids, pa.string()).take(pa.array(found.case))
    return pa.Table.from_arrays(
        [cases, *map(pa.array, (found.person, found.from_at, found.to_at))], schema=WINDOWS
    )


def city_columns(state: State, held: Documents) -> Columns:
    """The live visits as sorted columns; days that did not change are mapped from disk, the others are built."""
    about = held.digest(["identities", "retractions"])
    segments = held.segments.get("visits", [])
    strays = sorted(s.digest for s in segments if s.day is None)
    # A newer version on another day takes the older one off a day whose own files stay as they are.
    corrected, visits = _corrected_days(state, held), held.digest(["visits"])
    numbers = state.visit_days() if strays else sorted({s.day for s in segments if s.day is not None})
    days: dict[str, Day | None] = {}
    for number in numbers:
        named = sorted(s.digest for s in segments if s.day == number) + strays + [about]
        named += [visits] if number in corrected else []
        key = f"{number}-{hashlib.sha256(' '.join(named).encode()).hexdigest()[:32]}"
        days[key] = _mapped(state, key)
    if None in days.values():
        with whole_evidence(state, ("visits",)) as con:
            for number, key in zip(numbers, days, strict=True):
                days[key] = days[key] or _built(con, state, number, key)
    keep_columns(state, days.keys())
    opened = _mapped_days(state)
    for gone in opened.keys() - days.keys():
        del opened[gone]
    return Columns.of(day for day in days.values() if day is not None)


def city_places(state: State, held: Documents, policy: Policy) -> Places:
    """What tracing knows of the live places; kept until places or retractions change."""
    metres = cell_metres(policy.tracing)
    key = f"{held.digest(['places', 'retractions'])} {metres}"
    there: tuple[str, Places] | None = state.kept.get("places")
    if there is None or there[0] != key:
        with whole_evidence(state, ("places",)) as con:
            there = state.kept["places"] = (key, places(con, cell_metres=metres))
    return there[1]


@contextmanager
def whole_evidence(state: State, kinds: Collection[str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the live documents of these kinds, of everybody."""
    with engine(state.path / "tmp", memory=MEMORY) as con:
        state.raw(con)
        documents(con, kinds)
        yield con


def _corrected_days(state: State, held: Documents) -> set[int]:
    """UTC days that hold a version of a visit of which another version is of another day. (Two documents of one hash
    would add a day too many, which is built anew more often than it need be.)"""
    by_day: dict[int, list[NDArray[np.uint64]]] = {}
    for s in held.segments.get("visits", []):
        ids = held.visit_ids(s)
        if len(ids) and s.day is None:
            return set(state.visit_days())  # any of them
        if len(ids) and s.day is not None:
            by_day.setdefault(s.day, []).append(ids)
    if len(by_day) < 2:
        return set()
    key = held.digest(["visits"])
    there: tuple[str, set[int]] | None = state.kept.get("corrected days")
    if there is None or there[0] != key:
        once = {day: np.unique(np.concatenate(ids)) for day, ids in by_day.items()}
        known, count = np.unique(np.concatenate(list(once.values())), return_counts=True)
        twice = known[count > 1]
        there = (key, {day for day, ids in once.items() if np.isin(ids, twice, assume_unique=True).any()})
        state.kept["corrected days"] = there
    return there[1]


def _mapped_days(state: State) -> dict[str, Day]:
    """Days that this program has opened and checked: they are read without checks afterwards."""
    found: dict[str, Day] = state.kept.setdefault("days", {})
    return found


def _mapped(state: State, key: str) -> Day | None:
    opened = _mapped_days(state)
    if key not in opened:
        buffers = read_columns(state, key)
        if buffers is None:
            return None
        try:
            opened[key] = Day.from_buffers(buffers, whole=True)
        except Corrupt:  # they are derived: drop what is damaged and build it again
            drop_columns(state, key)
            return None
    return opened[key]


def _built(con: duckdb.DuckDBPyConnection, state: State, number: int, key: str) -> Day:
    table = state.visits_of_day(con, number).filter(pc.field("source") != "scan_static")
    day = Day.build(
        number,
        person=table["person"].to_numpy(),
        place=table["place"].to_numpy(),
        entered_at=table["entered_at"].to_numpy(),
        left_at=table["left_at"].to_numpy(),
    )
    write_columns(state, key, day.to_buffers())
    return _mapped(state, key) or day


def _key(held: Documents, policy: Policy) -> str:
    evidence = held.digest(["visits", "places", "identities", "retractions"])
    return hashlib.sha256(f"{evidence} {policy.tracing}".encode()).hexdigest()


def _cases(new: pa.Table, old: pa.Table) -> list[str]:
    """Cases whose windows are not the same in both."""
    now, then = (Counter(zip(*(c.to_pylist() for c in t.columns), strict=True)) for t in (new, old))
    case = new.schema.get_field_index("case_id")
    return sorted({str(row[case]) for row in ((now - then) + (then - now))})


def _merge(
    con: duckdb.DuckDBPyConnection, old: pa.Table, found: pa.Table, stale: list[str]
) -> tuple[pa.Table, Persons]:
    """`old` with the rows of the `stale` cases replaced by `found`, and the persons whose rows differ."""
    stale_cases = pa.array(stale, pa.string())
    then = pc.is_in(old["case_id"], stale_cases)
    found_then = old.filter(then)
    moved = found["person"].to_numpy()
    if found_then.num_rows:  # else all of it is new, as of a case that nobody knew before
        con.register("found_then", found_then)
        con.register("found_now", found)
        rows = con.sql(
            "SELECT person FROM ((FROM found_now EXCEPT ALL FROM found_then) UNION ALL "
            "(FROM found_then EXCEPT ALL FROM found_now))"
        ).to_arrow_table()
        moved = rows["person"].to_numpy()
    kept = old.filter(pc.invert(then)) if found_then.num_rows else old
    # Copying a million rows costs more than a few more pieces.
    whole = pa.concat_tables([kept, found])
    whole = whole if whole["person"].num_chunks < PIECES else whole.combine_chunks()
    return whole, distinct([moved], np.uint32)

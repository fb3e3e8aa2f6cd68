"""Tracing inside the cycle: what was found is kept, and only what can have changed is traced again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import duckdb
import numpy as np
import pyarrow as pa

from kangma.codes.turns import Persons
from kangma.errors import Corrupt
from kangma.policy.rules import Policy
from kangma.publish.release import WINDOWS, read_table
from kangma.store.columns import drop_columns, keep_columns, read_columns, write_columns
from kangma.store.releases import Release
from kangma.store.state import State
from kangma.terms import DAY
from kangma.tracing.columns import Columns, Day
from kangma.tracing.derive import met, windows
from kangma.tracing.tables import Windows


@dataclass(frozen=True, slots=True)
class Traced:
    """Everything tracing found, and the persons (ascending) for whom that differs from the release before."""

    windows: pa.Table
    exposures: pa.Table
    companions: pa.Table
    changed: Persons
    retraced: int  # cases
    key: str  # of the visits and the parameters that this was found with


def trace_city(con: duckdb.DuckDBPyConnection, state: State, policy: Policy, last: Release | None) -> Traced:
    """Exposures and companions of every open window, by the live views on `con`.

    A case is traced again when its window moved; all are when visits, places or the tracing parameters did.
    """
    open_now = infectious_windows(con, policy)
    key = _key(state, policy)
    old_windows, old_exposures, old_companions = (
        read_table(state, last, name) for name in ("windows", "exposures", "companions")
    )
    if last is not None and last.counts["tracing_key"] == key:
        stale = _cases(con, open_now, old_windows)
    else:
        stale = sorted({*open_now["case_id"].to_pylist(), *old_windows["case_id"].to_pylist()})
    if not stale:
        return Traced(open_now, old_exposures, old_companions, np.empty(0, np.uint32), 0, key)

    again = Windows.from_arrow(
        open_now.filter(pa.compute.is_in(open_now["case_id"], pa.array(stale, pa.string())))
    )
    columns = city_columns(con, state) if again.case_ids else Columns()
    exposed, companions = met(con, columns, again, policy.tracing)
    exposures, moved = _merge(con, old_exposures, exposed.arrow(), stale)
    near, moved_too = _merge(con, old_companions, companions.arrow(), stale)
    return Traced(open_now, exposures, near, np.union1d(moved, moved_too).astype(np.uint32), len(stale), key)


def infectious_windows(con: duckdb.DuckDBPyConnection, policy: Policy) -> pa.Table:
    """Rows of WINDOWS for every live case that has one."""
    found = windows(con, look_back_days=policy.tracing.look_back_days)
    cases = pa.array(found.case_ids, pa.string()).take(pa.array(found.case))
    return pa.Table.from_arrays(
        [cases, *map(pa.array, (found.person, found.from_at, found.to_at))], schema=WINDOWS
    )


def city_columns(con: duckdb.DuckDBPyConnection, state: State) -> Columns:
    """The live visits as sorted columns; days that did not change are mapped from disk, the others are built."""
    about = state.evidence_digest(["identities", "retractions"])
    segments = state.live_segments(["visits"])
    strays = sorted(s.digest for s in segments if s.day is None)
    # A newer version on another day takes the older one off a day whose own files stay as they are.
    corrected, visits = _corrected_days(con), state.evidence_digest(["visits"])
    days, keys = [], set()
    for number in state.visit_days():
        named = sorted(s.digest for s in segments if s.day == number) + strays + [about]
        named += [visits] if number in corrected else []
        key = f"{number}-{hashlib.sha256(' '.join(named).encode()).hexdigest()[:32]}"
        keys.add(key)
        days.append(_mapped(state, key) or _built(con, state, number, key))
    keep_columns(state, keys)
    opened = _OPEN.setdefault(state, {})
    for gone in opened.keys() - keys:
        del opened[gone]
    return Columns.of(days)


def _corrected_days(con: duckdb.DuckDBPyConnection) -> set[int]:
    """UTC days that hold a version of a visit of which another version is of another day."""
    day = f"floor(entered_at / {DAY})::BIGINT"
    rows = con.execute(
        f"SELECT DISTINCT {day} FROM raw_visits SEMI JOIN ("
        "SELECT feed, document_id FROM raw_visits WHERE document_id IS NOT NULL GROUP BY feed, document_id "
        f"HAVING min({day}) < max({day})) USING (feed, document_id)"
    ).fetchall()
    return {number for (number,) in rows}


#: Days that this program has opened and checked, by state: they are read without checks afterwards.
_OPEN: WeakKeyDictionary[State, dict[str, Day]] = WeakKeyDictionary()


def _mapped(state: State, key: str) -> Day | None:
    opened = _OPEN.setdefault(state, {})
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
    table = state.visits_of_day(con, number).filter(pa.compute.field("source") != "scan_static")
    day = Day.build(
        number,
        person=table["person"].to_numpy(),
        place=table["place"].to_numpy(),
        entered_at=table["entered_at"].to_numpy(),
        left_at=table["left_at"].to_numpy(),
    )
    write_columns(state, key, day.to_buffers())
    return _mapped(state, key) or day


def _key(state: State, policy: Policy) -> str:
    evidence = state.evidence_digest(["visits", "places", "identities", "retractions"])
    return hashlib.sha256(f"{evidence} {policy.tracing}".encode()).hexdigest()


def _cases(con: duckdb.DuckDBPyConnection, new: pa.Table, old: pa.Table) -> list[str]:
    """Cases whose windows are not the same in both."""
    con.register("windows_now", new)
    con.register("windows_then", old)
    rows = con.execute(
        "SELECT DISTINCT case_id FROM ((FROM windows_now EXCEPT ALL FROM windows_then) UNION ALL "
        "(FROM windows_then EXCEPT ALL FROM windows_now)) ORDER BY 1"
    ).fetchall()
    return [case for (case,) in rows]


def _merge(
    con: duckdb.DuckDBPyConnection, old: pa.Table, found: pa.Table, stale: list[str]
) -> tuple[pa.Table, Persons]:
    """`old` with the rows of the `stale` cases replaced by `found`, and the persons whose rows differ."""
    stale_cases = pa.array(stale, pa.string())
    kept = old.filter(pa.compute.invert(pa.compute.is_in(old["case_id"], stale_cases)))
    con.register("found_then", old.filter(pa.compute.is_in(old["case_id"], stale_cases)))
    con.register("found_now", found)
    moved = con.sql(
        "SELECT DISTINCT person FROM ((FROM found_now EXCEPT ALL FROM found_then) UNION ALL "
        "(FROM found_then EXCEPT ALL FROM found_now))"
    ).to_arrow_table()
    return pa.concat_tables([kept, found]).combine_chunks(), np.sort(moved["person"].to_numpy())

"""The stage as its caller sees it: live evidence on a DuckDB connection, visits as columns, exposures out."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import pyarrow as pa

from kangma.terms import DAY, HOUR, Moment
from kangma.tracing.columns import Columns
from kangma.tracing.rule import CompanionRule, TracingRule
from kangma.tracing.sql import sql
from kangma.tracing.tables import CompanionTable, ExposureTable, Places, Windows

__all__ = ["CompanionRule", "Traced", "TracingRule", "derive", "met", "places", "secondary", "windows"]

EPISODE = 28 * DAY  # a positive sample older than this, at confirmation, was another infection
ISOLATION_WAIT = 7 * DAY  # an isolation that begins later than this after confirmation had another reason


@dataclass(frozen=True, eq=False)
class Traced:
    """Everything that tracing derives from one state of the evidence."""

    windows: Windows
    exposures: ExposureTable
    companions: CompanionTable


def windows(con: duckdb.DuckDBPyConnection, *, look_back_days: int) -> Windows:
    """Infectious windows of the live cases (windows.sql)."""
    parameters = {"look_back": look_back_days * DAY, "episode": EPISODE, "isolation_wait": ISOLATION_WAIT}
    return Windows.from_arrow(_table(con, "windows", parameters))


def places(con: duckdb.DuckDBPyConnection, *, cell_metres: int) -> Places:
    """What tracing knows of the live places (places.sql)."""
    return Places.from_arrow(_table(con, "places", {"metres": cell_metres}))


def derive(con: duckdb.DuckDBPyConnection, columns: Columns, rule: TracingRule) -> Traced:
    """Exposures and companions of all live cases, from `live_cases`, `live_tests`, `live_isolations` and
    `live_places` on the connection, and from the columns of all live visits but those of static scans."""
    infectious = windows(con, look_back_days=rule.look_back_days)
    return Traced(infectious, *met(columns, infectious, rule, places(con, cell_metres=cell_metres(rule))))


def cell_metres(rule: TracingRule) -> int:
    """The side of a cell; without a rule of companions any will do."""
    return (rule.companion or CompanionRule()).cell_metres


def met(
    columns: Columns, infectious: Windows, rule: TracingRule, known: Places
) -> tuple[ExposureTable, CompanionTable]:
    """The same of these windows alone, at places `known` with cells of `cell_metres(rule)`."""
    from kangma.tracing.kernel import companions, trace  # noqa: PLC0415  Numba loads slowly; most parts trace nobody

    near = rule.companion or CompanionRule()
    exposed = trace(
        columns,
        infectious,
        min_overlap=rule.min_overlap_minutes * 60,
        linger=rule.linger_minutes * 60,
        coarse=known.coarse,
    )
    beside = companions(
        columns,
        infectious if rule.companion else Windows.of([]),
        known,
        min_shared=near.min_minutes * 60,
        min_stay=near.min_hours * HOUR,
        horizon=near.days * DAY,
        either=near.either,
    )
    return exposed, beside


def secondary(
    con: duckdb.DuckDBPyConnection, columns: Columns, rule: TracingRule, *, until: Moment
) -> pa.Table:
    """A tracer's list of contacts of contacts: case_id, via, person, minutes, meetings, first_at, last_at.

    Needs `exposures` (of `derive`) on the connection beside `live_contacts`, `live_cases`, `live_isolations` and
    `live_places`. `until` ends the time of a contact whom nobody has isolated yet. Nothing is kept: when a contact's
    result or a case changes, asking again gives the list anew.
    """
    from kangma.tracing.kernel import trace  # noqa: PLC0415  Numba loads slowly; most parts trace nobody

    chains = _table(con, "chains", {"until": until})
    names = chains.column("chain").to_pylist()
    via, from_at, to_at = (chains.column(name).to_pylist() for name in ("via", "from_at", "to_at"))
    met = trace(
        columns,
        Windows.of(zip(names, via, from_at, to_at, strict=True)),
        min_overlap=rule.min_overlap_minutes * 60,
        linger=rule.linger_minutes * 60,
        coarse=places(con, cell_metres=CompanionRule().cell_metres).coarse,
    ).arrow()
    con.register("chains", chains)
    con.register("met", met)
    try:
        return con.sql(sql("secondary")).to_arrow_table()
    finally:
        con.unregister("chains")
        con.unregister("met")


def _table(con: duckdb.DuckDBPyConnection, name: str, parameters: dict[str, int]) -> pa.Table:
    # On this very connection: what was registered or is temporary is not seen by another cursor.
    return con.sql(sql(name), params=parameters).to_arrow_table()

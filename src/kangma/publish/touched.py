"""Who must be judged anew: everybody whom new evidence names, whom it reaches through others, and whose moment has come.

The answer may be too large, never too small; a property test holds a city that was judged in parts equal to one that
is judged whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from kangma.codes.turns import Persons, due
from kangma.intake.kinds import KINDS, Type
from kangma.publish.release import read_table
from kangma.store import registry as r
from kangma.store.engine import parquet
from kangma.store.releases import Release
from kangma.store.state import State
from kangma.terms import Moment

#: Kinds that speak of places, of everybody, or of which documents count: a new row may change anybody's verdict.
EVERYBODY = (
    "identities",
    "areas",
    "area_lists",
    "counties",
    "screening_rounds",
    "retractions",
)
#: Where a larger part of the city is touched, judging the whole is cheaper than choosing; a few are always chosen.
MOST = 0.2
FEW = 1_000


def touched(
    con: duckdb.DuckDBPyConnection,
    state: State,
    last: Release | None,
    exposed: Persons,
    *,
    now: Moment,
) -> Persons | None:
    """Canonical persons to judge (ascending), None for everybody.

    `con` has the raw and live views of now; `exposed` are the persons whose exposures are not those of `last`.
    """
    fresh = _fresh(state, last)
    if fresh is None or any(kind in fresh for kind in EVERYBODY):
        return None
    if "places" in fresh and _in_an_area(con, fresh.pop("places")):
        return None
    found: list[Persons] = [exposed, due(read_table(state, last, "out"), now)]
    for kind, files in fresh.items():
        found.append(_named(con, kind, files))
        if kind == "cases":
            found.append(_near_cases(con, files))
        if kind == "tests":
            found.append(_in_one_tube(con, files))
    persons = np.unique(np.concatenate(found))
    for _ in range(2):  # a contact of a contact hears of the contact's result
        persons = np.union1d(persons, _contacts_of(con, persons))
    if len(persons) > max(FEW, MOST * state.person_count()):
        return None
    return persons.astype(np.uint32)


def _fresh(state: State, last: Release | None) -> dict[str, list[Path]] | None:
    """Segment files that became visible since the last release; None when evidence has left or there is no release."""
    if last is None:
        return None
    runs = int(str(last.counts["deletion_run"]))
    s = r.segments.c
    with state.registry.read() as on:
        gone = on.execute(
            sa.select(sa.func.count())
            .select_from(r.deletions)
            .where(r.deletions.c.state == "shredded", r.deletions.c.run > runs)
        ).scalar()
        rows = on.execute(
            sa.select(s.kind, s.file).where(s.since > last.generation, s.dropped.is_(None))
        ).all()
    if gone:
        return None
    files: dict[str, list[Path]] = {}
    for kind, file in rows:
        if kind in KINDS:
            files.setdefault(kind, []).append(state.path / "segments" / file)
    return files


def last_deletion(state: State) -> int:
    """The number of the last deletion run that took anything, 0 before the first."""
    c = r.deletions.c
    with state.registry.read() as on:
        return int(on.execute(sa.select(sa.func.max(c.run)).where(c.state == "shredded")).scalar() or 0)


def _named(con: duckdb.DuckDBPyConnection, kind: str, files: Iterable[Path]) -> Persons:
    """The persons whom new rows name, and those whom another version of the same documents names.

    New visits touch by what tracing makes of them (`exposed`), and by the places that lie in an area.
    """
    columns = [c.name for c in KINDS[kind].stored if c.type is Type.PERSON and c.name != "guardian"]
    source = parquet(list(files))
    placed = (
        "WHERE place IN (SELECT place FROM live_places WHERE area_id IS NOT NULL)" if kind == "visits" else ""
    )
    queries = [f"SELECT {c} AS person FROM {source} {placed}" for c in columns]
    queries += [
        f"SELECT {c} AS person FROM raw_{kind} SEMI JOIN (SELECT DISTINCT feed, document_id FROM {source} "
        f"WHERE document_id IS NOT NULL) USING (feed, document_id) {placed}"
        for c in columns
        if kind != "visits" or _has_ids(con, source)
    ]
    return _canonical(con, " UNION ALL ".join(queries))


def _in_an_area(con: duckdb.DuckDBPyConnection, files: Iterable[Path]) -> bool:
    """Whether one of these places lies in an area, or did by another description of it: its visits are stays there.

    What else places matter for, exposures, tells itself by the exposures that moved.
    """
    source = parquet(list(files))
    ((count,),) = con.sql(
        f"SELECT count(area_id) FROM raw_places WHERE place IN (SELECT place FROM {source})"
    ).fetchall()
    return bool(count)


def _has_ids(con: duckdb.DuckDBPyConnection, source: str) -> bool:
    ((any_,),) = con.sql(f"SELECT count(document_id) > 0 FROM {source}").fetchall()
    return bool(any_)


def _near_cases(con: duckdb.DuckDBPyConnection, files: Iterable[Path]) -> Persons:
    """Whoever has an exposure to, or was named a contact of, a case that a new row speaks of."""
    cases = f"(SELECT DISTINCT case_id FROM {parquet(list(files))})"
    return _canonical(
        con,
        f"SELECT person FROM exposures SEMI JOIN {cases} USING (case_id) UNION ALL "
        f"SELECT person FROM companions SEMI JOIN {cases} USING (case_id) UNION ALL "
        f"SELECT person FROM live_contacts WHERE index_case_id IN (SELECT case_id FROM {cases})",
    )


def _in_one_tube(con: duckdb.DuckDBPyConnection, files: Iterable[Path]) -> Persons:
    return _canonical(
        con,
        "SELECT person FROM live_tests SEMI JOIN (SELECT DISTINCT lab, pool_id FROM "
        f"{parquet(list(files))} WHERE pool_id IS NOT NULL) USING (lab, pool_id)",
    )


def _contacts_of(con: duckdb.DuckDBPyConnection, persons: Persons) -> Persons:
    con.register("touched_so_far", pa.table({"person": persons}))
    return _canonical(
        con,
        "SELECT person FROM live_contacts WHERE index_person IN (SELECT person FROM touched_so_far) UNION ALL "
        "SELECT c.person FROM live_contacts c JOIN live_cases k ON c.index_case_id = k.case_id "
        "WHERE k.person IN (SELECT person FROM touched_so_far)",
    )


def _canonical(con: duckdb.DuckDBPyConnection, persons: str) -> Persons:
    """Distinct canonical numbers of a query's `person` column, nulls left out."""
    table = con.sql(
        f"SELECT DISTINCT coalesce(c.canonical, q.person)::UINTEGER AS person FROM ({persons}) q "
        "LEFT JOIN canonical c ON q.person = c.person WHERE q.person IS NOT NULL"
    ).to_arrow_table()
    return np.sort(table["person"].to_numpy())

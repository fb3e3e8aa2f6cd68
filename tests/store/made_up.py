"""Small states and small rows, all of them made up."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from kangma.intake.kinds import KINDS
from kangma.store.state import State

NOON = 1_650_880_800  # 2022-04-25T10:00:00Z


def person(n: int) -> bytes:
    return n.to_bytes(2, "big") * 8


def rows(kind: str, *given: dict[str, object]) -> pa.RecordBatch:
    """Accepted rows of a kind; `document_version` is 0 unless given."""
    filled = [{"document_id": None, "document_version": 0, **row} for row in given]
    names = KINDS[kind].schema.names
    return pa.RecordBatch.from_pylist([{n: row.get(n) for n in names} for row in filled], KINDS[kind].schema)


def visit(who: int, place: str, at: int = NOON, minutes: int = 30, **more: object) -> dict[str, object]:
    return {
        "person": person(who),
        "place_id": place,
        "entered_at": at,
        "left_at": at + 60 * minutes,
        "source": "scan",
        **more,
    }


def result(
    who: int, specimen: str, outcome: str = "negative", at: int = NOON, **more: object
) -> dict[str, object]:
    return {
        "specimen_id": specimen,
        "person": person(who),
        "sampled_at": at - 3600,
        "reported_at": at,
        "method": "nat",
        "pooled": False,
        "result": outcome,
        "lab": "lab7",
        **more,
    }


def evidence(state: State, kind: str, columns: str = "*") -> list[tuple[object, ...]]:
    """The raw rows of a kind with person keys (and place ids) in place of numbers, sorted."""
    with duckdb.connect() as con:
        state.raw(con)
        select = {
            "visits": "SELECT feed, document_id, document_version, k.key, p.place_id, entered_at, left_at, source "
            "FROM raw_visits v JOIN person_keys k USING (person) JOIN place_numbers p USING (place)",
        }.get(kind, f"SELECT {columns} FROM raw_{kind}")
        return sorted(con.sql(select).fetchall(), key=repr)

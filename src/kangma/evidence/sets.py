"""Evidence as a set, in memory: documents in any order, cut anyhow, given to a connection as the raw relations.

The plain twin of what the store does with segments: it makes the same relations that `views.prepare` reads, so that
what is promised of evidence (order, duplication, retraction) can be shown without a disk.
"""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import pyarrow as pa

from kangma.evidence.views import raw_schema
from kangma.intake.kinds import KINDS, Type


def memory(
    con: duckdb.DuckDBPyConnection, batches: Iterable[tuple[str, str, pa.Table | pa.RecordBatch]]
) -> None:
    """Tables raw_<kind> of every kind, person_keys and place_numbers on `con`, holding exactly `batches`.

    A batch is (feed, kind, documents with KINDS[kind].schema, persons as 16-byte keys). Equal rows of one feed are one
    row. Persons and places are numbered in the order in which they are first met, as the store does.
    """
    persons: dict[bytes, int] = {}
    places: dict[str, int] = {}
    rows: dict[str, dict[tuple[object, ...], None]] = {name: {} for name in KINDS}
    for feed, name, batch in batches:
        kind = KINDS[name]
        columns = []
        for field in kind.schema:
            values = batch.column(field.name).to_pylist()
            if field.type == Type.PERSON.arrow:
                columns.append([None if v is None else persons.setdefault(v, len(persons)) for v in values])
            elif field.name == "place_id":
                columns.append([places.setdefault(v, len(places)) for v in values])
                if name == "places":
                    columns.append(values)
            else:
                columns.append(values)
        rows[name].update(dict.fromkeys((feed, *row) for row in zip(*columns, strict=True)))

    for name in KINDS:
        schema = raw_schema(name)
        columns = [list(values) for values in zip(*rows[name], strict=True)] or [[] for _ in schema]
        _give(con, f"raw_{name}", pa.table(columns, schema=schema))
    _give(
        con,
        "person_keys",
        pa.table({"person": pa.array(persons.values(), pa.uint32()), "key": pa.array(persons, pa.binary())}),
    )
    _give(
        con,
        "place_numbers",
        pa.table(
            {"place": pa.array(places.values(), pa.uint32()), "place_id": pa.array(places, pa.string())}
        ),
    )


def _give(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    con.register("given", table)
    con.execute(f"create or replace table {name} as select * from given")
    con.unregister("given")

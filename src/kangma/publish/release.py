"""What one cycle leaves: a folder of tables, made visible by one row of the registry (`kangma.publish.commit`).

`stage` writes the folder whole and durable. A crash before the row leaves a folder that no row names; the next stage
replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from kangma.codes.turns import ALIASES, OUT
from kangma.errors import Corrupt
from kangma.policy.judge import HOLDS
from kangma.publish import tables
from kangma.publish.tables import Table
from kangma.store.durable import fsync_all, fsync_folder, remove_folder, unavailable_when_the_disk_is
from kangma.store.releases import Release
from kangma.store.state import State
from kangma.tracing.tables import COMPANIONS, EXPOSURES

WINDOWS = pa.schema(
    [
        pa.field("case_id", pa.string(), nullable=False),
        pa.field("person", pa.uint32(), nullable=False),
        pa.field("from_at", pa.int64(), nullable=False),
        pa.field("to_at", pa.int64(), nullable=False),
    ]
)
TABLES = {
    "out": OUT,
    "aliases": ALIASES,
    "holds": HOLDS,
    "windows": WINDOWS,
    "exposures": EXPOSURES,
    "companions": COMPANIONS,
}
#: Releases whose tables are kept; of older ones only the turns stay.
KEPT = 2


def read_table(state: State, release: Release | None, name: str) -> pa.Table:
    """`turns` or one of `TABLES` of a release; empty before the first.

    Raises Corrupt when it is not there or cannot be read.
    """
    if release is None:
        return TABLES[name].empty_table()
    return whole_table(state, release, name).rows


def whole_table(state: State, release: Release | None, name: str) -> Table:
    """The same, with what the next release needs to know to write less."""
    if release is None:
        return Table(name, TABLES[name].empty_table())
    there = tables.kept(state, release, name)
    if there is not None:
        return there
    try:
        return tables.read(lambda number: folder_of(state, number), release.number, name)
    except (OSError, pa.ArrowException) as problem:
        raise Corrupt(f"release {release.number} lacks its {name}") from problem


def stage(
    state: State,
    number: int,
    made: Mapping[str, Table | pa.Table],
    beside: Mapping[str, bytes] | None = None,
) -> dict[str, Table]:
    """The tables, and files `beside` them, as the folder of release `number`, durable on return and not yet visible.
    The tables as the next release will need them."""
    written = {}
    final = folder_of(state, number)
    temporary = final.with_name(f".{final.name}.tmp")
    with unavailable_when_the_disk_is():
        for leftover in (temporary, final):
            if leftover.exists():
                remove_folder(leftover)
        temporary.mkdir(parents=True)
        for name, table in made.items():
            whole = table if isinstance(table, Table) else Table(name, table)
            written[name] = tables.write(temporary, number, whole)
        for name, content in (beside or {}).items():
            (temporary / name).write_bytes(content)
        fsync_all([*temporary.iterdir(), temporary])
        temporary.rename(final)
        fsync_folder(final.parent)
    return written


def drop_old_tables(state: State, number: int) -> None:
    """Of releases before the last `KEPT` only the turns, and what was proposed with them, stay: also of those at whose
    turn the program died before it came to this."""
    tables.clear(lambda n: folder_of(state, n), number, KEPT)


def folder_of(state: State, number: int) -> Path:
    """Where the tables of a release lie."""
    return state.path / "releases" / f"{number:08d}"

"""What one cycle leaves: a folder of tables, made visible by one row of the registry (`kangma.publish.commit`).

`stage` writes the folder whole and durable. A crash before the row leaves a folder that no row names; the next stage
replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kangma.codes.turns import ALIASES, OUT
from kangma.errors import Corrupt
from kangma.policy.judge import HOLDS
from kangma.store.durable import fsync_file, fsync_folder, remove_folder, unavailable_when_the_disk_is
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
    try:
        return pq.read_table(folder_of(state, release.number) / f"{name}.parquet")
    except (OSError, pa.ArrowException) as problem:
        raise Corrupt(f"release {release.number} lacks its {name}") from problem


def stage(
    state: State, number: int, tables: Mapping[str, pa.Table], beside: Mapping[str, bytes] | None = None
) -> None:
    """The tables, and files `beside` them, as the folder of release `number`, durable on return and not yet visible."""
    final = folder_of(state, number)
    temporary = final.with_name(f".{final.name}.tmp")
    with unavailable_when_the_disk_is():
        for leftover in (temporary, final):
            if leftover.exists():
                remove_folder(leftover)
        temporary.mkdir(parents=True)
        for name, table in tables.items():
            pq.write_table(table, temporary / f"{name}.parquet", compression="zstd")
            fsync_file(temporary / f"{name}.parquet")
        for name, content in (beside or {}).items():
            (temporary / name).write_bytes(content)
            fsync_file(temporary / name)
        fsync_folder(temporary)
        temporary.rename(final)
        fsync_folder(final.parent)


def drop_old_tables(state: State, number: int) -> None:
    """Of releases before the last `KEPT` only the turns, and what was proposed with them, stay: also of those at whose
    turn the program died before it came to this."""
    old = []
    for n in range(number - KEPT, 0, -1):
        old.append([f for name in TABLES if (f := folder_of(state, n) / f"{name}.parquet").exists()])
        if not old[-1]:
            break
    for file in (
        f for files in reversed(old) for f in files
    ):  # the oldest first: what is left is found again
        file.unlink(missing_ok=True)


def folder_of(state: State, number: int) -> Path:
    """Where the tables of a release lie."""
    return state.path / "releases" / f"{number:08d}"

"""What one cycle leaves: a folder of tables, made visible by one row of the registry.

`stage` writes the folder whole and durable; `commit` records it in the registry, under the lease that says who may
(compare and swap). A crash between the two leaves a folder that no row names; the next stage replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from kangma.codes.turns import OUT
from kangma.errors import Corrupt
from kangma.policy.judge import HOLDS
from kangma.publish import tables
from kangma.publish.tables import Table
from kangma.store.durable import fsync_folder, remove_folder, unavailable_when_the_disk_is
from kangma.store.releases import Lease, Release, record_release
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
TABLES = {"out": OUT, "holds": HOLDS, "windows": WINDOWS, "exposures": EXPOSURES, "companions": COMPANIONS}
#: Releases whose tables are kept; of older ones only the turns stay.
KEPT = 2


def read_table(state: State, release: Release | None, name: str) -> pa.Table:
    """`out`, `holds`, `turns`, `windows`, `exposures` or `companions` of a release; empty before the first.

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
        return tables.read(lambda number: _folder(state, number), release.number, name)
    except (OSError, pa.ArrowException) as problem:
        raise Corrupt(f"release {release.number} lacks its {name}") from problem


def stage(state: State, number: int, made: Mapping[str, Table | pa.Table]) -> dict[str, Table]:
    """The tables as the folder of release `number`, durable on return and not yet visible; as the next release will
    need them."""
    written = {}
    final = _folder(state, number)
    temporary = final.with_name(f".{final.name}.tmp")
    with unavailable_when_the_disk_is():
        for leftover in (temporary, final):
            if leftover.exists():
                remove_folder(leftover)
        temporary.mkdir(parents=True)
        for name, table in made.items():
            whole = table if isinstance(table, Table) else Table(name, table)
            written[name] = tables.write(temporary, number, whole)
        fsync_folder(temporary)
        temporary.rename(final)
        fsync_folder(final.parent)
    return written


def commit(state: State, lease: Lease, release: Release) -> None:
    """The staged release is the last one. Conflict when the lease was lost, or another release came first."""
    record_release(
        state.registry,
        lease,
        now=release.now,
        generation=release.generation,
        policy_digest=release.policy_digest,
        counts=release.counts,
        verdict_digest=release.verdict_digest,
        number=release.number,
    )
    tables.clear(lambda number: _folder(state, number), release.number, KEPT)


def _folder(state: State, number: int) -> Path:
    return state.path / "releases" / f"{number:08d}"

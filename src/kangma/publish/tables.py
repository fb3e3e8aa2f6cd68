"""The tables of a release on disk and in memory: written whole now and then, else as what changed since.

A cycle changes a few hundred of a million rows. A table is therefore one file `<name>.parquet` that holds all of it, or
one file `<name>.since-<base>.parquet` that holds, of everybody who changed since release `base`, the rows as they are
now, and a row with `gone` true for whoever has none any more. Two files make a table, however many releases lie between.

The program that made the last release has its tables in memory and reads nothing: `keep` says which release they are of,
by number and digest, and a table of any other release is read from its files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kangma.codes.turns import Digest
from kangma.store.durable import fsync_file

if TYPE_CHECKING:
    from kangma.store.releases import Release
    from kangma.store.state import State

#: The column by which rows are replaced.
KEYS = {
    "out": "person",
    "holds": "person",
    "windows": "case_id",
    "exposures": "case_id",
    "companions": "case_id",
}
#: A table of fewer rows is always written whole, and any other when this part of it has changed since its base.
WHOLE = 20_000
PART = 0.125


@dataclass(frozen=True, slots=True)
class Table:
    """All rows, and of whom they differ from the table of release `base` (None: written whole next time)."""

    rows: pa.Table
    base: int | None = None
    changed: pa.Array | None = None

    def then(self, name: str, rows: pa.Table, changed: pa.Array | None) -> Table:
        """The table of the next release, whose rows differ for `changed` alone; None: for anybody."""
        if changed is None or self.base is None or self.changed is None:
            return Table(rows)
        both = pa.chunked_array([self.changed, changed.cast(self.changed.type)]).unique()
        return Table(rows, self.base, both)


def write(folder: Path, number: int, name: str, table: Table) -> Table:
    """The table in the folder of release `number`, durable on return; what it is to the next release."""
    if table.base is not None and table.changed is not None and table.rows.num_rows >= WHOLE:
        key = KEYS[name]
        now = table.rows.filter(among(table.rows[key], table.changed))
        if max(now.num_rows, len(table.changed)) <= PART * table.rows.num_rows:
            gone = table.changed.filter(pc.invert(pc.is_in(table.changed, now[key].unique())))
            file = folder / f"{name}.since-{table.base:08d}.parquet"
            pq.write_table(_with_gone(now, key, gone), file, compression="zstd")
            fsync_file(file)
            return table
    pq.write_table(table.rows, folder / f"{name}.parquet", compression="zstd")
    fsync_file(folder / f"{name}.parquet")
    if name not in KEYS:
        return Table(table.rows)
    return Table(table.rows, number, pa.array([], table.rows.schema.field(KEYS[name]).type))


def read(folder_of: Callable[[int], Path], number: int, name: str) -> Table:
    """The table of a release. OSError or ArrowException when a file of it is not there or damaged."""
    whole = folder_of(number) / f"{name}.parquet"
    base = _base(folder_of(number), name)
    if base is None:
        rows = pq.read_table(whole)
        if name not in KEYS:
            return Table(rows)
        return Table(rows, number, pa.array([], rows.schema.field(KEYS[name]).type))
    key = KEYS[name]
    delta = pq.read_table(folder_of(number) / f"{name}.since-{base:08d}.parquet")
    changed = delta[key].unique()
    there = pq.read_table(folder_of(base) / f"{name}.parquet")
    now = delta.filter(pc.invert(delta["gone"])).select(there.schema.names).cast(there.schema)
    return Table(replaced(there, key, changed, now), base, changed)


def replaced(before: pa.Table, key: str, changed: pa.Array, now: pa.Table) -> pa.Table:
    """`before` without the rows of `changed`, and `now` behind them."""
    kept = before.filter(pc.invert(among(before[key], changed)))
    return pa.concat_tables([kept, now.cast(before.schema)]).combine_chunks()


def among(values: pa.ChunkedArray, wanted: pa.Array) -> pa.Array:
    """Whether each value is one of those wanted; person numbers are small enough to be looked up in a table."""
    if not pa.types.is_integer(values.type):
        return pc.is_in(values, wanted)
    found, numbers = values.to_numpy(), wanted.to_numpy()
    marked = np.zeros(max(int(found.max(initial=0)), int(numbers.max(initial=0))) + 1, bool)
    marked[numbers] = True
    return pa.array(marked[found])


def clear(folder_of: Callable[[int], Path], number: int, kept: int) -> None:
    """The tables of releases that are `kept` or more behind `number` go, but for the whole ones that a later needs."""
    old: list[list[Path]] = []
    for n in range(number - kept, 0, -1):
        here = []
        for name in (*KEYS, "aliases"):
            needed = {_base(folder_of(later), name) for later in range(number - kept + 1, number + 1)}
            base = _base(folder_of(n), name)
            here += [folder_of(m) / f"{name}.parquet" for m in {n, n if base is None else base} - needed]
            if base is not None:
                here.append(folder_of(n) / f"{name}.since-{base:08d}.parquet")
        old.append([file for file in here if file.exists()])
        if not old[-1]:
            break
    for files in reversed(old):  # the oldest first: what is left by a crash is found again
        for file in files:
            file.unlink(missing_ok=True)


def _base(folder: Path, name: str) -> int | None:
    for file in folder.glob(f"{name}.since-*.parquet"):
        found = re.fullmatch(r"\w+\.since-(\d{8})", file.stem)
        if found:
            return int(found[1])
    return None


def _with_gone(now: pa.Table, key: str, gone: pa.Array) -> pa.Table:
    """The rows that are there, and a row of nothing but the key for each that is gone."""
    open_ended = pa.schema([pa.field(f.name, f.type) for f in now.schema])
    nobody = pa.table(
        [gone if f.name == key else pa.nulls(len(gone), f.type) for f in open_ended], schema=open_ended
    )
    marks = [pa.array(np.zeros(now.num_rows, bool)), pa.array(np.ones(len(gone), bool))]
    both = (now.cast(open_ended), nobody)
    return pa.concat_tables([t.append_column("gone", m) for t, m in zip(both, marks, strict=True)])


# in memory -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kept:
    number: int
    digest: str
    tables: Mapping[str, Table]
    out: Digest


_KEPT: WeakKeyDictionary[State, _Kept] = WeakKeyDictionary()


def keep(state: State, release: Release, tables: Mapping[str, Table], out: Digest) -> None:
    """The tables of a release that was recorded stay in memory, and the digest of what is out."""
    _KEPT[state] = _Kept(release.number, release.verdict_digest, tables, out)


def kept(state: State, release: Release, name: str) -> Table | None:
    """The table of exactly this release, when this program has it."""
    there = _there(state, release)
    return None if there is None else there.tables.get(name)


def digest(state: State, release: Release) -> Digest | None:
    """The digest of what was out after exactly this release, when this program has it."""
    there = _there(state, release)
    return None if there is None else there.out


def _there(state: State, release: Release) -> _Kept | None:
    there = _KEPT.get(state)
    if there is None or (there.number, there.digest) != (release.number, release.verdict_digest):
        return None
    return there

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
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kangma.codes.turns import Digest

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
#: Stretches that are copied one by one.
STRETCHES = 500


@dataclass(frozen=True, eq=False)
class Table:
    """A table, and of whom it differs from the table of release `base` (None: written whole next time).

    whole:   all rows; with `now`, those of the base
    changed: (n,) the keys of whom the rows may differ from the base's
    now:     the rows of those; None when `whole` has them
    """

    name: str
    whole: pa.Table
    base: int | None = None
    changed: pa.Array | None = None
    now: pa.Table | None = None

    @cached_property
    def rows(self) -> pa.Table:
        """All rows as they are; put together when first asked for."""
        if self.now is None:
            return self.whole
        return replaced(self.whole, KEYS[self.name], self.changed, self.now)

    def then(self, rows: pa.Table, changed: pa.Array | None) -> Table:
        """The table of the next release, whose rows differ for `changed` alone; None: for anybody."""
        if changed is None or self.base is None:
            return Table(self.name, rows)
        return Table(self.name, rows, self.base, self._either(changed))

    def but(self, changed: pa.Array, now: pa.Table) -> Table:
        """The table of the next release, in which `now` are all rows of `changed`; others are as before."""
        key = KEYS[self.name]
        if self.base is None:
            return Table(self.name, replaced(self.rows, key, changed, now))
        before = self.now
        if before is None:
            before = self.whole.filter(among(self.whole[key], self.changed))
        now = replaced(before, key, changed, now.cast(before.schema))
        return Table(self.name, self.whole, self.base, self._either(changed), now)

    def _either(self, changed: pa.Array) -> pa.Array:
        assert self.changed is not None
        return pa.chunked_array([self.changed, changed.cast(self.changed.type)]).unique()


def write(folder: Path, number: int, table: Table) -> Table:
    """The table in the folder of release `number`, not yet durable; what it is to the next release."""
    name, key = table.name, KEYS.get(table.name, "")
    if table.base is not None and table.changed is not None and table.whole.num_rows >= WHOLE:
        now = table.now
        if now is None:
            now = table.whole.filter(among(table.whole[key], table.changed))
        if max(now.num_rows, len(table.changed)) <= PART * table.whole.num_rows:
            gone = table.changed.filter(pc.invert(pc.is_in(table.changed, now[key].unique())))
            file = folder / f"{name}.since-{table.base:08d}.parquet"
            _write(_with_gone(now, key, gone), file)
            return table
    _write(table.rows, folder / f"{name}.parquet")
    return _as_base(name, table.rows, number)


def _write(rows: pa.Table, file: Path) -> None:
    """Numbers of persons and moments seldom repeat: they are written as differences, and no time goes into looking for
    words that repeat."""
    wide = [f.name for f in rows.schema if f.type == pa.int64() or f.name in _PERSONS]
    words = [f.name for f in rows.schema if f.name not in wide and not pa.types.is_floating(f.type)]
    packed = dict.fromkeys(wide, "DELTA_BINARY_PACKED")
    pq.write_table(rows, file, compression="zstd", use_dictionary=words, column_encoding=packed)


_PERSONS = ("person", "canonical")


def read(folder_of: Callable[[int], Path], number: int, name: str) -> Table:
    """The table of a release. OSError or ArrowException when a file of it is not there or damaged."""
    base = _base(folder_of(number), name)
    if base is None:
        return _as_base(name, pq.read_table(folder_of(number) / f"{name}.parquet"), number)
    key = KEYS[name]
    delta = pq.read_table(folder_of(number) / f"{name}.since-{base:08d}.parquet")
    there = pq.read_table(folder_of(base) / f"{name}.parquet")
    now = delta.filter(pc.invert(delta["gone"])).select(there.schema.names).cast(there.schema)
    return Table(name, there, base, delta[key].unique(), now)


def _as_base(name: str, rows: pa.Table, number: int) -> Table:
    if name not in KEYS:
        return Table(name, rows)
    return Table(name, rows, number, pa.array([], rows.schema.field(KEYS[name]).type))


def replaced(before: pa.Table, key: str, changed: pa.Array, now: pa.Table) -> pa.Table:
    """`before` without the rows of `changed`, and `now` behind them."""
    gone = among(before[key], changed).to_numpy(zero_copy_only=False)
    # What stays lies in long stretches between the few rows that go: copying those is many times faster than a filter,
    # unless they are many.
    ends = np.flatnonzero(np.diff(np.concatenate([[True], gone, [True]]).astype(np.int8)))
    if len(ends) <= 2 * STRETCHES:
        kept = [before.slice(start, end - start) for start, end in ends.reshape(-1, 2).tolist()]
    else:
        kept = [before.filter(pa.array(~gone))]
    return pa.concat_tables([before.schema.empty_table(), *kept, now.cast(before.schema)]).combine_chunks()


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
    for file in sorted(folder.glob(f"{name}.since-*.parquet")):
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


def keep(state: State, release: Release, tables: Mapping[str, Table], out: Digest) -> None:
    """The tables of a release that was recorded stay in memory, and the digest of what is out."""
    state.kept["tables"] = _Kept(release.number, release.verdict_digest, tables, out)


def kept(state: State, release: Release, name: str) -> Table | None:
    """The table of exactly this release, when this program has it."""
    there = _there(state, release)
    return None if there is None else there.tables.get(name)


def digest(state: State, release: Release) -> Digest | None:
    """The digest of what was out after exactly this release, when this program has it."""
    there = _there(state, release)
    return None if there is None else there.out


def _there(state: State, release: Release) -> _Kept | None:
    there: _Kept | None = state.kept.get("tables")
    if there is None or (there.number, there.digest) != (release.number, release.verdict_digest):
        return None
    return there

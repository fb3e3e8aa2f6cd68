"""What is out against what should be → turns: the only changes that are published.

`OUT` is what the public was last told, one row a person who is not plainly green for good. A person without a row is
green, without notices, and nothing is due. `next_change_at` is the clock of the city: midnight is the rows whose
moment has come, not a scan of everybody.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kangma.terms import Moment, State

OUT = pa.schema(
    [
        pa.field("person", pa.uint32(), nullable=False),  # ascending, unique
        pa.field("state", pa.uint8(), nullable=False),  # kangma.terms.State
        pa.field(
            "popups", pa.uint32(), nullable=False
        ),  # bit i: the policy's i-th notice, not shown until read
        pa.field("reminds", pa.uint32(), nullable=False),  # bit i: the policy's i-th notice, beside the code
        pa.field("next_change_at", pa.int64()),  # seconds since 1970; null: never without new evidence
    ]
)

TURNS = pa.schema(
    [
        pa.field("person", pa.uint32(), nullable=False),  # ascending, unique
        pa.field("from_state", pa.uint8(), nullable=False),
        pa.field("to_state", pa.uint8(), nullable=False),
        pa.field("from_popups", pa.uint32(), nullable=False),
        pa.field("to_popups", pa.uint32(), nullable=False),
        pa.field("from_reminds", pa.uint32(), nullable=False),
        pa.field("to_reminds", pa.uint32(), nullable=False),
    ]
)

ALIASES = pa.schema(
    [
        pa.field("person", pa.uint32(), nullable=False),  # ascending, unique: a number that stands for
        pa.field(
            "canonical", pa.uint32(), nullable=False
        ),  # this one, because two documents are one person's
    ]
)

Persons = NDArray[np.uint32]  # (n,) canonical person numbers, ascending, unique
#: Into how many parts the digest divides persons: few enough to hash them all, so many that some thousand persons lie
#: in a tenth of them.
PARTS = 1 << 16
_SHOWN = ("state", "popups", "reminds")


@dataclass(frozen=True, slots=True)
class Turned:
    """`out` as it should be from now on (OUT), and what of it is news (TURNS)."""

    out: pa.Table
    turns: pa.Table


def nobody() -> pa.Table:
    """What is out before the first release."""
    return OUT.empty_table()


def turn(out: pa.Table, verdicts: pa.Table, judged: Persons | None) -> Turned:
    """`verdicts` (OUT's columns, any order) replace what is out for the persons `judged`; None judged everybody.

    Only a change of state or notices is a turn; a new `next_change_at` alone is not. A verdict about somebody who
    was not judged is a ValueError: the caller would publish what nobody derived.
    """
    should = _columns(verdicts)
    before = _columns(out)
    if judged is None:
        scope = np.union1d(before["person"], should["person"])
    else:
        scope = np.unique(judged)
        if not np.isin(should["person"], scope).all():
            raise ValueError("a verdict about a person who was not judged")

    was, will = _rows(before, scope), _rows(should, scope)
    changed = np.zeros(len(scope), dtype=bool)
    for name in _SHOWN:
        changed |= was[name] != will[name]
    turns = pa.table(
        {"person": scope[changed]}
        | {
            f"{side}_{name}": rows[name][changed]
            for name in _SHOWN
            for side, rows in (("from", was), ("to", will))
        },
    ).select(TURNS.names)

    # Both are ascending, so the new rows go in where the old ones went out: a million rows are moved, never sorted.
    kept = np.ones(len(before["person"]), dtype=bool)
    at, found = _places(before["person"], scope)
    kept[at[found]] = False
    worth = np.zeros(len(should["person"]), dtype=bool)  # a green person with nothing due needs no row
    for name in _SHOWN:
        worth |= should[name] != 0
    worth |= should["next_change_at"] != _NEVER
    gap = np.searchsorted(before["person"][kept], should["person"][worth])
    return Turned(
        _table({name: np.insert(before[name][kept], gap, should[name][worth]) for name in before}),
        turns.cast(TURNS),
    )


def by_every_number(out: pa.Table, aliases: pa.Table) -> pa.Table:
    """`out` with a row for each alias as well. A credential may have been issued before it was known that two documents
    are one person's: whatever number it was issued for shows what the person is shown."""
    if not aliases.num_rows:
        return out
    at = pa.compute.index_in(aliases["canonical"], out["person"])
    held = pa.compute.is_valid(at)
    copies = out.take(at.filter(held))
    copies = copies.set_column(0, out.schema.field("person"), aliases["person"].filter(held))
    return pa.concat_tables([out, copies]).sort_by("person").combine_chunks()


def due(out: pa.Table, now: Moment) -> Persons:
    """The persons whose verdict may change by the clock alone, at or before `now`."""
    persons = out.filter(pc.less_equal(out["next_change_at"], now))["person"].to_numpy()
    return np.sort(persons).astype(np.uint32)


@dataclass(frozen=True, slots=True)
class Digest:
    """What is out as one number: equal for equal cities however their evidence arrived.

    parts: (PARTS, 32) uint8. Persons are divided by the first two bytes of their key; a part's entry is the SHA-256
    of its rows in ascending order of their keys, 33 bytes each: key, state (1), popups (4), reminds (4), next_change_at
    (8, the largest int64 for never), numbers big-endian; 32 zeros for a part without rows.
    """

    parts: NDArray[np.uint8]

    @classmethod
    def of(cls, out: pa.Table, keys: NDArray[np.uint8]) -> Digest:
        """keys: (persons, 16) the key of each person number"""
        return cls(np.zeros((PARTS, 32), np.uint8)).then(out, keys, None)

    def then(self, out: pa.Table, keys: NDArray[np.uint8], changed: Persons | None) -> Digest:
        """The digest after the rows of `changed` alone have changed (None: of anybody), for the price of their parts."""
        parts = self.parts.copy()
        persons = out["person"].to_numpy()
        heads = keys[:, :2]
        if changed is None:
            parts[:] = 0
        else:
            near = np.zeros(PARTS, bool)
            near[_part(heads[changed])] = True
            parts[near] = 0
            out = out.filter(pa.array(near[_part(heads[persons])]))
            persons = out["person"].to_numpy()
        rows = np.empty(len(persons), _ROW)
        rows["key"] = keys[persons].view("V16").ravel()
        for name in (*_SHOWN, "next_change_at"):
            column = out[name].cast(OUT.field(name).type)
            rows[name] = (column.fill_null(int(_NEVER)) if name == "next_change_at" else column).to_numpy()
        halves = keys[persons].view(">u8").astype(np.uint64)
        rows = rows[np.lexsort((halves[:, 1], halves[:, 0]))]
        content = memoryview(rows.tobytes())
        where = _part(np.frombuffer(content, np.uint8).reshape(-1, _ROW.itemsize)[:, :2])
        starts = np.searchsorted(where, np.arange(PARTS + 1)) * _ROW.itemsize
        here = np.flatnonzero(np.diff(starts))
        spans = zip(starts[here].tolist(), starts[here + 1].tolist(), strict=True)
        found = b"".join([hashlib.sha256(content[start:end]).digest() for start, end in spans])
        parts[here] = np.frombuffer(found, np.uint8).reshape(-1, 32)
        return Digest(parts)

    def hex(self) -> str:
        """SHA-256 over all parts, in hex."""
        return hashlib.sha256(self.parts.tobytes()).hexdigest()


def _part(heads: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n, 2) first bytes of keys → the part of each."""
    return heads[:, 0].astype(np.int64) << 8 | heads[:, 1]


def by_state(out: pa.Table, persons: int) -> dict[State, int]:
    """How many persons each state has, of `persons` known in all."""
    found = np.bincount(out["state"].to_numpy(), minlength=16)
    counts = {state: int(found[state]) for state in State}
    counts[State.GREEN] += persons - out.num_rows
    return counts


_NEVER = np.iinfo(np.int64).max
_ROW = np.dtype(
    [("key", "V16"), ("state", "u1"), ("popups", ">u4"), ("reminds", ">u4"), ("next_change_at", ">i8")]
)


def _columns(table: pa.Table) -> dict[str, NDArray[Any]]:
    """OUT's columns as NumPy, sorted by person, "never" as the largest int64. ValueError for a person twice."""
    columns = {f.name: table[f.name].cast(f.type) for f in OUT}
    arrays = {n: c.to_numpy() for n, c in columns.items() if n != "next_change_at"}
    arrays["next_change_at"] = columns["next_change_at"].fill_null(int(_NEVER)).to_numpy()
    persons = arrays["person"]
    if not (persons[1:] > persons[:-1]).all():
        order = np.argsort(persons, kind="stable")
        arrays = {n: a[order] for n, a in arrays.items()}
        persons = arrays["person"]
        if (persons[1:] == persons[:-1]).any():
            raise ValueError("a person has two verdicts")
    return arrays


def _places(ordered: Persons, persons: Persons) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each of `persons` is in an ascending column, and whether it is."""
    at = np.searchsorted(ordered, persons)
    found = np.zeros(len(persons), dtype=bool)
    inside = at < len(ordered)
    found[inside] = ordered[at[inside]] == persons[inside]
    return at, found


def _rows(columns: dict[str, NDArray[Any]], persons: Persons) -> dict[str, NDArray[Any]]:
    """The rows of `persons`, green where there is none."""
    at, found = _places(columns["person"], persons)
    rows = {}
    for name in _SHOWN:
        rows[name] = np.zeros(len(persons), dtype=columns[name].dtype)
        rows[name][found] = columns[name][at[found]]
    return rows


def _table(columns: dict[str, NDArray[Any]]) -> pa.Table:
    at = columns["next_change_at"]
    arrays = [
        pa.array(columns[f.name], type=f.type, mask=(at == _NEVER) if f.name == "next_change_at" else None)
        for f in OUT
    ]
    return pa.Table.from_arrays(arrays, schema=OUT)

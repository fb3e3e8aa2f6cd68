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

Persons = NDArray[np.uint32]  # (n,) canonical person numbers, ascending, unique
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

    kept = ~np.isin(before["person"], scope)
    persons = np.concatenate([before["person"][kept], should["person"]])
    order = np.argsort(persons, kind="stable")
    merged = {"person": persons[order]}
    for name in (*_SHOWN, "next_change_at"):
        merged[name] = np.concatenate([before[name][kept], should[name]])[order]
    worth = np.zeros(len(persons), dtype=bool)  # a green person with nothing due needs no row
    for name in _SHOWN:
        worth |= merged[name] != 0
    worth |= merged["next_change_at"] != _NEVER
    return Turned(_table({name: column[worth] for name, column in merged.items()}), turns.cast(TURNS))


def due(out: pa.Table, now: Moment) -> Persons:
    """The persons whose verdict may change by the clock alone, at or before `now`."""
    columns = _columns(out)
    at = columns["next_change_at"]
    return np.asarray(columns["person"][(at <= now)], dtype=np.uint32)


def digest(out: pa.Table, keys: pa.Array | pa.ChunkedArray) -> str:
    """SHA-256 (hex) over what is out, by person key: equal for equal cities however their evidence arrived.

    keys: the 16-byte key of each row's person. Hashed are the rows in ascending order of their keys, 33 bytes each: key,
    state (1 byte), popups (4), reminds (4), next_change_at (8, the largest int64 for never), numbers big-endian.
    """
    packed = keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
    key = np.frombuffer(packed.cast(pa.binary(16)).buffers()[1], "V16")[packed.offset :][: len(packed)]
    rows = np.empty(out.num_rows, _ROW)
    rows["key"] = key
    for name in (*_SHOWN, "next_change_at"):
        column = out[name].cast(OUT.field(name).type)
        rows[name] = (column.fill_null(int(_NEVER)) if name == "next_change_at" else column).to_numpy()
    halves = key.view(">u8").reshape(-1, 2).astype(np.uint64)
    return hashlib.sha256(rows[np.lexsort((halves[:, 1], halves[:, 0]))].tobytes()).hexdigest()


def by_state(out: pa.Table, persons: int) -> dict[State, int]:
    """How many persons each state has, of `persons` known in all."""
    found = np.bincount(_columns(out)["state"], minlength=16)
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
    order = np.argsort(arrays["person"], kind="stable")
    arrays = {n: a[order] for n, a in arrays.items()}
    if (np.diff(arrays["person"].astype(np.int64)) == 0).any():
        raise ValueError("a person has two verdicts")
    return arrays


def _rows(columns: dict[str, NDArray[Any]], persons: Persons) -> dict[str, NDArray[Any]]:
    """The rows of `persons`, green where there is none."""
    at = np.searchsorted(columns["person"], persons)
    found = np.zeros(len(persons), dtype=bool)
    inside = at < len(columns["person"])
    found[inside] = columns["person"][at[inside]] == persons[inside]
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

"""Person numbers and place numbers: small dense integers in place of keys, given at absorb, never taken back.

`persons.keys` holds 16-byte keys one after another: the key at position n is person n. It is only ever appended to, and
the registry's high-water mark says how much of it counts: bytes beyond are the remains of an absorb that did not
happen, and are overwritten by the next. Places are numbered by small Parquet files `(place, place_id)` in the manifest.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kangma.errors import Corrupt
from kangma.evidence.views import raw_columns
from kangma.intake.kinds import Kind, Type

KEY = 16
MOST = 2**32 - 1


def person_table(file: Path, count: int) -> pa.Table:
    """(person uint32, key binary16) of the first `count` persons, memory-mapped. Corrupt when the file is shorter."""
    if count == 0:
        keys = pa.array([], pa.binary(KEY))
    else:
        with file.open("rb") as f:
            if os.fstat(f.fileno()).st_size < count * KEY:
                raise Corrupt(f"{file.name} holds fewer than the {count} persons that the registry counts")
            mapped = mmap.mmap(f.fileno(), count * KEY, access=mmap.ACCESS_READ)
        keys = pa.FixedSizeBinaryArray.from_buffers(pa.binary(KEY), count, [None, pa.py_buffer(mapped)])
    return pa.table({"person": pa.array(np.arange(count, dtype=np.uint32)), "key": keys})


def number_of(file: Path, count: int, key: bytes) -> int | None:
    """The number of one person, None when the key was never absorbed. Reads 16 bytes a person: 2 ms a million."""
    if count == 0:
        return None
    halves = np.memmap(file, dtype="<u8", mode="r", shape=(count, 2))
    wanted = np.frombuffer(key, "<u8")
    found = np.flatnonzero((halves[:, 0] == wanted[0]) & (halves[:, 1] == wanted[1]))
    return int(found[0]) if len(found) else None


def keys_digest(file: Path, said: hashlib._Hash, known: int, count: int) -> hashlib._Hash:
    """SHA-256 over the first `count` keys, given that over the first `known`. Corrupt when the file is shorter."""
    said = said.copy()
    left = (count - known) * KEY
    if left:
        with file.open("rb") as f:
            f.seek(known * KEY)
            while left and (some := f.read(min(left, 1 << 20))):
                said.update(some)
                left -= len(some)
    if left:
        raise Corrupt(f"{file.name} holds fewer than the {count} persons that the registry counts")
    return said


def append_keys(file: Path, count: int, keys: pa.Array) -> None:
    """`keys` follow the first `count`, durable on return. Whatever lay behind them before is cut off."""
    if count + len(keys) > MOST:
        raise Corrupt("more persons than a 32-bit number can tell apart")
    content = memoryview(b"".join(keys.to_pylist()))
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.ftruncate(fd, count * KEY)
        os.lseek(fd, count * KEY, os.SEEK_SET)
        while content:
            content = content[os.write(fd, content) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def keys_named(con: duckdb.DuckDBPyConnection, sources: list[tuple[Kind, str]], known: pa.Table) -> pa.Table:
    """Of the persons `known` (`person_table`) those whom `sources` name; `sources` are few rows."""
    named = _keys_in(sources)
    if not named:
        return known.slice(0, 0)
    keys = con.sql(f"SELECT DISTINCT key FROM ({named}) WHERE key IS NOT NULL").to_arrow_table()["key"]
    return known.filter(pc.is_in(known["key"], value_set=keys.combine_chunks().cast(pa.binary(KEY))))


def new_persons(con: duckdb.DuckDBPyConnection, sources: list[tuple[Kind, str]]) -> pa.Array:
    """Keys in `sources` (kind, relation) that `person_keys` lacks, each once, in the order of their bytes."""
    union = _keys_in(sources)
    if not union:
        return pa.array([], pa.binary(KEY))
    found = con.sql(
        f"SELECT DISTINCT key FROM ({union}) ANTI JOIN person_keys USING (key) WHERE key IS NOT NULL ORDER BY key"
    ).to_arrow_table()
    return found.column("key").combine_chunks()


def _keys_in(sources: list[tuple[Kind, str]]) -> str:
    """SELECT: every key of a person in the rows of `sources`; empty when they name none."""
    columns = [(c.name, relation) for kind, relation in sources for c in kind.stored if c.type is Type.PERSON]
    return " UNION ALL ".join(f"SELECT {name} AS key FROM {relation}" for name, relation in columns)


def new_places(con: duckdb.DuckDBPyConnection, sources: list[tuple[Kind, str]]) -> pa.Array:
    """Place ids in `sources` that `place_numbers` lacks, each once, in order."""
    union = " UNION ALL ".join(
        f"SELECT place_id FROM {relation}"
        for kind, relation in sources
        if any(c.name == "place_id" for c in kind.stored)
    )
    if not union:
        return pa.array([], pa.string())
    found = con.sql(
        f"SELECT DISTINCT place_id FROM ({union}) ANTI JOIN place_numbers USING (place_id) ORDER BY place_id"
    ).to_arrow_table()
    return found.column("place_id").combine_chunks()


def segment_columns(kind: Kind) -> list[tuple[str, str]]:
    """Name and DuckDB type of each column of a kind's segments, in order: those of the raw relations."""
    return list(raw_columns(kind).items())


def numbered(kind: Kind, relation: str, *, extra: str = "") -> str:
    """SELECT: the rows of `relation` (keys and ids as they came in) as segment rows, numbers in place of keys.

    Needs `person_keys` and `place_numbers`. A row that names a key or a place without a number is left out.
    """
    outputs, joins = {"feed": "b.feed"}, ""
    outputs |= {"document_id": "b.document_id", "document_version": "b.document_version"}
    wheres = []
    for i, c in enumerate(kind.stored):
        if c.type is Type.PERSON:
            optional = not c.required
            joins += f" {'LEFT ' if optional else ''}JOIN person_keys k{i} ON k{i}.key = b.{c.name}"
            outputs[c.name] = f"k{i}.person"
            if optional:
                wheres.append(f"(b.{c.name} IS NULL OR k{i}.person IS NOT NULL)")
        elif c.name == "place_id":
            joins += f" JOIN place_numbers k{i} ON k{i}.place_id = b.place_id"
            outputs["place"] = f"k{i}.place"
            outputs["place_id"] = "b.place_id"
        else:
            outputs[c.name] = f'b."{c.name}"'
    chosen = ", ".join(f'{outputs[name]}::{sql} AS "{name}"' for name, sql in segment_columns(kind))
    where = f" WHERE {' AND '.join(wheres)}" if wheres else ""
    return f"SELECT {extra}{chosen} FROM {relation} b{joins}{where}"

"""Records as Parquet: the columns of `tables.py`, every one a text."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from kangma.errors import Code, Refused
from kangma.incidents import canonical
from kangma.incidents.exchange.report import MOST_RECORDS, Entry, Taken
from kangma.incidents.exchange.tables import NAMES, row, rows_taken

MOST_INFLATED = 1 << 30
_SCHEMA = pa.schema([(name, pa.string()) for name in NAMES])


def write(entries: Iterable[Entry]) -> bytes:
    """One row group, every column a text, Zstandard."""
    rows = [row(entry) for entry in entries]
    columns = [pa.array([r[i] for r in rows], pa.string()) for i in range(len(NAMES))]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def read(content: bytes) -> Taken:
    """Refused: unreadable, too_many_rows, inflates_too_much; bad_value for a column that is no text."""
    if len(content) > canonical.MOST_BYTES:
        raise Refused(Code.TOO_MANY_BYTES, hint=f"at most {canonical.MOST_BYTES // 2**20} MiB")
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        facts = file.metadata
        size = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
        names = file.schema_arrow.names
        text = all(pa.types.is_string(t) or pa.types.is_large_string(t) for t in file.schema_arrow.types)
    except (pa.ArrowException, OSError, ValueError, RuntimeError):
        raise Refused(Code.UNREADABLE, hint="not a Parquet file") from None
    if facts.num_rows > MOST_RECORDS:
        raise Refused(Code.TOO_MANY_ROWS, hint=f"at most {MOST_RECORDS}")
    if size > MOST_INFLATED:
        raise Refused(Code.INFLATES_TOO_MUCH)
    if not text:
        raise Refused(Code.BAD_VALUE, hint="every column is a text")
    try:
        columns = [c.to_pylist() for c in file.read().columns]
    except (pa.ArrowException, OSError, ValueError, RuntimeError, UnicodeDecodeError):
        raise Refused(Code.UNREADABLE, hint="not a Parquet file") from None
    rows = (
        (f"row {n}", [cell or "" for cell in cells]) for n, cells in enumerate(zip(*columns, strict=True), 1)
    )
    return rows_taken(names, rows, Taken())

"""DuckDB as the store uses it: bounded memory, spilling inside the state directory, no extension from the network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb

from kangma.errors import Unavailable

#: What one absorb may take: 2 GB for the whole program (design, performance) less Python, Arrow and the sort's output.
MEMORY = "1200MB"


@contextlib.contextmanager
def engine(spill: Path, *, memory: str = MEMORY) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection for one piece of work. What does not fit `memory` spills into `spill`, which is emptied by the
    engine itself and, after a crash, by the state's sweep. A full disk or memory is Unavailable."""
    con = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": memory,
            "temp_directory": str(spill),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        },
    )
    try:
        yield con
    except duckdb.OutOfMemoryException as problem:
        raise Unavailable("the columnar engine has no memory left for this") from problem
    finally:
        con.close()


def quoted(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def parquet(files: Sequence[Path], *, row_numbers: bool = False) -> str:
    """`read_parquet(...)` over the files. Their names are ours, not a sender's."""
    listed = ", ".join(quoted(str(f)) for f in files)
    return f"read_parquet([{listed}]{', file_row_number=true' if row_numbers else ''})"

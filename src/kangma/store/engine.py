"""DuckDB as the store uses it: bounded memory, spilling inside the state directory, no extension from the network."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from secrets import token_hex

import duckdb

from kangma.errors import Corrupt, Unavailable

#: What one absorb may take: 2 GB for the whole program (design, performance) less Python, Arrow and the sort's output.
MEMORY = "1200MB"


class Engine:
    """One DuckDB instance, opened when first needed; each piece of work has a connection and temporary tables of its
    own. Opening an instance takes longer than taking in a small file, hence one for many."""

    def __init__(self, spill: Path, *, memory: str = MEMORY) -> None:
        """What does not fit `memory` spills into `spill`, which the engine empties itself and, after a crash, the
        state's sweep."""
        self._spill, self._memory = spill, memory
        self._opening = threading.Lock()
        self._instance: duckdb.DuckDBPyConnection | None = None

    @contextlib.contextmanager
    def work(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection for one piece of work. Too little memory for it is Unavailable."""
        with self._opening:
            if self._instance is None:
                self._instance = duckdb.connect(
                    ":memory:",
                    config={
                        "memory_limit": self._memory,
                        "temp_directory": str(self._spill),
                        "autoinstall_known_extensions": "false",
                        "autoload_known_extensions": "false",
                    },
                )
            con = self._instance.cursor()
        try:
            yield con
        except duckdb.OutOfMemoryException as problem:
            raise Unavailable("the columnar engine has no memory left for this") from problem
        except duckdb.IOException as problem:
            if "No space left" in str(problem):
                raise Unavailable("the state's disk is full") from problem
            raise Corrupt("the columnar engine cannot read or write a file of the state") from problem
        finally:
            con.close()

    @contextlib.contextmanager
    def alone(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """`work` in an empty database of its own, in memory and gone with it: tables made there meet no other's."""
        with self.work() as con:
            name = f"alone_{token_hex(4)}"
            con.execute(f"ATTACH ':memory:' AS {name}")
            try:
                con.execute(f"USE {name}")
                yield con
            finally:
                con.execute("USE memory")
                con.execute(f"DETACH {name}")

    def close(self) -> None:
        if self._instance is not None:
            self._instance.close()
            self._instance = None


@contextlib.contextmanager
def engine(spill: Path, *, memory: str = MEMORY) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of an instance of its own, gone with it: for a whole cycle, or a look from outside."""
    instance = Engine(spill, memory=memory)
    try:
        with instance.work() as con:
            yield con
    finally:
        instance.close()


def quoted(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def parquet(files: Sequence[Path], *, row_numbers: bool = False) -> str:
    """`read_parquet(...)` over the files. Their names are ours, not a sender's."""
    listed = ", ".join(quoted(str(f)) for f in files)
    return f"read_parquet([{listed}]{', file_row_number=true' if row_numbers else ''})"

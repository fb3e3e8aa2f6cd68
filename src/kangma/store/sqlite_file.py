"""A SQLite file of its own beside the registry: made when missing, refused when another program made it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

import sqlalchemy as sa

from kangma.errors import Corrupt
from kangma.store.registry import as_ours, open_engine


def settings_of(metadata: sa.MetaData) -> sa.Table:
    """The table `settings` (name, value) of a file; `format` is in it."""
    name, value = (
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.String(64), nullable=False),
    )
    return sa.Table("settings", metadata, name, value)


class SqliteFile:
    """Transactions over one file. What `write` did is durable when its block ends, or never happened. Threads may share
    one."""

    def __init__(
        self,
        path: Path,
        settings: sa.Table,
        first: Mapping[str, str],
        *,
        also: Callable[[sa.Connection], None] = lambda _: None,
    ) -> None:
        """`first`: settings of a new file, its `format` among them; `also`: what a new one has beside its tables.
        Corrupt for a file of another format."""
        self._engine = open_engine(path)
        self._reading = self._engine.execution_options(writes=False)
        with self.write() as on:
            if not sa.inspect(on).has_table(settings.name):
                settings.metadata.create_all(on)
                also(on)
                on.execute(sa.insert(settings), [{"name": n, "value": v} for n, v in first.items()])
            said = on.execute(sa.select(settings.c.value).where(settings.c.name == "format")).scalar()
            if said != first["format"]:
                raise Corrupt(f"{path.name} is of another format")
        path.chmod(0o600)

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        with as_ours(), self._engine.begin() as on:
            yield on

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with as_ours(), self._reading.begin() as on:
            yield on

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

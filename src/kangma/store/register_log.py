"""The register's own transparency log: entries in its database, tiles and checkpoint as files beside it.

The database is what counts: `append` is durable when it returns, the files follow. After a crash between the two,
`settle` writes what the files lack; a reader of the files sees the old checkpoint or the new one, never half of one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import sqlalchemy as sa

from kangma.errors import Corrupt, Refused
from kangma.signing.keys import Signer
from kangma.store.durable import unavailable_when_the_disk_is, write_file
from kangma.store.register_schema import log_entries, settings
from kangma.translog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from kangma.translog.log import Log

PIECE = 4_096  # entries at a time

Transaction = Callable[[], AbstractContextManager[sa.Connection]]


class OwnLog:
    """A `kangma.incidents.statement.Log` over one register's database."""

    def __init__(
        self, write: Transaction, read: Transaction, folder: Path, origin: str, signer: Signer
    ) -> None:
        self._write, self._read, self.folder, self._origin, self._signer = write, read, folder, origin, signer

    @property
    def origin(self) -> str:
        return self._origin

    def append(self, entries: Sequence[bytes]) -> Sequence[int]:
        """As `kangma.incidents.statement.Log` promises. Any number of threads and programs may call at once."""
        with self._write() as on:
            log = _log(on)
            places = dict[bytes, int]()
            fresh: list[bytes] = []
            for entry in dict.fromkeys(entries):
                at = on.execute(
                    sa.select(log_entries.c.place).where(log_entries.c.digest == _digest(entry))
                ).scalar()
                if at is None:
                    places[entry] = log.size + len(fresh)
                    fresh.append(entry)
                else:
                    places[entry] = int(at)
            if fresh:
                rows = [{"place": places[entry], "digest": _digest(entry), "entry": entry} for entry in fresh]
                on.execute(sa.insert(log_entries), rows)
                grown, files = log.append(fresh)
                on.execute(sa.update(settings).where(settings.c.name == "log").values(value=grown.to_bytes()))
                self._write_files(
                    files, grown
                )  # before the commit: tiles of entries that are not there harm nobody
        if fresh:
            self._announce()
        return [places[entry] for entry in entries]

    def settled(self) -> bool:
        """Whether the checkpoint among the files is that of the database."""
        with self._read() as on:
            return self._announced(_log(on))

    def _announced(self, log: Log) -> bool:
        try:
            there = open_checkpoint(
                (self.folder / "checkpoint").read_bytes(), self._origin, self._signer.public
            )
        except (OSError, Refused):
            return False
        return (there.size, there.root) == (log.size, log.root)

    def settle(self) -> None:
        """The files say what the database says."""
        with self._read() as on:
            log = _log(on)
            if self._announced(log):
                return
            built = Log.EMPTY
            while built.size < log.size:
                piece = on.execute(
                    sa.select(log_entries.c.entry)
                    .where(log_entries.c.place >= built.size, log_entries.c.place < built.size + PIECE)
                    .order_by(log_entries.c.place)
                )
                entries = [bytes(row[0]) for row in piece]
                if not entries:
                    raise Corrupt("the register's log lacks entries")
                built, files = built.append(entries)
                self._write_files(files, built)
        if built != log:
            raise Corrupt("the register's log is not what its entries give")
        self._announce()

    def _write_files(self, files: dict[str, bytes], log: Log) -> None:
        with unavailable_when_the_disk_is():
            for name, content in files.items():
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                write_file(path, content)

    def _announce(self) -> None:
        """Signs the head as the database has it now. Within a transaction that may write, so that of two programs the
        one that comes later never puts an older head in the place of a newer one."""
        with self._write() as on, unavailable_when_the_disk_is():
            log = _log(on)
            checkpoint = sign_checkpoint(Checkpoint(self._origin, log.size, log.root), self._signer)
            write_file(self.folder / "checkpoint", checkpoint)


def _log(on: sa.Connection) -> Log:
    value = on.execute(sa.select(settings.c.value).where(settings.c.name == "log")).scalar()
    try:
        return Log.from_bytes(bytes(value or b""))
    except Refused:
        raise Corrupt("the state of the register's log is damaged") from None


def _digest(entry: bytes) -> str:
    return hashlib.sha256(entry).hexdigest()

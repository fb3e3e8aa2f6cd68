"""The registry: what is visible. A file of a state directory exists for its readers once a row here names it.

SQLAlchemy Core over SQLite here, over PostgreSQL in production: only portable types and statements below, and
everything that is SQLite's own in `_set_up_sqlite`. Moments are BIGINT seconds, days are BIGINT days since 1970.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from kangma.errors import Corrupt, Unavailable
from kangma.store import migrations

metadata = sa.MetaData()

#: Small facts about the state itself: `generation` counts the absorbs and deletions that changed what is visible.
counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

feeds = sa.Table(
    "feeds",
    metadata,
    sa.Column("feed", sa.String(64), primary_key=True),
    sa.Column("last_sequence", sa.BigInteger),  # of its manifests; null before the first
    sa.Column("inside", sa.Boolean, nullable=False),  # may name persons by key
)

#: One row per accepted Parquet file of the inbox.
batches = sa.Table(
    "batches",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),  # order of acceptance
    sa.Column("receipt", sa.BigInteger, nullable=False),
    sa.Column("feed", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("file", sa.String(128), nullable=False, unique=True),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),  # SHA-256 of the Parquet file
    sa.Column(
        "first_at", sa.BigInteger
    ),  # least and greatest of the kind's `at` column, null where it has none
    sa.Column("last_at", sa.BigInteger),
    sa.Column("state", sa.String(16), nullable=False),  # accepted, absorbed
    sa.CheckConstraint("state IN ('accepted', 'absorbed')", name="batches_state"),
)

#: What came in, by file and kind. received = accepted + duplicate + refused + quarantined, held by the database.
receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("receipt", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(32), primary_key=True),  # "" for a file refused whole
    sa.Column("feed", sa.String(64), nullable=False),
    sa.Column("file_digest", sa.String(64), nullable=False),
    sa.Column("received", sa.BigInteger, nullable=False),
    sa.Column("accepted", sa.BigInteger, nullable=False),
    sa.Column("duplicate", sa.BigInteger, nullable=False),
    sa.Column("refused", sa.BigInteger, nullable=False),
    sa.Column("quarantined", sa.BigInteger, nullable=False),
    sa.Column("code", sa.String(32)),  # why a whole file was refused
    sa.Column("codes", sa.Text, nullable=False),  # JSON: refusal code → count
    sa.Column("at", sa.BigInteger),
    sa.CheckConstraint("received = accepted + duplicate + refused + quarantined", name="receipts_conserve"),
)

#: Manifests seen; one sequence number of a feed is taken once.
manifests = sa.Table(
    "manifests",
    metadata,
    sa.Column("feed", sa.String(64), primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("receipt", sa.BigInteger, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
)

#: What an operator must look at: `kangma.store.alarms`.
alarms = sa.Table(
    "alarms",
    metadata,
    sa.Column("alarm", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("what", sa.String(32), nullable=False),
    sa.Column("feed", sa.String(64)),
    sa.Column("detail", sa.Text, nullable=False),  # JSON, numbers and codes only
    sa.Column("at", sa.BigInteger),
)

#: The manifest of segments. A segment is live from generation `since` until generation `dropped`.
segments = sa.Table(
    "segments",
    metadata,
    sa.Column("segment", sa.String(40), primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("day", sa.BigInteger),  # UTC day of `at`; null for kinds that are not kept by day
    sa.Column("file", sa.String(128), nullable=False, unique=True),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("first_at", sa.BigInteger),
    sa.Column("last_at", sa.BigInteger),
    sa.Column(
        "first_end", sa.BigInteger
    ),  # least and greatest moment at which a visit or stay in it was over
    sa.Column("last_end", sa.BigInteger),  # null when one goes on
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.Column(
        "newest", sa.BigInteger, nullable=False, server_default="0"
    ),  # since when its newest row is visible
    sa.Column("dropped", sa.BigInteger),
)
sa.Index("segments_live", segments.c.kind, segments.c.day, segments.c.dropped)

#: Deletion runs: mark, wait, shred. The rows of a run are never changed once it is over.
deletions = sa.Table(
    "deletions",
    metadata,
    sa.Column("run", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("marked_at", sa.BigInteger, nullable=False),
    sa.Column("ready_at", sa.BigInteger, nullable=False),
    sa.Column("before", sa.BigInteger, nullable=False),  # what was over before this moment goes
    sa.Column("state", sa.String(16), nullable=False),  # marked, shredded, stopped
    sa.Column("shredded_at", sa.BigInteger),
    sa.Column("counts", sa.Text, nullable=False),  # JSON: kind → {rows, of, shredded}
    sa.Column("canaries", sa.Text, nullable=False),  # JSON: digests of rows that must survive
    sa.CheckConstraint("state IN ('marked', 'shredded', 'stopped')", name="deletions_state"),
)

deletion_marks = sa.Table(
    "deletion_marks",
    metadata,
    sa.Column("run", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("segment", sa.String(40), primary_key=True),
    sa.Column("rows", sa.BigInteger, nullable=False),  # to go from it
)

policies = sa.Table(
    "policies",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("version", sa.String(64), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),  # order of publication
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("effective_from", sa.BigInteger, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
)

#: One row per finished cycle.
releases = sa.Table(
    "releases",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("now", sa.BigInteger, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("policy_digest", sa.String(64), nullable=False),
    sa.Column("counts", sa.Text, nullable=False),  # JSON
    sa.Column("verdict_digest", sa.String(64), nullable=False),
    sa.Column(
        "tree_size", sa.BigInteger
    ),  # of the log with this release in it; null: this city publishes nothing
    sa.Column("tree_root", sa.String(64)),
    sa.Column("announced", sa.Boolean, nullable=False),  # whether the public folder holds all of it
)

#: Who may turn the wheel. `term` only grows: a holder that comes back with an old term is refused.
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("holder", sa.String(64), nullable=False),
    sa.Column("term", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
)


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    """Everything about the registry that only SQLite understands.

    synchronous=FULL: NORMAL loses acknowledged transactions in a power cut (measured in the design, dangers 4.1).
    secure_delete: a deleted row's bytes are overwritten in the file.
    """
    connection.isolation_level = None  # our own BEGIN, below: the driver would begin too late for a read
    for pragma in (
        "busy_timeout=30000",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        "cache_size=-65536",  # 64 MiB: a large transaction that outgrows it writes its pages many times over
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    # IMMEDIATE: a reader that later writes would fail at once under WAL instead of waiting for its turn.
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def empty_journal(engine: sa.Engine) -> None:
    """Deleted rows are gone from SQLite's write-ahead log too: it is emptied into the file, whose freed pages
    secure_delete has overwritten. Best effort: a reader in mid-transaction keeps the log until it is done."""
    with contextlib.closing(engine.raw_connection()) as raw:
        raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def open_engine(path: Path) -> sa.Engine:
    """An engine over one SQLite file, set up so that a commit that returned survives a power cut."""
    # hide_parameters: what is stored must not travel in the text of an error.
    engine = sa.create_engine(f"sqlite:///{path}", hide_parameters=True)
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


class Registry:
    """Transactions over the tables above. A `write` that returned is durable; one that raised left nothing."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the registry, migrated to the newest schema."""
        self.path = path
        self._engine = open_engine(path)
        self._reading = self._engine.execution_options(writes=False)
        with (
            self.read() as on
        ):  # a reader must not wait for a writer only to learn that nothing is to be done
            current = migrations.is_current(on)
        if not current:
            with self.write() as on:
                migrations.upgrade(on)

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction that may write: all of it is durable when the block ends, or none of it happened."""
        with as_ours(), self._engine.begin() as on:
            yield on

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One consistent view; writers are not held up."""
        with as_ours(), self._reading.begin() as on:
            yield on

    def empty_journal(self) -> None:
        empty_journal(self._engine)

    def close(self) -> None:
        self._engine.dispose()


@contextlib.contextmanager
def as_ours() -> Iterator[None]:
    """The database's errors as ours: busy or full is Unavailable, so is a pool without a free connection; a damaged file
    is Corrupt."""
    try:
        yield
    except sa.exc.TimeoutError as problem:
        raise Unavailable("every connection to the database is at work") from problem
    except sa.exc.OperationalError as problem:
        raise Unavailable(f"the database cannot answer: {problem.orig}") from problem
    except sa.exc.DatabaseError as problem:
        if isinstance(problem.orig, sqlite3.DatabaseError) and "malformed" in str(problem.orig):
            raise Corrupt("the database is damaged") from problem
        raise


def counter(on: sa.Connection, name: str) -> int:
    """The value of a counter; 0 before it was first set."""
    return int(on.execute(sa.select(counters.c.value).where(counters.c.name == name)).scalar() or 0)


def set_counter(on: sa.Connection, name: str, value: int) -> None:
    if on.execute(sa.update(counters).where(counters.c.name == name).values(value=value)).rowcount == 0:
        on.execute(sa.insert(counters).values(name=name, value=value))


def next_number(on: sa.Connection, name: str) -> int:
    """A counter's next value, 1 first; taken for good when the transaction ends well."""
    value = counter(on, name) + 1
    set_counter(on, name, value)
    return value

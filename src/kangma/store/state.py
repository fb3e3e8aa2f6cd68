"""A state directory: one city's keys, registry, vault and evidence on one machine. docs/formats/state.md.

Opening one recovers it: whatever a crash left unfinished is either finished by the registry or swept away.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from kangma.errors import Code, Conflict, Refused, Unavailable, Where
from kangma.intake.identity import Keyer
from kangma.intake.kinds import KINDS
from kangma.store import keys, numbers, segments
from kangma.store import registry as r
from kangma.store.durable import (
    WriterLock,
    fsync_folder,
    require_empty,
    write_file,
)
from kangma.store.engine import Engine, parquet
from kangma.store.inbox import Inbox
from kangma.store.logs import EventLog
from kangma.store.registry import Registry
from kangma.store.segments import PLACE_NUMBERS, Absorbed, Segment
from kangma.store.vault import Vault
from kangma.terms import DAY, Day, Moment

MARK = "kangma state 1\n"
#: Folders of every state directory, and those that only their owner may enter.
FOLDERS = ("inbox", "segments", "columns", "derived", "policy", "log", "tmp")
SECRET_FOLDERS = ("spool", "rejects", "quarantine")


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A published policy as the registry keeps it; its meaning is kangma.policy's."""

    id: str
    version: str
    digest: str  # SHA-256 of the document, hex
    effective_from: Moment
    document: str


def create(path: Path, *, policy: Sequence[bytes] = (), now: Moment | None = None) -> State:
    """A new state directory with fresh keys, holding these policies in this order.

    Raises Conflict when `path` exists and is not an empty folder, Refused when a policy cannot be read.
    """
    texts = [read_policy(p) for p in policy]
    require_empty(path)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)  # health events by key are nobody else's to read, whatever the umask says
    keys.make_key_folder(path / "keys")
    keys.make_key(path / "keys" / "person.key")
    keys.make_key(path / "keys" / "vault.key")
    for name in FOLDERS:
        (path / name).mkdir()
    for name in SECRET_FOLDERS:
        (path / name).mkdir(mode=0o700)
    registry = Registry(path / "registry.sqlite")
    with registry.write() as on:
        for text in texts:
            _publish(on, text)
    registry.close()
    Vault(path / "vault.sqlite", keys.read_key(path / "keys" / "vault.key")).close()
    for file in ("registry.sqlite", "vault.sqlite"):
        (path / file).chmod(0o600)
    fsync_folder(path)
    # Last: a folder without this file is the remains of a creation that did not finish.
    write_file(path / "KANGMA", MARK.encode())
    fsync_folder(path.parent)
    return State(path)


def open_state(path: Path) -> State:
    """The state directory at `path`, recovered. Refused when there is none, Corrupt when it is damaged.

    The remains of a crash are swept when nobody else is writing; otherwise they wait for the next opening.
    """
    try:
        mark = (path / "KANGMA").read_text()
    except (OSError, UnicodeDecodeError):
        raise Refused(Code.UNREADABLE, Where(file=path.name), "not a state directory") from None
    if mark != MARK:
        raise Refused(Code.UNREADABLE, Where(file=path.name), "a state directory of another version")
    state = State(path)
    if state.writable:
        with contextlib.suppress(Unavailable), state.lock.hold(wait=0):
            segments.sweep(state)
    return state


class State:
    """An open state directory. Threads may share one; `close` it, or use it as a context."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writable = os.access(path, os.W_OK)
        self.lock = WriterLock(path / "lock")
        self.registry = Registry(path / "registry.sqlite")
        self.engine = Engine(path / "tmp")
        #: What later stages keep of this state from call to call, by a name of theirs: gone when it closes, and with
        #: it every file that it holds mapped. Whoever keeps a resource also says in `closing` how it is given back.
        self.kept: dict[str, Any] = {}
        self.closing = contextlib.ExitStack()
        self.inbox = Inbox(self)
        self.log = EventLog(path / "log" / "events.ndjson")

    def __enter__(self) -> State:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.closing.close()
        self.kept.clear()
        self.engine.close()
        self.registry.close()
        self.log.close()
        if "vault" in self.__dict__:
            self.vault.close()

    @cached_property
    def vault(self) -> Vault:
        """The identity vault; opening it needs `keys/vault.key`."""
        return Vault(self.path / "vault.sqlite", keys.read_key(self.path / "keys" / "vault.key"))

    def keyer(self) -> Keyer:
        """Turns document numbers into person keys, by `keys/person.key`."""
        return Keyer(keys.read_key(self.path / "keys" / "person.key"))

    def require_writable(self) -> None:
        if not self.writable:
            raise Unavailable("the state directory is read-only")

    # evidence ------------------------------------------------------------------------------------------------------

    def absorb(self) -> Absorbed:
        """Every accepted batch is visible evidence when this returns; see segments.absorb."""
        return segments.absorb(self)

    def generation(self) -> int:
        """Grows with every change of what is visible; equal generations are equal evidence."""
        with self.registry.read() as on:
            return r.counter(on, "generation")

    def live_segments(self, kinds: Sequence[str] | None = None) -> list[Segment]:
        with self.registry.read() as on:
            return segments.live(self, on, kinds)

    def evidence_digest(self, kinds: Sequence[str], *, day: Day | None = None) -> str:
        """SHA-256 over the live segments of these kinds: the key of whatever is derived from them. With `day`, only
        those segments of kinds kept by day that may hold rows of this UTC day: live visits of a day depend on
        `evidence_digest(["visits"], day=d)` and `evidence_digest(["retractions", "identities"])`."""
        found = self.live_segments(kinds)
        if day is not None:
            found = [s for s in found if s.day == day or s.day is None]
        return segments.digest(found)

    def manifest_digest(self, generation: int) -> str:
        """SHA-256 over the manifest as it was at a generation: which files were evidence, and what was in each."""
        c = r.segments.c
        query = sa.select(c.kind, c.digest, c.rows).where(
            c.since <= generation, sa.or_(c.dropped.is_(None), c.dropped > generation)
        )
        with self.registry.read() as on:
            lines = sorted(f"{x.kind} {x.digest} {x.rows}\n" for x in on.execute(query))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def files_like(
        self, kind: str, feed: str, bounds: tuple[int | None, int | None]
    ) -> tuple[list[Path], list[Path]]:
        """Files that may hold a row of this feed between `bounds` of the kind's `at`: of the inbox, of the segments."""
        first, last = bounds

        def near(table: sa.Table) -> sa.ColumnElement[bool]:
            if first is None or last is None:
                return sa.true()
            return sa.and_(table.c.first_at <= last, table.c.last_at >= first)

        b, s = r.batches, r.segments
        with self.registry.read() as on:
            waiting = on.execute(
                sa.select(b.c.file).where(
                    b.c.kind == kind, b.c.feed == feed, b.c.state == "accepted", near(b)
                )
            ).scalars()
            absorbed = on.execute(
                sa.select(s.c.file).where(s.c.kind == kind, s.c.dropped.is_(None), near(s))
            ).scalars()
            return (
                [self.path / "inbox" / f for f in waiting],
                [self.path / "segments" / f for f in absorbed],
            )

    def numbers_on(self, con: duckdb.DuckDBPyConnection, *, places: bool = True) -> None:
        """`person_keys(person, key)` and the table `place_numbers(place, place_id)` on a connection of our own; the
        table is empty when nobody asks for places."""
        with self.registry.read() as on:
            persons = r.counter(on, "persons")
            files = [s.path for s in segments.live(self, on, [PLACE_NUMBERS])]
        con.register("person_keys", numbers.person_table(self.path / "persons.keys", persons))
        con.execute("CREATE OR REPLACE TEMP TABLE place_numbers (place UINTEGER, place_id VARCHAR)")
        if files and places:
            con.execute(f"INSERT INTO place_numbers SELECT place, place_id FROM {parquet(files)}")

    def raw(self, con: duckdb.DuckDBPyConnection) -> int:
        """Registers `raw_<kind>` for every kind, `person_keys` and `place_numbers` on `con`, all of one generation,
        which is returned. A kind without rows has an empty view of the same columns.

        Persons are numbers, not yet canonical. The views read immutable files; a file that is gone (compacted or
        forgotten twice since) makes the query fail, and the caller registers anew.
        """
        with self.registry.read() as on:
            generation, persons = r.counter(on, "generation"), r.counter(on, "persons")
            found = segments.live(self, on)
        con.register("person_keys", numbers.person_table(self.path / "persons.keys", persons))
        wanted = [(k, f"raw_{k}", numbers.segment_columns(kind)) for k, kind in KINDS.items()]
        wanted.append((PLACE_NUMBERS, PLACE_NUMBERS, [("place", "UINTEGER"), ("place_id", "VARCHAR")]))
        for kind, view, columns in wanted:
            files = _typical_first([s for s in found if s.kind == kind])
            source = parquet(files) if files else ""
            chosen = ", ".join(
                f'"{name}"::{sql} AS "{name}"' if files else f'NULL::{sql} AS "{name}"'
                for name, sql in columns
            )
            tail = f"FROM {source}" if files else "WHERE false"
            con.execute(f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT {chosen} {tail}")
        return generation

    def person_count(self) -> int:
        with self.registry.read() as on:
            return r.counter(on, "persons")

    def persons_digest(self, count: int) -> str:
        """SHA-256 over the keys of the first `count` persons, in the order of their numbers, as the file has them now."""
        return numbers.keys_digest(self.path / "persons.keys", hashlib.sha256(), 0, count).hexdigest()

    def persons_digest_then(self, count: int) -> str:
        """The same for whoever made it before and keeps the state open: keys are only ever appended, and those are read
        that are new."""
        known, said = self.kept.get("persons digest", (0, hashlib.sha256()))
        if known > count:
            known, said = 0, hashlib.sha256()
        said = numbers.keys_digest(self.path / "persons.keys", said, known, count)
        self.kept["persons digest"] = (count, said)
        return str(said.hexdigest())

    def person_number(self, key: bytes) -> int | None:
        """The number of a person key, None when no absorbed evidence names it."""
        return numbers.number_of(self.path / "persons.keys", self.person_count(), key)

    def person_keys(self, persons: pa.Array | pa.ChunkedArray) -> list[bytes]:
        """The 16-byte key of each of these numbers."""
        known = numbers.person_table(self.path / "persons.keys", self.person_count())
        keys: list[bytes] = known["key"].take(persons).to_pylist()
        return keys

    def visit_days(self) -> list[Day]:
        """UTC days on which a visit began, by the manifest and, for strays, the rows."""
        days: set[int] = set()
        strays = []
        for s in self.live_segments(["visits"]):
            if s.day is None:
                strays.append(s.path)
            else:
                days.add(s.day)
        if strays:
            with duckdb.connect() as con:
                query = f"SELECT DISTINCT floor(entered_at / {DAY})::BIGINT FROM {parquet(strays)}"
                days |= {d for (d,) in con.execute(query).fetchall()}
        return sorted(days)

    def visits_of_day(
        self, con: duckdb.DuckDBPyConnection, day: Day, *, relation: str = "live_visits"
    ) -> pa.Table:
        """(place uint32, person uint32, entered_at int64, left_at int64, source text) of one UTC day, sorted by
        (place, entered_at), out of `relation` on `con`: `live_visits` of the evidence views, or `raw_visits`."""
        return con.sql(
            f"SELECT place, person, entered_at, left_at, source FROM {relation} "
            f"WHERE entered_at >= {day * DAY} AND entered_at < {(day + 1) * DAY} "
            f"ORDER BY place, entered_at, person, left_at"
        ).to_arrow_table()

    # policies, releases, lease -------------------------------------------------------------------------------------

    def publish_policy(self, document: bytes) -> PolicyText:
        """The policy is in force from its own date on; durable on return. Conflict when this version is there with
        another text; the same text again changes nothing."""
        text = read_policy(document)
        with self.registry.write() as on:
            _publish(on, text)
        return text

    def policies(self) -> list[PolicyText]:
        """All policies in order of publication."""
        c = r.policies.c
        with self.registry.read() as on:
            rows = on.execute(sa.select(r.policies).order_by(c.position)).all()
        return [PolicyText(x.id, x.version, x.digest, x.effective_from, x.document) for x in rows]


def read_policy(document: bytes) -> PolicyText:
    """Id, version and date of a policy file. Refused (bad_policy) when it has none; the rest is kangma.policy's."""
    try:
        content = tomllib.loads(document.decode())
        since = content["effective_from"]
        name, version = str(content["id"]), str(content["version"])
    except (ValueError, KeyError):
        raise Refused(Code.BAD_POLICY, hint="a policy needs id, version and effective_from") from None
    if not isinstance(since, datetime) or since.tzinfo is None:
        raise Refused(Code.BAD_POLICY, hint="effective_from is a time with offset")
    digest = hashlib.sha256(document).hexdigest()
    return PolicyText(name, version, digest, int(since.timestamp()), document.decode())


def _publish(on: sa.Connection, text: PolicyText) -> None:
    c = r.policies.c
    there = on.execute(sa.select(c.digest).where(c.id == text.id, c.version == text.version)).scalar()
    if there == text.digest:
        return
    if there is not None:
        raise Conflict(f"version {text.version} of {text.id} is published with another text")
    on.execute(
        sa.insert(r.policies).values(
            id=text.id,
            version=text.version,
            position=r.next_number(on, "policies"),
            digest=text.digest,
            effective_from=text.effective_from,
            document=text.document,
        )
    )


def _typical_first(files: Sequence[Segment]) -> list[Path]:
    """Their paths, the one of nearly average length first. DuckDB 2.0 takes all files of a `read_parquet` to be as long
    as the first: where that is what is left of the oldest day, a join is planned for a thousandth of the rows."""
    mean = sum(s.rows for s in files) / max(len(files), 1)
    typical = min(files, key=lambda s: abs(s.rows - mean), default=None)
    return [s.path for s in sorted(files, key=lambda s: s is not typical)]

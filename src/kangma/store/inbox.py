"""The inbox: where accepted rows wait, durable and acknowledged, until the next absorb.

The order of one acceptance, and what a crash after each step leaves:
 1 rows spooled under spool/, seen by nobody            → the folder's claim dies with us; a sweep removes it
 2 duplicates found, file fsynced, renamed into inbox/  → a file without a row in the registry; a sweep removes it
 3 identities sealed into the vault                     → sealed identities without evidence; the resend replaces them
 4 one registry transaction names files and counts      → the rows are evidence, though the sender may not know: his
                                                          resend is counted duplicate
 5 the receipt is returned                              → acknowledged
Evidence is a set: a row equal in feed and in every column to one that is here already is counted and not kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from kangma.errors import Code, Refused, Where
from kangma.intake.kinds import KINDS, Kind, Type
from kangma.store import registry as r
from kangma.store.alarms import What, raise_alarm
from kangma.store.durable import Claim, file_digest, publish_file, unavailable_when_the_disk_is
from kangma.store.engine import parquet
from kangma.store.numbers import numbered, segment_columns
from kangma.store.vault import Sealed
from kangma.terms import Moment

if TYPE_CHECKING:
    from kangma.store.state import State

ROWS_PER_GROUP = 262_144
_SEALED = pa.schema([("row", pa.binary(16)), ("part", pa.int8()), ("sealed", pa.binary())])


@dataclass(slots=True)
class Tally:
    """What a file brought, for one kind; received = accepted + duplicate + refused + quarantined."""

    accepted: int = 0
    duplicate: int = 0
    refused: int = 0
    quarantined: int = 0
    codes: dict[str, int] = field(default_factory=dict)

    @property
    def received(self) -> int:
        return self.accepted + self.duplicate + self.refused + self.quarantined


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a sender says of a file: its feed, its place in the feed's sequence, its rows and SHA-256 (hex)."""

    feed: str
    sequence: int
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The acknowledgement: whoever holds one finds these rows again after any fault."""

    number: int
    tallies: Mapping[str, Tally]


class Inbox:
    def __init__(self, state: State) -> None:
        self._state = state

    def accept(
        self,
        feed: str,
        kind: str,
        tables: Iterable[pa.RecordBatch],
        secrets: Iterable[pa.RecordBatch] = (),
        file_digest: str = "",
        *,
        now: Moment | None = None,
    ) -> Receipt:
        """Rows of KINDS[kind].schema are durable when this returns, each once, with the identities they name."""
        with Staging(self._state, feed) as staging:
            for rows in tables:
                staging.add(kind, rows)
            for some in secrets:
                staging.seal(some)
            return staging.commit(file_digest=file_digest, now=now)

    def stage(self, feed: str) -> Staging:
        """Room for the rows of one file; nothing of it counts before `commit` returns."""
        return Staging(self._state, feed)


class Staging:
    """The rows of one file on their way in. A context: what was not committed at its end is gone."""

    def __init__(self, state: State, feed: str) -> None:
        check_feed(feed)
        self._state, self.feed = state, feed
        self._claim: Claim | None = None
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._waiting: dict[str, list[pa.RecordBatch]] = {}
        self._sealed: pa.ipc.RecordBatchFileWriter | None = None
        self._known: set[bytes] = set()
        self.rows = 0  # added so far

    def __enter__(self) -> Staging:
        self._state.require_writable()
        with unavailable_when_the_disk_is():
            self._claim = Claim(self._state.path / "spool" / token_hex(8))
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()
        if self._sealed is not None:
            self._sealed.close()
        if self._claim is not None:
            self._claim.release()

    @property
    def folder(self) -> Path:
        """Owner-only, gone at the end of the context; a caller may keep files of its own in it."""
        assert self._claim is not None, "a staging is used inside its context"
        return self._claim.folder

    def add(self, kind: str, rows: pa.RecordBatch) -> None:
        """Spools rows of KINDS[kind].schema. ValueError for another schema: that is a bug of a parser."""
        if not rows.schema.equals(KINDS[kind].schema):
            raise ValueError(f"rows of {kind} do not have its schema")
        if rows.num_rows == 0:
            return
        self.rows += rows.num_rows
        with unavailable_when_the_disk_is():
            waiting = self._waiting.setdefault(kind, [])
            waiting.append(rows)
            if sum(b.num_rows for b in waiting) >= ROWS_PER_GROUP:
                self._write(kind)

    def _write(self, kind: str) -> None:
        table = pa.Table.from_batches(self._waiting.pop(kind))
        feed = pa.DictionaryArray.from_arrays(pa.array([0] * len(table), pa.int8()), pa.array([self.feed]))
        table = table.add_column(0, pa.field("feed", feed.type, nullable=False), feed)
        if kind not in self._writers:
            texts = ["feed", *(c.name for c in KINDS[kind].stored if c.type is Type.TEXT)]
            self._writers[kind] = pq.ParquetWriter(
                self.folder / f"{kind}.parquet",
                table.schema,
                compression="lz4",
                use_dictionary=texts,
                store_schema=False,
            )
        self._writers[kind].write_table(table, row_group_size=ROWS_PER_GROUP)

    def seal(self, secrets: pa.RecordBatch) -> None:
        """Spools identities (person, id_type, id_number, name?, phone?), sealed before they touch the disk."""
        vault = self._state.vault
        rows = {vault.row(p) for p in secrets.column("person").unique().to_pylist()}
        self._known |= vault.known(rows - self._known)
        sealed = vault.seal_many(secrets, known=self._known)
        if not sealed:
            return
        with unavailable_when_the_disk_is():
            if self._sealed is None:
                self._sealed = pa.ipc.new_file(str(self.folder / "sealed.arrow"), _SEALED)
            columns = [[s.row for s in sealed], [s.part for s in sealed], [s.sealed for s in sealed]]
            self._sealed.write_batch(
                pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, _SEALED, strict=True)], _SEALED)
            )

    def commit(
        self,
        *,
        file_digest: str = "",
        tallies: Mapping[str, Tally] | None = None,
        manifest: Manifest | None = None,
        quarantined: int = 0,
        now: Moment | None = None,
    ) -> Receipt:
        """Everything added is durable and visible to the next absorb when this returns.

        `tallies` brings the refused and quarantined counts by kind; accepted and duplicate are filled in here. Pieces
        that were quarantined raise an alarm.
        Raises Refused (manifest_mismatch) when the manifest's sequence number was taken before by another file.
        """
        for kind in list(self._waiting):
            self._write(kind)
        for writer in self._writers.values():
            writer.close()
        state = self._state
        out = {k: Tally(0, 0, t.refused, t.quarantined, dict(t.codes)) for k, t in (tallies or {}).items()}
        with state.lock.hold(), unavailable_when_the_disk_is():
            files: list[dict[str, object]] = []
            for kind in self._writers:
                out.setdefault(kind, Tally())
                entry = self._place(kind, out[kind])
                if entry is not None:
                    files.append(entry)
            if self._sealed is not None:
                self._sealed.close()
                with pa.memory_map(str(self.folder / "sealed.arrow")) as source:
                    reader = pa.ipc.open_file(source)
                    for i in range(reader.num_record_batches):
                        columns = reader.get_batch(i).to_pydict()
                        state.vault.put(
                            Sealed(*s)
                            for s in zip(columns["row"], columns["part"], columns["sealed"], strict=True)
                        )
            number = self._register(
                files, out, file_digest, manifest=manifest, quarantined=quarantined, now=now
            )
        return Receipt(number, out)

    def _place(self, kind: str, tally: Tally) -> dict[str, object] | None:
        """The rows of a kind, without those already here, as a durable file of the inbox (not yet visible)."""
        state, what = self._state, KINDS[kind]
        spooled = self.folder / f"{kind}.parquet"
        with state.engine.work() as con:
            total = pq.read_metadata(spooled).num_rows
            bounds = _bounds(con, what, spooled)
            tally.duplicate = _find_duplicates(
                con, state, what, feed=self.feed, spooled=spooled, bounds=bounds
            )
            tally.accepted = total - tally.duplicate
            if tally.accepted == 0:
                return None
            if tally.duplicate:
                fresh = self.folder / f"{kind}.fresh.parquet"
                con.execute(
                    f"COPY (SELECT * EXCLUDE (file_row_number) FROM {parquet([spooled], row_numbers=True)} "
                    f"ANTI JOIN duplicates USING (file_row_number)) "
                    f"TO '{fresh}' (FORMAT parquet, COMPRESSION lz4_raw, ROW_GROUP_SIZE {ROWS_PER_GROUP})"
                )
                bounds = _bounds(con, what, fresh)
                spooled = fresh
        name = f"{kind}-{token_hex(8)}.parquet"
        publish_file(spooled, state.path / "inbox" / name)
        return {
            "feed": self.feed,
            "kind": kind,
            "file": name,
            "rows": tally.accepted,
            "digest": file_digest(state.path / "inbox" / name),
            "first_at": bounds[0],
            "last_at": bounds[1],
            "state": "accepted",
        }

    def _register(
        self,
        files: list[dict[str, object]],
        tallies: Mapping[str, Tally],
        digest: str,
        *,
        manifest: Manifest | None,
        quarantined: int,
        now: Moment | None,
    ) -> int:
        with self._state.registry.write() as on:
            receipt = r.next_number(on, "receipts")
            if on.execute(sa.select(r.feeds.c.feed).where(r.feeds.c.feed == self.feed)).first() is None:
                on.execute(sa.insert(r.feeds).values(feed=self.feed, inside=False))
            for entry in files:
                on.execute(
                    sa.insert(r.batches).values(number=r.next_number(on, "batches"), receipt=receipt, **entry)
                )
            for kind, tally in tallies.items():
                on.execute(
                    sa.insert(r.receipts).values(
                        receipt=receipt,
                        kind=kind,
                        feed=self.feed,
                        file_digest=digest,
                        received=tally.received,
                        accepted=tally.accepted,
                        duplicate=tally.duplicate,
                        refused=tally.refused,
                        quarantined=tally.quarantined,
                        codes=json.dumps(tally.codes, sort_keys=True),
                        at=now,
                    )
                )
            if quarantined:
                raise_alarm(on, What.QUARANTINE, self.feed, {"receipt": receipt, "pieces": quarantined}, now)
            if manifest is not None:
                take_manifest(on, manifest, receipt, now)
        return receipt


def take_manifest(on: sa.Connection, manifest: Manifest, receipt: int, now: Moment | None) -> None:
    """Notes the manifest; a gap before it raises an alarm, a number taken by another file refuses this one.

    Late files may fill a gap: the alarm stays, as the register of what was seen when.
    """
    taken = on.execute(
        sa.select(r.manifests.c.digest).where(
            r.manifests.c.feed == manifest.feed, r.manifests.c.sequence == manifest.sequence
        )
    ).scalar()
    if taken == manifest.sha256:
        return  # the same file once more: its rows are duplicates
    if taken is not None:
        raise Refused(
            Code.MANIFEST_MISMATCH, hint=f"sequence number {manifest.sequence} was used by another file"
        )
    on.execute(
        sa.insert(r.manifests).values(
            feed=manifest.feed,
            sequence=manifest.sequence,
            receipt=receipt,
            rows=manifest.rows,
            digest=manifest.sha256,
        )
    )
    last = on.execute(sa.select(r.feeds.c.last_sequence).where(r.feeds.c.feed == manifest.feed)).scalar()
    if last is not None and manifest.sequence > last + 1:
        raise_alarm(
            on, What.SEQUENCE_GAP, manifest.feed, {"expected": last + 1, "got": manifest.sequence}, now
        )
    if last is None or manifest.sequence > last:
        on.execute(
            sa.update(r.feeds).where(r.feeds.c.feed == manifest.feed).values(last_sequence=manifest.sequence)
        )


def check_feed(feed: str) -> None:
    """Refused unless the name of a feed is 1 to 64 printable characters without a slash."""
    if not (1 <= len(feed) <= 64 and feed.isprintable() and "/" not in feed and feed.strip() == feed):
        raise Refused(
            Code.BAD_VALUE, Where(column="source"), "a feed's name has 1 to 64 printable characters"
        )


def _bounds(con: duckdb.DuckDBPyConnection, kind: Kind, file: Path) -> tuple[int | None, int | None]:
    if kind.at is None:
        return None, None
    found = con.execute(f'SELECT min("{kind.at}"), max("{kind.at}") FROM {parquet([file])}').fetchall()
    return found[0][0], found[0][1]


def _find_duplicates(
    con: duckdb.DuckDBPyConnection,
    state: State,
    kind: Kind,
    *,
    feed: str,
    spooled: Path,
    bounds: tuple[int | None, int | None],
) -> int:
    """Fills the table `duplicates(file_row_number)`: rows that are here already, and later copies within the file.

    Exact: a 64-bit hash only chooses what is compared, column by column with IS NOT DISTINCT FROM.
    """
    names = [
        "document_id",
        "document_version",
        *(f'"{c.name}"' for c in kind.stored),
    ]  # "at" is a word of SQL
    new = parquet([spooled], row_numbers=True)
    fingerprint = f"hash({', '.join(names)})"
    con.execute("CREATE TEMP TABLE duplicates (file_row_number BIGINT)")
    con.execute(
        f"CREATE TEMP TABLE twice AS SELECT {fingerprint} AS h FROM {new} GROUP BY h HAVING count(*) > 1"
    )
    con.execute(
        f"INSERT INTO duplicates SELECT file_row_number FROM (SELECT file_row_number, row_number() OVER "
        f"(PARTITION BY {', '.join(names)} ORDER BY file_row_number) AS copy "
        f"FROM {new} WHERE {fingerprint} IN (SELECT h FROM twice)) WHERE copy > 1"
    )
    waiting, absorbed = state.files_like(kind.name, feed, bounds)
    if waiting:
        same = " AND ".join(f"n.{c} IS NOT DISTINCT FROM o.{c}" for c in names)
        con.execute(
            f"INSERT INTO duplicates SELECT n.file_row_number FROM {new} n "
            f"SEMI JOIN {parquet(waiting)} o ON {same}"
        )
    if absorbed:
        state.numbers_on(con)
        segment_names = [f'"{n}"' for n, _ in segment_columns(kind)]
        same = " AND ".join(f"n.{c} IS NOT DISTINCT FROM o.{c}" for c in segment_names)
        con.execute(
            f"INSERT INTO duplicates SELECT n.file_row_number FROM "
            f"({numbered(kind, new, extra='b.file_row_number, ')}) n "
            f"SEMI JOIN {parquet(absorbed)} o ON {same}"
        )
    # A row may be a copy both within the file and of what is here: it is counted once.
    con.execute("CREATE OR REPLACE TEMP TABLE duplicates AS SELECT DISTINCT file_row_number FROM duplicates")
    found = con.execute("SELECT count(*) FROM duplicates").fetchall()
    return int(found[0][0])

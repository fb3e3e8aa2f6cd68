"""Scan-ins between a phone and the evidence: acknowledged when they are on the disk, sealed so that the front door itself
cannot read them again.

The order of one scan-in, and what a crash after each step leaves:
 1 it waits with others of the same moment                   → nobody was told anything; the phone sends it again
 2 all of them, sealed to the key of visits, are appended to this process's file and synced
                                                             → a record that is whole, acknowledged or not; or the torn
                                                               end of a file, which nobody was told of
 3 the phones are answered                                   → acknowledged
 4 `take_in` opens files that nobody writes any more, hands their visits to the inbox (durable) and unlinks them
                                                             → once more, if the unlink was lost: evidence is a set, and
                                                               equal rows are one
A file is `front/scans/<16 hex>.scans`: the magic, then records of 4 bytes length (big-endian), the CRC-32 of
those, and one HPKE message (RFC 9180, X25519, HKDF-SHA256, AES-256-GCM, info = magic): encapsulated key,
ciphertext. The plaintext is one scan-in a line: who, venue, entered, left, version, visit. Whoever writes a file
holds an flock on it. The private key is `keys/visits.key`; the front door needs `front/visits.pub` alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from kangma.errors import Conflict, Corrupt, KangmaError, Unavailable
from kangma.intake.kinds import KINDS
from kangma.store import front_schema as db
from kangma.store.alarms import What, raise_alarm
from kangma.store.durable import fsync_folder, unavailable_when_the_disk_is, write_file
from kangma.store.front import FILE as FRONT_FILE
from kangma.store.front import FOLDER as FRONT
from kangma.store.keys import read_key, write_secret
from kangma.store.registry import as_ours, open_engine
from kangma.store.venues import Venues
from kangma.terms import Moment

if TYPE_CHECKING:
    from kangma.store.state import State

FEED = "venues"
FOLDER, SUFFIX = "scans", ".scans"
PUBLIC_KEY, SECRET_KEY = "visits.pub", "visits.key"
MAGIC = b"KMSCANS1"
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
MOST_WAITING = 8_192  # scan-ins that are not on the disk yet; beyond, come back later
MOST_TOGETHER = 2_048  # in one record
AGE, SIZE = 2.0, 8 << 20  # seconds and bytes after which a file is closed, so that it can be taken in
_MOST_RECORD = 1 << 20
_HEAD = 8  # bytes before a record
_AT_ONCE = 100_000  # visits handed to the inbox at a time


@dataclass(frozen=True, slots=True)
class ScanIn:
    """One visit as the front door saw it: whose slot, which door, from when to when. A later version of the same visit
    knows better when it ended. Who is in somebody's care and has no slot is named by the number of the person."""

    slot: int  # 0 for who has none
    venue: str
    entered: Moment
    left: Moment
    version: int
    visit: str  # 16 hex digits
    person: int | None = None  # of who has no slot

    def line(self) -> bytes:
        whose = who(self.slot, self.person)
        return f"{whose} {self.venue} {self.entered} {self.left} {self.version} {self.visit}".encode()

    @classmethod
    def of(cls, line: bytes) -> ScanIn:
        whose, venue, entered, left, version, visit = line.decode().split(" ")
        slot, person = (0, int(whose[1:])) if whose.startswith("p") else (int(whose), None)
        return cls(slot, venue, int(entered), int(left), int(version), visit, person)


def who(slot: int, person: int | None) -> int | str:
    """How a scan-in names somebody: by their slot, or by the number of a person who has none."""
    return slot if person is None else f"p{person}"


def prepare_scans(state: Path) -> X25519PublicKey:
    """The folder `front/scans` and the key to which visits are sealed; made when missing, durable on return."""
    folder = state / FRONT / FOLDER
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        fsync_folder(folder.parent)
    public = state / FRONT / PUBLIC_KEY
    if not public.exists():
        secret = state / "keys" / SECRET_KEY
        with contextlib.suppress(Conflict):  # two who want it at once get the same
            write_secret(secret, X25519PrivateKey.generate().private_bytes_raw())
        made = X25519PrivateKey.from_private_bytes(read_key(secret)).public_key()
        write_file(public, made.public_bytes_raw(), mode=0o600)
    return X25519PublicKey.from_public_bytes(public.read_bytes())


class ScanJournal:
    """Where the front door writes scan-ins down. Threads and event loops share one; a process has one of its own."""

    def __init__(self, folder: Path, public: X25519PublicKey, *, age: float = AGE) -> None:
        """`folder`: `front/scans`. A thread writes, for as long as it is open."""
        self._folder, self._public, self._age = folder, public, age
        self._waiting: list[tuple[bytes, Future[None]]] = []
        self._turn = threading.Condition()
        self._closing = self._asked = False
        self._file: tuple[Path, int] | None = None
        self._began, self._size = 0.0, 0
        self.commits = 0
        self._thread = threading.Thread(target=self._work, name="scans", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """What waits is written first."""
        with self._turn:
            self._closing = True
            self._turn.notify()
        self._thread.join()

    def __enter__(self) -> ScanJournal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def let_go(self) -> None:
        """What was acknowledged can be taken in when this returns: the file is closed, and the next one begun anew."""
        with self._turn:
            self._asked = True
            self._turn.notify()
        while self._asked:
            time.sleep(0.002)

    def put(self, scan: ScanIn) -> Future[None]:
        """Done when the scan-in is on the disk; fails with Unavailable or Corrupt when it is not. Unavailable at
        once while too many wait."""
        done: Future[None] = Future()
        with self._turn:
            if self._closing or len(self._waiting) >= MOST_WAITING:
                raise Unavailable("too many scan-ins wait to be written")
            self._waiting.append((scan.line(), done))
            self._turn.notify()
        return done

    async def kept(self, scan: ScanIn) -> None:
        """The same for a coroutine: on return it is on the disk."""
        await asyncio.wrap_future(self.put(scan))

    def _work(self) -> None:
        while True:
            with self._turn:
                while not self._waiting and not self._closing and not self._asked:
                    self._turn.wait(self._age / 2)
                    if self._due():
                        break
                asked = self._asked and not self._waiting
                some, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
                ending = self._closing and not self._waiting
            problem: KangmaError | None = None
            if some:
                try:
                    with unavailable_when_the_disk_is():
                        self._append(b"\n".join(line for line, _ in some))
                except KangmaError as found:
                    problem = found
                except Exception as found:
                    problem = Corrupt("a scan-in could not be written")
                    problem.__cause__ = found
                for _, done in some:
                    if done.set_running_or_notify_cancel():
                        done.set_result(None) if problem is None else done.set_exception(problem)
            if problem is not None or ending or asked or self._due():
                self._end()
                if asked:
                    self._asked = False
            if ending:
                return

    def _due(self) -> bool:
        return self._file is not None and (time.monotonic() - self._began >= self._age or self._size >= SIZE)

    def _append(self, content: bytes) -> None:
        if self._file is None:
            self._begin()
        assert self._file is not None
        sealed = SUITE.encrypt(content, self._public, MAGIC)
        record = memoryview(_head(len(sealed)) + sealed)
        self._size += len(record)
        while record:
            record = record[os.write(self._file[1], record) :]
        os.fdatasync(self._file[1])
        self.commits += 1

    def _begin(self) -> None:
        path = self._folder / f"{token_hex(8)}{SUFFIX}"
        # Under a name that nobody takes in, until it is ours.
        hidden = path.with_suffix(".new")
        fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            os.write(fd, MAGIC)
            hidden.rename(path)
            fsync_folder(self._folder)
        except BaseException:
            os.close(fd)
            hidden.unlink(missing_ok=True)
            raise
        self._file, self._began, self._size = (path, fd), time.monotonic(), len(MAGIC)

    def _end(self) -> None:
        """Closes the file, for good: after a failed write its end may be torn, and nothing comes after a torn record."""
        if self._file is not None:
            os.close(self._file[1])
            self._file = None


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What `take_in` did. `damaged`: files that did not open, and were put aside."""

    files: int = 0
    visits: int = 0
    duplicate: int = 0
    damaged: int = 0


def take_in(state: State, *, now: Moment) -> TakenIn:
    """Scan-ins whose files nobody writes any more are in the inbox when this returns, each once. Nothing is lost by a
    crash, nor by calling it twice.

    A file that does not open (another key, a changed byte) is put aside as `<name>.damaged` with an alarm, and the
    others go on.
    """
    folder = state.path / FRONT / FOLDER
    if not folder.is_dir() or not (files := sorted(folder.glob(f"*{SUFFIX}"))):
        return TakenIn()
    secret = X25519PrivateKey.from_private_bytes(read_key(state.path / "keys" / SECRET_KEY))
    with Venues(state.path / FRONT) as venues:
        place_of = {v.venue: v.place for v in venues.all()}
    waiting: list[dict[str, Any]] = []
    done: list[Path] = []
    damaged = visits = duplicate = 0
    for i, path in enumerate(files):
        with _alone(path) as content:
            if content is not None:
                rows = _rows(state, _opened(content, secret), place_of)
                if rows is None:
                    damaged += 1
                    path.rename(path.with_suffix(".damaged"))
                else:
                    done.append(path)
                    waiting += rows
        if waiting and (len(waiting) >= _AT_ONCE or i == len(files) - 1):
            batch = pa.RecordBatch.from_pylist(waiting, KINDS["visits"].schema)
            tally = state.inbox.accept(FEED, "visits", [batch], now=now).tallies["visits"]
            visits, duplicate, waiting = visits + tally.accepted, duplicate + tally.duplicate, []
    for path in done:
        path.unlink(missing_ok=True)
    if damaged:
        with state.registry.write() as on:
            raise_alarm(on, What.SCANS_DAMAGED, FEED, {"files": damaged}, now)
    if done or damaged:
        state.log.info(
            "scan-ins taken in", files=len(done), accepted=visits, duplicate=duplicate, quarantined=damaged
        )
    return TakenIn(len(done), visits, duplicate, damaged)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bytes | None]:
    """The file's content; None while somebody writes it."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file.read()


def _opened(content: bytes, secret: X25519PrivateKey) -> list[ScanIn] | None:
    """The scan-ins of a file; None when it is not as it was written. A torn end is: nobody was told of what is in it."""
    found: list[ScanIn] = []
    if len(content) < len(MAGIC):
        return found  # torn at its very beginning
    if content[: len(MAGIC)] != MAGIC:
        return None
    at = len(MAGIC)
    while at + _HEAD <= len(content):
        if not any(content[at:]):
            break  # room that the disk had given and no bytes yet
        size = int.from_bytes(content[at : at + 4], "big")
        if size > _MOST_RECORD or content[at : at + _HEAD] != _head(size):
            return None  # a length that somebody changed would hide what comes behind it
        record = content[at + _HEAD : at + _HEAD + size]
        if len(record) < size:
            break
        try:
            plain = SUITE.decrypt(record, secret, MAGIC)
        except (InvalidTag, ValueError):
            last = at + _HEAD + size >= len(content)
            return found if last and not any(record[-16:]) else None  # torn, or changed
        found += [ScanIn.of(line) for line in plain.split(b"\n")]
        at += _HEAD + size
    return found


def _head(size: int) -> bytes:
    length = size.to_bytes(4, "big")
    return length + zlib.crc32(length).to_bytes(4, "big")


def _rows(state: State, scans: list[ScanIn] | None, place_of: dict[str, str]) -> list[dict[str, Any]] | None:
    """These scan-ins as visits; None when they speak of somebody or of a door that is not here."""
    if scans is None:
        return None
    person_of = _persons(state.path / FRONT / FRONT_FILE, {s.slot for s in scans if s.person is None})
    everybody = state.person_count()
    if any(
        s.venue not in place_of or (s.slot not in person_of if s.person is None else s.person >= everybody)
        for s in scans
    ):
        return None
    persons = [person_of[s.slot] if s.person is None else s.person for s in scans]
    keys = state.person_keys(pa.array(persons, pa.uint32()))
    return [
        {
            "document_id": f"in-{s.visit}", "document_version": s.version, "person": key,
            "place_id": place_of[s.venue], "entered_at": s.entered, "left_at": s.left, "source": "scan",
        }
        for s, key in zip(scans, keys, strict=True)
    ]  # fmt: skip


def _persons(path: Path, slots: set[int]) -> dict[int, int]:
    """Slot → person number, of those who left since too."""
    engine = open_engine(path)
    c = db.residents.c
    found: dict[int, int] = {}
    try:
        with as_ours(), engine.execution_options(writes=False).begin() as on:
            ordered = sorted(slots)
            for i in range(0, len(ordered), 500):
                query = sa.select(c.slot, c.person).where(c.slot.in_(ordered[i : i + 500]))
                found |= {row.slot: row.person for row in on.execute(query)}
    finally:
        engine.dispose()
    return found

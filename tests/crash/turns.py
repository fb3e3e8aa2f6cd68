"""What the crash tests kill: small pieces of work on a state directory, and the oracle that looks at what is left.

The victims run in a fork of a nursery that has the libraries loaded, so that a hundred kills take a minute.
"""

from __future__ import annotations

import fcntl
import itertools
import multiprocessing
import os
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from kangma.errors import KangmaError
from kangma.intake.documents import SECRETS
from kangma.intake.kinds import KINDS
from kangma.store import inbox
from kangma.store import registry as registry_module
from kangma.store.state import State, open_state
from kangma.terms import DAY

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "kangma.store.state",
        "kangma.intake.documents",
        "turns",
        "released",
        "copies",
        "warmed",
        "sealed_writer",
    ]
)
NOON = 1_650_880_800
ROWS = 7  # in a file


def person(n: int) -> bytes:
    return n.to_bytes(4, "big") * 4


def file_rows(file: int) -> list[dict[str, object]]:
    """The visits of file number `file`; all files together name persons and places again and again."""
    return [
        {
            "document_id": f"f{file}r{i}",
            "document_version": 0,
            "person": person(100 * (file % 9) + i),
            "place_id": f"place{(file + i) % 5}",
            "entered_at": NOON + file * 60 + (i % 2) * DAY,
            "left_at": NOON + file * 60 + (i % 2) * DAY + 600,
            "source": "scan",
        }
        for i in range(ROWS)
    ]


def accept(state: State, file: int) -> None:
    visits = file_rows(file)
    secrets = [{"person": v["person"], "id_type": "20", "id_number": f"KX{file:07d}"} for v in visits]
    state.inbox.accept(
        "feed",
        "visits",
        [pa.RecordBatch.from_pylist(visits, KINDS["visits"].schema)],
        [pa.RecordBatch.from_pylist(secrets, SECRETS)],
    )


def documents(state: State) -> list[str]:
    """The ids of all visits that are visible, each as often as it is there."""
    with duckdb.connect() as con:
        state.raw(con)
        rows = con.sql(
            "SELECT document_id, k.key, p.place_id, entered_at FROM raw_visits v "
            "JOIN person_keys k USING (person) JOIN place_numbers p USING (place)"
        ).fetchall()
    for document, key, place, entered in rows:
        file, row = document[1:].split("r")
        wanted = file_rows(int(file))[int(row)]
        assert (key, place, entered) == (wanted["person"], wanted["place_id"], wanted["entered_at"])
    return [row[0] for row in rows]


@dataclass(frozen=True)
class Left:
    """What a state directory held after a fault: files whole, in part, or more than once."""

    whole: set[int]
    partly: set[int]
    doubled: set[str]

    @property
    def sound(self) -> bool:
        return not self.partly and not self.doubled


def look(path: Path) -> Left:
    """Opens the state as the next program would, absorbs, and counts. Also: nothing lies about afterwards."""
    with open_state(path) as state:
        state.absorb()
    # What that absorb merged waits for the next opening, so that whoever was reading can finish.
    with open_state(path) as state:
        found = documents(state)
        live = {s.path for s in state.live_segments()}
        assert not list((path / "inbox").iterdir())
        assert not list((path / "spool").iterdir())
        assert {p for p in (path / "segments").rglob("*") if p.is_file()} == live
    rows = Counter(int(d[1:].split("r")[0]) for d in set(found))
    return Left(
        {file for file, n in rows.items() if n == ROWS},
        {file for file, n in rows.items() if n != ROWS},
        {d for d, n in Counter(found).items() if n > 1},
    )


# victims -----------------------------------------------------------------------------------------------------------


def write_for_ever(path: str, first: int, say: Connection, how: str) -> None:
    """Accepts file after file and says each number once it is acknowledged; absorbs after every third.

    `how` "early" says it before the registry has committed; "loose" never waits for a disk: both are controls.
    """
    if how == "loose":
        _never_wait_for_a_disk()
    if how == "early":
        _acknowledge_early(say)
    with open_state(Path(path)) as state:
        say.send("ready")
        for file in itertools.count(first):
            if how == "early":
                say.send(("next", file))
            accept(state, file)
            if how != "early":
                say.send(file)
            if file % 3 == 2:
                state.absorb()


def _never_wait_for_a_disk() -> None:
    os.fsync = lambda fd: None
    setup = registry_module._set_up_sqlite

    def loose(connection: Any, record: Any) -> None:
        setup(connection, record)
        connection.execute("PRAGMA synchronous=OFF")

    registry_module._set_up_sqlite = loose


def _acknowledge_early(say: Connection) -> None:
    register = inbox.Staging._register

    def early(self: inbox.Staging, *args: Any, **more: Any) -> int:
        say.send("acknowledged")
        time.sleep(0.005)  # as long as a queue or a network might hold the rest up
        return register(self, *args, **more)

    inbox.Staging._register = early  # type: ignore[method-assign]


def one_turn(path: str, file: int, say: Connection) -> None:
    """One acceptance, one absorb, each said once it is over; begins when told to."""
    say.send("ready")
    say.recv()
    try:
        with open_state(Path(path)) as state:
            accept(state, file)
            say.send("accepted")
            state.absorb()
            say.send("absorbed")
    except KangmaError as problem:
        say.send(type(problem).__name__)


class Victim:
    """A piece of work in a process of its own, and what it has said so far."""

    def __init__(self, target: Callable[..., None], *args: object) -> None:
        ours, theirs = CONTEXT.Pipe()
        where = [*args]
        self.process = CONTEXT.Process(
            target=target, args=tuple(theirs if a is Ellipsis else a for a in where)
        )
        self.process.start()
        theirs.close()
        self.pipe, self.said = ours, list[Any]()

    def listen(self, seconds: float) -> None:
        """Takes what it says for so long, or until it is gone."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                if self.pipe.poll(left):
                    self.said.append(self.pipe.recv())
            except EOFError:
                return

    def hear(self, count: int, seconds: float = 60) -> None:
        """Listens until so many files are acknowledged."""
        end = time.monotonic() + seconds
        while len(self.acknowledged) < count and time.monotonic() < end:
            self.listen(0.005)

    def wait_for(self, word: object, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while word not in self.said and time.monotonic() < end:
            self.listen(0.02)
        assert word in self.said, "the victim never got so far"

    def kill(self) -> None:
        """Kills it (SIGKILL) and takes what it had said before: that is what the world knows."""
        self.process.kill()
        self.finish()

    def finish(self) -> None:
        self.process.join()
        self.listen_to_the_end()
        self.pipe.close()

    def listen_to_the_end(self) -> None:
        try:
            while self.pipe.poll(0):
                self.said.append(self.pipe.recv())
        except (EOFError, OSError):
            pass

    @property
    def acknowledged(self) -> list[int]:
        if "acknowledged" in self.said:
            out, file = [], -1
            for word in self.said:
                if isinstance(word, tuple):
                    file = word[1]
                elif word == "acknowledged":
                    out.append(file)
            return out
        return [word for word in self.said if isinstance(word, int)]


# a disk that can lose power ----------------------------------------------------------------------------------------


_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
_NO_LOG_FLUSH = struct.pack("I", 2)  # not even the journal gets out: what was not synced is gone


class Disk:
    """An ext4 file system in a file. `cut` takes its power: only what was synced is there after the next `mount`."""

    def __init__(self, folder: Path) -> None:
        self.image, self.at = folder / "disk.img", folder / "disk"
        self.at.mkdir()
        with self.image.open("wb") as f:
            f.truncate(96 << 20)
        run("mkfs.ext4", "-q", "-F", str(self.image))

    def mount(self) -> None:
        run("mount", "-o", "loop", str(self.image), str(self.at))

    def cut(self) -> None:
        fd = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, _NO_LOG_FLUSH)
        finally:
            os.close(fd)

    def unmount(self) -> None:
        for _ in range(100):
            if os.spawnlp(os.P_WAIT, "umount", "umount", "-q", str(self.at)) == 0:
                return
            time.sleep(0.05)
        raise AssertionError("the disk stays busy")

    def let_go(self) -> None:
        """After a test that failed: nothing stays mounted, whoever still holds a file of it."""
        if os.path.ismount(self.at):
            run("umount", "-l", str(self.at))


def run(*command: str) -> None:
    assert os.spawnlp(os.P_WAIT, command[0], *command) == 0, command

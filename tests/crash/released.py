"""A very small city that publishes, a door that comes back to its public folder, and the oracle of every fault in
publication: open again, turn the wheel once, and nothing is missing, changed, doubled or rolled back.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import os
import pickle
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from kangma.audit.public import Folder, Seen
from kangma.audit.report import Report
from kangma.audit.whole import audit
from kangma.city import make_city
from kangma.credential.marks import MarksInMemory
from kangma.credential.verify import Verifier
from kangma.errors import KangmaError
from kangma.policy.published import read
from kangma.publish import commit as commit_module
from kangma.publish import cycle as cycle_module
from kangma.publish import journal
from kangma.publish.city import CityName, has_keys, name_city
from kangma.publish.credentials import on_paper
from kangma.publish.cycle import Cycled, cycle
from kangma.publish.signer import LocalSigner
from kangma.signing.keys import Environment
from kangma.signing.trust import Use, decode_root
from kangma.store import durable, public
from kangma.store import registry as registry_module
from kangma.store.public_reader import OnDisk, lists_there
from kangma.store.receive import receive_all
from kangma.store.releases import Lease, Release, last_release, releases
from kangma.store.state import State, create, open_state
from kangma.terms import DAY, HOUR, Moment, Text, zone
from kangma.translog import tiles
from kangma.translog.checkpoint import Checkpoint, open_checkpoint
from kangma.translog.fsck import fsck

CITY = CityName(
    "cn-demo",
    Text("示例市", "Demo City"),
    "https://kangma.example",
    "kangma.example/demo",
    Environment.DEVELOPMENT,
    "Asia/Shanghai",
)
HERE = zone(CITY.zone)
RESIDENTS, LIVED = 100, 3  # the smallest city that there is; days before the one that is disturbed


@dataclass(frozen=True)
class Town:
    """`path`: three days are public, a fourth is absorbed and waits, and somebody was given paper and lost it again.
    The release at `now` turns codes, begins a day's family of lists and drops another; `verdicts` is what an
    undisturbed run came to a minute later, `turns` how many codes turned in it. `days`: the files of each day. A file
    `commit` in the state has what that cycle hands to `commit`."""

    path: Path
    zero: Moment
    now: Moment
    days: Sequence[Path]
    verdicts: str
    turns: int

    def copied(self, folder: Path) -> Path:
        shutil.copytree(self.path, folder / "state")
        return folder / "state"


@functools.cache
def the_town() -> Town:
    """One for all tests of a process; they copy it."""
    folder = Path(tempfile.mkdtemp(prefix="kangma-town-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make_town(folder)


def make_town(folder: Path, *, days: int = LIVED + 1) -> Town:
    city, path = make_city(RESIDENTS, days, 1), folder / "town"
    files = []
    for day in range(days):
        files.append(folder / f"day{day}")
        files[day].mkdir()
        for kind, rows in city.arrivals(day).items():
            pq.write_table(rows, files[day] / f"{kind}.parquet")
    with create(path, policy=[t.encode() for t in read("beijing-2022-04-22")], now=city.zero) as state:
        name_city(path, CITY)
        has_keys(path, now=city.zero)
        with LocalSigner(path) as signer:
            for day in range(LIVED):
                now = city.zero + (day + 1) * DAY
                take_in(state, files[day], now)
                cycle(state, now=now, signer=signer)
            take_in(state, files[LIVED], now)
            on_paper(state, signer, 7, today=HERE.day(now), now=now)
            signer.withdraw(8, now=now)
            on_paper(state, signer, 7, today=HERE.day(now), now=now)
        state.absorb()
    now += DAY
    has_keys(path, now=now)
    calm = folder / "calm"
    shutil.copytree(path, calm)
    done = _remembered(path / "commit", calm, now)
    again = turned(calm, now + 60)
    shutil.rmtree(calm)
    assert done.turns.num_rows > 10
    return Town(path, city.zero, now, files, again.release.verdict_digest, done.turns.num_rows)


def _remembered(file: Path, calm: Path, now: Moment) -> Cycled:
    """One undisturbed turn; `file` keeps what it hands to `commit`."""
    commit = cycle_module.commit

    def remember(state: State, lease: Lease, signer: Any, *what: Any, **more: Any) -> tuple[Release, Any]:
        file.write_bytes(pickle.dumps((what, more)))
        return commit(state, lease, signer, *what, **more)

    cycle_module.commit = remember  # type: ignore[attr-defined]
    try:
        return turned(calm, now)
    finally:
        cycle_module.commit = commit  # type: ignore[attr-defined]


def take_in(state: State, day: Path, now: Moment) -> None:
    for receipt in receive_all(state, [day], feed="city", now=now):
        assert receipt.code is None


def turned(path: Path, now: Moment) -> Cycled:
    """One undisturbed turn of the wheel."""
    with open_state(path) as state, LocalSigner(path) as signer:
        return cycle(state, now=now, signer=signer)


# the door and the oracle ---------------------------------------------------------------------------------------------


@dataclass
class Door:
    """Somebody who fetches the public folder now and then, and remembers: a verifier with its marks, and a stranger
    who keeps every checkpoint."""

    verifier: Verifier | None = None
    release: int = 0
    checkpoints: list[Checkpoint] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)

    def look(self, public: Path) -> None:
        """Whatever is there at this moment, in the middle of a publication too, goes on from what was there before."""
        if not (public / "checkpoint").exists():
            assert not self.checkpoints, "a checkpoint is gone"
            return
        folder = Folder.at(str(public))
        if self.verifier is None:
            self.verifier = Verifier(decode_root(folder.read("root")), MarksInMemory())
        self.verifier.take_trust(folder.read("trust"))
        trust = self.verifier.trust
        assert trust is not None
        for path in lists_there(OnDisk(public)):  # Refused when one is older than it was
            self.verifier.take_list(f"{trust.publisher.base}/{path}", folder.read(path))
        log_keys = [k.public for k in trust.publisher.keys if k.use is Use.LOG]
        checkpoint = open_checkpoint(folder.read("checkpoint"), trust.publisher.origin, *log_keys)
        assert fsck(folder.read, checkpoint, folder.names("tile/")) is None
        for before in self.checkpoints:
            assert before.size <= checkpoint.size, "the log is shorter than it was"
            assert tiles.root(folder.read, before.size) == before.root, "the log was changed"
        self.checkpoints.append(checkpoint)
        if (public / "latest.json").exists():
            release = json.loads(folder.read("latest.json"))["release"]
            assert release >= self.release, "a release was taken back"
            self.release = release


def recovered(path: Path, door: Door, *, now: Moment, verdicts: str | None, tidy: bool = True) -> Cycled:
    """The oracle: what a fault left is sound for a stranger as it is; the next cycle publishes all of it; the audit
    finds nothing; the verdicts are those of an undisturbed run; and (`tidy`) nothing half-written lies about. Raises
    AssertionError or what the programs raise."""
    door.look(path / "public")
    with open_state(path) as state, LocalSigner(path) as signer:
        done = cycle(state, now=now, signer=signer)
        is_public(state, path)
        report = Report()
        door.seen = audit(state, report, seen=door.seen).seen
        assert report.clean, report.differences[:5]
        assert verdicts is None or done.release.verdict_digest == verdicts
    door.look(path / "public")
    left = [f for part in ("public", "signer", "releases") for f in (path / part).rglob(".*")]
    assert not tidy or not left, f"left lying about: {left}"
    return done


def is_public(state: State, path: Path) -> None:
    """Every release of the registry is announced, and the folder speaks of the last one."""
    last = last_release(state.registry)
    assert last is not None
    assert last.head is not None
    assert not releases(state.registry, unannounced=True)
    said = json.loads((path / "public" / "latest.json").read_bytes())
    assert said["release"] == last.number
    assert said["log"] == {"size": last.head.size, "root": last.head.root.hex()}


# victims -------------------------------------------------------------------------------------------------------------


def first_use(path: str, now: Moment, say: Connection) -> None:
    """The first keys of a new city, its signer's first opening; waits for a word to begin."""
    say.send("ready")
    say.recv()
    has_keys(Path(path), now=now)
    with LocalSigner(Path(path)):
        say.send(("opened", 0))


class Alone(Executor):
    """What would be done beside is done at once, by the thread that asks."""

    def __init__(self, most: int) -> None: ...

    def submit(self, work: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work(*args, **named))
        return done


def one_release(path: str, now: Moment, say: Connection) -> None:
    """The commit of the release at `now`, with what an undisturbed cycle handed to it; waits for a word to begin."""
    _told(say, lambda: _one_release(Path(path), now, say))


def _one_release(path: Path, now: Moment, say: Connection) -> None:
    for module in (durable, commit_module):  # faults are counted by thread: each call is met by its number
        module.ThreadPoolExecutor = Alone  # type: ignore[attr-defined]
    with ready_to_commit(path, now) as commit:
        say.send("ready")
        say.recv()
        say.send(("released", commit()[0].number))


@contextmanager
def ready_to_commit(path: Path, now: Moment) -> Iterator[Callable[[], tuple[Release, Any]]]:
    """All that a cycle has in its hands when it calls `commit`, and the call."""
    what, more = pickle.loads((path / "commit").read_bytes())
    with (
        open_state(path) as state,
        state.lock.hold(wait=0),
        cycle_module._lease(state, now) as lease,
        LocalSigner(path) as signer,
    ):
        yield lambda: cycle_module.commit(state, lease, signer, *what, **more)


def _told(say: Connection, work: Callable[[], None]) -> None:
    try:
        work()
    except (KangmaError, OSError) as problem:
        say.send((type(problem).__name__, str(problem)))


def publish_for_ever(path: str, zero: Moment, days: Sequence[Path], say: Connection, how: str) -> None:
    """Lives on in steps of six hours: takes in what a day brings, signs a credential, turns the wheel, and says each
    release and each credential once it is acknowledged. `how` other than "right" is one of the controls below."""
    if how != "right":
        _careless(how)
    waits = how == "journal"  # for a word: whatever else is synced would take the journal with it
    _told(say, lambda: _publish_for_ever(Path(path), zero, days, say, waits=waits))


def _publish_for_ever(
    path: Path, zero: Moment, days: Sequence[Path], say: Connection, *, waits: bool
) -> None:
    with open_state(path) as state, LocalSigner(path) as signer:
        last = last_release(state.registry)
        assert last is not None
        now = last.now
        say.send("ready")
        while True:
            before, now = now, now + 6 * HOUR
            day = (now - zero) // DAY - 1
            if (before - zero) // DAY - 1 != day:
                has_keys(path, now=now)
                if day < len(days):
                    take_in(state, days[day], now)
            signed = on_paper(state, signer, 7, today=HERE.day(now), now=now)
            say.send(("credential", hashlib.sha256(signed).digest()))
            if waits:
                say.recv()
            done = cycle(state, now=now, signer=signer, step=say.send).release
            assert done.head is not None
            say.send(("release", done.number, done.head))


def _careless(how: str) -> None:
    """The controls: something that does not wait for the disk."""

    class Hasty:
        """`os` for one module, whose fsync comes back at once."""

        def __getattr__(self, name: str) -> object:
            return (lambda _: None) if name == "fsync" else getattr(os, name)

    if how in ("everything", "registry"):
        setup = registry_module._set_up_sqlite

        def loose(connection: Any, record: Any) -> None:
            setup(connection, record)
            connection.execute("PRAGMA synchronous=OFF")

        registry_module._set_up_sqlite = loose
    if how == "everything":
        os.fsync = lambda _: None
    if how == "public":
        public.fsync_all = lambda _: None  # type: ignore[attr-defined]
    if how == "journal":
        journal.os = Hasty()  # type: ignore[attr-defined]
        journal.fsync_folder = lambda _: None  # type: ignore[attr-defined]


def killed_before_it_synced(path: str, now: Moment, name: str, say: Connection) -> None:
    """A signer that is killed when it has written its `journal` or its `salts`, and not yet told the disk."""
    sync, flush = os.fsync, np.memmap.flush

    def fsync(fd: int) -> None:
        if Path(f"/proc/self/fd/{fd}").readlink() == Path(path) / "signer" / name:
            os.kill(os.getpid(), signal.SIGKILL)
        sync(fd)

    def flushed(mapped: Any) -> None:
        if name == "salts":
            os.kill(os.getpid(), signal.SIGKILL)
        flush(mapped)

    with open_state(Path(path)) as state, LocalSigner(Path(path)) as signer:
        os.fsync, np.memmap.flush = fsync, flushed  # type: ignore[method-assign]
        say.send("ready")
        if name == "journal":
            on_paper(state, signer, 7, today=HERE.day(now), now=now)
        cycle(state, now=now, signer=signer)
    say.send("came to its end")

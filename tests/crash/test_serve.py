"""`kangma serve`: the signer as a process of its own, the cycle as another, and what becomes of either when it dies."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from released import CITY, LIVED, Door, Town, recovered, take_in, the_town

from kangma.city import make_city
from kangma.errors import Refused, Unavailable
from kangma.policy.published import read
from kangma.publish import commit as commit_module
from kangma.publish.city import name_city
from kangma.publish.credentials import on_paper
from kangma.publish.cycle import cycle, cycle_if_due
from kangma.publish.signer import LocalSigner
from kangma.publish.wire import RemoteSigner, serve
from kangma.store.releases import last_release, releases
from kangma.store.state import State, create, open_state
from kangma.terms import DAY, zone

PATIENCE = 120.0  # seconds: on a busy machine a part takes a while to come up


@pytest.fixture(scope="module")
def town() -> Town:
    return the_town()


# the call ------------------------------------------------------------------------------------------------------------


@contextmanager
def listening(path: Path, *, clock: Callable[[], int] = lambda: int(time.time())) -> Iterator[RemoteSigner]:
    """A signer behind its socket, in a thread."""
    stop, ready = threading.Event(), threading.Event()
    at = path / "signer" / "socket"

    def answer() -> None:
        with LocalSigner(path) as signer:
            serve(signer, at, clock=clock, stopping=stop.is_set, ready=ready.set)

    thread = threading.Thread(target=answer)
    thread.start()
    assert ready.wait(30)
    try:
        yield RemoteSigner(at)
        assert thread.is_alive(), "the signer ended"
    finally:
        stop.set()
        thread.join()


def test_a_remote_signer_makes_the_files_of_a_local_one_byte_for_byte(town: Town, tmp_path: Path) -> None:
    """Both continue one log with the salts and keys of one folder; a release, a day later another with credentials."""
    made: list[dict[str, bytes]] = []
    salts = b""
    for name in ("local", "remote"):
        (tmp_path / name).mkdir()
        path = town.copied(tmp_path / name)
        if salts:  # chance, and the same for both
            (path / "signer" / "salts").write_bytes(salts)
        with open_state(path) as state:
            for now in (town.now, town.now + DAY):
                if name == "local":
                    with LocalSigner(path) as signer:
                        on_paper(state, signer, 5, today=zone(CITY.zone).day(now), now=now)
                        cycle(state, now=now, signer=signer)
                else:
                    with listening(path) as remote:
                        on_paper(state, remote, 5, today=zone(CITY.zone).day(now), now=now)
                        cycle(state, now=now, signer=remote)
        salts = (path / "signer" / "salts").read_bytes()
        folders = [*(path / "public").rglob("*"), path / "signer" / "book", path / "signer" / "journal"]
        made.append({str(f.relative_to(path)): f.read_bytes() for f in folders if f.is_file()})
    assert made[0].keys() == made[1].keys()
    assert [name for name in made[0] if made[0][name] != made[1][name]] == []


def test_a_code_that_is_withdrawn_does_not_wait_until_something_happens(town: Town, tmp_path: Path) -> None:
    path, now = town.copied(tmp_path), town.now
    with open_state(path) as state, listening(path) as remote:

        def released(later: int) -> bool:
            return cycle_if_due(state, now=now + later, signer=remote, stands=60) is not None

        assert released(60)
        assert not released(61)
        remote.withdraw(5, now=now + 62)
        assert released(62)
        on_paper(state, remote, 5, today=zone(CITY.zone).day(now), now=now + 63)
        assert released(63)
        assert not released(64)


def test_whoever_asks_does_not_say_what_time_it_is(town: Town, tmp_path: Path) -> None:
    """So many reds an hour and codes a minute: by a clock that the caller moves, every call would have its own hour."""
    path, now = town.copied(tmp_path), town.now
    with open_state(path) as state, listening(path, clock=lambda: now) as remote:
        before = remote.describe()
        today = zone(CITY.zone).day(now)
        for ahead in (6, 3_600, 86_400):
            with pytest.raises(Refused, match="bad_time"):
                cycle(state, now=now + ahead, signer=remote)
            with pytest.raises(Refused, match="bad_time"):
                on_paper(state, remote, 5, today=today, now=now + ahead)
            with pytest.raises(Refused, match="bad_time"):
                remote.withdraw(5, now=now + ahead)
        assert remote.describe() == before
        on_paper(state, remote, 5, today=today, now=now + 5)
        cycle(state, now=now + 5, signer=remote)  # the same machine, a moment apart


WRONG: dict[str, bytes] = {
    "nothing": b"",
    "garbage": bytes(range(256)) * 64,
    "no line": b"x" * 70_000,
    "no object": b"[]\n",
    "a number": b"1\n",
    "deep": b"[" * 200_000 + b"\n",
    "no such call": b'{"call": "sign anything", "table": 0, "files": []}\n',
    "no call": b'{"table": 0, "files": []}\n',
    "a table that is cut off": b'{"call": "propose", "table": 1000, "files": []}\nARROW1',
    "a table that is none": b'{"call": "propose", "table": 6, "files": []}\nARROW1',
    "a table of less than nothing": b'{"call": "propose", "table": -1, "files": []}\n',
    "a table beyond everything": b'{"call": "propose", "table": 1e400, "files": []}\n',
    "a table of very much": b'{"call": "propose", "table": 99999999999999999999, "files": []}\n',
    "files that are none": b'{"call": "describe", "table": 0, "files": 3}\n',
    "a proposal without anything": b'{"call": "propose", "proposal": {}, "table": 0, "files": []}\n',
    "orders of another shape": b'{"call": "credentials", "orders": [[1]], "now": 0, "table": 0, "files": []}\n',
    "orders of a number": b'{"call": "credentials", "orders": 7, "now": 0, "table": 0, "files": []}\n',
    "an order for nobody": b'{"call": "credentials", "orders": [[-1, 2, "*", 1, null, false]], "now": "x", '
    b'"table": 0, "files": []}\n',
    "a time beyond time": b'{"call": "credentials", "orders": [[1, 2, "*", 1, null, false]], '
    b'"now": 1000000000000000000000, "table": 0, "files": []}\n',
    "withdrawal of a text": b'{"call": "withdraw", "person": "x", "now": 0, "table": 0, "files": []}\n',
    "paper for minus one": b'{"call": "credentials", "orders": [[-1, 2, "*", 19110, null, false]], '
    b'"now": 1650297600, "table": 0, "files": []}\n',
    "withdrawal of minus one": b'{"call": "withdraw", "person": -1, "now": 0, "table": 0, "files": []}\n',
}


def test_a_wrong_call_ends_nobody_and_changes_nothing(town: Town, tmp_path: Path) -> None:
    path = town.copied(tmp_path)

    def kept() -> dict[str, bytes]:
        return {f.name: f.read_bytes() for f in (path / "signer").iterdir() if f.is_file()}

    before = kept()
    with listening(path) as remote:
        at = path / "signer" / "socket"
        assert stat.S_IMODE(at.stat().st_mode) == 0o600
        for name, content in WRONG.items():
            with socket.socket(socket.AF_UNIX) as on:
                on.settimeout(30)
                on.connect(str(at))
                try:
                    on.sendall(content)
                    on.shutdown(socket.SHUT_WR)
                    answer = on.makefile("rb").read()
                except OSError:  # it hung up while we were talking
                    answer = b""
            assert not answer or "error" in json.loads(answer.splitlines()[0]), name
            assert remote.describe().number == LIVED, name
        # A caller who goes away without waiting for the answer.
        for _ in range(3):
            with socket.socket(socket.AF_UNIX) as on:
                on.connect(str(at))
                on.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                on.sendall(b'{"call": "describe", "table": 0, "files": []}\n')
            assert remote.describe().number == LIVED
    assert kept() == before


def test_a_reply_that_was_lost_is_asked_for_again(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signer did it, the cycle heard nothing: for each of the calls of a release."""
    path, door = town.copied(tmp_path), Door()
    door.look(path / "public")
    ask = RemoteSigner._ask
    for minute, lost in enumerate(("describe", "propose", "publish")):

        def deaf(self: RemoteSigner, call: Any, table: Any = None, lost: str = lost) -> Any:
            answer = ask(self, call, table)
            if call["call"] == lost:
                raise Unavailable("the signer does not answer")
            return answer

        with monkeypatch.context() as patch, listening(path) as remote, open_state(path) as state:
            patch.setattr(RemoteSigner, "_ask", deaf)
            with pytest.raises(Unavailable):
                cycle(state, now=town.now + minute, signer=remote)
    with listening(path) as remote, open_state(path) as state:
        assert commit_module.recover(state, remote) == 1
    recovered(path, door, now=town.now + 60, verdicts=town.verdicts)


# the processes -------------------------------------------------------------------------------------------------------


class Served:
    """`kangma serve` on a new city of these days."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state"
        self._city = make_city(100, 3, 1)
        here = zone(
            CITY.zone
        )  # days 0 and 1 are over, at whatever hour this runs: nothing comes from the future
        self._days = here.day(int(time.time())) - 2 - here.day(self._city.zero)
        with create(self.path, policy=[t.encode() for t in read("beijing-2022-04-22")]) as state:
            name_city(self.path, CITY)
            self._bring(state, 0, folder)
        self._folder, self._err = folder, (folder / "said").open("w+")
        self.releases: list[int] = []
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "kangma", "serve", str(self.path), "--every", "0.5", "--stands", "0"]
        self.supervisor = subprocess.Popen(command, stderr=self._err)

    def bring(self, day: int) -> None:
        """The files of a day come in by another program, while it runs."""
        with open_state(self.path) as state:
            self._bring(state, day, self._folder)

    def _bring(self, state: State, day: int, folder: Path) -> None:
        at = folder / f"day{day}"
        at.mkdir()
        for kind, rows in self._city.arrivals(day).items():
            pq.write_table(_later(rows, self._days), at / f"{kind}.parquet")
        take_in(state, at, int(time.time()))

    def part(self, name: str) -> int | None:
        """The process of a part."""
        for pid, line in _programs(self.path).items():
            if line[-2:] == ["--only", name]:
                return pid
        return None

    def release(self) -> int:
        """That the public folder shows now; it never goes back."""
        try:
            shown = int(json.loads((self.path / "public" / "latest.json").read_bytes())["release"])
        except FileNotFoundError:
            shown = 0
        assert shown >= max(self.releases, default=0)
        self.releases.append(shown)
        return shown

    def until(self, holds: Callable[[], object], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            assert self.supervisor.poll() is None, "it ended by itself"
            self._err.seek(0)
            assert time.monotonic() < end, f"{what} never came:\n{self._err.read()}"
            self.release()
            time.sleep(0.05)

    def killed(self, *names: str) -> None:
        """These parts are killed; others take their places, and two more releases come."""
        before = {name: self.part(name) for name in names}
        release = self.release()
        for pid in before.values():
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        self.until(lambda: all(self.part(n) not in (None, pid) for n, pid in before.items()), "another one")
        self.until(lambda: self.release() >= release + 2, "the next release")

    def supervisor_killed(self) -> None:
        """Nothing is left behind, and who starts the city again finds it free."""
        release = self.release()
        self.supervisor.kill()
        self.supervisor.wait()
        end = time.monotonic() + PATIENCE
        while _programs(self.path):
            assert time.monotonic() < end, "its parts run on without it"
            time.sleep(0.05)
        self.start()
        self.until(lambda: self.release() >= release + 2, "the next release")

    def end(self) -> None:
        """SIGTERM, and everybody is gone."""
        self.supervisor.send_signal(signal.SIGTERM)
        assert self.supervisor.wait(60) == 0
        assert not _programs(self.path)

    def stop_whatever_runs(self) -> None:
        if self.supervisor.poll() is None:
            self.supervisor.kill()
            self.supervisor.wait()
        for pid in _programs(self.path):
            os.kill(pid, signal.SIGKILL)
        self._err.close()


def _programs(path: Path) -> dict[int, list[str]]:
    """Everything that runs `kangma serve` on this directory."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue
        if entry.name.isdigit() and "serve" in line and str(path) in line:
            found[int(entry.name)] = line
    return found


def _later(rows: pa.Table, days: int) -> pa.Table:
    """The same documents, so many days later."""
    for i, column in enumerate(rows.schema):
        if pa.types.is_timestamp(column.type):
            moved = pc.add(rows[i], pa.scalar(days * DAY * 1000, pa.duration("ms")))
        elif pa.types.is_date32(column.type):
            moved = pc.add(rows[i].cast(pa.int32()), pa.scalar(days, pa.int32())).cast(pa.date32())
        else:
            continue
        rows = rows.set_column(i, column, moved.cast(column.type))
    return rows


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    running = Served(tmp_path)
    try:
        yield running
    finally:
        running.stop_whatever_runs()


def what_is_left_is_whole(served: Served) -> None:
    assert not (served.path / "signer" / "socket").exists()
    with open_state(served.path) as state:
        last = last_release(state.registry)
        assert last is not None
    recovered(served.path, Door(), now=last.now + 60, verdicts=None)


def test_a_city_is_served_whoever_dies_meanwhile(served: Served) -> None:
    """A file that comes in becomes public; signer, cycle and supervisor are killed; SIGTERM ends it all."""
    served.until(lambda: served.release() >= 1, "the first release")
    assert stat.S_IMODE((served.path / "signer" / "socket").stat().st_mode) == 0o600
    before = served.release()
    served.bring(1)

    def turned_since() -> bool:
        with open_state(served.path) as state:
            new = [x for x in releases(state.registry) if x.number > before and x.announced]
        return any(int(str(x.counts["turns"])) > 0 for x in new)

    served.until(turned_since, "a turn")
    served.killed("signer")
    served.killed("cycle")
    served.supervisor_killed()
    served.end()
    what_is_left_is_whole(served)


@pytest.mark.prove
def test_a_city_is_served_through_many_deaths(served: Served) -> None:
    served.until(lambda: served.release() >= 1, "the first release")
    chance = random.Random(1)
    for n in range(30):
        time.sleep(chance.uniform(0, 1))
        served.killed(*chance.choice([("signer",), ("cycle",), ("signer", "cycle")]))
        if n == 10:
            served.bring(1)
    served.end()
    what_is_left_is_whole(served)

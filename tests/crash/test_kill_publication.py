"""Publication under strace: killed, or told that the disk fails, at every write call of a release, one by one."""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from released import CITY, Door, Town, first_use, one_release, recovered, the_town
from turns import Victim

from kangma.policy.published import read
from kangma.publish.city import has_keys, name_city
from kangma.store.releases import last_release
from kangma.store.state import create, open_state
from kangma.terms import Moment

SYSCALLS = (
    "openat",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "msync",
    "rename",
    "link",
    "unlink",
    "ftruncate",
    "mkdir",
    "rmdir",
    "fchmod",
    "chmod",
)
MINUTE = 60
Work = Callable[..., None]


@pytest.fixture(scope="module")
def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        warnings.warn("strace is absent: no kill at every write call of publication", stacklevel=1)
        pytest.skip("STRACE IS ABSENT: install it to kill at every write call")
    return found


@pytest.fixture(scope="module")
def town() -> Town:
    return the_town()


def under_strace(strace: str, work: Work, path: Path, now: Moment, option: str) -> tuple[Victim, str]:
    """One piece of work, with strace attached from its beginning on."""
    victim = Victim(work, str(path), now, ...)
    victim.wait_for("ready")
    log = path.parent / "strace.log"
    command = [strace, "-f", "-qq", "-o", str(log), "-e", f"trace={','.join(SYSCALLS)}", "-e", "signal=none"]
    tracer = subprocess.Popen([*command, *option.split(), "-p", str(victim.process.pid)])
    status = Path(f"/proc/{victim.process.pid}/status")
    for _ in range(1_000):
        if not re.search(r"TracerPid:\t0\n", status.read_text()):
            break
        victim.listen(0.01)
    victim.pipe.send("go")
    victim.process.join(120)
    victim.finish()
    tracer.wait(10)
    return victim, log.read_text()


def calls(strace: str, work: Work, path: Path, now: Moment) -> list[tuple[str, int]]:
    """Every (call, instance) of one piece of work that may change a disk, as a single thread counts them."""
    victim, log = under_strace(strace, work, path, now, "")
    assert victim.said[-1] in (("released", 4), ("opened", 0), ("sealed", 4))
    most: dict[str, int] = {}
    threads: dict[tuple[str, str], int] = {}
    writing: dict[str, list[int]] = {}
    for line in log.splitlines():
        found = re.match(r"(\d+)\s+(\w+)\((.*)", line)
        if found is None:
            continue
        key = (found[1], found[2])
        threads[key] = threads.get(key, 0) + 1
        most[found[2]] = max(most.get(found[2], 0), threads[key])
        if found[2] == "openat" and ("O_CREAT" in found[3] or "O_TRUNC" in found[3]):
            writing.setdefault("openat", []).append(threads[key])  # an opening to read changes nothing
    return [(call, n) for call in SYSCALLS for n in writing.get(call, []) or range(1, most.get(call, 0) + 1)]


def faulted(strace: str, town: Town, folder: Path, call: str, n: int, fault: str) -> str:
    """One run with a fault in the n-th `call`, and the oracle; how the victim ended."""
    folder = folder / f"{call}-{n}"
    folder.mkdir()
    path, door = town.copied(folder), Door()
    door.look(path / "public")
    victim, _ = under_strace(strace, one_release, path, town.now, f"-e inject={call}:{fault}:when={n}")
    with open_state(path) as state:
        last = last_release(state.registry)
    assert last is not None
    done = recovered(path, door, now=town.now + MINUTE, verdicts=town.verdicts)
    assert done.turns.num_rows == (0 if last.number == 4 else town.turns), "turned twice, or not at all"
    shutil.rmtree(folder)
    said = victim.said[-1]
    ended = "killed" if said == "ready" else str(said[0])
    return f"{ended}, release {'recorded' if last.number == 4 else 'not recorded'}"


def run_through(
    strace: str, town: Town, folder: Path, *, every: int, fault: str, only: tuple[str, ...] = SYSCALLS
) -> int:
    found = [c for c in calls(strace, one_release, town.copied(folder), town.now) if c[0] in only]
    assert len(found) > 10, found
    some = found[every // 2 :: every]
    ended: dict[str, int] = {}
    for at, (call, n) in enumerate(some):
        if at % 20 == 19:
            print(f"{fault}: {at} of {len(some)}: {ended}", flush=True)
        try:
            how = faulted(strace, town, folder, call, n, fault)
        except BaseException as problem:
            problem.add_note(f"{fault} at {call} number {n} of {found}")
            raise
        ended[how] = ended.get(how, 0) + 1
    print(f"{fault} at {len(some)} of {len(found)} calls: {ended}")
    assert len(ended) > 1, "the faults came all at one point"
    return len(some)


def test_a_publication_killed_at_some_of_its_write_calls_is_whole_afterwards(
    strace: str, town: Town, tmp_path: Path
) -> None:
    run_through(strace, town, tmp_path, every=30, fault="signal=KILL")


@pytest.mark.prove
def test_a_publication_killed_at_every_write_call_is_whole_afterwards(
    strace: str, town: Town, tmp_path: Path
) -> None:
    run_through(strace, town, tmp_path, every=1, fault="signal=KILL")


def test_a_disk_that_cannot_sync_a_publication_leaves_it_whole(
    strace: str, town: Town, tmp_path: Path
) -> None:
    only = ("fsync", "fdatasync", "msync", "rename")
    run_through(strace, town, tmp_path, every=12, fault="error=EIO", only=only)


@pytest.mark.prove
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_an_error_of_any_write_call_of_a_publication_leaves_it_whole(
    strace: str, town: Town, tmp_path: Path, error: str
) -> None:
    run_through(strace, town, tmp_path, every=1, fault=f"error={error}")


# the first use -------------------------------------------------------------------------------------------------------


def first_keys(strace: str, folder: Path, *, every: int) -> None:
    """Root, keys, trust list and signer of a new city, killed while they are made: the next attempt makes them."""
    now = 1_650_000_000
    create(folder / "new", policy=[t.encode() for t in read("beijing-2022-04-22")], now=now).close()
    name_city(folder / "new", CITY)

    def copied(name: str) -> Path:
        shutil.copytree(folder / "new", folder / name)
        return folder / name

    found = calls(strace, first_use, copied("calm"), now)
    assert len(found) > 30, found
    some = found[every // 2 :: every]
    for call, n in some:
        path = copied(f"{call}-{n}")
        under_strace(strace, first_use, path, now, f"-e inject={call}:signal=KILL:when={n}")
        try:
            has_keys(path, now=now)
            recovered(path, Door(), now=now, verdicts=None, tidy=False)
        except BaseException as problem:
            problem.add_note(f"killed at {call} number {n} of {found}")
            raise
        shutil.rmtree(path)
    print(f"first keys killed at {len(some)} of {len(found)} calls")


def test_a_city_killed_while_its_first_keys_are_made_makes_them(strace: str, tmp_path: Path) -> None:
    first_keys(strace, tmp_path, every=15)


@pytest.mark.prove
def test_a_city_killed_at_every_write_call_of_its_first_keys_makes_them(strace: str, tmp_path: Path) -> None:
    first_keys(strace, tmp_path, every=1)

"""Whatever kills the writer, what it acknowledged is there, and nothing is there in part or twice."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
from turns import Victim, accept, look, one_turn, write_for_ever

from kangma.store.state import create, open_state

ROUNDS, LONG_ROUNDS = 10, 200
SYSCALLS = ("write", "pwrite64", "fsync", "fdatasync", "rename", "unlink", "ftruncate", "mkdir", "rmdir")


def killed_at_random(folder: Path, how: str, rounds: int, seed: int) -> tuple[set[int], set[int], list[int]]:
    """(acknowledged, found, acknowledged and lost) after so many kills of one writer after another."""
    chance = random.Random(seed)
    path = folder / "state"
    create(path).close()
    acknowledged: set[int] = set()
    first = 0
    for _ in range(rounds):
        victim = Victim(write_for_ever, str(path), first, ..., how)
        victim.wait_for("ready")
        # By what it has done and not by the clock alone: on a busy machine a clock would kill it before it began.
        victim.hear(chance.randrange(5))
        victim.listen(chance.uniform(0.0, 0.06))
        victim.kill()
        acknowledged |= set(victim.acknowledged)
        first = max([first, *(file + 2 for file in acknowledged)])
        first += -first % 3  # so that every writer begins with two acceptances and then absorbs
    left = look(path)
    assert left.sound, left
    return acknowledged, left.whole, sorted(acknowledged - left.whole)


def test_a_writer_killed_at_random_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    acknowledged, _, lost = killed_at_random(tmp_path, "right", ROUNDS, seed=1)
    assert lost == []
    assert acknowledged


@pytest.mark.prove
def test_two_hundred_kills_at_random_lose_nothing(tmp_path: Path) -> None:
    acknowledged, _, lost = killed_at_random(tmp_path, "right", LONG_ROUNDS, seed=random.randrange(2**32))
    print(f"{LONG_ROUNDS} kills, {len(acknowledged)} files acknowledged, {len(lost)} lost")
    assert lost == []


def test_a_writer_that_acknowledges_too_early_is_caught(tmp_path: Path) -> None:
    """The control: acknowledged before the registry has committed. The test above would be worth nothing if this
    one could not find a loss."""
    for seed in range(6):
        folder = tmp_path / str(seed)
        folder.mkdir()
        if killed_at_random(folder, "early", ROUNDS, seed)[2]:
            return
    pytest.fail("sixty kills found no loss in a writer that loses")


# every write call, one by one ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        warnings.warn("strace is absent: no kill at every write call", stacklevel=1)
        pytest.skip("STRACE IS ABSENT: install it to kill at every write call")
    return found


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state with two absorbed files and one that waits."""
    path = tmp_path_factory.mktemp("template") / "state"
    with create(path) as state:
        accept(state, 0)
        state.absorb()
        accept(state, 1)
        state.absorb()
        accept(state, 2)
    return path


def under_strace(strace: str, path: Path, option: str) -> tuple[Victim, str]:
    """One acceptance (file 3) and one absorb, with strace attached from before the first step on."""
    victim = Victim(one_turn, str(path), 3, ...)
    victim.wait_for("ready")
    log = path.parent / "strace.log"
    command = [strace, "-f", "-qq", "-o", str(log), "-e", f"trace={','.join(SYSCALLS)}", "-e", "signal=none"]
    tracer = subprocess.Popen([*command, *option.split(), "-p", str(victim.process.pid)])
    for _ in range(500):
        traced = Path(f"/proc/{victim.process.pid}/status").read_text()
        if not re.search(r"TracerPid:\t0\n", traced):
            break
        victim.listen(0.01)
    victim.pipe.send("go")
    victim.process.join(60)
    victim.finish()
    tracer.wait(10)
    return victim, log.read_text()


def calls(strace: str, template: Path, folder: Path) -> list[tuple[str, int]]:
    """Every (call, instance) of one acceptance and one absorb, as a single thread counts them."""
    shutil.copytree(template, folder / "state")
    victim, log = under_strace(strace, folder / "state", "")
    assert victim.said[-1] == "absorbed"
    most: dict[str, int] = {}
    threads: dict[tuple[str, str], int] = {}
    for line in log.splitlines():
        found = re.match(r"(\d+)\s+(\w+)\(", line)
        if found:
            key = (found[1], found[2])
            threads[key] = threads.get(key, 0) + 1
            most[found[2]] = max(most.get(found[2], 0), threads[key])
    return [(call, n) for call in SYSCALLS for n in range(1, most.get(call, 0) + 1)]


def faulted(strace: str, template: Path, folder: Path, call: str, n: int, fault: str) -> str:
    """One run with a fault in the n-th `call`; the oracle; what the victim had said."""
    path = folder / f"{call}-{n}" / "state"
    shutil.copytree(template, path)
    victim, _ = under_strace(strace, path, f"-e inject={call}:{fault}:when={n}")
    acknowledged = {0, 1, 2} | ({3} if "accepted" in victim.said else set())
    left = look(path)
    assert left.sound, (call, n, left)
    assert acknowledged <= left.whole, (call, n, "an acknowledged file is gone")
    assert left.whole <= {0, 1, 2, 3}
    with open_state(path) as state:  # the sender did not hear of it and sends again
        accept(state, 3)
    assert look(path).whole == {0, 1, 2, 3}
    shutil.rmtree(path.parent)
    return str(victim.said[-1])


def run_through(
    strace: str, template: Path, folder: Path, *, every: int, fault: str, only: tuple[str, ...]
) -> int:
    found = [c for c in calls(strace, template, folder) if c[0] in only]
    assert len(found) > 10, found
    ended = {faulted(strace, template, folder, call, n, fault) for call, n in found[::every]}
    assert len(ended) > 1, "the faults came all at one point"
    return len(found[::every])


def test_a_kill_at_every_write_call_is_survived_here_at_some_of_them(
    strace: str, template: Path, tmp_path: Path
) -> None:
    run_through(strace, template, tmp_path, every=12, fault="signal=KILL", only=SYSCALLS)


@pytest.mark.prove
def test_a_kill_at_every_write_call_is_survived(strace: str, template: Path, tmp_path: Path) -> None:
    count = run_through(strace, template, tmp_path, every=1, fault="signal=KILL", only=SYSCALLS)
    print(f"killed at each of {count} calls")


def test_a_disk_that_cannot_sync_gets_no_acknowledgement(strace: str, template: Path, tmp_path: Path) -> None:
    run_through(strace, template, tmp_path, every=6, fault="error=EIO", only=("fsync", "fdatasync", "rename"))


@pytest.mark.prove
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_an_error_of_any_write_call_loses_nothing(
    strace: str, template: Path, tmp_path: Path, error: str
) -> None:
    only = ("pwrite64", "fsync", "fdatasync", "rename", "ftruncate", "mkdir")
    count = run_through(strace, template, tmp_path, every=1, fault=f"error={error}", only=only)
    print(f"{error} at each of {count} calls")

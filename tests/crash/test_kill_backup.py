"""A backup of a city that goes on holds what was acknowledged before it began; killed anywhere, it is whole or none."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from copies import NOW, restore_one, take_one
from turns import Victim, accept, look, write_for_ever

from kangma.errors import Corrupt, KangmaError, Refused
from kangma.store.backup import MANIFEST, take
from kangma.store.restore import read_manifest, restore
from kangma.store.state import create, open_state

#: Of the state, in a new folder; `amid` returns when the city has gone on. The state directory that came of it.
Copy = Callable[[Path, Path, Callable[[], None]], Path]


def by_backup(path: Path, folder: Path, amid: Callable[[], None]) -> Path:
    with open_state(path) as state:
        take(state, folder / "backup", keys=folder / "keys", now=NOW)
    restore(folder / "backup", folder / "state", folder / "keys", reason="a test", now=NOW)
    return folder / "state"


def by_cp(path: Path, folder: Path, amid: Callable[[], None]) -> Path:
    """The control: what an operator in a hurry would do. A city goes on while it is copied, and so does this one."""
    shutil.copytree(path, folder / "state", ignore=shutil.ignore_patterns("registry.sqlite*"))
    amid()
    for file in path.glob("registry.sqlite*"):
        shutil.copy2(file, folder / "state")
    return folder / "state"


def wrong_with(copy: Copy, folder: Path, times: int, *, enough: int = 99) -> set[str]:
    """Copies of a state into which files are taken all the time: what was wrong with any of them."""
    path, wrong = folder / "city", set[str]()
    create(path).close()
    victim = Victim(write_for_ever, str(path), 0, ..., "right")
    try:
        victim.wait_for("ready")
        for n in range(times):
            if len(wrong) >= enough:
                break
            victim.hear(len(victim.acknowledged) + 2)
            assert victim.process.is_alive(), "whoever takes files in was brought down"
            before, here = set(victim.acknowledged), folder / str(n)
            here.mkdir()
            try:
                left = look(copy(path, here, lambda: victim.hear(len(victim.acknowledged) + 4)))
            except (KangmaError, AssertionError, OSError, shutil.Error) as problem:
                wrong.add(type(problem).__name__)
                continue
            if before - left.whole:
                wrong.add("lost")
            if not left.sound:
                wrong.add("in part")
            victim.listen(0.01)
    finally:
        victim.kill()
    return wrong


def test_every_backup_of_a_city_at_work_has_what_was_acknowledged_before_it(tmp_path: Path) -> None:
    assert wrong_with(by_backup, tmp_path, 3) == set()


@pytest.mark.prove
def test_sixty_backups_of_a_city_at_work_have_what_was_acknowledged_before_them(tmp_path: Path) -> None:
    assert wrong_with(by_backup, tmp_path, 60) == set()


def test_a_plain_copy_of_a_city_at_work_is_caught(tmp_path: Path) -> None:
    """The control: the same look finds what is wrong with it."""
    assert wrong_with(by_cp, tmp_path, 12, enough=1) != set()


# killed --------------------------------------------------------------------------------------------------------------


def quiet_city(folder: Path) -> Path:
    with create(folder / "city") as state:
        for file in range(3):
            accept(state, file)
        state.absorb()
        accept(state, 3)
    return folder / "city"


def killed(chance: random.Random, longest: float | None, target: Callable[..., None], *paths: Path) -> bool:
    """Whether it had said that it was done when it was killed, somewhere within `longest` seconds; None: when it is about
    to wait for the disk for the first time, on a fast machine and on a slow one."""
    victim = Victim(target, *map(str, paths), ...)
    victim.wait_for("ready")
    victim.pipe.send("go" if longest is not None else ("dies", 1))
    victim.listen(60 if longest is None else chance.uniform(0.0, longest))
    victim.kill()
    return "done" in victim.said


def how_long(target: Callable[..., None], *paths: Path) -> float:
    victim = Victim(target, *map(str, paths), ...)
    victim.wait_for("ready")
    started = time.perf_counter()
    victim.pipe.send("go")
    victim.wait_for("done")
    victim.finish()
    return time.perf_counter() - started


def backups_killed(folder: Path, rounds: int) -> tuple[int, int]:
    """(whole, none) of so many backups that were killed."""
    city, chance, whole = quiet_city(folder), random.Random(rounds), 0
    longest = how_long(take_one, city, folder / "first", folder / "first-keys")
    for n in range(rounds):
        to, keys, again = folder / f"b{n}", folder / f"k{n}", folder / f"r{n}"
        done = killed(chance, longest if n else None, take_one, city, to, keys)
        if (to / MANIFEST).exists():
            restore(to, again, keys, reason="a test", now=NOW)
            assert look(again).whole == {0, 1, 2, 3}
            whole += 1
        else:
            assert not done
            with pytest.raises(Refused, match="never finished"):
                read_manifest(to)
    with open_state(city):
        assert list((city / "spool").iterdir()) == [], "links of a backup that was killed stay"
    assert look(city).whole == {0, 1, 2, 3}
    return whole, rounds - whole


def restores_killed(folder: Path, rounds: int) -> tuple[int, int]:
    """(whole, none) of so many restores that were killed."""
    city, chance, whole = quiet_city(folder), random.Random(rounds), 0
    with open_state(city) as state:
        take(state, folder / "backup", keys=folder / "keys", now=NOW)
    longest = how_long(restore_one, folder / "backup", folder / "first", folder / "keys")
    for n in range(rounds):
        again = folder / f"r{n}"
        done = killed(chance, longest if n else None, restore_one, folder / "backup", again, folder / "keys")
        if (again / "KANGMA").exists():
            assert look(again).whole == {0, 1, 2, 3}
            whole += 1
        else:
            assert not done
            with pytest.raises(Refused, match="not a state directory"):
                open_state(again)
    return whole, rounds - whole


def test_a_backup_that_is_killed_is_whole_or_says_that_it_is_none(tmp_path: Path) -> None:
    assert backups_killed(tmp_path, 4)[1]


def test_a_restore_that_is_killed_is_whole_or_no_city(tmp_path: Path) -> None:
    assert restores_killed(tmp_path, 4)[1]


@pytest.mark.prove
def test_hundred_kills_of_each(tmp_path: Path) -> None:
    for work in (backups_killed, restores_killed):
        (tmp_path / work.__name__).mkdir()
        whole, none = work(tmp_path / work.__name__, 100)
        print(f"{work.__name__}: {whole} whole, {none} none")
        assert whole
        assert none


def test_a_restore_that_fails_leaves_nothing(tmp_path: Path) -> None:
    city = quiet_city(tmp_path)
    with open_state(city) as state:
        take(state, tmp_path / "backup", keys=tmp_path / "keys", now=NOW)
    file = sorted((tmp_path / "backup" / "state" / "segments").rglob("*.parquet"))[-1]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(Corrupt, match="is damaged"):
        restore(tmp_path / "backup", tmp_path / "new", tmp_path / "keys", reason="a test", now=NOW)
    assert not (tmp_path / "new").exists()

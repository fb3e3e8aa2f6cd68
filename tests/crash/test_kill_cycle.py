"""A city's days under kill -9: what was acknowledged is there, and the next cycle comes to the same verdicts."""

from __future__ import annotations

import itertools
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from turns import Victim

from kangma.city import make_city
from kangma.errors import Corrupt
from kangma.policy.published import read
from kangma.publish import commit as commit_module
from kangma.publish.cycle import cycle
from kangma.store.receive import receive, sandbox_for
from kangma.store.state import create, open_state
from kangma.terms import DAY

DAYS = 4


@dataclass(frozen=True)
class Days:
    """A new state and the files of each day; `verdicts` is what a run without faults came to, and `rows` of a file."""

    empty: Path
    zero: int
    files: list[list[Path]]
    verdicts: str
    rows: dict[str, int]


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    folder = tmp_path_factory.mktemp("days")
    city = make_city(150, DAYS, 3)
    create(folder / "empty", policy=[t.encode() for t in read("beijing-2022-04-22")]).close()
    files = []
    for day in range(DAYS):
        (folder / f"day{day}").mkdir()
        files.append([])
        for kind, table in sorted(city.arrivals(day).items()):
            files[day].append(folder / f"day{day}" / f"{kind}.parquet")
            pq.write_table(table, files[day][-1])
    shutil.copytree(folder / "empty", folder / "calm")
    rows = {}
    with open_state(folder / "calm") as state, sandbox_for(state) as sandbox:
        for day in range(DAYS):
            for file in files[day]:
                rows[str(file)] = receive(state, file, feed="city", sandbox=sandbox).received
            done = cycle(state, now=city.zero + (day + 1) * DAY)
    return Days(folder / "empty", city.zero, files, done.release.verdict_digest, rows)


def live(path: str, zero: int, files: list[list[Path]], first: int, say: Connection, how: str) -> None:
    """Lives the days from `first` on, and says each file and each cycle once it is acknowledged."""
    if how == "early":
        _record_before_staging(say)
    with open_state(Path(path)) as state, sandbox_for(state) as sandbox:
        say.send("ready")
        for day in range(first, len(files)):
            for file in files[day]:
                receive(state, file, feed="city", sandbox=sandbox)
                say.send(("file", str(file)))
            cycle(state, now=zero + (day + 1) * DAY)
            say.send(("cycle", day))


def _record_before_staging(say: Connection) -> None:
    """The control: the registry names a release whose tables are not yet there."""
    stage, record = commit_module.stage, commit_module.record_release
    staged: list[tuple] = []  # type: ignore[type-arg]

    def later(*what: object) -> dict[str, object]:
        staged.append(what)
        return {}

    def early(*what: object, **more: object) -> None:
        record(*what, **more)  # type: ignore[arg-type]
        say.send("recorded")
        time.sleep(60)  # it is killed long before
        stage(*staged.pop())

    commit_module.stage = later  # type: ignore[assignment]
    commit_module.record_release = early  # type: ignore[assignment]


def lived_under_kills(days: Days, path: Path, kills: int, chance: random.Random) -> tuple[set[str], int]:
    """Files that were acknowledged in a run that was killed up to so often and always begun again where it had been,
    and how often it was killed before it came to its end."""
    shutil.copytree(days.empty, path)
    files: set[str] = set()
    first = 0
    for turn in itertools.count():
        victim = Victim(live, str(path), days.zero, days.files, first, ..., "right")
        victim.wait_for("ready")
        if turn < kills:
            # By what it has done and not by the clock alone, among a day's files or in its cycle: no machine is so fast
            # that it lives more than a day between two kills.
            count = len(days.files[first])
            some = chance.choice((chance.randrange(count), count))
            while len(victim.said) <= some and victim.process.is_alive():
                victim.listen(0.02)
            victim.listen(chance.uniform(0.0, 0.6))
            victim.kill()
        else:
            while victim.process.is_alive():
                victim.listen(0.5)
            victim.finish()
        for word in victim.said:
            if word[0] == "file":
                files.add(word[1])
            elif word[0] == "cycle":
                first = word[1] + 1
        if first == DAYS or turn >= kills:
            break
    assert first == DAYS, "the city never came to its end"
    return files, min(turn, kills)


def check(days: Days, path: Path, acknowledged: set[str]) -> None:
    with open_state(path) as state, sandbox_for(state) as sandbox:
        for file in sorted(acknowledged):
            again = receive(state, Path(file), feed="city", sandbox=sandbox)
            assert again.duplicate == days.rows[file], f"{file}: acknowledged and lost"
        done = cycle(state, now=days.zero + DAYS * DAY, everybody=True)
    assert done.turns.num_rows == 0
    assert done.release.verdict_digest == days.verdicts


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    return (tmp_path / str(n) for n in itertools.count())


def test_a_city_killed_at_random_comes_to_the_same_verdicts(days: Days, folders: Iterator[Path]) -> None:
    path = next(folders)
    acknowledged, killed = lived_under_kills(days, path, kills=4, chance=random.Random(2))
    check(days, path, acknowledged)
    assert killed >= 3


@pytest.mark.prove
def test_two_hundred_kills_of_ingest_and_cycle_lose_nothing(days: Days, folders: Iterator[Path]) -> None:
    chance, killed, cities = random.Random(), 0, 0
    while killed < 200:
        path = next(folders)
        acknowledged, more = lived_under_kills(days, path, kills=25, chance=chance)
        check(days, path, acknowledged)
        shutil.rmtree(path)
        killed, cities = killed + more, cities + 1
    print(f"{killed} kills in {cities} cities: nothing acknowledged was lost, the verdicts are the same")


def test_a_release_recorded_before_its_tables_are_there_is_caught(
    days: Days, folders: Iterator[Path]
) -> None:
    """The control: the oracle above finds a cycle whose steps are in the wrong order."""
    path = next(folders)
    shutil.copytree(days.empty, path)
    victim = Victim(live, str(path), days.zero, days.files, 0, ..., "early")
    victim.wait_for("recorded")
    victim.kill()
    with open_state(path) as state, pytest.raises(Corrupt):
        cycle(state, now=days.zero + DAY)

"""Sealed slots while their writer is killed, and while its disk is full, fails or loses its power: a phone that fetches
by range finds what the city signed last, or what it had signed before, whole. Never a part that is torn or gone."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sealed_writer import (
    CITY,
    HERE,
    answer_all,
    body,
    finishes,
    key_of,
    make_town,
    moment_of,
    one_day,
    phones,
    seal_all,
    seal_for_ever,
    sealing_of,
)
from test_kill_publication import calls, strace, under_strace
from turns import Disk, Victim

from kangma.errors import Unavailable
from kangma.sealed.part import BUCKET, PART, open_bucket
from kangma.sealed.slot import PATH
from kangma.store.front import FrontStore
from kangma.store.sealed import SealedStore
from kangma.store.slots import SlotReader
from kangma.terms import Day

sys.path.insert(0, str(Path(__file__).parents[1] / "front"))
import sealed_reader as reader

sys.path.pop(0)
__all__ = ["strace"]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The second release is sealed; the next one begins another day."""
    path = make_town(tmp_path_factory.mktemp("town"))
    answer_all(path, 1)
    seal_all(path, 1)
    return path


NEXT = 4  # the release that begins a day


def copied(town: Path, to: Path) -> Path:
    """With the answers of the next release."""
    shutil.copytree(town, to, ignore=shutil.ignore_patterns("codes.slots"))
    answer_all(to, NEXT)
    return to


# whoever looks -------------------------------------------------------------------------------------------------------


class Phones:
    """They were told their places ahead, and fetch their slots all the time."""

    def __init__(self, path: Path) -> None:
        self.path, self.public, self._open = path, path / "public", ExitStack()
        self.slots = phones(path)
        key = key_of(path)
        self.keys = {key.key_id: (key.public.raw, 0, 2**40)}
        self.places: dict[Day, dict[int, reader.Place]] = {}
        self.seen: dict[str, int] = {}  # path → the highest release
        self.read, self.wrong = 0, set[str]()
        self._store = SealedStore(self._open.enter_context(FrontStore(path / "front")))

    def close(self) -> None:
        self._open.close()

    def learn(self, release: int, ahead: int = 1) -> None:
        """While the door answers: today's places, and tomorrow's."""
        today = HERE.day(moment_of(release))
        for day in range(today, today + 1 + ahead):
            if day not in self.places:
                self.places[day] = {n: self._place(day, n) for n in self.slots}

    def _place(self, day: Day, number: int) -> reader.Place:
        family = self._store.family(day, number)
        part, place = self._store.place(family, number)
        return reader.Place(
            HERE.midnight(day), HERE.midnight(day + 1), family.path(part), place, family.key(number)
        )

    def look(self) -> None:
        """Everybody fetches, of every day that they know; what is wrong with any is noted."""
        for day in list(self.places)[-3:]:
            for number, place in self.places[day].items():
                try:
                    bucket = reader.fetched(place, self._ranged)
                except FileNotFoundError:
                    continue  # not written yet, or over
                self._judge(bucket, place, self.slots[number])

    def _ranged(self, path: str, first: int, last: int) -> bytes:
        """As a server reads for a slow phone: the writer may be anywhere between the two halves."""
        with (self.public / path).open("rb", buffering=0) as file:
            file.seek(first)
            half = file.read((last + 1 - first) // 2)
            return half + file.read(last + 1 - first - len(half))

    def _judge(self, bucket: bytes, place: reader.Place, slot: int) -> None:
        self.read += 1
        try:
            said = reader.shown(bucket, place, CITY.base, self.keys, self.seen.get(place.path, 0))
        except reader.NotOurs as problem:
            self.wrong.add(str(problem))
        except Exception as problem:  # what a plain reader makes of a torn one
            self.wrong.add(f"torn: {type(problem).__name__}")
        else:
            whole = body(slot, said["n"]) + b',"release":%d}' % said["release"]
            good = said == json.loads(whole) and said["n"] >= said["release"]
            self.wrong |= set() if good else {"mixed"}
            self.seen[place.path] = open_bucket(bucket).statement.release


def parts_are_whole(path: Path) -> int:
    """Every file that a phone may ask for proves itself, each of its buckets; how many there are."""
    key, found = key_of(path).public, 0
    for file in sorted((path / "public").rglob("sealed/*/*")):
        if file.name.startswith("."):
            continue
        assert PATH.fullmatch(str(file.relative_to(path / "public")))
        content = file.read_bytes()
        assert len(content) == PART, file
        opened = [open_bucket(content[at : at + BUCKET]) for at in range(0, PART, BUCKET)]
        root = opened[0].verify(key, 0).statement.root
        assert all(b.leads_to(n, root) for n, b in enumerate(opened)), file
        assert len({content[at : at + 512] for at in range(0, PART, BUCKET)}) == 1, file
        found += 1
    return found


def goes_on(path: Path, looking: Phones, release: int) -> None:
    """The oracle: a writer that is started again finishes; what stands there is of this release, and nothing else."""
    today = HERE.day(moment_of(release))
    seal_all(path, release)
    looking.places.pop(today, None)
    looking.learn(release)
    assert parts_are_whole(path) == 2
    before = looking.read
    looking.look()
    assert looking.wrong == set()
    assert looking.read == before + len(looking.slots)
    assert {looking.seen[p.path] for p in looking.places[today].values()} == {release}
    assert sorted(f.name for f in (path / "public/sealed").rglob("*")) == ["0", "1", str(today)]
    assert all(day >= today for day in days_with_secrets(path))


def days_with_secrets(path: Path) -> list[Day]:
    """Days of which a secret lies there; nothing else does."""
    names = {f.name for f in (path / "front/sealed").iterdir()} - {"lock"}
    assert all(name.isdecimal() for name in names), names
    return sorted(int(name) for name in names)


# killed, whenever ----------------------------------------------------------------------------------------------------


@dataclass
class Count:
    kills: int = 0
    within: int = 0  # in the middle of a file
    parts: int = 0  # that were said to be written
    read: int = 0
    wrong: set[str] = field(default_factory=set)


def killed(path: Path, rounds: int, how: str, seed: int, *, until: str = "") -> Count:
    """Writers killed one after the other while phones fetch, each by what it had done: every other one as soon as it
    writes a file, the rest a moment later."""
    chance, count, release, took = random.Random(seed), Count(), NEXT, 0.1
    looking = Phones(path)
    for number in range(rounds):
        looking.learn(release)
        victim = Victim(seal_for_ever, str(path), release, how, ...)
        victim.wait_for("ready")
        parts, began = chance.randrange(1, 4), time.monotonic()
        end = 0.0
        while not end or time.monotonic() < end:
            victim.listen(0.001)
            looking.learn(max(victim.acknowledged, default=release))
            looking.look()
            if not end and len(victim.acknowledged) >= parts:
                took = (time.monotonic() - began) / parts
                end = time.monotonic() + chance.uniform(0, took)
                if how == "right" and number % 2:
                    writes_a_file(path)
                    break
            if looking.wrong and until:
                end = 1.0
        victim.kill()
        count.kills += 1
        count.parts += len(victim.acknowledged)
        count.within += any((path / "public/sealed").rglob(".*"))
        looking.look()
        if how == "right":
            parts_are_whole(path)
        release = (SlotReader(path / "front").ready() or release) + 1
        if looking.wrong:
            break
    count.read, count.wrong = looking.read, looking.wrong
    if how == "right":
        answer_all(path, release)
        goes_on(path, looking, release)
    looking.close()
    return count


def writes_a_file(path: Path) -> None:
    """Waits until somebody does."""
    for _ in range(600_000):
        with suppress(FileNotFoundError):  # a day may be over just now
            if any((path / "public/sealed").rglob(".*")):
                return
        time.sleep(0.0001)
    raise AssertionError("no file is written")


def test_no_phone_ever_fetches_a_torn_or_an_older_slot_whenever_the_writer_is_killed(
    town: Path, tmp_path: Path
) -> None:
    count = killed(copied(town, tmp_path / "state"), 4, "right", 5)
    print(count)
    assert count.wrong == set()
    assert count.read > 100
    assert count.parts >= 4
    assert count.within > 0


@pytest.mark.prove
def test_a_thousand_kills_of_the_writer_of_slots_tear_nothing(town: Path, tmp_path: Path) -> None:
    rounds = int(os.environ.get("KANGMA_KILLS", "1000"))
    count = killed(copied(town, tmp_path / "state"), rounds, "right", random.randrange(2**32))
    print(count)
    assert count.wrong == set()
    assert count.within > rounds / 10


@pytest.mark.parametrize(("how", "wrong"), [("in place", "torn"), ("ahead", "older than it is signed")])
def test_a_writer_that_is_careless_is_caught(town: Path, tmp_path: Path, how: str, wrong: str) -> None:
    """The controls: one writes where phones read, one signs for a release that its slots are not of."""
    count = killed(copied(town, tmp_path / "state"), 4, how, 5, until=wrong)
    assert any(wrong in said or (how == "in place" and "another bucket" in said) for said in count.wrong), (
        count
    )


# at every call -------------------------------------------------------------------------------------------------------


def run_through(
    strace: str, town: Path, folder: Path, *, every: int, fault: str, only: tuple[str, ...] = ()
) -> int:
    """A day's first round with this fault in its n-th call, for every `every`-th of them, and the oracle after each."""
    quiet = copied(town, folder / "calm" / "state")
    looking = Phones(quiet)  # its calls are counted as they are below: with somebody who looks
    looking.learn(1, ahead=0)
    calm = calls(strace, one_day, quiet, NEXT)
    looking.close()
    found = [c for c in calm if not only or c[0] in only]
    some, ended = found[every // 2 :: every], dict[str, int]()
    assert len(some) > 2, found
    for call, n in some:
        path = copied(town, folder / f"{call}-{n}" / "state")
        looking = Phones(path)
        looking.learn(1, ahead=0)  # so that the writer draws the new day's secret
        looking.look()
        victim, _ = under_strace(strace, one_day, path, NEXT, f"-e inject={call}:{fault}:when={n}")
        try:
            parts_are_whole(path)
            looking.look()
            goes_on(path, looking, NEXT)
        except BaseException as problem:
            problem.add_note(f"{fault} at {call} number {n} of {found}")
            raise
        finally:
            looking.close()
        how = "killed" if victim.said[-1] == "ready" else str(victim.said[-1][0])
        ended[how] = ended.get(how, 0) + 1
        shutil.rmtree(path.parent)
    print(f"{fault} at {len(some)} of {len(found)} calls: {ended}")
    assert set(ended) - {"sealed"}, "no fault came to anything"
    if "KILL" in fault:  # an error may be one that nobody minds
        assert set(ended) == {"killed"}, "a kill that was not met"
    return len(some)


SYNCS = ("fsync", "fdatasync", "rename")


def test_a_writer_killed_at_some_of_its_calls_leaves_whole_parts(
    strace: str, town: Path, tmp_path: Path
) -> None:
    run_through(strace, town, tmp_path, every=8, fault="signal=KILL")


def test_a_disk_that_cannot_sync_leaves_whole_parts(strace: str, town: Path, tmp_path: Path) -> None:
    run_through(strace, town, tmp_path, every=3, fault="error=EIO", only=SYNCS)


@pytest.mark.prove
@pytest.mark.parametrize("fault", ["signal=KILL", "error=EIO", "error=ENOSPC"])
def test_a_fault_at_every_call_of_the_writer_leaves_whole_parts(
    strace: str, town: Path, tmp_path: Path, fault: str
) -> None:
    run_through(strace, town, tmp_path, every=1, fault=fault)


# a full disk ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [0, 64, 5_000, 12_000])
def test_a_full_disk_keeps_what_stands_there_and_is_written_once_there_is_room(
    small: Callable[[str], Path], town: Path, left: int
) -> None:
    """`left` KiB of room: nothing for the day's secret, for no part, for half of one, for one of the two."""
    disk = small("48m")  # two days' parts and a little more
    path = copied(town, disk / "state")
    looking = Phones(path)
    looking.learn(1, ahead=0)
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with (disk / "ballast").open("wb") as ballast:
        ballast.write(b"x" * (free - left * 1024))
    with sealing_of(path, NEXT) as made:
        for _ in range(3):  # it tries again, and takes no room meanwhile
            with pytest.raises(Unavailable):
                finishes(made)
            assert not list((path / "public/sealed").rglob(".*"))
        assert parts_are_whole(path) == (3 if left > PART // 1024 else 2)
        looking.look()
        assert looking.wrong == set()
        (disk / "ballast").unlink()
        finishes(made)
    goes_on(path, looking, NEXT)
    looking.close()


# the power goes ------------------------------------------------------------------------------------------------------


def cuts(disk: Disk, town: Path, rounds: int, how: str, seed: int) -> tuple[int, int]:
    """(parts said to be written, those of them that are older or damaged once the power is back)."""
    chance, said, lost, release = random.Random(seed), 0, 0, NEXT
    for number in range(rounds):
        disk.mount()
        path = disk.at / "state"
        try:
            if number == 0:
                copied(town, path)
                os.sync()
            victim = Victim(seal_for_ever, str(path), release, how, ...)
            victim.wait_for("ready")
            victim.hear(chance.randrange(2, 8))
            victim.listen(chance.uniform(0, 0.1))
            known = list(victim.acknowledged)
            disk.cut()
            victim.kill()
        finally:
            disk.unmount()
        disk.mount()
        try:
            said += len(known)
            try:
                parts_are_whole(path)
                lost += known[-1] - 1 > oldest_of_last_day(path)
                release = known[-1] + 1
                answer_all(path, release)
                looking = Phones(path)
                goes_on(path, looking, release)
                looking.close()
                release += 1
            except Exception:
                if how == "right":
                    raise
                lost += 1
        finally:
            disk.unmount()
        if lost:
            break
    return said, lost


def oldest_of_last_day(path: Path) -> int:
    """The lowest release of a part of the newest day that is whole; a day that was only begun does not count."""
    days = [d for d in (path / "public/sealed").iterdir() if (d / "0").exists() and (d / "1").exists()]
    newest = max(days, key=lambda d: int(d.name), default=None)
    if newest is None:
        return 0
    return min(open_bucket((newest / n).read_bytes()[:BUCKET]).statement.release for n in "01")


def test_what_was_sealed_before_a_power_cut_stands_there_after_it(disk: Disk, town: Path) -> None:
    said, lost = cuts(disk, town, 2, "right", 1)
    assert (lost, said > 2) == (0, True)


@pytest.mark.prove
def test_a_hundred_power_cuts_tear_no_slot(disk: Disk, town: Path) -> None:
    said, lost = cuts(disk, town, int(os.environ.get("KANGMA_CUTS", "100")), "right", random.randrange(2**32))
    print(f"{said} parts said to be written, {lost} lost")
    assert lost == 0


def test_a_writer_of_slots_that_does_not_wait_for_the_disk_is_caught(disk: Disk, town: Path) -> None:
    """The control."""
    said, lost = cuts(disk, town, 4, "unsynced", 1)
    assert lost, f"{said} parts without a sync, and none lost"

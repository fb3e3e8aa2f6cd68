"""The power goes while a city publishes: registry, signer and public folder are all on the disk that loses it.

Acknowledged is a release that `cycle` returned, and a credential that `signer.credentials` returned.
"""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from released import (
    Door,
    Town,
    is_public,
    killed_before_it_synced,
    make_town,
    one_release,
    publish_for_ever,
    recovered,
)
from turns import Disk, Victim

from kangma.audit.whole import journal_of
from kangma.publish.commit import recover
from kangma.publish.signer import LocalSigner
from kangma.store.releases import Head, last_release, releases
from kangma.store.state import open_state
from kangma.terms import HOUR

DAYS, LIFE = 9, 50  # of the city; and cuts until a new one begins, since every audit is of everything
AUDITED = 7  # every so many cuts the whole oracle; the last one too


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return make_town(tmp_path_factory.mktemp("town"), days=DAYS)


@dataclass
class Count:
    """What so many cuts came to."""

    cuts: int = 0
    within: int = 0  # in the middle of a publication
    releases: int = 0  # acknowledged
    credentials: int = 0
    lost: int = 0
    damaged: list[str] = field(default_factory=list)


def cuts(disk: Disk, town: Town, how: str, rounds: int, seed: int, *, first_loss: bool = False) -> Count:
    chance, count, door = random.Random(seed), Count(), Door()
    for number in range(rounds):
        disk.mount()
        path = disk.at / "state"
        try:
            if number % LIFE == 0:
                shutil.rmtree(path, ignore_errors=True)
                shutil.copytree(town.path, path)
                os.sync()
                door = Door()
            victim = Victim(publish_for_ever, str(path), town.zero, town.days, ..., how)
            victim.wait_for("ready")
            word = "credential" if how == "journal" else chance.choice(["publish", "publish", "credential"])
            said = chance.randrange(3)
            heard = 0
            while (times := _times(word, victim.said)) <= said and victim.process.is_alive():
                if how == "journal" and times > heard:
                    victim.pipe.send("go on")
                    heard = times
                victim.listen(0.002)
            if word == "publish":
                victim.listen(chance.uniform(0.0, 0.25))
            if chance.random() < 0.3:
                door.look(path / "public")  # somebody fetches in the middle of it
                victim.listen(0.0)
            known = list(victim.said)  # before the cut; what comes after it may be of a dead disk
            disk.cut()
            victim.kill()
        finally:
            disk.unmount()
        disk.mount()
        try:
            count.cuts += 1
            count.within += known[-1] == "publish"
            count.lost += _lost(path, known, count)
            if number % AUDITED == AUDITED - 1 or number == rounds - 1:
                with open_state(path) as state:
                    now = last_release(state.registry).now + HOUR  # type: ignore[union-attr]
                recovered(path, door, now=now, verdicts=None)
            door.look(path / "public")
        except Exception as problem:
            if how == "right":
                raise
            count.damaged.append(f"{type(problem).__name__}: {problem}")
        finally:
            disk.unmount()
        if count.damaged or (first_loss and count.lost):
            break
        if number % 50 == 49:
            print(count, flush=True)
    return count


def _times(word: str, said: list[Any]) -> int:
    return sum(w == word or (isinstance(w, tuple) and w[0] == word) for w in said)


def _lost(path: Path, known: list[Any], count: Count) -> int:
    """How much of what was acknowledged is not there, or not public, once it is recovered."""
    heads = {word[1]: word[2] for word in known if isinstance(word, tuple) and word[0] == "release"}
    digests = [word[1] for word in known if isinstance(word, tuple) and word[0] == "credential"]
    count.releases += len(heads)
    count.credentials += len(digests)
    with open_state(path) as state, LocalSigner(path) as signer:
        recover(state, signer)
        is_public(state, path)
        there: dict[int, Head | None] = {x.number: x.head for x in releases(state.registry)}
        issued = {d.tobytes() for d in journal_of(state)["digest"]}
    return sum(there.get(n) != head for n, head in heads.items()) + sum(d not in issued for d in digests)


def test_what_was_published_before_a_power_cut_is_public_after_it(disk: Disk, town: Town) -> None:
    count = cuts(disk, town, "right", rounds=20, seed=1)
    print(count)
    assert count.lost == 0
    assert count.releases >= 10
    assert count.credentials >= 10


@pytest.mark.prove
def test_a_thousand_power_cuts_lose_nothing_that_was_published(disk: Disk, town: Town) -> None:
    rounds = int(os.environ.get("KANGMA_CUTS", "1000"))
    count = cuts(disk, town, "right", rounds=rounds, seed=random.randrange(2**32))
    print(count)
    assert count.lost == 0


@pytest.mark.parametrize("how", ["everything", "registry", "public", "journal"])
def test_who_does_not_wait_for_the_disk_is_caught(disk: Disk, town: Town, how: str) -> None:
    """The controls: without the sync of this part something must be lost, or the tests above prove nothing."""
    count = cuts(disk, town, how, rounds=8, seed=1, first_loss=True)
    print(how, count)
    assert count.lost or count.damaged


@pytest.mark.parametrize("name", ["journal", "salts"])
def test_what_a_killed_signer_wrote_is_synced_before_anything_leans_on_it(
    disk: Disk, town: Town, name: str
) -> None:
    """Killed between write and sync, its records can be read by whoever comes next; and then the power goes."""
    disk.mount()
    path, door = disk.at / "state", Door()
    try:
        shutil.copytree(town.path, path)
        os.sync()
        victim = Victim(killed_before_it_synced, str(path), town.now, name, ...)
        victim.wait_for("ready")
        victim.process.join(60)
        victim.finish()
        assert victim.said == ["ready"], "it was not killed"
        victim = Victim(one_release, str(path), town.now, ...)
        victim.wait_for("ready")
        victim.pipe.send("go")
        victim.process.join(60)
        victim.listen_to_the_end()
        assert victim.said[-1] == ("released", 4)
        door.look(path / "public")
        disk.cut()
    finally:
        disk.unmount()
    disk.mount()
    try:
        recovered(path, door, now=town.now + HOUR, verdicts=None)
    finally:
        disk.unmount()

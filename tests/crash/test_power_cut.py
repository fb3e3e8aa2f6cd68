"""A power cut takes what was not synced. `kill -9` does not: the page cache outlives the process. So this is the test
with teeth, and it needs root and a loop device."""

from __future__ import annotations

import os
import random
import shutil

import pytest
from turns import Disk, Victim, look, write_for_ever

from kangma.store.state import create


def cuts(disk: Disk, how: str, rounds: int, seed: int) -> tuple[int, int, int]:
    """(acknowledged, lost, states damaged beyond opening) over so many power cuts."""
    chance = random.Random(seed)
    acknowledged = lost = damaged = 0
    for round_number in range(rounds):
        disk.mount()
        path = disk.at / f"state{round_number}"
        try:
            create(path).close()
            os.sync()
            victim = Victim(write_for_ever, str(path), 0, ..., how)
            victim.wait_for("ready")
            victim.hear(chance.randrange(2, 9))
            victim.listen(chance.uniform(0.0, 0.1))
            known = list(victim.acknowledged)  # before the cut; what comes after it may be of a dead disk
            disk.cut()
            victim.kill()
        finally:
            disk.unmount()
        disk.mount()
        try:
            left = look(path)
            lost += len(set(known) - left.whole)
            damaged += not left.sound
        except Exception:
            if how == "right":
                raise
            damaged += 1  # whatever it was that could not be read any more
        finally:
            acknowledged += len(known)
            shutil.rmtree(path, ignore_errors=True)
            disk.unmount()
    return acknowledged, lost, damaged


def test_what_was_acknowledged_before_a_power_cut_is_there_after_it(disk: Disk) -> None:
    acknowledged, lost, damaged = cuts(disk, "right", rounds=3, seed=1)
    assert (lost, damaged) == (0, 0)
    assert acknowledged


def test_a_writer_that_does_not_wait_for_the_disk_is_caught(disk: Disk) -> None:
    """The control: no fsync, synchronous=OFF. It must lose, or the test above proves nothing."""
    acknowledged, lost, damaged = cuts(disk, "loose", rounds=2, seed=1)
    assert lost + damaged > 0, f"{acknowledged} acknowledged without a sync, and none lost"


@pytest.mark.prove
def test_forty_power_cuts_lose_nothing(disk: Disk) -> None:
    acknowledged, lost, damaged = cuts(disk, "right", rounds=40, seed=random.randrange(2**32))
    print(f"40 power cuts, {acknowledged} files acknowledged, {lost} lost, {damaged} damaged")
    assert (lost, damaged) == (0, 0)

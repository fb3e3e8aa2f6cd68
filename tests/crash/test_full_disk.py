"""A disk that fills up refuses before it acknowledges; what was acknowledged stays, and with room all goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from turns import accept, look

from kangma.errors import Unavailable
from kangma.store.state import create, open_state


@pytest.mark.parametrize("left", [0, 8, 24, 60, 200])
def test_a_full_disk_refuses_before_it_acknowledges(small: Callable[[str], Path], left: int) -> None:
    """`left` KiB of room: enough for some steps of an acceptance and not for all."""
    disk = small("3m")
    with create(disk / "state") as state:
        accept(state, 0)
        state.absorb()
    acknowledged = {0}
    with open_state(disk / "state") as state:
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        with (disk / "ballast").open("wb") as ballast:
            ballast.write(b"x" * (free - left * 1024))
        for file in range(1, 30):
            try:
                accept(state, file)
                acknowledged.add(file)
                state.absorb()
            except Unavailable:
                break
        else:
            pytest.fail("the disk never filled up")
    (disk / "ballast").unlink()
    found = look(disk / "state")
    assert found.sound
    assert acknowledged <= found.whole
    with open_state(disk / "state") as state:
        accept(state, 30)
    assert 30 in look(disk / "state").whole

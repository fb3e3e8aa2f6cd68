"""A disk that fills up refuses before it acknowledges; what was acknowledged stays, and with room all goes on."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from turns import accept, look, run

from kangma.errors import Unavailable
from kangma.store.state import create, open_state


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    if os.geteuid() != 0:
        warnings.warn("no root: no small disk", stacklevel=1)
        pytest.skip("NO FULL DISK: needs root to mount a small one")
    at = tmp_path / "small"
    at.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(at))
    yield at
    run("umount", str(at))


@pytest.mark.parametrize("left", [0, 8, 24, 60, 200])
def test_a_full_disk_refuses_before_it_acknowledges(small: Path, left: int) -> None:
    """`left` KiB of room: enough for some steps of an acceptance and not for all."""
    with create(small / "state") as state:
        accept(state, 0)
        state.absorb()
    acknowledged = {0}
    with open_state(small / "state") as state:
        free = os.statvfs(small).f_bavail * os.statvfs(small).f_frsize
        with (small / "ballast").open("wb") as ballast:
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
    (small / "ballast").unlink()
    found = look(small / "state")
    assert found.sound
    assert acknowledged <= found.whole
    with open_state(small / "state") as state:
        accept(state, 30)
    assert 30 in look(small / "state").whole

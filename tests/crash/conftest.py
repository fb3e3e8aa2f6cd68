"""The disk whose power is cut, and the one that is soon full."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from turns import Disk, run


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None or not Path("/dev/loop-control").exists():
        warnings.warn("no root, mkfs.ext4 or loop device: no power cut", stacklevel=1)
        pytest.skip("NO POWER CUT: needs root, mkfs.ext4 and a loop device")
    disk = Disk(tmp_path)
    yield disk
    disk.let_go()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of so much room, as `mount` says it ("3m")."""
    if os.geteuid() != 0:
        warnings.warn("no root: no small disk", stacklevel=1)
        pytest.skip("NO FULL DISK: needs root to mount a small one")
    at = tmp_path / "small"
    at.mkdir()

    def of(size: str) -> Path:
        run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at))
        return at

    yield of
    run("umount", str(at))

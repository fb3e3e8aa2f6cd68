"""The disk whose power is cut."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from turns import Disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None or not Path("/dev/loop-control").exists():
        warnings.warn("no root, mkfs.ext4 or loop device: no power cut", stacklevel=1)
        pytest.skip("NO POWER CUT: needs root, mkfs.ext4 and a loop device")
    disk = Disk(tmp_path)
    yield disk
    disk.let_go()

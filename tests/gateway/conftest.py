"""A fresh register for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from house import House, house


@pytest.fixture
def at_home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path / "register") as made:
        yield made

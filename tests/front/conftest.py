"""A fresh hamlet for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hamlet import Hamlet, hamlet


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Hamlet]:
    with hamlet(tmp_path) as made:
        yield made

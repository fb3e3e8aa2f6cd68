"""A fresh state directory for a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kangma.store.state import State, create


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made = create(tmp_path / "state")
    yield made
    made.close()

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


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hamlet]:
    """One for all tests of a module that only ask."""
    with hamlet(tmp_path_factory.mktemp("hamlet")) as made:
        yield made

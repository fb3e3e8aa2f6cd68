"""What all tests share. Properties are not timed: a slow machine is no broken promise; benchmarks measure speed. And
files are handed to the workers in an order."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("kangma", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kangma")

#: Files of half a minute and more, the longest first. A worker takes a whole file: a long one that came last would leave
#: the other workers with nothing to do.
LONGEST = (
    "test_power_cut_publication",
    "test_parts",
    "test_front_pages",
    "test_commit",
    "test_kill_publication",
    "test_pages_in_chromium",
    "test_front_answers",
    "test_cycle",
    "test_audit",
    "test_serve",
    "test_from_file_to_door",
    "test_verify_in_chromium",
    "test_one_writer",
    "test_register_canaries",
    "test_front_demo",
    "test_kill",
    "test_kill_cycle",
    "test_facts",
    "test_tables_promises",
    "test_contract",
    "test_order",
    "test_front_serving",
    "test_front_example",
    "test_register_serving",
    "test_kill_register_http",
    "test_power_cut",
    "test_attacks",
    "test_front_residents",
    "test_front_appeals",
    "test_front_openapi",
    "test_front_sources",
    "test_front_edge",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: n for n, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))

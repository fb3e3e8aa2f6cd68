"""The official lists of 2022 and the visitors of one community: each turns, and returns, on the right day."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from kangma.terms import HOUR, Moment, moment, zone
from kangma.terms import State as Colour

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("KANGMA_DATA", ROOT.parent / "shared" / "data"))
HERE = zone("Asia/Shanghai")
#: The last list that calls it high is of 14:00; the next one, of 17:00, calls it medium.
HIGH = (moment("2022-04-24T16:00:00+08:00"), moment("2022-05-08T17:00:00+08:00"))
LAST_HIGH = moment("2022-05-08T14:00:00+08:00")
AMENDED = moment("2022-05-04T00:00:00+08:00")
VISITORS = 320  # one every 108 minutes, so that some are inside while the level changes

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(
        not (REAL / "china_risk_areas").exists(), reason="the official lists are not here (KANGMA_DATA)"
    ),
]


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "beijing_2022", ROOT / "examples" / "beijing-2022" / "run.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def beijing() -> ModuleType:
    return example()


@pytest.fixture(scope="module")
def levels(beijing: ModuleType) -> dict[Moment, str]:
    """Hour of a list → what it calls Songyuli, read from the JSON without the platform."""
    found: dict[Moment, str] = {}
    for at, _, content in beijing.official_lists(REAL):
        for level, entries in (("high", "highlist"), ("medium", "middlelist")):
            for e in json.loads(content)["data"][entries]:
                named = {f"{e['province']}/{e['city']}/{e['county']}/{c.strip()}" for c in e["communitys"]}
                if beijing.SONGYULI in named:
                    found[at] = level
        found.setdefault(at, "")
    return found


def medium(levels: dict[Moment, str]) -> tuple[Moment, Moment]:
    """From the first list that calls it so to the first later one that does not."""
    named = [at for at, level in levels.items() if level == "medium"]
    return min(named), min(at for at, level in levels.items() if at > min(named) and level != "medium")


def shared(entered: Moment, left: Moment, area: tuple[Moment, Moment]) -> Moment | None:
    """When somebody who was there left the area, or its level ended; None: never there at that level."""
    return min(left, area[1]) if entered < area[1] and area[0] < left else None


def expected(left: Moment, area: tuple[Moment, Moment], at: Moment, severe: Colour) -> Colour:
    """By the policy's words. First version: `severe` for 14 days after the day of leaving. As amended on 4 May: yellow
    for 10 days after it, a reminder on the 7 days after these."""
    entered = left - 2 * HOUR
    end = shared(entered, left, area)
    if end is None or left > at:  # not there, or not yet reported
        return Colour.GREEN
    full_days = HERE.day(at) - HERE.day(end)  # at is a midnight: 1 is the midnight after the day of leaving
    if at < AMENDED:
        return severe if full_days <= 14 else Colour.GREEN
    if full_days <= 10:
        return Colour.YELLOW
    return Colour.REMIND if full_days <= 17 else Colour.GREEN


def all_as_expected(beijing: ModuleType, outcome: object, levels: dict[Moment, str]) -> set[Colour]:
    seen: set[Colour] = set()
    middle = medium(levels)
    wrong = []
    for visitor, days in outcome.visitors.items():  # type: ignore[attr-defined]
        for day, state in days.items():
            at = moment(f"{day}T00:00:00+08:00")
            high = expected(visitor.left_at, HIGH, at, Colour.RED)
            should = max(high, expected(visitor.left_at, middle, at, Colour.YELLOW))
            if state != should:
                wrong.append((HERE.iso(visitor.left_at), day, state.name, should.name))
            seen.add(state)
    assert not wrong, (len(wrong), wrong[:10])
    return seen


def test_songyuli_is_high_on_every_list_from_24_april_to_8_may_and_on_no_other(
    levels: dict[Moment, str],
) -> None:
    high = {at for at, level in levels.items() if level == "high"}
    assert high == {at for at in levels if HIGH[0] <= at < HIGH[1]}
    assert (min(high), max(high)) == (HIGH[0], LAST_HIGH)
    assert levels[HIGH[1]] == "medium"


def test_the_visitors_of_songyuli_turn_and_return_on_the_right_days(
    beijing: ModuleType, levels: dict[Moment, str], tmp_path: Path
) -> None:
    until = moment("2022-05-14T00:00:00+08:00")
    outcome = beijing.run(REAL, tmp_path, residents=330, visitors=VISITORS, until=until, every_list=False)
    seen = all_as_expected(beijing, outcome, levels)
    assert seen == {Colour.GREEN, Colour.REMIND, Colour.YELLOW, Colour.RED}


@pytest.mark.prove
def test_with_a_cycle_after_each_list_and_until_everybody_has_returned(
    beijing: ModuleType, levels: dict[Moment, str], tmp_path: Path
) -> None:
    until = moment("2022-06-05T00:00:00+08:00")
    outcome = beijing.run(REAL, tmp_path, residents=3_000, visitors=VISITORS, until=until)
    all_as_expected(beijing, outcome, levels)
    assert all(list(days.values())[-1] is Colour.GREEN for days in outcome.visitors.values())
    assert outcome.cycles == outcome.lists + len(outcome.days)

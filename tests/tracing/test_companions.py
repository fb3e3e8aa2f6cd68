"""Spatio-temporal companions: the same 800 m cell as a case, for long enough, and at home or at work there."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracing_worlds import World, by_sql, companions, rows, worlds

from kangma.terms import DAY, HOUR
from kangma.tracing import kernel
from kangma.tracing.tables import Places

MINUTE = 60
CASE, NEIGHBOUR, PASSER = 0, 1, 2
FLAT, SHOP, MAST, ELSEWHERE = 0, 1, 2, 3
PLACES = [(FLAT, "home", 7), (SHOP, "venue", 7), (MAST, "grid", 7), (ELSEWHERE, "venue", 8)]
WIDE = ("C1", CASE, 0, 14 * DAY)
RULE = {"min_shared": 10 * MINUTE, "min_stay": 30 * HOUR, "horizon": 14 * DAY, "either": True}


def found(world: World, **how: int) -> list[tuple[object, ...]]:
    """The companions of a world, after all three engines agreed on them."""
    how = RULE | how
    plain = companions(world, **how)  # type: ignore[arg-type]
    assert by_sql(world, "companions", **how) == plain
    places = Places(world.coarse, world.cells)
    assert rows(kernel.companions(world.columns, world.traced, places, **how).arrow()) == plain  # type: ignore[arg-type]
    return plain


def stay(
    person: int, place: int, entered: int, left: int, source: str = "telecom"
) -> tuple[int, int, int, int, str]:
    """A stay told in hours."""
    return (person, place, entered * HOUR, left * HOUR, source)


def test_a_neighbour_of_long_standing_is_a_companion_and_a_passer_by_is_not() -> None:
    nights = [stay(who, FLAT, 24 * d, 24 * d + 10) for d in range(4) for who in (CASE, NEIGHBOUR)]
    at_noon = [stay(CASE, SHOP, 12, 13), stay(PASSER, SHOP, 12, 13)]
    world = World(nights + at_noon, [WIDE], PLACES)
    assert [row[:4] for row in found(world, either=False)] == [("C1", NEIGHBOUR, 2400.0, 40.0)]


def test_with_either_phone_the_passer_by_at_the_cases_home_is_a_companion_too() -> None:
    """Chengdu's wording: either of the two phones."""
    nights = [stay(CASE, FLAT, 24 * d, 24 * d + 10) for d in range(4)]
    world = World([*nights, stay(PASSER, SHOP, 3, 4)], [WIDE], PLACES)
    assert found(world) == [("C1", PASSER, 60.0, 40.0, 3 * HOUR, 4 * HOUR)]
    assert found(world, either=False) == []


def test_equal_visits_are_one_stay_and_the_time_before_them_is_none() -> None:
    """A day at a shop, seen by its door and by the mast, many a time to the same second: ten hours, and ten before."""
    day = [stay(who, place, 100, 110) for who in range(40) for place in (FLAT, SHOP, MAST) * 3]
    world = World([*day, *(stay(who, FLAT, 0, 10) for who in range(40))], [WIDE], PLACES)
    assert {row[3] for row in found(world, min_stay=0)} == {20.0}


def test_both_bounds_must_be_exceeded_not_reached() -> None:
    visits = [stay(CASE, FLAT, 0, 30), (PASSER, SHOP, 0, 600, "telecom")]
    assert found(World(visits, [WIDE], PLACES)) == []
    longer = [(CASE, FLAT, 0, 30 * HOUR + 1, "telecom"), (PASSER, SHOP, 0, 601, "telecom")]
    assert [row[1] for row in found(World(longer, [WIDE], PLACES))] == [PASSER]
    assert found(World([longer[0], visits[1]], [WIDE], PLACES)) == []
    assert found(World([visits[0], longer[1]], [WIDE], PLACES)) == []


def test_a_telecom_cell_and_a_shop_inside_it_are_one_cell_and_time_is_not_counted_twice() -> None:
    world = World(
        [stay(CASE, FLAT, 0, 40), stay(PASSER, SHOP, 1, 3), stay(PASSER, MAST, 2, 4)], [WIDE], PLACES
    )
    assert found(world) == [("C1", PASSER, 180.0, 40.0, HOUR, 4 * HOUR)]


def test_a_stay_in_another_cell_does_not_help() -> None:
    world = World([stay(CASE, FLAT, 0, 40), stay(PASSER, ELSEWHERE, 0, 40)], [WIDE], PLACES)
    assert found(world) == []


def test_stays_are_summed_over_fourteen_days_but_shared_time_only_while_infectious() -> None:
    before = [stay(who, FLAT, 24 * d, 24 * d + 10) for d in range(4) for who in (CASE, NEIGHBOUR)]
    world = World(before, [("C1", CASE, 5 * DAY, 8 * DAY)], PLACES)
    assert found(world) == []
    met = replace(world, visits=[*before, stay(CASE, SHOP, 121, 122), stay(NEIGHBOUR, SHOP, 121, 122)])
    assert found(met) == [("C1", NEIGHBOUR, 60.0, 41.0, 121 * HOUR, 122 * HOUR)]
    long_ago = replace(met, windows=[("C1", CASE, 5 * DAY, 17 * DAY)])
    assert [row[3] for row in found(long_ago, min_stay=10 * HOUR)] == [11.0]


def test_static_scans_and_places_nobody_described_make_no_companion() -> None:
    world = World([stay(CASE, FLAT, 0, 40), stay(PASSER, SHOP, 0, 40, "scan_static")], [WIDE], PLACES)
    assert found(world) == []
    assert found(World([stay(CASE, 9, 0, 40), stay(PASSER, 9, 0, 40)], [WIDE], PLACES)) == []


def test_a_horizon_of_nothing_is_refused() -> None:
    world = World([], [WIDE], PLACES)
    places = Places(np.zeros(0, bool), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="horizon"):
        kernel.companions(world.columns, world.traced, places, **(RULE | {"horizon": 0}))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    worlds(most=9),
    st.sampled_from([0, 600]),
    st.sampled_from([0, 1200, 7200]),
    st.sampled_from([7200, DAY, 3 * DAY, 14 * DAY]),
    st.booleans(),
)
def test_oracle_sql_and_kernel_give_the_same_companions(
    world: World, min_shared: int, min_stay: int, horizon: int, either: bool
) -> None:
    found(world, min_shared=min_shared, min_stay=min_stay, horizon=horizon, either=either)


@settings(max_examples=20, deadline=None)
@given(worlds(most=9), st.randoms(use_true_random=False))
def test_the_order_in_which_visits_are_told_changes_no_companion(world: World, chance: Random) -> None:
    how = {"min_shared": 0, "min_stay": 600}
    shuffled = replace(
        world, visits=chance.sample(world.visits, len(world.visits)), windows=world.windows[::-1]
    )
    assert found(shuffled, **how) == found(world, **how)

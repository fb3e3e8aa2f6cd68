"""Who met a case: what a nurse would expect, then that every engine gives the same rows."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracing_worlds import World, by_sql, columns, companions, crowd, exposures, rows, worlds

from kangma.terms import DAY
from kangma.tracing.columns import Columns, Day
from kangma.tracing.kernel import meetings, trace

MINUTE = 60
TEN = 10 * MINUTE
CASE, NURSE, GUEST = 0, 1, 2
CAFE, CELL = 0, 1
WIDE = ("C1", CASE, 0, 14 * DAY)
PLACES = [(CAFE, "venue", 7), (CELL, "grid", 7)]


def found(world: World, **how: int) -> list[tuple[object, ...]]:
    """The exposures of a world, after all three engines agreed on them."""
    how = {"min_overlap": TEN, "linger": 0} | how
    plain = exposures(world, **how)
    assert by_sql(world, "exposures", **how) == plain
    assert rows(trace(world.columns, world.traced, coarse=world.coarse, **how).arrow()) == plain
    return plain


def scan(
    person: int, entered: int, left: int, place: int = CAFE, source: str = "scan"
) -> tuple[int, int, int, int, str]:
    """A visit told in minutes."""
    return (person, place, entered * MINUTE, left * MINUTE, source)


def test_two_guests_of_one_cafe_met_for_as_long_as_both_were_there() -> None:
    world = World([scan(CASE, 60, 120), scan(GUEST, 90, 150)], [WIDE], PLACES)
    assert found(world) == [("C1", GUEST, 30.0, 1, 90 * MINUTE, 120 * MINUTE)]


def test_ten_minutes_are_enough_and_one_second_less_is_not() -> None:
    case = scan(CASE, 60, 120)
    enough, short = (
        (GUEST, CAFE, 110 * MINUTE, 200 * MINUTE, "scan"),
        (GUEST, CAFE, 110 * MINUTE + 1, 200 * MINUTE, "scan"),
    )
    assert found(World([case, enough], [WIDE], PLACES)) == [
        ("C1", GUEST, 10.0, 1, 110 * MINUTE, 120 * MINUTE)
    ]
    assert found(World([case, short], [WIDE], PLACES)) == []


def test_short_meetings_do_not_add_up_to_a_long_one() -> None:
    world = World([scan(CASE, 0, 300), scan(GUEST, 10, 19), scan(GUEST, 50, 59)], [WIDE], PLACES)
    assert found(world) == []


def test_who_left_as_the_other_came_did_not_meet() -> None:
    assert found(World([scan(CASE, 0, 60), scan(GUEST, 60, 120)], [WIDE], PLACES), min_overlap=1) == []


def test_only_the_infectious_time_counts_and_the_overlap_is_measured_inside_it() -> None:
    world = World([scan(CASE, 0, 120), scan(GUEST, 0, 120)], [("C1", CASE, 65 * MINUTE, 74 * MINUTE)], PLACES)
    assert found(world) == []
    assert found(replace(world, windows=[("C1", CASE, 65 * MINUTE, 75 * MINUTE)])) == [
        ("C1", GUEST, 10.0, 1, 65 * MINUTE, 75 * MINUTE)
    ]


def test_a_night_together_over_midnight_is_one_meeting() -> None:
    evening, morning = 22 * 60, 24 * 60 + 7 * 60
    world = World([scan(CASE, evening, morning), scan(GUEST, evening + 60, morning + 30)], [WIDE], PLACES)
    assert found(world) == [("C1", GUEST, 480.0, 1, (evening + 60) * MINUTE, morning * MINUTE)]


def test_ten_minutes_across_midnight_are_enough_on_either_side() -> None:
    """The days' and the blocks' earliest and latest moments must not cut off what just reaches."""
    midnight = 24 * 60
    early = World(
        [scan(GUEST, midnight - 60, midnight + 10), scan(CASE, midnight, midnight + 60)], [WIDE], PLACES
    )
    assert found(early) == [("C1", GUEST, 10.0, 1, midnight * MINUTE, (midnight + 10) * MINUTE)]
    late = World(
        [scan(CASE, midnight - 60, midnight + 10), scan(GUEST, midnight, midnight + 60)], [WIDE], PLACES
    )
    assert found(late) == [("C1", GUEST, 10.0, 1, midnight * MINUTE, (midnight + 10) * MINUTE)]


def test_a_patient_of_nine_days_meets_the_visitor_of_the_eighth() -> None:
    eighth = 8 * 24 * 60
    world = World([scan(CASE, 30, 9 * 24 * 60), scan(GUEST, eighth, eighth + 20)], [WIDE], PLACES)
    assert found(world) == [("C1", GUEST, 20.0, 1, eighth * MINUTE, (eighth + 20) * MINUTE)]
    turned = World([scan(GUEST, 30, 9 * 24 * 60), scan(CASE, eighth, eighth + 20)], [WIDE], PLACES)
    assert [row[2] for row in found(turned)] == [20.0]


def test_a_picture_of_a_static_code_exposes_nobody() -> None:
    assert found(World([scan(CASE, 0, 60), scan(GUEST, 0, 60, source="scan_static")], [WIDE], PLACES)) == []
    assert found(World([scan(CASE, 0, 60, source="scan_static"), scan(GUEST, 0, 60)], [WIDE], PLACES)) == []


def test_two_phones_in_one_telecom_cell_have_not_met() -> None:
    world = World([scan(CASE, 0, 60, CELL, "telecom"), scan(GUEST, 0, 60, CELL, "telecom")], [WIDE], PLACES)
    assert found(world) == []


def test_a_case_never_meets_itself() -> None:
    assert found(World([scan(CASE, 0, 60), scan(CASE, 10, 50)], [WIDE], PLACES)) == []


def test_each_pair_of_visits_is_a_meeting_and_the_same_visit_told_twice_is_one_visit() -> None:
    overlapping = World([scan(CASE, 0, 60), scan(CASE, 30, 90), scan(GUEST, 0, 90)], [WIDE], PLACES)
    assert found(overlapping) == [("C1", GUEST, 120.0, 2, 0, 90 * MINUTE)]
    told_twice = World(
        [scan(CASE, 0, 60), scan(GUEST, 0, 60), scan(GUEST, 0, 60, source="ticket")], [WIDE], PLACES
    )
    assert found(told_twice) == [("C1", GUEST, 60.0, 1, 0, 60 * MINUTE)]


def test_two_cases_expose_one_guest_twice_and_each_other() -> None:
    world = World(
        [scan(CASE, 0, 60), scan(NURSE, 0, 60), scan(GUEST, 0, 60)], [WIDE, ("C0", NURSE, 0, DAY)], PLACES
    )
    assert [row[:2] for row in found(world)] == [("C0", CASE), ("C0", GUEST), ("C1", NURSE), ("C1", GUEST)]


def test_a_place_that_stays_infectious_exposes_who_comes_after_the_case_left() -> None:
    """Measles: contacts are those in the room up to two hours after the case."""
    world = World([scan(CASE, 0, 60), scan(GUEST, 120, 300)], [WIDE], PLACES)
    assert found(world) == []
    assert found(world, linger=120 * MINUTE) == [("C1", GUEST, 60.0, 1, 120 * MINUTE, 180 * MINUTE)]
    over = World([scan(CASE, 0, 60), scan(GUEST, 70, 300)], [("C1", CASE, 60 * MINUTE, DAY)], PLACES)
    assert found(over, linger=120 * MINUTE) == []


def test_a_meeting_of_no_length_is_refused_as_a_definition() -> None:
    world = World([scan(CASE, 0, 60)], [WIDE], PLACES)
    with pytest.raises(ValueError, match="one second"):
        trace(world.columns, world.traced, min_overlap=0)


@settings(max_examples=150, deadline=None)
@given(worlds(), st.sampled_from([1, 600, 1200]), st.sampled_from([0, 0, 1, 7200]))
def test_oracle_sql_and_kernel_give_the_same_rows(world: World, min_overlap: int, linger: int) -> None:
    found(world, min_overlap=min_overlap, linger=linger)


def test_the_worlds_of_chance_are_worth_asking() -> None:
    """An agreement about nothing would prove nothing."""
    found = [exposures(crowd(seed), min_overlap=TEN) for seed in range(100)]
    assert sum(1 for rows in found if rows) > 60
    assert sum(1 for rows in found if any(row[3] > 1 for row in rows)) > 40
    near = [
        companions(crowd(seed), min_shared=TEN, min_stay=7200, horizon=DAY, either=True)
        for seed in range(100)
    ]
    assert sum(1 for rows in near if rows) > 40


@pytest.mark.prove
@settings(max_examples=10_000, deadline=None)
@given(worlds(most=40), st.sampled_from([1, 599, 600, 1200]), st.sampled_from([0, 1, 7200]))
def test_oracle_sql_and_kernel_give_the_same_rows_in_ten_thousand_worlds(
    world: World, min_overlap: int, linger: int
) -> None:
    found(world, min_overlap=min_overlap, linger=linger)


@settings(max_examples=40, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_in_which_visits_are_told_changes_nothing(world: World, chance: Random) -> None:
    before = found(world)
    shuffled = replace(
        world, visits=chance.sample(world.visits, len(world.visits)), windows=world.windows[::-1]
    )
    assert found(shuffled) == before


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_how_visits_are_cut_into_days_changes_nothing(world: World) -> None:
    real = sorted({v[:4] for v in world.visits if v[4] != "scan_static"})
    names = ("person", "place", "entered_at", "left_at")
    parts = [dict(zip(names, zip(*real[i::3], strict=True), strict=True)) for i in range(3) if real[i::3]]
    cut = Columns.of(Day.build(number, **part) for number, part in enumerate(parts))
    whole = trace(columns(world.visits), world.traced, min_overlap=TEN)
    assert rows(trace(cut, world.traced, min_overlap=TEN).arrow()) == rows(whole.arrow())


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_single_meetings_sum_to_the_exposures(world: World) -> None:
    met = rows(meetings(world.columns, world.traced, min_overlap=TEN, coarse=world.coarse).arrow())
    assert met == sorted(met, key=lambda m: (m[0], m[1], m[3], m[4], m[2]))
    sums: dict[tuple[object, object], int] = {}
    for case_id, person, _, start, end in met:
        sums[case_id, person] = sums.get((case_id, person), 0) + end - start
    assert {(row[0], row[1]): row[2] for row in found(world)} == {pair: s / 60 for pair, s in sums.items()}


def test_many_cases_on_two_threads_give_what_one_thread_gives() -> None:
    visits = [scan(person, 5 * (person % 50), 5 * (person % 50) + 60, person % 7) for person in range(400)]
    windows = [(f"C{i:03}", i, 0, DAY) for i in range(100)]
    world = World(visits, windows, [(place, "venue", 0) for place in range(7)])
    one, two = (trace(world.columns, world.traced, min_overlap=TEN, threads=n) for n in (1, 2))
    assert rows(one.arrow()) == rows(two.arrow()) == exposures(world, min_overlap=TEN)

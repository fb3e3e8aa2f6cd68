"""Sorted columns: a day at a time, valid or refused, the same bytes whoever builds them."""

from __future__ import annotations

import json
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracing_worlds import World, columns, worlds

from kangma.errors import Corrupt
from kangma.terms import DAY
from kangma.tracing.columns import ARRAYS, BLOCK, HEADER, LATEST, Columns, Day
from kangma.tracing.kernel import trace

VISITS = [(1, 3, 100, 700), (2, 3, 100, 500), (1, 0, 90, 2 * DAY), (2, 3, 100, 500)]


def build(visits: list[tuple[int, int, int, int]], day: int = 0) -> Day:
    person, place, entered, left = np.array(visits, np.int64).reshape(-1, 4).T
    return Day.build(day, person=person, place=place, entered_at=entered, left_at=left)


def test_a_day_is_sorted_by_place_and_time_and_tells_each_visit_once() -> None:
    day = build(VISITS)
    assert day.person.tolist() == [1, 2, 1]
    assert day.entered.tolist() == [90, 100, 100]
    assert day.left.tolist() == [2 * DAY, 500, 700]
    assert day.place_starts.tolist() == [0, 1, 1, 1, 3]
    assert (day.opens, day.closes) == (90, 2 * DAY)
    assert [day.person_rows[day.person_starts[p] : day.person_starts[p + 1]].tolist() for p in (1, 2)] == [
        [0, 2],
        [1],
    ]


def test_a_visit_that_ends_before_it_begins_or_began_in_another_age_is_refused() -> None:
    with pytest.raises(ValueError, match="ends before"):
        build([(0, 0, 10, 9)])
    with pytest.raises(ValueError, match="did not begin"):
        build([(0, 0, 2**40, 2**40)])
    with pytest.raises(ValueError, match="different length"):
        Day.build(0, person=[1], place=[1, 2], entered_at=[0], left_at=[0])


def test_a_visit_without_end_in_sight_does_not_break_its_day() -> None:
    assert build([(0, 0, 5, 2**50)]).left.tolist() == [LATEST]


def test_a_million_scans_in_one_second_at_one_gate_are_sorted_in_time() -> None:
    """Ties are sorted by a sort, not by insertion: a hostile feed cannot make a day cost the square."""
    crowd = np.random.default_rng(7).permutation(300_000)
    day = Day.build(
        0, person=crowd, place=np.zeros(len(crowd)), entered_at=np.zeros(len(crowd)), left_at=crowd % 5
    )
    assert list(zip(day.left, day.person, strict=True)) == sorted(
        (person % 5, person) for person in crowd.tolist()
    )


@settings(max_examples=100, deadline=None)
@given(worlds(most=30), st.randoms(use_true_random=False))
def test_the_same_visits_in_any_order_give_the_same_bytes(world: World, chance: Random) -> None:
    shuffled = columns(chance.sample(world.visits, len(world.visits)))
    for one, other in zip(columns(world.visits).days, shuffled.days, strict=True):
        assert {n: bytes(b) for n, b in one.to_buffers().items()} == {
            n: bytes(b) for n, b in other.to_buffers().items()
        }


@settings(max_examples=100, deadline=None)
@given(worlds(most=30))
def test_columns_come_back_from_their_buffers_and_trace_the_same(world: World) -> None:
    before = world.columns
    buffers = [{n: bytes(b) for n, b in day.to_buffers().items()} for day in before.days]
    after = Columns.of(Day.from_buffers(named, whole=True) for named in buffers)
    assert after.rows == before.rows
    assert (
        trace(after, world.traced, min_overlap=60).arrow()
        == trace(before, world.traced, min_overlap=60).arrow()
    )


def test_a_new_day_touches_no_other_day() -> None:
    first, second = build(VISITS), build([(5, 5, DAY, DAY + 9)], day=1)
    both = Columns((first,)).with_day(second)
    assert both.days == (first, second)
    assert both.days[0] is first
    again = build([(6, 5, DAY, DAY + 9)], day=1)
    assert both.with_day(again).days == (first, again)
    assert both.without_day(0).days == (second,)
    with pytest.raises(ValueError, match="twice"):
        Columns((first, first))


def test_blocks_name_their_latest_leaving_and_their_first_place() -> None:
    many = build([(i, i // 100, i, i + 60 + 7 * (i % 11)) for i in range(3 * BLOCK + 5)])
    for block, (left, place) in enumerate(zip(many.block_left, many.block_place, strict=True)):
        rows = slice(block * BLOCK, (block + 1) * BLOCK)
        assert left == many.left[rows].max()
        assert place == block * BLOCK // 100


@pytest.mark.parametrize("name", sorted(ARRAYS))
def test_columns_that_were_cut_are_corrupt_not_guessed(name: str) -> None:
    buffers = {n: bytes(b) for n, b in build(VISITS).to_buffers().items()}
    file = next(n for n in buffers if n.startswith(f"{name}."))
    for broken in ({**buffers, file: buffers[file][:-4]}, {**buffers, file: buffers[file][:-1]}):
        with pytest.raises(Corrupt):
            Day.from_buffers(broken)
    with pytest.raises(Corrupt):
        Day.from_buffers({n: b for n, b in buffers.items() if n != file})


def test_a_header_that_does_not_fit_is_corrupt() -> None:
    buffers = {n: bytes(b) for n, b in build(VISITS).to_buffers().items()}
    for change in ({"format": 2}, {"lengths": {}}):
        header = json.dumps(json.loads(buffers[HEADER]) | change).encode()
        with pytest.raises(Corrupt):
            Day.from_buffers({**buffers, HEADER: header})
    with pytest.raises(Corrupt):
        Day.from_buffers({**buffers, HEADER: b"\xff"})


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_look_at_the_whole_finds_any_changed_bit(data: st.DataObject) -> None:
    buffers = {n: bytes(b) for n, b in build(VISITS).to_buffers().items()}
    name = data.draw(st.sampled_from(sorted(buffers)))
    bit = data.draw(st.integers(0, 8 * len(buffers[name]) - 1))
    changed = bytearray(buffers[name])
    changed[bit // 8] ^= 1 << bit % 8
    assert Day.from_buffers(buffers, whole=True).rows == 3
    with pytest.raises(Corrupt):
        Day.from_buffers({**buffers, name: bytes(changed)}, whole=True)

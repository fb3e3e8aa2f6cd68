"""What is old enough goes, in two steps; what is not stays, whatever else goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up import NOON, evidence, person, rows, visit

from kangma.errors import Conflict, Corrupt
from kangma.store import forget as forget_module
from kangma.store import registry as r
from kangma.store.columns import read_columns, write_columns
from kangma.store.forget import cutoff, forget, stop
from kangma.store.state import State, create
from kangma.terms import DAY, HOUR, moment, zone

BEIJING = zone("Asia/Shanghai")
NOW = moment("2022-05-10T03:00:00+08:00")


def stay(who: int, entered: int, left: int | None) -> dict[str, object]:
    return {
        "person": person(who),
        "area_id": "a",
        "entered_at": entered,
        "left_at": left,
        "source": "telecom",
    }


def fill(state: State, ends: list[int]) -> None:
    state.inbox.accept(
        "f", "visits", [rows("visits", *[visit(i, "x", e - HOUR, 60) for i, e in enumerate(ends)])]
    )
    state.absorb()


def ends(state: State) -> set[object]:
    return {row[6] for row in evidence(state, "visits")}


def test_a_visit_lives_fourteen_whole_days_after_its_day() -> None:
    before = cutoff(NOW, 14, BEIJING)
    assert before == moment("2022-04-26T00:00:00+08:00")
    # over late on 25 April: kept through 9 May, and goes on 10 May
    assert moment("2022-04-25T23:59:59+08:00") < before
    assert cutoff(moment("2022-05-09T23:59:59+08:00"), 14, BEIJING) <= moment("2022-04-25T23:59:59+08:00")
    with pytest.raises(ValueError, match="28"):
        cutoff(NOW, 29, BEIJING)


def test_old_visits_are_marked_wait_a_day_and_are_then_gone(state: State) -> None:
    old, fresh = cutoff(NOW, 14, BEIJING) - 1, cutoff(NOW, 14, BEIJING)
    fill(state, [old, *[fresh + i for i in range(9)]])
    first = forget(state, NOW, zone=BEIJING)
    assert (first.shredded, first.marked, first.ready_at) == ({}, {"visits": 1}, NOW + DAY)
    assert len(ends(state)) == 10
    early = forget(state, NOW + DAY - 1, zone=BEIJING)
    assert (early.shredded_run, early.marked_run) == (None, first.marked_run)
    done = forget(state, NOW + DAY, zone=BEIJING)
    assert (done.shredded_run, done.shredded) == (first.marked_run, {"visits": 1})
    assert ends(state) == {fresh + i for i in range(9)}
    with state.registry.read() as on:
        run = on.execute(sa.select(r.deletions).order_by(r.deletions.c.run)).first()
    assert run is not None
    assert run.state == "shredded"
    assert json.loads(run.counts)["visits"] == {"of": 10, "rows": 1, "shredded": 1}


def test_a_whole_old_day_leaves_with_its_file_and_its_columns(state: State) -> None:
    old = NOON - 20 * DAY
    fill(state, [old, *[NOW - i * HOUR for i in range(9)]])
    (day,) = [s for s in state.live_segments(["visits"]) if s.last_at < NOON - 10 * DAY]  # type: ignore[operator]
    write_columns(state, f"{day.day}-k", {"person.u4": b"1234"})
    forget(state, NOW, zone=BEIJING)
    forget(state, NOW + DAY, zone=BEIJING)
    assert not day.path.exists()
    assert not day.path.parent.exists()
    assert read_columns(state, f"{day.day}-k") is None
    assert day.day not in state.visit_days()


def test_a_visit_that_began_long_ago_and_ended_lately_stays(state: State) -> None:
    long = visit(1, "home", NOW - 20 * DAY, 60 * 24 * 10)
    others = [visit(i, "shop", NOW - i * HOUR) for i in range(2, 9)]
    state.inbox.accept("f", "visits", [rows("visits", long, *others)])
    state.absorb()
    assert forget(state, NOW, zone=BEIJING).marked == {}


def test_a_stay_that_goes_on_is_not_forgotten(state: State) -> None:
    over = [stay(i, NOW - 30 * DAY, NOW - 20 * DAY) for i in range(2)]
    lately = [stay(10 + i, NOW - 30 * DAY, NOW - 2 * DAY + i) for i in range(8)]
    state.inbox.accept("f", "area_stays", [rows("area_stays", *over, *lately, stay(9, NOW - 30 * DAY, None))])
    state.absorb()
    forget(state, NOW, zone=BEIJING)
    assert forget(state, NOW + DAY, zone=BEIJING).shredded == {"area_stays": 2}
    left = evidence(state, "area_stays", "left_at")
    assert len(left) == 9
    assert (None,) in left


def test_a_run_that_would_take_too_much_stops_and_raises_an_alarm(state: State) -> None:
    fill(state, [NOW - 20 * DAY - i for i in range(5)] + [NOW - i for i in range(5)])
    stopped = forget(state, NOW, zone=BEIJING)
    assert (stopped.stopped, stopped.ready_at) == ("cap", None)
    assert forget(state, NOW + DAY, zone=BEIJING).shredded == {}
    assert len(ends(state)) == 10
    with state.registry.read() as on:
        assert set(on.execute(sa.select(r.alarms.c.what)).scalars()) == {"deletion_stopped"}
    assert forget(state, NOW + DAY, zone=BEIJING, cap=1.0).marked == {"visits": 5}
    assert forget(state, NOW + 2 * DAY, zone=BEIJING, cap=1.0).shredded == {"visits": 5}


def test_an_operator_can_stop_a_run_while_it_waits(state: State) -> None:
    fill(state, [NOW - 20 * DAY, *[NOW - i for i in range(9)]])
    run = forget(state, NOW, zone=BEIJING).marked_run
    assert run is not None
    stop(state, run)
    with pytest.raises(Conflict):
        stop(state, run)
    again = forget(state, NOW + DAY, zone=BEIJING)
    assert again.shredded == {}
    assert again.marked_run == run + 1


def test_what_came_in_after_the_mark_waits_for_a_mark_of_its_own(state: State) -> None:
    fill(state, [NOW - 20 * DAY, *[NOW - i for i in range(9)]])
    forget(state, NOW, zone=BEIJING)
    for i in range(12):  # enough small batches to be compacted
        fill(state, [NOW - 20 * DAY - 60 * i - 7])
    done = forget(state, NOW + DAY, zone=BEIJING, cap=1.0)
    assert done.shredded == {"visits": 1}
    assert done.marked == {"visits": 12}


def test_rows_that_are_sent_again_after_they_were_forgotten_are_forgotten_again(state: State) -> None:
    old = [NOW - 20 * DAY]
    fill(state, [*old, *[NOW - i for i in range(9)]])
    forget(state, NOW, zone=BEIJING)
    forget(state, NOW + DAY, zone=BEIJING)
    fill(state, old)
    assert forget(state, NOW + DAY, zone=BEIJING).marked == {"visits": 1}


@pytest.mark.parametrize("mutant", ["days", "comparison"])
def test_a_deletion_rule_gone_wrong_is_caught_by_the_canaries(
    state: State, monkeypatch: pytest.MonkeyPatch, mutant: str
) -> None:
    fill(state, [NOW - 20 * DAY, *[NOW - 13 * DAY + i * HOUR for i in range(20)]])
    if mutant == "days":
        # The cut-off is a day too late: rows of the last 14 days would go.
        wrong = cutoff(NOW, 13, BEIJING) + 20 * HOUR
        monkeypatch.setattr(forget_module, "cutoff", lambda *_: wrong)
        forget(state, NOW, zone=BEIJING, cap=1.0)
    else:
        forget(state, NOW, zone=BEIJING, cap=1.0)
        # The wrong segments leave: the mark is moved to the newest one.
        newest = max(state.live_segments(["visits"]), key=lambda s: s.day or 0)
        with state.registry.write() as on:
            on.execute(sa.update(r.deletion_marks).values(segment=newest.segment, rows=newest.rows))
    with pytest.raises(Corrupt):
        forget(state, NOW + DAY, zone=BEIJING, cap=1.0)
    assert len(ends(state)) == 21


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 40 * 24), min_size=1, max_size=30), st.integers(1, 28))
def test_exactly_the_old_ones_go(
    tmp_path_factory: pytest.TempPathFactory, hours: list[int], days: int
) -> None:
    with create(tmp_path_factory.mktemp("s") / "state") as state:
        fill(state, [NOW - h * HOUR for h in hours])
        forget(state, NOW, zone=BEIJING, days=days, cap=1.0)
        forget(state, NOW + DAY, zone=BEIJING, days=days, cap=1.0)
        before = cutoff(NOW, days, BEIJING)
        assert ends(state) == {NOW - h * HOUR for h in hours if NOW - h * HOUR >= before}
        assert not list((Path(state.path) / "segments").rglob("*.tmp"))


def corrected(end: int, version: int) -> dict[str, object]:
    return visit(1, "x", end - HOUR, 60) | {"document_id": "d1", "document_version": version}


def test_a_corrected_visit_does_not_come_back_when_its_correction_is_old(state: State) -> None:
    """The correction ended earlier than the visit it corrects: forgotten by itself, it would leave the mistake."""
    limit = cutoff(NOW, 14, BEIJING)
    fill(state, [limit + DAY + i for i in range(9)])
    state.inbox.accept(
        "f", "visits", [rows("visits", corrected(limit + HOUR, 0), corrected(limit - HOUR, 1))]
    )
    state.absorb()
    before = ends(state)
    forget(state, NOW, zone=BEIJING)
    forget(state, NOW + DAY, zone=BEIJING)
    assert ends(state) == before
    both_old = NOW + 2 * DAY
    forget(state, both_old, zone=BEIJING, cap=1.0)
    forget(state, both_old + DAY, zone=BEIJING, cap=1.0)
    assert limit + HOUR not in ends(state)
    assert limit - HOUR not in ends(state)


def test_a_version_that_comes_in_after_the_mark_stops_the_run(state: State) -> None:
    limit = cutoff(NOW, 14, BEIJING)
    fill(state, [limit + DAY + i for i in range(9)])
    state.inbox.accept("f", "visits", [rows("visits", corrected(limit - HOUR, 1))])
    state.absorb()
    assert forget(state, NOW, zone=BEIJING).marked == {"visits": 1}
    state.inbox.accept("f", "visits", [rows("visits", corrected(limit + 20 * HOUR, 0))])
    state.absorb()
    later = forget(state, NOW + DAY - HOUR - 60, zone=BEIJING, wait=DAY)
    assert later.shredded_run is None
    again = forget(state, NOW + DAY, zone=BEIJING)
    assert again.shredded == {}
    assert limit - HOUR in ends(state)

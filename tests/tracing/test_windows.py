"""When a case could infect others: from symptoms or sample to isolation."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracing_worlds import connection, table

from kangma.terms import DAY
from kangma.tracing.derive import windows
from kangma.tracing.tables import Windows

LI, WANG = 1, 2
Row = tuple[object, ...]
PERSON, AT, TEXT = pa.uint32(), pa.int64(), pa.string()
SCHEMAS = {
    "live_cases": pa.schema(
        [("case_id", TEXT), ("person", PERSON)]
        + [(name, AT) for name in ("confirmed_at", "onset_at", "infectious_from", "excluded_at")]
    ),
    "live_tests": pa.schema(
        [
            ("person", PERSON),
            ("sampled_at", AT),
            ("reported_at", AT),
            ("pooled", pa.bool_()),
            ("result", TEXT),
        ]
    ),
    "live_isolations": pa.schema([("person", PERSON), ("kind", TEXT), ("from_at", AT), ("to_at", AT)]),
}


def found(
    cases: Sequence[Row],
    tests: Sequence[Row] = (),
    isolations: Sequence[Row] = (),
    *,
    look_back_days: int = 2,
) -> list[tuple[str, int, float, float]]:
    """Windows in days, of cases (case_id, person, confirmed, onset, infectious_from, excluded), tests (person,
    sampled, reported, pooled, result) and isolations (person, kind, from, to), all moments told in days."""

    def at(days: object) -> int | None:
        return None if days is None else round(float(str(days)) * DAY)

    live = {
        "live_cases": [(c, p, *map(at, moments)) for c, p, *moments in cases],
        "live_tests": [(p, at(s), at(r), pooled, result) for p, s, r, pooled, result in tests],
        "live_isolations": [(p, kind, at(f), at(t)) for p, kind, f, t in isolations],
    }
    con = connection()
    for name, rows in live.items():
        con.register(name, table(rows, SCHEMAS[name]))
    found = windows(con, look_back_days=look_back_days)
    columns = zip(found.case, found.person, found.from_at, found.to_at, strict=True)
    return [(found.case_ids[c], int(p), float(f / DAY), float(t / DAY)) for c, p, f, t in columns]


def test_a_case_with_symptoms_was_infectious_two_days_before_them_until_isolated() -> None:
    case = ("C1", LI, 12, 10, None, None)
    assert found([case], isolations=[(LI, "central", 11, None)]) == [("C1", LI, 8, 11)]
    assert found([case], isolations=[(LI, "central", 11, None)], look_back_days=4) == [("C1", LI, 6, 11)]


def test_a_case_without_symptoms_is_counted_from_the_first_positive_sample() -> None:
    tests = [
        (LI, 11, 11.5, False, "positive"),
        (LI, 10, 10.5, False, "negative"),
        (LI, 11.8, 12, False, "positive"),
    ]
    assert found([("C1", LI, 12, None, None, None)], tests) == [("C1", LI, 9, 12)]


def test_the_report_stands_for_a_sample_whose_time_is_not_known() -> None:
    assert found([("C1", LI, 12, None, None, None)], [(LI, None, 11, False, "positive")]) == [
        ("C1", LI, 9, 12)
    ]


def test_a_positive_tube_or_an_infection_long_past_is_not_this_cases_sample() -> None:
    tests = [(LI, 5, 6, True, "positive"), (LI, -30, -29, False, "positive"), (LI, 13, 13, False, "positive")]
    assert found([("C1", LI, 12, None, None, None)], tests) == [("C1", LI, 10, 12)]


def test_what_the_investigator_wrote_goes_before_what_is_reckoned() -> None:
    assert found([("C1", LI, 12, 10, 3, None)]) == [("C1", LI, 3, 12)]


def test_without_isolation_the_window_ends_with_the_confirmation() -> None:
    assert found([("C1", LI, 12, 10, None, None)], isolations=[(WANG, "central", 11, None)]) == [
        ("C1", LI, 8, 12)
    ]


def test_an_isolation_after_the_confirmation_closes_the_window_later_but_not_months_later() -> None:
    case = ("C1", LI, 12, 10, None, None)
    assert found([case], isolations=[(LI, "central", 12.5, None)]) == [("C1", LI, 8, 12.5)]
    assert found([case], isolations=[(LI, "central", 80, None)]) == [("C1", LI, 8, 12)]


def test_who_was_isolated_all_along_exposed_nobody() -> None:
    case = ("C1", LI, 12, 10, None, None)
    assert found([case], isolations=[(LI, "home", 5, None)]) == []
    assert found([case], isolations=[(LI, "home", 5, 8.5)]) == []
    assert found([case], isolations=[(LI, "home", 2, 5)]) == [("C1", LI, 8, 12)]


def test_health_monitoring_is_not_isolation() -> None:
    assert found([("C1", LI, 12, 10, None, None)], isolations=[(LI, "monitoring", 9, None)]) == [
        ("C1", LI, 8, 12)
    ]


def test_a_case_that_was_ruled_out_has_no_window() -> None:
    assert found([("C1", LI, 12, 10, None, 13)]) == []


def test_two_senders_of_one_case_open_one_window_from_the_earliest_moment_of_each_kind() -> None:
    reports = [("C1", LI, 12, None, None, None), ("C1", LI, 11, 10, None, None), ("C1", LI, 9, 5, None, 13)]
    assert found(reports) == [("C1", LI, 8, 11)]


def test_symptoms_long_after_the_confirmation_open_no_window() -> None:
    assert found([("C1", LI, 12, 15, None, None)]) == []


def test_windows_refuse_what_is_not_a_window() -> None:
    with pytest.raises(ValueError, match="ends after"):
        Windows.of([("C1", LI, 5, 5)])
    with pytest.raises(ValueError, match="one window"):
        Windows.of([("C1", LI, 0, 5), ("C1", LI, 6, 9)])


maybe = st.none() | st.integers(0, 20)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["C1", "C2"]), st.integers(1, 2), st.integers(0, 20), maybe, maybe, maybe),
        max_size=5,
    ),
    st.lists(
        st.tuples(st.integers(1, 2), maybe, st.integers(0, 20), st.booleans(), st.just("positive")),
        max_size=4,
    ),
    st.lists(
        st.tuples(
            st.integers(1, 2), st.sampled_from(["central", "home", "monitoring"]), st.integers(0, 20), maybe
        ),
        max_size=4,
    ),
    st.randoms(use_true_random=False),
)
def test_every_case_has_at_most_one_window_that_begins_before_it_ends_whatever_the_order(
    cases: list[Row], tests: list[Row], isolations: list[Row], chance: Random
) -> None:  # type: ignore[no-untyped-def]
    before = found(cases, tests, isolations)
    assert all(from_at < to_at for _, _, from_at, to_at in before)
    assert len({row[:2] for row in before}) == len(before)
    assert {row[:2] for row in before} <= {row[:2] for row in cases if row[5] is None}
    shuffled = [chance.sample(rows, len(rows)) for rows in (cases, tests, isolations)]
    assert found(*shuffled) == before

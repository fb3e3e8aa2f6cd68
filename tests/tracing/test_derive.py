"""The stage as a whole: evidence in, exposures, companions and a tracer's list out."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
from tracing_worlds import columns, connection, rows, table

from kangma.terms import DAY, HOUR
from kangma.tracing import kernel
from kangma.tracing.columns import Columns, Day
from kangma.tracing.derive import TracingRule, derive, secondary
from kangma.tracing.kernel import warm

CASE, FRIEND, AUNT, NEIGHBOUR = 0, 1, 2, 3
CAFE, FLAT, HALL = 0, 1, 2
PERSON, AT, TEXT = pa.uint32(), pa.int64(), pa.string()

PLACES = [(CAFE, "venue", 39.90, 116.40), (FLAT, "home", 39.90, 116.4001), (HALL, "venue", 39.80, 116.30)]
CASES = [("C1", CASE, 10 * DAY, 9 * DAY, None, None)]
CONTACTS = [(FRIEND, "C1", 1, 9 * DAY)]
NIGHTS = [
    (who, FLAT, d * DAY, d * DAY + 8 * HOUR, "telecom") for who in (CASE, NEIGHBOUR) for d in range(5, 10)
]
MET = [
    (CASE, CAFE, 8 * DAY + 12 * HOUR, 8 * DAY + 14 * HOUR, "scan"),
    (FRIEND, CAFE, 8 * DAY + 13 * HOUR, 8 * DAY + 15 * HOUR, "scan"),
    (AUNT, CAFE, 8 * DAY + 14 * HOUR, 8 * DAY + 16 * HOUR, "scan"),
    (FRIEND, HALL, 9 * DAY, 9 * DAY + HOUR, "scan"),
    (AUNT, HALL, 9 * DAY, 9 * DAY + HOUR, "scan"),
]


def evidence(cases: list[tuple[object, ...]] = CASES, isolations: list[tuple[object, ...]] | None = None):  # type: ignore[no-untyped-def]
    con = connection()
    live = {
        "live_places": (
            PLACES,
            [("place", PERSON), ("kind", TEXT), ("lat", pa.float64()), ("lon", pa.float64())],
        ),
        "live_cases": (
            cases,
            [("case_id", TEXT), ("person", PERSON)]
            + [(name, AT) for name in ("confirmed_at", "onset_at", "infectious_from", "excluded_at")],
        ),
        "live_tests": (
            [],
            [
                ("person", PERSON),
                ("sampled_at", AT),
                ("reported_at", AT),
                ("pooled", pa.bool_()),
                ("result", TEXT),
            ],
        ),
        "live_isolations": (
            isolations or [],
            [("person", PERSON), ("kind", TEXT), ("from_at", AT), ("to_at", AT)],
        ),
        "live_contacts": (
            CONTACTS,
            [("person", PERSON), ("index_case_id", TEXT), ("degree", AT), ("last_exposure_at", AT)],
        ),
    }
    for name, (content, schema) in live.items():
        con.register(name, table(content, pa.schema(schema)))
    return con


def test_a_case_gives_exposures_and_companions() -> None:
    traced = derive(evidence(), columns(NIGHTS + MET), TracingRule())
    assert rows(traced.exposures.arrow()) == [
        ("C1", FRIEND, 60.0, 1, 8 * DAY + 13 * HOUR, 8 * DAY + 14 * HOUR),
        ("C1", NEIGHBOUR, 3 * 480.0, 3, 7 * DAY, 9 * DAY + 8 * HOUR),
    ]
    # Flat and café lie in one cell; the case was in it for five nights and two hours.
    assert [row[:4] for row in rows(traced.companions.arrow())] == [
        ("C1", FRIEND, 60.0, 42.0),
        ("C1", NEIGHBOUR, 3 * 480.0, 42.0),
    ]


def test_a_policy_without_companions_has_none() -> None:
    traced = derive(evidence(), columns(NIGHTS + MET), replace(TracingRule(), companion=None))
    assert rows(traced.companions.arrow()) == []
    assert len(traced.exposures.case) == 2


def test_a_case_that_was_ruled_out_exposes_nobody() -> None:
    cases = [("C1", CASE, 10 * DAY, 9 * DAY, None, 11 * DAY)]
    traced = derive(evidence(cases), columns(NIGHTS + MET), TracingRule())
    assert len(traced.exposures.case) == len(traced.companions.case) == 0


def the_list(con, until: int = 10 * DAY) -> list[tuple[object, ...]]:  # type: ignore[no-untyped-def]
    walked = columns(NIGHTS + MET)
    con.register("exposures", derive(con, walked, TracingRule()).exposures.arrow())
    return rows(secondary(con, walked, TracingRule(), until=until))


def test_whom_a_contact_met_before_isolation_is_on_the_tracers_list() -> None:
    # In the café the aunt met the friend (14:00 to 15:00, after the friend's first exposure) but not the case.
    met = ("C1", FRIEND, AUNT, 120.0, 2, 8 * DAY + 14 * HOUR, 9 * DAY + HOUR)
    assert the_list(evidence()) == [met]


def test_a_contact_in_isolation_meets_nobody_any_more() -> None:
    con = evidence(isolations=[(FRIEND, "central", 8 * DAY + 20 * HOUR, None)])
    assert [row[2:5] for row in the_list(con)] == [(AUNT, 60.0, 1)]


def test_the_list_goes_with_the_case_and_comes_back_with_it() -> None:
    ruled_out = [("C1", CASE, 10 * DAY, 9 * DAY, None, 11 * DAY)]
    before = the_list(evidence())
    assert the_list(evidence(ruled_out)) == []
    assert the_list(evidence()) == before != []


def test_after_warming_up_no_request_waits_for_the_compiler() -> None:
    """Columns mapped from disk are read-only, which Numba would take for another kind of array."""
    warm()
    compiled = [f for f in vars(kernel).values() if hasattr(f, "signatures")]
    before = [len(f.signatures) for f in compiled]
    mapped = Columns.of(
        Day.from_buffers({n: bytes(b) for n, b in day.to_buffers().items()})
        for day in columns(NIGHTS + MET).days
    )
    derive(evidence(), mapped, TracingRule())
    assert before
    assert [len(f.signatures) for f in compiled] == before

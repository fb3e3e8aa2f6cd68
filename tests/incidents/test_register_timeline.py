"""Incidents over time: nothing is placed finer than it is known; a stranger's figures know nothing of hidden dates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from makers import Maker

from kangma.errors import Refused
from kangma.incidents.form import from_json, to_json
from kangma.incidents.levels import seen_by
from kangma.incidents.record import Record
from kangma.store.register import Register, create
from kangma.store.register_finder import Query, Timeline

NOW = 1_700_000_000


def opened(path: Path, records: list[Record]) -> Register:
    register = create(
        path,
        title="Register",
        base="https://r.example",
        administrator="ann",
        organisation="Songyuli",
        now=NOW,
    )
    register.found(register.member("ann"), records, now=NOW)
    return register


def record(id: str, date: str, degree: str = "none", **more: Any) -> Record:
    return from_json(
        {
            "id": id, "date": date, "victim": {"name": "x"}, "summary": {"zh": "x", "en": "x"},
            "sources": [{"title": "x"}], "availability": {"degree": degree}, **more,
        }
    )  # fmt: skip


@pytest.fixture
def some(tmp_path: Path) -> Iterator[Register]:
    made = [
        record("a", "2022-04-28", "attempted"), record("b", "2022-04", "whole"), record("c", "2022", "whole"),
        record("d", "2021-12-31/2022-01-01", "whole"), record("e", "2020-02-29", "partial"),
        record("f", "2020-03", "partial", levels={"date": "member"}),
    ]  # fmt: skip
    with opened(tmp_path / "r", made) as register:
        yield register


def told(found: Timeline) -> dict[tuple[int, int], dict[str, int]]:
    return {
        step: {v: int(n) for v, n in zip(found.values, row, strict=True) if n}
        for step, row in zip(found.steps, found.counts, strict=True)
    }


def test_a_year_is_not_a_month_and_a_turn_of_the_year_is_neither(some: Register) -> None:
    by_year = some.timeline(Query(), None, "availability", by_month=False, now=NOW)
    assert told(by_year) == {
        (2020, 0): {"partial": 1}, (2021, 0): {}, (2022, 0): {"attempted": 1, "whole": 2},
    }  # fmt: skip
    assert (by_year.coarse, by_year.undated) == (1, 1)
    by_month = some.timeline(Query(), None, "availability", by_month=True, now=NOW)
    assert {s: c for s, c in told(by_month).items() if c} == {
        (2020, 2): {"partial": 1}, (2022, 4): {"attempted": 1, "whole": 1},
    }  # fmt: skip
    assert len(by_month.steps) == 27  # February 2020 to April 2022, without gaps
    assert (by_month.coarse, by_month.undated) == (2, 1)


def test_a_hidden_date_is_a_date_for_members_only(some: Register) -> None:
    seen = some.timeline(Query(), some.member("ann"), "availability", by_month=True, now=NOW)
    assert seen.undated == 0
    assert told(seen)[2020, 3] == {"partial": 1}
    assert some.looks(some.member("ann"))[0]["records"] == 4


def test_filters_count_and_facets_that_are_none_are_refused(some: Register) -> None:
    found = some.timeline(
        Query(chosen={"availability": ("whole",)}), None, "availability", by_month=False, now=NOW
    )
    assert told(found) == {(2022, 0): {"whole": 2}}
    nothing = some.timeline(Query(words="nothing"), None, "kind", by_month=False, now=NOW)
    assert (nothing.steps, nothing.values, nothing.coarse, nothing.undated) == ((), (), 0, 0)
    with pytest.raises(Refused):
        some.timeline(Query(), None, "colour", by_month=False, now=NOW)


def test_the_figures_are_those_of_counting_one_by_one(tmp_path: Path) -> None:
    maker = Maker(7)
    records = []
    for _ in range(150):
        value = to_json(maker.record())
        value |= {"victim": {"name": "x"}, "sources": [{"title": "x"}], "summary": {"zh": "x", "en": "x"}}
        value["date"] = value.get("date", maker.date())
        records.append(from_json(value))
    with opened(tmp_path / "r", records) as register:
        for member in (False, True):
            for by_month in (False, True):
                for facet in ("kind", "availability"):
                    viewer = register.member("ann") if member else None
                    found = register.timeline(Query(), viewer, facet, by_month=by_month, now=NOW)
                    counted = one_by_one(records, facet, member=member, by_month=by_month)
                    assert (
                        {s: c for s, c in told(found).items() if c},
                        found.coarse,
                        found.undated,
                    ) == counted
                    assert int(found.totals.sum()) + found.coarse + found.undated == len(records)


def one_by_one(
    records: list[Record], facet: str, *, member: bool, by_month: bool
) -> tuple[dict[tuple[int, int], dict[str, int]], int, int]:
    expected: dict[tuple[int, int], Counter[str]] = {}
    coarse = undated = 0
    for made in records:
        seen = seen_by(made, member=member)
        date = seen.record.date
        if date is None:
            undated += 1
            continue
        ends = [(d.year, d.month if by_month else 0) for d in (date.first, date.last)]
        if ends[0] != ends[1]:
            coarse += 1
            continue
        kinds = [k.value for k in seen.record.kinds]
        degree = [] if "availability" in seen.hidden else [seen.record.availability.degree.value]
        expected.setdefault(ends[0], Counter()).update(kinds if facet == "kind" else degree)
    return {s: dict(c) for s, c in expected.items() if c}, coarse, undated

"""One turn of the wheel, on a state directory."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from kangma.city import make_city
from kangma.errors import Refused
from kangma.policy.document import checked
from kangma.policy.published import read
from kangma.publish.answers import code_of, simulate_draft, trace_of
from kangma.publish.cycle import cycle, cycle_if_due
from kangma.publish.release import read_table, stage
from kangma.store.receive import receive, sandbox_for
from kangma.store.releases import last_release
from kangma.store.sandbox import Sandbox
from kangma.store.state import State, create
from kangma.terms import DAY, HOUR, moment

POLICY = [t.encode() for t in read("beijing-2022-04-22")]
NURSE, TEACHER, CASE = ("20", "KXNURSE01"), ("20", "KXTEACH01"), ("20", "KXCASE001")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with create(tmp_path / "state", policy=POLICY) as made:
        yield made


@pytest.fixture
def sandbox(state: State) -> Iterator[Sandbox]:
    with sandbox_for(state) as made:
        yield made


def tell(
    state: State, sandbox: Sandbox, tmp_path: Path, kind: str, *rows: dict[str, object], feed: str = "clinic"
) -> None:
    """One table of these rows, taken in whole."""
    tell.count = getattr(tell, "count", 0) + 1  # type: ignore[attr-defined]
    path = tmp_path / f"{kind}-{tell.count}.csv"  # type: ignore[attr-defined]
    with path.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    got = receive(state, path, feed="clinic", sandbox=sandbox)
    assert got.accepted == len(rows), got.as_json()


def who(person: tuple[str, str]) -> dict[str, object]:
    return {"id_type": person[0], "id_number": person[1]}


def at(text: str) -> int:
    return moment(f"2022-{text}+08:00")


def met(state: State, sandbox: Sandbox, tmp_path: Path) -> None:
    """The teacher sat with the case in a canteen on 24 April; the nurse came when the case had left."""
    born = {"name": "Invented", "birth_date": "1990-01-01", "district": "朝阳区"}
    tell(state, sandbox, tmp_path, "people", *({**who(p), **born} for p in (CASE, TEACHER, NURSE)))
    place = {"name": "Canteen", "kind": "venue", "lat": 39.9, "lon": 116.4, "district": "朝阳区"}
    tell(state, sandbox, tmp_path, "places", {"place_id": "V1", **place})
    visits = [(CASE, "12:00", "13:00"), (TEACHER, "12:30", "13:30"), (NURSE, "13:00", "14:00")]
    rows = [
        {
            **who(person),
            "place_id": "V1",
            "entered_at": f"2022-04-24T{entered}:00+08:00",
            "left_at": f"2022-04-24T{left}:00+08:00",
            "source": "scan",
        }
        for person, entered, left in visits
    ]
    tell(state, sandbox, tmp_path, "visits", *rows)


CASE_ROW = {
    **who(CASE),
    "document_id": "c1",
    "case_id": "C1",
    "kind": "confirmed",
    "confirmed_at": "2022-04-25T18:00:00+08:00",
    "onset_at": "2022-04-25T08:00:00+08:00",
}


def test_a_confirmed_case_turns_who_sat_at_the_same_table_and_nobody_else(
    state: State, sandbox: Sandbox, tmp_path: Path
) -> None:
    met(state, sandbox, tmp_path)
    assert cycle(state, now=at("04-25T12:00:00")).turns.num_rows == 0
    tell(state, sandbox, tmp_path, "cases", CASE_ROW)
    done = cycle(state, now=at("04-25T18:05:00"))
    assert done.turns.num_rows == 2  # the case and the teacher
    assert done.judged == 2
    teacher = code_of(state, *TEACHER, now=at("04-25T18:06:00"))
    assert [(n["code"], n["kind"], n["rule"]) for n in teacher["notices"]] == [("3", "popup", "A-P3")]
    assert teacher["holds"][0]["until"] == "2022-05-09T00:00:00+08:00"
    assert code_of(state, *NURSE, now=at("04-25T18:06:00"))["colour"] == "green"
    assert code_of(state, *CASE, now=at("04-25T18:06:00"))["colour"] == "red"
    traced = trace_of(state, "C1", now=at("04-25T18:06:00"))
    assert traced is not None
    assert [(r["minutes"], r["meetings"], r["places"]) for r in traced.as_json()["exposures"]] == [
        (30.0, 1, ["V1"])
    ]


def test_a_case_that_is_taken_back_exposes_nobody(state: State, sandbox: Sandbox, tmp_path: Path) -> None:
    met(state, sandbox, tmp_path)
    before = cycle(state, now=at("04-25T12:00:00"))
    tell(state, sandbox, tmp_path, "cases", CASE_ROW)
    cycle(state, now=at("04-25T18:05:00"))
    back = {"document_id": "c1", "reason": "a mix-up of samples", "by": "cdc"}
    tell(state, sandbox, tmp_path, "retractions", back)
    after = cycle(state, now=at("04-25T19:00:00"))
    assert after.turns.num_rows == 2
    assert after.release.verdict_digest == before.release.verdict_digest


def test_a_visit_that_is_moved_to_another_day_exposes_nobody_on_the_day_it_was_taken_from(
    state: State, sandbox: Sandbox, tmp_path: Path
) -> None:
    def visit(person: tuple[str, str], document: str, version: int, day: int) -> dict[str, object]:
        return {
            **who(person),
            "document_id": document,
            "document_version": version,
            "place_id": "V2",
            "entered_at": f"2022-04-{day}T12:00:00+08:00",
            "left_at": f"2022-04-{day}T13:00:00+08:00",
            "source": "scan",
        }

    def exposed() -> set[int]:
        return set(read_table(state, last_release(state.registry), "exposures")["person"].to_pylist())

    visits = (visit(CASE, "v1", 1, 24), visit(NURSE, "v2", 1, 24), visit(TEACHER, "v3", 1, 22))
    tell(state, sandbox, tmp_path, "visits", *visits)
    tell(state, sandbox, tmp_path, "cases", CASE_ROW | {"infectious_from": "2022-04-20T00:00:00+08:00"})
    cycle(state, now=at("04-25T18:05:00"))
    nurse, teacher = (state.person_number(state.keyer().key(*p)) for p in (NURSE, TEACHER))
    assert exposed() == {nurse}
    tell(state, sandbox, tmp_path, "visits", visit(CASE, "v1", 2, 22))
    cycle(state, now=at("04-25T18:06:00"))
    assert exposed() == {teacher}


def test_midnight_turns_who_is_due_and_judges_nobody_else(
    state: State, sandbox: Sandbox, tmp_path: Path
) -> None:
    met(state, sandbox, tmp_path)
    tell(state, sandbox, tmp_path, "cases", CASE_ROW)
    cycle(state, now=at("04-25T18:05:00"))
    cycle(state, now=at("05-04T00:00:00"))  # the amendment takes effect: everybody is judged
    quiet = cycle(state, now=at("05-08T23:59:59"))
    assert (quiet.judged, quiet.turns.num_rows) == (0, 0)
    due = cycle(state, now=at("05-09T00:00:00"))
    assert (due.judged, due.turns.num_rows) == (1, 1)


def test_a_release_stands_for_a_minute_when_nothing_happens_and_not_a_moment_when_something_does(
    state: State, sandbox: Sandbox, tmp_path: Path
) -> None:
    def due(time: str) -> int | None:
        """The number of the release that this time brings."""
        done = cycle_if_due(state, now=at(time), signer=None, stands=60)
        return done and done.release.number

    met(state, sandbox, tmp_path)
    assert due("04-25T18:05:00") == 1  # documents came
    assert due("04-25T18:05:59") is None
    assert due("04-25T18:06:00") == 2  # a minute is over: a sign of life
    tell(state, sandbox, tmp_path, "cases", CASE_ROW)
    assert due("04-25T18:06:01") == 3  # a case
    back = {"document_id": "c1", "reason": "a mix-up of samples", "by": "cdc"}
    tell(state, sandbox, tmp_path, "retractions", back)
    assert due("04-25T18:06:02") == 4
    tell(state, sandbox, tmp_path, "cases", CASE_ROW | {"document_id": "c2"})
    assert due("05-03T23:59:30") == 5
    assert due("05-03T23:59:59") is None
    assert due("05-04T00:00:00") == 6  # another policy is in force
    assert due("05-08T23:59:59") == 7
    assert due("05-09T00:00:00") == 8  # the teacher's moment


def test_a_stranger_is_not_verified_in_the_same_form(state: State) -> None:
    cycle(state, now=at("04-25T12:00:00"))
    answer = code_of(state, "20", "KXNOBODY1", now=at("04-25T12:00:00"))
    assert answer["colour"] == "unknown"
    assert answer["holds"] == answer["notices"] == []


def test_nothing_rolls_back(state: State) -> None:
    cycle(state, now=at("04-25T12:00:00"))
    with pytest.raises(Refused, match="rolls back"):
        cycle(state, now=at("04-25T11:59:59"))


def test_a_release_that_was_staged_and_not_recorded_never_was(
    state: State, sandbox: Sandbox, tmp_path: Path
) -> None:
    cycle(state, now=at("04-25T12:00:00"))
    last = last_release(state.registry)
    assert last is not None
    stage(state, last.number + 1, {"out": read_table(state, last, "out").slice(0, 0)})  # what a crash leaves
    met(state, sandbox, tmp_path)
    tell(state, sandbox, tmp_path, "cases", CASE_ROW)
    assert cycle(state, now=at("04-25T18:05:00")).release.number == last.number + 1


def test_a_draft_is_tried_on_everybody_and_nothing_is_written(
    state: State, sandbox: Sandbox, tmp_path: Path
) -> None:
    met(state, sandbox, tmp_path)
    tell(state, sandbox, tmp_path, "cases", CASE_ROW)
    cycle(state, now=at("04-25T18:05:00"))
    before = sorted((p, p.stat().st_size) for p in (tmp_path / "state").rglob("*") if p.is_file())
    draft = checked(read("protocol-9-2022-06-28"))[-1]
    found = simulate_draft(state, draft, now=at("04-25T18:06:00"))
    assert found["people"] == 3
    assert found["turns"] == 1  # popup 3 becomes another notice; red stays red
    after = sorted((p, p.stat().st_size) for p in (tmp_path / "state").rglob("*") if p.is_file())
    assert after == before


def test_a_city_judged_in_parts_is_the_city_judged_whole(tmp_path: Path) -> None:
    """Evidence comes in piece by piece, the clock goes on, and only who is touched is judged; beside it, everybody."""
    city = make_city(400, 5, 11)
    judged: list[int | None] = []
    with (
        create(tmp_path / "parts", policy=POLICY) as parts,
        create(tmp_path / "whole", policy=POLICY) as whole,
    ):
        (tmp_path / "whole" / "keys" / "person.key").write_bytes(
            (tmp_path / "parts" / "keys" / "person.key").read_bytes()
        )
        with sandbox_for(parts) as sandbox:
            for day in range(5):
                evening = city.zero + (day + 1) * DAY
                for hour, (kind, table) in enumerate(sorted(city.arrivals(day).items())):
                    path = tmp_path / f"{kind}-{day}.parquet"
                    pq.write_table(table, path)
                    for state in (parts, whole):
                        assert receive(state, path, feed="city", sandbox=sandbox).refused == 0
                    if day in (2, 4) and kind in ("cases", "contacts", "tests", "visits", "purchases"):
                        done = cycle(parts, now=evening - 20 * HOUR + hour * HOUR)
                        judged.append(done.judged)
                        beside = cycle(whole, now=evening - 20 * HOUR + hour * HOUR, everybody=True)
                        assert done.release.verdict_digest == beside.release.verdict_digest, (day, kind)
                        assert done.by_rule == beside.by_rule
                done = cycle(parts, now=evening)
                judged.append(done.judged)
                beside = cycle(whole, now=evening, everybody=True)
                assert done.release.verdict_digest == beside.release.verdict_digest, day
    assert any(n is not None and n > 0 for n in judged), "nothing was judged in parts"

"""What has a receipt is evidence, once, whatever the order and the cuts in which it came."""

from __future__ import annotations

import inspect
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up import NOON, evidence, person, result, rows, visit

from kangma.errors import Conflict, Corrupt, Refused
from kangma.intake.kinds import KINDS, Type
from kangma.store.columns import drop_columns, keep_columns, read_columns, write_columns
from kangma.store.contract import HoldsEvidence, KeepsIdentities, TakesIn
from kangma.store.state import State, create, open_state
from kangma.terms import DAY


def test_a_result_that_was_accepted_is_evidence_after_the_next_absorb(state: State) -> None:
    receipt = state.inbox.accept("lab7", "tests", [rows("tests", result(1, "s1"))])
    assert receipt.tallies["tests"].accepted == 1
    assert evidence(state, "tests") == []  # durable, not yet visible
    absorbed = state.absorb()
    assert (absorbed.rows, absorbed.new_persons) == ({"tests": 1}, 1)
    with duckdb.connect() as con:
        state.raw(con)
        found = con.sql("SELECT feed, specimen_id, k.key FROM raw_tests JOIN person_keys k USING (person)")
        assert found.fetchall() == [("lab7", "s1", person(1))]


def test_the_same_file_sent_twice_changes_nothing_before_and_after_the_absorb(state: State) -> None:
    batch = rows("visits", visit(1, "shop"), visit(2, "shop"), visit(2, "shop", document_id="d1"))
    first = state.inbox.accept("shops", "visits", [batch])
    second = state.inbox.accept("shops", "visits", [batch])
    state.absorb()
    third = state.inbox.accept("shops", "visits", [batch, rows("visits", visit(3, "shop"))])
    counts = [(r.tallies["visits"].accepted, r.tallies["visits"].duplicate) for r in (first, second, third)]
    assert counts == [(3, 0), (0, 3), (1, 3)]
    state.absorb()
    assert len(evidence(state, "visits")) == 4


def test_four_senders_of_the_same_rows_at_once_leave_one_set(state: State) -> None:
    batch = rows("visits", *[visit(i, "shop") for i in range(50)])
    with ThreadPoolExecutor(4) as pool:
        receipts = list(pool.map(lambda _: state.inbox.accept("f", "visits", [batch]), range(4)))
    assert sum(x.tallies["visits"].accepted for x in receipts) == 50
    assert sum(x.tallies["visits"].duplicate for x in receipts) == 150
    assert len({x.number for x in receipts}) == 4


def test_opening_a_state_leaves_a_living_programs_work_alone_and_sweeps_a_dead_ones(state: State) -> None:
    with state.inbox.stage("f") as living:
        living.add("tests", rows("tests", result(1, "s1")))
        dead = state.path / "spool" / "dead"
        dead.mkdir()
        (dead / "owner").write_text("")
        (dead / "tests.parquet").write_text("half a file")
        (state.path / "inbox" / "tests-orphan.parquet").write_text("half a file")
        open_state(state.path).close()
        assert not dead.exists()
        assert not list((state.path / "inbox").iterdir())
        assert living.commit().tallies["tests"].accepted == 1
    assert not list((state.path / "spool").iterdir())


def test_a_file_that_was_not_committed_leaves_nothing(state: State) -> None:
    with state.inbox.stage("f") as staging:
        staging.add("tests", rows("tests", result(1, "s1")))
    assert not list((state.path / "spool").iterdir())
    assert state.absorb().batches == 0


def test_a_row_twice_in_one_file_is_kept_once_and_counted_as_a_duplicate(state: State) -> None:
    batch = rows("tests", result(1, "s1"), result(1, "s1"), result(1, "s1", pool_id="p"), result(1, "s1"))
    receipt = state.inbox.accept("lab7", "tests", [batch])
    assert (receipt.tallies["tests"].accepted, receipt.tallies["tests"].duplicate) == (2, 2)
    state.absorb()
    assert len(evidence(state, "tests")) == 2


def test_the_same_row_from_another_feed_is_another_piece_of_evidence(state: State) -> None:
    batch = rows("tests", result(1, "s1"))
    for feed in ("lab7", "lab8"):
        assert state.inbox.accept(feed, "tests", [batch]).tallies["tests"].accepted == 1
    state.absorb()
    assert len(evidence(state, "tests")) == 2


def test_absorbing_when_nothing_waits_does_nothing(state: State) -> None:
    state.inbox.accept("lab7", "tests", [rows("tests", result(1, "s1"))])
    first, second = state.absorb(), state.absorb()
    assert second.generation == first.generation
    assert second.batches == 0


def test_every_kind_has_a_view_even_without_rows(state: State) -> None:
    with duckdb.connect() as con:
        state.raw(con)
        for kind in KINDS:
            assert con.sql(f"SELECT * FROM raw_{kind}").fetchall() == []
        columns = con.sql("SELECT * FROM raw_visits").columns
    assert columns == [
        "feed",
        "document_id",
        "document_version",
        "person",
        "place",
        "entered_at",
        "left_at",
        "source",
    ]


def test_a_visit_finds_the_name_of_its_place_by_number(state: State) -> None:
    place = {
        "place_id": "shop",
        "name": "菜市场",
        "kind": "venue",
        "lat": 39.9,
        "lon": 116.4,
        "district": "朝阳区",
    }
    state.inbox.accept("shops", "visits", [rows("visits", visit(1, "shop"), visit(1, "nowhere"))])
    state.inbox.accept("shops", "places", [rows("places", place)])
    state.absorb()
    with duckdb.connect() as con:
        state.raw(con)
        found = con.sql("SELECT p.name FROM raw_visits v JOIN raw_places p USING (place)").fetchall()
    assert found == [("菜市场",)]


def test_a_person_named_only_as_a_guardian_has_a_number_too(state: State) -> None:
    child = {"person": person(1), "birth_date": 18000, "guardian": person(9)}
    alone = {"person": person(2), "birth_date": 3000}
    state.inbox.accept("registry", "people", [rows("people", child, alone)])
    assert state.absorb().new_persons == 3
    assert (
        state.inbox.accept("registry", "people", [rows("people", alone, child)]).tallies["people"].duplicate
        == 2
    )


def test_visits_lie_in_one_folder_a_day_sorted_by_place_and_time(state: State) -> None:
    many = [visit(p, f"place{(p * 7) % 5}", NOON + (p * 7919) % DAY) for p in range(200)]
    state.inbox.accept("shops", "visits", [rows("visits", *many)])
    state.absorb()
    days = {s.day for s in state.live_segments(["visits"])}
    assert days == {(NOON // DAY), (NOON // DAY) + 1}
    assert sorted(days) == state.visit_days()
    for s in state.live_segments(["visits"]):
        with duckdb.connect() as con:
            found = con.sql(f"SELECT place, entered_at FROM read_parquet('{s.path}')").fetchall()
        assert found == sorted(found)
        assert {at // DAY for _, at in found} == {s.day}


def test_a_feed_that_spreads_its_visits_over_a_thousand_days_makes_few_files(state: State) -> None:
    state.inbox.accept(
        "odd", "visits", [rows("visits", *[visit(1, "x", NOON + d * DAY) for d in range(300)])]
    )
    state.absorb()
    assert len(state.live_segments(["visits"])) <= 65
    assert len(evidence(state, "visits")) == 300
    assert len(state.visit_days()) == 300


def test_many_small_batches_do_not_leave_many_files_nor_rewrite_the_big_one(state: State) -> None:
    state.inbox.accept("shops", "visits", [rows("visits", *[visit(p, f"pl{p}") for p in range(5_000)])])
    state.absorb()
    (big,) = state.live_segments(["visits"])
    for p in range(20):
        state.inbox.accept("shops", "visits", [rows("visits", visit(p, "late"))])
        state.absorb()
    left = state.live_segments(["visits"])
    assert len(left) <= 9
    assert big.segment in {s.segment for s in left}
    assert sum(s.rows for s in left) == 5_020
    assert len(evidence(state, "visits")) == 5_020


_ROW = st.tuples(st.integers(0, 3), st.sampled_from("ab"), st.integers(0, 1), st.sampled_from([None, "d1"]))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(_ROW, max_size=4), max_size=4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_evidence_is_the_set_of_rows_whatever_the_cuts_and_absorbs(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[list[tuple[int, str, int, str | None]]],
    when: list[bool],
) -> None:
    with create(tmp_path_factory.mktemp("s") / "state") as state:
        accepted = duplicate = 0
        for file, absorb in zip(files, when, strict=False):
            given_rows = [visit(p, place, NOON + d * DAY, document_id=doc) for p, place, d, doc in file]
            tally = state.inbox.accept("f", "visits", [rows("visits", *given_rows)]).tallies.get("visits")
            if tally:
                accepted, duplicate = accepted + tally.accepted, duplicate + tally.duplicate
            if absorb:
                state.absorb()
        state.absorb()
        wanted = {("f", doc, 0, person(p), place, NOON + d * DAY) for f in files for p, place, d, doc in f}
        assert {row[:6] for row in evidence(state, "visits")} == wanted
        assert accepted == len(wanted)
        assert accepted + duplicate == sum(map(len, files))


def test_a_state_directory_opens_again_with_all_that_it_held(tmp_path: Path) -> None:
    with create(tmp_path / "state") as state:
        state.inbox.accept("lab7", "tests", [rows("tests", result(1, "s1"))])
        state.absorb()
        state.inbox.accept("lab7", "tests", [rows("tests", result(2, "s2"))])
    with open_state(tmp_path / "state") as state:
        assert state.absorb().rows == {"tests": 1}
        assert len(evidence(state, "tests")) == 2
        assert state.person_number(person(2)) is not None
        assert state.person_number(person(3)) is None


def test_the_state_directory_is_what_the_contract_promises(state: State) -> None:
    # The types say it; mypy reads this file's package too when asked. Here: nothing of the contract is absent.
    for promise, kept in ((TakesIn, state.inbox), (HoldsEvidence, state), (KeepsIdentities, state.vault)):
        named = [n for n in vars(promise) if not n.startswith("_")]
        assert named
        for name in named:
            wanted = inspect.signature(getattr(promise, name)).parameters
            got = inspect.signature(getattr(type(kept), name)).parameters
            assert list(wanted) == list(got)[: len(wanted)], name


def test_a_folder_with_something_in_it_does_not_become_a_state(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "thesis.txt").write_text("mine")
    with pytest.raises(Conflict):
        create(tmp_path / "state")
    with pytest.raises(Refused):
        open_state(tmp_path / "state")


def test_an_accepted_batch_that_is_gone_stops_the_absorb(state: State) -> None:
    state.inbox.accept("lab7", "tests", [rows("tests", result(1, "s1"))])
    for file in (state.path / "inbox").iterdir():
        file.unlink()
    with pytest.raises(Corrupt):
        state.absorb()


def test_derived_columns_are_seen_whole_until_they_are_no_longer_wanted(state: State) -> None:
    assert read_columns(state, "19107-a") is None
    write_columns(state, "19107-a", {"person.u4": b"1234"})
    write_columns(state, "19107-a", {"person.u4": memoryview(b"5678"), "left.i4": b""})
    write_columns(state, "19108-a", {"person.u4": b"1234"})
    found = read_columns(state, "19107-a")
    assert found is not None
    assert {name: bytes(content) for name, content in found.items()} == {"person.u4": b"5678", "left.i4": b""}
    keep_columns(state, ["19107-a"])
    assert read_columns(state, "19108-a") is None
    drop_columns(state, "19107-a")
    assert read_columns(state, "19107-a") is None


_SAMPLES = {
    Type.TEXT: "text",
    Type.TIME: NOON,
    Type.DATE: 19_000,
    Type.INT: 1,
    Type.REAL: 1.5,
    Type.BOOL: True,
    Type.PERSON: person(1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_as_it_came_in_and_only_once(state: State, kind: str) -> None:
    full = {c.name: _SAMPLES[c.type] for c in KINDS[kind].stored}
    bare = {c.name: _SAMPLES[c.type] for c in KINDS[kind].stored if c.required}
    batch = rows(kind, {**full, "document_id": "d1", "document_version": 2}, bare)
    assert state.inbox.accept("f", kind, [batch]).tallies[kind].accepted == 2
    assert state.inbox.accept("f", kind, [batch]).tallies[kind].duplicate == 2
    state.absorb()
    assert state.inbox.accept("f", kind, [batch]).tallies[kind].duplicate == 2
    with duckdb.connect() as con:
        state.raw(con)
        found = (
            con.sql(f"SELECT * FROM raw_{kind} ORDER BY document_version DESC").to_arrow_table().to_pylist()
        )
    numbers = {c.name: 0 if c.type is Type.PERSON else _SAMPLES[c.type] for c in KINDS[kind].stored}
    for row, given_row, version in ((found[0], full, 2), (found[1], bare, 0)):
        assert (row["feed"], row["document_version"]) == ("f", version)
        for name in set(numbers) - ({"place_id"} if kind == "visits" else set()):
            assert row[name] == (numbers[name] if name in given_row else None)


def test_a_day_of_which_little_is_left_does_not_make_a_city_look_empty(state: State) -> None:
    """DuckDB plans for as many rows a file as the first has. A city judged itself three times as long after every
    midnight, since the oldest day was nearly gone."""
    for day, people in ((0, 2), (1, 3_000), (2, 5_000)):
        there = [visit(i, "shop", NOON + day * DAY) for i in range(people)]
        state.inbox.accept("f", "visits", [rows("visits", *there)])
    state.absorb()
    with duckdb.connect() as con:
        state.raw(con)
        con.execute("SET explain_output = 'optimized_only'")
        said = con.execute("EXPLAIN (FORMAT json) SELECT person FROM raw_visits").fetchall()[0][1]
        assert con.execute("SELECT count(*) FROM raw_visits").fetchall() == [(8_002,)]
    expected = [int(n) for n in re.findall(r'"Estimated Cardinality": "(\d+)"', said)]
    assert expected, said
    assert all(4_000 <= n <= 16_000 for n in expected), said

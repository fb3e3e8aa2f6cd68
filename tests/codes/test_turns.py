"""Only changes are published, and midnight is scheduled."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kangma.codes.turns import OUT, Digest, by_state, due, nobody, turn
from kangma.terms import State


def out(*rows: tuple[int, int, int, int, int | None]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(OUT.names, row, strict=True)) for row in rows], schema=OUT)


def persons(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.uint32)


def test_a_person_who_becomes_yellow_turns_once() -> None:
    first = turn(nobody(), out((7, State.YELLOW, 0, 0, 100)), None)
    assert first.turns.to_pylist() == [
        {
            "person": 7,
            "from_state": State.GREEN,
            "to_state": State.YELLOW,
            "from_popups": 0,
            "to_popups": 0,
            "from_reminds": 0,
            "to_reminds": 0,
        }
    ]
    again = turn(first.out, out((7, State.YELLOW, 0, 0, 100)), None)
    assert again.turns.num_rows == 0


def test_a_new_expected_end_alone_is_no_turn_but_is_remembered() -> None:
    before = out((7, State.RED, 0, 0, 100))
    after = turn(before, out((7, State.RED, 0, 0, 200)), persons(7))
    assert after.turns.num_rows == 0
    assert due(after.out, 150).size == 0
    assert due(after.out, 200).tolist() == [7]


def test_who_was_not_judged_keeps_the_code() -> None:
    before = out((1, State.RED, 0, 0, None), (2, State.YELLOW, 0, 0, None))
    after = turn(before, nobody(), persons(2))
    assert after.out.to_pylist() == before.slice(0, 1).to_pylist()
    assert after.turns["person"].to_pylist() == [2]
    assert after.turns["to_state"].to_pylist() == [State.GREEN]


def test_a_verdict_about_somebody_who_was_not_judged_is_refused() -> None:
    with pytest.raises(ValueError, match="not judged"):
        turn(nobody(), out((3, State.RED, 0, 0, None)), persons(4))


def test_a_popup_on_a_green_code_is_a_turn() -> None:
    after = turn(nobody(), out((9, State.POPUP, 0b1000, 0, 50)), None)
    assert after.turns["to_popups"].to_pylist() == [0b1000]


def test_counts_by_state_include_the_plainly_green() -> None:
    counts = by_state(out((1, State.RED, 0, 0, None), (2, State.GREEN, 0, 0, 5)), persons=10)
    assert counts[State.RED] == 1
    assert counts[State.GREEN] == 9
    assert sum(counts.values()) == 10


rows = st.dictionaries(
    st.integers(0, 30),
    st.tuples(
        st.sampled_from([0, 1, 2, 3, 4, 15]),
        st.integers(0, 3),
        st.integers(0, 3),
        st.none() | st.integers(0, 9),
    ),
    max_size=12,
).map(lambda d: out(*[(p, *v) for p, v in d.items()]))


@given(rows, rows)
def test_applying_the_turns_to_what_is_out_gives_what_should_be(before: pa.Table, should: pa.Table) -> None:
    after = turn(before, should, None)
    shown = {r["person"]: (r["state"], r["popups"], r["reminds"]) for r in before.to_pylist()}
    for r in after.turns.to_pylist():
        assert shown.get(r["person"], (0, 0, 0)) == (r["from_state"], r["from_popups"], r["from_reminds"])
        shown[r["person"]] = (r["to_state"], r["to_popups"], r["to_reminds"])
    expected = {r["person"]: (r["state"], r["popups"], r["reminds"]) for r in should.to_pylist()}
    plain = (0, 0, 0)
    assert {p: s for p, s in shown.items() if s != plain} == {p: s for p, s in expected.items() if s != plain}


@given(rows, rows, st.sets(st.integers(0, 30)))
def test_judging_in_parts_gives_what_judging_at_once_gives(
    before: pa.Table, should: pa.Table, some: set[int]
) -> None:
    wanted = np.array(sorted(some), dtype=np.uint32)
    rest = np.array([p for p in range(31) if p not in some], dtype=np.uint32)
    inside = np.isin(should["person"].to_numpy(), wanted)
    first = turn(before, should.filter(pa.array(inside)), wanted)
    second = turn(first.out, should.filter(pa.array(~inside)), rest)
    assert second.out.equals(turn(before, should, None).out)


@given(rows, st.permutations(range(31)))
def test_the_digest_goes_by_key_and_not_by_number(table: pa.Table, numbers: list[int]) -> None:
    # Person n has key n here, and key numbers[n] there.
    moved = pa.array([numbers[p] for p in table["person"].to_pylist()], pa.uint32())
    renumbered = pa.table([moved, *table.columns[1:]], schema=OUT)
    keys = np.array([list(bytes([p % 3]) + p.to_bytes(15, "big")) for p in range(31)], np.uint8)
    there = np.empty_like(keys)
    there[list(numbers)] = keys
    assert Digest.of(table, keys).hex() == Digest.of(renumbered.sort_by("person"), there).hex()


@given(rows, rows, st.sets(st.integers(0, 30)))
def test_a_digest_of_what_changed_is_the_digest_of_everybody(
    before: pa.Table, should: pa.Table, some: set[int]
) -> None:
    keys = np.array([list(bytes([p % 3]) + p.to_bytes(15, "big")) for p in range(31)], np.uint8)
    wanted = np.array(sorted(some), dtype=np.uint32)
    inside = pa.array(np.isin(should["person"].to_numpy(), wanted))
    first = turn(nobody(), before, None).out
    after = turn(first, should.filter(inside), wanted).out
    assert Digest.of(first, keys).then(after, keys, wanted).hex() == Digest.of(after, keys).hex()
    assert (Digest.of(first, keys).hex() == Digest.of(after, keys).hex()) == first.equals(after)

"""Document numbers become keys, and nobody sees a number again."""

from __future__ import annotations

import pickle
import traceback

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from intake_rows import KEYER, resident

from kangma.errors import Code, Corrupt, Refused
from kangma.intake.identity import Keyer, Roster, check_character, normalised, resident_digits


def refusal(id_type: str, number: str) -> Code:
    with pytest.raises(Refused) as caught:
        normalised(id_type, number)
    return caught.value.code


def test_the_example_number_of_the_standard_is_right_and_its_neighbours_are_not() -> None:
    # GB 11643-1999, appendix: 11010519491231002X and 440524188001010014 are printed there as examples.
    for number in ("11010519491231002X", "440524188001010014"):
        assert normalised("10", number) == ("10", number)
        for wrong in set("0123456789X") - {number[-1]}:
            assert refusal("10", number[:-1] + wrong) is Code.BAD_ID_NUMBER


def test_one_person_has_one_key_however_the_number_is_typed() -> None:
    number = "11010519491231002X"
    key = KEYER.key("10", number)
    assert len(key) == 16
    wide = "".join(chr(ord(c) + 0xFEE0) for c in number)
    for typed in (number.lower(), f" {number} ", "110105 19491231 002X", wide, wide.lower(), "　" + number):
        assert KEYER.key("10", typed) == key
    assert KEYER.key("１０", number) == key
    assert KEYER.key("20", "e1234567") == KEYER.key("20", "E 1234567") != key


def test_type_and_number_and_key_file_all_matter() -> None:
    keys = {KEYER.key("20", "E1234567"), KEYER.key("14", "E1234567"), KEYER.key("20", "E1234568")}
    assert len(keys | {Keyer(b"another key of 32 bytes for test").key("20", "E1234567")}) == 4


@pytest.mark.parametrize(
    ("id_type", "number", "code"),
    [
        ("11", "1", Code.BAD_ID_TYPE),
        ("", "1", Code.BAD_ID_TYPE),
        ("10", "1199991990010100", Code.BAD_ID_NUMBER),
        ("10", "", Code.BAD_ID_NUMBER),
        ("20", "E12", Code.BAD_ID_NUMBER),
        ("20", "E" * 21, Code.BAD_ID_NUMBER),
        ("20", "护照12345", Code.BAD_ID_NUMBER),
        ("99", "", Code.BAD_ID_NUMBER),
        ("99", "x" * 65, Code.BAD_ID_NUMBER),
        ("99", "a\x00b", Code.BAD_ID_NUMBER),
        ("99", "a\ud800", Code.BAD_ID_NUMBER),
    ],
)
def test_a_number_that_cannot_be_one_is_refused(id_type: str, number: str, code: Code) -> None:
    assert refusal(id_type, number) is code


@pytest.mark.parametrize("born", ["19900230", "19901301", "19900001", "19900100", "17000101", "19000229"])
def test_a_birth_date_that_never_was_is_refused_though_the_check_digit_fits(born: str) -> None:
    first = f"119999{born}001"
    assert refusal("10", first + check_character(first)) is Code.BAD_ID_NUMBER


def test_neither_a_key_nor_a_number_can_be_printed_or_sent_away() -> None:
    number = "119999199001010019"
    try:
        KEYER.key("10", number)
    except Refused as fault:
        shown = "".join(traceback.format_exception(fault)) + repr(fault)
        assert number[:17] not in shown
    else:
        pytest.fail("the check digit is wrong")
    assert "key for tests" not in repr(KEYER) + str(KEYER)
    with pytest.raises(TypeError):
        pickle.dumps(KEYER)
    roster = Roster(KEYER, 10).name(pa.array(["10"]), pa.array([resident(1)]))
    assert resident(1) not in repr(roster)


def test_a_damaged_key_file_is_our_fault() -> None:
    with pytest.raises(Corrupt):
        Keyer(b"short")


@given(st.lists(st.text("0123456789Xx", min_size=17, max_size=19) | st.integers(0, 99_999).map(resident)))
def test_the_vector_form_of_the_check_equals_the_plain_one(numbers: list[str]) -> None:
    digits, ok = resident_digits(pa.array(numbers, pa.string()))
    for number, value, good in zip(numbers, digits.tolist(), ok.tolist(), strict=True):
        try:
            plain = normalised("10", number)[1] == number.upper()
        except Refused:
            plain = False
        assert good == plain
        assert not good or value == int(number[:17])


@given(st.lists(st.sampled_from([("10", resident(i)) for i in range(9)] + [("20", f"E123456{i}") for i in range(5)])),
       st.integers(0, 4), st.integers(1, 5))  # fmt: skip
def test_a_roster_gives_the_keys_of_the_keyer_and_each_number_to_the_vault_once(
    pairs: list[tuple[str, str]], capacity: int, step: int
) -> None:
    roster = Roster(KEYER, capacity or 100)
    sealed: list[tuple[str, str]] = []
    for at in range(0, len(pairs), step):
        part = pairs[at : at + step]
        named = roster.name(pa.array([t for t, _ in part]), pa.array([n for _, n in part]))
        assert named.ok.all()
        assert [k.tobytes() for k in named.column] == [KEYER.key(*pair) for pair in part]
        types, numbers = named.documents()
        for person in roster.unsealed(named, np.ones(len(part), np.bool_)).tolist():
            sealed.append((types[person].as_py(), numbers[person].as_py()))
            assert KEYER.key(*sealed[-1]) == named.keys[person].tobytes()
    assert set(sealed) == set(pairs)
    if not capacity:
        assert len(sealed) == len(set(sealed))

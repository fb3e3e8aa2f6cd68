"""The rotating code of a door."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kangma.credential.venue_code import (
    Scan,
    check_digit,
    code_at,
    is_number,
    new_number,
    scan_of,
    text_of,
    token_of,
)  # fmt: skip
from kangma.errors import Code, Refused

FOLDER = Path(__file__).parents[1] / "vectors"
VECTORS: dict[str, Any] = json.loads((FOLDER / "venue" / "codes.json").read_text("utf-8"))


def test_a_door_shows_another_code_each_minute_and_a_phone_reads_it_back() -> None:
    number, key = new_number(), bytes(32)
    shown = [Scan(number, minute, code_at(key, minute)) for minute in range(27_000_000, 27_000_100)]
    assert len({scan.code for scan in shown}) > 95
    for scan in shown:
        assert scan_of(text_of("https://city.example", scan), "https://city.example") == scan


def test_codes_are_those_of_the_vectors() -> None:
    assert sum("from" in one for one in VECTORS["codes"]) == 6  # RFC 6238's own
    for one in VECTORS["codes"]:
        assert code_at(bytes.fromhex(one["key"]), one["minute"]) == one["code"]


def test_what_no_door_shows_is_refused() -> None:
    for one in VECTORS["refused"]:
        with pytest.raises(Refused) as problem:
            scan_of(one["text"], VECTORS["base"])
        assert (problem.value.code is Code.UNKNOWN_VENUE) is one.get("elsewhere", False), one["why"]


def test_the_vectors_are_those_that_the_script_makes(tmp_path: Path) -> None:
    sys.path.insert(0, str(FOLDER))
    import make_venue  # noqa: PLC0415  beside the vectors

    sys.path.remove(str(FOLDER))
    make_venue.main(tmp_path)
    assert (tmp_path / "codes.json").read_bytes() == (FOLDER / "venue" / "codes.json").read_bytes()


@given(st.integers(0, 9_999_999), st.integers(0, 7), st.integers(1, 9))
def test_one_wrong_digit_of_a_venue_is_always_noticed(n: int, at: int, more: int) -> None:
    digits = f"{n:07d}"
    number = digits + check_digit(digits)
    assert is_number(number)
    wrong = number[:at] + str((int(number[at]) + more) % 10) + number[at + 1 :]
    assert not is_number(wrong)


@given(st.text(max_size=400))
def test_no_text_breaks_a_reader(text: str) -> None:
    assert token_of(text) is None
    with pytest.raises(Refused):
        scan_of(text)

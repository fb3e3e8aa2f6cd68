"""CSV bytes are cut into records by a grammar that no byte can break, the fast way and the plain way alike."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest

from kangma.errors import Refused
from kangma.intake import records
from kangma.intake.limits import Limits
from kangma.intake.records import Fault, csv_pieces, line_pieces, torn_tail

SMALL = Limits(line_bytes=60, columns=6)


def cut(data: bytes, limits: Limits = SMALL, size: int = 1 << 20) -> Any:
    found = []
    try:
        for piece in csv_pieces(io.BytesIO(data), limits, size=size):
            for r in piece if isinstance(piece, list) else (piece.record(i) for i in range(len(piece))):
                cells = None if r.cells is None else [c.decode() for c in r.cells][: limits.columns + 1]
                found.append((r.line, cells, r.fault, r.last_cut))
    except Refused as fault:
        return fault.code
    return found


def good(data: bytes) -> list[list[str]]:
    return [cells for _, cells, _, _ in cut(data)]


def test_quotes_commas_and_line_breaks_within_a_cell_belong_to_it() -> None:
    assert good(b'a,"b, c"\n"d ""e""","f\r\ng"\r\nh,\n') == [["a", "b, c"], ['d "e"', "f\r\ng"], ["h", ""]]


def test_lines_are_physical_lines_and_empty_ones_are_skipped() -> None:
    assert [line for line, *_ in cut(b'a,b\r\n\r\n"1\n2\n3",x\n\nc,d\n')] == [1, 3, 7]


def test_a_quote_that_is_never_closed_spoils_its_own_line_only() -> None:
    assert cut(b'a,b\nc,"d\ne,f\ng,h\n') == [
        (1, ["a", "b"], None, False),
        (2, None, Fault.QUOTE, False),
        (3, ["e", "f"], None, False),
        (4, ["g", "h"], None, False),
    ]


def test_a_quote_in_the_middle_of_a_cell_is_a_quote() -> None:
    assert good(b'5" pipe,b\n') == [['5" pipe', "b"]]


def test_a_line_beyond_the_limit_is_skipped_and_its_neighbours_are_read() -> None:
    found = cut(b"a,b\n" + b"x" * 61 + b"\nc,d\n")
    assert found == [(1, ["a", "b"], None, False), (2, None, Fault.LONG, False), (3, ["c", "d"], None, False)]


def test_only_the_last_record_can_be_cut_and_only_without_a_line_break() -> None:
    assert [r[3] for r in cut(b"a,b\nc")] == [False, True]
    assert [r[3] for r in cut(b"a,b\nc\n")] == [False, False]
    assert cut("a,b\nc,é".encode()[:-1])[-1] == (2, None, Fault.CUT, True)


@pytest.mark.parametrize(("text", "torn"), [("", 0), ("a", 0), ("é", 0), ("中", 0), ("𝄞", 0)])
def test_a_whole_character_is_not_torn(text: str, torn: int) -> None:
    data = text.encode()
    assert torn_tail(data) == torn
    for end in range(1, len(data)):
        assert torn_tail(data[:end]) == end


PIECES = ['"', '"', "a", "b", ",", ",", "\n", "\r\n", "\r", "é", '""', '",', '\n"', "x" * 7, "c"]


def soup(rng: random.Random) -> bytes:
    data = "".join(
        rng.choices([*PIECES, "\0"] if rng.random() < 0.1 else PIECES, k=rng.randrange(1, 60))
    ).encode()
    if rng.random() < 0.5:
        data = data.replace(b"\r", b"")
    return data[: -rng.randrange(0, 3) or None]


def compare(rounds: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    for _ in range(rounds):
        data = soup(rng)
        with monkeypatch.context() as only_plain:
            only_plain.setattr(records, "_regular", lambda *_: (None, 0))
            plain = cut(data)
        for size in (1 << 20, 1, 2, 3, 7, 16):
            assert cut(data, size=size) == plain, (data, size)


def test_the_fast_cut_equals_the_grammar_wherever_the_blocks_end(monkeypatch: pytest.MonkeyPatch) -> None:
    compare(1_000, 1, monkeypatch)


@pytest.mark.prove
def test_the_fast_cut_equals_the_grammar_in_the_long_run(monkeypatch: pytest.MonkeyPatch) -> None:
    compare(100_000, 2, monkeypatch)


def test_the_comparison_would_notice_a_wrong_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    right = records._regular

    def careless(text: bytes, last: bool, line: int, limits: Limits) -> Any:
        block, end = right(text, last, line, limits)
        return (None if block is None else records.Block(block.text, block.starts, block.ends, block.lines + 1,
                                                         block.cells, block.last_cut), end)  # fmt: skip

    monkeypatch.setattr(records, "_regular", careless)
    with pytest.raises(AssertionError):
        compare(100, 1, monkeypatch)


def test_ndjson_lines_do_not_depend_on_where_the_blocks_end() -> None:
    rng = random.Random(3)
    for _ in range(300):
        data = soup(rng)

        def lines(size: int, data: bytes = data) -> Any:
            found = []
            try:
                for p in line_pieces(io.BytesIO(data), SMALL, size=size):
                    if isinstance(p, list):
                        found += [(r.line, r.raw, r.fault) for r in p]
                    else:
                        found += [(int(p.lines[i]), p.line(i), None) for i in range(len(p))]
            except Refused as fault:
                return fault.code
            return found

        whole = lines(1 << 20)
        assert all(lines(size) == whole for size in (1, 2, 3, 7, 16))

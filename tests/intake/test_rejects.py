"""The rejects file: the sender's own rows with what is wrong with them, to be opened in a spreadsheet, mended, sent."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intake_rows import FORMS, LI, ROWS, accepted, as_csv, as_ndjson, read, refused

from kangma.errors import Code
from kangma.intake.documents import (
    OWN_COLUMNS,
    Batch,
    Refusal,
    csv_line,
    defuse,
    reject_header,
    reject_rows,
    undefuse,
)

VISIT = ROWS["visits"]
PAYLOADS = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-1+1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "＝1",
    "＋1",
    "－1",
    "＠1",
    "'=1",
    "''=1",
    "\n=1",
]


def rejects(batches: Sequence[Batch]) -> bytes:
    columns = batches[0].columns
    lines = [reject_header(columns), *(line for b in batches for line in reject_rows(b.refused, columns))]
    return "".join(lines).encode()


def opened(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def written(rows: Sequence[dict[str, str]]) -> bytes:
    """As a spreadsheet saves it: only what must be quoted is."""
    return as_csv(rows, list(rows[0]), end="\r\n")


@pytest.mark.parametrize("form", FORMS)
def test_a_rejects_file_that_is_mended_and_sent_again_is_accepted(form: str) -> None:
    wrong = [VISIT | {"left_at": ""}, VISIT, VISIT | LI | {"place_id": "=1+1", "source": "magic"}]
    first = read(FORMS[form](wrong), form=form)
    assert [code for *_, code in refused(first)] == ["missing_value", "not_in_list"]
    rows = opened(rejects(first))
    assert [(r["kangma_line"], r["kangma_column"], r["kangma_code"]) for r in rows] == [
        ("" if form == "parquet" else "2" if form == "csv" else "1", "left_at", "missing_value"),
        ("" if form == "parquet" else "4" if form == "csv" else "3", "source", "not_in_list"),
    ]
    assert rows[1]["place_id"] == "'=1+1", "a spreadsheet shows it as text"
    rows[0]["left_at"], rows[1]["source"] = VISIT["left_at"], "ticket"
    again = read(written(rows))
    assert refused(again) == []
    whole = [VISIT, VISIT | LI | {"place_id": "=1+1", "source": "ticket"}]
    assert accepted(again) == accepted(read(as_csv(whole)))


def test_a_rejects_file_sent_unmended_gives_the_same_rejects_file() -> None:
    rows = [VISIT | {"place_id": p, "source": "no"} for p in PAYLOADS]
    first = rejects(read(as_csv(rows)))
    second = rejects(read(first))
    without_lines = [{k: v for k, v in r.items() if k != "kangma_line"} for r in opened(first)]
    assert [{k: v for k, v in r.items() if k != "kangma_line"} for r in opened(second)] == without_lines


def test_what_cannot_be_told_apart_into_columns_is_kept() -> None:
    header, row = as_csv([VISIT]).decode().splitlines()
    rows = opened(rejects(read(f'{header}\n{row},x,"y, z"\n{row[:30]}\n{row}"\n"a\n'.encode())))
    assert rows[0]["source"] == "scan"
    assert rows[0]["kangma_raw"] == '"x","y, z"'
    assert rows[1]["id_type"] == "10"
    assert {r["kangma_code"] for r in rows} == {"wrong_field_count", "not_in_list", "bad_value"}
    rows = opened(rejects(read(b'{"a": 1}\n[\n', form="ndjson")))
    assert [r["kangma_raw"] for r in rows] == ['"{""a"": 1}"', '"["']


def test_a_message_is_given_back_as_it_came() -> None:
    message = Refusal(1, None, None, "PID-3", Code.NO_PERSON, "a number", "MSH|^~\\&|A,B\rPID|1")
    (row,) = opened((reject_header(()) + next(reject_rows([message]))).encode())
    assert row["kangma_raw"] == message.raw
    assert row["kangma_column"] == "PID-3"


@given(st.text() | st.sampled_from(PAYLOADS))
def test_defusing_is_undone_exactly_and_leaves_no_formula(cell: str) -> None:
    assert undefuse(defuse(cell)) == cell
    assert not defuse(cell).startswith(tuple("=+-@\t\r＝＋－＠"))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_cell_of_a_rejects_file_can_run(payload: str) -> None:
    rows = opened(rejects(read(as_csv([VISIT | {"place_id": payload, "source": payload}]))))
    rows += opened(
        rejects(read(as_csv([VISIT]) + payload.encode() + b",a,b,c,d,e,f," + payload.encode() + b"\n"))
    )
    rows += opened(rejects(read(as_ndjson([VISIT]) + payload.encode() + b"\n", form="ndjson")))
    assert rows
    for row in rows:
        for cell in row.values():
            assert not str(cell).startswith(tuple("=+-@\t\r＝＋－＠"))


def test_every_cell_is_quoted_and_every_line_ends_as_the_standard_says() -> None:
    assert csv_line(["a", 'b"c', ""]) == '"a","b""c",""\r\n'
    assert reject_header(("=x",)) == csv_line(["'=x", *OWN_COLUMNS])


def test_nobody_sees_a_refused_row_by_printing_it() -> None:
    (batch,) = read(as_csv([VISIT | {"source": "magic"}]))
    assert VISIT["id_number"] not in repr(batch) + str(batch.refused) + batch.refused[0].hint
    assert VISIT["id_number"] in (batch.refused[0].raw or "")

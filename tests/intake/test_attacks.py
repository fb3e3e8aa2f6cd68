"""Bombs and endless inputs: each gets its documented answer in bounded memory, and its neighbours go on."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from intake_rows import KEYER, ROWS, accepted, as_csv, as_ndjson, as_parquet, read, refused, to_parquet

from kangma.errors import Code, Refused
from kangma.intake.limits import Limits
from kangma.intake.tables import _long_values, read_table
from kangma.intake.thrift import claims

VISIT = ROWS["visits"]


def whole(data: bytes, form: str, limits: Limits) -> Code:
    with pytest.raises(Refused) as caught:
        read(data, "visits", form, limits)
    return caught.value.code


@pytest.mark.parametrize(
    ("form", "data", "limits", "code"),
    [
        ("csv", as_csv([VISIT] * 9), Limits(file_bytes=300), Code.TOO_MANY_BYTES),
        ("ndjson", as_ndjson([VISIT] * 9), Limits(file_bytes=300), Code.TOO_MANY_BYTES),
        ("parquet", as_parquet([VISIT] * 9), Limits(file_bytes=300), Code.TOO_MANY_BYTES),
        ("csv", as_csv([VISIT] * 9), Limits(rows=8), Code.TOO_MANY_ROWS),
        ("ndjson", as_ndjson([VISIT] * 9), Limits(rows=8), Code.TOO_MANY_ROWS),
        ("parquet", as_parquet([VISIT] * 9), Limits(rows=8), Code.TOO_MANY_ROWS),
        ("csv", ",".join(f"c{i}" for i in range(10_000)).encode() + b"\n", Limits(), Code.TOO_MANY_COLUMNS),
        (
            "parquet",
            to_parquet(pa.table({f"c{i}": ["x"] for i in range(300)})),
            Limits(),
            Code.TOO_MANY_COLUMNS,
        ),
        ("csv", b"id_type," + b"x" * 2_000_000 + b"\n", Limits(), Code.LINE_TOO_LONG),
        ("parquet", as_parquet([VISIT] * 9), Limits(inflated_page=8), Code.INFLATES_TOO_MUCH),
        ("parquet", as_parquet([VISIT] * 9), Limits(inflated_chunk=8), Code.INFLATES_TOO_MUCH),
        ("parquet", as_parquet([VISIT] * 9), Limits(inflated_bytes=8), Code.INFLATES_TOO_MUCH),
        ("parquet", as_parquet([VISIT] * 9), Limits(footer_bytes=8), Code.INFLATES_TOO_MUCH),
        ("parquet", as_parquet([VISIT] * 9), Limits(pages=3), Code.INFLATES_TOO_MUCH),
    ],
)
def test_a_table_beyond_a_limit_is_refused_whole(form: str, data: bytes, limits: Limits, code: Code) -> None:
    assert whole(data, form, limits) is code


def test_a_row_of_ten_thousand_cells_is_refused_alone() -> None:
    batches = read(as_csv([VISIT]) + b"," * 10_000 + b"\n" + as_csv([VISIT]).split(b"\n", 1)[1])
    assert len(accepted(batches)) == 2
    assert refused(batches) == [(2, 3, None, "wrong_field_count")]


def test_1048577_rows_are_received_whole() -> None:
    """The row limit of a spreadsheet once swallowed 15,841 cases."""
    header, row = as_csv([VISIT]).splitlines(keepends=True)
    count = 1_048_577
    found = bad = 0
    for batch in read_in_pieces(header, row, count):
        found += batch.accepted.num_rows
        bad += len(batch.refused)
    assert (found, bad) == (count, 0)


def read_in_pieces(header: bytes, row: bytes, count: int) -> Any:
    source = Repeated(header, row, count)
    return read_table(source, kind="visits", form="csv", keyer=KEYER, limits=Limits())  # type: ignore[arg-type]


class Repeated(io.RawIOBase):
    """`head`, then `part` `count` times, without ever holding them."""

    def __init__(self, head: bytes, part: bytes, count: int) -> None:
        self._head, self._part, self._left = head, part, count

    def read(self, size: int = -1) -> bytes:
        n = min(self._left, max(1, (size - len(self._head)) // len(self._part)))
        found, self._head, self._left = self._head + self._part * n, b"", self._left - n
        return found


PEAK = """
import io, resource, sys
sys.path.insert(0, {tests!r})
from intake_rows import FORMS
from test_attacks import *

for form, written in FORMS.items():
    read(written([VISIT] * 9), form=form)  # what a process needs before the first hostile byte
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows, codes = 0, set()
try:
    for batch in read_table({source}, kind="visits", form={form!r}, keyer=KEYER, limits=Limits()):
        rows += batch.accepted.num_rows
        codes |= {{str(r.code) for r in batch.refused}}
except Refused as fault:
    codes.add(str(fault.code))
print(json.dumps([rows, sorted(codes), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024]))
"""


def peak(source: str, form: str) -> tuple[int, list[str], int]:
    """(rows accepted, codes, MiB by which memory grows) of reading `source` in a process of its own."""
    code = PEAK.format(tests=str(Path(__file__).parent), source=source, form=form)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows, codes, grown = json.loads(done.stdout)
    return rows, codes, grown


@pytest.mark.parametrize("form", ["csv", pytest.param("ndjson", marks=pytest.mark.prove)])
def test_a_line_of_a_gigabyte_is_answered_in_bounded_memory(form: str) -> None:
    head = "as_csv([VISIT])" if form == "csv" else "as_ndjson([VISIT])"
    rows, codes, grown = peak(f"Repeated({head}, b'x' * (1 << 20), 1024)", form)
    assert (rows, codes) == (1, ["line_too_long"])
    assert grown < 64


def test_a_quote_that_swallows_the_file_and_rows_without_end_are_answered_in_bounded_memory() -> None:
    rows, codes, grown = peak("Repeated(as_csv([VISIT]) + b'\"', b'x\\n' * (1 << 10), 1 << 8)", "csv")
    assert (rows, codes) == (1, ["bad_value", "wrong_field_count"])
    assert grown < 64


def bomb(rows: int = 1 << 16, long: int = 4_000) -> bytes:
    """A dictionary of long values, repeated by a few bytes for every row of every column."""
    index = pa.array(np.zeros(rows, np.int32))
    columns = {
        name: pa.DictionaryArray.from_arrays(index, pa.array(["x" * long if name == "place_id" else value]))
        for name, value in VISIT.items()
    }
    return to_parquet(pa.table(columns))


def test_a_dictionary_that_repeats_a_long_value_is_held_in_bounded_memory() -> None:
    assert len(bomb()) < 50_000
    rows, codes, grown = peak("io.BytesIO(bomb())", "parquet")
    assert (rows, codes) == (1 << 16, [])
    assert grown < 200
    rows, codes, grown = peak("io.BytesIO(bomb(1 << 13, 1_000_000))", "parquet")
    assert (rows, codes) == (0, ["value_too_long"])
    assert grown < 200


def test_a_file_that_unpacks_to_a_thousand_times_its_size_is_not_unpacked() -> None:
    zeros = pa.table({k: ["0" * 1_000_000 if k == "place_id" else v] * 30 for k, v in VISIT.items()})
    data = to_parquet(zeros, use_dictionary=False, compression="zstd", write_statistics=False)
    assert len(data) < 20_000
    assert whole(data, "parquet", Limits()) is Code.INFLATES_TOO_MUCH


def test_a_long_value_hidden_in_the_dictionary_of_a_plain_column_is_found() -> None:
    names = ["short", "x" * 4_000, *(f"P{i:012}" for i in range(100_000))]
    data = to_parquet(
        pa.table({k: names if k == "place_id" else [v] * len(names) for k, v in VISIT.items()}),
        dictionary_pagesize_limit=8_192,
        row_group_size=60_000,
    )
    source = io.BytesIO(data)
    claimed = claims(source, Limits())
    assert claimed.mostly_plain == {"place_id"}
    assert list(_long_values(source, ["id_number", "place_id"], claimed, Limits())) == ["place_id"]
    assert list(_long_values(source, ["place_id"], claimed, Limits(repeated_bytes=5_000))) == []
    assert len(accepted(read(data, form="parquet"))) == len(names)

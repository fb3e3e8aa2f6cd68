"""Promises of the table readers for every input: forms agree, counts are conserved, nothing but Refused comes out."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from intake_rows import (
    FORMS,
    KEYER,
    LI,
    MORNING,
    NOON,
    ROWS,
    TABLES,
    accepted,
    as_csv,
    as_ndjson,
    as_parquet,
    read,
    refused,
    resident,
    to_parquet,
)

from kangma.errors import Refused
from kangma.intake import cells
from kangma.intake.cells import Layout, plain
from kangma.intake.kinds import KINDS, Column, Type
from kangma.intake.limits import DEFAULT, Limits

SMALL = Limits(batch_rows=3)

# Texts that a form may trip over: quotes, separators, line breaks, formulas, blanks, marks, other planes.
TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "　",
            "a",
            '"',
            '""',
            ",",
            "\n",
            "\r\n",
            "=1",
            "'=1",
            "\ufeff",
            "𝄞中",
            "\x85",
            "NaN",
            "null",
            "NULL",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)
TIMES = st.one_of(
    st.sampled_from([MORNING, NOON, "2022-04-25T08:00Z", "2022-04-25 08:00:00+0800", " 2022-04-25T08:00:00Z ", ""]),
    st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2022-04-25T08:00:00.123+08:00"]),
    st.builds(
        lambda t, sep, spec, offset: t.isoformat(sep=sep, timespec=spec) + offset,
        st.datetimes(),
        st.sampled_from("T "),
        st.sampled_from(["minutes", "seconds", "milliseconds", "microseconds"]),
        st.sampled_from(["Z", "+08:00", "-0930", "+24:00", "+08", ""]),
    ),
    st.from_regex(
        r"20[0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](Z|[+-][0-2][0-9]:[0-5][0-9])",
        fullmatch=True,
    ),
)  # fmt: skip
NUMBERS = st.one_of(
    st.sampled_from(["0", "1", "2", "-1", "+1", "01", "1.5", "1.", ".5", "1e2", "-0", "nan", "1_0", "１", " 1 ", ""]),
    st.sampled_from(["9" * 18, "9" * 19]),
    st.floats().map(repr),
    st.integers().map(str),
)  # fmt: skip
DATES = st.one_of(
    st.dates().map(str),
    st.sampled_from(["", "2022-02-29", "2020-02-29", "1900-02-29", "20220425", "2022-4-5", "２022-04-25"]),
)
BOOLS = st.sampled_from(["true", "false", "1", "0", "yes", "no", "TRUE", " no", "t", "", "maybe"])
TYPES = st.sampled_from(["10", "10", "10", "20", "99", "14", "1０", " 10", "11", ""])
IDS = st.one_of(
    st.integers(0, 30).map(resident),
    st.integers(0, 5).map(lambda i: f"E123456{i}"),
    st.integers(0, 5).map(lambda i: f"e123456{i}"),
    st.integers(0, 5).map(lambda i: " " + resident(i).lower()),
    TEXTS,
)


def cell(column: Column, name: str) -> st.SearchStrategy[str]:
    if column.type is Type.PERSON:
        return TYPES if name.endswith("id_type") else IDS
    if column.choices:
        return st.sampled_from(
            [*column.choices, *column.choices, "", "x", " " + column.choices[0], column.choices[0].upper()]
        )
    return {
        Type.TEXT: TEXTS,
        Type.TIME: TIMES,
        Type.DATE: DATES,
        Type.BOOL: BOOLS,
        Type.INT: NUMBERS,
        Type.REAL: NUMBERS,
    }[column.type]


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, list[dict[str, str]]]:
    """Rows of one kind: right ones with some cells drawn anew, of which many are wrong."""
    kind = draw(st.sampled_from(TABLES))
    columns = {n: c for c in cells.document_columns(KINDS[kind]) + KINDS[kind].columns for n in c.outer_names}
    base = {n: ROWS[kind].get(n, "") for n in columns}
    rows = []
    for _ in range(draw(st.integers(1, 8))):
        changed = draw(st.lists(st.sampled_from(list(columns)), max_size=3))
        rows.append(base | {n: draw(cell(columns[n], n)) for n in changed})
    return kind, rows


def by_row(
    kind: str, rows: list[dict[str, str]]
) -> tuple[list[dict[str, Any]], list[tuple[int, str | None, str]]]:
    """What the plain form says of each row, one by one."""
    layout = Layout.of(KINDS[kind], list(rows[0]), keys_allowed=False)
    good, bad = [], []
    for number, row in enumerate(rows, 1):
        try:
            values, _ = plain(layout, row, KEYER, DEFAULT)
        except Refused as fault:
            bad.append((number, fault.where.column, str(fault.code)))
        else:
            good.append({f.name: values[f.name] for f in KINDS[kind].schema})
    return good, bad


def check(table: tuple[str, list[dict[str, str]]]) -> None:
    kind, rows = table
    good, bad = by_row(kind, rows)
    dictionaries = pa.table({n: pa.array([r[n] for r in rows]).dictionary_encode() for n in rows[0]})
    forms = [
        ("csv", as_csv(rows)),
        ("csv", as_csv(rows, end="\r\n")),
        ("ndjson", as_ndjson(rows)),
        ("parquet", as_parquet(rows)),
        ("parquet", to_parquet(dictionaries)),
    ]
    for form, data in forms:
        for limits in (DEFAULT, SMALL) if form == "csv" else (DEFAULT,):
            batches = read(data, kind, form, limits)
            assert accepted(batches) == good, form
            assert [(row, column, code) for row, _, column, code in refused(batches)] == bad, form
            secrets = [s for b in batches if b.secrets is not None for s in b.secrets.to_pylist()]
            for s in secrets:
                assert KEYER.key(s["id_type"], s["id_number"]) == s["person"]
            named = {v for row in good for v in row.values() if isinstance(v, bytes)}
            assert {s["person"] for s in secrets} == named


slow_ok = settings(deadline=None, suppress_health_check=list(HealthCheck))


@settings(slow_ok, max_examples=80)
@given(tables())
def test_every_form_gives_what_the_plain_form_gives_row_by_row(
    table: tuple[str, list[dict[str, str]]],
) -> None:
    check(table)


@pytest.mark.prove
@settings(slow_ok, max_examples=20_000)
@given(tables())
def test_every_form_gives_what_the_plain_form_gives_in_the_long_run(
    table: tuple[str, list[dict[str, str]]],
) -> None:
    check(table)


def test_most_good_rows_never_take_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast form would be pointless, and the comparison with the plain one empty, if it handed everything on."""

    def never(*_: object) -> Any:
        raise AssertionError("a good row was read one by one")

    monkeypatch.setattr(cells, "plain", never)
    for kind in TABLES:
        if kind == "clearances":
            continue  # always read one by one
        for form, written in FORMS.items():
            assert len(accepted(read(written([ROWS[kind]] * 3), kind, form))) == 3


# --- every prefix, and every mutation --------------------------------------------------------------------------------


def survive(data: bytes, kind: str, form: str, **how: Any) -> str:
    try:
        batches = read(data, kind, form, **how)
    except Refused as fault:
        return str(fault.code)
    return f"{len(accepted(batches))} of {sum(b.received for b in batches)}"


@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_anywhere_keeps_its_whole_rows_or_is_refused_whole(form: str) -> None:
    rows = [ROWS["visits"] | LI, ROWS["visits"] | {"place_id": '中"\n,é'}, ROWS["visits"]]
    data = FORMS[form](rows)
    complete = accepted(read(data, form=form))
    starts = [data.index(b"\n") + 1] if form == "csv" else [0]
    for end in range(len(data)):
        try:
            batches = read(data[:end], form=form)
        except Refused:
            assert form == "parquet" or end < starts[0], end
            continue
        found = accepted(batches)
        assert found[: len(complete)] == complete[: len(found)] or form != "parquet"
        assert all(row in complete for row in found) or end > 0
        assert sum(b.received for b in batches) == len(found) + sum(len(b.refused) for b in batches)
        if form == "ndjson":
            assert found == complete[: len(found)]
            assert len(found) >= data[:end].count(b"\n")


NASTY = [
    b'"',
    b",",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xe4\xb8",
    b"{",
    b"}",
    b"]",
    b"[" * 70,
    b'":',
    b"\\",
    b"\\ud800",
]
NASTY += [b"9" * 400, b"=", b"\xef\xbb\xbf", b"'", b" ", b"null", b"e999", b"-"]


def mutated(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 5, 20])):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(5):
            case 0:
                out[at:at] = rng.choice(NASTY)
            case 1:
                del out[at : at + rng.choice([1, 2, 10])]
            case 2 if at < len(out):
                out[at] = rng.randrange(256)
            case 3 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 4:
                out[at:at] = out[rng.randrange(len(out) + 1) :][: rng.randrange(60)]
    return bytes(out)


def fuzz(rounds: int, seed: int) -> int:
    rng = random.Random(seed)
    outcomes = set()
    seeds = {(kind, form): FORMS[form]([ROWS[kind], ROWS[kind]]) for kind in TABLES for form in FORMS}
    for _ in range(rounds):
        (kind, form), data = rng.choice(list(seeds.items()))
        small = Limits(line_bytes=400, batch_rows=2, value_bytes=100)
        how = rng.choice([{}, {"limits": small}, {"limits": small, "block": rng.choice([1, 7, 64])}])
        outcomes.add(survive(mutated(data, rng), kind, form, **how))
    return len(outcomes)


def test_no_mutation_brings_out_anything_but_refused() -> None:
    assert fuzz(2_000, 1) > 10


@pytest.mark.prove
def test_no_mutation_brings_out_anything_but_refused_in_the_long_run() -> None:
    assert fuzz(500_000, 2) > 10


@settings(slow_ok, max_examples=200)
@given(st.binary(max_size=300), st.sampled_from(list(FORMS)))
def test_any_bytes_at_all_are_answered(data: bytes, form: str) -> None:
    survive(data, "visits", form)

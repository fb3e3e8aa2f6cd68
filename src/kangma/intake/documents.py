"""What intake hands on: batches of accepted documents, and refused rows that their sender can mend.

The rejects file is the one place where a sender's own row is written back. Its cells are defused, because the person
who opens it does so in a spreadsheet: a cell that would be read as a formula gets an apostrophe before it, and reading
the mended file takes exactly that apostrophe away again.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from kangma.errors import Code

SECRETS = pa.schema(
    [
        pa.field("person", pa.binary(16), nullable=False),
        pa.field("id_type", pa.string(), nullable=False),
        pa.field("id_number", pa.string(), nullable=False),
        pa.field("name", pa.string()),
        pa.field("phone", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused row. `raw` is the sender's own row and belongs in the rejects file only; it is never shown.

    `row` counts from 1. `line` is the physical line on which the row starts (1 is a table's header), None where a form
    has no lines. `hint` says what was expected and never repeats what was sent.
    """

    row: int
    line: int | None
    column: str | None
    path: str | None
    code: Code
    hint: str
    raw: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """One bounded piece of an input. `received` = accepted rows + refused rows, always.

    `secrets` (schema SECRETS) is for the identity vault and for nothing else. `columns` are the columns that the
    rejects file of this input repeats; empty for messages.
    """

    kind: str
    accepted: pa.RecordBatch = field(repr=False)
    secrets: pa.RecordBatch | None = field(repr=False)
    refused: tuple[Refusal, ...]
    received: int
    columns: tuple[str, ...] = ()


OWN_PREFIX = "kangma_"
MARK = "kangma_code"  # a table that has this column is a rejects file: its cells are defused
OWN_COLUMNS = ("kangma_raw", "kangma_line", "kangma_column", MARK, "kangma_hint")

# = + - @ and their full-width twins, TAB, CR; NUL and LF because some programs skip them and look behind.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\0＝＋－＠]")
_DEFUSED = re.compile("'+[=+\\-@\t\r\n\0＝＋－＠]")


def defuse(cell: str) -> str:
    """The cell with an apostrophe before it if a spreadsheet could take it for a formula; `undefuse` is its inverse.

    A cell that already begins with apostrophes before such a character gets one more, so that nothing is lost.
    """
    return "'" + cell if _FORMULA.match(cell) else cell


def undefuse(cell: str) -> str:
    """The cell as it was before `defuse`."""
    return cell[1:] if _DEFUSED.match(cell) else cell


def csv_line(cells: Iterable[str]) -> str:
    """One CSV record, every cell quoted, CRLF at its end (RFC 4180)."""
    return ",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in cells) + "\r\n"


def reject_header(columns: Sequence[str]) -> str:
    """The first line of the rejects file of an input with these columns."""
    return csv_line([*(defuse(c) for c in columns), *OWN_COLUMNS])


def reject_rows(refusals: Iterable[Refusal], columns: Sequence[str] = ()) -> Iterator[str]:
    """CSV lines of a rejects file, one a refusal: the sender's columns, then what is wrong and where.

    For tables `raw` is one CSV record in the order of `columns`; cells beyond them, and anything that cannot be told
    apart into columns, go to `kangma_raw`. The header is `reject_header(columns)`.
    """
    for refusal in refusals:
        cells, rest = [""] * len(columns), refusal.raw or ""
        if columns and refusal.raw is not None:
            cells, rest = _placed(refusal.raw, len(columns))
        own = (
            rest,
            str(refusal.line or ""),
            refusal.column or refusal.path or "",
            str(refusal.code),
            refusal.hint,
        )
        yield csv_line(defuse(cell) for cell in (*cells, *own))


def _placed(raw: str, width: int) -> tuple[list[str], str]:
    try:
        records = list(csv.reader([raw], strict=False))
    except csv.Error:
        return [""] * width, raw
    found = records[0] if len(records) == 1 else []
    if not found or len(records) != 1:
        return [""] * width, raw
    cells = [*found[:width], *[""] * (width - len(found))]
    return cells, csv_line(found[width:]).rstrip("\r\n") if len(found) > width else ""

"""CSV, NDJSON and Parquet tables → batches of documents. The formats are described in docs/formats/tables.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kangma.errors import Code, Refused, Where
from kangma.intake.cells import Layout, Reading, Sheet, kind_named, outer_names, shown
from kangma.intake.documents import MARK, OWN_PREFIX, Batch, Refusal, csv_line, undefuse
from kangma.intake.identity import KEY_BYTES, Keyer
from kangma.intake.kinds import Kind, Type
from kangma.intake.limits import Limits
from kangma.intake.records import BLOCK, BOM, Block, Fault, Lines, Record, csv_pieces, line_pieces
from kangma.intake.thrift import Claims, claims

Form = Literal["csv", "ndjson", "parquet"]


def read_table(
    source: BinaryIO,
    *,
    kind: str,
    form: Form,
    keyer: Keyer,
    limits: Limits,
    inside: bool = False,
    block: int = BLOCK,
) -> Iterator[Batch]:
    """The table as batches of at most `limits.batch_rows` rows, at least one batch, in the order of the input.

    Every row is accepted or refused; its neighbours go on. Raises Refused, and nothing else, for a table that is
    refused whole; that can come after batches were handed on, which are then void. `source` must be seekable for
    Parquet. `inside`: the source is one of ours and may name persons by key (Parquet only). `block` bytes are read at
    a time.
    """
    if form == "csv":
        yield from _read_csv(source, kind_named(kind), keyer, limits, block)
    elif form == "ndjson":
        yield from _read_ndjson(source, kind_named(kind), keyer, limits, block)
    else:
        yield from _read_parquet(source, kind_named(kind), keyer, limits, inside)


class _Count:
    """Rows received so far; refuses the table that never ends."""

    def __init__(self, limits: Limits) -> None:
        self.rows, self._limits = 0, limits

    def next(self, n: int) -> NDArray[np.int64]:
        first = self.rows + 1
        self.rows += n
        if self.rows > self._limits.rows:
            raise Refused(
                Code.TOO_MANY_ROWS, hint=f"at most {self._limits.rows} rows a file; send it in parts"
            )
        return np.arange(first, self.rows + 1)


# --- CSV -------------------------------------------------------------------------------------------------------------


def _read_csv(source: BinaryIO, kind: Kind, keyer: Keyer, limits: Limits, size: int) -> Iterator[Batch]:
    table: _CsvTable | None = None
    for piece in csv_pieces(source, limits, size=size):
        first = 0
        if table is None:
            header = piece[0] if isinstance(piece, list) else piece.record(0)
            table, first = _CsvTable(kind, header, keyer, limits), 1
        for start in range(first, len(piece), limits.batch_rows):
            yield table.batch(piece, start, min(len(piece), start + limits.batch_rows))
    if table is None:
        raise Refused(Code.NO_HEADER, hint="the file is empty")
    if not table.count.rows:
        yield table.reading.batch(table.sheet([], [], []))


class _CsvTable:
    """The header of a CSV file, and what follows from it for each record."""

    def __init__(self, kind: Kind, header: Record, keyer: Keyer, limits: Limits) -> None:
        if header.fault is Fault.LONG:
            raise Refused(
                Code.LINE_TOO_LONG, Where(line=header.line), f"at most {limits.line_bytes} bytes a line"
            )
        if header.cells is None:
            raise Refused(
                Code.NO_HEADER, Where(line=header.line), "the first line is not a list of column names"
            )
        if len(header.cells) > limits.columns:
            raise Refused(Code.TOO_MANY_COLUMNS, Where(line=header.line), f"at most {limits.columns} columns")
        names = [undefuse(name.decode().strip()) for name in header.cells]
        known = {*outer_names(kind), *(c.name for c in kind.columns if c.type is Type.PERSON)}
        if not known & set(names):
            hint = f"the first line must name columns of {kind.name}: {', '.join(outer_names(kind))}"
            raise Refused(Code.NO_HEADER, Where(line=header.line), hint)
        self.names, self.limits, self.count = names, limits, _Count(limits)
        self.mended = MARK in names  # a rejects file that comes back
        self.own = [i for i, name in enumerate(names) if not name.startswith(OWN_PREFIX)]
        layout = Layout.of(kind, names, keys_allowed=False)
        self.reading = Reading(layout, keyer, limits, layout.given)
        choices = {
            n for c in layout.columns if c.choices or c.type in (Type.BOOL, Type.INT) for n in c.outer_names
        }
        types = {n for n in layout.given if n.endswith("id_type")}
        self._arrow_names = [f"{i}" for i in range(len(names))]
        self._arrow_types = {
            f"{i}": pa.dictionary(pa.int32(), pa.string()) if names[i] in choices | types else pa.string()
            for i in self.own
        }

    def batch(self, piece: Block | list[Record], start: int, end: int) -> Batch:
        rows = self.count.next(end - start)
        if isinstance(piece, Block):
            quick = self._quick(piece, start, end, rows)
            if quick is not None:
                return quick
            records = [piece.record(i) for i in range(start, end)]
        else:
            records = piece[start:end]
        good, refused = [], []
        for row, record in zip(rows.tolist(), records, strict=True):
            refusal = self._refusal(row, record)
            if refusal is not None:
                refused.append(refusal)
            else:
                good.append((row, record))
        columns = [[record.cells[i] for _, record in good if record.cells] for i in self.own]
        sheet = self.sheet([row for row, _ in good], [record.line for _, record in good], columns)
        return self.reading.batch(sheet, refused)

    def sheet(self, rows: list[int], lines: list[int], columns: Sequence[Sequence[bytes]]) -> Sheet:
        texts = [
            pa.array([(undefuse(c.decode()) if self.mended else c.decode()) for c in column], pa.string())
            for column in (columns or [()] * len(self.own))
        ]
        arrays = {self.names[i]: text for i, text in zip(self.own, texts, strict=True)}
        return Sheet(np.array(rows, np.int64), np.array(lines, np.int64), arrays)

    def _quick(self, block: Block, start: int, end: int, rows: NDArray[np.int64]) -> Batch | None:
        """The records of a regular block, cut into cells by Arrow; None where Arrow sees other rows than we do."""
        right = block.cells[start:end] == len(self.names)
        refused = []
        for i in np.flatnonzero(~right).tolist():
            refusal = self._refusal(int(rows[i]), block.record(start + i))
            assert refusal is not None
            refused.append(refusal)
        kept = np.flatnonzero(right) + start
        if not len(kept):
            return self.reading.batch(self.sheet([], [], []), refused)
        if block.text.startswith(BOM, int(block.starts[kept[0]])):
            return None  # Arrow would take the mark off a cell that begins with it
        try:
            table = pa.csv.read_csv(
                pa.BufferReader(_joined(block, kept)),
                pa.csv.ReadOptions(
                    use_threads=False, column_names=self._arrow_names, block_size=len(block.text) + 1
                ),
                pa.csv.ParseOptions(newlines_in_values=True),
                pa.csv.ConvertOptions(
                    column_types=self._arrow_types,
                    include_columns=[f"{i}" for i in self.own],
                    strings_can_be_null=False,
                    quoted_strings_can_be_null=False,
                    check_utf8=False,  # done by the block
                ),
            )
        except pa.ArrowInvalid:
            return None
        if table.num_rows != len(kept):
            return None
        arrays = {self.names[i]: _one(table.column(f"{i}")) for i in self.own}
        if self.mended:
            arrays = {name: _undefused(array) for name, array in arrays.items()}
        return self.reading.batch(Sheet(rows[kept - start], block.lines[kept], arrays), refused)

    def _refusal(self, row: int, record: Record) -> Refusal | None:
        cells, hint, column = record.cells, "", None
        if cells is not None and len(cells) == len(self.names):
            return None
        if record.fault is Fault.LONG:
            code, hint = Code.LINE_TOO_LONG, f"at most {self.limits.line_bytes} bytes a line"
        elif cells is None and record.last_cut:
            code, hint = Code.CUT_OFF, "the file ends within this row"
        elif cells is None:
            code, hint = Code.BAD_VALUE, "a quote is not closed, or text follows its closing quote"
        elif len(cells) < len(self.names) and record.last_cut:
            code, hint = Code.CUT_OFF, "the file ends within this row"
            column = self.names[len(cells) - 1]
        else:
            code, hint = Code.WRONG_FIELD_COUNT, f"{len(self.names)} cells, as in the header"
        raw = None if record.raw is None else record.raw.decode()
        if raw is not None and cells is not None and len(self.own) < len(self.names):
            kept = [cells[i] for i in self.own if i < len(cells)] + cells[len(self.names) :]
            raw = csv_line(undefuse(c.decode()) if self.mended else c.decode() for c in kept)
        return Refusal(row, record.line, column, None, code, hint, raw)


def _joined(block: Block, kept: NDArray[np.int64]) -> pa.Buffer:
    """The bytes of these records, each with its line break; without a copy if they stand side by side."""
    if len(kept) == kept[-1] - kept[0] + 1:
        whole = pa.py_buffer(block.text)
        return whole.slice(int(block.starts[kept[0]]), int(block.ends[kept[-1]] - block.starts[kept[0]]))
    gaps = np.flatnonzero(np.diff(kept) > 1)
    firsts = block.starts[kept[np.concatenate([[0], gaps + 1])]].tolist()
    lasts = block.ends[kept[np.concatenate([gaps, [len(kept) - 1]])]].tolist()
    return pa.py_buffer(b"\n".join(block.text[a:b] for a, b in zip(firsts, lasts, strict=True)))


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.unify_dictionaries().combine_chunks()


def _undefused(array: pa.Array) -> pa.Array:
    dictionary = pa.types.is_dictionary(array.type)
    texts = array.dictionary if dictionary else array
    clean = pa.array([undefuse(t) for t in texts.to_pylist()], pa.string())
    return clean.take(array.indices) if dictionary else clean


# --- NDJSON ----------------------------------------------------------------------------------------------------------


def _read_ndjson(source: BinaryIO, kind: Kind, keyer: Keyer, limits: Limits, size: int) -> Iterator[Batch]:
    table = _JsonTable(kind, keyer, limits)
    for piece in line_pieces(source, limits, size=size):
        for start in range(0, len(piece), limits.batch_rows):
            yield table.batch(piece, start, min(len(piece), start + limits.batch_rows))
    if not table.count.rows:
        yield table.slow([], [])


class _JsonTable:
    """One JSON object a line, its members the columns in any order; an absent member is an empty cell."""

    def __init__(self, kind: Kind, keyer: Keyer, limits: Limits) -> None:
        self.names = outer_names(kind)
        self.layout = Layout.of(kind, self.names, keys_allowed=False)
        self.reading = Reading(self.layout, keyer, limits, self.names)
        self.limits, self.count = limits, _Count(limits)
        self.persons = {c.name for c in kind.columns if c.type is Type.PERSON}
        native = {Type.INT: pa.int64(), Type.REAL: pa.float64(), Type.BOOL: pa.bool_()}
        self._schema = pa.schema(
            [(n, native.get(c.type, pa.string())) for c in self.layout.columns for n in c.outer_names]
        )

    def batch(self, piece: Lines | list[Record], start: int, end: int) -> Batch:
        rows = self.count.next(end - start)
        if isinstance(piece, Lines):
            quick = self._quick(piece, start, end, rows)
            if quick is not None:
                return quick
            last = len(piece) - 1
            records = [
                Record(int(piece.lines[i]), piece.line(i), None, None, piece.last_cut and i == last)
                for i in range(start, end)
            ]
        else:
            records = piece[start:end]
        return self.slow(rows.tolist(), records)

    def slow(self, rows: list[int], records: list[Record]) -> Batch:
        good: list[tuple[int, int, dict[str, str]]] = []
        refused = []
        for row, record in zip(rows, records, strict=True):
            try:
                good.append((row, record.line, self._cells(record)))
            except Refused as fault:
                raw = csv_line([*[""] * len(self.names), record.raw.decode()]) if record.raw else None
                where, code = fault.where, fault.code
                refused.append(Refusal(row, record.line, where.column, where.path, code, fault.hint, raw))
        texts = {n: [cells.get(n, "") for _, _, cells in good] for n in self.names}
        return self.reading.batch(
            Sheet(
                np.array([row for row, _, _ in good], np.int64),
                np.array([line for _, line, _ in good], np.int64),
                {n: pa.array(column, pa.string()) for n, column in texts.items()},
            ),
            refused,
        )

    def _quick(self, piece: Lines, start: int, end: int, rows: NDArray[np.int64]) -> Batch | None:
        """Flat objects of our own members, read by Arrow; None where anything is unusual."""
        n = end - start
        first, last = int(piece.starts[start]), int(piece.ends[end - 1])
        text = piece.text[first:last]
        codes = np.frombuffer(piece.text, np.uint8)
        # One brace pair a line and no bracket at all: nothing is nested, so Arrow's parser cannot run deep. As many
        # colons outside quotes as members cannot be told cheaply; Arrow itself refuses a member that comes twice.
        if not (
            (codes[piece.starts[start:end]] == ord("{")).all()
            and (codes[piece.ends[start:end] - 1] == ord("}")).all()
            and text.count(b"{") == text.count(b"}") == n
            and b"[" not in text
            and b"\0" not in text
            and b"\\u" not in text
        ):
            return None
        try:
            table = pa.json.read_json(
                pa.BufferReader(text),
                pa.json.ReadOptions(use_threads=False, block_size=len(text) + 1),
                pa.json.ParseOptions(explicit_schema=self._schema, unexpected_field_behavior="error"),
            )
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return None
        if table.num_rows != n:
            return None
        arrays = {
            name: pc.fill_null(table.column(name).combine_chunks().cast(pa.string()), "")
            for name in self.names
        }
        return self.reading.batch(Sheet(rows, piece.lines[start:end], arrays))

    def _cells(self, record: Record) -> dict[str, str]:
        if record.fault is Fault.LONG or record.raw is None:
            raise Refused(Code.LINE_TOO_LONG, hint=f"at most {self.limits.line_bytes} bytes a line")
        if record.fault is Fault.CUT:
            raise Refused(Code.CUT_OFF, hint="the file ends within this row")
        if _depth(record.raw) > self.limits.depth:
            raise Refused(Code.TOO_DEEP, hint=f"at most {self.limits.depth} levels")
        try:
            # Numbers stay the texts they were: their length is for the column's own check to judge.
            members = json.loads(record.raw, parse_int=str, parse_float=str, object_pairs_hook=_Members)
        except (ValueError, RecursionError):
            if record.last_cut:
                raise Refused(Code.CUT_OFF, hint="the file ends within this row") from None
            raise Refused(Code.BAD_VALUE, hint="one JSON object a line") from None
        if not isinstance(members, _Members):
            raise Refused(Code.BAD_VALUE, hint="one JSON object a line")
        cells: dict[str, str] = {}
        for position, (name, value) in enumerate(members.pairs, 1):
            where = Where(column=shown(name, position))
            if name in self.persons:
                raise Refused(Code.PERSON_NOT_ALLOWED, where, "name persons by id_type and id_number")
            if name not in self.names:
                raise Refused(Code.UNKNOWN_COLUMN, where)
            if name in cells:
                raise Refused(Code.DUPLICATE_COLUMN, where)
            if isinstance(value, bool):
                cells[name] = "true" if value else "false"
            elif value is None:
                cells[name] = ""
            elif isinstance(value, str):
                if any("\ud800" <= c <= "\udfff" for c in value):
                    raise Refused(Code.BAD_VALUE, where, "control characters and half characters are no text")
                cells[name] = value
            else:
                raise Refused(Code.BAD_VALUE, where, "a text, a number, true, false or null")
        return cells


class _Members:
    """The members of one JSON object, in order and with repetitions."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


def _depth(text: bytes) -> int:
    """How deep brackets nest outside strings; brackets that do not match count as opening only."""
    if text.count(b"[") + text.count(b"{") < 2:
        return 1
    deepest = depth = 0
    for token in _TOKENS.findall(text):
        if token in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif token in (b"]", b"}"):
            depth -= 1
    return deepest


_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)


# --- Parquet ---------------------------------------------------------------------------------------------------------


def _read_parquet(
    source: BinaryIO, kind: Kind, keyer: Keyer, limits: Limits, inside: bool
) -> Iterator[Batch]:
    claimed = claims(source, limits)
    layout = Layout.of(kind, claimed.names, keys_allowed=inside)
    count = _Count(limits)
    reading = Reading(layout, keyer, limits, layout.given)
    for rows, arrays in _parquet_rows(source, layout, claimed, limits):
        widest = sum(_longest(array) for array in arrays.values()) or 1
        step = max(1, min(limits.batch_rows, limits.batch_bytes // widest))
        for start in range(0, rows, step):
            part = {name: array.slice(start, step) for name, array in arrays.items()}
            numbers = count.next(min(step, rows - start))
            yield reading.batch(Sheet(numbers, None, part))
    if count.rows != claimed.rows:
        raise Refused(Code.UNREADABLE, hint="the file holds another number of rows than it says")
    if not count.rows:
        empty = {name: pa.array([], pa.string()) for name in layout.given}
        yield reading.batch(Sheet(np.empty(0, np.int64), None, empty))


def _parquet_rows(
    source: BinaryIO, layout: Layout, claimed: Claims, limits: Limits
) -> Iterator[tuple[int, dict[str, pa.Array]]]:
    """(rows, columns as a Sheet holds them) of each batch. Raises Refused."""
    names = list(layout.given)
    try:
        source.seek(0)
        file = pq.ParquetFile(source)
        texts = [f.name for f in file.schema_arrow if f.name in names and _is_text(f.type)]
        # Texts stay in their dictionary: a long one that a few bytes repeat a million times is held once. Columns of
        # mostly plain values have none, and making one is slow; they are read as they stand if no value of the
        # dictionary that precedes them is long.
        long = set(_long_values(source, texts, claimed, limits))
        keep = [name for name in texts if name in long or name not in claimed.mostly_plain]
        source.seek(0)
        file = pq.ParquetFile(source, read_dictionary=keep, pre_buffer=False, buffer_size=1 << 20)
        batches = file.iter_batches(limits.batch_rows, columns=names, use_threads=False)
        while (batch := next(batches, None)) is not None:
            yield batch.num_rows, {name: _texts(batch.column(name), name, layout, limits) for name in names}
    except (pa.ArrowException, OSError, ValueError, OverflowError, LookupError, TypeError):
        raise Refused(Code.UNREADABLE, hint="the Parquet file is damaged") from None


def _long_values(source: BinaryIO, texts: list[str], claimed: Claims, limits: Limits) -> Iterator[str]:
    """Text columns with a dictionary in which some value is longer than what may be repeated for every row."""
    wanted = [name for name in texts if name in claimed.mostly_plain & claimed.repeating]
    for group in range(claimed.groups if wanted else 0):
        source.seek(0)
        file = pq.ParquetFile(source, read_dictionary=wanted, pre_buffer=False, buffer_size=1 << 20)
        # One row brings the whole dictionary of its row group with it.
        row = next(file.iter_batches(1, row_groups=[group], columns=wanted, use_threads=False), None)
        if row is not None:
            yield from (name for name in wanted if _longest(row.column(name)) > limits.repeated_bytes)


def _is_text(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _texts(array: pa.Array, name: str, layout: Layout, limits: Limits) -> pa.Array:
    """A Parquet column as a Sheet holds it. Raises Refused: bad_value for a type that fits no column, not_utf8."""
    where, type_ = Where(column=name), array.type
    if pa.types.is_dictionary(type_) and _is_text(type_):
        texts = _utf8(array.dictionary.cast(pa.string()), where, limits)
        index = array.indices.cast(pa.int32())
        if index.null_count:
            index = pc.fill_null(index, len(texts))
            texts = pa.concat_arrays([texts, pa.array([""])])
        return pa.DictionaryArray.from_arrays(index, texts)
    if pa.types.is_timestamp(type_):
        if type_.tz is None:
            raise Refused(Code.TIME_WITHOUT_OFFSET, where, "a timestamp column needs a time zone")
        ticks = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[type_.unit]
        counted = array.cast(pa.int64())
        seconds = pc.fill_null(counted, 0).to_numpy() // ticks
        return pa.array(seconds, mask=~counted.is_valid().to_numpy(zero_copy_only=False))
    if pa.types.is_fixed_size_binary(type_) and type_.byte_width == KEY_BYTES and name in layout.keyed:
        return pa.array(["" if v is None else v.hex() for v in array.to_pylist()], pa.string())
    simple = pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_date32
    if _is_text(type_) or any(test(type_) for test in simple):
        return _utf8(array.cast(pa.string()), where, limits)
    raise Refused(Code.BAD_VALUE, where, "texts, numbers, dates, or timestamps with a time zone")


def _utf8(texts: pa.StringArray, where: Where, limits: Limits) -> pa.StringArray:
    """The texts with empty ones for missing ones, and too long ones cut to a length that is still too long: a
    dictionary would have each of its million rows answered with the whole."""
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        # Parquet readers do not check what they call text.
        raise Refused(Code.NOT_UTF8, where, "texts must be UTF-8") from None
    if _longest(texts) > limits.value_bytes:
        texts = pc.utf8_slice_codeunits(texts, 0, limits.value_bytes + 1)
    return pc.fill_null(texts, "")


def _longest(array: pa.Array) -> int:
    """Bytes of the longest value."""
    texts = array.dictionary if pa.types.is_dictionary(array.type) else array
    if not _is_text(texts.type) or not len(texts):
        return 8
    return int(pc.max(pc.binary_length(texts)).as_py() or 0)

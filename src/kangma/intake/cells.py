"""Texts → values: what each column of a kind may hold, in two forms that a property test holds equal.

`plain` reads one row and says exactly what is wrong with it. `Reading.batch` reads whole columns with NumPy and Arrow; it
answers only for rows in canonical form, and hands every other row (wrong ones, and right ones in an unusual form) to
`plain`. So the fast form may be narrow, and the plain form alone defines the format.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kangma.errors import Code, Refused, Where
from kangma.intake.documents import OWN_PREFIX, SECRETS, Batch, Refusal, csv_line
from kangma.intake.identity import KEY_BYTES, Keyer, Named, Roster, normalised
from kangma.intake.kinds import KINDS, Column, Kind, Type
from kangma.intake.limits import Limits
from kangma.intake.texts import lengths, matrix, parts
from kangma.terms import END_MOMENT, FIRST_MOMENT, FIRST_YEAR, LAST_YEAR, day_number, moment

_DOCUMENT = (
    Column("document_id", Type.TEXT, required=False),
    Column("document_version", Type.INT, required=False, default=0),
)
# What a number of this name can be at all; a swapped latitude and longitude is found here.
RANGES = {
    "lat": (-90, 90),
    "lon": (-180, 180),
    "dose": (0, 99),
    "every_days": (1, 366),
    "document_version": (0, 10**18),
}
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")
_INT = re.compile(r"[+-]?[0-9]+")
_REAL = re.compile(r"[+-]?([0-9]+)(?:\.([0-9]*))?(?:[eE][+-]?[0-9]{1,3})?")
_BARE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_SPACES = np.isin(np.arange(256), [9, 10, 11, 12, 13, 28, 29, 30, 31, 32, 0xC2, 0xE1, 0xE2, 0xE3])

Secret = tuple[bytes, str, str, str | None, str | None]  # a row of SECRETS


def kind_named(name: str) -> Kind:
    """Raises Refused(unknown_kind). Risk-area lists are no table: they come as the official JSON only."""
    if name not in KINDS or name == "area_lists":
        raise Refused(Code.UNKNOWN_KIND, hint=f"one of {', '.join(k for k in KINDS if k != 'area_lists')}")
    return KINDS[name]


def shown(name: str, position: int) -> str:
    """A column as it may be told: its name if it can be one, else its position. A lost header row holds data."""
    return name if _NAME.fullmatch(name) else f"#{position}"


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns of a kind an input gives. `given` are its outer names, kangma_* left out."""

    kind: Kind
    given: tuple[str, ...]
    columns: tuple[Column, ...]  # document_id and document_version first, then the kind's
    keyed: frozenset[str]  # person columns that hold the key itself

    @staticmethod
    def of(kind: Kind, names: Sequence[str], *, keys_allowed: bool) -> Layout:
        """Raises Refused: duplicate_column, person_not_allowed, unknown_column, missing_column, missing_value."""
        outer = set(outer_names(kind))
        persons = {c.name for c in kind.columns if c.type is Type.PERSON}
        given: list[str] = []
        for position, name in enumerate(names, 1):
            if name.startswith(OWN_PREFIX):
                continue
            where = Where(line=1, column=shown(name, position))
            if name in given:
                raise Refused(Code.DUPLICATE_COLUMN, where)
            if name in persons and not keys_allowed:
                raise Refused(Code.PERSON_NOT_ALLOWED, where, "name persons by id_type and id_number")
            if name not in outer and name not in persons:
                raise Refused(Code.UNKNOWN_COLUMN, where, f"{kind.name} has {', '.join(outer_names(kind))}")
            given.append(name)
        keyed = persons & set(given)
        for column in kind.columns:
            present = [n for n in column.outer_names if n in given]
            if column.name in keyed:
                if present:
                    raise Refused(
                        Code.DUPLICATE_COLUMN, Where(line=1, column=column.name), "a person is named twice"
                    )
                continue
            wanted = column.outer_names if column.required or present else ()
            for name in wanted:
                if name not in given:
                    raise Refused(Code.MISSING_COLUMN, Where(line=1, column=name))
        layout = Layout(kind, tuple(given), document_columns(kind) + kind.columns, frozenset(keyed))
        for group in kind.either:
            if not any(layout.has(kind.column(name)) for name in group):
                names_ = " or ".join(kind.column(name).outer_names[-1] for name in group)
                raise Refused(
                    Code.MISSING_COLUMN, Where(line=1, column=kind.column(group[0]).outer_names[-1]), names_
                )
        return layout

    def has(self, column: Column) -> bool:
        return column.name in self.keyed or column.outer_names[0] in self.given


def document_columns(kind: Kind) -> tuple[Column, ...]:
    """`document_id` and `document_version`; a retraction names another's document and has none of its own."""
    return () if any("document_id" in c.outer_names for c in kind.columns) else _DOCUMENT


def outer_names(kind: Kind) -> tuple[str, ...]:
    """Every column that a table of this kind may have, keys of persons left out."""
    return tuple(name for c in document_columns(kind) + kind.columns for name in c.outer_names)


# --- one row ---------------------------------------------------------------------------------------------------------


def text_value(column: Column, text: str, limits: Limits) -> str | int | float | bool | None:
    """The value that a cell of this column means; None for an empty cell of an optional column without default.

    Texts stay as they are, other types lose white space around them. Raises Refused with the code and the column.
    """
    where = Where(column=column.outer_names[0])
    check_text(text, where, limits)
    bare = text.strip()
    if not bare:
        if column.required:
            raise Refused(Code.MISSING_VALUE, where)
        return column.default
    if column.choices and bare not in column.choices:
        raise Refused(Code.NOT_IN_LIST, where, f"one of {', '.join(column.choices)}")
    match column.type:
        case Type.TEXT:
            return bare if column.choices else text
        case Type.TIME:
            return _time(bare, where)
        case Type.DATE:
            try:
                day = date.fromisoformat(bare) if _DATE.fullmatch(bare) else _refuse_date(where)
                return day_number(day) if FIRST_YEAR <= day.year <= LAST_YEAR else _refuse_date(where)
            except ValueError:
                return _refuse_date(where)
        case Type.BOOL:
            if bare.lower() not in _TRUE + _FALSE:
                raise Refused(Code.NOT_IN_LIST, where, "true or false")
            return bare.lower() in _TRUE
        case Type.INT:
            if not _INT.fullmatch(bare):
                raise Refused(Code.BAD_NUMBER, where, "a whole number")
            if len(bare.lstrip("+-")) > limits.digits:
                raise Refused(Code.TOO_MANY_DIGITS, where, f"at most {limits.digits} digits")
            return int(_within(column, int(bare), where))
        case Type.REAL:
            found = _REAL.fullmatch(bare)
            if found is None:
                raise Refused(Code.BAD_NUMBER, where, "a number with a decimal point")
            if max(len(found[1]), len(found[2] or "")) > limits.digits:
                raise Refused(
                    Code.TOO_MANY_DIGITS, where, f"at most {limits.digits} digits on each side of the point"
                )
            return float(_within(column, float(bare), where))
    raise AssertionError(column.type)


def _refuse_date(where: Where) -> NoReturn:
    raise Refused(Code.BAD_DATE, where, "a calendar day as YYYY-MM-DD, of the years 1900 to 2200") from None


def _time(bare: str, where: Where) -> int:
    try:
        return moment(bare)
    except (ValueError, OverflowError):
        pass
    if _BARE_TIME.fullmatch(bare):
        raise Refused(Code.TIME_WITHOUT_OFFSET, where, "add the offset, for Beijing +08:00")
    raise Refused(Code.BAD_TIME, where, "ISO 8601 with offset, as 2022-04-25T08:00:00+08:00, of 1900 to 2200")


def _within(column: Column, value: float, where: Where) -> float:
    low, high = RANGES.get(column.name, (-math.inf, math.inf))
    if not (low <= value <= high) or not math.isfinite(value):
        raise Refused(Code.BAD_NUMBER, where, f"from {low} to {high}")
    return value


def check_text(text: str, where: Where, limits: Limits) -> None:
    if len(text) * 4 > limits.value_bytes and len(text.encode("utf-8", "surrogatepass")) > limits.value_bytes:
        raise Refused(Code.VALUE_TOO_LONG, where, f"at most {limits.value_bytes} bytes")
    if _CONTROL.search(text):
        raise Refused(Code.BAD_VALUE, where, "control characters and half characters are no text")


def plain(
    layout: Layout, cells: Mapping[str, str], keyer: Keyer, limits: Limits
) -> tuple[dict[str, Any], list[Secret]]:
    """(stored values by column name, secrets) of one row. Raises Refused with the first thing that is wrong."""
    values: dict[str, Any] = {"document_id": None, "document_version": 0}
    secrets: list[Secret] = []
    hidden: dict[str, str | None] = {"name": None, "phone": None}
    for column in layout.columns:
        if not layout.has(column):
            values.setdefault(column.name, column.default)
        elif column.type is Type.PERSON:
            key, sealed = _person(column, cells, keyer, limits, keyed=column.name in layout.keyed)
            values[column.name] = key
            secrets += sealed
            if key is not None and column.name != "person" and key == values.get("person"):
                at = column.name if column.name in layout.keyed else column.outer_names[-1]
                raise Refused(Code.SAME_PERSON, Where(column=at), "two different persons")
        elif column.secret:
            found = text_value(column, cells.get(column.outer_names[0], ""), limits)
            hidden[column.name] = None if found is None else str(found)
        else:
            values[column.name] = text_value(column, cells.get(column.outer_names[0], ""), limits)
    for start, end in layout.kind.spans:
        if values[start] is not None and values[end] is not None and values[end] < values[start]:
            where = Where(column=layout.kind.column(end).outer_names[0])
            raise Refused(
                Code.ENDS_BEFORE_START, where, f"not before {layout.kind.column(start).outer_names[0]}"
            )
    for group in layout.kind.either:
        if all(values[name] is None for name in group):
            where = Where(column=layout.kind.column(group[0]).outer_names[-1])
            hint = " or ".join(layout.kind.column(name).outer_names[-1] for name in group)
            raise Refused(Code.MISSING_VALUE, where, hint)
    if layout.kind.name == "clearances":
        first, second = (values[n].strip().casefold() for n in ("officer", "second_officer"))
        if first == second:
            raise Refused(Code.SAME_OFFICER, Where(column="second_officer"), "nobody approves their own")
    # Name and phone are the person's, the first of the row, not the guardian's.
    if secrets and any(hidden.values()):
        secrets[0] = (*secrets[0][:3], hidden["name"], hidden["phone"])
    return values, secrets


def _person(
    column: Column, cells: Mapping[str, str], keyer: Keyer, limits: Limits, *, keyed: bool
) -> tuple[bytes | None, list[Secret]]:
    names = (column.name,) if keyed else column.outer_names
    texts = [cells.get(name, "") for name in names]
    for name, text in zip(names, texts, strict=True):
        check_text(text, Where(column=name), limits)
    if not column.required and not any(text.strip() for text in texts):
        return None, []
    for name, text in zip(names, texts, strict=True):
        if not text.strip():
            raise Refused(Code.MISSING_VALUE, Where(column=name))
    if keyed:
        if not re.fullmatch(r"[0-9a-fA-F]{32}", texts[0].strip()):
            raise Refused(Code.BAD_VALUE, Where(column=column.name), "32 hexadecimal digits")
        return bytes.fromhex(texts[0].strip()), []
    try:
        id_type, number = normalised(*texts)
    except Refused as refused:
        at = names[0 if refused.code is Code.BAD_ID_TYPE else 1]
        raise Refused(refused.code, Where(column=at), refused.hint) from None
    key = keyer.key_normalised(id_type, number)
    return key, [(key, id_type, number, None, None)]


# --- whole columns ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows cut into columns. A column is a string array or a dictionary of strings, without nulls, or int64 seconds."""

    rows: NDArray[np.int64]  # (n,) the number of each row in the input, from 1
    lines: NDArray[np.int64] | None  # (n,) physical lines
    columns: dict[str, pa.Array]

    def cells(self, rows: NDArray[np.int64]) -> list[dict[str, str]]:
        """The cells of these rows as the texts that `plain` reads."""
        at = pa.array(rows)
        texts = [[cell_text(v) for v in array.take(at).to_pylist()] for array in self.columns.values()]
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*texts, strict=True)]


def cell_text(value: str | int | None) -> str:
    """A value of a Sheet's column as text: times as ISO 8601, missing ones as nothing."""
    if not isinstance(value, int):
        return value or ""
    try:
        return datetime.fromtimestamp(value, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return "out of range"


@dataclass(slots=True)
class Checked:
    """One stored column: `values` (n,) of its Arrow type; `ok` (n,) rows that are right beyond doubt."""

    values: pa.Array
    ok: NDArray[np.bool_]


class Reading:
    """One input on its way in: its layout, and the persons it has named so far."""

    def __init__(self, layout: Layout, keyer: Keyer, limits: Limits, columns: tuple[str, ...]) -> None:
        self.layout, self.keyer, self.limits, self.columns = layout, keyer, limits, columns
        self._roster = Roster(keyer, limits.known_persons)

    def batch(self, sheet: Sheet, refused: Sequence[Refusal] = ()) -> Batch:
        """The sheet's rows, and those that could not even be cut into cells, as one batch."""
        layout, n = self.layout, len(sheet.rows)
        ok = np.ones(n, np.bool_)
        stored: dict[str, Checked] = {}
        named: list[tuple[Column, Named]] = []
        hidden: dict[str, pa.Array] = {}
        for column in layout.columns:
            if not layout.has(column):
                continue
            if column.type is Type.PERSON and column.name not in layout.keyed:
                checked, persons = self._persons(column, sheet)
                named.append((column, persons))
            elif column.type is Type.PERSON:
                checked = _by_dictionary(sheet.columns[column.name], partial(_hex_keys, column=column))
            else:
                array = sheet.columns[column.outer_names[0]]
                checked = _by_dictionary(array, partial(_column, column=column, limits=self.limits))
            ok &= checked.ok
            if column.secret:
                hidden[column.name] = checked.values
            else:
                stored[column.name] = checked
        ok &= self._across(stored, n)

        accepted = _assembled(layout.kind, stored, ok)
        rows = sheet.rows[ok]
        secrets = self._secrets(named, hidden, ok)
        turned_away = list(refused)
        late: list[dict[str, Any]] = []
        late_rows: list[int] = []
        late_secrets: list[Secret] = []
        doubtful = np.flatnonzero(~ok)
        for i, cells in zip(doubtful.tolist(), sheet.cells(doubtful), strict=True):
            try:
                values, own = plain(layout, cells, self.keyer, self.limits)
            except Refused as fault:
                line = None if sheet.lines is None else int(sheet.lines[i])
                raw = csv_line(cells.get(name, "") for name in self.columns)
                turned_away.append(
                    Refusal(int(sheet.rows[i]), line, fault.where.column, None, fault.code, fault.hint, raw)
                )
            else:
                late.append(values)
                late_rows.append(int(sheet.rows[i]))
                late_secrets += own
        if late:
            both = pa.concat_batches([accepted, pa.RecordBatch.from_pylist(late, layout.kind.schema)])
            order = np.argsort(np.concatenate([rows, np.array(late_rows, np.int64)]), kind="stable")
            accepted = both.take(pa.array(order))
            secrets.append(_secrets_batch(late_secrets))
        sealed = pa.concat_batches(secrets) if named else None
        if sealed is not None and (hidden or late):
            once = pa.table(sealed).group_by(SECRETS.names, use_threads=False).aggregate([])
            sealed = once.cast(SECRETS).combine_chunks().to_batches(max_chunksize=None)
            sealed = sealed[0] if sealed else _secrets_batch([])
        turned_away.sort(key=lambda r: r.row)
        received = accepted.num_rows + len(turned_away)
        return Batch(layout.kind.name, accepted, sealed, tuple(turned_away), received, self.columns)

    def _persons(self, column: Column, sheet: Sheet) -> tuple[Checked, Named]:
        types, numbers = (sheet.columns[name] for name in column.outer_names)
        n = len(types)
        one_type = pa.types.is_dictionary(types.type) and len(types.dictionary) == 1
        if one_type and pa.types.is_dictionary(numbers.type) and len(numbers.dictionary) <= n:
            index = numbers.indices.to_numpy()
            repeated = pa.repeat(types.dictionary[0], len(numbers.dictionary))
            few = self._roster.name(repeated, numbers.dictionary)
            persons = Named(few.keys, few.which[index], few.ok[index], few.residents, few.digits, few.others)
            filled = np.ones(n, np.bool_)
            if not column.required:
                filled = lengths(numbers.dictionary)[index] > 0
                filled |= np.full(n, len(types.dictionary[0].as_py()) > 0)
        else:
            types, numbers = _decoded(types), _decoded(numbers)
            persons = self._roster.name(types, numbers)
            filled = (lengths(types) > 0) | (lengths(numbers) > 0)
        ok = persons.ok.copy()
        if not column.required:
            ok |= ~filled
        return Checked(_key_array(persons.column, persons.ok), ok), persons

    def _across(self, stored: dict[str, Checked], n: int) -> NDArray[np.bool_]:
        """(n,) rows whose cells agree with each other; may say no where `plain` says yes, never the reverse."""
        ok = np.ones(n, np.bool_)
        kind = self.layout.kind
        for start, end in kind.spans:
            if start in stored and end in stored:
                backwards = pc.less(stored[end].values, stored[start].values)
                ok &= ~pc.fill_null(backwards, False).to_numpy(zero_copy_only=False)
        for group in kind.either:
            filled = np.zeros(n, np.bool_)
            for name in group:
                if name in stored:
                    filled |= stored[name].values.is_valid().to_numpy(zero_copy_only=False)
            ok &= filled
        persons = [c.name for c in kind.columns if c.type is Type.PERSON and c.name in stored]
        for other in persons[1:]:
            same = pc.equal(stored[persons[0]].values, stored[other].values)
            ok &= ~pc.fill_null(same, False).to_numpy(zero_copy_only=False)
        if kind.name == "clearances":
            ok[:] = False  # few rows, and what two names have in common is for `plain` to say
        return ok

    def _secrets(
        self, named: list[tuple[Column, Named]], hidden: dict[str, pa.Array], accepted: NDArray[np.bool_]
    ) -> list[pa.RecordBatch]:
        """Every document number of the accepted rows once; with names and phones, once for each that differs."""
        made = []
        for column, persons in named:
            types, numbers = persons.documents()
            if column.name == "person" and hidden:
                rows = pa.array(np.flatnonzero(accepted))
                who = persons.which[accepted]
                name, phone = (hidden[n].take(rows) if n in hidden else None for n in ("name", "phone"))
            else:
                who = self._roster.unsealed(persons, accepted)
                name = phone = None
            nothing = pa.nulls(len(who), pa.string())
            at = pa.array(who)
            keys = _key_array(persons.keys[who], np.ones(len(who), np.bool_))
            columns = [keys, types.take(at), numbers.take(at), name or nothing, phone or nothing]
            made.append(pa.record_batch(columns, schema=SECRETS))
        return made


def _secrets_batch(rows: list[Secret]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(SECRETS)
    return pa.record_batch(
        [pa.array(values, f.type) for values, f in zip(columns, SECRETS, strict=True)], schema=SECRETS
    )


def _assembled(kind: Kind, stored: dict[str, Checked], ok: NDArray[np.bool_]) -> pa.RecordBatch:
    n = int(ok.sum())
    keep = None if n == len(ok) else pa.array(ok)
    defaults = {c.name: c.default for c in kind.columns} | {"document_version": 0}
    arrays = []
    for field in kind.schema:
        if field.name in stored:
            values = stored[field.name].values
            arrays.append(values if keep is None else values.filter(keep))
        else:
            arrays.append(pa.repeat(pa.scalar(defaults.get(field.name), field.type), n))
    return pa.record_batch(arrays, schema=kind.schema)


def _decoded(array: pa.Array) -> pa.StringArray:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _by_dictionary(array: pa.Array, check: Callable[[pa.Array], Checked]) -> Checked:
    """`check` on the values of a dictionary instead of on the rows, where that is fewer."""
    if not pa.types.is_dictionary(array.type):
        return check(array)
    if len(array.dictionary) > len(array):
        return check(array.dictionary_decode())
    few = check(array.dictionary)
    return Checked(few.values.take(array.indices), few.ok[array.indices.to_numpy()])


def _key_array(keys: NDArray[np.uint8], valid: NDArray[np.bool_]) -> pa.Array:
    bits = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    content = pa.py_buffer(np.ascontiguousarray(keys))
    return pa.Array.from_buffers(pa.binary(KEY_BYTES), len(valid), [bits, content])


def _hex_keys(texts: pa.StringArray, column: Column) -> Checked:
    n = len(texts)
    keys, ok = np.zeros((n, KEY_BYTES), np.uint8), np.zeros(n, np.bool_)
    rows, text = matrix(texts, 2 * KEY_BYTES)
    nibble = np.full(256, 255, np.uint8)
    nibble[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
    nibble[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)
    digits = nibble[text]
    ok[rows] = (digits < 16).all(axis=0)
    keys[rows] = ((digits[::2] << 4) | (digits[1::2] & 15)).T
    return Checked(_key_array(keys, ok), ok if column.required else ok | (lengths(texts) == 0))


def _column(texts: pa.Array, column: Column, limits: Limits) -> Checked:
    """One column of texts (or of seconds, for times) in canonical form."""
    if pa.types.is_integer(texts.type):  # seconds, from a form that knows times
        seconds = pc.fill_null(texts, 0).to_numpy()
        valid = texts.is_valid().to_numpy(zero_copy_only=False)
        inside = valid & (seconds >= FIRST_MOMENT) & (seconds < END_MOMENT)
        return Checked(texts, inside if column.required else inside | ~valid)
    size = lengths(texts)
    empty = size == 0
    if column.type is Type.TEXT and not column.choices:
        ok = _clean(texts, size, limits)
        values = texts
        if column.required:
            ok &= ~empty
        elif empty.any():
            values = pc.if_else(pa.array(empty), pa.scalar(None, pa.string()), texts)
        return Checked(values, ok)
    if column.type is Type.TEXT:
        ok = pc.is_in(texts, pa.array(column.choices)).to_numpy(zero_copy_only=False)
        found: pa.Array = texts
    elif column.type is Type.TIME:
        numbers, ok = _times(texts)
        found = pa.array(numbers)
    elif column.type is Type.DATE:
        days, ok = _dates(texts)
        found = pa.array(days.astype(np.int32))
    elif column.type is Type.REAL:
        found, ok = _reals(texts, column, limits)
    else:
        return _few_distinct(texts, column, limits)
    return Checked(pc.if_else(pa.array(ok), found, pa.scalar(None, found.type)) if not ok.all() else found,
                   ok if column.required else ok | empty)  # fmt: skip


def _clean(texts: pa.StringArray, size: NDArray[np.int32], limits: Limits) -> NDArray[np.bool_]:
    """(n,) texts that are short enough, hold no control character, and are not blank."""
    ok: NDArray[np.bool_] = size <= limits.value_bytes
    offsets, content = parts(texts)
    span = content[offsets[0] : offsets[-1]]
    if len(span) and (int(span.min()) < 32 or (span == 127).any()):
        control = (span < 32) & (span != 9) & (span != 10) & (span != 13) | (span == 127)
        ok[np.searchsorted(offsets, np.flatnonzero(control) + offsets[0], side="right") - 1] = False
    filled = np.flatnonzero(size > 0)
    perhaps = filled[_SPACES[content[offsets[filled]]]]
    if len(perhaps):
        blank = pc.utf8_is_space(texts.take(pa.array(perhaps))).to_numpy(zero_copy_only=False)
        ok[perhaps[blank]] = False
    return ok


def _few_distinct(texts: pa.StringArray, column: Column, limits: Limits) -> Checked:
    """Truth values and whole numbers: few distinct texts, each read by `text_value`; beyond 4,096 left to `plain`."""
    encoded = texts.dictionary_encode()
    distinct = encoded.dictionary.slice(0, 4_096).to_pylist()
    values: list[Any] = [None] * len(encoded.dictionary)
    ok = np.zeros(len(encoded.dictionary), np.bool_)
    for i, text in enumerate(distinct):
        try:
            values[i], ok[i] = text_value(column, text, limits), True
        except Refused:
            continue
    return Checked(pa.array(values, column.type.arrow).take(encoded.indices), ok[encoded.indices.to_numpy()])


def _reals(texts: pa.StringArray, column: Column, limits: Limits) -> tuple[pa.Array, NDArray[np.bool_]]:
    canonical = pc.match_substring_regex(
        texts, rf"^-?[0-9]{{1,{limits.digits}}}(\.[0-9]{{1,{limits.digits}}})?$"
    )
    ok = canonical.to_numpy(zero_copy_only=False) & (lengths(texts) <= 2 * limits.digits + 2)
    found = pc.if_else(pa.array(ok), texts, "0").cast(pa.float64())
    low, high = RANGES.get(column.name, (-math.inf, math.inf))
    numbers = found.to_numpy()
    return found, ok & (numbers >= low) & (numbers <= high)


_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


def _two(text: NDArray[np.uint8], at: int) -> NDArray[np.int64]:
    tens: NDArray[np.int64] = (text[at] * np.uint8(10) + text[at + 1]).astype(np.int64)
    return tens


def _days(digits: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(days since 1970, is a calendar day) from digit values at the places of YYYY-MM-DD. Years 1900 to 2200."""
    year, month, day = _two(digits, 0) * 100 + _two(digits, 2), _two(digits, 5), _two(digits, 8)
    known = (month >= 1) & (month <= 12) & (year >= FIRST_YEAR) & (year <= LAST_YEAR)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    longest = _MONTH_DAYS[np.where(known, month, 0)] + (leap & (month == 2))
    # Days from civil: the year begins in March, so that the leap day is its last.
    shifted = year - (month <= 2)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    number = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    return number, known & (day >= 1) & (day <= longest)


def _dates(texts: pa.StringArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    values, ok = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.bool_)
    rows, text = matrix(texts, 10)
    if len(rows):
        digits = text - np.uint8(48)
        numbers = (digits[[0, 1, 2, 3, 5, 6, 8, 9]] <= 9).all(axis=0) & (text[4] == 45) & (text[7] == 45)
        values[rows], good = _days(digits)
        ok[rows] = good & numbers
    return values, ok


# The layouts in which programs write a time: 0 stands for a digit, + for either sign, T for itself or a blank.
_LAYOUTS = [
    clock + offset
    for clock in (
        "0000-00-00T00:00",
        "0000-00-00T00:00:00",
        "0000-00-00T00:00:00.000",
        "0000-00-00T00:00:00.000000",
    )
    for offset in ("Z", "+00:00", "+0000")
]
_EITHER = {"T": b"T ", "+": b"+-"}


def _times(texts: pa.StringArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Seconds since 1970 of times in one of `_LAYOUTS`; fractions of a second are cut off."""
    values, ok = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.bool_)
    present = set(np.unique(lengths(texts)).tolist())
    for layout in _LAYOUTS:
        if len(layout) not in present:
            continue
        rows, text = matrix(texts, len(layout))
        digits = text - np.uint8(48)
        good = (digits[[i for i, c in enumerate(layout) if c == "0"]] <= 9).all(axis=0)
        for i, c in enumerate(layout):
            if c in _EITHER:
                good &= (text[i] == _EITHER[c][0]) | (text[i] == _EITHER[c][1])
            elif c != "0":
                good &= text[i] == ord(c)
        days, calendar = _days(digits)
        hour, minute = _two(digits, 11), _two(digits, 14)
        second = _two(digits, 17) if layout[16] == ":" else np.zeros(len(rows), np.int64)
        good &= calendar & (hour <= 23) & (minute <= 59) & (second <= 59)
        number = days * 86_400 + hour * 3_600 + minute * 60 + second
        sign = layout.find("+")
        if sign > 0:
            east, past = _two(digits, sign + 1), _two(digits, len(layout) - 2)
            good &= (east <= 23) & (past <= 59)
            ahead = east * 3_600 + past * 60
            number -= np.where(text[sign] == ord("+"), ahead, -ahead)
        values[rows[good]] = number[good]
        ok[rows[good]] = True
    return values, ok

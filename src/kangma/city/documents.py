"""Documents on their way: what has been reported on which day, as tables of the outer form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from kangma.city.atlas import DAY, NEVER
from kangma.city.columns import MOMENT, dates, moments
from kangma.city.people import PAPERS, Population
from kangma.intake.kinds import KINDS, Column, Kind, Type

Columns = dict[
    str, Any
]  # stored column name → (n,) array, list or Arrow array; persons as numbers, -1 for none


class Outbox:
    """Rows by kind and day of arrival. What arrives after the last day never arrives; what is older, on the first."""

    def __init__(self, days: int, zero: int, people: Population) -> None:
        self.days, self.zero = days, zero
        self._rows: list[dict[str, list[dict[str, Any]]]] = [{} for _ in range(days)]
        self._columns: list[dict[str, list[Columns]]] = [{} for _ in range(days)]
        self._types = pa.array(PAPERS).take(pa.array(people.paper))
        self._numbers = people.id_number

    def put(self, kind: str, arrives: int, /, **row: Any) -> None:
        """One document; `arrives` in seconds since the first midnight, as are its times. Missing columns are null."""
        day = max(0, arrives // DAY)
        if day < self.days:
            self._rows[day].setdefault(kind, []).append(row)

    def put_columns(self, kind: str, day: int, columns: Columns) -> None:
        """Many documents that arrive on one day; none leave no trace."""
        if max(0, day) < self.days and len(next(iter(columns.values()))):
            self._columns[max(0, day)].setdefault(kind, []).append(columns)

    def take(self, day: int) -> dict[str, pa.Table]:
        """All that arrives on a day, by kind in the order of the kinds' list; an empty kind is left out."""
        out = {}
        for kind in KINDS.values():
            parts = list(self._columns[day].get(kind.name, []))
            rows = self._rows[day].get(kind.name)
            if rows:
                names = {name for row in rows for name in row}
                parts.append({name: [row.get(name) for row in rows] for name in sorted(names)})
            if parts:
                out[kind.name] = pa.concat_tables([self.table(kind, part) for part in parts]).combine_chunks()
        return out

    def table(self, kind: Kind, columns: Columns) -> pa.Table:
        """Columns as the outer table of their kind, every column present."""
        n = len(next(iter(columns.values())))
        fields: dict[str, Any] = {
            "document_id": _text(columns.get("document_id"), n),
            "document_version": pa.array(_filled(columns.get("document_version"), n, 0), type=pa.int64()),
        }
        for column in kind.columns:
            given = columns.get(column.name)
            if column.type is Type.PERSON:
                number = np.asarray(_filled(given, n, -1), dtype=np.int32)
                index = pa.array(number, mask=number < 0)
                outer_type, outer_number = column.outer_names
                fields[outer_type], fields[outer_number] = self._types.take(index), self._numbers.take(index)
            else:
                fields[column.outer_names[0]] = self._column(column, given, n)
        return pa.table(fields)

    def _column(self, column: Column, given: Any, n: int) -> pa.Array:
        if column.type is Type.TEXT:
            return _text(given, n)
        if column.type is Type.TIME:
            seconds = np.asarray(_filled(given, n, int(NEVER)), dtype=np.int64)
            return moments(seconds, self.zero, seconds == NEVER)
        if given is None:
            return pa.nulls(n, outer_type(column))
        if column.type is Type.DATE:
            return dates(np.asarray(given))
        return pa.array(given, type=outer_type(column))


def outer_type(column: Column) -> pa.DataType:
    """The Arrow type in which the city writes a column that names no person."""
    return {
        Type.TEXT: pa.string(),
        Type.TIME: MOMENT,
        Type.DATE: pa.date32(),
        Type.INT: pa.int64(),
        Type.REAL: pa.float64(),
        Type.BOOL: pa.bool_(),
    }[column.type]


def _filled(given: Any, n: int, default: int) -> Any:
    if given is None:
        return np.full(n, default, dtype=np.int64)
    if isinstance(given, list):
        return [default if value is None else value for value in given]
    return given


def _text(given: Any, n: int) -> pa.Array:
    if given is None:
        return pa.nulls(n, pa.string())
    return given if isinstance(given, pa.Array) else pa.array(given, type=pa.string())

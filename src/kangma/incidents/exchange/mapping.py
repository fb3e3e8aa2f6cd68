"""CSV of other databases, through a mapping file that its user writes (TOML): which column is which field.

    format = 1
    language = "en"                       # of texts without a language of their own
    [id]
    column = "Ref"                        # its letters and digits, lower case, become the id
    prefix = "eurepoc"
    [fields]
    "victim.name" = "Receiver name"
    "victim.country" = { column = "Receiver country", values = { "China" = "CN", "Germany" = "DE" } }
    "date" = { column = "Start date", form = "%d.%m.%Y" }
    "summary" = "Title"
    "kinds" = { column = "Type", split = ";", values = { "DDoS" = "denial-of-service" }, otherwise = "other" }
    "sources[].url" = { column = "Links", split = " " }
    [fixed]
    "certainty" = "confirmed"
    [ignore]
    columns = ["Internal note"]           # left out on purpose

A column that the file does not name, and a value that `values` does not know, are reported and never guessed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from datetime import datetime
from typing import Any, get_args, get_origin, get_type_hints

from kangma.errors import Code, Refused, Where
from kangma.incidents import canonical
from kangma.incidents.exchange.report import MOST_RECORDS, Entry, Taken
from kangma.incidents.exchange.tables import cells_of, plain
from kangma.incidents.form import from_json
from kangma.incidents.levels import Seen
from kangma.incidents.record import FIELDS, Record
from kangma.incidents.words import Dated, Words

_PATH = re.compile(r"[a-z_]+(\[\])?(\.[a-zA-Z_-]+)*", re.ASCII)
_WORDS = (
    "summary", "description", "victim.place", "victim.names", "location.place", "confidentiality.note",
    "integrity.note", "availability.note", "impact[].what", "kept_working[].what", "actions[].what", "motives[].note",
    "techniques[].note", "actors[].note", "actors[].place", "related[].note",
)  # fmt: skip
_LISTS = ("kinds",)


@dataclass(frozen=True, slots=True)
class Column:
    """How one field is read from a column."""

    column: str
    values: Mapping[str, str]
    otherwise: str | None
    split: str
    form: str


@dataclass(frozen=True, slots=True)
class Columns:
    language: str
    id: Column
    prefix: str
    fields: Mapping[str, Column]
    fixed: Mapping[str, str]
    ignored: frozenset[str]


def load(text: str) -> Columns:
    """The mapping that a TOML text says. Refused (bad_value) with the name of what is wrong."""
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise Refused(Code.BAD_VALUE, hint=f"not TOML: {problem}"[:200]) from None
    for key in value:
        if key not in ("format", "language", "id", "fields", "fixed", "ignore"):
            raise Refused(Code.UNKNOWN_COLUMN, Where(path=key[:60]), "not a part of a mapping file")
    if value.get("format") != 1:
        raise Refused(Code.NOT_IN_LIST, Where(path="format"), "1")
    try:
        fields = {path: _column(path, said) for path, said in dict(value.get("fields", {})).items()}
        fixed = {path: str(said) for path, said in dict(value.get("fixed", {})).items()}
        identity = dict(value.get("id", {}))
        ignored = frozenset(str(x) for x in dict(value.get("ignore", {})).get("columns", ()))
    except (TypeError, ValueError):
        raise Refused(Code.BAD_VALUE, hint="fields, fixed, id and ignore are tables") from None
    for path in (*fields, *fixed):
        if not _PATH.fullmatch(path) or not _is_field(path):
            raise Refused(
                Code.BAD_VALUE, Where(path=path[:60]), "a field such as victim.name or sources[].url"
            )
    prefix = str(identity.pop("prefix", ""))
    return Columns(str(value.get("language", "en")), _column("id", identity), prefix, fields, fixed, ignored)


def _is_field(path: str) -> bool:
    """Whether a record has a field of text at this path, `[]` standing for any item of its list."""
    kind: Any = Record
    steps = path.split(".")
    for i, step in enumerate(steps):
        name, rest = step.removesuffix("[]"), len(steps) - i - 1
        hint = get_type_hints(kind).get(name) if name != "id" or kind is not Record else None
        hint = next(
            (a for a in get_args(hint) if is_dataclass(a)), hint
        )  # of a list its items, of what may be None it
        if name == "levels":
            return rest == 1 and steps[-1] in FIELDS
        if hint is Words:
            return rest <= 1
        if not is_dataclass(hint) or hint is Dated:
            return hint is not None and rest == 0
        if (get_origin(get_type_hints(kind)[name]) is tuple) != step.endswith("[]"):
            return False
        kind = hint
    return False


def _column(path: str, said: Any) -> Column:
    if isinstance(said, str):
        said = {"column": said}
    if not isinstance(said, dict) or not isinstance(said.get("column"), str):
        raise Refused(Code.BAD_VALUE, Where(path=path[:60]), "the name of a column, or a table with `column`")
    for key, kind in (("values", dict), ("otherwise", str), ("split", str), ("form", str)):
        if key in said and not isinstance(said[key], kind):
            raise Refused(Code.BAD_VALUE, Where(path=f"{path[:60]}.{key}"))
    values = {str(k).strip().casefold(): str(v) for k, v in said.get("values", {}).items()}
    return Column(said["column"], values, said.get("otherwise"), said.get("split", ""), said.get("form", ""))


def read(content: bytes, mapping: Columns) -> Taken:
    """The rows of a CSV file as records. Refused whole: no_header; missing_column for one that the mapping names."""
    taken = Taken()
    lines = cells_of(canonical.text_of(content))
    first = next(lines, None)
    if first is None:
        raise Refused(Code.NO_HEADER)
    header = [name.strip() for name in first[1]]
    wanted = {mapping.id.column, *(c.column for c in mapping.fields.values())}
    for name in sorted(wanted - set(header)):
        raise Refused(Code.MISSING_COLUMN, Where(column=name[:60]))
    for name in header:
        if name not in wanted and name not in mapping.ignored:
            taken.note(f"column {name[:60]}", "the mapping file does not name it")
    for n, (where, cells) in enumerate(lines):
        if n >= MOST_RECORDS:
            raise Refused(Code.TOO_MANY_ROWS, hint=f"at most {MOST_RECORDS}")
        try:
            if len(cells) != len(header):
                raise Refused(Code.WRONG_FIELD_COUNT)
            row = {name: plain(cell).strip() for name, cell in zip(header, cells, strict=True)}
            taken.take(where, Entry(Seen(from_json(_value(row, mapping, taken, where)), True, {}), 0, 0))
        except Refused as problem:
            taken.refuse(where, problem)
    return taken


def _value(row: Mapping[str, str], mapping: Columns, taken: Taken, where: str) -> dict[str, Any]:
    named = re.sub(r"[^a-z0-9]+", "-", row[mapping.id.column].lower()).strip("-")
    if not named:
        raise Refused(Code.MISSING_VALUE, Where(path="id"), "the column that names the record is empty")
    value: dict[str, Any] = {"id": f"{mapping.prefix}-{named}" if mapping.prefix else named}
    for path, column in mapping.fields.items():
        cell = row[column.column]
        parts = [p.strip() for p in cell.split(column.split)] if column.split else [cell]
        read = [found for part in parts if part and (found := _one(part, column, taken, where)) is not None]
        if read:
            _put(value, path, read, mapping.language)
    for path, text in mapping.fixed.items():
        _put(value, path, [text], mapping.language)
    return value


def _one(text: str, column: Column, taken: Taken, where: str) -> str | None:
    if column.values:
        known = column.values.get(text.casefold(), column.otherwise)
        if text.casefold() not in column.values:
            left = "left out" if known is None else f"taken as {known}"
            taken.note(
                f"{where}, {column.column[:60]}", f"a value that the mapping file does not know: {left}"
            )
        return known
    if column.form:
        try:
            return datetime.strptime(text, column.form).date().isoformat()
        except ValueError:
            raise Refused(Code.BAD_DATE, Where(column=column.column[:60]), "not of the form given") from None
    return text


def _put(value: dict[str, Any], path: str, texts: list[str], language: str) -> None:
    """Texts at a path: the first of them, or one item each of a list."""
    name, _, inner = path.partition("[]")
    if _ and inner:
        listed = value.setdefault(name, [])
        for i, text in enumerate(texts):
            if i == len(listed):
                listed.append({})
            _set(listed[i], inner.lstrip("."), text, language if path in _WORDS else "")
    elif name in _LISTS:
        value.setdefault(name, []).extend(t for t in dict.fromkeys(texts) if t not in value.get(name, []))
    else:
        _set(
            value, path, texts[0] if len(texts) == 1 else "; ".join(texts), language if path in _WORDS else ""
        )


def _set(inside: dict[str, Any], path: str, text: str, language: str) -> None:
    *outer, last = [*path.split("."), *([language] if language else [])]
    for step in outer:
        inside = inside.setdefault(step, {})
    inside[last] = text

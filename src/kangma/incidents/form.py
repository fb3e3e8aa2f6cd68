"""A record as JSON and back. The annotations of `record.py` are the schema; this module walks them.

Reading collects every fault and then refuses once (`BadRecord`), so that a form can mark all its fields. A fault says
where and which rule; never what was sent, since it may be for members only.
"""

from __future__ import annotations

import hashlib
import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import StrEnum
from functools import cache, partial
from typing import Any, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from kangma.errors import Code, Refused, Where
from kangma.incidents import attack, canonical
from kangma.incidents.record import FIELDS, ITEMS, Record
from kangma.incidents.vocabulary import COUNTRIES, SEVERAL_COUNTRIES, UNKNOWN_COUNTRY, Level
from kangma.incidents.words import TAG, Dated, Words, tidy

FORMAT = "kangma-incident/1"
MOST_FAULTS = 100
_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,78}[a-z0-9])?", re.ASCII)
_DECIMAL = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,4})?", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_HOST = re.compile(r"[^\s/?#@\\]+(:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a record: `path` such as `sources[0].url`."""

    path: str
    code: Code
    hint: str = ""


class BadRecord(Refused):
    """A record that cannot be taken, with everything that is wrong with it (100 faults at most)."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        first = faults[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(first.code, Where(path=first.path), first.hint + more)

    def __reduce__(self) -> tuple[type[BadRecord], tuple[tuple[Fault, ...]]]:  # type: ignore[override]  # pickle takes any tuple
        return (BadRecord, (self.faults,))


# Writing


def to_json(record: Record) -> dict[str, Any]:
    """The record as JSON values. What says nothing (its default) is left out, so that unknown and unsaid are one."""
    return {"format": FORMAT, **_plain(record)}


def _plain(item: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for f in fields(item):
        value = getattr(item, f.name)
        if value == _default(f):
            continue
        written = _written(value)
        if written not in ({}, []) or f.name in ("victim", "location", "picture"):
            made[f.name] = written
    return made


def _written(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Words):
        return dict(value.pairs)
    if isinstance(value, Dated):
        return value.text
    if isinstance(value, tuple):
        return [_written(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _written(v) for k, v in sorted(value.items()) if v is not Level.PUBLIC}
    if is_dataclass(value):
        return _plain(value)
    return value


def _default(f: Field[Any]) -> Any:
    if f.default is not MISSING:
        return f.default
    return f.default_factory() if f.default_factory is not MISSING else MISSING


def encode(record: Record) -> bytes:
    """The canonical bytes of a record: equal records, equal bytes."""
    return canonical.dumps(to_json(record))


def digest(record: Record) -> str:
    """SHA-256 of the canonical bytes, hex. Of a stranger's view only: what members see is guessable, hence salted in
    `statement.py`."""
    return hashlib.sha256(encode(record)).hexdigest()


# Reading


def decode(content: bytes) -> Record:
    """The record in canonical or other JSON bytes. Refused as by `canonical.loads` and `from_json`."""
    return from_json(canonical.loads(content))


def from_json(value: Any, *, known: Mapping[str, attack.Entry] = attack.TABLE) -> Record:
    """The record that a JSON value says. Raises BadRecord with all faults. `known` are the techniques with names."""
    reader = _Reader(known)
    if not isinstance(value, Mapping):
        raise BadRecord((Fault("", Code.BAD_VALUE, "a record is an object"),))
    if value.get("format", FORMAT) != FORMAT:
        raise BadRecord((Fault("format", Code.NOT_IN_LIST, FORMAT),))
    made = reader.dataclass(Record, {k: v for k, v in value.items() if k != "format"}, "")
    if made is not None:
        reader.whole(made)
    if reader.faults:
        raise BadRecord(tuple(reader.faults[:MOST_FAULTS]))
    assert isinstance(made, Record)
    return made


@cache
def _schema(kind: type) -> tuple[tuple[Field[Any], Any], ...]:
    hints = get_type_hints(kind)
    return tuple((f, hints[f.name]) for f in fields(kind))


class _Reader:
    def __init__(self, known: Mapping[str, attack.Entry]) -> None:
        self.known, self.faults = known, list[Fault]()

    def fault(self, path: str, code: Code, hint: str = "") -> None:
        self.faults.append(Fault(path, code, hint))

    def dataclass(self, kind: type, value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            return self.fault(path, Code.BAD_VALUE, "an object")
        known = {f.name: (f, hint) for f, hint in _schema(kind)}
        for name in value:
            if name not in known:
                self.fault(path or "record", Code.UNKNOWN_COLUMN, "a field that a record does not have")
        made: dict[str, Any] = {}
        before = len(self.faults)
        for name, (f, hint) in known.items():
            if name in value and value[name] is not None:
                made[name] = self.value(hint, value[name], f"{path}.{name}" if path else name, f)
        return kind(**made) if len(self.faults) == before else None

    def value(self, hint: Any, value: Any, path: str, f: Field[Any]) -> Any:
        if get_origin(hint) in (Union, types.UnionType):
            hint = next(a for a in get_args(hint) if a is not type(None))
        if get_origin(hint) is tuple:
            return self.items(get_args(hint)[0], value, path, f)
        if path == "levels":
            return self.levels(value)
        if hint is Words:
            return self.words(value, path, f)
        if is_dataclass(hint) and hint is not Dated:
            made = self.dataclass(hint, value, path)  # type: ignore[arg-type]  # a class, as asked above
            return None if f.default is None and made == hint() else made  # type: ignore[operator]  # as above
        if not isinstance(value, str):
            return self.fault(path, Code.BAD_VALUE, "a text")
        if isinstance(hint, type) and issubclass(hint, StrEnum):
            return self.enumerated(hint, value, path)
        if hint is Dated:
            return self.kept(path, lambda: Dated.parse(value))
        assert hint is str
        return self.text(value, path, f)

    def kept(self, path: str, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except Refused as problem:
            return self.fault(path, problem.code, problem.hint)

    def items(self, kind: Any, value: Any, path: str, f: Field[Any]) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            self.fault(path, Code.BAD_VALUE, "a list")
            return ()
        if len(value) > ITEMS:
            self.fault(path, Code.TOO_MANY_ROWS, f"at most {ITEMS}")
            return ()
        made = tuple(self.value(kind, item, f"{path}[{i}]", f) for i, item in enumerate(value))
        if isinstance(kind, type) and issubclass(kind, StrEnum) and len(set(made)) != len(made):
            self.fault(path, Code.DUPLICATE_COLUMN, "a term is there twice")
        return made

    def levels(self, value: Any) -> dict[str, Level]:
        if not isinstance(value, Mapping):
            self.fault("levels", Code.BAD_VALUE, "an object")
            return {}
        for name in value:
            if name not in FIELDS:
                self.fault("levels", Code.UNKNOWN_COLUMN, "a level of a field that a record does not have")
        found = {
            name: self.enumerated(Level, level, f"levels.{name}")
            for name, level in sorted(value.items())
            if name in FIELDS
        }
        return {name: level for name, level in found.items() if level is Level.MEMBER}

    def enumerated(self, kind: type[StrEnum], value: Any, path: str) -> Any:
        try:
            return kind(value)
        except ValueError:
            return self.fault(path, Code.NOT_IN_LIST, ", ".join(kind))

    def words(self, value: Any, path: str, f: Field[Any]) -> Any:
        if not isinstance(value, Mapping) or not all(isinstance(t, str) for t in value.values()):
            return self.fault(path, Code.BAD_VALUE, "an object of language tags and texts")
        most = f.metadata["most"]
        kept: dict[str, str] = {}
        for tag, text in value.items():
            inner = f"{path}.{tag}" if TAG.fullmatch(tag) else path
            kept[tag] = self.kept(inner, partial(tidy, text, most, lines=True))
        return self.kept(path, lambda: Words.of({tag: t for tag, t in kept.items() if t}))

    def text(self, value: str, path: str, f: Field[Any]) -> Any:
        made = self.kept(path, lambda: tidy(value, f.metadata["most"]))
        if not made:
            return made
        form = f.metadata.get("form", "")
        problem = CHECKS[form](made) if form else None
        if problem:
            self.fault(path, *problem)
        return made

    def whole(self, record: Record) -> None:
        """What no field shows alone."""
        if not record.id:
            self.fault("id", Code.MISSING_VALUE, "lower case letters, digits and hyphens")
        for name, needed in NEEDED.items():
            for i, item in enumerate(getattr(record, name)):
                if not any(getattr(item, part) for part in needed):
                    self.fault(f"{name}[{i}]", Code.MISSING_VALUE, " or ".join(needed))
        for i, technique in enumerate(record.techniques):
            entry = self.known.get(technique.id)
            if entry and technique.name not in ("", entry.name):
                self.fault(f"techniques[{i}].name", Code.NOT_IN_LIST, "the name that ATT&CK gives this id")
        for i, other in enumerate(record.related):
            if other.id == record.id:
                self.fault(f"related[{i}].id", Code.BAD_VALUE, "a record is not related to itself")
        if record.picture and not (record.picture.digest and record.picture.type and record.picture.alt):
            self.fault("picture", Code.MISSING_VALUE, "digest, type and alt")


#: Item → at least one of these must say something.
NEEDED = {
    "techniques": ("id",),
    "impact": ("value",),
    "kept_working": ("what",),
    "actions": ("what",),
    "related": ("id",),
    "sources": ("title", "url"),
}


def _url(text: str) -> tuple[Code, str] | None:
    try:
        parts = urlsplit(text)
        sound = (
            parts.scheme in ("http", "https")
            and bool(_HOST.fullmatch(parts.netloc))
            and not re.search(r"[\s<>\"{}|\\^`]", text)
        )
    except ValueError:
        sound = False
    return None if sound else (Code.BAD_VALUE, "an http or https address without a user name")


def _matches(pattern: re.Pattern[str], code: Code, hint: str) -> Callable[[str], tuple[Code, str] | None]:
    return lambda text: None if pattern.fullmatch(text) else (code, hint)


CHECKS: Mapping[str, Callable[[str], tuple[Code, str] | None]] = {
    "id": _matches(_ID, Code.BAD_VALUE, "lower case letters, digits and hyphens, at most 80"),
    "technique": _matches(attack.ID, Code.BAD_VALUE, "an ATT&CK id such as T1498 or T1498.001"),
    "decimal": _matches(_DECIMAL, Code.BAD_NUMBER, "a decimal number such as 1400000 or 0.7"),
    "sha256": _matches(_SHA256, Code.BAD_VALUE, "64 digits of SHA-256, lower case"),
    "url": _url,
    "country": lambda text: (
        None
        if text in COUNTRIES or text in (UNKNOWN_COUNTRY, SEVERAL_COUNTRIES)
        else (Code.NOT_IN_LIST, "two capital letters of ISO 3166-1, several, or unknown")
    ),
    "picture": lambda text: (
        None
        if text in ("image/png", "image/jpeg", "image/webp")
        else (Code.NOT_IN_LIST, "image/png, image/jpeg, image/webp")
    ),
}


def named(record: Record, known: Mapping[str, attack.Entry] = attack.TABLE) -> Iterator[tuple[str, str]]:
    """(id, name) of each technique, the table's name where the record says none."""
    for technique in record.techniques:
        entry = known.get(technique.id)
        yield technique.id, technique.name or (entry.name if entry else "")


def complete(record: Record) -> tuple[Fault, ...]:
    """What a draft still lacks before it may be reviewed: whom, when, a sentence in both languages, and a source."""
    lacking = []
    if not record.victim or not (record.victim.name or record.victim.names):
        lacking.append(Fault("victim.name", Code.MISSING_VALUE, "whom it happened to"))
    if record.date is None:
        lacking.append(Fault("date", Code.MISSING_VALUE, "when, as exactly as is known"))
    for tag in ("zh", "en"):
        if not record.summary.get(tag):
            lacking.append(
                Fault(f"summary.{tag}", Code.MISSING_VALUE, "a sentence in Chinese and in English")
            )
    if not record.sources:
        lacking.append(Fault("sources", Code.MISSING_VALUE, "at least one source"))
    return tuple(lacking)

"""A record as a form without scripts, and what such a form sent as the JSON of a record again.

The form is walked out of `kangma.incidents.record`, as `kangma.incidents.form` walks it to read: a field that is added
there is here too. It works on JSON values and not on records, so that what does not fit yet is not lost: it comes back
as it was typed, marked where it is wrong. Names of inputs are the paths of `form.Fault`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from kangma.errors import Code, Where
from kangma.gateway.register import atlas, wording
from kangma.gateway.register.problems import BadRequest
from kangma.incidents.form import Fault
from kangma.incidents.record import FIELDS, NAME, Record
from kangma.incidents.vocabulary import COUNTRIES, Level
from kangma.incidents.words import Dated, Words

MOST_FIELDS = (
    30_000  # inputs of one form: more than the fullest record has, a hundred of each item in twenty languages
)
BLANK = 1  # empty rows that a list offers
#: What a row of a list says besides its fields: that it was there, and that it is to stay.
_WAS, _KEEP = "was", "keep"


@dataclass(frozen=True, slots=True)
class Box:
    """One input. `kind`: line, area, choice, checks. `value` is the text, or for checks all that are chosen."""

    kind: str
    name: str
    label: str
    value: Any
    options: Sequence[tuple[str, str]] = ()
    faults: Sequence[str] = ()
    hint: str = ""
    lang: str = ""  # of the text in it
    most: int = NAME  # characters that the record takes

    @property
    def room(self) -> int:
        """Characters that a browser lets in: more than are taken, so that nothing is cut off in silence and then saved,
        and so few that a form does not outgrow what is read."""
        return 4 * self.most

    @property
    def id(self) -> str:
        return identifier(self.name)


@dataclass(frozen=True, slots=True)
class Group:
    """Inputs that belong together; `row` for an item of a list that is there and may be taken out."""

    name: str
    label: str
    items: Sequence[Any]  # Box | Group
    faults: Sequence[str] = ()
    row: bool = False

    @property
    def id(self) -> str:
        return f"g{identifier(self.name)}"


def identifier(path: str) -> str:
    """A path as the id of an element."""
    return "f-" + re.sub(r"[^a-zA-Z0-9]+", "-", path).strip("-")


def form_of(
    value: Mapping[str, Any], lang: str, faults: Iterable[Fault] = (), *, with_id: bool
) -> list[Group]:
    """The form of a record's JSON, a group a field, in the order in which people read them."""
    by_path: dict[str, list[str]] = {}
    for fault in faults:
        by_path.setdefault(fault.path, []).append(wording.fault(fault.code, fault.hint, lang))
    walker = _Walker(lang, by_path)
    groups = []
    if with_id:
        label = "编号，也是地址的一部分" if lang == "zh" else "Id, a part of the address"
        hint = "小写字母、数字和连字符，例如 2022-04-28-jiankangbao" if lang == "zh" else (
            "Lower case letters, digits and hyphens, such as 2022-04-28-jiankangbao"
        )  # fmt: skip
        box = Box("line", "id", label, _text(value.get("id")), faults=by_path.get("id", ()), hint=hint)
        groups.append(Group("id", wording.field("id", lang), [box]))
    hints = get_type_hints(Record)
    for f in fields(Record):
        if f.name in FIELDS:
            groups.append(walker.top(f, hints[f.name], value.get(f.name), value.get("levels") or {}))
    return groups


class _Walker:
    def __init__(self, lang: str, faults: Mapping[str, Sequence[str]]) -> None:
        self.lang, self.faults = lang, faults

    def top(self, f: Field[Any], hint: Any, value: Any, levels: Mapping[str, str]) -> Group:
        made = self.field(f, hint, value, f.name, f.name)
        items = list(made.items) if isinstance(made, Group) and made.name == f.name else [made]
        items.append(self.choice(Level, f"levels.{f.name}", levels.get(f.name), Level.PUBLIC, "level"))
        return Group(f.name, wording.field(f.name, self.lang), items, self.faults.get(f.name, ()))

    def field(self, f: Field[Any], hint: Any, value: Any, path: str, name: str) -> Any:
        hint = _bare(hint)
        if get_origin(hint) is tuple:
            kind = get_args(hint)[0]
            return (
                self.checks(kind, path, value, name)
                if issubclass(kind, StrEnum)
                else self.rows(kind, path, value)
            )
        if hint is Words:
            return self.words(f, value, path, name)
        if is_dataclass(hint) and hint is not Dated:
            assert isinstance(hint, type)
            return Group(
                path, wording.field(name, self.lang), self.parts(hint, value, path), self.faults.get(path, ())
            )
        if isinstance(hint, type) and issubclass(hint, StrEnum):
            return self.choice(hint, path, value, f.default, name)
        if f.metadata.get("form") == "country":
            return self.country(path, value, name)
        hint_ = ""
        if hint is Dated:
            hint_ = "2022、2022-04、2022-04-28，或用 / 连接的起止" if self.lang == "zh" else (
                "2022, 2022-04, 2022-04-28, or two with a slash between"
            )  # fmt: skip
        most = f.metadata.get("most", NAME)
        label = wording.field(name, self.lang, many=False)
        return Box(
            "line" if most <= 2_000 else "area",
            path,
            label,
            _text(value),
            (),
            self.faults.get(path, ()),
            hint_,
            most=most,
        )

    def parts(self, kind: type, value: Any, path: str) -> list[Any]:
        hints = get_type_hints(kind)
        given = value if isinstance(value, Mapping) else {}
        return [
            self.field(f, hints[f.name], given.get(f.name), f"{path}.{f.name}", f.name) for f in fields(kind)
        ]

    def rows(self, kind: type, path: str, value: Any) -> Group:
        there = list(value) if isinstance(value, list) else []
        singular = wording.field(path, self.lang, many=False)
        made = []
        for i, item in enumerate([*there, *[{}] * BLANK]):
            name = f"{path}[{i}]"
            old = i < len(there)
            new = f"{'新增' if self.lang == 'zh' else 'New: '}{singular}"
            made.append(
                Group(
                    name, f"{singular} {i + 1}" if old else new, self.parts(kind, item, name), self.faults.get(name, ()),
                    old,
                )
            )  # fmt: skip
        return Group(path, wording.field(path, self.lang), made)

    def words(self, f: Field[Any], value: Any, path: str, name: str) -> Group:
        given = value if isinstance(value, Mapping) else {}
        kind = "line" if f.metadata["most"] <= NAME else "area"
        label = wording.field(name, self.lang, many=False)
        boxes = []
        for tag in dict.fromkeys(("zh", "en", *given)):
            inner = f"{path}.{tag}"
            said = {"zh": ("中文", "Chinese"), "en": ("英文", "English")}.get(tag, (tag, tag))[
                self.lang != "zh"
            ]
            boxes.append(
                Box(kind, inner, f"{label}（{said}）" if self.lang == "zh" else f"{label} ({said})",
                _text(given.get(tag)),
                    faults=self.faults.get(inner, ()), lang=tag, most=f.metadata["most"])
            )  # fmt: skip
        return Group(f"{path}.*", label, boxes, self.faults.get(path, ()))

    def choice(self, kind: type[StrEnum], path: str, value: Any, default: Any, name: str) -> Box:
        options = [(term.value, wording.term(term, self.lang) or "—") for term in kind]
        return Box("choice", path, wording.field(name, self.lang, many=False), _text(value) or str(default), options,
                   self.faults.get(path, ()))  # fmt: skip

    def checks(self, kind: type[StrEnum], path: str, value: Any, name: str) -> Group:
        chosen = [v for v in value if isinstance(v, str)] if isinstance(value, list) else []
        options = [(term.value, wording.term(term, self.lang)) for term in kind]
        label = wording.field(name, self.lang)
        return Group(path, label, [Box("checks", path, label, chosen, options, self.faults.get(path, ()))])

    def country(self, path: str, value: Any, name: str) -> Box:
        options = [
            (code, f"{code} {wording.pick(atlas.name(code), self.lang)}") for code in sorted(COUNTRIES)
        ]
        options = [
            (code, wording.pick(atlas.name(code), self.lang)) for code in ("unknown", "several")
        ] + options
        return Box("choice", path, wording.field(name, self.lang), _text(value) or "unknown", options,
                   self.faults.get(path, ()))  # fmt: skip


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _bare(hint: Any) -> Any:
    """The type without its `| None`."""
    if get_origin(hint) in (Union, UnionType):
        return next(a for a in get_args(hint) if a is not type(None))
    return hint


# Back

_NAME = re.compile(r"([a-z_]+)(?:\[(\d{1,3})\])?((?:\.[A-Za-z_-]{1,20}){0,2})", re.ASCII)


def json_of(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """What a form sent, as the JSON of a record: for `kangma.incidents.form.from_json`, or `form_of` again. Empty inputs
    are left out, empty rows of lists too, and rows that were not kept. BadRequest for an input that no form has."""
    flat: dict[str, Any] = {}
    rows: dict[str, dict[int, dict[str, Any]]] = {}
    for name, value in pairs:
        found = _NAME.fullmatch(name)
        if found is None or (found[1] not in FIELDS and found[1] not in ("id", "levels")):
            raise BadRequest(Code.UNKNOWN_COLUMN, Where(path="form"), "an input that this form does not have")
        keys = [k for k in found[3].split(".") if k]
        if found[2] is not None:
            _put(rows.setdefault(found[1], {}).setdefault(int(found[2]), {}), keys, value)
        elif found[1] in _MANY:
            flat.setdefault(found[1], []).append(value)
        else:
            _put(flat, [found[1], *keys], value)
    for name, items in rows.items():
        kept = []
        for _, item in sorted(items.items()):
            was, keep = item.pop(_WAS, None), item.pop(_KEEP, None)
            if keep if was else not _blank(item, _LISTS.get(name)):
                kept.append(_pruned(item))
        flat[name] = kept
    return {name: pruned for name, value in flat.items() if (pruned := _pruned(value)) not in ("", {}, [])}


@cache
def _lists() -> tuple[dict[str, type], frozenset[str]]:
    """(list field → the dataclass of its items, the fields that are lists of terms)."""
    of_items: dict[str, type] = {}
    of_terms = set()
    for name, hint in get_type_hints(Record).items():
        if get_origin(hint) is tuple:
            kind = get_args(hint)[0]
            if is_dataclass(kind):
                of_items[name] = cast(type, kind)
            else:
                of_terms.add(name)
    return of_items, frozenset(of_terms)


_LISTS, _MANY = _lists()


def _put(into: dict[str, Any], keys: list[str], value: str) -> None:
    for key in keys[:-1]:
        inner = into.setdefault(key, {})
        if not isinstance(inner, dict):
            raise BadRequest(Code.BAD_VALUE, Where(path="form"), "an input that this form does not have")
        into = inner
    if not keys or keys[-1] in into:
        raise BadRequest(Code.DUPLICATE_COLUMN, Where(path="form"), "an input that is there twice")
    into[keys[-1]] = value


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: p for k, v in value.items() if (p := _pruned(v)) not in ("", {})}
    if isinstance(value, str):
        return value if value.strip() else ""
    return value


def _blank(item: Mapping[str, Any], kind: type | None) -> bool:
    """Whether a row says nothing: no text, and every choice as the form offers it."""
    defaults = {f.name: f.default for f in fields(kind)} if kind is not None else {}

    def says(name: str, value: Any) -> bool:
        if isinstance(value, dict):
            return any(says("", inner) for inner in value.values())
        default = defaults.get(name)
        return bool(value.strip()) and value != (str(default) if default not in (None, MISSING) else "")

    return not any(says(name, value) for name, value in item.items())


def places(groups: Iterable[Group]) -> dict[str, str]:
    """Path → the id of the element that a fault there is linked to: the input's, else the group's."""
    found: dict[str, str] = {}
    for group in groups:
        found.setdefault(group.name, group.id)
        for item in group.items:
            found |= places([item]) if isinstance(item, Group) else {item.name: item.id}
    return found

"""Records for tests: any that the form allows, from a seed, and the ones whose every text is a canary."""

from __future__ import annotations

import random
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Any, get_args, get_origin, get_type_hints

from kangma.incidents import attack
from kangma.incidents.exchange.report import About, Entry
from kangma.incidents.form import from_json
from kangma.incidents.levels import seen_by
from kangma.incidents.record import FIELDS, Record
from kangma.incidents.vocabulary import COUNTRIES, Kind, Level
from kangma.incidents.words import Dated, Words

ABOUT = About("Register of Songyuli", "https://register.example")
PIECES = (
    "健康码", "被攻击", "系统", "attack", "service", "=1+1", "@SUM(A1)", "'quoted'", "+49", "-5", "＝甲", "<b>bold</b>",
    "&amp;", '"', ",", ";", "naïve", "Ελλάδα", "🦠", "a\u0301", "\\", "%s", "{0}", "null", "true", "0012", "1e5",
)  # fmt: skip


class Maker:
    """Random records that `from_json` takes, walking the annotations of `record.py`."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.made = 0

    def record(self, **given: Any) -> Record:
        value = self._dataclass(Record, thin=self.chance.random() < 0.3)
        self.made += 1
        value |= {"id": f"r{self.made}-{self.chance.randrange(10**6)}", **given}
        value["levels"] = {n: "member" for n in FIELDS if self.chance.random() < 0.15}
        return from_json({k: v for k, v in value.items() if v is not None})

    def entry(self, *, member: bool, **given: Any) -> Entry:
        created = self.chance.randrange(1_600_000_000, 1_700_000_000)
        return Entry(
            seen_by(self.record(**given), member=member),
            created,
            created + self.chance.randrange(10**6),
            self.chance.randrange(1, 9),
            self.chance.random() < 0.1,
        )

    def _dataclass(self, kind: type, thin: bool = False) -> dict[str, Any]:
        hints = get_type_hints(kind)
        return {
            f.name: made
            for f in fields(kind)
            if f.name != "levels" and not (thin and self.chance.random() < 0.7)
            if (made := self._value(hints[f.name], f)) not in (None, "", {}, [])
        }

    def _value(self, hint: Any, f: Any) -> Any:
        if get_origin(hint) is tuple:
            kind = get_args(hint)[0]
            if kind is Kind:
                return self.chance.sample([k.value for k in Kind], self.chance.randrange(3))
            made = [self._value(kind, f) for _ in range(self.chance.choice((0, 1, 1, 2, 3)))]
            return [m for m in made if m]
        if any(a is type(None) for a in get_args(hint)):
            hint = next(a for a in get_args(hint) if a is not type(None))
        if hint is Words:
            most = f.metadata["most"]
            tags = self.chance.sample(("zh", "en", "de", "zh-Hant", "pt-BR"), self.chance.randrange(4))
            return {tag: self.text(min(most, 200)) for tag in tags}
        if hint is Dated:
            return self.date()
        if is_dataclass(hint):
            return self._item(hint)
        if isinstance(hint, type) and issubclass(hint, StrEnum):
            return self.chance.choice(list(hint)).value
        return self._text(f)

    def _item(self, kind: type) -> dict[str, Any]:
        """An item that says what its kind must say."""
        made = self._dataclass(kind)
        name = kind.__name__
        if name == "Technique":
            id = made.get("id") or "T1498"
            made |= {"id": id, "name": attack.TABLE[id].name if id in attack.TABLE else made.get("name", "")}
        needed = {
            "Figure": ("value", self.decimal()),
            "Kept": ("what", {"en": "the pages"}),
            "Action": ("what", {"zh": "已处置"}),
            "Related": ("id", "another-one"),
            "Source": ("title", "A report"),
        }
        if name in needed:
            made.setdefault(*needed[name])
        if name == "Picture":
            made |= {"digest": "ab" * 32, "type": "image/png", "alt": {"en": "a chart"}}
        return made

    def _text(self, f: Any) -> str:
        form = f.metadata.get("form", "")
        made = {
            "id": lambda: f"other-{self.chance.randrange(99)}",
            "technique": lambda: self.chance.choice([*attack.TABLE, "T1999", "T1999.123"]),
            "decimal": self.decimal,
            "sha256": lambda: self.chance.randbytes(32).hex(),
            "url": lambda: f"https://news.example/{self.chance.randrange(10**6)}?q=%E5%81%A5#x",
            "country": lambda: self.chance.choice([*sorted(COUNTRIES)[:30], "unknown", "several"]),
            "picture": lambda: "image/png",
        }
        return made[form]() if form else self.text(min(f.metadata["most"], 150)).replace("\n", " ")

    def text(self, most: int) -> str:
        joined = self.chance.choice(("", " ", "\n", "，")).join(
            self.chance.choice(PIECES) for _ in range(self.chance.randrange(1, 6))
        )
        return joined[:most]

    def decimal(self) -> str:
        return self.chance.choice(("0", "7", "1400000", "0.7", "99.9999", "123456789012345678"))

    def date(self) -> str:
        year, month, day = (
            self.chance.randrange(1950, 2100),
            self.chance.randrange(1, 13),
            self.chance.randrange(1, 29),
        )
        single = self.chance.choice(
            (
                f"{year}",
                f"{year}-{month:02d}",
                f"{year}-{month:02d}-{day:02d}",
                f"{year}-{month:02d}-{day:02d}T08:41:00+08:00",
            )
        )
        return single if self.chance.random() < 0.8 else f"{single}/{year + 1}-01"


def canaries(value: Any = Record, path: str = "record") -> Any:
    """A record in JSON values in which every free text is a canary that names its place: CANARY.sources.title."""
    hints = get_type_hints(value)
    made: dict[str, Any] = {}
    for f in fields(value):
        hint, where = hints[f.name], f"{path}.{f.name}"
        if f.name == "levels":
            continue
        if any(a is type(None) for a in get_args(hint)):
            hint = next(a for a in get_args(hint) if a is not type(None))
        if get_origin(hint) is tuple:
            inner = get_args(hint)[0]
            made[f.name] = [canaries(inner, where)] if is_dataclass(inner) else ["denial-of-service"]
        elif hint is Words:
            made[f.name] = {"zh": f"金丝雀{where}", "en": f"CANARY{where}"}
        elif hint is Dated:
            made[f.name] = "1951-03-07"
        elif is_dataclass(hint):
            made[f.name] = canaries(hint, where)
        elif isinstance(hint, type) and issubclass(hint, StrEnum):
            made[f.name] = list(hint)[1 if hint is not Level else 0].value
        else:
            made[f.name] = {
                "id": "canary-id",
                "technique": "T1491",
                "decimal": "7317317",
                "sha256": "c0ffee" * 10 + "cafe",
                "url": f"https://canary.example/{where}",
                "country": "AX",
                "picture": "image/png",
                "": f"CANARY{where}",
            }[f.metadata.get("form", "")]
    if value.__name__ == "Technique":
        made["name"] = "Defacement"
    return made

"""Any policy and any facts: what the property tests of the two judges are fed with.

Expressions are made by type, so every policy that comes out must pass the check; times are few and lie on and beside
the boundaries that rules speak of, so that ties happen.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
from small_policy import policy_text

from kangma.evidence.facts import FACTS, FactType
from kangma.policy.check import AT
from kangma.policy.expressions import CHOICES
from kangma.terms import DAY, HOUR

ZONES = ("Asia/Shanghai", "UTC", "Pacific/Auckland", "America/Sao_Paulo")
# Around a change of the clock in Auckland (3 April 2022 03:00) and, at midnight, in São Paulo (4 November 2018).
ORIGINS = (1_648_900_800, 1_541_289_600)
WORDS = ("a", "b", "it's")
PERSONS = 5
FACTS_USED = (
    "contacts",
    "tests",
    "county_stays",
    "entries",
    "people",
    "clearances",
    "occupations",
    "companions",
)


class Expressions:
    """Random well-typed expressions in one scope: the fact whose columns are bare, and the one behind `hold.`."""

    def __init__(self, chance: Random, bare: str, hold: str | None, specials: tuple[str, ...]) -> None:
        self.chance, self.specials, self.bare = chance, specials, bare
        self.columns: list[tuple[str, FactType, str, str]] = []
        for prefix, fact in (("", bare), ("hold.", hold), ("person.", "people")):
            for name, (kind, _) in FACTS[fact].columns.items() if fact else ():
                self.columns.append((prefix + name, kind, fact or "", name))

    def one(self, *options: Any) -> Any:
        return self.chance.choice(options)

    def number(self, low: int, high: int) -> int:
        return self.chance.randint(low, high)

    def of(self, kind: FactType) -> list[str]:
        return [name for name, k, _, _ in self.columns if k is kind]

    def time(self, depth: int) -> str:
        leaves = [*self.of(FactType.TIME), *(s for s in self.specials if s != "now")]
        way = self.number(0, 7) if depth > 0 else 0
        if way == 1:
            return f"({self.time(depth - 1)} {self.one('+', '-')} {self.seconds(depth - 1)})"
        if way == 2:
            return f"day({self.time(depth - 1)}, {self.number(-2, 3)})"
        if way == 3:
            return (
                f"{self.one('least', 'greatest', 'coalesce')}({self.time(depth - 1)}, {self.time(depth - 1)})"
            )
        if way == 4:
            return f"if({self.bool(depth - 1)}, {self.time(depth - 1)}, {self.time(depth - 1)})"
        if way == 5 and self.of(FactType.DATE):
            return f"day({self.date(depth - 1)}, {self.number(-1, 2)})"
        return self.one(*leaves) if leaves else f"day({self.date(0)}, 0)"

    def date(self, depth: int) -> str:
        leaves = self.of(FactType.DATE)
        way = self.number(0, 3) if depth > 0 else 0
        if way == 1 and (self.of(FactType.TIME) or "anchor" in self.specials):
            return f"local_date({self.time(depth - 1)})"
        if way == 2:
            return f"({self.date(depth - 1)} {self.one('+', '-')} {self.number(0, 3)})"
        return self.one(*leaves)

    def seconds(self, depth: int) -> str:
        way = self.number(0, 3)
        if way == 0:
            return f"{self.one('hours', 'minutes', 'days')}({self.number(0, 48)})"
        if way == 1 and depth > 0:
            return f"({self.time(depth - 1)} - {self.time(depth - 1)})"
        return f"hours({self.int(max(0, depth - 1))})"

    def int(self, depth: int) -> str:
        way = self.number(0, 5) if depth > 0 else 0
        if way == 1:
            return f"({self.int(depth - 1)} {self.one('+', '-', '*')} {self.number(0, 5)})"
        if way == 2:
            return f"years_between({self.date(depth - 1)}, {self.time(depth - 1)})"
        if way == 3:
            return self.one(
                f"-{self.int(depth - 1)}", f"year({self.date(depth - 1)})", f"year({self.time(depth - 1)})"
            )
        if way == 4:
            return f"coalesce({self.int(depth - 1)}, {self.number(0, 3)})"
        return self.one(*self.of(FactType.INT), "window_days", str(self.number(0, 3)))

    def real(self, depth: int) -> str:
        way = self.number(0, 4) if depth > 0 else 0
        if way == 1:
            return f"minutes_between({self.time(depth - 1)}, {self.time(depth - 1)})"
        if way == 2:
            return f"({self.int(depth - 1)} / {self.int(depth - 1)})"
        if way == 3:
            return f"greatest({self.real(depth - 1)}, {self.int(depth - 1)})"
        return self.one(*self.of(FactType.REAL), "0.1", "30.5")

    def text(self) -> tuple[str, tuple[str, ...]]:
        name, _, fact, column = self.one(*(c for c in self.columns if c[1] is FactType.TEXT))
        if (fact, column) == ("clearances", "rule"):
            return name, ("R0",)
        return name, CHOICES.get((fact, column), WORDS)

    def quoted(self, word: str) -> str:
        return "'" + word.replace("'", "''") + "'"

    def bool(self, depth: int) -> str:
        if depth > 0 and (way := self.number(0, 6)) < 4:
            if way == 0:
                return f"({self.bool(depth - 1)} {self.one('and', 'or')} {self.bool(depth - 1)})"
            if way == 1:
                return f"not ({self.bool(depth - 1)})"
            if way == 2:
                return f"if({self.bool(depth - 1)}, {self.bool(depth - 1)}, {self.bool(depth - 1)})"
            return f"coalesce({self.bool(depth - 1)}, {self.one('true', 'false', 'null')})"
        depth = min(depth, 1)
        op = self.one("=", "<>", "<", "<=", ">", ">=")
        way = self.number(0, 9)
        if way <= 1:
            return f"{self.time(depth)} {op} {self.time(depth)}"
        if way == 2:
            return f"{self.int(depth)} {op} {self.one(self.int(depth), self.real(depth))}"
        if way == 3:
            return f"{self.date(depth)} {op} {self.date(depth)}"
        if way == 4 and self.of(FactType.BOOL):
            return self.one(*self.of(FactType.BOOL))
        if way == 5:
            name, known = self.text()
            words = ", ".join(self.quoted(w) for w in known[:2])
            return f"{name} {self.one('in', 'not in')} ({words})"
        if way == 6:
            return f"{self.time(depth)} {self.one('is null', 'is not null')}"
        if way == 7:
            name, known = self.text()
            return f"{name} {op} {self.quoted(self.one(*known))}"
        if "now" in self.specials:
            if way == 8:
                return f"now between {self.time(depth)} and {self.time(depth)}"
            return self.one(f"now {op} {self.time(depth)}", f"{self.time(depth)} {op} now")
        return f"{self.real(depth)} {op} {self.real(depth)}"


def any_policy(chance: Random, rules: int = 3) -> str:
    """The text of a policy of up to `rules` rules that passes the check."""
    made = [_rule(chance, f"R{k}") for k in range(chance.randint(1, rules))]
    return policy_text(*made, zone=chance.choice(ZONES))


def _rule(draw: Random, name: str) -> str:
    on = draw.choice(FACTS_USED)
    row = Expressions(draw, on, None, ())
    after = Expressions(draw, on, None, ("anchor",))
    later = Expressions(draw, on, None, ("anchor", "since"))
    moving = Expressions(draw, on, None, ("anchor", "now"))
    lines = {
        "id": name,
        "on": on,
        "authority": "cdc",
        "basis": "x",
        "anchor": row.one(row.time(1), row.time(0), row.date(1)),
    }
    if row.number(0, 3):
        lines["when"] = moving.bool(2)

    def outcome() -> Any:
        return row.one(
            "red", "yellow", "unknown", "popup:1", "remind:2", ["yellow", "popup:2"], ["popup:3", "remind:4"]
        )

    def span(scope: Expressions) -> dict[str, Any]:
        found: dict[str, Any] = {}
        way = row.number(0, 3)
        if way == 1:
            found["from_day"] = row.number(0, 3)
        elif way == 2:
            found["since"] = row.one(scope.time(1), scope.date(0), "anchor + hours(24)")
        end = row.number(0, 3)
        if end == 1:
            found["days"] = row.number(found.get("from_day", 0), 6)
        elif end == 2:
            found["hours"] = row.number(0, 72)
        elif end == 3:
            found["until"] = later.one(later.time(1), later.date(0))
        return found

    lines |= {"outcome": outcome(), **span(after)}
    cap = row.number(0, 3)
    if cap == 1:
        lines["cap_days"] = lines.get("days", 0) + row.number(0, 3)
    elif cap == 2:
        lines["cap_hours"] = lines.get("hours", 0) + row.number(0, 48)
    else:
        lines["cap"] = later.time(1)
    if row.number(0, 1):
        lines["cap_notice"] = "4"
    if row.number(0, 3) == 0 and {"days", "hours", "until"} & set(lines):
        lines["test_days"] = row.one([0], [1, 3], [2, 3, 5])
        lines["end_needs_tests"] = row.one(True, "method = 'antigen' or pooled")
    text = "[[rule]]\n" + "".join(f"{k} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in lines.items())
    text += 'reason = { zh = "因", en = "why" }\nway_out = { zh = "等", en = "wait" }\n'
    for _ in range(row.number(0, 2)):
        part = {"outcome": outcome(), **span(later)}
        text += "[[rule.stage]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in part.items())
    for _ in range(row.number(0, 2)):
        fact = row.one(*FACTS_USED)
        other = Expressions(draw, fact, on, ("anchor", "since", "now"))
        text += f"[[rule.unless]]\non = {json.dumps(fact)}\nwhen = {json.dumps(other.bool(2))}\n"
    for _ in range(row.number(0, 2)):
        fact = row.one(*(f for f in FACTS_USED if f in AT))
        other = Expressions(draw, fact, on, ("anchor", "since", "now"))
        timeless = Expressions(draw, fact, on, ("anchor", "since"))
        part = {"on": fact, "when": other.bool(2), "action": "test"}
        if row.number(0, 1):
            part["at"] = timeless.one(timeless.time(1), timeless.date(0))
        if row.number(0, 2) == 0:
            part |= {"count": 2, "apart_hours": row.one(1, 6, 24), "apart_on": timeless.time(1)}
        text += "[[rule.clear]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in part.items())
        text += 'text = { zh = "检", en = "test" }\n'
    return text


def any_facts(chance: Random, origin: int, persons: int = PERSONS) -> dict[str, list[dict[str, Any]]]:
    """Rows of the facts that the policies use, at few moments around `origin`; nulls are common."""
    base = origin // DAY * DAY
    moments = [
        base + k * DAY + h * HOUR + s
        for k in (-9, -3, -2, -1, 0, 1, 2)
        for h in (0, 10, 13, 16)
        for s in (-1, 0)
    ]
    values: dict[FactType, list[Any]] = {
        FactType.TIME: [*moments, 10**15],  # the last is out of bounds: read as null
        FactType.DATE: [base // DAY + k for k in (-7000, -2, -1, 0, 1)],
        FactType.INT: [-1, 0, 1, 2, 3, 2**40],
        FactType.REAL: [0.0, 0.1, 30.5, -1.0],
        FactType.BOOL: [True, False],
    }
    out: dict[str, list[dict[str, Any]]] = {}
    for name in FACTS_USED:
        rows = []
        owners = (
            range(chance.randint(0, persons))
            if name == "people"
            else [chance.randrange(persons) for _ in range(chance.randint(0, 2 * persons))]
        )
        for person in owners:
            row: dict[str, Any] = {"person": person}
            for column, (kind, _) in FACTS[name].columns.items():
                words = (
                    CHOICES.get((name, column), WORDS)
                    if (name, column) != ("clearances", "rule")
                    else ("R0", "R1")
                )
                known = words if kind is FactType.TEXT else values[kind]
                row[column] = None if chance.random() < 0.2 else chance.choice(known)
            rows.append(row)
        out[name] = rows
    return out


def facts_on(con: duckdb.DuckDBPyConnection, rows: dict[str, list[dict[str, Any]]]) -> None:
    """The fact_* tables of these rows; facts that have none are empty."""
    for name, fact in FACTS.items():
        schema = pa.schema([pa.field(f.name, f.type) for f in fact.schema])  # all nullable
        con.register("rows", pa.Table.from_pylist(rows.get(name, []), schema=schema))
        con.execute(f"CREATE OR REPLACE TABLE fact_{name} AS SELECT * FROM rows")
        con.unregister("rows")


def of_person(rows: dict[str, list[dict[str, Any]]], person: int) -> dict[str, list[dict[str, Any]]]:
    return {name: [r for r in listed if r["person"] == person] for name, listed in rows.items()}


def any_moment(chance: Random, origin: int) -> int:
    """A time of judging: on the boundaries too."""
    base = origin // DAY * DAY
    return (
        base + chance.choice((-1, 0, 1)) * DAY + chance.choice((0, 10, 13, 16)) * HOUR - chance.choice((0, 1))
    )

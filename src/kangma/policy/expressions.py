"""Names and types: the tree as written → the tree as checked.

Only what is listed here can be said. A mistake does not stop the checking of the rest of an expression, so an author
sees all of them at once; a part already found wrong has type ANY and is not complained about again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from kangma.evidence.facts import FACTS, FactType
from kangma.intake.kinds import KINDS
from kangma.policy.language import COMPARISONS, Column, Const, Mistake, Node, Op, Raw, Special, Type
from kangma.terms import DAY, HOUR

FROM_FACT = {
    FactType.TEXT: Type.TEXT,
    FactType.TIME: Type.TIME,
    FactType.DATE: Type.DATE,
    FactType.INT: Type.INT,
    FactType.REAL: Type.REAL,
    FactType.BOOL: Type.BOOL,
}

# A column outside its bound reads as null in both judges, so that no piece of evidence can overflow a sum.
INT_BOUND = 10**9
_WIDEST = 2**62
_BOUND = {Type.INT: INT_BOUND, Type.TIME: 10**12, Type.DATE: 10**8}


def bound(kind: Type) -> int:
    """The greatest absolute value that a column of a whole-number type is read with."""
    return _BOUND[kind]


FUNCTIONS = {
    "hours": "hours(n): n hours in seconds",
    "days": "days(n): n times 24 hours in seconds",
    "minutes": "minutes(n): n minutes in seconds",
    "day": "day(t, k): 00:00 of the local day of t plus k days",
    "minutes_between": "minutes_between(a, b): minutes from a to b, real",
    "least": "least(a, b, ...): the smallest that is not null",
    "greatest": "greatest(a, b, ...): the greatest that is not null",
    "coalesce": "coalesce(a, b, ...): the first that is not null",
    "if": "if(condition, a, b)",
    "local_date": "local_date(t): the local calendar day of t",
    "years_between": "years_between(date, t): full calendar years",
    "year": "year(t or date): the local calendar year",
}

_DURATIONS = {"hours": HOUR, "days": DAY, "minutes": 60}


def _choices() -> dict[tuple[str, str], tuple[str, ...]]:
    """(fact, column) → the closed list of its values, where evidence has one."""
    out = {}
    for fact in FACTS.values():
        # A stay's level is that of an area; its source is that of a visit.
        kinds = {"risk_stays": ("areas", "area_stays"), "county_stays": ("area_stays",)}.get(
            fact.name, (fact.name,)
        )
        for kind in kinds:
            for column in KINDS[kind].columns if kind in KINDS else ():
                if (
                    column.name in fact.columns
                    and column.choices
                    and fact.columns[column.name][0] is FactType.TEXT
                ):
                    out[fact.name, column.name] = column.choices
    out["city_entries", "itinerary"] = ("agrees", "contradicted", "undeclared")
    return out


CHOICES = _choices()


def nearest(name: str, known: Collection[str]) -> str:
    """A suggestion for a name that is not known, or the list where it is short."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]}?"
    if 0 < len(known) <= 12:
        return f"; known: {', '.join(sorted(known))}"
    return ""


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression may speak of.

    `bare` is the fact whose columns stand without prefix, "own" or "other" its scope; `hold` the fact behind `hold.`;
    `words` are a door's variables, `choices` the closed lists of text that some of them have.
    """

    bare: str | None
    scope: str = "own"
    hold: str | None = None
    person: bool = True
    specials: frozenset[str] = frozenset()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    words: Mapping[str, Type] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rules: Collection[str] = ()


def parameter_type(value: Any) -> Type | None:
    """The type of a parameter, by its TOML value; None where the language has no such type."""
    match value:
        case bool():
            return Type.BOOL
        case int():
            return Type.INT if abs(value) <= INT_BOUND else None
        case float():
            return Type.REAL if abs(value) < 1e15 else None  # NaN is not below
        case str():
            return Type.TEXT
        case list() if value and all(isinstance(v, str) for v in value):
            return Type.TEXTS
        case list() if value and all(isinstance(v, int) and not isinstance(v, bool) for v in value):
            return Type.INTS
    return None


_NUMBERS = (Type.INT, Type.REAL)
_WRONG = Const(None, Type.ANY)


@dataclass(slots=True)
class _Checker:
    scope: Scope
    mistakes: list[Mistake] = field(default_factory=list)

    def wrong(self, raw: Raw, name: str, message: str) -> Node:
        self.mistakes.append(Mistake(raw.at, name, message))
        return _WRONG

    # -- names -----------------------------------------------------------------------------------------------------

    def name(self, raw: Raw, beside_comparison: bool) -> Node:
        name, scope = raw.value, self.scope
        prefix, _, rest = name.rpartition(".")
        if prefix:
            return self.qualified(raw, prefix, rest)
        if name in ("now", "anchor", "since"):
            if name not in scope.specials:
                return self.wrong(raw, name, f"{name} cannot be used here")
            if name == "now" and not beside_comparison:
                return self.wrong(
                    raw,
                    name,
                    "now may stand only alone on one side of a comparison, or in the middle of between",
                )
            return Special(name, Type.TIME)
        if name in scope.words:
            return Special(name, scope.words[name])
        columns = FACTS[scope.bare].columns if scope.bare else {}
        if name in columns and name in scope.parameters:
            return self.wrong(raw, name, "both a column and a parameter; rename the parameter")
        if name in columns:
            return Column(scope.scope, name, FROM_FACT[columns[name][0]])
        if name in scope.parameters:
            value = scope.parameters[name]
            kind = parameter_type(value)
            if kind is None:  # reported where the parameter stands
                return _WRONG
            return Const(tuple(value) if isinstance(value, list) else value, kind)
        known = {*columns, *scope.parameters, *scope.specials, *scope.words}
        if scope.bare and name not in known:
            if scope.hold and name in FACTS[scope.hold].columns:
                return self.wrong(raw, name, f"{scope.bare} has no column {name}; did you mean hold.{name}?")
            if scope.person and name in FACTS["people"].columns:
                return self.wrong(
                    raw, name, f"{scope.bare} has no column {name}; did you mean person.{name}?"
                )
        owner = f"{scope.bare} has no column and the policy no parameter" if scope.bare else "there is no"
        return self.wrong(raw, name, f"{owner} {name}{nearest(name, known)}")

    def qualified(self, raw: Raw, prefix: str, column: str) -> Node:
        scope, name = self.scope, raw.value
        facts = {"person": "people" if scope.person else None, "hold": scope.hold}
        if prefix not in facts:
            return self.wrong(
                raw, name, f"unknown {prefix}; only person. and, in unless and clear, hold. are known"
            )
        fact = facts[prefix]
        if fact is None:
            return self.wrong(raw, name, f"{prefix}. cannot be used here")
        if column not in FACTS[fact].columns:
            return self.wrong(
                raw, name, f"{fact} has no column {column}{nearest(column, FACTS[fact].columns)}"
            )
        kind = FROM_FACT[FACTS[fact].columns[column][0]]
        if prefix == "hold":
            return Column("own", column, kind)
        return Column("person", column, kind)

    # -- nodes -----------------------------------------------------------------------------------------------------

    def node(self, raw: Raw, beside_comparison: bool = False) -> Node:
        match raw.kind:
            case "literal":
                return self.literal(raw)
            case "name":
                return self.name(raw, beside_comparison)
            case "call":
                return self.call(raw)
            case "not":
                return Op("not", (self.bool(raw.args[0], "not"),), Type.BOOL)
            case "and" | "or":
                return Op(raw.kind, tuple(self.bool(a, raw.kind) for a in raw.args), Type.BOOL)
            case "is_null" | "is_not_null":
                return Op(raw.kind, (self.node(raw.args[0]),), Type.BOOL)
            case "in":
                return self.member(raw)
            case "neg":
                arg = self.number(raw.args[0], "-")
                return Op("neg", (arg,), arg.type)
            case "list":
                return self.wrong(raw, "(", "a list stands only after in")
        return self.compare(raw) if raw.kind in COMPARISONS else self.arithmetic(raw)

    def literal(self, raw: Raw) -> Node:
        kinds: dict[type, Type] = {bool: Type.BOOL, int: Type.INT, float: Type.REAL, str: Type.TEXT}
        return Const(raw.value, kinds.get(type(raw.value), Type.NULL))

    def bool(self, raw: Raw, after: str) -> Node:
        node = self.node(raw)
        if node.type not in (Type.BOOL, Type.ANY):
            return self.wrong(raw, _shown(raw), f"{after} wants true or false, this is {_a(node.type)}")
        return node

    def number(self, raw: Raw, after: str) -> Node:
        node = self.node(raw)
        if node.type not in (*_NUMBERS, Type.ANY):
            return self.wrong(raw, _shown(raw), f"{after} wants a number, this is {_a(node.type)}")
        return node

    def compare(self, raw: Raw) -> Node:
        left, right = (self.node(a, beside_comparison=True) for a in raw.args)
        for one, other in ((left, right), (right, left)):
            if (
                isinstance(one, Special)
                and one.name == "now"
                and isinstance(other, Special)
                and other.name == "now"
            ):
                return self.wrong(raw, "now", "now is compared with itself")
        if Type.ANY in (left.type, right.type):
            return _WRONG
        if Type.NULL in (left.type, right.type):
            return self.wrong(
                raw, "null", "a comparison with null is never true; write is null or is not null"
            )
        if {Type.TIME, Type.DATE} == {left.type, right.type}:
            return self.wrong(
                raw, raw.kind, "a time cannot be compared with a date; use local_date(time) or day(date, 0)"
            )
        if not _alike(left.type, right.type) or left.type in (Type.TEXTS, Type.INTS):
            return self.wrong(raw, raw.kind, f"cannot compare {_a(left.type)} with {_a(right.type)}")
        if left.type is Type.BOOL and raw.kind not in ("=", "<>"):
            return self.wrong(raw, raw.kind, "true and false have no order")
        for one, other, at in ((left, right, raw.args[1]), (right, left, raw.args[0])):
            if isinstance(other, Const) and isinstance(other.value, str):
                self.choice(one, other.value, at)
        return Op(raw.kind, (left, right), Type.BOOL)

    def choice(self, subject: Node, value: str, raw: Raw) -> None:
        """A text beside a column with a closed list must be on the list: a typing error would never match."""
        known: Collection[str] | None = None
        if isinstance(subject, Special):
            known = self.scope.choices.get(subject.name)
        elif isinstance(subject, Column):
            own = self.scope.hold if self.scope.scope == "other" else self.scope.bare
            fact = {"own": own, "other": self.scope.bare, "person": "people"}[subject.scope]
            known = CHOICES.get((fact or "", subject.name))
            if fact == "clearances" and subject.name == "rule":
                known = self.scope.rules
        if known and value not in known:
            self.wrong(raw, value, f"{_subject(subject)} is never {value!r}{nearest(value, known)}")

    def member(self, raw: Raw) -> Node:
        left = self.node(raw.args[0])
        listed = raw.args[1]
        if listed.kind == "list":
            items = [self.node(item) for item in listed.args]
            for item, at in zip(items, listed.args, strict=True):
                if item.type is not Type.ANY and (not isinstance(item, Const) or item.type not in _LISTED):
                    return self.wrong(at, _shown(at), "a list holds texts or whole numbers")
            kinds = {item.type for item in items}
            if Type.ANY in kinds:
                return _WRONG
            if len(kinds) != 1:
                return self.wrong(listed, "(", "a list holds texts or whole numbers, not both")
            values = tuple(item.value for item in items if isinstance(item, Const))
            node = Const(values, _LISTED[kinds.pop()])
            places = listed.args
        else:
            found = self.node(listed)
            if found.type is Type.ANY:
                return _WRONG
            if not isinstance(found, Const) or found.type not in (Type.TEXTS, Type.INTS):
                return self.wrong(listed, _shown(listed), "in wants a list in brackets or a list parameter")
            node, places = found, (listed,) * len(found.value)
        if left.type is Type.ANY:
            return _WRONG
        if _LISTED.get(left.type) is not node.type:
            return self.wrong(raw, "in", f"{_a(left.type)} cannot be in a {node.type.value}")
        for value, place in zip(node.value, places, strict=True):
            if isinstance(value, str):
                self.choice(left, value, place)
        return Op("in", (left, node), Type.BOOL)

    def arithmetic(self, raw: Raw) -> Node:
        left, right = (self.node(a) for a in raw.args)
        kinds = (left.type, right.type)
        if Type.ANY in kinds:
            return _WRONG
        result: Type | None = None
        if all(k in _NUMBERS for k in kinds):
            result = Type.REAL if raw.kind == "/" or Type.REAL in kinds else Type.INT
        elif raw.kind == "+" and Type.INT in kinds and (Type.TIME in kinds or Type.DATE in kinds):
            result = Type.TIME if Type.TIME in kinds else Type.DATE
        elif raw.kind == "-" and kinds in ((Type.TIME, Type.INT), (Type.DATE, Type.INT)):
            result = kinds[0]
        elif raw.kind == "-" and kinds in ((Type.TIME, Type.TIME), (Type.DATE, Type.DATE)):
            result = Type.INT
        if result is None:
            return self.wrong(
                raw,
                raw.kind,
                f"cannot compute {_a(kinds[0])} {raw.kind} {_a(kinds[1])}{_REAL_HINT.get(kinds, '')}",
            )
        return self.bounded(raw, Op(raw.kind, (left, right), result))

    def bounded(self, raw: Raw, node: Node) -> Node:
        if node.type is not Type.REAL and _magnitude(node) > _WIDEST:
            return self.wrong(
                raw, raw.kind if raw.kind != "call" else raw.value, "the result can grow too large"
            )
        return node

    def call(self, raw: Raw) -> Node:
        name = raw.value
        if name not in FUNCTIONS:
            return self.wrong(raw, name, f"unknown function {name}{nearest(name, FUNCTIONS)}")
        args = [
            self.bool(a, "if") if name == "if" and i == 0 else self.node(a) for i, a in enumerate(raw.args)
        ]
        if any(a.type is Type.ANY for a in args):
            return _WRONG
        kinds = [a.type for a in args]

        def wants(*signatures: tuple[tuple[Type, ...], ...]) -> bool:
            return any(
                len(s) == len(kinds) and all(k in options for k, options in zip(kinds, s, strict=True))
                for s in signatures
            )

        time, date, whole = (Type.TIME,), (Type.DATE,), (Type.INT,)
        result: Node | None = None
        if name in _DURATIONS and wants((whole,)):
            result = Op("*", (args[0], Const(_DURATIONS[name], Type.INT)), Type.INT)
            if isinstance(args[0], Const):
                result = Const(args[0].value * _DURATIONS[name], Type.INT)
        elif name == "day" and wants(((*time, *date), whole)):
            result = Op("day", tuple(args), Type.TIME)
        elif name == "minutes_between" and wants((time, time)):
            result = Op(name, tuple(args), Type.REAL)
        elif name == "local_date" and wants((time,)):
            result = Op(name, tuple(args), Type.DATE)
        elif (name == "years_between" and wants((date, (*time, *date)))) or (
            name == "year" and wants(((*time, *date),))
        ):
            result = Op(name, tuple(args), Type.INT)
        elif name in ("least", "greatest", "coalesce", "if"):
            values = args[1:] if name == "if" else args
            known = [v.type for v in values if v.type is not Type.NULL]
            counted = len(args) == 3 if name == "if" else len(args) >= 2
            if counted and known and all(_alike(known[0], k) for k in known):
                kind = Type.REAL if Type.REAL in known else known[0]
                ordered = kind not in (Type.TEXTS, Type.INTS) and (
                    name in ("coalesce", "if") or kind is not Type.BOOL
                )
                if ordered:
                    result = Op(name, tuple(args), kind)
        if result is None:
            given = ", ".join(k.value for k in kinds)
            return self.wrong(raw, name, f"wrong arguments ({given}): {FUNCTIONS[name]}")
        return self.bounded(raw, result)


_LISTED = {Type.TEXT: Type.TEXTS, Type.INT: Type.INTS}
_REAL_HINT = dict.fromkeys(
    ((Type.TIME, Type.REAL), (Type.REAL, Type.TIME)),
    "; a duration is whole seconds: hours(n), days(n), minutes(n)",
)


def _alike(left: Type, right: Type) -> bool:
    return left is right or (left in _NUMBERS and right in _NUMBERS)


def _a(kind: Type) -> str:
    return f"{'an' if kind.value[0] in 'aeiou' else 'a'} {kind.value}" if kind is not Type.NULL else "null"


def _shown(raw: Raw) -> str:
    return "null" if raw.value is None else str(raw.value)


def _subject(node: Node) -> str:
    return node.name if isinstance(node, Column | Special) else "this"


def _magnitude(node: Node) -> int:
    """The greatest absolute value that a whole-number expression can have."""
    if isinstance(node, Const):
        return abs(node.value) if isinstance(node.value, int) else 0
    if isinstance(node, Column | Special):
        return _BOUND.get(node.type, 0)
    parts = [_magnitude(a) for a in node.args]
    if node.op == "*":
        return parts[0] * parts[1]
    if node.op in ("+", "-"):
        return parts[0] + parts[1]
    if node.op == "day":
        first = node.args[0]
        return (parts[0] + parts[1]) * DAY if first.type is Type.DATE else parts[0] + (parts[1] + 2) * DAY
    if node.op in ("years_between", "year", "minutes_between", "local_date"):
        return _BOUND[Type.DATE]
    return max(parts, default=0)


def typed(raw: Raw, scope: Scope) -> tuple[Node, tuple[Mistake, ...]]:
    """The checked tree and everything that is wrong in it."""
    checker = _Checker(scope)
    node = checker.node(raw)
    return node, tuple(checker.mistakes)

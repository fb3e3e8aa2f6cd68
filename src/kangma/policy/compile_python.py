"""A checked tree → a Python function for one person. The twin of compile_sql and compile_columns; a property
test holds the three equal.

Every generated function takes the same six arguments, whether it needs them or not:
`r` the rule's own row, `o` the other fact's row, `p` the person's row (mappings; a missing key is null), `A` the
anchor, `S` the beginning of the main stage, `now`. Null is None; truth has three values, as in SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from kangma.policy.clock import Clock, clock
from kangma.policy.expressions import bound
from kangma.policy.language import COMPARISONS, Column, Const, Node, Op, Special, Type
from kangma.terms import DAY

Function = Callable[..., Any]

_ROW = {"own": "r", "other": "o", "person": "p"}
_SPECIAL = {"anchor": "A", "since": "S", "now": "now"}
_PYTHON = {"=": "==", "<>": "!="}


def civil(day: int) -> tuple[int, int, int]:
    """(year, month, day) of days since 1970-01-01, proleptic Gregorian, for any integer: without a branch, so that
    arrays of them do as well.

    Source: the era arithmetic of H. Hinnant's "chrono-compatible low-level date algorithms", written anew.
    """
    shifted = day + 719_468
    era, of_era = divmod(shifted, 146_097)
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    month_day = of_year - (153 * month + 2) // 5 + 1
    month = (month + 2) % 12 + 1
    return (year + era * 400 + (month <= 2), month, month_day)


def years_between(birth: int, day: int) -> int:
    """Full calendar years from one day to another; who is born on 29 February is a year older on 1 March."""
    (y0, m0, d0), (y1, m1, d1) = civil(birth), civil(day)
    return y1 - y0 - ((m1, d1) < (m0, d0))


def whole(value: Any, limit: int) -> int | None:
    """A whole number as every judge reads it: out of bounds is null."""
    return value if value is not None and -limit <= value <= limit else None


def least(*values: Any) -> Any:
    return min((v for v in values if v is not None), default=None)


def greatest(*values: Any) -> Any:
    return max((v for v in values if v is not None), default=None)


@lru_cache(maxsize=8_192)
def function(node: Node, zone_name: str) -> Function:
    """The compiled function of a tree."""
    source = _Source(clock(zone_name))
    body = source.emit(node)
    text = f"def compiled(r, o, p, A, S, now):\n    return {body}\n"
    names = source.names
    exec(compile(text, "<policy>", "exec"), names)  # the text holds nothing that an author wrote: see _Source
    made: Function = names["compiled"]
    return made


class _Source:
    """Python source of a tree. What an author wrote enters as named constants, never as text of the program."""

    def __init__(self, where: Clock) -> None:
        self.fixed = where.fixed
        self.count = 0
        self.names: dict[str, Any] = {
            "__builtins__": {},
            "whole": whole,
            "least": least,
            "greatest": greatest,
            "years_between": years_between,
            "civil": civil,
            "zone_day": where.day,
            "zone_midnight": where.midnight,
        }

    def fresh(self) -> str:
        self.count += 1
        return f"t{self.count}"

    def constant(self, value: Any) -> str:
        name = f"c{len(self.names)}"
        self.names[name] = value
        return name

    def emit(self, node: Node) -> str:
        match node:
            case Const(value, _):
                return repr(value) if value is None or isinstance(value, bool | int) else self.constant(value)
            case Special(name, _):
                return _SPECIAL[name] if name in _SPECIAL else f"r.get({self.constant(name)})"
            case Column(scope, name, kind):
                read = f"{_ROW[scope]}.get({self.constant(name)})"
                return f"whole({read}, {bound(kind)})" if kind in (Type.INT, Type.TIME, Type.DATE) else read
        return self.op(node)

    def op(self, node: Op) -> str:
        op, args = node.op, node.args
        if op == "not":
            t = self.fresh()
            return f"(None if ({t} := {self.emit(args[0])}) is None else not {t})"
        if op in ("and", "or"):
            a, b = self.fresh(), self.fresh()
            ends, goes = ("False", "True") if op == "and" else ("True", "False")
            return (
                f"({ends} if ({a} := {self.emit(args[0])}) is {ends} else {ends} if ({b} := {self.emit(args[1])}) "
                f"is {ends} else None if {a} is None or {b} is None else {goes})"
            )
        if op == "is_null":
            return f"({self.emit(args[0])} is None)"
        if op == "is_not_null":
            return f"({self.emit(args[0])} is not None)"
        if op == "coalesce":
            out = self.emit(args[-1])
            for arg in reversed(args[:-1]):
                t = self.fresh()
                out = f"({t} if ({t} := {self.emit(arg)}) is not None else {out})"
            return out
        if op in ("least", "greatest"):
            return f"{op}({', '.join(self.emit(a) for a in args)})"
        if op == "if":
            return f"({self.emit(args[1])} if {self.emit(args[0])} is True else {self.emit(args[2])})"
        if op == "in":
            assert isinstance(args[1], Const)
            t = self.fresh()
            listed = self.constant(frozenset(args[1].value))
            return f"(None if ({t} := {self.emit(args[0])}) is None else {t} in {listed})"
        return self.strict(op, args)

    def strict(self, op: str, args: tuple[Node, ...]) -> str:
        """Operators that give null as soon as one argument is null."""
        names, tests = [], []
        for arg in args:
            if isinstance(arg, Const) and arg.value is not None:
                names.append(self.emit(arg))
                continue
            if isinstance(arg, Special) and arg.name in ("now", "anchor"):  # never null
                names.append(_SPECIAL[arg.name])
                continue
            t = self.fresh()
            tests.append(f"({t} := {self.emit(arg)}) is None")
            names.append(t)
        value = self.value(op, args, names)
        return f"(None if {' or '.join(tests)} else {value})" if tests else f"({value})"

    def value(self, op: str, args: tuple[Node, ...], x: list[str]) -> str:
        if op in COMPARISONS:
            return f"{x[0]} {_PYTHON.get(op, op)} {x[1]}"
        if op in ("+", "-", "*"):
            return f"{x[0]} {op} {x[1]}"
        if op == "/":
            return f"{x[0]} / {x[1]} if {x[1]} else None"
        if op == "neg":
            return f"-{x[0]}"
        if op == "minutes_between":
            return f"({x[1]} - {x[0]}) / 60.0"
        if op == "local_date":
            return self.local_day(x[0])
        if op == "year":
            return f"civil({x[0] if args[0].type is Type.DATE else self.local_day(x[0])})[0]"
        if op == "years_between":
            return f"years_between({x[0]}, {x[1] if args[1].type is Type.DATE else self.local_day(x[1])})"
        assert op == "day", op
        day = x[0] if args[0].type is Type.DATE else self.local_day(x[0])
        if self.fixed is not None:
            return f"({day} + {x[1]}) * {DAY} - {self.fixed}"
        return f"zone_midnight({day} + {x[1]})"

    def local_day(self, moment: str) -> str:
        return f"({moment} + {self.fixed}) // {DAY}" if self.fixed is not None else f"zone_day({moment})"

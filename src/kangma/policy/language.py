"""The rule language: text → tokens → tree. Nothing here knows a fact, a policy or a disease.

A condition is written much as in SQL and means what SQL means: a comparison with null is null, and a condition that is
null does not hold. The grammar is small enough to be parsed by precedence (Pratt); every node keeps the offset at
which it was written, so that a mistake can be shown where it is. docs/formats/policy.md is the reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

MAX_EXPRESSION = 4_096  # characters: a rule that needs more should be two rules
MAX_DEPTH = 64  # nesting, named for the attack: brackets without end


class Type(Enum):
    """What a value is. A duration is an INT of seconds; ANY stands for a part already found wrong."""

    TIME = "time"
    DATE = "date"
    INT = "int"
    REAL = "real"
    TEXT = "text"
    BOOL = "bool"
    NULL = "null"
    TEXTS = "list of text"
    INTS = "list of int"
    ANY = "anything"


@dataclass(eq=False)
class Mistake(Exception):
    """Something wrong in one expression. `at` is the offset of `name` in its text."""

    at: int
    name: str
    message: str


# -- the tree as written -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Raw:
    """One node as written: `kind` is literal, name, list, call, or an operator; `at` its offset in the text."""

    kind: str
    value: Any
    args: tuple[Raw, ...]
    at: int


# -- the tree as checked -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Const:
    """A literal, or a parameter already replaced by its value. Lists are tuples."""

    value: Any
    type: Type


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `scope` is "own" (the fact a rule stands on), "other" (the fact that clears or exempts) or "person"."""

    scope: str
    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Special:
    """`now`, `anchor` (D0's moment) or `since` (the beginning of the main stage); all are times. At a door, a word."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Op:
    """An operator or a function over checked arguments."""

    op: str
    args: tuple[Node, ...]
    type: Type


Node = Const | Column | Special | Op


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, outermost first."""
    yield node
    if isinstance(node, Op):
        for arg in node.args:
            yield from walk(arg)


def uses(node: Node | None, name: str) -> bool:
    """Whether `now`, `anchor` or `since` occurs."""
    return node is not None and any(isinstance(n, Special) and n.name == name for n in walk(node))


def columns(node: Node | None, scope: str) -> set[str]:
    return (
        set() if node is None else {n.name for n in walk(node) if isinstance(n, Column) and n.scope == scope}
    )


def substitute(node: Node, names: dict[str, Node]) -> Node:
    """The tree with each special name in `names` replaced by what it stands for."""
    if isinstance(node, Special):
        return names.get(node.name, node)
    if isinstance(node, Op):
        return Op(node.op, tuple(substitute(a, names) for a in node.args), node.type)
    return node


def conjuncts(node: Node) -> list[Node]:
    """The conditions that must all be true for `node` to be true."""
    if isinstance(node, Op) and node.op == "and":
        return [part for arg in node.args for part in conjuncts(arg)]
    return [node]


def split(node: Node) -> tuple[Node, Node | None]:
    """A condition as (what the clock cannot change, what it can or None): it is true when both are."""
    still = [part for part in conjuncts(node) if not uses(part, "now")]
    moving = [part for part in conjuncts(node) if uses(part, "now")]
    return _all(still) or Const(True, Type.BOOL), _all(moving)


def _all(parts: list[Node]) -> Node | None:
    out: Node | None = None
    for part in parts:
        out = part if out is None else Op("and", (out, part), Type.BOOL)
    return out


# The truth of a comparison with `now` changes at the other side's moment, or one second after it.
_CHANGES_AT = {"<": (0,), ">=": (0,), ">": (1,), "<=": (1,), "=": (0, 1), "<>": (0, 1)}  # `now OP x`
_MIRROR = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "<>": "<>"}
COMPARISONS = tuple(_MIRROR)


def thresholds(node: Node | None) -> tuple[Node, ...]:
    """The moments (as expressions) at which a condition's truth may change by the clock alone.

    Times are whole seconds, so `now > x` turns true at x + 1.
    """
    found: list[Node] = []
    if node is None:
        return ()
    for part in walk(node):
        if not isinstance(part, Op) or part.op not in COMPARISONS:
            continue
        left, right = part.args
        if isinstance(left, Special) and left.name == "now":
            op, other = part.op, right
        elif isinstance(right, Special) and right.name == "now":
            op, other = _MIRROR[part.op], left
        else:
            continue
        for later in _CHANGES_AT[op]:
            moment = other if not later else Op("+", (other, Const(1, Type.INT)), Type.TIME)
            if moment not in found:
                found.append(moment)
    return tuple(found)


# -- tokens --------------------------------------------------------------------------------------------------------

KEYWORDS = frozenset({"or", "and", "not", "between", "in", "is", "null", "true", "false"})
_TWO = ("<=", ">=", "<>")
_ONE = "=<>+-*/(),."
_NOT_OURS = {
    "==": "write = for equality",
    "!=": "write <> for inequality",
    "&&": "write and",
    "||": "write or",
    '"': "text stands in single quotes",
    "%": "there is no remainder",
}


@dataclass(frozen=True, slots=True)
class Token:
    kind: str  # name, number, text, op, end
    value: Any
    at: int


def _letter(char: str) -> bool:
    return "a" <= char <= "z" or "A" <= char <= "Z" or char == "_"


def _digit(char: str) -> bool:
    return "0" <= char <= "9"


def tokens(text: str) -> list[Token]:
    """The tokens of an expression, an `end` token last. Raises Mistake."""
    if len(text) > MAX_EXPRESSION:
        raise Mistake(0, text[:20], f"an expression has at most {MAX_EXPRESSION} characters")
    out: list[Token] = []
    i, n = 0, len(text)
    while i < n:
        char = text[i]
        if char in " \t\r\n":
            i += 1
        elif _letter(char):
            start = i
            while i < n and (_letter(text[i]) or _digit(text[i])):
                i += 1
            word = text[start:i]
            if word.lower() in KEYWORDS and word not in KEYWORDS:
                raise Mistake(start, word, f"keywords are written small: {word.lower()}")
            out.append(Token("op" if word in KEYWORDS else "name", word, start))
        elif _digit(char):
            start = i
            while i < n and _digit(text[i]):
                i += 1
            real = i + 1 < n and text[i] == "." and _digit(text[i + 1])
            if real:
                i += 1
                while i < n and _digit(text[i]):
                    i += 1
            if i < n and _letter(text[i]):
                raise Mistake(start, text[start : i + 1], "a number ends with a digit")
            if i - start > 18:
                raise Mistake(start, text[start:i], "a number has at most 18 digits")
            out.append(Token("number", float(text[start:i]) if real else int(text[start:i]), start))
        elif char == "'":
            start, piece = i, []
            i += 1
            while True:
                if i >= n:
                    raise Mistake(start, text[start : start + 20], "the text is not closed by a single quote")
                if text[i] == "'":
                    if text[i + 1 : i + 2] != "'":
                        break
                    i += 1
                if text[i] < " ":
                    raise Mistake(i, "'", "a text holds no control characters")
                piece.append(text[i])
                i += 1
            i += 1
            out.append(Token("text", "".join(piece), start))
        elif text[i : i + 2] in _NOT_OURS:
            raise Mistake(i, text[i : i + 2], f"unknown operator; {_NOT_OURS[text[i : i + 2]]}")
        elif text[i : i + 2] in _TWO:
            out.append(Token("op", text[i : i + 2], i))
            i += 2
        elif char in _ONE:
            out.append(Token("op", char, i))
            i += 1
        else:
            hint = f"; {_NOT_OURS[char]}" if char in _NOT_OURS else ""
            raise Mistake(i, char, f"unknown operator{hint}")
    out.append(Token("end", "", n))
    return out


# -- the parser ----------------------------------------------------------------------------------------------------

# binding powers, loosest first; comparisons do not chain
_OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _SIGN = 1, 2, 3, 4, 5, 6, 7
_INFIX = {
    "or": _OR,
    "and": _AND,
    "=": _COMPARE,
    "<>": _COMPARE,
    "<": _COMPARE,
    "<=": _COMPARE,
    ">": _COMPARE,
    ">=": _COMPARE,
    "between": _COMPARE,
    "in": _COMPARE,
    "is": _COMPARE,
    "not": _COMPARE,  # a not in (...), a not between ...
    "+": _SUM,
    "-": _SUM,
    "*": _PRODUCT,
    "/": _PRODUCT,
}


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = tokens(text)
        self.i = 0

    @property
    def here(self) -> Token:
        return self.tokens[self.i]

    def next(self) -> Token:
        token = self.here
        self.i += 1
        return token

    def is_op(self, *ops: str) -> bool:
        return self.here.kind == "op" and self.here.value in ops

    def expect(self, op: str, why: str) -> Token:
        if not self.is_op(op):
            raise self.unexpected(f"expected {op!r} {why}")
        return self.next()

    def unexpected(self, message: str) -> Mistake:
        shown = "the end" if self.here.kind == "end" else str(self.here.value)
        return Mistake(self.here.at, shown, message)

    def expression(self, power: int, depth: int) -> Raw:
        if depth > MAX_DEPTH:
            raise self.unexpected(f"nested more than {MAX_DEPTH} deep")
        left = self.prefix(depth)
        while self.here.kind == "op" and _INFIX.get(self.here.value, 0) > power:
            binding = _INFIX[self.here.value]
            left = self.infix(left, depth)
            if binding == _COMPARE and self.here.kind == "op" and _INFIX.get(self.here.value) == _COMPARE:
                raise self.unexpected("comparisons do not chain: write a < b and b < c, or between")
        return left

    def prefix(self, depth: int) -> Raw:
        token = self.next()
        match token.kind, token.value:
            case (("number" | "text"), _):
                return Raw("literal", token.value, (), token.at)
            case "op", "true" | "false":
                return Raw("literal", token.value == "true", (), token.at)
            case "op", "null":
                return Raw("literal", None, (), token.at)
            case "op", "not":
                return Raw("not", "not", (self.expression(_NOT, depth + 1),), token.at)
            case "op", "-":
                return Raw("neg", "-", (self.expression(_SIGN, depth + 1),), token.at)
            case "op", "(":
                inner = self.expression(0, depth + 1)
                self.expect(")", "to close the bracket")
                return inner
            case "name", _:
                return self.name(token, depth)
        self.i -= 1
        raise self.unexpected("expected a value here")

    def name(self, token: Token, depth: int) -> Raw:
        if self.is_op("("):
            self.next()
            args = [] if self.is_op(")") else self.arguments(depth)
            self.expect(")", "to close the call")
            return Raw("call", token.value, tuple(args), token.at)
        if self.is_op("."):
            self.next()
            if self.here.kind != "name":
                raise self.unexpected("expected a column after the dot")
            return Raw("name", f"{token.value}.{self.next().value}", (), token.at)
        return Raw("name", token.value, (), token.at)

    def arguments(self, depth: int) -> list[Raw]:
        out = [self.expression(0, depth + 1)]
        while self.is_op(","):
            self.next()
            out.append(self.expression(0, depth + 1))
        return out

    def infix(self, left: Raw, depth: int) -> Raw:
        token = self.next()
        op, at = token.value, token.at
        if op == "is":
            negated = self.is_op("not")
            if negated:
                self.next()
            self.expect("null", "after is: only null can be asked for")
            return Raw("is_not_null" if negated else "is_null", "is", (left,), at)
        if op == "not":
            if not self.is_op("in", "between"):
                raise self.unexpected("expected in or between after not")
            return Raw("not", "not", (self.infix(left, depth),), at)
        if op == "between":
            low = self.expression(_COMPARE, depth + 1)
            self.expect("and", "between the two bounds")
            high = self.expression(_COMPARE, depth + 1)
            # a between b and c is b <= a and a <= c, in three-valued logic too
            return Raw("and", "and", (Raw("<=", op, (low, left), at), Raw("<=", op, (left, high), at)), at)
        if op == "in":
            if self.is_op("("):
                start = self.next().at
                items = self.arguments(depth)
                self.expect(")", "to close the list")
                return Raw("in", op, (left, Raw("list", None, tuple(items), start)), at)
            return Raw("in", op, (left, self.expression(_COMPARE, depth + 1)), at)
        return Raw(op, op, (left, self.expression(_INFIX[op], depth + 1)), at)


def parse(text: str) -> Raw:
    """The tree of an expression as written. Raises Mistake at the first token that cannot stand where it stands."""
    parser = _Parser(text)
    tree = parser.expression(0, 0)
    if parser.here.kind != "end":
        raise parser.unexpected("expected an operator or the end here")
    return tree

"""A checked tree → columns, for some thousand rows at once: the third twin of compile_python and compile_sql.

SQL takes milliseconds to plan a statement, Python microseconds a row; between a handful of persons and a whole city
neither is good. Here each node of the tree is one vectorised step. Values are Arrow arrays, or scalars where a part
of the tree is the same for all rows; null is null, truth has three values, as in SQL. A property test holds the three
equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kangma.policy.clock import Clock
from kangma.policy.compile_python import civil
from kangma.policy.language import Column, Const, Node, Op, Special, Type
from kangma.terms import DAY

Values = Any  # pa.Array or pa.Scalar; pyarrow's own types are not generic
Ints = NDArray[np.int64]

_ARROW = {
    Type.TIME: pa.int64(),
    Type.DATE: pa.int64(),
    Type.INT: pa.int64(),
    Type.REAL: pa.float64(),
    Type.TEXT: pa.string(),
    Type.BOOL: pa.bool_(),
}
_COMPARE = {
    "=": pc.equal,
    "<>": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
# Scalars of Arrow: what is given as Python's is looked at anew in each call, ten times as long as the call takes.
_NOTHING, _MINUTE, _FALSE = pa.scalar(0.0), pa.scalar(60.0), pa.scalar(False)
_ARITHMETIC = {"+": pc.add, "-": pc.subtract, "*": pc.multiply}


class Rows:
    """The rows for which an expression is evaluated.

    columns:  scope ("own", "other", "person") → name → the column, one value a row
    specials: `anchor`, `since` and `now`, an array of one moment a row or a scalar
    """

    def __init__(
        self,
        count: int,
        zone: Clock,
        columns: Mapping[str, Callable[[str], pa.Array]],
        specials: Mapping[str, Values],
    ) -> None:
        self.count = count
        self._zone = zone
        self._columns = columns
        self._specials = specials
        self._known: dict[Node, Values] = {}

    def truth(self, node: Node) -> NDArray[np.bool_]:
        """(count,) whether the condition is true; null is not."""
        found = self.evaluate(node)
        if isinstance(found, pa.Scalar):
            return np.full(self.count, found.as_py() is True)
        true: NDArray[np.bool_] = found.cast(pa.bool_()).fill_null(False).to_numpy(zero_copy_only=False)
        return true

    def moments(self, node: Node, null: int) -> Ints:
        """(count,) the moments, with `null` for those that are null."""
        found = self.evaluate(node)
        if isinstance(found, pa.Scalar):
            value = found.as_py()
            return np.full(self.count, null if value is None else value, np.int64)
        moments: Ints = found.cast(pa.int64()).fill_null(null).to_numpy()
        return moments

    def evaluate(self, node: Node) -> Values:
        """One value a row, or a scalar. What occurs twice is evaluated once."""
        found = self._known.get(node)
        if found is None:
            found = self._known[node] = self._made(node)
        return found

    def _made(self, node: Node) -> Values:
        match node:
            case Const(value, kind):
                return pa.scalar(value, _ARROW.get(kind))
            case Special(name, _):
                return self._specials[name]
            case Column(scope, name, _):
                return self._columns[scope](name)
        return self._op(node)

    def _op(self, node: Op) -> Values:
        op, args = node.op, node.args
        if op == "in":
            x, listed = self.evaluate(args[0]), args[1]
            assert isinstance(listed, Const)
            known = pa.array(listed.value, _ARROW.get(args[0].type))
            return pc.if_else(pc.is_valid(x), pc.is_in(x, value_set=known), pa.scalar(None, pa.bool_()))
        x = [self._typed(a, node) for a in args]
        if op in ("and", "or"):
            return (pc.and_kleene if op == "and" else pc.or_kleene)(*x)
        if op in _COMPARE:
            return _COMPARE[op](*x)
        if op in _ARITHMETIC:
            return _ARITHMETIC[op](*x)
        if op == "/":
            by = pc.if_else(pc.equal(x[1], _NOTHING), pa.scalar(None, pa.float64()), x[1])
            return pc.divide(x[0], by)
        if op == "if":
            return pc.if_else(pc.fill_null(x[0], _FALSE), x[1], x[2])
        simple: dict[str, Callable[..., Values]] = {
            "not": pc.invert,
            "neg": pc.negate,
            "is_null": pc.is_null,
            "is_not_null": pc.is_valid,
            "coalesce": pc.coalesce,
            "least": pc.min_element_wise,
            "greatest": pc.max_element_wise,
            "minutes_between": lambda a, b: pc.divide(pc.cast(pc.subtract(b, a), pa.float64()), _MINUTE),
        }
        if op in simple:
            return simple[op](*x)
        return self._calendar(op, args, x)

    def _typed(self, arg: Node, node: Op) -> Values:
        """An argument in the type in which the operator takes it."""
        found = self.evaluate(arg)
        wanted = _ARROW.get(node.type)
        if node.op in ("and", "or", "not") or (node.op == "if" and arg is node.args[0]):
            wanted = pa.bool_()
        elif node.op in _COMPARE or node.op in ("is_null", "is_not_null", "minutes_between"):
            kinds = {a.type for a in node.args}
            wanted = pa.float64() if Type.REAL in kinds else None
            if pa.types.is_null(found.type):
                wanted = next((_ARROW[k] for k in kinds if k in _ARROW), pa.int64())
        elif node.op in ("local_date", "year", "years_between", "day"):
            wanted = pa.int64()
        return found if wanted is None or found.type == wanted else pc.cast(found, wanted)

    def _calendar(self, op: str, args: tuple[Node, ...], x: list[Values]) -> Values:
        def day(i: int, values: Ints) -> Ints:
            return values if args[i].type is Type.DATE else local_day(self._zone, values)

        def made(*values: Ints) -> Ints:
            if op == "local_date":
                return local_day(self._zone, values[0])
            if op == "year":
                return civil_of(day(0, values[0]))[0]
            if op == "years_between":
                (y0, m0, d0), (y1, m1, d1) = civil_of(values[0]), civil_of(day(1, values[1]))
                return y1 - y0 - (m1 * 100 + d1 < m0 * 100 + d0)
            assert op == "day", op
            return midnight(self._zone, day(0, values[0]) + values[1])

        return _lifted(made, x)


def _lifted(work: Callable[..., Ints], arguments: list[Values]) -> Values:
    """`work` on whole numbers without nulls, where any null argument gives null; of scalars a scalar."""
    if all(isinstance(a, pa.Scalar) for a in arguments):
        values = [a.as_py() for a in arguments]
        if None in values:
            return pa.scalar(None, pa.int64())
        return pa.scalar(int(work(*(np.array([v], np.int64) for v in values))[0]), pa.int64())
    count = next(len(a) for a in arguments if not isinstance(a, pa.Scalar))
    null = np.zeros(count, bool)
    plain = []
    for a in arguments:
        if isinstance(a, pa.Scalar):
            value = a.as_py()
            null |= value is None
            plain.append(np.full(count, value or 0, np.int64))
        else:
            if a.null_count:
                null |= a.is_null().to_numpy(zero_copy_only=False)
            plain.append(a.fill_null(0).to_numpy())
    return pa.array(work(*plain), pa.int64(), mask=null)


def civil_of(day: Ints) -> tuple[Ints, Ints, Ints]:
    """`compile_python.civil` of many days."""
    year, month, of_month = civil(day)  # type: ignore[arg-type]  # an array stands for each number
    return year, month, of_month  # type: ignore[return-value]  # and arrays come back


def local_day(zone: Clock, at: Ints) -> Ints:
    """`Clock.day` of many moments."""
    found: Ints = (at + _step(at, zone.starts, zone.offsets)) // DAY
    return found


def midnight(zone: Clock, day: Ints) -> Ints:
    """`Clock.midnight` of many days."""
    found: Ints = day * DAY - _step(day, zone.days, zone.leads)
    return found


def _step(at: Ints, starts: tuple[int, ...], values: tuple[int, ...]) -> Ints:
    if len(values) == 1:
        return np.full(len(at), values[0], np.int64)
    where = np.maximum(np.searchsorted(np.array(starts, np.int64), at, "right") - 1, 0)
    return np.array(values, np.int64)[where]

"""What each operation means: on plain numbers, on arrays, and what it simplifies to.

One entry an operation. ``scalar`` and ``array`` must agree on every value; a test says so.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hannah_hw.errors import SpaceError

Function = Callable[..., Any]

#: How many nested conjunctions and alternatives are looked through for whether a condition implies another.
_IMPLIED: Final = 3

#: Operations whose value is True or False.
CONDITIONS: Final = frozenset({"eq", "ne", "lt", "le", "and", "or", "not", "lookup"})


@dataclass(frozen=True)
class OperationRule:
    """The meaning of one operation.

    Attributes:
        symbol: How it is printed: infix if it is not a word.
        scalar: Value on plain numbers.
        array: Value on NumPy arrays and numbers, elementwise with broadcasting.
        simplify: The operands -> a simpler equal expression or number, or None. At least one operand is
            an expression; nodes are compared by identity.
        source: The value on plain numbers as Python source with a place for each operand; None: a call of
            `scalar`.
        lenient: Instead of `scalar`, where that refuses operands for which `array` gives any value.
    """

    symbol: str
    scalar: Function
    array: Function
    simplify: Function | None = None
    source: str | None = None
    lenient: Function | None = None


def _is(value: Any, number: float) -> bool:
    """Whether an operand is the plain number (not an expression, whose ``==`` builds a condition)."""
    return isinstance(value, int | float) and value == number


def _add(a: Any, b: Any) -> Any:
    return b if _is(a, 0) else a if _is(b, 0) else None


def _sub(a: Any, b: Any) -> Any:
    return a if _is(b, 0) else 0 if a is b else None


def _mul(a: Any, b: Any) -> Any:
    if _is(a, 0) or _is(b, 0):
        return 0
    return b if _is(a, 1) else a if _is(b, 1) else None


def _div(a: Any, b: Any) -> Any:
    return a if _is(b, 1) else None


def _floordiv(a: Any, b: Any) -> Any:
    return a if _is(b, 1) and is_whole(a) else None


def is_whole(value: Any) -> bool:
    """Whether a number or an expression is certainly an integer."""
    return isinstance(value, int) or getattr(value, "whole", False)


def whole_result(kind: str, operands: tuple[Any, ...]) -> bool:
    """Whether an operation on these operands certainly gives an integer."""
    if kind in CONDITIONS or kind in ("floor", "ceil", "int", "floordiv"):
        return True
    if kind in ("if", "select"):
        operands = operands[1:]
    return kind != "truediv" and all(map(is_whole, operands))


def _truth(value: Any) -> Any:
    """An operand that stands for its own truth; a number does not, 5 is true but not True."""
    return value if getattr(value, "kind", None) in CONDITIONS else None


def _and(a: Any, b: Any) -> Any:
    if _is(a, 0) or _is(b, 0):
        return False
    return _truth(b) if _is(a, 1) else _truth(a) if _is(b, 1) or a is b else None


def _or(a: Any, b: Any) -> Any:
    if _is(a, 1) or _is(b, 1):
        return True
    if _is(a, 0) or _implies(a, b):
        return _truth(b)
    return _truth(a) if _is(b, 0) or _implies(b, a) else None


def _implies(a: Any, b: Any, depth: int = _IMPLIED) -> bool:
    """Whether b certainly holds where a does, by their conjunctions and alternatives alone."""
    if a is b:
        return True
    if depth == 0:
        return False
    kind = getattr(a, "kind", None)
    if kind in ("and", "or"):
        parts = (_implies(part, b, depth - 1) for part in a.operands)
        if any(parts) if kind == "and" else all(parts):
            return True
    return getattr(b, "kind", None) == "or" and any(_implies(a, part, depth - 1) for part in b.operands)


def _not(a: Any) -> Any:
    return _truth(a.operands[0]) if getattr(a, "kind", None) == "not" else None


def _same(result: Any) -> Function:
    return lambda a, b: result if a is b else None


def _extremum(*values: Any) -> Any:
    return values[0] if all(v is values[0] for v in values) else None


def _equal(a: Any, b: Any) -> bool:
    return a is b or (isinstance(a, int | float) and isinstance(b, int | float) and a == b)


def _select(switch: Any, *values: Any) -> Any:
    if isinstance(switch, int | float):
        return _select_scalar(switch, *values)
    return values[0] if all(_equal(v, values[0]) for v in values) else None


def _select_scalar(switch: Any, *values: Any) -> Any:
    if switch not in range(len(values)):
        raise SpaceError(f"the switch is {switch}, but there are {len(values)} options, counted from 0")
    return values[int(switch)]


def _select_lenient(switch: Any, *values: Any) -> Any:
    return values[int(switch)] if switch in range(len(values)) else values[0]


def _select_array(switch: Any, *values: Any) -> Any:
    result = values[0]
    for index, value in enumerate(values[1:], start=1):
        result = np.where(switch == index, value, result)
    return result


def _if(condition: Any, then: Any, otherwise: Any) -> Any:
    if isinstance(condition, int | float):
        return then if condition else otherwise
    return then if _equal(then, otherwise) else None


def _numbers(function: Any) -> Function:
    """A NumPy function whose boolean operands count as 0 and 1, as they do in Python."""

    def number(value: Any) -> Any:
        if isinstance(value, bool):
            return int(value)
        return value.astype(np.int64) if getattr(value, "dtype", None) == np.bool_ else value

    return lambda *values: function(*map(number, values))


def _round_array(function: Any) -> Function:
    def apply(value: Any) -> Any:
        array = np.asarray(value)
        return array if array.dtype.kind in "iub" else function(array).astype(np.int64)

    return apply


def _fold(function: Any) -> Function:
    def apply(*values: Any) -> Any:
        result = values[0]
        for value in values[1:]:
            result = function(result, value)
        return result

    return apply


#: Name -> meaning. ``lookup`` maps the level of a parameter of categories through a table, which the
#: evaluator supplies as a second operand.
OPERATIONS: Final[dict[str, OperationRule]] = {
    "add": OperationRule("+", operator.add, _numbers(np.add), _add, source="{} + {}"),
    "sub": OperationRule("-", operator.sub, _numbers(np.subtract), _sub, source="{} - {}"),
    "mul": OperationRule("*", operator.mul, _numbers(np.multiply), _mul, source="{} * {}"),
    "truediv": OperationRule("/", operator.truediv, np.true_divide, _div, source="{} / {}"),
    "floordiv": OperationRule(
        "//", operator.floordiv, _numbers(np.floor_divide), _floordiv, source="{} // {}"
    ),
    "mod": OperationRule("%", operator.mod, _numbers(np.mod), source="{} % {}"),
    "abs": OperationRule("abs", abs, np.abs, source="abs({})"),
    "eq": OperationRule("==", operator.eq, np.equal, _same(result=True), source="{} == {}"),
    "ne": OperationRule("!=", operator.ne, np.not_equal, _same(result=False), source="{} != {}"),
    "lt": OperationRule("<", operator.lt, np.less, _same(result=False), source="{} < {}"),
    "le": OperationRule("<=", operator.le, np.less_equal, _same(result=True), source="{} <= {}"),
    "and": OperationRule(
        "&", lambda a, b: bool(a) and bool(b), np.logical_and, _and, source="True if {} and {} else False"
    ),
    "or": OperationRule(
        "|", lambda a, b: bool(a) or bool(b), np.logical_or, _or, source="True if {} or {} else False"
    ),
    "not": OperationRule("not", lambda a: not a, np.logical_not, _not, source="not {}"),
    "floor": OperationRule("Floor", math.floor, _round_array(np.floor)),
    "ceil": OperationRule("Ceil", math.ceil, _round_array(np.ceil)),
    "int": OperationRule("Int", int, lambda a: np.asarray(a).astype(np.int64), source="int({})"),
    "max": OperationRule("Max", max, _fold(np.maximum), _extremum),
    "min": OperationRule("Min", min, _fold(np.minimum), _extremum),
    "if": OperationRule("If", lambda c, a, b: a if c else b, np.where, _if, source="{1} if {0} else {2}"),
    "select": OperationRule("Select", _select_scalar, _select_array, _select, lenient=_select_lenient),
    "lookup": OperationRule(
        "lookup", lambda level, table: table[level], lambda level, table: table[level], source="{1}[{0}]"
    ),
}

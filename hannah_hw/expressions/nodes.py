"""Symbolic numbers: immutable, hash-consed expression nodes.

Two nodes built from the same operation and the same operands are the same object, so that identity is
equality and every common sub-expression of a whole search space is evaluated once. Constants fold as nodes
are built: an operation on plain numbers is a plain number, never a node.

``==`` builds a condition, hashing is by identity, and a condition has no truth value: ``if a == b`` is an
error instead of a silent ``True``.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias, Union

from hannah_hw.errors import SpaceError
from hannah_hw.expressions.operations import OPERATIONS, whole_result
from hannah_hw.showing import Shown

#: A plain number, or an expression that becomes one.
Scalar: TypeAlias = Union["Expression", int, float]

_interned: Final[weakref.WeakValueDictionary[tuple[object, ...], Operation]] = weakref.WeakValueDictionary()


#: How much of an expression its text shows: operations inside each other, and operands of one.
_REPR_DEPTH: Final = 5
_REPR_OPERANDS: Final = 6


class Expression(Shown):
    """A symbolic number.

    Attributes:
        operands: What the value is computed from: expressions and plain numbers.
        whole: Whether the value is certainly an integer.
    """

    operands: tuple[Scalar, ...] = ()
    whole: bool = False

    def evaluate(self, assignment: Mapping[str, Any] | None = None) -> Any:
        """The value under an assignment; parameters it does not name take their default."""
        from hannah_hw.expressions.program import evaluate

        return evaluate(self, assignment or {})

    def __bool__(self) -> bool:
        raise SpaceError(
            f"the condition {self} has no truth value before parameters have values; "
            "use If(condition, a, b), & and |, or lazy(condition)"
        )

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return _condition("eq", self, other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return _condition("ne", self, other)

    def __lt__(self, other: Scalar) -> Expression:
        return _condition("lt", self, other)

    def __le__(self, other: Scalar) -> Expression:
        return _condition("le", self, other)

    def __gt__(self, other: Scalar) -> Expression:
        return _condition("lt", other, self)

    def __ge__(self, other: Scalar) -> Expression:
        return _condition("le", other, self)

    def __add__(self, other: Scalar) -> Scalar:
        return operation("add", self, other)

    def __radd__(self, other: Scalar) -> Scalar:
        return operation("add", other, self)

    def __sub__(self, other: Scalar) -> Scalar:
        return operation("sub", self, other)

    def __rsub__(self, other: Scalar) -> Scalar:
        return operation("sub", other, self)

    def __mul__(self, other: Scalar) -> Scalar:
        return operation("mul", self, other)

    def __rmul__(self, other: Scalar) -> Scalar:
        return operation("mul", other, self)

    def __truediv__(self, other: Scalar) -> Scalar:
        return operation("truediv", self, other)

    def __rtruediv__(self, other: Scalar) -> Scalar:
        return operation("truediv", other, self)

    def __floordiv__(self, other: Scalar) -> Scalar:
        return operation("floordiv", self, other)

    def __rfloordiv__(self, other: Scalar) -> Scalar:
        return operation("floordiv", other, self)

    def __mod__(self, other: Scalar) -> Scalar:
        return operation("mod", self, other)

    def __rmod__(self, other: Scalar) -> Scalar:
        return operation("mod", other, self)

    def __neg__(self) -> Scalar:
        return operation("mul", self, -1)

    def __abs__(self) -> Scalar:
        return operation("abs", self)

    def __and__(self, other: Scalar) -> Scalar:
        return operation("and", self, other)

    __rand__ = __and__

    def __or__(self, other: Scalar) -> Scalar:
        return operation("or", self, other)

    __ror__ = __or__

    def __invert__(self) -> Scalar:
        return operation("not", self)


class Operation(Expression):
    """An operation of `OPERATIONS` on operands, at least one of which is an expression."""

    def __init__(self, kind: str, operands: tuple[Scalar, ...], table: tuple[Any, ...] = ()) -> None:
        self.kind = kind
        self.operands = operands
        self.table = table
        self.whole = whole_result(kind, operands)

    def __repr__(self) -> str:
        return _text(self, _REPR_DEPTH)


def _text(operand: Scalar, depth: int) -> str:
    """An operand for a message. Shared sub-expressions make a full text exponentially long, so it ends in dots."""
    if not isinstance(operand, Operation):
        name = getattr(operand, "id", None) or getattr(operand, "name", None)
        return str(name) if name else repr(operand)
    if depth == 0:
        return "..."
    symbol = OPERATIONS[operand.kind].symbol
    parts = [_text(part, depth - 1) for part in operand.operands[:_REPR_OPERANDS]]
    if len(operand.operands) > _REPR_OPERANDS:
        parts.append("...")
    if operand.kind == "lookup":
        return f"{parts[0]} in {[k for k, v in enumerate(operand.table) if v]}"
    if len(parts) == 2 and not symbol[0].isalpha():
        return f"({parts[0]} {symbol} {parts[1]})"
    return f"{symbol}({', '.join(parts)})"


def operation(kind: str, *operands: Any, table: tuple[Any, ...] = ()) -> Scalar:
    """The node of an operation, folded and simplified where that needs no values.

    Args:
        kind: A key of `OPERATIONS`.
        operands: Expressions or plain numbers.
        table: Only for ``lookup``: the result for each level of the one operand, a parameter.

    Raises:
        SpaceError: An operand that is neither an expression nor a number.
    """
    rule = OPERATIONS[kind]
    symbolic = False
    for operand in operands:
        if isinstance(operand, Expression):
            symbolic = True
            if kind != "lookup" and not getattr(operand, "numeric", True):
                raise SpaceError(f"{operand} has values that are no numbers; it supports only == and !=")
        elif not isinstance(operand, int | float):
            raise SpaceError(f"{operand!r} is neither a number nor an expression, in {rule.symbol}")
    if not symbolic:
        return rule.scalar(*operands)  # type: ignore[no-any-return]
    simpler = rule.simplify(*operands) if rule.simplify is not None else None
    if simpler is not None:
        return simpler  # type: ignore[no-any-return]
    key = (kind, table, *(id(o) if isinstance(o, Expression) else (type(o), o) for o in operands))
    node = _interned.get(key)
    if node is None:
        node = _interned[key] = Operation(kind, operands, table)
    return node


def _condition(kind: str, left: Any, right: Any) -> Expression:
    """A comparison; with a parameter of categories, a table over its levels."""
    for parameter, value in ((left, right), (right, left)):
        choices = getattr(parameter, "categories", None)
        if choices is not None and not isinstance(value, Expression):
            if kind not in ("eq", "ne"):
                raise SpaceError(f"{parameter} has values that are no numbers; it supports only == and !=")
            return operation(
                "lookup", parameter, table=tuple((c == value) == (kind == "eq") for c in choices)
            )  # type: ignore[return-value]
    return operation(kind, left, right)  # type: ignore[return-value]


def leaves(expressions: Iterable[Scalar]) -> list[Expression]:
    """Distinct leaves (parameters) of expressions, in order of first appearance."""
    return [node for node in topological(expressions) if not node.operands]


def topological(expressions: Iterable[Any]) -> list[Expression]:
    """Distinct nodes that the expressions consist of, operands before users; plain values are skipped."""
    order: list[Expression] = []
    done: set[int] = set()
    for root in expressions:
        if not isinstance(root, Expression) or id(root) in done:
            continue
        stack: list[tuple[Expression, int]] = [(root, 0)]
        while stack:
            node, position = stack.pop()
            if id(node) in done:
                continue
            operands = node.operands
            while position < len(operands):
                operand = operands[position]
                position += 1
                if isinstance(operand, Expression) and id(operand) not in done:
                    stack.append((node, position))
                    stack.append((operand, 0))
                    break
            else:
                done.add(id(node))
                order.append(node)
    return order

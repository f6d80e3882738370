"""The functions of the expression language that have no operator sign."""

from __future__ import annotations

from typing import Any

from hannah_hw.expressions.nodes import Scalar, operation
from hannah_hw.expressions.program import evaluate


def Floor(value: Scalar) -> Scalar:
    """The largest integer not above a value."""
    return operation("floor", value)


def Ceil(value: Scalar) -> Scalar:
    """The smallest integer not below a value."""
    return operation("ceil", value)


def Int(value: Scalar) -> Scalar:
    """A value truncated towards zero; a condition as 0 or 1."""
    return operation("int", value)


def Max(*values: Scalar) -> Scalar:
    """The largest of some values."""
    return operation("max", *values)


def Min(*values: Scalar) -> Scalar:
    """The smallest of some values."""
    return operation("min", *values)


def If(condition: Scalar, then: Scalar, otherwise: Scalar) -> Scalar:
    """``then`` where the condition holds, else ``otherwise``."""
    return operation("if", condition, then, otherwise)


def Select(switch: Scalar, *values: Scalar) -> Scalar:
    """The value at the position that the switch gives, counted from 0."""
    return operation("select", switch, *values)


def And(*conditions: Scalar) -> Scalar:
    """Whether all conditions hold; True of none."""
    result: Scalar = True
    for condition in conditions:
        result = operation("and", result, condition)
    return result


def Or(*conditions: Scalar) -> Scalar:
    """Whether any condition holds; False of none."""
    result: Scalar = False
    for condition in conditions:
        result = operation("or", result, condition)
    return result


def Not(condition: Scalar) -> Scalar:
    """Whether a condition does not hold."""
    return operation("not", condition)


def lazy(value: Any, assignment: dict[str, Any] | None = None) -> Any:
    """The plain value of something that may be an expression.

    Args:
        value: An expression, a plain value, or a tuple or list of them.
        assignment: Parameter id -> value; without one every parameter has its default.
    """
    return evaluate(value, assignment or {})

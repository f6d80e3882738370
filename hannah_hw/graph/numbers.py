"""Numbers that a user gives: what a size or an attribute may be, and what must hold of those that are expressions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Expression, Floor, Scalar
from hannah_hw.parameters import Parameter

#: Largest number that a size or an attribute may be, and most values that a tensor may have.
MOST: Final = 2**31 - 1

_NUMBERS: Final = (int, float, np.integer, np.floating)


def whole(value: Any, what: str, least: int | None = None) -> Scalar:
    """A whole number, or an expression; see `whole_conditions` for what that may become.

    Args:
        value: As given; NumPy's numbers and 2.0 become Python's integers, and so does a condition: 0 or 1.
        what: What it is, for the message.
        least: The smallest that a plain number may be; None: any.

    Raises:
        SpaceError: Something else.
    """
    lowest = -MOST if least is None else least
    if type(value) is int and lowest <= value <= MOST:
        return value
    if _is_expression(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, _NUMBERS) and lowest <= value <= MOST and value == value // 1:
        return int(value)
    raise SpaceError(f"{what} is {value!r}; it must be a whole number from {lowest} to {MOST}")


def real(value: Any, what: str, least: float | None = None) -> Scalar:
    """A finite number, or an expression.

    Args:
        value: As given.
        what: What it is, for the message.
        least: The smallest that a plain number may be; None: any.

    Raises:
        SpaceError: Something else.
    """
    if _is_expression(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, _NUMBERS) and math.isfinite(value) and (least is None or value >= least):
        return value  # type: ignore[return-value]
    bound = "" if least is None else f" of at least {least:g}"
    raise SpaceError(f"{what} is {value!r}; it must be a finite number{bound}")


def _is_expression(value: Any) -> bool:
    """Whether something is an expression whose values are numbers."""
    return isinstance(value, Expression) and getattr(value, "numeric", True)


def check_countable(sizes: Sequence[Scalar], what: str) -> None:
    """Refuse more values than any network has: figures of a Workload are 64 bits wide.

    Args:
        sizes: A shape; expressions count as 1.
        what: What has it, for the message.

    Raises:
        SpaceError: There are more than `MOST` values.
    """
    count = 1
    for size in sizes:
        if isinstance(size, int):
            count *= size
    if count > MOST:
        raise SpaceError(f"{what} has {count} values; at most {MOST} are supported")


def required(conditions: Iterable[Scalar], text: Callable[[], str]) -> list[tuple[Scalar, str]]:
    """Requirements of an operator, without those that are certain to hold.

    Args:
        conditions: What must hold.
        text: Gives what is wrong where one of them does not; asked only where that can be.
    """
    doubtful = [condition for condition in conditions if condition is not True]
    if not doubtful:
        return []
    wrong = text()
    return [(condition, wrong) for condition in doubtful]


def whole_conditions(values: Iterable[Scalar], least: int) -> list[Scalar]:
    """What must hold for expressions to be whole numbers of at least some size, as far as that is not certain.

    Args:
        values: Expressions, and plain numbers that `whole` has checked.
        least: The smallest that they may be.
    """
    conditions: list[Scalar] = []
    for value in values:
        if not isinstance(value, Expression):
            continue
        levels = value.levels if isinstance(value, Parameter) and value.numeric else ()
        if not levels or min(levels) < least:
            conditions.append(value >= least)
        if not value.whole:
            conditions.append(Floor(value) == value)
    return conditions

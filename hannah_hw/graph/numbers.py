"""Numbers that a user gives: what a size or an attribute may be, and what must hold of those that are expressions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Expression, Floor, Scalar
from hannah_hw.expressions.operations import is_whole
from hannah_hw.parameters import Parameter


def whole(value: Any, what: str, least: int | None = None) -> Scalar:
    """A whole number, or an expression; see `whole_conditions` for what that may become.

    Args:
        value: As given; NumPy's integers become Python's, and so does 2.0.
        what: What it is, for the message.
        least: The smallest that a plain number may be; None: any.

    Raises:
        SpaceError: Something else.
    """
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        if value == value // 1 and (least is None or value >= least):  # not where it is infinite or no number
            return int(value)
    elif isinstance(value, Expression) and getattr(value, "numeric", True):
        return value
    bound = "" if least is None else f", at least {least}"
    raise SpaceError(f"{what} is {value!r}; it must be a whole number{bound}")


def real(value: Any, what: str, least: float | None = None) -> Scalar:
    """A finite number, or an expression.

    Args:
        value: As given.
        what: What it is, for the message.
        least: The smallest that a plain number may be; None: any.

    Raises:
        SpaceError: Something else.
    """
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        if math.isfinite(value) and (least is None or value >= least):
            return value  # type: ignore[return-value]
    elif isinstance(value, Expression) and getattr(value, "numeric", True):
        return value
    bound = "" if least is None else f", at least {least:g}"
    raise SpaceError(f"{what} is {value!r}; it must be a number{bound}")


def whole_conditions(value: Scalar, least: int) -> list[Scalar]:
    """What must hold for an expression to be a whole number of at least some size, as far as that is not certain.

    Args:
        value: An expression, or a plain number that `whole` has checked.
        least: The smallest that it may be.
    """
    conditions: list[Scalar] = []
    if isinstance(value, Expression):
        if not (
            isinstance(value, Parameter) and value.levels and value.numeric and min(value.levels) >= least
        ):
            conditions.append(value >= least)
        if not is_whole(value):
            conditions.append(Floor(value) == value)
    return conditions

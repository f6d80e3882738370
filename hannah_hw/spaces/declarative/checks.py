"""Checks of the numbers that a document states although they follow from others, and of lengths of lists.

A stated number is compared where every parameter has its default: it is a claim about the declared network.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, Final

from hannah_hw.expressions import Expression, Int, Scalar, evaluate, lazy, leaves
from hannah_hw.graph import Node
from hannah_hw.spaces.declarative.problems import fail

#: Most combinations of parameter values that are tried to find what a count can be.
MAX_COMBINATIONS: Final = 4096


def expect(code: str, field: str, given: Scalar | None, actual: Scalar, text: str) -> None:
    """Compare a stated number with what it must be by default.

    Args:
        code: Code of the error.
        field: Field that states the number.
        given: The number; None where the document does not state it.
        actual: What it must be.
        text: What has the actual number, with ``{}`` for it: ``the layer ends with {} channels``.

    Raises:
        SpaceError: They differ.
    """
    if given is not None and lazy(given) != lazy(actual):
        fail(code, field, f"is {lazy(given)}, {text.format(lazy(actual))}")


def expect_channels(
    x: Node, given: Scalar | None, field: str, text: str = "but its input has {} channels"
) -> None:
    """Compare a stated number of input channels with those of the data.

    Raises:
        SpaceError: They differ (E_CHANNEL).
    """
    expect("E_CHANNEL", field, given, x.shape()[1], text)


def entries(field: str, values: Any, count: int, what: str) -> list[Any]:
    """One value for each of ``count``: a list of as many, or one for all (alone, or in a list of one).

    Args:
        field: Field that holds the values.
        values: A value or a list.
        count: How many there must be.
        what: What has the count: ``num_reps is 9``.

    Raises:
        SpaceError: A list of another length (E_LENGTH).
    """
    if not isinstance(values, list | tuple):
        return [values] * count
    if len(values) not in (1, count):
        fail("E_LENGTH", field, f"has {len(values)} entries, {what}; give {count}, or one for all")
    return list(values) * count if len(values) == 1 else list(values)


def values_of(value: Scalar, field: str) -> set[Any]:
    """All values that an expression can have.

    Raises:
        SpaceError: It depends on too many combinations of parameters' values, or on a continuous one (E_COUNT).
    """
    parameters: list[Any] = leaves([value])
    combinations = math.prod(len(parameter.levels) for parameter in parameters)
    if not 1 <= combinations <= MAX_COMBINATIONS:
        fail(
            "E_COUNT", field, f"is {value}; it must depend on 1 to {MAX_COMBINATIONS} combinations of values"
        )
    names = [parameter.id for parameter in parameters]
    rows = itertools.product(*(parameter.levels for parameter in parameters))
    return {evaluate(value, dict(zip(names, row, strict=True))) for row in rows}


def levels(value: Scalar, field: str) -> list[int]:
    """All values that a count can have, in ascending order.

    Raises:
        SpaceError: It may be no whole number, or negative (E_COUNT); see also `values_of`.
    """
    found = values_of(value, field)
    for count in found:
        if not isinstance(count, int) or count < 0:
            fail("E_COUNT", field, f"can be {count}; it must be a whole number of at least 0")
    return sorted(found)


def position(value: Scalar, among: Sequence[int]) -> Scalar:
    """Where a value is in an ascending list that holds it, counted from 0."""
    if not isinstance(value, Expression):
        return list(among).index(int(value))
    if list(among) == list(range(among[0], among[-1] + 1)):
        return value - among[0]
    total: Scalar = 0
    for level in among[:-1]:
        total = total + Int(value > level)
    return total

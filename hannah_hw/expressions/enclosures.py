"""Interval arithmetic on arrays: what an operation can give for operands between two bounds.

Every function takes bounds as pairs of float64 arrays (low, high) that broadcast and returns such a pair. The
endpoints are computed by the operations that compute values; as rounding to nearest is monotone, what is true of
the reals stays true of the rounded numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Range = tuple[Array, Array]

#: Whole numbers above this are not all representable as floats.
_EXACT: Final = 2.0**53


def widened(low: Array, high: Array) -> Range:
    """Bounds without undefined ones, and a step further out where floats no longer tell integers apart.

    Returns:
        One array twice where the bounds are the value.
    """
    exact = bool((low == high).all())
    # Comparisons with an undefined bound are false; adding 0 leaves no negative zeros.
    if np.abs(low).max() < _EXACT and (exact or np.abs(high).max() < _EXACT):
        low = low + 0.0
        return low, low if exact else high + 0.0
    low = np.where(np.isnan(low), -np.inf, low) + 0.0
    high = np.where(np.isnan(high), np.inf, high) + 0.0
    low = np.where(np.abs(low) >= _EXACT, np.nextafter(low, -np.inf), low)
    high = np.where(np.abs(high) >= _EXACT, np.nextafter(high, np.inf), high)
    return low, high


def add(a: Range, b: Range) -> Range:
    """Of ``a + b``."""
    return a[0] + b[0], a[1] + b[1]


def sub(a: Range, b: Range) -> Range:
    """Of ``a - b``."""
    return a[0] - b[1], a[1] - b[0]


def mul(a: Range, b: Range) -> Range:
    """Of ``a * b``; a bound of 0 times an infinite one is 0, as the infinite one is no value."""
    corners = [x * y for x in a for y in b]
    corners = [np.where(np.isnan(c), 0.0, c) for c in corners]
    return _hull(corners)


def times(a: Range, factor: float) -> Range:
    """Of ``a * factor``."""
    low, high = a[0] * factor, a[1] * factor
    return (low, high) if factor >= 0 else (high, low)


def truediv(a: Range, b: Range) -> Range:
    """Of ``a / b``; anything where b may be 0."""
    return _where_divisible(b, _hull([x / y for x in a for y in b]))


def floordiv(a: Range, b: Range) -> Range:
    """Of ``a // b`` of whole numbers; anything where b may be 0."""
    return _where_divisible(b, _hull([np.floor_divide(x, y) for x in a for y in b]))


def mod(a: Range, b: Range, *, whole: bool) -> Range:
    """Of ``a % b``: from 0 up to b, or from b up to 0 where b is negative; anything where b may be 0.

    Args:
        a: The dividend.
        b: The divisor.
        whole: Whether both are integers, so that b itself is not reached.
    """
    positive = b[0] > 0
    low = np.where(positive, 0.0, b[0] + whole)
    high = np.where(positive, b[1] - whole, 0.0)
    # A dividend between 0 and the divisor is its own remainder, so a remainder never exceeds such a dividend.
    high = np.where(positive & (a[0] >= 0), np.minimum(high, a[1]), high)
    # Within one period of a known divisor the remainder is monotone.
    known = (b[0] == b[1]) & (np.floor_divide(a[0], b[0]) == np.floor_divide(a[1], b[0]))
    low = np.where(known, np.mod(a[0], b[0]), low)
    high = np.where(known, np.mod(a[1], b[0]), high)
    return _where_divisible(b, (low, high))


def absolute(a: Range) -> Range:
    """Of ``abs(a)``."""
    low, high = np.abs(a[0]), np.abs(a[1])
    return np.where((a[0] <= 0) & (a[1] >= 0), 0.0, np.minimum(low, high)), np.maximum(low, high)


def lt(a: Range, b: Range) -> Range:
    """Of ``a < b``, as 0 or 1."""
    return (a[1] < b[0]).astype(np.float64), (a[0] < b[1]).astype(np.float64)


def le(a: Range, b: Range) -> Range:
    """Of ``a <= b``, as 0 or 1."""
    return (a[1] <= b[0]).astype(np.float64), (a[0] <= b[1]).astype(np.float64)


def eq(a: Range, b: Range) -> Range:
    """Of ``a == b``, as 0 or 1."""
    certain = (a[0] == a[1]) & (b[0] == b[1]) & (a[0] == b[0])
    return certain.astype(np.float64), ((a[0] <= b[1]) & (b[0] <= a[1])).astype(np.float64)


def ne(a: Range, b: Range) -> Range:
    """Of ``a != b``, as 0 or 1."""
    return negation(eq(a, b))


def truth(a: Range) -> Range:
    """Whether a number is not 0, as 0 or 1."""
    return ((a[0] > 0) | (a[1] < 0)).astype(np.float64), ((a[0] != 0) | (a[1] != 0)).astype(np.float64)


def negation(a: Range) -> Range:
    """Whether a number is 0, as 0 or 1."""
    low, high = truth(a)
    return 1.0 - high, 1.0 - low


def conjunction(a: Range, b: Range) -> Range:
    """Whether both are true, as 0 or 1."""
    x, y = truth(a), truth(b)
    return np.minimum(x[0], y[0]), np.minimum(x[1], y[1])


def disjunction(a: Range, b: Range) -> Range:
    """Whether any is true, as 0 or 1."""
    x, y = truth(a), truth(b)
    return np.maximum(x[0], y[0]), np.maximum(x[1], y[1])


def choice(head: Range, options: list[Range], *, boolean: bool) -> Range:
    """The options that a switch may point at, or the two that a condition chooses between.

    Args:
        head: Bounds of the switch or the condition.
        options: The options by position; for a condition, what holds where it is true comes first.
        boolean: Whether the head is a condition.
    """
    if boolean:
        certain, possible = truth(head)
        taken = [possible > 0, certain == 0]
    else:
        taken = [(head[0] <= index) & (head[1] >= index) for index in range(len(options))]
    low, high = np.asarray(np.inf), np.asarray(-np.inf)
    for possible, option in zip(taken, options, strict=True):
        low = np.where(possible, np.minimum(low, option[0]), low)
        high = np.where(possible, np.maximum(high, option[1]), high)
    # A switch that points at nothing has no value: anything encloses it.
    empty = low > high
    return np.where(empty, -np.inf, low), np.where(empty, np.inf, high)


def maximum(a: Range, b: Range) -> Range:
    """The larger one."""
    return np.maximum(a[0], b[0]), np.maximum(a[1], b[1])


def minimum(a: Range, b: Range) -> Range:
    """The smaller one."""
    return np.minimum(a[0], b[0]), np.minimum(a[1], b[1])


def _monotone(function: Callable[[Array], Array]) -> Callable[[Range], Range]:
    return lambda a: (function(a[0]), function(a[1]))


def _hull(corners: list[Array]) -> Range:
    """Bounds of a function that is monotone in each operand; an undefined corner bounds nothing."""
    low, high = corners[0], corners[0]
    for corner in corners[1:]:
        low, high = np.minimum(low, corner), np.maximum(high, corner)
    return low, high


def _where_divisible(divisor: Range, result: Range) -> Range:
    defined = (divisor[0] > 0) | (divisor[1] < 0)
    return np.where(defined, result[0], -np.inf), np.where(defined, result[1], np.inf)


#: Operation of one or two operands -> its enclosure.
ENCLOSURES: Final[dict[str, Callable[..., Range]]] = {
    "add": add,
    "sub": sub,
    "mul": mul,
    "truediv": truediv,
    "floordiv": floordiv,
    "mod": mod,
    "abs": absolute,
    "eq": eq,
    "ne": ne,
    "lt": lt,
    "le": le,
    "and": conjunction,
    "or": disjunction,
    "not": negation,
    "floor": _monotone(np.floor),
    "ceil": _monotone(np.ceil),
    "int": _monotone(np.trunc),
    "max": maximum,
    "min": minimum,
}

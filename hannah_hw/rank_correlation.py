"""How well the order of some figures agrees with that of others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def ranks(values: FloatArray) -> FloatArray:
    """(N,) ranks from 1 upwards, ties with their mean rank; minus infinity is the lowest, NaN the highest."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    result: FloatArray = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    return result


def spearman(one: FloatArray, other: FloatArray) -> float:
    """Spearman's rank correlation, ties with their mean rank; NaN where one is constant or has fewer than 2."""
    first, second = ranks(one), ranks(other)
    if len(first) < 2 or not (first.std() and second.std()):
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def kendall(one: FloatArray, other: FloatArray) -> float:
    """Kendall's tau-b: concordant less discordant pairs, as a share of the geometric mean of pairs not tied in each.

    Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945). Takes N^2 memory.

    Returns:
        NaN where one is constant or has fewer than 2 values.
    """
    return float(repeated_kendall(one, other, np.ones((1, len(one))))[0])


def repeated_spearman(one: FloatArray, other: FloatArray, counts: FloatArray) -> FloatArray:
    """(B,) Spearman's correlations of samples with repetitions.

    Args:
        one: (N,).
        other: (N,).
        counts: (B, N) how often each value is in a sample.
    """
    total = counts.sum(axis=1, keepdims=True)
    first, second = (counts @ _below(values).T for values in (one, other))
    first, second = (r - (counts * r).sum(axis=1, keepdims=True) / total for r in (first, second))
    spread = (counts * first**2).sum(axis=1) * (counts * second**2).sum(axis=1)
    return _ratio((counts * first * second).sum(axis=1), spread)


def repeated_kendall(one: FloatArray, other: FloatArray, counts: FloatArray) -> FloatArray:
    """(B,) Kendall's tau-b of samples with repetitions; see `repeated_spearman`."""
    first, second = (_signs(values) for values in (one, other))

    def pairs(signs: FloatArray) -> FloatArray:
        """Sum over the pairs of each sample."""
        result: FloatArray = (counts * (counts @ signs)).sum(axis=1)
        return result

    return _ratio(pairs(first * second), pairs(np.abs(first)) * pairs(np.abs(second)))


def _signs(values: FloatArray) -> FloatArray:
    """(N, N) 1 where the value of the row is larger than that of the column, -1 where it is smaller."""
    order = ranks(values)
    return np.sign(order[:, None] - order)


def _below(values: FloatArray) -> FloatArray:
    """(N, N) 1 where the value of the column is smaller than that of the row, a half where it is the same."""
    return (_signs(values) + 1.0) / 2.0


def _ratio(agreement: FloatArray, spread: FloatArray) -> FloatArray:
    """Agreement over the root of the spread; NaN where there is none, up to rounding."""
    known = spread > 1e-9
    result: FloatArray = np.where(known, agreement / np.sqrt(np.where(known, spread, 1.0)), np.nan)
    return result

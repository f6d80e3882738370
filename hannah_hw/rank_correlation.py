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
    first, second = ranks(one), ranks(other)
    above = np.triu_indices(len(first), 1)
    signs = [np.sign(r[above[0]] - r[above[1]]) for r in (first, second)]
    pairs = [np.count_nonzero(sign) for sign in signs]
    if not all(pairs):
        return float("nan")
    return float((signs[0] * signs[1]).sum() / np.sqrt(float(pairs[0]) * float(pairs[1])))

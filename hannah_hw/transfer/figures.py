"""How good predictions are: rank correlation, shares within a tolerance, and the ceiling that noise sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def spearman(one: FloatArray, other: FloatArray) -> float:
    """Spearman's rank correlation, ties with their mean rank; NaN where one is constant or has fewer than 2."""
    first, second = _ranks(one), _ranks(other)
    if len(first) < 2 or not (first.std() and second.std()):
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def share_within(predicted: FloatArray, measured: FloatArray, tolerance: float = 0.1) -> float:
    """Share of predictions that are within a tolerance of the measured figure, relative to it."""
    return float((np.abs(predicted / measured - 1.0) <= tolerance).mean())


def noise_ceiling(latency: FloatArray, pairs: Sequence[tuple[int, int]]) -> float:
    """About the rank correlation that a perfect model would reach with noisy measurements.

    The correlation of two measurements of the same thing is that of either with the truth, squared (Spearman's
    attenuation, 1904).

    Args:
        latency: (N,).
        pairs: Rows that are the same architecture.

    Returns:
        NaN where there are fewer than 3 pairs.
    """
    if len(pairs) < 3:
        return float("nan")
    rows = np.array(pairs)
    return float(np.sqrt(max(0.0, spearman(latency[rows[:, 0]], latency[rows[:, 1]]))))


def _ranks(values: FloatArray) -> FloatArray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: FloatArray = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    return ranks

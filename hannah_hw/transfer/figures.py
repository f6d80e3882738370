"""How good predictions are: shares within a tolerance, and the ceiling that noise sets to a rank correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hannah_hw.rank_correlation import FloatArray, spearman


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
    return _attenuation(spearman(latency[rows[:, 0]], latency[rows[:, 1]]))


def noise_ceiling_among(
    latency: FloatArray, pairs: Sequence[tuple[int, int]], predicted: FloatArray
) -> float:
    """The noise ceiling among the latencies that are predicted, wherever the pairs may be.

    Pairs of one architecture are mostly small cells, noise is not the same at all latencies, and correlation depends
    on the range. So ranks are those among what is predicted, and the squared difference of a pair's ranks, of which
    Spearman's correlation is 1 - 6 times the mean, is averaged in each tenth of the ranks, then over the tenths. Still
    a little too high where noise takes pairs from a tenth to the next: by 0.004 at .955, by .03 at .86.

    Args:
        latency: (N,).
        pairs: Rows that are the same architecture.
        predicted: (M,) latencies that are predicted.

    Returns:
        NaN where a tenth has no pair.
    """
    if not pairs:
        return float("nan")
    ordered, rows = np.sort(predicted), np.array(pairs)
    below, upto = (np.searchsorted(ordered, latency[rows], side) for side in ("left", "right"))
    ranks = (below + upto) / 2.0 / len(ordered)
    tenth = np.minimum((ranks.mean(axis=1) * 10).astype(np.int64), 9)
    count = np.bincount(tenth, minlength=10)
    if not count.all():
        return float("nan")
    apart = np.bincount(tenth, (ranks[:, 0] - ranks[:, 1]) ** 2, minlength=10) / count
    return _attenuation(1.0 - 6.0 * float(apart.mean()))


def _attenuation(correlation: float) -> float:
    """Of a measurement with the truth, from that of two measurements."""
    return float(np.sqrt(max(0.0, correlation)))

"""Non-negative least squares, small and dense."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError

FloatArray = NDArray[np.float64]


def nnls(matrix: FloatArray, target: FloatArray) -> FloatArray:
    """The x >= 0 that minimises |matrix @ x - target|.

    The active-set method of Lawson and Hanson, "Solving Least Squares Problems" (1974), chapter 23. Columns are
    scaled to unit length first, which changes neither the solution nor the order of the pivots between runs.

    Args:
        matrix: (N, F).
        target: (N,).

    Returns:
        (F,).

    Raises:
        DataError: Numbers that are not finite.
    """
    if not (np.isfinite(matrix).all() and np.isfinite(target).all()):
        raise DataError("a least-squares fit needs finite numbers")
    width = matrix.shape[1]
    norms = np.linalg.norm(matrix, axis=0)
    norms[norms == 0] = 1.0
    scaled = matrix / norms
    free = np.zeros(width, np.bool_)
    x = np.zeros(width)
    tolerance = 1e-12 * max(1.0, float(np.abs(scaled.T @ target).max(initial=0.0)))
    for _ in range(3 * width + 1):
        gradient = scaled.T @ (target - scaled @ x)
        gradient[free] = -np.inf
        if not width or gradient.max() <= tolerance:
            break
        free[int(gradient.argmax())] = True
        while True:
            trial = np.zeros(width)
            trial[free] = np.linalg.lstsq(scaled[:, free], target, rcond=None)[0]
            if trial[free].min(initial=0.0) >= 0:
                break
            negative = free & (trial < 0)
            step = float((x[negative] / (x[negative] - trial[negative])).min())
            x = np.maximum(x + step * (trial - x), 0.0)
            free &= x > 0
        x = trial
    solution: FloatArray = x / norms
    return solution


def ridge_nnls(
    matrix: FloatArray,
    target: FloatArray,
    prior: FloatArray,
    strength: float,
    *,
    scale: FloatArray | None = None,
) -> FloatArray:
    """Non-negative least squares in relative error, drawn towards a prior.

    Minimises Σ ((matrix @ x - target) / scale)² + strength · Σ ((x - prior) / prior)²; a coefficient whose
    prior is 0 is left free.

    Args:
        matrix: (N, F).
        target: (N,), positive.
        prior: (F,), non-negative.
        strength: Weight of the prior: at 1e-4, doubling a coefficient weighs as much as 1 % error on one row.
        scale: (N,), positive; None: the target.
    """
    units = target if scale is None else scale
    rows = matrix / units[:, None]
    known = np.flatnonzero(prior > 0)
    pull = np.zeros((len(known), matrix.shape[1]))
    pull[np.arange(len(known)), known] = np.sqrt(strength) / prior[known]
    return nnls(
        np.concatenate([rows, pull]),
        np.concatenate([target / units, np.full(len(known), np.sqrt(strength))]),
    )

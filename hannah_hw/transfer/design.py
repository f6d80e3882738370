"""Which samples to measure: those that leave the least uncertainty about the coefficients of a linear model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def d_optimal(rows: FloatArray, count: int, precision: FloatArray) -> IntArray:
    """Choose rows that make the determinant of the posterior precision large (Bayesian D-optimality).

    Greedy: each step takes the row x with the largest x' M⁻¹ x, as det(M + x x') = det(M) (1 + x' M⁻¹ x); ties go
    to the first. Chaloner and Verdinelli, "Bayesian experimental design: a review", 1995, section 2.

    Args:
        rows: (N, F), each in units of its noise.
        count: How many; each row is taken once.
        precision: (F, F) of the prior, positive definite.

    Returns:
        (count,) indices of rows, in the order in which to measure.

    Raises:
        DataError: More are wanted than there are rows, or none.
    """
    if not 1 <= count <= len(rows):
        raise DataError(f"{count} samples cannot be chosen from {len(rows)} architectures")
    covariance = np.linalg.inv(precision)
    chosen: list[int] = []
    for _ in range(count):
        projected = rows @ covariance
        gain = np.einsum("nf,nf->n", projected, rows)
        gain[chosen] = -np.inf
        best = int(gain.argmax())
        chosen.append(best)
        covariance = covariance - np.outer(projected[best], projected[best]) / (1.0 + gain[best])
    return np.array(chosen, np.int64)

"""How far the values of float32 networks are from those of ONNX Runtime."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Largest difference from ONNX Runtime that is rounding: relative to the largest element of a tensor. A sum of n
#: products in another order differs by at most n 2^-24 of the sum of their magnitudes, 6e-5 for n = 1000.
TOLERANCE: Final = 1e-4


def difference(expected: NDArray[Any], found: NDArray[Any]) -> float:
    """Largest difference of two tensors, relative to the largest element that is finite.

    Args:
        expected: The tensor that `found` should be.
        found: The same shape.

    Returns:
        Infinity where one of them is not finite and the other is something else.
    """
    wide, other = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    finite = np.isfinite(wide) & np.isfinite(other)
    if not np.array_equal(wide[~finite], other[~finite], equal_nan=True):
        return float("inf")
    gap = np.abs(wide[finite] - other[finite]).max(initial=0.0)
    return float(gap) / (float(np.abs(wide[finite]).max(initial=0.0)) or 1.0)

"""How much of a tensor the loops below a boundary touch.

W and O: the product of the extents of their loops. Along a dimension of I, output positions ``a`` of stride s and
window positions ``b`` of dilation d touch the columns s·a + d·b. With s' = s/gcd(s, d) and d' = d/gcd(s, d), two pairs
touch the same column exactly when (a, b) and (a + d'·n, b - s'·n), so that

    columns = a·b - max(0, b - s')·max(0, a - d')

counts each column by its pair of the smallest ``a``. Mode ``zigzag`` follows zigzag-dse 3.9.1: it leaves the second
max out, which counts the gaps of a dilated window of one position, and truncates fractional extents of columns, rows
and windows first. Both clip at the size of the input, of which padding is no part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hannah_hw.cost.accelerators.layers import FloatArray, IntArray
from hannah_hw.cost.loop_nest.nests import LoopNests
from hannah_hw.cost.loop_nest.spatial import Mode

#: Loop -> (N,) extents of it.
Extents = Callable[[str], FloatArray]

#: Loops whose extents multiply to the elements of an operand, beside the window of the input.
_FACTORS = (("B", "G", "C"), ("K", "G", "C", "FX", "FY"), ("B", "K", "G", "OX", "OY"))

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Windows:
    """Geometry of N windows: each field (2, N) of columns and rows."""

    positions: FloatArray
    steps: FloatArray
    inputs: FloatArray

    @classmethod
    def of(cls, nests: LoopNests) -> Windows:
        """Strides and dilations without their common divisor: ``steps`` are s', ``positions`` d'."""
        common = np.gcd(nests.strides, nests.dilations)
        return cls(_rows(nests.dilations // common), _rows(nests.strides // common), _rows(nests.inputs))

    def at(self, chosen: IntArray) -> Windows:
        """Some of the windows."""
        return Windows(self.positions[:, chosen], self.steps[:, chosen], self.inputs[:, chosen])


def _rows(pairs: IntArray) -> FloatArray:
    return np.ascontiguousarray(pairs.T, dtype=np.float64)


def elements(operand: int, extents: Extents, windows: Windows, mode: Mode) -> FloatArray:
    """(N,) elements of an operand that loops of some extents touch.

    Args:
        operand: Position in `OPERANDS`.
        extents: Loop -> (N,).
        windows: N windows.
        mode: See the module.
    """
    product = np.ones(windows.steps.shape[1])
    for loop in _FACTORS[operand]:
        product = product * extents(loop)
    if operand == 0:
        for axis, (out, window) in enumerate((("OX", "FX"), ("OY", "FY"))):
            product = product * _touched(extents(out), extents(window), windows, axis, mode)
    return product


def _touched(out: FloatArray, window: FloatArray, windows: Windows, axis: int, mode: Mode) -> FloatArray:
    if mode == "zigzag":
        out, window = np.floor(out + _ROUNDING), np.floor(window + _ROUNDING)
        beyond = out - windows.positions[axis]
    else:
        beyond = np.maximum(out - windows.positions[axis], 0.0)
    touched = out * window - np.maximum(window - windows.steps[axis], 0.0) * beyond
    clipped: FloatArray = np.minimum(touched, windows.inputs[axis])
    return clipped

"""What kernels take inside of networks beside what they take alone.

Alone, a kernel finds its weights in the nearest cache, and branch predictors know its code. In a network a node also
allocates its output, a float kernel gets its weights from farther away, and an 8-bit one is slower by some percent. On
98 networks of three spaces these were the terms that brought sums nearer to whole networks, by 5 % at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hannah_hw.host.kernels import HostKernel
from hannah_hw.host.model import HostModel
from hannah_hw.host.rows import HostRow
from hannah_hw.least_squares import nnls

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Inside:
    """What is added to the time of a kernel alone, never less than nothing.

    Attributes:
        float_node_s: Seconds of a node that computes in floating point.
        int8_node_s: Seconds of a node that reads 8-bit values.
        weight_byte_s: Seconds of a byte of constants of a floating-point node.
        int8_share: Share of the time of a node that reads 8-bit values.
    """

    float_node_s: float = 0.0
    int8_node_s: float = 0.0
    weight_byte_s: float = 0.0
    int8_share: float = 0.0

    @classmethod
    def fit(
        cls, model: HostModel, networks: Sequence[Sequence[HostKernel]], measured: FloatArray
    ) -> tuple[Inside, FloatArray]:
        """What whole networks take more than a model of kernels alone says.

        Non-negative least squares of relative errors; networks that the model cannot predict are left out.

        Args:
            model: Of kernels alone.
            networks: Kernels of P networks.
            measured: (P,) seconds of a run of each.

        Returns:
            What is added, and (P,) seconds that the model with it predicts of each network, where it is fitted to the
            other networks only; NaN where the model has none.
        """
        sums = model.networks(networks)[0]
        amounts = np.array([_amounts(model, network) for network in networks]).reshape(len(networks), 4)
        known = np.isfinite(sums)
        target, matrix = 1 - sums / measured, amounts / measured[:, None]
        predicted = sums.copy()
        for index in np.flatnonzero(known):
            others = known & (np.arange(len(sums)) != index)
            predicted[index] += amounts[index] @ _fitted(matrix[others], target[others])
        return cls(*_fitted(matrix[known], target[known]).tolist()), predicted

    def row(self, row: HostRow) -> HostRow:
        """A row of a kernel alone as one of it inside of networks."""
        rates = np.array([self.float_node_s, self.int8_node_s, self.weight_byte_s, self.int8_share])
        more = float(_amount(row.kernel, row.seconds) @ rates)
        return replace(row, seconds=row.seconds + more)


def _fitted(matrix: FloatArray, target: FloatArray) -> FloatArray:
    """(4,) at least 0; nothing where there are fewer networks than unknowns."""
    if len(matrix) <= matrix.shape[1]:
        return np.zeros(matrix.shape[1])
    found: FloatArray = nnls(matrix, target)
    return found


def _amount(kernel: HostKernel, seconds: float) -> FloatArray:
    """(4,) of what a kernel has of each attribute of `Inside`."""
    if any(tensor.dtype in ("int8", "uint8") for tensor in kernel.computed):
        return np.array([0.0, 1.0, 0.0, seconds])
    return np.array([1.0, 0.0, sum(tensor.bytes for tensor in kernel.inputs if tensor.constant), 0.0])


def _amounts(model: HostModel, network: Sequence[HostKernel]) -> FloatArray:
    """(4,) summed over a network."""
    seconds = model.predict(network).seconds.tolist()
    total: FloatArray = np.sum([_amount(k, s) for k, s in zip(network, seconds, strict=True)], axis=0)
    return total

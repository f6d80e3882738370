"""What the constants of all kernels for cores with the DSP extension are made from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hannah_hw.firmware.arithmetic import floor_multiplier
from hannah_hw.firmware.layers import Layer, Network

IntArray = NDArray[np.int64]


def weight_rows(layer: Layer) -> IntArray:
    """(out_channels, elements of a window) weights."""
    weights = np.asarray(layer.weights, np.int64)
    return weights.reshape(len(weights), -1)


def folded_bias(network: Network, layer: Layer) -> IntArray:
    """(out_channels,) biases of the sums over raw operands: the zero point of the operand folded in."""
    zero = network.values[layer.inputs[0]].zero_point
    result: IntArray = np.asarray(layer.bias, np.int64) - zero * weight_rows(layer).sum(axis=1)
    return result


def little_endian(values: IntArray) -> bytes:
    """Whole numbers as 32-bit words."""
    return (values & 0xFFFF_FFFF).astype("<u4").tobytes()


def accumulator_shift(scales: NDArray[np.float64]) -> int:
    """Bits that accumulators are shifted to the left by, so that all multipliers are below 2^31."""
    shift = 0
    while (floor_multiplier(scales, 32 - shift) >= 1 << 31).any():
        shift += 1
    return shift

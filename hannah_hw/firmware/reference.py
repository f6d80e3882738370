"""Exact integer arithmetic of a network, in NumPy: what kernels in C must agree with, bit by bit.

Sums and products are computed in int64, where none of them rounds or overflows. The contract of each kind of layer is
stated in `hannah_hw.firmware.layers`; its constants come from `hannah_hw.firmware.arithmetic`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import UnsupportedError
from hannah_hw.firmware import arithmetic
from hannah_hw.firmware.layers import Layer, Network

Int8Array = NDArray[np.int8]
IntArray = NDArray[np.int64]


def run(network: Network, inputs: Sequence[Int8Array]) -> list[Int8Array]:
    """The outputs of a network.

    Args:
        network: The network.
        inputs: For each graph input (height, width, channels) int8.

    Returns:
        For each graph output (height, width, channels) int8.
    """
    values = run_all(network, inputs)
    return [values[index] for index in network.outputs]


def run_all(network: Network, inputs: Sequence[Int8Array]) -> list[Int8Array]:
    """All values of a network, in the order of `Network.values`; see `run`."""
    values: dict[int, Int8Array] = dict(zip(network.inputs, inputs, strict=True))
    for layer in network.layers:
        values[layer.output] = run_layer(network, layer, [values[index] for index in layer.inputs])
    return [values[index] for index in range(len(network.values))]


def run_layer(network: Network, layer: Layer, operands: Sequence[Int8Array]) -> Int8Array:
    """What one layer writes.

    Args:
        network: The network that it is part of.
        layer: The layer.
        operands: For each operand (height, width, channels) int8; other shapes of the same memory are accepted.

    Returns:
        (height, width, channels) int8.

    Raises:
        UnsupportedError: Its kind has no integer contract.
    """
    if layer.kind not in _KINDS:
        raise UnsupportedError(f"the layer {layer.name!r} of kind {layer.kind} has no integer contract")
    sized = [x.reshape(network.values[i].shape) for x, i in zip(operands, layer.inputs, strict=True)]
    result = _KINDS[layer.kind](network, layer, sized)
    return np.ascontiguousarray(result.reshape(network.values[layer.output].shape), np.int8)


def accumulators(network: Network, layer: Layer, operand: Int8Array) -> IntArray:
    """Sums of a layer with weights before they are scaled.

    Returns:
        (height, width, out_channels) ``bias + sum(weight * (x - zero_point))``.
    """
    weights, bias = (np.asarray(part, np.int64) for part in (layer.weights, layer.bias))
    centred = operand.astype(np.int64) - network.values[layer.inputs[0]].zero_point
    if layer.kind == "linear":
        sums = weights.reshape(len(weights), -1) @ centred.ravel()
        return sums[None, None] + bias
    return (_transposed if layer.kind == "conv_transpose" else _convolved)(layer, centred, weights) + bias


def _weighted(network: Network, layer: Layer, operands: Sequence[Int8Array]) -> Int8Array:
    """Convolutions and fully connected layers: `accumulators`, then one multiplier an output channel."""
    sums = accumulators(network, layer, operands[0])
    zero = network.values[layer.output].zero_point
    if network.rounding == "double":
        mantissas, shifts = arithmetic.doubling_multipliers(layer.scales)
        return arithmetic.requantise_double(sums, mantissas, shifts, zero, layer.low, layer.high)
    multipliers = arithmetic.q32_multipliers(layer.scales)
    return arithmetic.requantise(sums, multipliers, zero, layer.low, layer.high)


def _convolved(layer: Layer, data: IntArray, weights: IntArray) -> IntArray:
    """Convolution; padding is 0, as the zero point has been subtracted."""
    c = layer.columns
    padded = np.pad(data, ((c["pad_top"], c["pad_bottom"]), (c["pad_left"], c["pad_right"]), (0, 0)))
    groups = c["groups"]
    height, width = c["out_h"], c["out_w"]
    split = padded.reshape(*padded.shape[:2], groups, -1)
    kernels = weights.reshape(groups, -1, *weights.shape[1:])
    result = np.zeros((height, width, groups, kernels.shape[1]), np.int64)
    for i in range(c["kernel_h"]):
        for j in range(c["kernel_w"]):
            top, left = i * c["dilation_h"], j * c["dilation_w"]
            window = split[
                top : top + (height - 1) * c["stride_h"] + 1 : c["stride_h"],
                left : left + (width - 1) * c["stride_w"] + 1 : c["stride_w"],
            ]
            result += _products(window, kernels[:, :, i, j])
    return result.reshape(height, width, -1)


def _products(data: IntArray, weights: IntArray) -> IntArray:
    """(h, w, groups, inputs) by (groups, outputs, inputs): (h, w, groups, outputs).

    Products of float64 are exact below 2^53, and much faster than those of int64: sums fit int32 here.
    """
    if weights.shape[1:] == (1, 1):
        return data * weights[:, :, 0]
    product = np.matmul(data.astype(np.float64)[..., None, :], weights.transpose(0, 2, 1).astype(np.float64))
    result: IntArray = product[..., 0, :].astype(np.int64)
    return result


def _transposed(layer: Layer, data: IntArray, weights: IntArray) -> IntArray:
    """Transposed convolution: every input value adds its channel's weights to a window of the result."""
    c = layer.columns
    groups, (rows, width) = c["groups"], data.shape[:2]
    kernels = weights.reshape(groups, -1, *weights.shape[1:])
    split = data.reshape(rows, width, groups, -1)
    spans = [
        (size - 1) * c[f"stride_{axis}"] + c[f"dilation_{axis}"] * (c[f"kernel_{axis}"] - 1) + 1
        for size, axis in ((rows, "h"), (width, "w"))
    ]
    # What output padding adds lies beyond the full result.
    full = np.zeros(
        (
            max(spans[0], c["pad_top"] + c["out_h"]),
            max(spans[1], c["pad_left"] + c["out_w"]),
            groups,
            kernels.shape[1],
        ),
        np.int64,
    )
    for i in range(c["kernel_h"]):
        for j in range(c["kernel_w"]):
            top, left = i * c["dilation_h"], j * c["dilation_w"]
            full[
                top : top + (rows - 1) * c["stride_h"] + 1 : c["stride_h"],
                left : left + (width - 1) * c["stride_w"] + 1 : c["stride_w"],
            ] += _products(split, kernels[:, :, i, j])
    kept = full[c["pad_top"] : c["pad_top"] + c["out_h"], c["pad_left"] : c["pad_left"] + c["out_w"]]
    return kept.reshape(c["out_h"], c["out_w"], -1)


def _added(network: Network, layer: Layer, operands: Sequence[Int8Array]) -> Int8Array:
    """A sum by `arithmetic.Sum`."""
    zeros = [network.values[index].zero_point for index in layer.inputs]
    constants = arithmetic.sum_constants(
        layer.scales, (zeros[0], zeros[1]), network.values[layer.output].zero_point
    )
    a, b = (operand.astype(np.int64) for operand in operands)
    total = (a * constants.m1 + b.reshape(a.shape) * constants.m2 + constants.offset) >> constants.bits
    return arithmetic.saturated(total, layer.low, layer.high)


def _affine(_network: Network, layer: Layer, operands: Sequence[Int8Array]) -> Int8Array:
    """A factor and an offset a channel by `arithmetic.Affine`."""
    bits = int(layer.options["bits"])  # type: ignore[arg-type]
    multipliers = arithmetic.floor_multiplier(layer.scales, bits)
    sums = (operands[0].astype(np.int64) * multipliers + np.asarray(layer.bias)) >> bits
    return arithmetic.saturated(sums, layer.low, layer.high)


def _multiplied(network: Network, layer: Layer, operands: Sequence[Int8Array]) -> Int8Array:
    """A product with data of the same shape, or with one value a channel."""
    a, b = (
        operand.astype(np.int64) - network.values[index].zero_point
        for operand, index in zip(operands, layer.inputs, strict=True)
    )
    second = b.reshape(a.shape if a.size == b.size else (1, 1, -1))
    return _scaled(network, layer, a * second, float(layer.scales[0]))


def _scaled(network: Network, layer: Layer, sums: IntArray, scale: float) -> Int8Array:
    """Sums times one factor."""
    factor = arithmetic.multiplier(scale)
    zero = network.values[layer.output].zero_point
    return arithmetic.requantise(sums, factor.value, zero, layer.low, layer.high, factor.bits)


def window_counts(columns: Mapping[str, int]) -> IntArray:
    """(out_h, out_w) how many values of the data lie in each window of a pooling.

    Args:
        columns: Of the layer.
    """
    counts = []
    for axis, begin in (("h", "pad_top"), ("w", "pad_left")):
        first = np.arange(columns[f"out_{axis}"]) * columns[f"stride_{axis}"] - columns[begin]
        taps = first[:, None] + np.arange(columns[f"kernel_{axis}"]) * columns[f"dilation_{axis}"]
        counts.append(((taps >= 0) & (taps < columns[f"in_{axis}"])).sum(axis=1))
    return np.outer(*counts)


def _windows(layer: Layer, data: IntArray, fill: int) -> list[IntArray]:
    """For each tap of a window the (out_h, out_w, channels) values that it sees; `fill` outside of the data."""
    c = layer.columns
    padded = np.pad(
        data,
        ((c["pad_top"], c["pad_bottom"]), (c["pad_left"], c["pad_right"]), (0, 0)),
        constant_values=fill,
    )
    return [
        padded[
            i * c["dilation_h"] : i * c["dilation_h"] + (c["out_h"] - 1) * c["stride_h"] + 1 : c["stride_h"],
            j * c["dilation_w"] : j * c["dilation_w"] + (c["out_w"] - 1) * c["stride_w"] + 1 : c["stride_w"],
        ]
        for i in range(c["kernel_h"])
        for j in range(c["kernel_w"])
    ]


def _averaged(network: Network, layer: Layer, operands: Sequence[Int8Array]) -> Int8Array:
    """The mean of each window by `arithmetic.Average`; padding does not count."""
    centred = operands[0].astype(np.int64) - network.values[layer.inputs[0]].zero_point
    sums = np.sum(_windows(layer, centred, 0), axis=0)
    counts = window_counts(layer.columns)
    constants = arithmetic.average_constants(float(layer.scales[0]), counts)
    multipliers = np.asarray(constants.multipliers)[np.searchsorted(constants.counts, counts)]
    zero = network.values[layer.output].zero_point
    return arithmetic.requantise(sums, multipliers[:, :, None], zero, layer.low, layer.high, constants.bits)


def _largest(_network: Network, layer: Layer, operands: Sequence[Int8Array]) -> Int8Array:
    """The largest value of each window; padding is never the largest."""
    values = np.max(_windows(layer, operands[0].astype(np.int64), -128), axis=0)
    return arithmetic.saturated(values, layer.low, layer.high)


def _softmax(network: Network, layer: Layer, operands: Sequence[Int8Array]) -> Int8Array:
    """`arithmetic.Exponentials` over each row."""
    source, result = network.values[layer.inputs[0]], network.values[layer.output]
    rows = operands[0].reshape(-1, layer.columns["in_channels"]).astype(np.int64)
    constants = arithmetic.softmax_constants(source.scale, result.scale, rows.shape[1])
    exponentials = constants.table.astype(np.int64)[rows.max(axis=1, keepdims=True) - rows]
    total = exponentials.sum(axis=1, keepdims=True)
    steps = (exponentials * constants.steps + 8 * total) // (16 * total)
    return arithmetic.saturated(steps + result.zero_point, layer.low, layer.high)


def _looked_up(_network: Network, layer: Layer, operands: Sequence[Int8Array]) -> Int8Array:
    """Each value's entry of the table."""
    table = np.asarray(layer.table)
    return table[operands[0].astype(np.int64) + 128]


def _concatenated(_network: Network, layer: Layer, operands: Sequence[Int8Array]) -> Int8Array:
    """The operands behind each other, each through its table."""
    parts = list(operands)
    if layer.table is not None:
        parts = [table[part.astype(np.int64) + 128] for table, part in zip(layer.table, parts, strict=True)]
    return np.concatenate(parts, axis=int(layer.options["axis"]))  # type: ignore[arg-type]


def _sliced(network: Network, layer: Layer, operands: Sequence[Int8Array]) -> Int8Array:
    """Some neighbouring values along one axis."""
    axis, begin = int(layer.options["axis"]), int(layer.options["begin"])  # type: ignore[arg-type]
    return operands[0].take(begin + np.arange(network.values[layer.output].shape[axis]), axis)


def _padded(network: Network, layer: Layer, operands: Sequence[Int8Array]) -> Int8Array:
    """The zero point around the data."""
    c = layer.columns
    return np.pad(
        operands[0],
        ((c["pad_top"], c["pad_bottom"]), (c["pad_left"], c["pad_right"]), (0, 0)),
        constant_values=network.values[layer.output].zero_point,
    )


def _permuted(_network: Network, layer: Layer, operands: Sequence[Int8Array]) -> Int8Array:
    """The values in the order of nested loops."""
    places = np.zeros(1, np.int64)
    for size, step in zip(layer.options["sizes"], layer.options["steps"], strict=True):  # type: ignore[arg-type]
        places = (places[:, None] + np.arange(size) * step).ravel()
    return operands[0].ravel()[places]


def _repeated(_network: Network, layer: Layer, operands: Sequence[Int8Array]) -> Int8Array:
    """Every value as often as the result is larger."""
    c = layer.columns
    return operands[0].repeat(c["out_h"] // c["in_h"], axis=0).repeat(c["out_w"] // c["in_w"], axis=1)


_KINDS: Final[Mapping[str, Callable[[Network, Layer, Sequence[Int8Array]], Int8Array]]] = {
    **dict.fromkeys(("conv", "conv_transpose", "linear"), _weighted),
    **dict.fromkeys(("activation", "sigmoid", "hard_sigmoid", "hard_swish", "scale"), _looked_up),
    "add": _added,
    "avg_pool": _averaged,
    "batch_norm": _affine,
    "concat": _concatenated,
    "max_pool": _largest,
    "mul": _multiplied,
    "pad": _padded,
    "permute": _permuted,
    "slice": _sliced,
    "softmax": _softmax,
    "upsample": _repeated,
}

"""Integer weights, biases and factors of the layers that have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import ModelError, UnsupportedError
from hannah_hw.firmware.network.constants import Constants, Grid

if TYPE_CHECKING:
    from onnx import NodeProto

#: How far a bias's own scale may be from that of the accumulators, relatively: float32 products differ by less.
_SAME_SCALE = 1e-5


def channels_last(kind: str, node: NodeProto, values: NDArray[Any], groups: int) -> NDArray[Any]:
    """A weight of the file as (out_channels, kernel_h, kernel_w, in_channels / groups).

    Args:
        kind: ``conv``, ``conv_transpose`` or ``linear``.
        node: The node that takes it.
        values: As the file has it.
        groups: Of the layer.
    """
    if kind == "linear":
        matrix = values if _attribute(node, "transB") else values.T
        return matrix[:, None, None, :]
    if kind == "conv_transpose":  # (I, O / groups, kernel...)
        inputs, outputs, *kernel = values.shape
        values = values.reshape(groups, inputs // groups, outputs, *kernel)
        values = np.moveaxis(values, 1, 2).reshape(groups * outputs, inputs // groups, *kernel)
    last = np.moveaxis(values, 1, -1)
    return last if last.ndim == 4 else last[:, None]


def output_axis(kind: str, node: NodeProto) -> int:
    """The axis of a weight of the file that runs over the output channels."""
    if kind == "linear":
        return 0 if _attribute(node, "transB") else 1
    return 1 if kind == "conv_transpose" else 0


def _attribute(node: NodeProto, name: str) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), 0)


def integer_weights(
    constants: Constants, kind: str, node: NodeProto, groups: int
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Weights and their scales.

    Returns:
        (out_channels, kernel_h, kernel_w, in_channels / groups) in [-127, 127], and (out_channels,) scales.

    Raises:
        ModelError: They are not quantised.
        UnsupportedError: They have other than 8 bits, hold -128, or have scales along another axis.
    """
    where, name = constants.where, node.input[1]
    levels = constants.levels(name)
    if levels is None:
        raise ModelError(
            f"the weight {name!r} of {node.name!r} ({node.op_type}) is floating point; quantise the model to int8",
            where=where,
        )
    if levels.values.size and (levels.values.min() < -127 or levels.values.max() > 127):
        raise UnsupportedError(
            f"{where}: the weight {name!r} of {node.name!r} has values from {levels.values.min()} to "
            f"{levels.values.max()}; kernels take -127 to 127: quantise weights symmetrically"
        )
    weights = np.ascontiguousarray(channels_last(kind, node, levels.values, groups).astype(np.int8))
    outputs = len(weights)
    if len(levels.scales) == 1:
        return weights, np.full(outputs, levels.scales[0])
    if levels.axis != output_axis(kind, node):
        raise UnsupportedError(
            f"{where}: the weight {name!r} of {node.name!r} has scales along axis {levels.axis}; kernels take one "
            "scale, or one for each output channel"
        )
    scales = np.tile(levels.scales, max(outputs // len(levels.scales), 1))
    if len(scales) != outputs:
        raise ModelError(
            f"the weight {name!r} of {node.name!r} has {len(levels.scales)} scales for {outputs} output channels",
            where=where,
        )
    return weights, scales


def integer_bias(
    constants: Constants, node: NodeProto, scales: NDArray[np.float64], weights: NDArray[np.int8], grid: Grid
) -> NDArray[np.int32]:
    """The bias in steps of the accumulators, zeros without one.

    Args:
        constants: Of the file.
        node: The node that takes it as its third input.
        scales: (out_channels,) scale of an accumulator's step.
        weights: See `integer_weights`.
        grid: Of the layer's operand.

    Raises:
        ModelError: It is computed.
        UnsupportedError: Sums could exceed int32.
    """
    whole = np.zeros(len(weights), np.int64)
    if len(node.input) > 2 and node.input[2]:
        steps = np.rint(_bias_steps(constants, node, scales))
        # Far beyond int32, and False for what is no number.
        whole = np.where(np.abs(steps) < 1 << 40, steps, 1 << 40).astype(np.int64)
    farthest = max(127 - grid.zero_point, grid.zero_point + 128)
    largest = np.abs(whole) + farthest * np.abs(weights.astype(np.int64)).sum((1, 2, 3))
    if (largest >= 1 << 31).any():
        raise UnsupportedError(
            f"{constants.where}: sums of {node.name!r} can reach {int(largest.max())}, which is more than int32 holds; "
            "it has too many inputs, or a bias that is too large for its scales"
        )
    return whole.astype(np.int32)


def _bias_steps(constants: Constants, node: NodeProto, scales: NDArray[np.float64]) -> NDArray[np.float64]:
    name = node.input[2]
    levels = constants.levels(name)
    array = levels.values if levels is not None else constants.array(name)
    if array is None:
        raise ModelError(f"the bias {name!r} of {node.name!r} is computed", where=constants.where)
    if array.size != len(scales) or (levels is not None and len(levels.scales) not in (1, array.size)):
        raise ModelError(
            f"the bias {name!r} of {node.name!r} has the shape {array.shape}; it has {len(scales)} output channels",
            where=constants.where,
        )
    values = array.astype(np.float64).ravel()
    if levels is not None:
        if np.allclose(levels.scales, scales, rtol=_SAME_SCALE, atol=0.0):
            return values
        return values * levels.scales / scales
    return values / scales

"""The same network on the grids that TFLite's operators have.

Our files give every value the grid that suits its range best. TFLite's poolings and copies write their operand's grid
(but for the mean of everything), its softmax and sigmoid write steps of 1/256, and its concatenation reads its result's
grid. Another grid costs an operator that converts; so values move to the grid that the operator has, as in files of
TensorFlow's converter, and the layers around them are scaled anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from hannah_hw.firmware import arithmetic
from hannah_hw.firmware.layers import Layer, Network, Value
from hannah_hw.firmware.network.kinds import table_of
from hannah_hw.firmware.tflite.functions import function_of, refused

#: Kinds whose result has the operand's grid, but for averages over everything.
_COPYING: Final = ("avg_pool", "max_pool", "slice", "pad", "permute", "upsample")
#: Kinds whose result has steps of 1/256 from 0 on.
UNIT: Final = ("softmax", "sigmoid")
#: Kinds that end with a clamp to the layer's range.
CLAMPING: Final = (
    "conv",
    "conv_transpose",
    "linear",
    "batch_norm",
    "add",
    "mul",
    "avg_pool",
    "max_pool",
    "softmax",
)
#: Steps by which the range of a concatenation may fall short of an operand's that takes over its grid.
_SLACK: Final = 2


def regridded(network: Network) -> Network:
    """The network on TFLite's grids.

    Operands of a concatenation take its grid over where they are computed (not copied from the input, a softmax or a
    sigmoid) and nothing else has moved them; the others are converted in front of it.

    Args:
        network: A network as its file has it.

    Raises:
        UnsupportedError: A layer cannot be scaled to another grid.
    """
    values = _values(network)
    moved = tuple(_layer(network, layer, values) for layer in network.layers)
    return replace(network, values=values, layers=moved)


def _values(network: Network) -> tuple[Value, ...]:
    """The values on their new grids."""
    producers = {layer.output: layer for layer in network.layers}
    roots: dict[int, int] = {index: index for index in network.inputs}
    for layer in network.layers:
        roots[layer.output] = roots[layer.inputs[0]] if _copies(layer) else layer.output
    grids = {root: network.values[root] for root in set(roots.values())}
    free = {root for root in grids if root in producers and producers[root].kind not in UNIT}
    for root in grids:
        if root in producers and producers[root].kind in UNIT:
            grids[root] = replace(network.values[root], scale=1.0 / 256.0, zero_point=-128)
    for layer in reversed(network.layers):
        if layer.kind != "concat":
            continue
        wanted = grids[roots[layer.output]]
        for root in {roots[index] for index in layer.inputs}:
            if root in free and _covers(wanted, grids[root]):
                grids[root] = wanted
                free.discard(root)
    return tuple(
        replace(value, scale=grids[roots[index]].scale, zero_point=grids[roots[index]].zero_point)
        for index, value in enumerate(network.values)
    )


def is_global(layer: Layer) -> bool:
    """Whether a pooling averages all of its data: TFLite's MEAN, which writes any grid.

    The range of such an average is a fraction of its data's, so that it would lose most steps on their grid.
    """
    c = layer.columns
    whole = (c["kernel_h"], c["kernel_w"]) == (c["in_h"], c["in_w"])
    return layer.kind == "avg_pool" and whole and (c["out_h"], c["out_w"]) == (1, 1)


def _copies(layer: Layer) -> bool:
    return layer.kind in _COPYING and not is_global(layer)


def _covers(wide: Value, narrow: Value) -> bool:
    """Whether a grid has, but for a step or two, the range of another."""
    ends = [narrow.scale * (step - narrow.zero_point) / wide.scale + wide.zero_point for step in (-128, 127)]
    return ends[0] >= -128 - _SLACK and ends[1] <= 127 + _SLACK


def _layer(network: Network, layer: Layer, values: tuple[Value, ...]) -> Layer:
    """A layer between values on other grids."""
    old, new = network.values[layer.output], values[layer.output]
    parts: dict[str, Any] = {}
    if layer.kind in CLAMPING and (layer.low, layer.high) != (-128, 127):
        parts = _range(layer, old, new)
    touched = (*layer.inputs, layer.output)
    if all(network.values[index] == values[index] for index in touched):
        return replace(layer, **parts)
    if layer.kind in _SCALED:
        parts |= _SCALED[layer.kind](network, layer, values)
    elif layer.kind == "concat":
        parts["table"] = _tables(layer, values)
    elif layer.table is not None:
        source = layer.inputs[0]
        function = function_of(layer, network.values[source], old)
        parts["table"] = table_of(values[source], new, function)
    return replace(layer, **parts)


def _range(layer: Layer, old: Value, new: Value) -> dict[str, Any]:
    """A range other than that of int8 on another grid."""
    ends = [old.scale * (step - old.zero_point) for step in (layer.low, layer.high)]
    # An end that saturation is stays one.
    low, high = (int(step) for step in arithmetic.to_steps(np.array(ends), new.scale, new.zero_point))
    return {
        "low": -128 if layer.low == -128 else low,
        "high": 127 if layer.high == 127 else high,
    }


def _weighted(network: Network, layer: Layer, values: tuple[Value, ...]) -> dict[str, Any]:
    operand = values[layer.inputs[0]].scale / network.values[layer.inputs[0]].scale
    result = values[layer.output].scale / network.values[layer.output].scale
    bias = np.rint(np.asarray(layer.bias, np.float64) / operand)
    if (np.abs(bias) >= 1 << 30).any():
        raise refused(layer, "its bias is too large for the grid of its operand there")
    return {"scales": layer.scales * operand / result, "bias": bias.astype(np.int32)}


def _ratios(_network: Network, layer: Layer, values: tuple[Value, ...]) -> dict[str, Any]:
    result = values[layer.output].scale
    return {"scales": np.array([values[index].scale for index in layer.inputs]) / result}


def _product(_network: Network, layer: Layer, values: tuple[Value, ...]) -> dict[str, Any]:
    first, second = (values[index].scale for index in layer.inputs)
    return {"scales": np.array([first * second / values[layer.output].scale])}


def _affine(network: Network, layer: Layer, values: tuple[Value, ...]) -> dict[str, Any]:
    source, result = layer.inputs[0], layer.output
    old, new = network.values[result], values[result]
    ratios = layer.scales * (values[source].scale / network.values[source].scale) * (old.scale / new.scale)
    offsets = affine_offsets(network, layer) * old.scale / new.scale
    found = arithmetic.affine_constants(ratios, offsets, values[source].zero_point, new.zero_point)
    return {"scales": ratios, "bias": found.offsets, "options": {"bits": found.bits}}


def affine_offsets(network: Network, layer: Layer) -> Any:
    """(channels,) what a batch normalisation adds, in steps of its result: `arithmetic.affine_constants` undone."""
    bits = int(layer.options["bits"])  # type: ignore[arg-type]
    multipliers = arithmetic.floor_multiplier(layer.scales, bits)
    whole = np.asarray(layer.bias, np.int64) + network.values[layer.inputs[0]].zero_point * multipliers
    return (
        np.ldexp((whole - (1 << (bits - 1))).astype(np.float64), -bits)
        - network.values[layer.output].zero_point
    )


def _tables(layer: Layer, values: tuple[Value, ...]) -> Any:
    """What turns the operands of a concatenation to its grid; None where all have it."""
    result = values[layer.output]
    operands = [values[index] for index in layer.inputs]
    if all((value.scale, value.zero_point) == (result.scale, result.zero_point) for value in operands):
        return None
    return np.stack([table_of(value, result, lambda x: x) for value in operands])


_SCALED: Final[Mapping[str, Callable[[Network, Layer, tuple[Value, ...]], dict[str, Any]]]] = {
    **dict.fromkeys(("conv", "conv_transpose", "linear"), _weighted),
    **dict.fromkeys(("add", "avg_pool"), _ratios),
    "mul": _product,
    "batch_norm": _affine,
}

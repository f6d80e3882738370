"""From layers to the operations of the processor: what the compiler makes of each kind.

What becomes what was found by compiling single layers with ethos-u-vela 5.2.0 and reading its table of operations:

* a grouped convolution is one convolution a group, with more than one output channel for each input channel of a
  depthwise one that many depthwise convolutions and seven transpositions;
* a stride above 3 is one convolution an output pixel; a dilation above 2 a larger window with zeros in it;
* a transposed convolution of stride 2 reads its input upscaled by zeros;
* an average over everything is a depthwise convolution with equal weights and a multiplication;
* softmax is 30 operations on rows of 8 and 32 bits;
* sigmoid and hard swish are tables that the operation before applies, concatenation and slice are addresses: all
  of them take no cycles of their own; a padding that stands alone copies its borders;
* activations by themselves and requantisation are poolings with a window of one element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.block.columns import (
    ADD,
    BINARY32,
    MAX,
    MUL,
    NONE,
    OTHER,
    Lowered,
    by_pixel,
    common,
    windows,
)
from hannah_hw.cost.block.convolutions import conv, linear, matmul, transposed
from hannah_hw.cost.block.operations import Operations
from hannah_hw.cost.block.softmax import softmax


def lower(layers: Layers, spills: bool, means: bool = True) -> Operations:
    """The operations of M layers of `LOWERED` kinds, in the order of the layers.

    Args:
        layers: The layers; those of other kinds have no operations.
        spills: Whether values that are not on chip lie in another memory. Where they do not, ``input_on_chip`` and
            ``output_on_chip`` only tell inputs and outputs of the network, which are stored row by row.
        means: Whether an average over everything is a mean rather than a pooling.
    """
    parts: Lowered = []
    rules = LOWERED if means else {**LOWERED, "avg_pool": _pool(OTHER)}
    for kind, rule in rules.items():
        places = np.flatnonzero(layers.is_kind(kind))
        if len(places):
            some = layers.at(places)
            parts += [
                operations.replaced(layer=places[operations["layer"]])
                for operations in rule(some)
                if len(operations)
            ]
    joined = Operations.joined(parts)
    order = np.argsort(joined["layer"], kind="stable")
    joined = joined.at(order)
    if not spills:
        inside = np.ones(len(joined), np.int64)
        joined = joined.replaced(ifm_on_chip=inside, ofm_on_chip=inside)
    return joined.at(joined["repeats"] > 0)


def _binary(row: int) -> Callable[[Layers], Lowered]:
    def build(layers: Layers) -> Lowered:
        columns = common(layers)
        for axis in "hwc":
            columns[f"ifm_{axis}"] = columns[f"ifm2_{axis}"] = columns[f"ofm_{axis}"]
        columns["output"] = np.full(len(layers), row)
        columns["repeats"] = np.maximum(layers["operands"] - 1, 1)
        return [Operations.of("elementwise", **columns)]

    return build


def _with_scalar(row: int) -> Callable[[Layers], Lowered]:
    def build(layers: Layers) -> Lowered:
        columns = common(layers)
        one = np.ones(len(layers), np.int64)
        columns.update({"ifm2_h": one, "ifm2_w": one, "ifm2_c": one, "output": np.full(len(layers), row)})
        return [Operations.of("elementwise", **columns)]

    return build


def _hard_sigmoid(layers: Layers) -> Lowered:
    return [*_with_scalar(ADD)(layers), *_with_scalar(MUL)(layers)]


def _pool(row: int) -> Callable[[Layers], Lowered]:
    def build(layers: Layers) -> Lowered:
        columns = windows(layers)
        by_pixel(columns)
        columns["output"] = np.full(len(layers), row)
        return [Operations.of("pool", **columns)]

    return build


def _average(layers: Layers) -> Lowered:
    whole = (layers["kernel_h"] == layers["in_h"]) & (layers["kernel_w"] == layers["in_w"])
    whole &= (layers["out_h"] == 1) & (layers["out_w"] == 1) & (layers["kernel_h"] * layers["kernel_w"] > 1)
    parts: Lowered = []
    for chosen, build in ((np.flatnonzero(~whole), _pool(OTHER)), (np.flatnonzero(whole), _mean)):
        if len(chosen):
            parts += [part.replaced(layer=chosen[part["layer"]]) for part in build(layers.at(chosen))]
    return parts


def _mean(layers: Layers) -> Lowered:
    columns = windows(layers)
    one = np.ones(len(layers), np.int64)
    inside = {"ofm_bits": 32 * one, "ofm_linear": 0 * one, "ofm_on_chip": one, "activation": NONE * one}
    total = Operations.of("depthwise", **{**columns, **inside, "scales": one, "uniform": one})
    divided = Operations.of(
        "elementwise",
        layer=np.arange(len(layers)),
        ifm_c=layers["out_channels"],
        ifm2_h=1,
        ifm2_w=1,
        ifm2_c=1,
        constant2=1,
        ofm_c=layers["out_channels"],
        ifm_bits=32,
        ofm_linear=columns["ofm_linear"],
        ofm_on_chip=columns["ofm_on_chip"],
        output=BINARY32,
        activation=columns["activation"],
    )
    return [total, divided]


def _single(layers: Layers) -> Lowered:
    return [Operations.of("pool", **common(layers))]


def _batch_norm(layers: Layers) -> Lowered:
    return [Operations.of("depthwise", **common(layers), scales=1)]


def _upsample(layers: Layers) -> Lowered:
    """Doublings one after the other."""
    columns = common(layers)
    factor = np.maximum(layers["out_h"] // layers["in_h"], layers["out_w"] // layers["in_w"])
    parts: Lowered = []
    for step in range(int(np.ceil(np.log2(max(int(factor.max(initial=1)), 1))))):
        doubled = dict(columns)
        for axis in "hw":
            before, after = layers[f"in_{axis}"], layers[f"out_{axis}"]
            doubled[f"ifm_{axis}"] = np.minimum(before * 2**step, after)
            doubled[f"ofm_{axis}"] = np.minimum(before * 2 ** (step + 1), after)
        doubled["repeats"] = (factor > 2**step).astype(np.int64)
        parts.append(Operations.of("pool", **doubled, upscale=2, nearest=1))
    return parts


def _permute(layers: Layers) -> Lowered:
    columns = common(layers)
    columns["ifm_linear"] = columns["ofm_linear"] = np.ones(len(layers), np.int64)
    return [Operations.of("copy", **columns)]


def _pad(layers: Layers) -> Lowered:
    columns = common(layers)
    parts: Lowered = []
    for side, axis in (("top", "h"), ("bottom", "h"), ("left", "w"), ("right", "w")):
        strip = dict(columns)
        for other in "hwc":
            strip[f"ifm_{other}"] = strip[f"ofm_{other}"]
        strip[f"ifm_{axis}"] = strip[f"ofm_{axis}"] = layers[f"pad_{side}"]
        strip["repeats"] = (layers[f"pad_{side}"] > 0).astype(np.int64)
        strip[f"ifm_{axis}"] = strip[f"ofm_{axis}"] = np.maximum(strip[f"ofm_{axis}"], 1)
        strip["ifm_linear"] = strip["ofm_linear"] = np.ones(len(layers), np.int64)
        parts.append(Operations.of("pool", **strip))
    return parts


def _free(_: Layers) -> Lowered:
    return []


#: Kernel kind -> what it becomes; kinds that are not here are refused.
LOWERED: Final[Mapping[str, Callable[[Layers], Lowered]]] = {
    "conv": conv,
    "conv_transpose": transposed,
    "linear": linear,
    "matmul": matmul,
    "add": _binary(ADD),
    "mul": _binary(MUL),
    "scale": _with_scalar(MUL),
    "avg_pool": _average,
    "max_pool": _pool(MAX),
    "softmax": softmax,
    "activation": _single,
    "quantize": _single,
    "batch_norm": _batch_norm,
    "sigmoid": _free,
    "hard_swish": _free,
    "hard_sigmoid": _hard_sigmoid,
    "upsample": _upsample,
    "concat": _free,
    "slice": _free,
    "permute": _permute,
    "pad": _pad,
}

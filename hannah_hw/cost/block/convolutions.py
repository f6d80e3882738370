"""Convolutions and products of matrices as operations; see `hannah_hw.cost.block.lowering`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.block.columns import MUL32, Lowered, by_pixel, common, windows
from hannah_hw.cost.block.operations import IntArray, Operations

#: Transpositions after a depthwise convolution with several output channels for each input channel.
_REORDERINGS: Final = 7


def _part(columns: Mapping[str, IntArray], chosen: IntArray) -> dict[str, IntArray]:
    return {name: values[chosen] for name, values in columns.items()}


def conv(layers: Layers) -> Lowered:
    """Convolutions: grouped ones group by group, depthwise ones by a unit of their own."""
    columns = windows(layers)
    by_pixel(columns)
    columns["scales"] = np.ones(len(layers), np.int64)
    groups = np.maximum(layers["groups"], 1)
    each = layers["out_channels"] // groups
    # A depthwise convolution of one input channel is an ordinary one.
    depthwise = (groups == layers["in_channels"]) & (groups > 1)
    plain = _part(columns, np.flatnonzero(~depthwise))
    split, inputs = groups[~depthwise], (layers["in_channels"] // groups)[~depthwise]
    outputs = each[~depthwise]
    plain["ifm_c"], plain["ofm_c"], plain["repeats"] = inputs, outputs, plain["repeats"] * split
    # Parts of a tensor that do not begin at a brick need it row by row.
    plain["ifm_linear"] = np.where((split > 1) & (inputs % 16 != 0), 1, plain["ifm_linear"])
    plain["ofm_linear"] = np.where((split > 1) & (outputs % 16 != 0), 1, plain["ofm_linear"])
    parts = [Operations.of("conv", **plain)] if len(split) else []
    deep = np.flatnonzero(depthwise)
    if len(deep):
        many = each[deep]
        channels = _part(columns, deep)
        channels["ofm_c"] = groups[deep]
        channels["repeats"] = channels["repeats"] * many
        parts.append(Operations.of("depthwise", **channels))
        parts.append(
            Operations.of(
                "copy",
                layer=deep,
                **_moved(layers, deep),
                ifm_linear=1,
                ofm_linear=1,
                repeats=np.where(many > 1, _REORDERINGS, 0),
            )
        )
    return parts


def _moved(layers: Layers, places: IntArray) -> dict[str, IntArray]:
    """Sizes of a copy of the result of layers."""
    sizes = {}
    for axis, name in (("h", "out_h"), ("w", "out_w"), ("c", "out_channels")):
        sizes[f"ifm_{axis}"] = sizes[f"ofm_{axis}"] = layers[name][places]
    for side, name in (("ifm", "input_on_chip"), ("ofm", "output_on_chip")):
        sizes[f"{side}_on_chip"] = layers[name][places]
    return sizes


def transposed(layers: Layers) -> Lowered:
    """Transposed convolutions, whose input is read upscaled by zeros."""
    columns = windows(layers)
    groups = np.maximum(layers["groups"], 1)
    columns["upscale"] = np.maximum(layers["stride_h"], layers["stride_w"])
    columns["stride_h"] = columns["stride_w"] = np.ones(len(layers), np.int64)
    columns["ifm_c"] = layers["in_channels"] // groups
    columns["ofm_c"] = layers["out_channels"] // groups
    columns["repeats"] = groups
    columns["scales"] = np.ones(len(layers), np.int64)
    return [Operations.of("conv", **columns)]


def _near_square(rows: IntArray) -> tuple[IntArray, IntArray]:
    """Height and width into which a batch of rows is folded: as near to a square as its divisors allow."""
    high = np.ones_like(rows)
    for candidate in range(2, int(np.sqrt(rows.max(initial=1))) + 1):
        high = np.where((rows % candidate == 0) & (candidate * candidate <= rows), candidate, high)
    return high, rows // high


def linear(layers: Layers) -> Lowered:
    """Fully connected layers, a batch of rows as an image."""
    columns = common(layers)
    high, wide = _near_square(np.maximum(layers["out_h"] * layers["out_w"], 1))
    features = layers["in_channels"] * layers["in_h"] * layers["in_w"] // (high * wide)
    columns["ifm_h"], columns["ifm_w"] = high, wide
    columns["ofm_h"], columns["ofm_w"] = high, wide
    # A flattened tensor is read row by row.
    columns["ifm_linear"] = np.where(features != layers["in_channels"], 1, columns["ifm_linear"])
    columns["ifm_c"] = features
    columns["scales"] = np.ones(len(layers), np.int64)
    return [Operations.of("fc", **columns)]


def matmul(layers: Layers) -> Lowered:
    """Products of two activations: products element by element, then their sums."""
    groups = np.maximum(layers["groups"], 1)
    rows = np.maximum(layers["out_h"] * layers["out_w"], 1)
    deep, columns = layers["in_channels"] // groups, layers["out_channels"] // groups
    both = {"layer": np.arange(len(layers)), "ifm_w": rows, "ifm_c": deep, "repeats": columns * groups}
    product = Operations.of(
        "elementwise",
        **both,
        ifm2_h=1,
        ifm2_w=rows,
        ifm2_c=deep,
        ofm_w=rows,
        ofm_c=deep,
        ofm_bits=32,
        output=MUL32,
    )
    total = Operations.of("reduce", **both, ofm_w=rows, ofm_c=1, ifm_bits=32, ifm_linear=1)
    return [product, total]

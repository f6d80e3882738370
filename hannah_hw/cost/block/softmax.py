"""Softmax as operations: 30 of them, on rows of 8 and 32 bits."""

from __future__ import annotations

from typing import Final

import numpy as np

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.block.columns import ADD, BINARY32, MAX, TABLE, UNARY32, Lowered
from hannah_hw.cost.block.operations import Operations

#: Steps of the iterations by which softmax divides: a difference, a product and three that correct it, thrice.
_NEWTON: Final = ("scalar", "vector", "scalar", "vector", "vector") * 3


def softmax(layers: Layers) -> Lowered:
    """The largest of a row, exponentials by a table, their sum, and a division by iterations on 32 bits."""
    number = np.arange(len(layers))
    rows = np.maximum(layers["in_h"] * layers["in_w"], 1)
    classes = layers["in_channels"]
    row = {"layer": number, "ifm_w": rows, "ofm_w": rows}
    wide = {**row, "ifm_bits": 32, "ofm_bits": 32}
    one = {"ifm2_h": 1, "ifm2_w": 1, "ifm2_c": 1}
    vector = {**wide, "ifm_c": 1, "ofm_c": 1}
    scalar = {**vector, **one, "constant2": 1, "output": BINARY32}
    pair = {**vector, "ifm2_h": 1, "ifm2_w": rows, "ifm2_c": 1, "output": BINARY32}
    whole = {**wide, "ifm_c": classes, "ofm_c": classes}
    outside = {"ofm_on_chip": layers["output_on_chip"], "ofm_linear": 1 - layers["output_on_chip"]}
    largest = Operations.of(
        "pool", layer=number, ifm_h=rows, ifm_w=classes, ofm_h=rows, kernel_w=classes, output=MAX
    )
    less = Operations.of(
        "elementwise",
        **{**row, "ifm_c": classes, "ofm_c": classes, "ofm_bits": 32},
        ifm2_h=1,
        ifm2_w=rows,
        ifm2_c=1,
        output=ADD,
        activation=TABLE,
        table=1,
    )
    shifted = Operations.of("elementwise", **{**whole, **one, "constant2": 1, "output": BINARY32})
    total = Operations.of("reduce", **{**wide, "ifm_c": classes, "ofm_c": 1, "ifm_linear": 1})
    leading = Operations.of("elementwise", **{**vector, "output": UNARY32})
    steps = [
        Operations.of("elementwise", **(scalar if step == "scalar" else pair))
        for step in (
            "scalar",
            "scalar",
            "vector",
            "scalar",
            "scalar",
            "vector",
            *_NEWTON,
            "scalar",
            "vector",
            "scalar",
        )
    ]
    weighed = Operations.of(
        "elementwise", **{**whole, "ifm2_h": 1, "ifm2_w": rows, "ifm2_c": 1, "output": BINARY32}
    )
    rounded = Operations.of("elementwise", **{**whole, **one, "constant2": 1, "output": BINARY32})
    last = Operations.of(
        "elementwise",
        **{**whole, "ifm2_h": 1, "ifm2_w": rows, "ifm2_c": 1, "ofm_bits": 8, "output": BINARY32, **outside},
    )
    return [largest, less, shifted, total, leading, *steps, weighed, rounded, last]

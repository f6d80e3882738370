"""Columns of operations that layers of several kinds share."""

from __future__ import annotations

from typing import Final

import numpy as np

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.block.npu import ACTIVATION_ROWS, OUTPUT_ROWS
from hannah_hw.cost.block.operations import IntArray, Operations
from hannah_hw.workload.table import ACTIVATIONS

#: What layers of one kind become: operations in the order in which they run.
Lowered = list[Operations]

#: Activation of a layer that applies the table of the layer after it; beyond those of `ACTIVATIONS`.
BY_TABLE: Final = len(ACTIVATIONS)

#: Rows of the processor's tables of activations and of outputs.
TABLE: Final = ACTIVATION_ROWS.index("table")
_CLAMP: Final = ACTIVATION_ROWS.index("clamp")
NONE: Final = ACTIVATION_ROWS.index("other")
ADD, MUL, MAX, OTHER, BINARY32, UNARY32, MUL32 = (
    OUTPUT_ROWS.index(row) for row in ("add", "mul", "max_pool", "other", "binary32", "unary32", "mul32")
)


def _activation(layers: Layers) -> IntArray:
    named = np.where(layers["activation"] == ACTIVATIONS.index("none"), NONE, _CLAMP)
    return np.where(layers["activation"] == BY_TABLE, TABLE, named)


def common(layers: Layers) -> dict[str, IntArray]:
    """Columns of the one operation that a layer becomes."""
    return {
        "layer": np.arange(len(layers)),
        "ifm_h": layers["in_h"],
        "ifm_w": layers["in_w"],
        "ifm_c": layers["in_channels"],
        "ofm_h": layers["out_h"],
        "ofm_w": layers["out_w"],
        "ofm_c": layers["out_channels"],
        "ifm_bits": _whole_bytes(layers["activation_bits"]),
        "ofm_bits": _whole_bytes(layers["output_bits"]),
        "ifm_linear": 1 - layers["input_on_chip"],
        "ofm_linear": 1 - layers["output_on_chip"],
        "ifm_on_chip": layers["input_on_chip"],
        "ofm_on_chip": layers["output_on_chip"],
        "reserved_bytes": layers["reserved_bytes"],
        "activation": _activation(layers),
        "table": (layers["activation"] == BY_TABLE).astype(np.int64),
    }


def _whole_bytes(bits: IntArray) -> IntArray:
    return np.where(bits <= 8, 8, np.where(bits <= 16, 16, 32))


def windows(layers: Layers) -> dict[str, IntArray]:
    """Columns of an operation with a window."""
    columns = common(layers)
    for axis in "hw":
        dilation, window = layers[f"dilation_{axis}"], layers[f"kernel_{axis}"]
        even = dilation % 2 == 0
        stretched = (window - 1) * np.where(even, dilation // 2, dilation) + 1
        columns[f"kernel_{axis}"] = np.where(dilation > 2, stretched, window)
        columns[f"dilation_{axis}"] = np.where(dilation > 2, np.where(even, 2, 1), dilation)
        columns[f"stride_{axis}"] = layers[f"stride_{axis}"]
    return columns


def by_pixel(columns: dict[str, IntArray]) -> None:
    """Make of an operation with long strides one that computes a pixel, as often as there are pixels."""
    long = (columns["stride_h"] > 3) | (columns["stride_w"] > 3)
    columns["repeats"] = np.where(long, columns["ofm_h"] * columns["ofm_w"], 1)
    for axis in "hw":
        extent = (columns[f"kernel_{axis}"] - 1) * columns[f"dilation_{axis}"] + 1
        columns[f"ifm_{axis}"] = np.where(
            long, np.minimum(extent, columns[f"ifm_{axis}"]), columns[f"ifm_{axis}"]
        )
        columns[f"ofm_{axis}"] = np.where(long, 1, columns[f"ofm_{axis}"])
        columns[f"stride_{axis}"] = np.where(long, 1, columns[f"stride_{axis}"])

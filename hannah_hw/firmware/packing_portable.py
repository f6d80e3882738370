"""Constants of the kernels with weights in portable C, for Cortex-M0+, M3, RV32IMC and the host.

The sources are ``hn_portable_conv.c`` and ``hn_portable_dw.c``. Biases contain the operand's zero point:
``acc = (bias - zero · Σ weight) + Σ weight · x``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.firmware.arithmetic import q32_multipliers
from hannah_hw.firmware.implementation import Implementation, Packed
from hannah_hw.firmware.layers import Layer, Network
from hannah_hw.firmware.packing_common import no_scratch

_CONV: Final = ("hn_portable_conv.c", "hn_portable_dots.c")
_DEPTHWISE: Final = ("hn_portable_dw.c", "hn_portable_dots.c")


def up_to(multiple: int, count: int) -> int:
    """``count`` rounded up to a multiple."""
    return -(-count // multiple) * multiple


def folded_biases(network: Network, layer: Layer, rows: NDArray[np.int8]) -> NDArray[np.int32]:
    """(out_channels,) biases with the operand's zero point.

    Args:
        network: The network.
        layer: A layer with weights.
        rows: (out_channels, depth) its weights.
    """
    zero = network.values[layer.inputs[0]].zero_point
    bias: NDArray[np.int64] = np.asarray(layer.bias, np.int64) - zero * rows.astype(np.int64).sum(axis=1)
    return bias.astype(np.int32)


def weight_rows(layer: Layer) -> NDArray[np.int8]:
    """(out_channels, depth) weights, in the order of the elements of a window."""
    weights = np.asarray(layer.weights, np.int8)
    return weights.reshape(len(weights), -1)


def _streams(rows: NDArray[np.int8], biases: NDArray[np.int32], multipliers: NDArray[np.int32]) -> bytes:
    """The stream of ``hn_portable_tiles`` for some output channels."""
    channels, depth = rows.shape
    pairs, quads = up_to(2, channels), up_to(4, depth)
    padded = np.zeros((pairs, quads), np.int8)
    padded[:channels, :depth] = rows
    numbers = np.zeros((2, pairs), "<i4")
    numbers[0, :channels], numbers[1, :channels] = biases, multipliers
    # (pair of channels, pair of elements, channel, element)
    taps = padded.reshape(pairs // 2, 2, quads // 2, 2).transpose(0, 2, 1, 3).reshape(pairs // 2, -1)
    words = numbers.reshape(2, pairs // 2, 2).view(np.int8).reshape(2, pairs // 2, 8)
    return np.concatenate([words[0], taps, words[1]], axis=1).tobytes()


def _pack_conv(network: Network, layer: Layer) -> Packed:
    rows, groups = weight_rows(layer), layer.columns["groups"]
    channels, multipliers = len(rows) // groups, q32_multipliers(layer.scales)
    biases = folded_biases(network, layer, rows)
    parts = [slice(group * channels, (group + 1) * channels) for group in range(groups)]
    streams = [_streams(rows[part], biases[part], multipliers[part]) for part in parts]
    fields = {
        "p0": groups,
        "p1": up_to(4, rows.shape[1]),
        "p2": len(streams[0]),
        "p3": layer.columns["in_channels"] // groups,
        "p4": channels,
    }
    return Packed(b"".join(streams), fields)


def _conv_scratch(_network: Network, layer: Layer) -> int:
    """A patch: one word for each element of a window."""
    return 4 * up_to(4, weight_rows(layer).shape[1])


def _pack_depthwise(network: Network, layer: Layer) -> Packed:
    rows = weight_rows(layer)
    taps = np.zeros((len(rows), up_to(4, rows.shape[1])), np.int8)
    taps[:, : rows.shape[1]] = rows
    numbers = np.stack([folded_biases(network, layer, rows), q32_multipliers(layer.scales)], axis=1)
    return Packed(np.concatenate([numbers.astype("<i4").view(np.int8), taps], axis=1).tobytes())


def _depthwise_scratch(_network: Network, layer: Layer) -> int:
    """A plane of words, each for one value under either half of the result."""
    columns = layer.columns
    size = {axis: columns[f"out_{axis}"] for axis in "hw"}
    one_dimension = columns["in_h"] == columns["kernel_h"] == columns["out_h"] == 1
    halved = "w" if one_dimension else "h"
    size[halved] = (size[halved] + 1) // 2
    size["w"] = up_to(2, size["w"])
    rows, cols = (
        (size[axis] - 1) * columns[f"stride_{axis}"]
        + (columns[f"kernel_{axis}"] - 1) * columns[f"dilation_{axis}"]
        + 1
        for axis in "hw"
    )
    return 4 * rows * cols


_DENSE: Final = Implementation("hn_portable_conv", _CONV, _pack_conv, _conv_scratch)
_FC: Final = Implementation("hn_portable_fc", _CONV, _pack_conv, no_scratch)


def _plane(function: str) -> Implementation:
    return Implementation(f"hn_portable_{function}", _DEPTHWISE, _pack_depthwise, _depthwise_scratch)


#: Kernel class -> implementations, best first; the last never refuses.
IMPLEMENTATIONS: Final[Mapping[str, tuple[Implementation, ...]]] = {
    "conv_1x1": (_DENSE,),
    "conv_1xn": (_DENSE,),
    "conv": (_DENSE,),
    "conv_grouped": (_DENSE,),
    "dw_3x3": (_plane("dw_3x3"),),
    "dw_3x3_s2": (_plane("dw_3x3_s2"),),
    "dw_5x5": (_plane("dw_5x5"),),
    "dw_5x5_s2": (_plane("dw_5x5"),),
    "dw_7x7": (_plane("dw_7x7"),),
    "dw_7x7_s2": (_plane("dw_7x7"),),
    "dw": (_plane("dw"),),
    "fc": (_FC,),
}

"""Constants of the kernels for cores with Helium, the M-profile vector extension for integers (Cortex-M55).

The sources are ``hn_conv_mve.c``, ``hn_tiles_mve.S``, ``hn_dw_mve.c``, ``hn_dw_mve.S`` and ``hn_add_mve.c``. With
``chunks`` the elements of the window of a group of input channels in units of 16, rounded up, and ``quads`` groups of
up to four output channels over all groups of input channels::

    constants = quads * (32 + 64 * chunks)         convolution, fully connected
    constants = blocks * (128 + 16 * window)       depthwise, blocks of up to 16 channels
    scratch   = (pixels - 1) * lane + 16 * chunks  convolution; pixels of a segment, lane bytes between their windows
              = 16 * chunks                        pointwise, fully connected; 0 if channels are a multiple of 16
              = 52 + 4 * kernel_h + 16 * columns * lines      depthwise, what the windows of a row reach

Scratch memory is rounded up to four bytes. Multipliers of 32 fraction bits are below 2^31, as VRMULH takes them; layers
with larger scales, or depthwise weights of -128, are left to the kernels for the DSP extension.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from hannah_hw.firmware import packing_common, packing_dsp
from hannah_hw.firmware.arithmetic import floor_multiplier
from hannah_hw.firmware.implementation import Implementation, Packed
from hannah_hw.firmware.layers import Layer, Network
from hannah_hw.firmware.packing_common import no_scratch
from hannah_hw.firmware.packing_dsp_values import (
    IntArray,
    accumulator_shift,
    folded_bias,
    little_endian,
    weight_rows,
)

#: Bytes of a vector.
VECTOR: Final = 16
#: Channels of a tile.
_CHANNELS: Final = 4
#: Pixels whose windows are copied together, as ``hn_conv_mve.c`` has it.
SEGMENT: Final = 16
#: Channels of a vector of bytes in the order in which widening every second lane twice leaves them.
_WIDENED: Final = np.arange(VECTOR).reshape(4, 4).T[[0, 2, 1, 3]].ravel()

_CONV_SOURCES: Final = ("hn_conv_mve.c", "hn_tiles_mve.S")
_DW_SOURCES: Final = ("hn_dw_mve.c", "hn_dw_mve.S")


def refuses_scale(_network: Network, layer: Layer) -> str | None:
    """Why a kernel cannot run a layer: a multiplier that is no int32."""
    if accumulator_shift(layer.scales):
        return f"a ratio of scales is {float(layer.scales.max()):g}, which is not below 0.5"
    return None


def refuses_depthwise(network: Network, layer: Layer) -> str | None:
    """Why a depthwise kernel cannot: products of two taps that do not fit into 16 bits together, or the scale."""
    if (weight_rows(layer) < -127).any():
        return "a weight is -128, and two products of -128 have no room in 16 bits"
    return refuses_scale(network, layer)


def _padded(values: IntArray, axis: int, multiple: int) -> IntArray:
    """Values with zeros behind, a multiple of so many along an axis."""
    widths = [(0, 0)] * values.ndim
    widths[axis] = (0, -values.shape[axis] % multiple)
    return np.pad(values, widths)


def _pack_dense(network: Network, layer: Layer) -> Packed:
    """For every four output channels of a group: weights of each chunk, channel by channel; biases; multipliers."""
    groups = 1 if layer.kind == "linear" else layer.columns["groups"]
    weights = np.asarray(layer.weights, np.int64).transpose(0, 2, 1, 3)  # columns of a window before its rows
    rows = weights.reshape(groups, len(weights) // groups, -1)
    rows = _padded(_padded(rows, 2, VECTOR), 1, _CHANNELS)
    quads = rows.reshape(-1, _CHANNELS, rows.shape[2] // VECTOR, VECTOR).transpose(0, 2, 1, 3)
    numbers = [
        _padded(values.reshape(groups, -1), 1, _CHANNELS).reshape(len(quads), _CHANNELS)
        for values in (folded_bias(network, layer), floor_multiplier(layer.scales))
    ]
    parts = [
        np.ascontiguousarray(quads.astype(np.int8)).reshape(len(quads), -1),
        *(n.astype("<i4").view(np.int8) for n in numbers),
    ]
    return Packed(np.concatenate(parts, axis=1).tobytes(), {"p0": groups})


def _pack_depthwise(network: Network, layer: Layer) -> Packed:
    """For every 16 channels: biases, weights tap by tap, multipliers."""
    rows = _padded(weight_rows(layer), 0, VECTOR)
    blocks = rows.reshape(-1, VECTOR, rows.shape[1]).transpose(0, 2, 1)
    bias = _padded(folded_bias(network, layer), 0, VECTOR).reshape(-1, VECTOR)[:, _WIDENED]
    multipliers = _padded(floor_multiplier(layer.scales), 0, VECTOR).reshape(-1, VECTOR)[:, _WIDENED]
    records = [
        little_endian(bias[block]) + taps.astype(np.int8).tobytes() + little_endian(multipliers[block])
        for block, taps in enumerate(blocks)
    ]
    return Packed(b"".join(records))


def _up(multiple: int, count: int) -> int:
    return -(-count // multiple) * multiple


def _window_scratch(_network: Network, layer: Layer) -> int:
    """Columns that the windows of a segment of pixels reach."""
    c = layer.columns
    column = c["kernel_h"] * (c["in_channels"] // c["groups"])
    lane = column * (c["kernel_w"] if c["dilation_w"] > 1 else c["stride_w"])
    return _up(4, (min(c["out_w"], SEGMENT) - 1) * lane + _up(VECTOR, column * c["kernel_w"]))


def _point_scratch(_network: Network, layer: Layer) -> int:
    """A window, where the last chunk of one may reach beyond the image."""
    channels = layer.columns["in_channels"]
    return _up(VECTOR, channels) if channels % VECTOR else 0


def _depthwise_scratch(_network: Network, layer: Layer) -> int:
    """The lines that a row of windows reaches, and the description of a row."""
    c = layer.columns
    columns = (c["out_w"] - 1) * c["stride_w"] + (c["kernel_w"] - 1) * c["dilation_w"] + 1
    lines = (c["kernel_h"] - 1) * c["dilation_h"] + 1
    return 52 + 4 * c["kernel_h"] + VECTOR * columns * lines


_CONV: Final = Implementation("hn_conv_mve", _CONV_SOURCES, _pack_dense, _window_scratch, refuses_scale)
_POINT: Final = Implementation("hn_conv_1x1_mve", _CONV_SOURCES, _pack_dense, _point_scratch, refuses_scale)
_FC: Final = Implementation("hn_fc_mve", _CONV_SOURCES, _pack_dense, _point_scratch, refuses_scale)
_DEPTHWISE: Final = Implementation(
    "hn_dw_mve", _DW_SOURCES, _pack_depthwise, _depthwise_scratch, refuses_depthwise
)
_ADD: Final = Implementation(
    "hn_add_mve", ("hn_add_mve.c",), packing_common.IMPLEMENTATIONS["add"][0].pack, no_scratch
)

_OWN: Final[Mapping[str, Implementation]] = {
    "conv_1x1": _POINT,
    **dict.fromkeys(("conv_1xn", "conv", "conv_grouped"), _CONV),
    "fc": _FC,
    **dict.fromkeys((name for name in packing_dsp.IMPLEMENTATIONS if name.startswith("dw")), _DEPTHWISE),
    "add": _ADD,
}

#: Kernel class -> implementations, best first: these, then those for the DSP extension.
IMPLEMENTATIONS: Final[Mapping[str, tuple[Implementation, ...]]] = {
    **packing_dsp.IMPLEMENTATIONS,
    **{name: (own, *packing_dsp.IMPLEMENTATIONS.get(name, ())) for name, own in _OWN.items()},
}

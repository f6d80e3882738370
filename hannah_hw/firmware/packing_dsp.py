"""Constants of the kernels with weights for cores with the DSP extension (Cortex-M4, M7, M33).

The sources are ``hn_conv_dsp.c``, ``hn_tiles_dsp.S``, ``hn_fc_dsp.c`` and ``hn_fc_dsp.S``, which say how their
constants are laid out. Sizes do not depend on the values of weights, so that a cost library can give them: for a
convolution or a fully connected layer with ``depth`` elements in the window of a group, rounded up to four, and
``quads`` groups of up to four output channels (over all groups of input channels)::

    constants = quads * 4 * (depth + 8)      a bias and a multiplier of four bytes for every channel
    scratch   = 4 * depth      convolution by two pixels; 6 * depth where windows reach into padding or have gaps
                12 * depth     convolution by four pixels
                2 * depth      fully connected

Depthwise layers: see `hannah_hw.firmware.packing_dsp_depthwise`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.firmware.arithmetic import floor_multiplier
from hannah_hw.firmware.implementation import Implementation, Packed
from hannah_hw.firmware.layers import Layer, Network
from hannah_hw.firmware.packing_dsp_depthwise import DEPTHWISE
from hannah_hw.firmware.packing_dsp_values import (
    IntArray,
    accumulator_shift,
    folded_bias,
    little_endian,
    weight_rows,
)

#: Channels of the largest tile; constants are padded to them.
_CHANNELS: Final = 4
#: Sums of pairs of channels are told apart exactly below this magnitude.
_PAIRED_BOUND: Final = 1 << 23

CONV_SOURCES: Final = ("hn_conv_dsp.c", "hn_tiles_dsp.S", "hn_restrict_dsp.c")
FC_SOURCES: Final = ("hn_fc_dsp.c", "hn_fc_dsp.S", "hn_restrict_dsp.c")


def element_order(rows: int, row_bytes: int) -> IntArray:
    """Elements of a window in the order of the patch: pairs one after the other, padded to four by -1.

    Args:
        rows: Of the window.
        row_bytes: Elements of a row of the window: channels within columns.

    Returns:
        (4 * ceil(rows * row_bytes / 4),) indices: of each row the whole words, a word being the pairs (0, 2) and
        (1, 3), then what is left of every row.
    """
    whole = row_bytes & ~3
    elements = np.arange(rows * row_bytes).reshape(rows, row_bytes)
    words = elements[:, :whole].reshape(-1, 4)[:, [0, 2, 1, 3]].ravel()
    tails = elements[:, whole:].ravel()
    return np.concatenate([words, tails, np.full(-len(tails) % 4, -1, np.int64)])


def refuses_paired(network: Network, layer: Layer) -> str | None:
    """Why a kernel with paired weights cannot run a layer: sums that it could not tell apart, or large scales."""
    weights = weight_rows(layer)
    largest = int((np.abs(folded_bias(network, layer)) + 128 * np.abs(weights).sum(axis=1)).max())
    if largest >= _PAIRED_BOUND:
        return f"a sum may reach {largest}, and weights are paired only below {_PAIRED_BOUND}"
    if (weights < -127).any():
        return "a weight is -128, which has no room in a pair"
    if accumulator_shift(layer.scales):
        return f"a ratio of scales is {float(layer.scales.max()):g}, which is not below 0.5"
    return None


def _arranged(layer: Layer) -> tuple[int, NDArray[np.int64], IntArray]:
    """Groups of input channels, elements in the order of the patch, channels padded to fours.

    Returns:
        Groups; (groups, channels, elements) weights; (groups, channels) index of each output channel, -1 for padding.
    """
    flat, rows = weight_rows(layer), layer.columns["kernel_h"]
    outputs = len(flat)
    groups = 1 if layer.kind == "linear" else layer.columns["groups"]
    each = outputs // groups
    flat = np.pad(flat, ((0, 1), (0, 1)))
    channels = np.full((groups, -(-each // _CHANNELS) * _CHANNELS), -1, np.int64)
    channels[:, :each] = np.arange(outputs).reshape(groups, each)
    order = element_order(rows, (flat.shape[1] - 1) // rows)
    return groups, flat[channels][:, :, order], channels


def _pack(
    network: Network, layer: Layer, words: Callable[[IntArray], IntArray], size: int, shift: int
) -> Packed:
    """Streams of groups of channels: biases, words of weights, multipliers.

    Args:
        network: The network.
        layer: The layer.
        words: (channels, elements) weights of a group -> words of its stream.
        size: Channels of a group.
        shift: Of accumulators.
    """
    groups, weights, channels = _arranged(layer)
    bias = np.append(folded_bias(network, layer), 0)
    multipliers = np.append(floor_multiplier(layer.scales, 32 - shift), 0)
    stream = []
    paired = words is not _plain_words
    for group in range(groups):
        for first in range(0, channels.shape[1], size):
            members = channels[group, first : first + size]
            own = bias[members]
            if paired:
                own[1::2] = own[0::2] + 256 * own[1::2]
            part = weights[group, first : first + size]
            stream += [little_endian(own), little_endian(words(part)), little_endian(multipliers[members])]
    return Packed(b"".join(stream), {"p0": groups, "p1": shift})


def _paired_words(weights: IntArray) -> IntArray:
    """For each pair of elements a word for each two channels: 256 times the second's weight plus the first's."""
    lanes = (256 * weights[1::2] + weights[0::2]) & 0xFFFF
    words: IntArray = lanes[:, 0::2] | lanes[:, 1::2] << 16
    return words.T


def _plain_words(weights: IntArray) -> IntArray:
    """For each four elements a word for each channel; bytes 0 and 2 are the first pair, 1 and 3 the second."""
    fours = (weights & 0xFF).reshape(len(weights), -1, 4)[:, :, [0, 2, 1, 3]]
    words: IntArray = (fours << np.array([0, 8, 16, 24])).sum(axis=2)
    return words.T


def _pack_4(network: Network, layer: Layer) -> Packed:
    return _pack(network, layer, _paired_words, 4, 0)


def _pack_2(network: Network, layer: Layer) -> Packed:
    packed = _pack(network, layer, _paired_words, 2, 0)
    return replace(packed, fields={**packed.fields, **_one_row(layer)})


def _one_row(layer: Layer) -> dict[str, int]:
    """An image of one column as one row, where a 1x1 window sees no difference.

    The pixels of such an image are taken as if they were one row. Up to three that are left by tiles of four are
    copied column by column, so they have to lie side by side: in an image of two columns or more they do.
    """
    c = layer.columns
    same = all(c[f"{name}_{axis}"] == 1 for name in ("kernel", "stride") for axis in "hw")
    if c["in_w"] > 1 or c["out_w"] > 1 or c["out_h"] != c["in_h"] or not same:
        return {}
    return {"in_h": 1, "in_w": c["in_h"], "out_h": 1, "out_w": c["out_h"]}


def _pack_plain(network: Network, layer: Layer) -> Packed:
    return _pack(network, layer, _plain_words, 2, accumulator_shift(layer.scales))


def _has_copies(layer: Layer) -> bool:
    """Whether windows reach into padding or have gaps between their columns, and are copied before all else."""
    c = layer.columns
    padded = any(c[f"pad_{side}"] for side in ("top", "left", "bottom", "right"))
    return padded or (c["kernel_w"] > 1 and (c["dilation_w"] > 1 or c["groups"] > 1))


def _depth(layer: Layer) -> int:
    """Elements of a window of one group, rounded up to four."""
    c = layer.columns
    return -(-c["kernel_h"] * c["kernel_w"] * (c["in_channels"] // c["groups"]) // 4) * 4


def _two_lanes(_network: Network, layer: Layer) -> int:
    return (6 if _has_copies(layer) else 4) * _depth(layer)


def _four_lanes(_network: Network, layer: Layer) -> int:
    return 12 * _depth(layer)


def _fc_scratch(_network: Network, layer: Layer) -> int:
    return 2 * (-(-layer.columns["in_channels"] // 4) * 4)


_CONV: Final = (
    Implementation("hn_conv_4x2", CONV_SOURCES, _pack_4, _two_lanes, refuses_paired),
    Implementation("hn_conv_plain", CONV_SOURCES, _pack_plain, _two_lanes),
)
# Estimates do not see weights: what runs where they cannot be paired is given as much scratch memory.
_SLOW_FLASH: Final = (
    Implementation("hn_conv_2x4", CONV_SOURCES, _pack_2, _four_lanes, refuses_paired),
    Implementation("hn_conv_plain", CONV_SOURCES, _pack_plain, _four_lanes),
)
_FC: Final = (
    Implementation("hn_fc", FC_SOURCES, _pack_4, _fc_scratch, refuses_paired),
    Implementation("hn_fc_plain", FC_SOURCES, _pack_plain, _fc_scratch),
)
_CONVOLUTIONS: Final = ("conv_1x1", "conv_1xn", "conv", "conv_grouped")

#: Kernel class -> implementations, best first; the last never refuses.
IMPLEMENTATIONS: Final[Mapping[str, tuple[Implementation, ...]]] = {
    **dict.fromkeys(_CONVOLUTIONS, _CONV),
    "fc": _FC,
    **DEPTHWISE,
}

#: The same for flash whose wait states cost more than what these convolutions take longer: they read half as many
#: words of weights, and have twice the scratch memory.
IMPLEMENTATIONS_SLOW_FLASH: Final[Mapping[str, tuple[Implementation, ...]]] = {
    **IMPLEMENTATIONS,
    **dict.fromkeys(_CONVOLUTIONS, _SLOW_FLASH),
}

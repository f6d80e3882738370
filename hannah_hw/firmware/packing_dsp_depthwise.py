"""Constants of the depthwise kernels for cores with the DSP extension.

``hn_dw_dsp.c`` and ``hn_dw_dsp.S`` say how records and planes are laid out. With the columns of the Workload::

    record    = 8 + 4 * kernel_h * pairs                bytes of constants of a channel
    pairs     = (3x3) 2, (5x5) 4, (7x7) 6, (5x5, stride 2) 3, (7x7, stride 2) 4
                of any other window ceil(kernel_w / 2), or kernel_w where its columns have gaps
    last      = (ceil(out_w / 4) * 4 - 1) * stride_w    where the window of the last output begins
    pitch     = last + kernel_w + stride_w - 1          values of a row of the plane
                of any other window up_to(2, last + reach_w + 1)
    reach     = (kernel - 1) * dilation + 1
    strip     = min(out_h, floor(max(0, floor(PLANE_LIMIT / (2 * pitch)) - reach_h) / stride_h) + 1)    rows of outputs
    scratch   = 2 * pitch * ((strip - 1) * stride_h + reach_h)

A result may lie on the operand where all rows are one strip, or where both have the same height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from hannah_hw.firmware.arithmetic import floor_multiplier
from hannah_hw.firmware.implementation import Implementation, Packed
from hannah_hw.firmware.layers import Layer, Network
from hannah_hw.firmware.packing_dsp_values import accumulator_shift, folded_bias, little_endian

SOURCES: Final = ("hn_dw_dsp.c", "hn_dw_dsp.S", "hn_restrict_dsp.c")

#: Bytes of scratch memory that strips are made to fit, as in ``hn_dw_dsp.c``.
PLANE_LIMIT: Final = 2048

#: Window and stride -> first taps of the pairs of a row; the tap behind the last is 0.
_PAIRS: Final[Mapping[tuple[int, int], tuple[int, ...]]] = {
    (3, 1): (0, 1),
    (3, 2): (0, 1),
    (5, 1): (0, 2, 1, 3),
    (5, 2): (0, 2, 3),
    (7, 1): (0, 2, 4, 1, 3, 5),
    (7, 2): (0, 2, 4, 5),
}


def _records(network: Network, layer: Layer, starts: tuple[int, ...], gaps: bool, shift: int) -> bytes:
    """Records of all channels: bias, multiplier, pairs of taps of each row.

    Args:
        network: The network.
        layer: The layer.
        starts: First tap of every pair of a row.
        gaps: Whether a pair has no second tap.
        shift: Of accumulators to the left.
    """
    weights = np.asarray(layer.weights, np.int64)[:, :, :, 0]
    padded = np.pad(weights, ((0, 0), (0, 0), (0, 1)))
    first = padded[:, :, list(starts)] & 0xFFFF
    second = padded[:, :, [start + 1 for start in starts]] * (not gaps)
    head = np.stack([folded_bias(network, layer), floor_multiplier(layer.scales, 32 - shift)], axis=1)
    return little_endian(np.concatenate([head, (first | second << 16).reshape(len(weights), -1)], axis=1))


def _plane(layer: Layer, pitch: int) -> int:
    """Bytes of the plane whose rows have `pitch` values."""
    c = layer.columns
    reach, stride = (c["kernel_h"] - 1) * c["dilation_h"] + 1, c["stride_h"]
    strip = min(c["out_h"], max(0, PLANE_LIMIT // (2 * pitch) - reach) // stride + 1)
    return 2 * pitch * ((strip - 1) * stride + reach)


def _last_column(layer: Layer) -> int:
    """First column of the window of a row's last output, the row being a multiple of four."""
    return (-(-layer.columns["out_w"] // 4) * 4 - 1) * layer.columns["stride_w"]


def _square_scratch(_network: Network, layer: Layer) -> int:
    c = layer.columns
    return _plane(layer, _last_column(layer) + c["kernel_w"] + c["stride_w"] - 1)


def _any_scratch(_network: Network, layer: Layer) -> int:
    reach = (layer.columns["kernel_w"] - 1) * layer.columns["dilation_w"] + 1
    return _plane(layer, -(-(_last_column(layer) + reach + 1) // 2) * 2)


def _pack_any(network: Network, layer: Layer) -> Packed:
    gaps = layer.columns["dilation_w"] > 1
    starts = tuple(range(0, layer.columns["kernel_w"], 1 if gaps else 2))
    shift = accumulator_shift(layer.scales)
    return Packed(_records(network, layer, starts, gaps, shift), {"p1": shift})


def _square_pack(starts: tuple[int, ...]) -> Callable[[Network, Layer], Packed]:
    def pack(network: Network, layer: Layer) -> Packed:
        return Packed(_records(network, layer, starts, False, 0))

    return pack


def _refuses(_network: Network, layer: Layer) -> str | None:
    if accumulator_shift(layer.scales):
        return f"a ratio of scales is {float(layer.scales.max()):g}, which is not below 0.5"
    return None


_ANY: Final = Implementation("hn_dw_any", SOURCES, _pack_any, _any_scratch)

#: Kernel class -> implementations, best first; the last never refuses.
DEPTHWISE: Final[Mapping[str, tuple[Implementation, ...]]] = {
    **{
        name: (
            Implementation(f"hn_{name}", SOURCES, _square_pack(starts), _square_scratch, _refuses),
            _ANY,
        )
        for (size, stride), starts in _PAIRS.items()
        for name in [f"dw_{size}x{size}" + ("" if stride == 1 else f"_s{stride}")]
    },
    "dw": (_ANY,),
}

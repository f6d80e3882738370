"""How many bytes weights take encoded.

The compiler encodes weights (a Golomb-Rice code with runs of zeros), so their size depends on their values, which a
cost model of architectures does not know. `Encoding` states the assumption: bits of a weight. Zeros that pad weights to
the array cost what their share of all values is worth in bits.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.block.npu import ALIGNMENT, SCALE_BYTES, SUBKERNEL, EthosU
from hannah_hw.cost.block.operations import BoolArray, IntArray, Operations, ceil_div, round_up

FloatArray = NDArray[np.float64]

#: Bits of weights that are all the same.
_UNIFORM_BITS: Final = 1.0

#: Share of zeros up to which weights that are normally distributed take 8 bits each, and bits of such a zero. Own
#: measurement: windows of 9, 25 and 49 elements, padded to 12, 28 and 52, encoded by ethos-u-vela 5.2.0.
_SOME_ZEROS: Final = 0.3
_ZERO_BITS: Final = 3.3

#: Standard deviation of normally distributed int8 weights, in steps -> bits of an encoded weight. Own measurement:
#: 147,456 weights of a convolution of 128 channels, encoded by ethos-u-vela 5.2.0.
_NORMAL_BITS: Final = (
    *(
        (6, 4.78),
        (8, 5.33),
        (10, 5.78),
        (12, 6.12),
        (14, 6.46),
        (16, 6.69),
        (18, 6.84),
        (20, 6.97),
        (22, 7.12),
    ),
    *(
        (24, 6.77),
        (28, 6.96),
        (32, 7.16),
        (36, 7.35),
        (40, 7.55),
        (43, 7.70),
        (46, 7.84),
        (50, 8.0),
        (127, 8.0),
    ),
)

#: Numbers of weights that share a scale, at which `normal_bits` is tabulated.
_COUNTS: Final = tuple(2**power for power in range(24))


@functools.cache
def _bits_by_count() -> FloatArray:
    """Bits of normally distributed weights, the largest of which is 127, by how many share a scale (`_COUNTS`)."""
    # The median of the largest of n magnitudes m has (2 Phi(m) - 1)^n = 1/2.
    largest = [NormalDist().inv_cdf((1 + 0.5 ** (1 / count)) / 2) for count in _COUNTS]
    deviations, bits = zip(*_NORMAL_BITS, strict=True)
    table: FloatArray = np.interp(127 / np.array(largest), deviations, bits)
    return table


def normal_bits(count: IntArray) -> FloatArray:
    """(N,) bits of an encoded weight where ``count`` (N,) normally distributed weights share a scale."""
    bits: FloatArray = np.interp(np.log2(np.maximum(count, 1)), np.arange(len(_COUNTS)), _bits_by_count())
    return bits


@dataclass(frozen=True)
class Encoding:
    """How well weights are assumed to compress.

    Attributes:
        bits: Bits of an encoded weight; None: those of normally distributed weights, see `normal_bits`.
        linear_bits: The same for fully connected layers, all of whose weights share one scale.
    """

    bits: float | None
    linear_bits: float | None


def encoded_bytes(
    operations: Operations, part_kernel: BoolArray, npu: EthosU, encoding: Encoding, channels: IntArray
) -> tuple[IntArray, IntArray]:
    """Encoded weights (N,) and scales (N,) of some output channels, each stream of a core in whole 16 bytes.

    Weights go through the array in microblocks, which zeros fill up: four window elements at a time where the window
    goes first and in depthwise convolution, otherwise 32 input channels at a time.
    """
    depthwise = operations.is_unit("depthwise")
    inputs = np.where(depthwise, 1, operations["ifm_c"])
    window = operations["kernel_h"] * operations["kernel_w"]
    padded_window = np.zeros_like(window)
    limit_h, limit_w = (SUBKERNEL // operations[f"dilation_{axis}"] for axis in "hw")
    together = np.where(depthwise | part_kernel, 4, 1)
    for row in range(int(ceil_div(operations["kernel_h"], limit_h).max(initial=0))):
        rows = np.clip(operations["kernel_h"] - row * limit_h, 0, limit_h)
        for column in range(int(ceil_div(operations["kernel_w"], limit_w).max(initial=0))):
            columns = np.clip(operations["kernel_w"] - column * limit_w, 0, limit_w)
            padded_window += round_up(rows * columns, together)
    deep = np.where(part_kernel, npu.ifm_ublock_depth, 32)
    padded_inputs = np.where(depthwise, 1, round_up(inputs, deep))
    streams = np.minimum(npu.cores, channels)
    share = ceil_div(channels, np.maximum(streams, 1))
    padded = np.maximum(round_up(share, npu.ofm_ublock[2]) * padded_inputs * padded_window, 1)
    useful = share * inputs * window
    zeros = np.maximum(padded - useful, 0)
    of_channel, of_layer = inputs * window, inputs * window * operations["ofm_c"]
    fully = operations.is_unit("fc")
    each = np.where(
        fully,
        normal_bits(of_layer) if encoding.linear_bits is None else encoding.linear_bits,
        normal_bits(of_channel) if encoding.bits is None else encoding.bits,
    )
    each = np.where(operations["uniform"] > 0, _UNIFORM_BITS, each)
    bits = useful * (each - np.log2(np.maximum(useful, 1) / padded))
    bits = bits - zeros * np.log2(np.maximum(zeros, 1) / padded)
    if encoding.bits is None:
        # With some zeros among normally distributed weights the encoder gives up on the weights.
        some = ~fully & (operations["uniform"] == 0) & (zeros > 0) & (zeros <= _SOME_ZEROS * padded)
        bits = np.where(some, np.maximum(bits, 8 * useful + _ZERO_BITS * zeros), bits)
    one = round_up(np.ceil(bits / 8).astype(np.int64), ALIGNMENT)
    return one * streams, round_up(SCALE_BYTES * share, ALIGNMENT) * streams

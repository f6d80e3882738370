"""Fixed-point arithmetic of the integer kernels: what generators, kernels in C and the reference all compute.

Every constant that stands for a real factor is made here once, so that no two of them can round it differently.
Divisions by powers of two round down (an arithmetic shift); adding half of the divisor before makes them round halves
up. Rounding of tables follows ONNX: ``x / scale`` in float32, halves to even.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import UnsupportedError

IntArray = NDArray[np.int64]
Int8Array = NDArray[np.int8]

#: ``q32``: one multiplication and one shift. ``double``: the two roundings of TensorFlow Lite.
Rounding = Literal["q32", "double"]

#: Fraction bits of the multipliers of sums of two values.
ADD_BITS: Final = 20
#: Fraction bits of every other multiplier.
Q32: Final = 32
#: Fraction bits of the table of exponentials of a softmax, at most.
SOFTMAX_BITS: Final = 18


def floor_multiplier(scale: Any, bits: int = Q32) -> IntArray:
    """``floor(scale * 2^bits + 1/2)``: a factor as a whole number, at most 2^52 either way.

    For int32 it must be below ``2^(31 - bits)``.
    """
    whole = np.floor(np.ldexp(np.asarray(scale, np.float64), bits) + 0.5)
    return np.clip(whole, -(2.0**52), 2.0**52).astype(np.int64)


def q32_multipliers(scales: NDArray[np.float64]) -> NDArray[np.int32]:
    """Multipliers of a layer with weights, one an output channel.

    Args:
        scales: (out_channels,) ``scale_in * scale_weight / scale_out``, below one half.

    Raises:
        UnsupportedError: A scale is not positive, or a half or more, so that its multiplier is no int32.
    """
    within = (scales >= 0) & (scales < 1)  # False for what is no number
    multipliers = floor_multiplier(np.where(within, scales, 1.0))
    if (multipliers >= 1 << 31).any():
        raise UnsupportedError(
            f"the ratio of scales {float(scales.max()):g} is not below 0.5; calibrate with data that makes the "
            "layer's result larger, or with smaller weights"
        )
    return multipliers.astype(np.int32)


def saturated(values: Any, low: int = -128, high: int = 127) -> Int8Array:
    """Whole numbers, clamped to [low, high], as int8."""
    result: Int8Array = np.clip(values, low, high).astype(np.int8)
    return result


def requantise(
    accumulators: IntArray, multipliers: Any, zero_point: int, low: int, high: int, bits: int = Q32
) -> Int8Array:
    """``clamp(zero_point + floor((acc * M + 2^(bits-1)) / 2^bits))``, the products exact in int64."""
    scaled = (accumulators * np.asarray(multipliers, np.int64) + (1 << (bits - 1))) >> bits
    return saturated(scaled + zero_point, low, high)


def doubling_multipliers(scales: NDArray[np.float64]) -> tuple[IntArray, IntArray]:
    """Factors as TensorFlow Lite has them.

    Args:
        scales: Positive factors below 1.

    Returns:
        Mantissas in ``[2^30, 2^31)`` and right shifts: ``scale = mantissa / 2^31 / 2^shift``.
    """
    mantissa, exponent = np.frexp(np.asarray(scales, np.float64))
    whole = floor_multiplier(mantissa, 31)
    carried = whole == 1 << 31
    return np.where(carried, 1 << 30, whole), np.minimum(-(exponent.astype(np.int64) + carried), 31)


def requantise_double(
    accumulators: IntArray, mantissas: Any, shifts: Any, zero_point: int, low: int, high: int
) -> Int8Array:
    """Rounding doubling high multiplication, then a rounding shift, halves away from zero both times.

    Source: ``MultiplyByQuantizedMultiplier`` of TensorFlow Lite (gemmlowp's SaturatingRoundingDoublingHighMul and
    RoundingDivideByPOT).
    """
    product = accumulators * np.asarray(mantissas, np.int64)
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high_part = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    shifts = np.asarray(shifts, np.int64)
    mask = (np.int64(1) << shifts) - 1
    up = (high_part & mask) > (mask >> 1) + (high_part < 0)
    return saturated((high_part >> shifts) + up + zero_point, low, high)


@dataclass(frozen=True)
class Sum:
    """Constants of a sum of two values: ``y = clamp((a * m1 + b * m2 + offset) >> bits)``, exact in int32.

    Attributes:
        m1: ``floor(scale_a / scale_out * 2^bits + 1/2)``.
        m2: The same of the second operand.
        offset: ``(zero_out << bits) + 2^(bits-1) - zero_a * m1 - zero_b * m2``.
        bits: `ADD_BITS`, or as many fewer as it takes that nothing exceeds int32.
    """

    m1: int
    m2: int
    offset: int
    bits: int


def sum_constants(ratios: Any, zero_points: tuple[int, int], zero_out: int) -> Sum:
    """Constants of a sum of two values.

    Args:
        ratios: Scale of each operand by that of the result.
        zero_points: Of the operands.
        zero_out: Of the result.

    Raises:
        UnsupportedError: The result's steps are more than a million times finer than an operand's.
    """
    for bits in range(ADD_BITS, 0, -1):
        m1, m2 = (int(m) for m in floor_multiplier(ratios, bits))
        offset = (zero_out << bits) + (1 << (bits - 1)) - zero_points[0] * m1 - zero_points[1] * m2
        if abs(offset) + 128 * (m1 + m2) < 1 << 31:
            return Sum(m1, m2, offset, bits)
    raise UnsupportedError(f"the ratios of scales {tuple(float(r) for r in ratios)} of a sum are too large")


@dataclass(frozen=True)
class Affine:
    """Constants of a factor and an offset a channel: ``y = clamp((x * m + offset) >> bits)``, exact in int32.

    Attributes:
        multipliers: (channels,) ``floor(factor * scale_in / scale_out * 2^bits + 1/2)``.
        offsets: (channels,) ``round(b / scale_out * 2^bits) + (zero_out << bits) + 2^(bits-1) - zero_in * m`` of the
            real offset b.
        bits: `ADD_BITS`, or as many fewer as it takes that nothing exceeds int32.
    """

    multipliers: NDArray[np.int32]
    offsets: NDArray[np.int32]
    bits: int


def affine_constants(
    ratios: NDArray[np.float64], offsets: NDArray[np.float64], zero_in: int, zero_out: int
) -> Affine:
    """Constants of a factor and an offset a channel.

    Args:
        ratios: (channels,) factors by which a step of the operand becomes steps of the result.
        offsets: (channels,) real offsets in steps of the result.
        zero_in: Zero point of the operand.
        zero_out: Zero point of the result.

    Raises:
        UnsupportedError: A factor or an offset is a million steps of the result or more.
    """
    if not (np.isfinite(ratios) & np.isfinite(offsets)).all():
        raise UnsupportedError("the factor or the offset of a channel is not finite")
    for bits in range(ADD_BITS, 0, -1):
        multipliers = floor_multiplier(ratios, bits)
        whole = floor_multiplier(offsets + zero_out, bits) + (1 << (bits - 1)) - zero_in * multipliers
        if (np.abs(whole) + 128 * np.abs(multipliers) < 1 << 31).all():
            return Affine(multipliers.astype(np.int32), whole.astype(np.int32), bits)
    raise UnsupportedError("the factors or offsets of a channel are too large for the scale of the result")


@dataclass(frozen=True)
class Multiplier:
    """A factor of a kernel without weights: ``floor((acc * value + 2^(bits-1)) / 2^bits)``, the product in int64.

    Attributes:
        value: ``floor(scale * 2^bits + 1/2)``, below ``2^31``.
        bits: 32, or as many fewer as it takes.
    """

    value: int
    bits: int


def multiplier(scale: float) -> Multiplier:
    """A factor with as many fraction bits, up to 32, as keep it in int32.

    Raises:
        UnsupportedError: It is 2^30 or more.
    """
    for bits in range(Q32, 0, -1):
        value = int(floor_multiplier(scale, bits))
        if value < 1 << 31:
            return Multiplier(value, bits)
    raise UnsupportedError(f"the ratio of scales {scale:g} is too large")


@dataclass(frozen=True)
class Average:
    """Factors of an average pooling, by how many values a window has.

    ``y = clamp(zero_out + floor(((sum(x) - n * zero_in) * M[n] + 2^(bits-1)) / 2^bits))`` over the n values of a
    window that lie inside the data; the product in int64.

    Attributes:
        counts: The different n that occur, ascending.
        multipliers: ``floor(scale_in / scale_out / n * 2^bits + 1/2)`` for each of them, below ``2^31``.
        bits: One number for all: 32, or as many fewer as the smallest count takes.
    """

    counts: tuple[int, ...]
    multipliers: tuple[int, ...]
    bits: int


def average_constants(ratio: float, counts: Any) -> Average:
    """Factors of an average pooling.

    Args:
        ratio: Scale of the operand by that of the result.
        counts: How many values the windows have, in any order; 0 is not allowed.
    """
    different = tuple(sorted({int(count) for count in np.unique(counts)}))
    bits = multiplier(ratio / different[0]).bits
    return Average(different, tuple(int(floor_multiplier(ratio / n, bits)) for n in different), bits)


@dataclass(frozen=True)
class Exponentials:
    """Constants of a softmax over n values, exact in uint32.

    ::

        d = max(x) - x,  total = sum(table[d])
        y = clamp(zero_out + floor((table[d] * steps + 8 * total) / (16 * total)))

    Attributes:
        table: (256,) ``floor(exp(-scale_in * d) * 2^k + 1/2)``; k is at most `SOFTMAX_BITS` and small enough.
        steps: ``floor(16 / scale_out + 1/2)``.
    """

    table: NDArray[np.uint32]
    steps: int


def softmax_constants(scale: float, scale_out: float, classes: int) -> Exponentials:
    """Constants of a softmax.

    Args:
        scale: Of the operand.
        scale_out: Of the result; 1/256 for probabilities from 0 to 1.
        classes: How many values a sum has.

    Raises:
        UnsupportedError: More values, or finer steps, than uint32 sums hold with 12 bits of each exponential.
    """
    steps = int(floor_multiplier(16.0 / scale_out, 0))
    bits = min(
        SOFTMAX_BITS, ((1 << 31) // steps).bit_length() - 1, (((1 << 28) - 1) // classes).bit_length() - 1
    )
    if bits < 12:
        raise UnsupportedError(f"a softmax over {classes} values with steps of {scale_out:g} is too large")
    table = floor_multiplier(np.exp(-np.float64(scale) * np.arange(256)), bits)
    return Exponentials(table.astype(np.uint32), steps)


def to_steps(values: Any, scale: float, zero_point: int) -> Int8Array:
    """Real values as int8, as ONNX's QuantizeLinear does: ``saturate(round_half_even(x / scale) + zero_point)``."""
    with np.errstate(over="ignore"):  # what is infinite saturates
        steps = np.rint(np.asarray(values, np.float32) / np.float32(scale)) + np.float32(zero_point)
    return saturated(steps)


def to_real(steps: Any, scale: float, zero_point: int) -> NDArray[np.float32]:
    """Int8 values as real ones, as ONNX's DequantizeLinear does."""
    return (np.asarray(steps, np.int32) - zero_point).astype(np.float32) * np.float32(scale)

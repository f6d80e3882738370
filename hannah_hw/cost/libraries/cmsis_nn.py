"""Kernel classes of CMSIS-NN on a core with the DSP extension.

The features and the reads follow the loops of the library's sources (Arm CMSIS-NN, s8 kernels with
``ARM_MATH_DSP``, Apache-2.0):

* convolution: im2col of two output pixels to 16 bit, then ``arm_nn_mat_mult_kernel_s8_s16`` takes two pixels by
  two channels, four columns at a time; per pair of pixels a channel reads its weights as words (the remainder
  as bytes), its bias, multiplier and shift;
* 1x1: ``arm_nn_mat_mult_nt_t_s8`` in place, 16 columns at a time; every call sums each weight row once, byte by
  byte; a strided convolution makes one call per output row;
* depthwise 3x3: four channels at a time, nine words of weights and four each of bias, multiplier and shift;
* depthwise otherwise: im2col to 16 bit, then four channels at a time;
* fully connected: every weight once, as words;
* addition: constants, at a rate taken from the count below.

Only dense and depthwise convolutions have a class. Counted by an emulator on the four MLPerf Tiny networks, the
reads are 1.804, 0.525, 1.684 and 0.068 million (ResNet-8, DS-CNN, MobileNetV1-0.25, autoencoder); these formulas
give 1.804, 0.527, 1.684 and 0.068. They do not rest on that count, but for the addition: the count came from memory
hooks, which that emulator gets wrong around predicated instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from hannah_hw.cost.classes import KernelClass, Library
from hannah_hw.cost.entries import BoolArray, Entries, FloatArray
from hannah_hw.cost.libraries.selection import is_dense, is_depthwise, is_pointwise, is_row


def _halves(count: FloatArray) -> FloatArray:
    return np.ceil(count * 0.5)


def _is_depthwise_3x3(s: Entries) -> BoolArray:
    result: BoolArray = (
        is_depthwise(s)
        & (s.whole("kernel_h") == 3)
        & (s.whole("kernel_w") == 3)
        & (s.whole("pad_top") <= 1)
        & (s.whole("pad_left") <= 1)
    )
    return result


def _conv_reads(s: Entries) -> FloatArray:
    per_pair = (s["depth"] - s["depth_rest"]) * 0.25 + s["depth_rest"] + 3.0
    return _halves(s["pixels"]) * s["out_channels"] * per_pair


def _pointwise_reads(s: Entries) -> FloatArray:
    calls = s["calls"]
    per_pair = (s["in_channels"] - s["in_rest"]) * 0.25 + s["in_rest"] + 2.0
    pairs = _halves(s["pixels"] / calls) * calls
    return (calls * s["in_channels"] + pairs * per_pair) * s["out_channels"]


def _depthwise_reads(s: Entries) -> FloatArray:
    fours = (s["out_channels"] - s["out_rest"]) * 0.25
    return s["pixels"] * (fours * (s["window"] + 12.0) + s["out_rest"] * (s["window"] + 3.0))


def _linear_reads(s: Entries) -> FloatArray:
    return s["outputs"] * ((s["in_channels"] - s["in_rest"]) * 0.25 + s["in_rest"] + 1.0)


def _column_scratch(s: Entries) -> FloatArray:
    # arm_convolve_s8_get_buffer_size: two columns of 16 bit, rounded up to four elements.
    return np.ceil(s["depth"] * 0.25) * 16.0


_CONV_FEATURES: Final[Mapping[str, Callable[[Entries], FloatArray]]] = {
    "macs": lambda s: s["outputs"] * s["depth"],
    "outputs": lambda s: s["outputs"],
    "im2col": lambda s: s["pixels"] * s["depth"],
    "taps": lambda s: s["taps"],
    "rest_macs": lambda s: s["outputs"] * s["depth_rest"],
    "calls": lambda s: np.ones_like(s["pixels"]),
}


def _odd_pixel_macs(s: Entries) -> FloatArray:
    per_call = s["pixels"] / s["calls"]
    return (per_call - 2.0 * np.floor(per_call * 0.5)) * s["calls"] * s["in_channels"] * s["out_channels"]


#: Flash reads of an addition per element: what the emulated ResNet-8 reads beyond its other kernels.
_ADD_READS: Final = 2.6

#: All classes; among those of one kind the first that selects a kernel runs it.
CLASSES: Final[tuple[KernelClass, ...]] = (
    KernelClass(
        "conv_1x1",
        ("conv",),
        "1x1 convolution",
        {
            "macs": lambda s: s["outputs"] * (s.whole("in_channels") & ~15),
            "quad_macs": lambda s: s["outputs"] * (s.whole("in_channels") & 12),
            "rest_macs": lambda s: s["outputs"] * s["in_rest"],
            "outputs": lambda s: s["outputs"],
            "weight_sums": lambda s: s["calls"] * s["in_channels"] * s["out_channels"],
            "odd_pixel_macs": _odd_pixel_macs,
            "odd_channel_pixels": lambda s: s["pixels"] * (s.whole("out_channels") & 1),
            "calls": lambda s: s["calls"],
        },
        is_pointwise,
        _pointwise_reads,
    ),
    KernelClass(
        "dw_3x3",
        ("conv",),
        "depthwise 3x3 convolution",
        {
            "macs": lambda s: s["outputs"] * 9.0,
            "pixels": lambda s: s["pixels"],
            "rest_pixels": lambda s: s["pixels"] * s["out_rest"],
            "calls": lambda s: np.ones_like(s["pixels"]),
        },
        _is_depthwise_3x3,
        _depthwise_reads,
    ),
    KernelClass(
        "dw",
        ("conv",),
        "depthwise convolution",
        {
            "macs": lambda s: s["outputs"] * s["window"],
            "outputs": lambda s: s["outputs"],
            "taps": lambda s: s["taps"],
            "rest_macs": lambda s: s["taps"] * s["out_rest"],
            "pixels": lambda s: s["pixels"],
        },
        is_depthwise,
        _depthwise_reads,
        # arm_depthwise_conv_s8_opt_get_buffer_size: one column of 16 bit.
        lambda s: s["window"] * s["out_channels"] * 2.0,
    ),
    KernelClass(
        "conv_1xn", ("conv",), "1-D convolution", _CONV_FEATURES, is_row, _conv_reads, _column_scratch
    ),
    KernelClass("conv", ("conv",), "convolution", _CONV_FEATURES, is_dense, _conv_reads, _column_scratch),
    KernelClass(
        "fc",
        ("linear",),
        "fully connected",
        {
            "macs": lambda s: s["outputs"] * s["in_channels"],
            "outputs": lambda s: s["outputs"],
            "rest_macs": lambda s: s["outputs"] * s["in_rest"],
            "calls": lambda s: s["pixels"],
        },
        None,
        _linear_reads,
    ),
    KernelClass(
        "avg_pool",
        ("avg_pool",),
        "average pooling",
        {"inputs": lambda s: s["outputs"] * s["window"], "outputs": lambda s: s["outputs"]},
        scratch=lambda s: s["out_channels"] * 4.0,
    ),
    KernelClass(
        "max_pool", ("max_pool",), "maximum pooling", {"inputs": lambda s: s["outputs"] * s["window"]}
    ),
    KernelClass(
        "add",
        ("add",),
        "addition",
        {"outputs": lambda s: s["outputs"]},
        flash_reads=lambda s: s["outputs"] * _ADD_READS,
    ),
    KernelClass("softmax", ("softmax",), "softmax", {"outputs": lambda s: s["outputs"]}),
    KernelClass("activation", ("activation",), "activation", {"outputs": lambda s: s["outputs"]}),
)

CMSIS_NN: Final = Library("cmsis_nn", "CMSIS-NN int8", CLASSES)

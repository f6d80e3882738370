"""Kernel classes of our own int8 kernels in portable C (Cortex-M0+, M3, RV32IMC).

Convolutions copy the windows of two pixels to a patch of words that hold a value of each, then compute two channels at
a time; the elements of a window are padded to a multiple of four, the channels of a group to an even number. Depthwise
convolutions copy one channel to a plane of words that hold a value under either half of the result, and compute two
neighbouring columns in both halves at a time. Fully connected layers compute two channels at a time. Every channel
with weights has a bias and a multiplier of four bytes each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from hannah_hw.cost.classes import KernelClass, Library
from hannah_hw.cost.entries import BoolArray, Entries, FloatArray, Formula
from hannah_hw.cost.libraries.hannah_common import COMMON, anywhere, up_to
from hannah_hw.cost.libraries.loops import one
from hannah_hw.cost.libraries.selection import (
    is_dense,
    is_depthwise,
    is_depthwise_square,
    is_pointwise,
    is_row,
)


def _window(s: Entries) -> FloatArray:
    """(N,) elements of one window of one group."""
    return s["depth"] / s["groups"]


def _depth(s: Entries) -> FloatArray:
    """(N,) elements of one window of one group, padded."""
    return up_to(4, _window(s))


def _channel_pairs(s: Entries) -> FloatArray:
    """(N,) pairs of channels over all groups of the convolution."""
    return s["groups"] * np.ceil(s["out_channels"] / s["groups"] * 0.5)


def _pixel_pairs(s: Entries) -> FloatArray:
    return np.ceil(s["pixels"] * 0.5)


def _gemm_constants(s: Entries) -> FloatArray:
    return _channel_pairs(s) * (2.0 * _depth(s) + 16.0)


def _gemm_reads(s: Entries) -> FloatArray:
    # Weights are read byte by byte.
    return _pixel_pairs(s) * _channel_pairs(s) * (2.0 * _depth(s) + 4.0)


_GEMM: Final[Mapping[str, Formula]] = {
    "macs": lambda s: _pixel_pairs(s) * _channel_pairs(s) * _depth(s) * 4.0,
    "tiles": lambda s: _pixel_pairs(s) * _channel_pairs(s),
    "im2col": lambda s: s["pixels"] * s["depth"],
    "taps": lambda s: s["taps"] * s["groups"],
    "pixels": lambda s: s["pixels"] * s["groups"],
    "calls": one,
}


def _gemm_scratch(s: Entries) -> FloatArray:
    return 4.0 * _depth(s)


def _is_line(s: Entries) -> BoolArray:
    """(N,) Whether a depthwise convolution has one dimension, so that left and right halves are paired."""
    result: BoolArray = (s.whole("in_h") == 1) & (s.whole("kernel_h") == 1) & (s.whole("out_h") == 1)
    return result


def _half_rows(s: Entries) -> FloatArray:
    return np.where(_is_line(s), s["out_h"], np.ceil(s["out_h"] * 0.5))


def _half_cols(s: Entries) -> FloatArray:
    """(N,) columns of results in one half, rounded up to two."""
    return up_to(2, np.where(_is_line(s), np.ceil(s["out_w"] * 0.5), s["out_w"]))


def _plane_rows(s: Entries) -> FloatArray:
    return (_half_rows(s) - 1.0) * s["stride_h"] + (s["kernel_h"] - 1.0) * s["dilation_h"] + 1.0


def _plane_cols(s: Entries) -> FloatArray:
    return (_half_cols(s) - 1.0) * s["stride_w"] + (s["kernel_w"] - 1.0) * s["dilation_w"] + 1.0


def _steps(s: Entries) -> FloatArray:
    """(N,) times that two columns of both halves are computed."""
    return s["out_channels"] * _half_rows(s) * _half_cols(s) * 0.5


_PLANE: Final[Mapping[str, Formula]] = {
    "macs": lambda s: _steps(s) * s["window"] * 4.0,
    "steps": _steps,
    "window_rows": lambda s: _steps(s) * s["kernel_h"],
    "outputs": lambda s: s["outputs"],
    "plane": lambda s: s["in_channels"] * _plane_rows(s) * _plane_cols(s),
    "plane_rows": lambda s: s["in_channels"] * _plane_rows(s),
    "rows": lambda s: s["out_channels"] * _half_rows(s),
    "channels": lambda s: s["out_channels"],
    "calls": one,
}


def _plane_scratch(s: Entries) -> FloatArray:
    return 4.0 * _plane_rows(s) * _plane_cols(s)


def _plane_constants(s: Entries) -> FloatArray:
    return s["out_channels"] * (8.0 + up_to(4, s["window"]))


def _plane_reads(s: Entries) -> FloatArray:
    return _steps(s) * s["window"] + 2.0 * s["out_channels"]


def _square(size: int, stride: int) -> KernelClass:
    suffix = "" if stride == 1 else f"_s{stride}"
    return KernelClass(
        f"dw_{size}x{size}{suffix}",
        ("conv",),
        f"depthwise {size}x{size} convolution" + ("" if stride == 1 else f", stride {stride}"),
        _PLANE,
        is_depthwise_square(size, stride),
        _plane_reads,
        _plane_scratch,
        _plane_constants,
        anywhere,
    )


#: All classes; among those of one kind the first that selects a kernel runs it.
CLASSES: Final[tuple[KernelClass, ...]] = (
    KernelClass(
        "conv_1x1",
        ("conv",),
        "1x1 convolution",
        _GEMM,
        is_pointwise,
        _gemm_reads,
        _gemm_scratch,
        _gemm_constants,
    ),
    *(_square(size, stride) for size in (3, 5, 7) for stride in (1, 2)),
    KernelClass(
        "dw",
        ("conv",),
        "depthwise convolution",
        _PLANE,
        is_depthwise,
        _plane_reads,
        _plane_scratch,
        _plane_constants,
        anywhere,
    ),
    KernelClass(
        "conv_1xn", ("conv",), "1-D convolution", _GEMM, is_row, _gemm_reads, _gemm_scratch, _gemm_constants
    ),
    KernelClass(
        "conv", ("conv",), "convolution", _GEMM, is_dense, _gemm_reads, _gemm_scratch, _gemm_constants
    ),
    KernelClass(
        "conv_grouped",
        ("conv",),
        "grouped convolution",
        _GEMM,
        None,
        _gemm_reads,
        _gemm_scratch,
        _gemm_constants,
    ),
    KernelClass(
        "fc",
        ("linear",),
        "fully connected",
        {
            "macs": lambda s: s["pixels"] * _channel_pairs(s) * s["in_channels"] * 2.0,
            "tiles": lambda s: s["pixels"] * _channel_pairs(s),
            "rest": lambda s: s["pixels"] * _channel_pairs(s) * (s.whole("in_channels") & 1),
            "pixels": lambda s: s["pixels"],
            "calls": one,
        },
        None,
        lambda s: s["pixels"] * _channel_pairs(s) * (2.0 * s["in_channels"] + 4.0),
        None,
        _gemm_constants,
    ),
    *COMMON,
)

HANNAH_PORTABLE: Final = Library(
    "hannah_portable", "hannah int8 kernels, portable C", CLASSES, scratch_in_arena=True
)

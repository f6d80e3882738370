"""Kernel classes of our own int8 kernels in portable C (Cortex-M0+, M3, RV32IMC).

The structure is that of `hannah_hw.cost.libraries.hannah_dsp` with bytes instead of 16-bit lanes: groups of four
channels whose weights lie tap by tap, windows of two pixels copied to scratch memory, depthwise convolutions by
channel plane. Every channel with weights has a bias and a multiplier of four bytes each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from hannah_hw.cost.classes import KernelClass, Library
from hannah_hw.cost.entries import Entries, FloatArray, Formula
from hannah_hw.cost.libraries.hannah_common import COMMON, anywhere, one, up_to
from hannah_hw.cost.libraries.selection import (
    is_dense,
    is_depthwise,
    is_depthwise_square,
    is_pointwise,
    is_row,
)


def _depth(s: Entries) -> FloatArray:
    """(N,) elements of one window of one group."""
    return s["depth"] / s["groups"]


def _groups(s: Entries) -> FloatArray:
    """(N,) groups of four channels over all groups of the convolution."""
    return s["groups"] * np.ceil(s["out_channels"] / s["groups"] * 0.25)


def _pairs(s: Entries) -> FloatArray:
    """(N,) pairs of pixels."""
    return np.ceil(s["pixels"] * 0.5)


def _gemm_constants(s: Entries) -> FloatArray:
    return _groups(s) * 4.0 * (_depth(s) + 8.0)


def _gemm_reads(s: Entries) -> FloatArray:
    # Weights are read byte by byte.
    return _pairs(s) * _groups(s) * (4.0 * _depth(s) + 8.0)


_GEMM: Final[Mapping[str, Formula]] = {
    "macs": lambda s: _pairs(s) * _groups(s) * _depth(s) * 8.0,
    "tiles": lambda s: _pairs(s) * _groups(s),
    "im2col": lambda s: s["pixels"] * s["depth"],
    "taps": lambda s: s["taps"],
    "pixels": lambda s: s["pixels"],
    "calls": one,
}


def _gemm_scratch(s: Entries) -> FloatArray:
    return up_to(4, 2.0 * _depth(s))


def _padded_height(s: Entries) -> FloatArray:
    return s["in_h"] + s["pad_top"] + s["pad_bottom"]


def _padded_width(s: Entries) -> FloatArray:
    return s["in_w"] + s["pad_left"] + s["pad_right"]


_PLANE: Final[Mapping[str, Formula]] = {
    "macs": lambda s: s["outputs"] * s["window"],
    "outputs": lambda s: s["outputs"],
    "inputs": lambda s: s["in_channels"] * s["in_h"] * s["in_w"],
    "plane": lambda s: s["in_channels"] * _padded_height(s) * _padded_width(s),
    "rows": lambda s: s["out_channels"] * s["out_h"],
    "channels": lambda s: s["out_channels"],
    "calls": one,
}


def _plane_scratch(s: Entries) -> FloatArray:
    return up_to(4, _padded_height(s) * _padded_width(s))


def _plane_constants(s: Entries) -> FloatArray:
    return s["out_channels"] * (8.0 + up_to(4, s["window"]))


def _plane_reads(s: Entries) -> FloatArray:
    return s["outputs"] * s["window"] + 2.0 * s["out_channels"]


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
            "macs": lambda s: s["pixels"] * _groups(s) * _depth(s) * 4.0,
            "tiles": lambda s: s["pixels"] * _groups(s),
            "inputs": lambda s: s["pixels"] * s["in_channels"],
            "pixels": lambda s: s["pixels"],
            "calls": one,
        },
        None,
        lambda s: s["pixels"] * _groups(s) * (4.0 * _depth(s) + 8.0),
        None,
        _gemm_constants,
    ),
    *COMMON,
)

HANNAH_PORTABLE: Final = Library(
    "hannah_portable", "hannah int8 kernels, portable C", CLASSES, scratch_in_arena=True
)

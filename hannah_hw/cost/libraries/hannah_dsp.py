"""Kernel classes of our own int8 kernels on cores with the DSP extension (Cortex-M4, M7, M33).

Convolutions and fully connected layers work on groups of four channels, whose weights are paired in 16-bit lanes;
the depth of a window is padded to a multiple of four. Convolutions copy the windows of two pixels to 16 bit, then
take two pixels by four channels at a time. Depthwise convolutions copy one channel to a 16-bit plane, padding
included, and write its outputs four at a time, so that they may replace the input. Every channel with weights has a
bias and a multiplier of four bytes each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from hannah_hw.cost.classes import KernelClass, Library
from hannah_hw.cost.entries import Entries, FloatArray, Formula
from hannah_hw.cost.libraries.hannah_common import COMMON, anywhere, up_to
from hannah_hw.cost.libraries.loops import one, real
from hannah_hw.cost.libraries.selection import (
    is_dense,
    is_depthwise,
    is_depthwise_square,
    is_pointwise,
    is_row,
)
from hannah_hw.cost.libraries.tiles import (
    GEMM,
    gemm_constants,
    gemm_scratch,
    padded_depth,
    paired,
    plain,
    quads,
)

_VECTOR: Final[Mapping[str, Formula]] = {
    "steps": paired(lambda s: s["pixels"] * real(quads(s) * (padded_depth(s) >> 2))),
    "turns": paired(lambda s: s["pixels"] * real(quads(s) * -(-padded_depth(s) // 16))),
    "quads": paired(lambda s: s["pixels"] * real(quads(s))),
    "rest_vectors": paired(lambda s: s["pixels"] * (s.whole("out_channels") & 3 > 0)),
    "rest_channels": paired(lambda s: s["pixels"] * s["out_rest"]),
    "plain_steps": plain(lambda s: s["pixels"] * np.ceil(s["out_channels"] * 0.5) * (padded_depth(s) >> 1)),
    "plain_pairs": plain(lambda s: s["pixels"] * np.ceil(s["out_channels"] * 0.5)),
    "words": lambda s: s["pixels"] * (s.whole("in_channels") >> 2),
    "tail_bytes": lambda s: s["pixels"] * s["in_rest"],
    "pixels": lambda s: s["pixels"],
    "calls": one,
}


def _padded_height(s: Entries) -> FloatArray:
    return s["in_h"] + s["pad_top"] + s["pad_bottom"]


def _padded_width(s: Entries) -> FloatArray:
    return up_to(4, s["in_w"] + s["pad_left"] + s["pad_right"])


_PLANE: Final[Mapping[str, Formula]] = {
    "macs": lambda s: s["out_channels"] * s["out_h"] * up_to(4, s["out_w"]) * s["window"],
    "outputs": lambda s: s["outputs"],
    "inputs": lambda s: s["in_channels"] * s["in_h"] * s["in_w"],
    "plane": lambda s: s["in_channels"] * _padded_height(s) * _padded_width(s),
    "rows": lambda s: s["out_channels"] * s["out_h"],
    "channels": lambda s: s["out_channels"],
    "calls": one,
}


def _plane_scratch(s: Entries) -> FloatArray:
    return 2.0 * _padded_height(s) * _padded_width(s)


def _square(size: int, stride: int, record: int) -> KernelClass:
    """A depthwise kernel of one window and stride.

    Args:
        size: Height and width of the window.
        stride: Both strides.
        record: Bytes of constants of a channel.
    """
    suffix = "" if stride == 1 else f"_s{stride}"
    return KernelClass(
        f"dw_{size}x{size}{suffix}",
        ("conv",),
        f"depthwise {size}x{size} convolution" + ("" if stride == 1 else f", stride {stride}"),
        _PLANE,
        is_depthwise_square(size, stride),
        flash_reads=lambda s: s["out_channels"] * s["out_h"] * np.ceil(s["out_w"] * 0.25) * (record / 4),
        scratch=_plane_scratch,
        constants=lambda s: s["out_channels"] * record,
        in_place=anywhere,
    )


#: All classes; among those of one kind the first that selects a kernel runs it.
CLASSES: Final[tuple[KernelClass, ...]] = (
    KernelClass(
        "conv_1x1",
        ("conv",),
        "1x1 convolution",
        GEMM,
        is_pointwise,
        None,
        gemm_scratch,
        gemm_constants,
    ),
    # Channel records: bias, multiplier, rows of taps as 16-bit lanes, at both alignments where the stride is 1.
    _square(3, 1, 8 + 3 * 8),
    _square(3, 2, 8 + 3 * 8),
    _square(5, 1, 8 + 5 * 16),
    _square(5, 2, 8 + 5 * 12),
    _square(7, 1, 8 + 7 * 32),
    _square(7, 2, 8 + 7 * 16),
    KernelClass(
        "dw",
        ("conv",),
        "depthwise convolution",
        _PLANE,
        is_depthwise,
        lambda s: s["outputs"] * s["window"] + 2.0 * s["out_channels"],
        _plane_scratch,
        lambda s: s["out_channels"] * (8.0 + up_to(4, s["window"])),
        anywhere,
    ),
    KernelClass("conv_1xn", ("conv",), "1-D convolution", GEMM, is_row, None, gemm_scratch, gemm_constants),
    KernelClass("conv", ("conv",), "convolution", GEMM, is_dense, None, gemm_scratch, gemm_constants),
    KernelClass(
        "conv_grouped",
        ("conv",),
        "grouped convolution",
        GEMM,
        None,
        None,
        gemm_scratch,
        gemm_constants,
    ),
    KernelClass(
        "fc",
        ("linear",),
        "fully connected",
        _VECTOR,
        None,
        None,
        lambda s: real(2 * padded_depth(s)),
        gemm_constants,
    ),
    *COMMON,
)

HANNAH_DSP: Final = Library(
    "hannah_dsp", "hannah int8 kernels, DSP extension", CLASSES, scratch_in_arena=True
)

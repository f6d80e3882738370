"""Kernel classes of our own int8 kernels on cores with the DSP extension (Cortex-M4, M7, M33).

Convolutions and fully connected layers work on groups of four channels, whose weights are paired in 16-bit lanes;
the depth of a window is padded to a multiple of four. Convolutions copy the windows of two pixels to 16 bit, then
take two pixels by four channels at a time. Depthwise convolutions copy one channel to a 16-bit plane, padding
included, and write its outputs four at a time, so that they may replace the input. Every channel with weights has a
bias and a multiplier of four bytes each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from hannah_hw.cost.classes import KernelClass, Library
from hannah_hw.cost.entries import Formula
from hannah_hw.cost.libraries import planes, pooling_dsp
from hannah_hw.cost.libraries.hannah_common import COMMON
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
    pairing_doubt,
    plain,
    quads,
)

#: Pools have kernels of their own; all other common kernels are the same C.
_POOLS: Final = {
    "avg_pool": pooling_dsp.AVERAGE,
    "global_avg_pool": pooling_dsp.GLOBAL_AVERAGE,
    "max_pool": pooling_dsp.MAXIMUM,
}
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


def _square(size: int, stride: int) -> KernelClass:
    """A depthwise kernel of one window and stride.

    Args:
        size: Height and width of the window.
        stride: Both strides.
    """
    suffix = "" if stride == 1 else f"_s{stride}"
    record = 8.0 + 4.0 * size * planes.PAIRS[size, stride]
    return KernelClass(
        f"dw_{size}x{size}{suffix}",
        ("conv",),
        f"depthwise {size}x{size} convolution" + ("" if stride == 1 else f", stride {stride}"),
        planes.SQUARE,
        is_depthwise_square(size, stride),
        scratch=planes.scratch(planes.square_plane),
        constants=lambda s: s["out_channels"] * record,
        in_place=planes.in_place(planes.square_plane),
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
        doubt=pairing_doubt,
    ),
    *(_square(size, stride) for size, stride in planes.PAIRS),
    KernelClass(
        "dw",
        ("conv",),
        "depthwise convolution",
        planes.ANY,
        is_depthwise,
        scratch=planes.scratch(planes.any_plane),
        constants=lambda s: s["out_channels"] * (8.0 + 4.0 * s["kernel_h"] * planes.any_pairs(s)),
        in_place=planes.in_place(planes.any_plane),
    ),
    KernelClass(
        "conv_1xn",
        ("conv",),
        "1-D convolution",
        GEMM,
        is_row,
        None,
        gemm_scratch,
        gemm_constants,
        doubt=pairing_doubt,
    ),
    KernelClass(
        "conv",
        ("conv",),
        "convolution",
        GEMM,
        is_dense,
        None,
        gemm_scratch,
        gemm_constants,
        doubt=pairing_doubt,
    ),
    KernelClass(
        "conv_grouped",
        ("conv",),
        "grouped convolution",
        GEMM,
        None,
        None,
        gemm_scratch,
        gemm_constants,
        doubt=pairing_doubt,
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
        doubt=pairing_doubt,
    ),
    *(replace(entry, features=_POOLS.get(entry.name, entry.features)) for entry in COMMON),
)

HANNAH_DSP: Final = Library(
    "hannah_dsp", "hannah int8 kernels, DSP extension", CLASSES, scratch_in_arena=True
)

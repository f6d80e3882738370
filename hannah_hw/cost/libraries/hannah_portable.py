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
from hannah_hw.cost.libraries.loops import Whole, one, real, taps_inside
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


def _lone_pairs(s: Entries) -> FloatArray:
    """(N,) groups of the convolution whose pairs of channels are odd in number."""
    pairs = -(-(s.whole("out_channels") // s.whole("groups")) // 2)
    return s["groups"] * (pairs & 1)


def _pixel_pairs(s: Entries) -> FloatArray:
    return np.ceil(s["pixels"] * 0.5)


def _gemm_constants(s: Entries) -> FloatArray:
    return _channel_pairs(s) * (2.0 * _depth(s) + 16.0)


def _gemm_reads(s: Entries) -> FloatArray:
    # Weights are read byte by byte.
    return _pixel_pairs(s) * _channel_pairs(s) * (2.0 * _depth(s) + 4.0)


def _inside(s: Entries, axis: str) -> tuple[Whole, Whole]:
    """(N,) first window along an axis, ``h`` or ``w``, that lies wholly inside the data, and one past the last."""
    before = s.whole({"h": "pad_top", "w": "pad_left"}[axis])
    stride, count = s.whole(f"stride_{axis}"), s.whole(f"out_{axis}")
    reach = (s.whole(f"kernel_{axis}") - 1) * s.whole(f"dilation_{axis}") - before
    first = -(-before // stride)
    end: Whole = np.clip((s.whole(f"in_{axis}") - 1 - reach) // stride + 1, 0, count)
    return np.minimum(first, end), end


def _pairs_between(first: Whole, end: Whole) -> Whole:
    """Pairs (2i, 2i + 1) of whole numbers in [first, end)."""
    pairs: Whole = np.maximum(end // 2 - (first + 1) // 2, 0)
    return pairs


def _plain_pairs(s: Entries) -> FloatArray:
    """(N,) pairs of pixels, in the order of memory, whose windows lie wholly inside the data."""
    (top, bottom), (left, right) = _inside(s, "h"), _inside(s, "w")
    height, width = s.whole("out_h"), s.whole("out_w")
    whole_rows = (left == 0) & (right == width)
    odd_rows = bottom // 2 - top // 2
    even_rows = bottom - top - odd_rows
    shift = width & 1  # odd rows of an odd width begin with the second pixel of a pair
    by_row = even_rows * _pairs_between(left, right) + odd_rows * _pairs_between(left + shift, right + shift)
    pairs = np.where(whole_rows, _pairs_between(top * width, bottom * width), by_row)
    # The last pixel of an odd number is paired with itself.
    alone = (
        (height * width & 1 == 1) & (bottom == height) & (right == width) & (top < bottom) & (left < right)
    )
    return real(pairs + alone)


def _padded_pairs(s: Entries) -> FloatArray:
    return (_pixel_pairs(s) - _plain_pairs(s)) * s["groups"]


def _runs(s: Entries) -> tuple[FloatArray, Whole]:
    """(N,) runs of neighbouring elements of a window, and elements of each."""
    rows = (s.whole("dilation_w") == 1) & (s.whole("groups") == 1)
    inside = s.whole("in_channels") // s.whole("groups")
    size = np.where(rows, s.whole("kernel_w"), 1) * inside
    return s["kernel_h"] * np.where(rows, 1, s.whole("kernel_w")), size


def _outside(s: Entries) -> FloatArray:
    """(N,) elements of windows that lie in the padding."""
    inside = taps_inside(s, "h") * taps_inside(s, "w")
    return np.maximum(s["taps"] - inside, 0.0) * s["in_channels"]


_GEMM: Final[Mapping[str, Formula]] = {
    "macs": lambda s: _pixel_pairs(s) * _channel_pairs(s) * _depth(s) * 4.0,
    # RV32 computes four channels at a time; this is what two that are left of a group cost more.
    "lone_macs": lambda s: _pixel_pairs(s) * _lone_pairs(s) * _depth(s) * 4.0,
    "tiles": lambda s: _pixel_pairs(s) * _channel_pairs(s),
    "lone_tiles": lambda s: _pixel_pairs(s) * _lone_pairs(s),
    "results": lambda s: _pixel_pairs(s) * s["out_channels"],
    "plain_quads": lambda s: _plain_pairs(s) * s["groups"] * _runs(s)[0] * (_runs(s)[1] >> 2),
    "plain_rest": lambda s: _plain_pairs(s) * s["groups"] * _runs(s)[0] * (_runs(s)[1] & 3),
    "plain_runs": lambda s: _plain_pairs(s) * s["groups"] * _runs(s)[0],
    "padded_quads": lambda s: _padded_pairs(s) * _runs(s)[0] * (_runs(s)[1] >> 2),
    "padded_rest": lambda s: _padded_pairs(s) * _runs(s)[0] * (_runs(s)[1] & 3),
    "padded_runs": lambda s: _padded_pairs(s) * _runs(s)[0],
    "outside": _outside,
    "outside_taps": lambda s: _outside(s) / s["in_channels"],
    "padded_pairs": _padded_pairs,
    "pairs": lambda s: _pixel_pairs(s) * s["groups"],
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


def _columns(s: Entries) -> FloatArray:
    """(N,) columns of results in one half."""
    return np.where(_is_line(s), np.ceil(s["out_w"] * 0.5), s["out_w"])


def _half_cols(s: Entries) -> FloatArray:
    """(N,) columns of results in one half, rounded up to two."""
    return up_to(2, _columns(s))


def _plane_rows(s: Entries) -> FloatArray:
    return (_half_rows(s) - 1.0) * s["stride_h"] + (s["kernel_h"] - 1.0) * s["dilation_h"] + 1.0


def _plane_cols(s: Entries) -> FloatArray:
    return (_half_cols(s) - 1.0) * s["stride_w"] + (s["kernel_w"] - 1.0) * s["dilation_w"] + 1.0


def _steps(s: Entries) -> FloatArray:
    """(N,) times that two columns of both halves are computed."""
    return s["out_channels"] * _half_rows(s) * _half_cols(s) * 0.5


def _partial_rows(s: Entries) -> FloatArray:
    """(N,) rows of the plane of which one half, or both, lies outside of the data; all in one dimension."""
    below = _half_rows(s) * s["stride_h"]
    bottom = np.maximum(_plane_rows(s) - s["pad_top"] + below - s["in_h"], 0.0)
    rows = np.minimum(s["pad_top"] + bottom, _plane_rows(s))
    return np.where(_is_line(s), _plane_rows(s), rows) * s["in_channels"]


def _full_rows(s: Entries) -> FloatArray:
    return _plane_rows(s) * s["in_channels"] - _partial_rows(s)


def _inside_cols(s: Entries) -> FloatArray:
    """(N,) words of a row of the plane that are no padding."""
    return np.minimum(s["in_w"], np.maximum(_plane_cols(s) - s["pad_left"], 0.0))


_PLANE: Final[Mapping[str, Formula]] = {
    "steps": _steps,
    "window_rows": lambda s: _steps(s) * s["kernel_h"],
    "tap_pairs": lambda s: _steps(s) * s["kernel_h"] * (s.whole("kernel_w") >> 1),
    "single_taps": lambda s: _steps(s) * s["kernel_h"] * (s.whole("kernel_w") & 1),
    "outputs": lambda s: s["outputs"],
    "full_words": lambda s: _full_rows(s) * _inside_cols(s),
    "full_padding": lambda s: _full_rows(s) * (_plane_cols(s) - _inside_cols(s)),
    "full_rows": _full_rows,
    "partial_words": lambda s: _partial_rows(s) * _plane_cols(s),
    "partial_rows": _partial_rows,
    # Assembly for Armv6-M computes one column at a time, and eight in a call.
    "columns": lambda s: s["out_channels"] * _half_rows(s) * _columns(s),
    "eights": lambda s: s["out_channels"] * _half_rows(s) * np.ceil(_columns(s) * 0.125),
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


def _channel_fours(s: Entries) -> FloatArray:
    """(N,) groups of four channels of all rows of a fully connected layer; a last pair is computed as four."""
    return s["pixels"] * np.ceil(s["out_channels"] * 0.25)


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
            "macs": lambda s: _channel_fours(s) * real(s.whole("in_channels") & ~3) * 4.0,
            "fours": lambda s: _channel_fours(s) * (s.whole("in_channels") > 3),
            "pairs": lambda s: s["pixels"] * _channel_pairs(s),
            "outputs": lambda s: s["outputs"],
            "rest": lambda s: s["pixels"] * _channel_pairs(s) * (s.whole("in_channels") & 3),
            "pixels": lambda s: s["pixels"],
            "calls": one,
        },
        None,
        lambda s: (
            s["pixels"]
            * (4.0 * np.ceil(s["out_channels"] * 0.25) * s["in_channels"] + 2.0 * s["out_channels"])
        ),
        None,
        _gemm_constants,
    ),
    *COMMON,
)

HANNAH_PORTABLE: Final = Library(
    "hannah_portable", "hannah int8 kernels, portable C", CLASSES, scratch_in_arena=True
)

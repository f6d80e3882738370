"""Kernel classes that are the same in every library of our own kernels: those without weights, transposed convolution.

Values are bytes with channels last. Functions of one value are read from a table of 256 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from hannah_hw.cost.classes import KernelClass
from hannah_hw.cost.entries import BoolArray, Entries, FloatArray, Formula
from hannah_hw.cost.libraries.loops import (
    ELEMENTS,
    channel_words,
    copies,
    named,
    one,
    outputs,
    real,
    taps_inside,
)
from hannah_hw.cost.libraries.selection import is_global, is_unpadded


def anywhere(s: Entries) -> BoolArray:
    """(N,) True: element by element, a result may always replace its operand."""
    return np.ones(len(s), np.bool_)


def up_to(multiple: int, count: FloatArray) -> FloatArray:
    """``count`` rounded up to a multiple."""
    return np.ceil(count * (1.0 / multiple)) * multiple


def _table(s: Entries) -> FloatArray:
    return 256.0 * one(s)


def _rows(s: Entries) -> FloatArray:
    """(N,) runs of a multiplication: pixels, where the second operand has one value a channel."""
    return np.where(s["groups"] > 1, s["pixels"], 1.0)


def _windows(s: Entries) -> FloatArray:
    return taps_inside(s, "h") * s["out_w"]


def _taps(s: Entries) -> FloatArray:
    return taps_inside(s, "h") * taps_inside(s, "w")


#: Windows of a pooling: rows and taps inside the data, for each word or byte of a pixel.
_POOLING: Final[Mapping[str, Formula]] = {
    **named("tap", channel_words(_taps)),
    **named("row", channel_words(_windows)),
    **named("result", channel_words(lambda s: s["pixels"])),
    "odd_rows": lambda s: _windows(s) * (s.whole("out_channels") >> 2) * (s.whole("kernel_w") & 1),
    "pixels": lambda s: s["pixels"],
    "lines": lambda s: s["out_h"],
    "calls": one,
}


def _blocks(s: Entries) -> FloatArray:
    """(N,) pieces that an operand of a concatenation, or the result of a slice, is moved in."""
    same_width = s.whole("in_w") == s.whole("out_w")
    same_channels = s.whole("in_channels") == s.whole("out_channels")
    return np.where(same_channels, np.where(same_width, 1.0, s["in_h"]), s["in_h"] * s["in_w"])


def _concat_rest(s: Entries) -> FloatArray:
    """(N,) bytes behind the words of all pieces; operands behind the first count as equally large."""
    blocks, others = _blocks(s).astype(np.int64), s.whole("operands") - 1
    first = s.whole("in_h") * s.whole("in_w") * s.whole("in_channels") // np.maximum(blocks, 1)
    whole = s.whole("out_h") * s.whole("out_w") * s.whole("out_channels") // np.maximum(blocks, 1)
    other = (whole - first) // np.maximum(others, 1)
    return real(blocks * ((first & 3) + others * (other & 3)))


def _met(s: Entries) -> FloatArray:
    """(N,) taps of a transposed convolution that meet an input value, over all pixels of its result."""
    return taps_inside(s, "h", transposed=True) * taps_inside(s, "w", transposed=True)


def _row_checks(s: Entries) -> FloatArray:
    """(N,) times that a transposed convolution looks for the input row of a tap."""
    return s["pixels"] * s["kernel_h"]


def _column_checks(s: Entries) -> FloatArray:
    return taps_inside(s, "h", transposed=True) * s["out_w"] * s["kernel_w"]


def _row_bytes(s: Entries) -> FloatArray:
    return s["in_w"] * s["in_channels"]


def _innermost(s: Entries) -> FloatArray:
    """(N,) steps of the inner loop of a permutation: the result's channels, or with them its columns.

    A result whose columns and channels are the operand's rows and columns, in their order, is one run.
    """
    joined = (
        (s.whole("out_h") == s.whole("in_channels"))
        & (s.whole("out_w") == s.whole("in_h"))
        & (s.whole("out_channels") == s.whole("in_w"))
    ) | (s.whole("out_channels") == 1)
    return np.where(joined, s["out_w"], 1.0) * s["out_channels"]


#: Shared by `hannah_dsp` and `hannah_portable`, behind their classes with weights.
COMMON: Final[tuple[KernelClass, ...]] = (
    KernelClass("add", ("add",), "addition", ELEMENTS, in_place=anywhere),
    KernelClass(
        "mul",
        ("mul",),
        "multiplication",
        {"outputs": outputs, "rows": _rows, "calls": one},
        in_place=anywhere,
    ),
    KernelClass("scale", ("scale",), "scaling", ELEMENTS, constants=_table, in_place=anywhere),
    KernelClass(
        "batch_norm",
        ("batch_norm",),
        "batch normalisation by itself",
        {"outputs": outputs, "pixels": lambda s: s["pixels"], "calls": one},
        constants=lambda s: s["out_channels"] * 8.0,
        in_place=anywhere,
    ),
    KernelClass(
        "global_avg_pool",
        ("avg_pool",),
        "global average pooling",
        {
            **named("tap", channel_words(lambda s: s["window"])),
            **named("result", channel_words(one)),
            "calls": one,
        },
        is_global,
    ),
    KernelClass(
        "avg_pool",
        ("avg_pool",),
        "average pooling",
        _POOLING,
        constants=lambda s: np.where(is_unpadded(s), 0.0, 4.0 * s["window"]),
    ),
    KernelClass("max_pool", ("max_pool",), "maximum pooling", _POOLING),
    KernelClass(
        "concat",
        ("concat",),
        "concatenation",
        {
            "quads": lambda s: (s["outputs"] - _concat_rest(s)) * 0.25,
            "rest": _concat_rest,
            "blocks": lambda s: _blocks(s) * s["operands"],
            "calls": lambda s: s["operands"],
        },
        constants=lambda s: s["operands"] * _table(s),
    ),
    KernelClass(
        "softmax",
        ("softmax",),
        "softmax",
        {"outputs": outputs, "pixels": lambda s: s["pixels"], "calls": one},
        constants=lambda s: 4.0 * _table(s),
    ),
    KernelClass(
        "lut",
        ("activation", "sigmoid", "hard_sigmoid", "hard_swish", "quantize"),
        "function of one value",
        ELEMENTS,
        constants=_table,
        in_place=anywhere,
    ),
    KernelClass(
        "pad",
        ("pad",),
        "padding",
        {
            **copies(lambda s: s["in_h"], _row_bytes),
            "zeros": lambda s: s["outputs"] - s["in_h"] * _row_bytes(s),
            "sides": lambda s: s["in_h"] * ((s.whole("pad_left") > 0) + 0.0 + (s.whole("pad_right") > 0)),
            "calls": one,
        },
    ),
    KernelClass(
        "slice",
        ("slice",),
        "slice",
        {**copies(_blocks, lambda s: s["outputs"] / np.maximum(_blocks(s), 1.0)), "calls": one},
    ),
    KernelClass(
        "upsample",
        ("upsample",),
        "nearest upsampling",
        {
            **named("pixel", copies(lambda s: s["in_h"] * s["out_w"], lambda s: s["out_channels"])),
            **named(
                "row", copies(lambda s: s["out_h"] - s["in_h"], lambda s: s["out_w"] * s["out_channels"])
            ),
            "pixels": lambda s: s["in_h"] * s["in_w"],
            "lines": lambda s: s["in_h"],
            "calls": one,
        },
    ),
    KernelClass(
        "permute",
        ("permute",),
        "permutation",
        {"outputs": outputs, "runs": lambda s: s["outputs"] / np.maximum(_innermost(s), 1.0), "calls": one},
    ),
    KernelClass(
        "conv_transpose",
        ("conv_transpose",),
        "transposed convolution",
        {
            "macs": lambda s: _met(s) * s["out_channels"] * s["in_channels"] / s["groups"],
            "tap_channels": lambda s: _met(s) * s["out_channels"],
            "outputs": outputs,
            "met": _met,
            "rows": _row_checks,
            "columns": _column_checks,
            "divisions": lambda s: (
                _row_checks(s) * (s.whole("stride_h") > 1) + _column_checks(s) * (s.whole("stride_w") > 1)
            ),
            "pixels": lambda s: s["pixels"],
            "calls": one,
        },
        flash_reads=lambda s: (
            _met(s) * s["out_channels"] * s["in_channels"] / s["groups"] + 2.0 * s["outputs"]
        ),
        scratch=lambda s: 8.0 * s["window"],
        constants=lambda s: (
            s["out_channels"] * (8.0 + up_to(4, s["window"] * s["in_channels"] / s["groups"]))
        ),
    ),
)

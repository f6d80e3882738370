"""Kernel classes without weights, the same in every library of our own kernels.

Values are bytes with channels last. Functions of one value are read from a table of 256 bytes.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from hannah_hw.cost.classes import KernelClass
from hannah_hw.cost.entries import BoolArray, Entries, FloatArray
from hannah_hw.cost.libraries.selection import is_global, is_unpadded


def one(s: Entries) -> FloatArray:
    """(N,) 1: what a call costs."""
    return np.ones_like(s["pixels"])


def inputs(s: Entries) -> FloatArray:
    """(N,) elements of the first operand."""
    return s["in_h"] * s["in_w"] * s["in_channels"]


def anywhere(s: Entries) -> BoolArray:
    """(N,) True: element by element, a result may always replace its operand."""
    return np.ones(len(s), np.bool_)


def up_to(multiple: int, count: FloatArray) -> FloatArray:
    """``count`` rounded up to a multiple."""
    return np.ceil(count * (1.0 / multiple)) * multiple


def _table(s: Entries) -> FloatArray:
    return 256.0 * one(s)


_ELEMENTWISE: Final = {"outputs": lambda s: s["outputs"], "calls": one}

#: Shared by `hannah_dsp` and `hannah_portable`, behind their classes with weights.
COMMON: Final[tuple[KernelClass, ...]] = (
    KernelClass("add", ("add",), "addition", _ELEMENTWISE, in_place=anywhere),
    KernelClass("mul", ("mul",), "multiplication", _ELEMENTWISE, in_place=anywhere),
    KernelClass(
        "scale",
        ("scale",),
        "scaling",
        _ELEMENTWISE,
        flash_reads=lambda s: s["outputs"],
        constants=_table,
        in_place=anywhere,
    ),
    KernelClass(
        "global_avg_pool",
        ("avg_pool",),
        "global average pooling",
        {"inputs": inputs, "outputs": lambda s: s["outputs"], "calls": one},
        is_global,
    ),
    KernelClass(
        "avg_pool",
        ("avg_pool",),
        "average pooling",
        {
            "inputs": lambda s: s["outputs"] * s["window"],
            "outputs": lambda s: s["outputs"],
            "pixels": lambda s: s["pixels"],
            "calls": one,
        },
        flash_reads=lambda s: np.where(is_unpadded(s), 0.0, s["pixels"]),
        constants=lambda s: np.where(is_unpadded(s), 0.0, 4.0 * s["window"]),
    ),
    KernelClass(
        "max_pool",
        ("max_pool",),
        "maximum pooling",
        {
            "inputs": lambda s: s["outputs"] * s["window"],
            "outputs": lambda s: s["outputs"],
            "taps": lambda s: s["taps"],
            "calls": one,
        },
    ),
    KernelClass(
        "concat",
        ("concat",),
        "concatenation",
        {"outputs": lambda s: s["outputs"], "calls": lambda s: s["operands"]},
        flash_reads=lambda s: s["outputs"],
        constants=lambda s: s["operands"] * _table(s),
    ),
    KernelClass(
        "softmax",
        ("softmax",),
        "softmax",
        {"outputs": lambda s: s["outputs"], "pixels": lambda s: s["pixels"], "calls": one},
        flash_reads=lambda s: s["outputs"],
        constants=lambda s: 4.0 * _table(s),
    ),
    KernelClass(
        "lut",
        ("activation", "sigmoid", "hard_sigmoid", "hard_swish", "quantize"),
        "function of one value",
        _ELEMENTWISE,
        flash_reads=lambda s: s["outputs"],
        constants=_table,
        in_place=anywhere,
    ),
    KernelClass("pad", ("pad",), "padding", _ELEMENTWISE),
    KernelClass("slice", ("slice",), "slice", _ELEMENTWISE),
    KernelClass("upsample", ("upsample",), "nearest upsampling", _ELEMENTWISE),
    KernelClass("permute", ("permute",), "permutation", _ELEMENTWISE),
)

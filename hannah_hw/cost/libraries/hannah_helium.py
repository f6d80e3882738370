"""Kernel classes of our own int8 kernels on cores with Helium (Cortex-M55).

The classes are those of the library for the DSP extension; other than there, weights lie in vectors of 16, windows in
the columns of a segment of pixels, and depthwise convolutions take 16 channels at a time. There is no calibrated cost
model: no public table gives the cycles of Cortex-M55, so that only instructions and memory are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from hannah_hw.cost.classes import KernelClass, Library
from hannah_hw.cost.entries import BoolArray, Entries, FloatArray, Formula
from hannah_hw.cost.libraries.hannah_common import up_to
from hannah_hw.cost.libraries.hannah_dsp import CLASSES as DSP_CLASSES
from hannah_hw.cost.libraries.loops import one, real
from hannah_hw.cost.libraries.tiles import group_channels, quads

#: Bytes of a vector.
_VECTOR: Final = 16.0
#: Pixels whose windows are copied together.
_SEGMENT: Final = 16


def _column(s: Entries) -> FloatArray:
    """(N,) elements of a column of a window of one group."""
    return s["kernel_h"] * real(group_channels(s))


def _depth(s: Entries) -> FloatArray:
    """(N,) elements of a window of one group, whole vectors."""
    return up_to(16, s["kernel_w"] * _column(s))


def _dense_constants(s: Entries) -> FloatArray:
    return real(quads(s)) * (32.0 + 4.0 * _depth(s))


def _window_scratch(s: Entries) -> FloatArray:
    lane = _column(s) * np.where(s.whole("dilation_w") > 1, s["kernel_w"], s["stride_w"])
    return up_to(4, (np.minimum(s["out_w"], _SEGMENT) - 1.0) * lane + _depth(s))


def _point_scratch(s: Entries) -> FloatArray:
    return np.where(s.whole("in_channels") % 16 > 0, up_to(16, s["in_channels"]), 0.0)


def _blocks(s: Entries) -> FloatArray:
    return np.ceil(s["out_channels"] / _VECTOR)


def _depthwise_constants(s: Entries) -> FloatArray:
    return _blocks(s) * (128.0 + _VECTOR * s["window"])


def _depthwise_scratch(s: Entries) -> FloatArray:
    columns = (s["out_w"] - 1.0) * s["stride_w"] + (s["kernel_w"] - 1.0) * s["dilation_w"] + 1.0
    lines = (s["kernel_h"] - 1.0) * s["dilation_h"] + 1.0
    return 52.0 + 4.0 * s["kernel_h"] + _VECTOR * columns * lines


def _lines_kept(s: Entries) -> BoolArray:
    """(N,) whether a line is copied before the row of results that lies on it is written."""
    same = (s.whole("in_h") == s.whole("out_h")) & (s.whole("in_w") == s.whole("out_w"))
    strides = s.whole("stride_h") * s.whole("stride_w") == 1
    result: BoolArray = (
        same & strides & (s.whole("pad_top") <= (s.whole("kernel_h") - 1) * s.whole("dilation_h"))
    )
    return result


_DENSE: Final[Mapping[str, Formula]] = {
    "steps": lambda s: np.ceil(s["pixels"] / 2.0) * real(quads(s)) * _depth(s) / _VECTOR,
    "quads": lambda s: np.ceil(s["pixels"] / 2.0) * real(quads(s)),
    "pixels": lambda s: s["pixels"],
    "calls": one,
}
_PLANES: Final[Mapping[str, Formula]] = {
    "taps": lambda s: s["taps"] * _blocks(s),
    "results": lambda s: s["pixels"] * _blocks(s),
    "columns": lambda s: s["in_h"] * s["in_w"] * _blocks(s),
    "rows": lambda s: s["out_h"] * _blocks(s),
    "calls": one,
}


def _of(entry: KernelClass) -> KernelClass:
    """The class with Helium of one for the DSP extension."""
    if entry.name.startswith("dw"):
        return replace(
            entry,
            features=_PLANES,
            constants=_depthwise_constants,
            scratch=_depthwise_scratch,
            in_place=_lines_kept,
        )
    if entry.name in ("conv_1x1", "fc"):
        return replace(entry, features=_DENSE, constants=_dense_constants, scratch=_point_scratch, doubt=None)
    if entry.name in ("conv", "conv_1xn", "conv_grouped"):
        return replace(
            entry, features=_DENSE, constants=_dense_constants, scratch=_window_scratch, doubt=None
        )
    return entry


CLASSES: Final = tuple(_of(entry) for entry in DSP_CLASSES)

HANNAH_HELIUM: Final = Library("hannah_helium", "hannah int8 kernels, Helium", CLASSES, scratch_in_arena=True)

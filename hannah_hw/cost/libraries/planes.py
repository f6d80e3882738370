"""What the depthwise convolutions of ``hn_dw_dsp.c`` do, as formulas over the columns of the Workload.

One channel after the other is copied to a plane of 16-bit values with its padding, in strips of rows where all of them
would be too large. Rows of outputs are computed from the plane four at a time; the last rows of a strip whose tiles
would write behind their end are computed one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from hannah_hw.cost.entries import BoolArray, Entries, FloatArray, Formula
from hannah_hw.cost.libraries.loops import Whole, one, real

#: Bytes that strips are made to fit, as in ``hn_dw_dsp.c``.
PLANE_LIMIT: Final = 2048
#: Window and stride -> pairs of taps of a row of the window in a channel's constants.
PAIRS: Final[Mapping[tuple[int, int], int]] = {
    (3, 1): 2,
    (3, 2): 2,
    (5, 1): 4,
    (5, 2): 3,
    (7, 1): 6,
    (7, 2): 4,
}


def any_pairs(s: Entries) -> Whole:
    """(N,) pairs of taps of a row of any window: single taps where its columns have gaps."""
    width = s.whole("kernel_w")
    return np.where(s.whole("dilation_w") == 1, (width + 1) >> 1, width)


def _last_column(s: Entries) -> Whole:
    """(N,) first column of the window of a row's last output, the row being a multiple of four."""
    return (-(-s.whole("out_w") // 4) * 4 - 1) * s.whole("stride_w")


def _square_pitch(s: Entries) -> Whole:
    return _last_column(s) + s.whole("kernel_w") + s.whole("stride_w") - 1


def _any_pitch(s: Entries) -> Whole:
    reach = (s.whole("kernel_w") - 1) * s.whole("dilation_w") + 1
    return -(-(_last_column(s) + reach + 1) // 2) * 2


class Plane:
    """(N,) geometry of the plane of one channel.

    Args:
        s: The kernels.
        pitch: Values of a row of the plane.

    Attributes:
        bytes: Its size.
        strips: Strips of rows.
        kernel_rows: Rows of outputs computed by tiles.
        careful_rows: Rows of outputs computed one by one.
        tiled_strips: Strips that have rows computed by tiles.
        careful_strips: Strips that have rows computed one by one.
        rows: Rows of the image that are copied.
        columns: Columns of them.
        zeros: Pairs of values set to the zero point for each channel.
        shared: Pairs of values that strips hand to the next.
        cleared: Pairs of values set to the zero point once.
    """

    def __init__(self, s: Entries, pitch: Whole) -> None:
        stride, height, width = s.whole("stride_h"), s.whole("out_h"), s.whole("out_w")
        reach = (s.whole("kernel_h") - 1) * s.whole("dilation_h") + 1
        room = np.maximum(PLANE_LIMIT // (2 * np.maximum(pitch, 1)) - reach, 0)
        strip = np.maximum(np.minimum(room // np.maximum(stride, 1) + 1, height), 1)
        plane_rows = (strip - 1) * stride + reach
        self.bytes = 2 * pitch * plane_rows
        self.strips = -(-height // strip)
        beyond = -width & 3
        careful = -(-beyond // np.maximum(width, 1))
        last = height - (self.strips - 1) * strip
        self.careful_rows = (self.strips - 1) * np.minimum(strip, careful) + np.minimum(last, careful)
        self.kernel_rows = height - self.careful_rows
        self.tiled_strips = (self.strips - 1) * (strip > careful) + (last > careful)
        self.careful_strips = self.strips * (careful > 0)
        needed = (height - 1) * stride + reach
        self.rows = np.clip(np.minimum(s.whole("in_h"), needed - s.whole("pad_top")), 0, None)
        self.columns = np.clip(np.minimum(s.whole("in_w"), pitch - s.whole("pad_left")), 0, None)
        several = self.strips > 1
        self.zeros = np.where(several, (needed - self.rows) * pitch // 2, 0)
        self.shared = np.where(several, (self.strips - 1) * np.maximum(reach - stride, 0) * pitch // 2, 0)
        self.cleared = pitch * plane_rows // 2


def square_plane(s: Entries) -> Plane:
    """Of a square window without gaps."""
    return s.once("square plane", lambda entries: Plane(entries, _square_pitch(entries)))


def any_plane(s: Entries) -> Plane:
    """Of any other window."""
    return s.once("any plane", lambda entries: Plane(entries, _any_pitch(entries)))


def _tiles(s: Entries) -> FloatArray:
    return np.ceil(s["out_w"] * 0.25)


def _features(plane: Callable[[Entries], Plane]) -> dict[str, Formula]:
    def each(name: str) -> Formula:
        return lambda s: real(getattr(plane(s), name)) * s["out_channels"]

    return {
        "strips": each("strips"),
        "gathered_rows": each("rows"),
        "gathered_fours": lambda s: each("rows")(s) * (plane(s).columns >> 2),
        "gathered_turns": lambda s: each("rows")(s) * (plane(s).columns + 15 >> 4),
        "gathered_rest": lambda s: each("rows")(s) * (plane(s).columns & 3),
        "zeros": each("zeros"),
        "shared": each("shared"),
        "cleared": lambda s: real(plane(s).cleared),
        "channels": lambda s: s["out_channels"],
        "calls": one,
    }


_KERNEL_ROWS: Final[Formula] = lambda s: real(square_plane(s).kernel_rows) * s["out_channels"]  # noqa: E731
_CAREFUL_ROWS: Final[Formula] = lambda s: real(square_plane(s).careful_rows) * s["out_channels"]  # noqa: E731

#: Features of the cycles of a square window of one stride.
SQUARE: Final[Mapping[str, Formula]] = {
    "tiles": lambda s: (_KERNEL_ROWS(s) + _CAREFUL_ROWS(s)) * _tiles(s),
    "rows": _KERNEL_ROWS,
    "careful_rows": _CAREFUL_ROWS,
    "tiled_strips": lambda s: real(square_plane(s).tiled_strips) * s["out_channels"],
    "careful_strips": lambda s: real(square_plane(s).careful_strips) * s["out_channels"],
    "careful_wide_rows": lambda s: _CAREFUL_ROWS(s) * (s.whole("out_w") >= 4),
    "careful_bytes": lambda s: _CAREFUL_ROWS(s) * (s.whole("out_w") & 3),
    **_features(square_plane),
}


def _any_tiles(s: Entries) -> FloatArray:
    return s["out_channels"] * s["out_h"] * _tiles(s)


#: Features of the cycles of any other window.
ANY: Final[Mapping[str, Formula]] = {
    "pairs": lambda s: _any_tiles(s) * s["kernel_h"] * any_pairs(s),
    "window_rows": lambda s: _any_tiles(s) * s["kernel_h"],
    "tiles": _any_tiles,
    "outputs": lambda s: s["outputs"],
    "rows": lambda s: s["out_channels"] * s["out_h"],
    **_features(any_plane),
}


def scratch(plane: Callable[[Entries], Plane]) -> Formula:
    """(N,) bytes of the plane."""
    return lambda s: real(plane(s).bytes)


def in_place(plane: Callable[[Entries], Plane]) -> Callable[[Entries], BoolArray]:
    """(N,) whether a channel is read before any of it is written, or written where it was read."""

    def allowed(s: Entries) -> BoolArray:
        same = (s.whole("in_h") == s.whole("out_h")) & (s.whole("in_w") == s.whole("out_w"))
        result: BoolArray = same | (plane(s).strips == 1)
        return result

    return allowed

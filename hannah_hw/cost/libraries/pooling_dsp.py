"""Pooling on cores with the DSP extension: what the loops of ``hn_pool_dsp.c`` do, as formulas over the Workload.

Four channels are computed at a time, the last four of a pixel over some of those before where that does not divide;
fewer than four channels one by one. Windows of two or three columns inside the data have loops of their own, others
take four taps a round (average) or two (maximum). Neighbouring windows that are whole share what is set up for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from hannah_hw.cost.entries import Entries, FloatArray, Formula
from hannah_hw.cost.libraries.loops import Whole, one, real
from hannah_hw.cost.libraries.selection import is_unpadded

#: Positions of the windows along an axis with the same number of taps inside the data: taps, and how many positions.
Positions = list[tuple[Whole, Whole]]


def window_positions(s: Entries, axis: str) -> Positions:
    """Taps inside the data of the window positions along an axis, each position in one entry: the whole first.

    Args:
        s: The kernels.
        axis: ``h`` or ``w``.

    Returns:
        (N,) taps and (N,) positions: first of whole windows, then of those that reach into the padding before, one by
        one, and of those that reach only behind the data.
    """
    size, count = s.whole(f"in_{axis}"), s.whole(f"out_{axis}")
    kernel, stride, dilation = (s.whole(f"{name}_{axis}") for name in ("kernel", "stride", "dilation"))
    before = s.whole({"h": "pad_top", "w": "pad_left"}[axis])
    stride = np.maximum(stride, 1)
    first = np.minimum(-(-before // stride), count)
    fitting = np.where(
        size + before >= dilation * (kernel - 1) + 1,
        (size + before - dilation * (kernel - 1) - 1) // stride + 1,
        0,
    )
    behind = np.maximum(np.minimum(fitting, count), first)
    found: Positions = [(kernel, behind - first)]

    def taps(position: Whole) -> Whole:
        start = position * stride - before
        skipped = np.maximum(-(start // dilation), 0)
        reached = np.where(size > start, (size - 1 - start) // dilation + 1, 0)
        inside: Whole = np.maximum(np.minimum(reached, kernel) - skipped, 0)
        return inside

    for number in range(int(first.max(initial=0))):
        position = np.full_like(first, number)
        found.append((taps(position), (position < first).astype(np.int64)))
    for number in range(int((count - behind).max(initial=0))):
        position = behind + number
        found.append((taps(position), (position < count).astype(np.int64)))
    return found


def _sum(positions: Positions, value: Callable[[Whole], Whole]) -> FloatArray:
    """(N,) a value of the taps, summed over all positions."""
    return real(np.sum([value(taps) * count for taps, count in positions], axis=0))


def _taps(s: Entries, axis: str, value: Callable[[Whole], Whole] = lambda taps: taps) -> FloatArray:
    return _sum(window_positions(s, axis), value)


def _is(number: int) -> Callable[[Whole], Whole]:
    return lambda taps: (taps == number).astype(np.int64)


def _other(value: Callable[[Whole], Whole]) -> Callable[[Whole], Whole]:
    """A value of windows that have neither two nor three columns, 0 of those."""
    return lambda taps: np.where((taps == 2) | (taps == 3), 0, value(taps))


def _fours(s: Entries) -> FloatArray:
    """(N,) steps of four channels that a pixel takes."""
    channels = s.whole("out_channels")
    return real(np.where(channels >= 4, -(-channels // 4), 0))


def _bytes(s: Entries) -> FloatArray:
    """(N,) channels that are computed one by one."""
    channels = s.whole("out_channels")
    return real(np.where(channels < 4, channels, 0))


def _rests(s: Entries) -> FloatArray:
    """(N,) pixels whose last four channels overlap those before."""
    channels = s.whole("out_channels")
    return s["pixels"] * ((channels > 4) & (channels & 3 > 0))


def _runs(s: Entries) -> FloatArray:
    """(N,) calls for neighbouring windows: all whole ones of a row together, and every other by itself."""
    (_, whole), *others = window_positions(s, "w")
    alone = np.sum([count for _, count in others], axis=0) if others else 0
    return s["out_h"] * real((whole > 0) + alone)


def _outside(s: Entries) -> FloatArray:
    """(N,) taps in the padding: those of columns are counted off at every run, those of rows at every line."""
    rows = s["out_h"] * s["kernel_h"] - _taps(s, "h")
    return rows + s["out_h"] * (s["out_w"] * s["kernel_w"] - _taps(s, "w"))


def _other_count(taps: Whole) -> Whole:
    return np.ones_like(taps)


def _padded_runs(s: Entries) -> FloatArray:
    """(N,) runs whose multiplier is looked up."""
    return np.where(is_unpadded(s), 0.0, _runs(s))


#: Loops that averages and maxima have in common.
_BOTH: Final[Mapping[str, Formula]] = {
    "byte_taps": lambda s: _taps(s, "h") * _taps(s, "w") * _bytes(s),
    "byte_rows": lambda s: _taps(s, "h") * s["out_w"] * _bytes(s),
    "byte_results": lambda s: s["pixels"] * _bytes(s),
    "byte_pixels": lambda s: s["pixels"] * (_bytes(s) > 0),
    "rests": _rests,
    "pixels": lambda s: s["pixels"] * (_fours(s) > 0),
    "runs": _runs,
    "outside": _outside,
    "lines": lambda s: s["out_h"],
    "calls": one,
}

AVERAGE: Final[Mapping[str, Formula]] = {
    "rows_of_2": lambda s: _taps(s, "h") * _taps(s, "w", _is(2)) * _fours(s),
    "rows_of_3": lambda s: _taps(s, "h") * _taps(s, "w", _is(3)) * _fours(s),
    "rows": lambda s: _taps(s, "h") * _taps(s, "w", _other(_other_count)) * _fours(s),
    "rounds": lambda s: _taps(s, "h") * _taps(s, "w", _other(lambda taps: taps >> 2)) * _fours(s),
    "taps": lambda s: _taps(s, "h") * _taps(s, "w", _other(lambda taps: taps & 3)) * _fours(s),
    "fours": lambda s: s["pixels"] * _fours(s),
    "other_fours": lambda s: s["out_h"] * _taps(s, "w", _other(_other_count)) * _fours(s),
    "other_pixels": lambda s: s["out_h"] * _taps(s, "w", _other(_other_count)) * (_fours(s) > 0),
    "lookups": _padded_runs,
    **_BOTH,
}


def _one_row(s: Entries, value: Callable[[Whole], Whole]) -> FloatArray:
    """(N,) a value of an image that is read as one row, for each step of four channels."""
    return real(value(s.whole("in_h") * s.whole("in_w"))) * _fours(s)


GLOBAL_AVERAGE: Final[Mapping[str, Formula]] = {
    "singles": lambda s: _one_row(s, _is(1)),
    "two_or_three": lambda s: _one_row(s, lambda taps: ((taps == 2) | (taps == 3)).astype(np.int64)),
    "rounds": lambda s: _one_row(s, lambda taps: taps >> 2),
    "taps": lambda s: _one_row(s, lambda taps: np.where(taps > 3, taps & 3, 0)),
    "flushes": lambda s: _one_row(s, lambda taps: (taps - 1) >> 8),
    "fours": lambda s: _one_row(s, lambda taps: (taps > 3).astype(np.int64)),
    "rests": _rests,
    "byte_taps": lambda s: s["window"] * _bytes(s),
    "bytes": _bytes,
    "calls": one,
}


def _squares(s: Entries) -> FloatArray:
    """(N,) windows of two rows and two columns."""
    return _taps(s, "h", _is(2)) * _taps(s, "w", _is(2))


def _other_rows(s: Entries, value: Callable[[Whole], Whole]) -> FloatArray:
    """(N,) a value of the columns of windows without a loop of their own, summed over their rows."""
    alike = _taps(s, "h") * _taps(s, "w", _other(value))
    twos = (_taps(s, "h") - 2.0 * _taps(s, "h", _is(2))) * _taps(s, "w", _is(2))
    return alike + twos * real(value(np.full(len(s), 2)))


def _other_windows(s: Entries) -> FloatArray:
    """(N,) windows without a loop of their own."""
    return s["pixels"] - _squares(s) - s["out_h"] * _taps(s, "w", _is(3))


MAXIMUM: Final[Mapping[str, Formula]] = {
    "squares": lambda s: _squares(s) * _fours(s),
    "rows_of_3": lambda s: _taps(s, "h") * _taps(s, "w", _is(3)) * _fours(s),
    "rows": lambda s: _other_rows(s, _other_count) * _fours(s),
    "rounds": lambda s: _other_rows(s, lambda taps: taps >> 1) * _fours(s),
    "taps": lambda s: _other_rows(s, lambda taps: taps & 1) * _fours(s),
    "fours": lambda s: (s["pixels"] - _squares(s)) * _fours(s),
    "other_fours": lambda s: _other_windows(s) * _fours(s),
    "other_pixels": lambda s: _other_windows(s) * (_fours(s) > 0),
    **_BOTH,
}

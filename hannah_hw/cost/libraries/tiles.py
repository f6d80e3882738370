"""What the convolutions of ``hn_conv_dsp.c`` do, as formulas over the columns of the Workload.

A tile is two neighbouring pixels of the result. Windows that lie inside the image, side by side, are taken in runs of
tiles. Every other tile is by itself: where its windows reach into padding they are copied first, the columns of both
together or, where they are the end of a row and the begin of the next one, each alone; windows with gaps are copied
tap by tap. Groups of four output channels are computed from a tile, two elements of the window at a time, eight of
these steps between branches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from hannah_hw.cost.entries import BoolArray, Entries, FloatArray, Formula
from hannah_hw.cost.libraries.loops import Whole, one, real, taps_inside

#: Elements of a window from which on sums of weights are expected to be too large to be paired: the proof of
#: `hannah_hw.firmware.packing_dsp.refuses_paired` needs 128 · Σ|w| < 2^23, and |w| is 29 on average where weights
#: spread normally over int8, the largest being 127.
PAIRED_DEPTH: Final = 2170
#: The same for a mean |w| of 43 and of 15.
_DOUBTFUL: Final = (1524, 4369)


def group_channels(s: Entries) -> Whole:
    """(N,) input channels of a group."""
    return s.whole("in_channels") // s.whole("groups")


def row_bytes(s: Entries) -> Whole:
    """(N,) elements of a row of a window of one group."""
    return s.whole("kernel_w") * group_channels(s)


def padded_depth(s: Entries) -> Whole:
    """(N,) elements of a window of one group, rounded up to four."""
    return -(-s.whole("kernel_h") * row_bytes(s) // 4) * 4


def quads(s: Entries) -> Whole:
    """(N,) groups of up to four output channels, over all groups of input channels."""
    groups = s.whole("groups")
    return groups * -(-(s.whole("out_channels") // groups) // 4)


def is_plain(s: Entries) -> BoolArray:
    """(N,) whether weights are expected to be unpaired."""
    result: BoolArray = s.whole("kernel_h") * row_bytes(s) >= PAIRED_DEPTH
    return result


def pairing_doubt(s: Entries) -> FloatArray:
    """(N,) how far the cycles may be off where the depth does not tell whether weights can be paired.

    Unpaired weights take up to twice the cycles. Weights whose mean magnitude is between 15 and 43 (that of a
    triangular spread over int8) are not all paired from a depth between `_DOUBTFUL` on.
    """
    depth = s.whole("kernel_h") * row_bytes(s)
    low, high = _DOUBTFUL
    result: FloatArray = np.where(
        (depth >= low) & (depth < high), np.where(depth < PAIRED_DEPTH, 1.0, 0.5), 0.0
    )
    return result


def has_gaps(s: Entries) -> BoolArray:
    """(N,) whether the elements of a row of a window do not lie side by side."""
    result: BoolArray = (s.whole("kernel_w") > 1) & ((s.whole("dilation_w") > 1) | (s.whole("groups") > 1))
    return result


def has_copies(s: Entries) -> BoolArray:
    """(N,) whether windows reach into padding or have gaps."""
    padding = s.whole("pad_top") | s.whole("pad_left") | s.whole("pad_bottom") | s.whole("pad_right")
    result: BoolArray = (padding != 0) | has_gaps(s)
    return result


def gemm_scratch(s: Entries) -> FloatArray:
    """(N,) bytes: the patch of two pixels, and their windows where these are copied."""
    return real(np.where(has_copies(s), 6, 4) * padded_depth(s))


def gemm_constants(s: Entries) -> FloatArray:
    """(N,) bytes of weights, biases and multipliers."""
    return real(quads(s) * 4 * (padded_depth(s) + 8))


def windows_inside(s: Entries, axis: str) -> tuple[Whole, Whole]:
    """(N,) window positions along an axis before those inside the image, and of those inside."""
    size, count, stride = s.whole(f"in_{axis}"), s.whole(f"out_{axis}"), s.whole(f"stride_{axis}")
    before = s.whole({"h": "pad_top", "w": "pad_left"}[axis])
    reach = (s.whole(f"kernel_{axis}") - 1) * s.whole(f"dilation_{axis}")
    first = np.minimum(-(-before // stride), count)
    last = (size - 1 - reach + before) // stride
    return first, np.clip(np.minimum(last, count - 1) - first + 1, 0, None)


class _Row:
    """Tiles of one row of the result whose windows lie inside the image vertically.

    Args:
        left: Windows before those inside.
        inside: Windows inside.
        width: Windows.
        taken: Windows of the row, 0 or 1, that the last tile of the row before has taken.

    Attributes:
        in_runs: Tiles in runs.
        runs: Runs, 0 or 1.
        before: Other tiles of windows of this row, in front of those in runs.
        behind: And behind them.
        takes: Windows, 0 or 1, that the last tile takes from the next row.
    """

    def __init__(self, left: Whole, inside: Whole, width: Whole, taken: int) -> None:
        inside = np.where(left >= taken, inside, inside - taken)
        left = np.maximum(left - taken, 0)
        self.before = before = -(-left // 2)
        # An odd window before those inside shares its tile with the first of them.
        self.in_runs = np.maximum(inside - (2 * before - left), 0) // 2
        self.runs = (self.in_runs > 0).astype(np.int64)
        rest = np.maximum(width - taken - 2 * before - 2 * self.in_runs, 0)
        self.behind, self.takes = rest // 2, rest & 1


class Tiles:
    """(N,) counts of tiles, of one group of input channels.

    Attributes:
        in_runs: Tiles in runs.
        runs: Runs, of any length.
        placed: Tiles by themselves that need no copy.
        left: Those whose windows reach into padding at the left, and neither above nor below.
        right: The same at the right.
        outside: Those of rows of the result whose windows reach into padding above or below.
        single: 1 where the last pixel has a tile of its own that is copied.
        split: Those of windows at the end of a row and at the begin of the next, or with columns between them.
        scattered: Those whose windows have gaps.
    """

    def __init__(self, s: Entries) -> None:
        height, width = s.whole("out_h"), s.whole("out_w")
        pixels = height * width
        left, inside = windows_inside(s, "w")
        rows = windows_inside(s, "h")[1]
        rows = np.where(inside > 0, rows, 0)
        even, odd = _Row(left, inside, width, 0), _Row(left, inside, width, 1)

        def over_rows(name: str) -> Whole:
            first, second = getattr(even, name), getattr(odd, name)
            half = rows // 2
            changing = np.where(
                odd.takes == 1, first + (rows - 1) * second, (rows - half) * first + half * second
            )
            return np.where(rows == 0, 0, np.where(even.takes == 0, rows * first, changing))

        window = s.whole("kernel_h") * s.whole("kernel_w")
        flat = (window == 1) & (s.whole("stride_h") == 1) & (s.whole("stride_w") == 1) & ~has_copies(s)
        gaps, total = has_gaps(s), -(-pixels // 2)
        padded = (left > 0) | (left + inside < width)
        split = over_rows("takes")
        beyond = height - rows
        self.in_runs = np.where(gaps, 0, np.where(flat, pixels // 2, over_rows("in_runs")))
        self.runs = np.where(gaps, 0, np.where(flat, pixels > 1, over_rows("runs"))).astype(np.int64)
        # Without padding at the sides windows of two rows need no copy, and so an odd last one, of a row inside.
        # Not so one that a row above or below the image shares.
        shared = (split > 0) & (height > rows)
        self.placed = np.where(gaps | padded, 0, np.where(flat, pixels & 1, split - shared))
        apart = gaps | flat | (s.whole("stride_w") > s.whole("kernel_w")) | (s.whole("groups") > 1)
        odd_last = (pixels & 1) * (padded | (beyond > 0))
        self.left = np.where(apart, 0, over_rows("before"))
        self.right = np.where(apart, 0, over_rows("behind"))
        self.single = np.where(apart, 0, odd_last)
        self.outside = np.where(apart, 0, beyond * (width // 2))
        self.scattered = np.where(gaps, total, 0)
        rest = (
            total
            - self.in_runs
            - self.placed
            - self.left
            - self.right
            - self.single
            - self.outside
            - self.scattered
        )
        self.split = np.maximum(rest, 0)


def _tiles(s: Entries) -> Tiles:
    return s.once("tiles", Tiles)


def paired(formula: Formula) -> Formula:
    """A formula for layers whose weights are paired, 0 for others."""
    return lambda s: np.where(is_plain(s), 0.0, formula(s))


def plain(formula: Formula) -> Formula:
    """A formula for layers whose weights are not paired, 0 for others."""
    return lambda s: np.where(is_plain(s), formula(s), 0.0)


def _tile_quads(s: Entries) -> FloatArray:
    return np.ceil(s["pixels"] * 0.5) * real(quads(s))


def _group_tiles(s: Entries) -> FloatArray:
    return np.ceil(s["pixels"] * 0.5) * s["groups"]


def _rest(s: Entries) -> Whole:
    return (s.whole("out_channels") // s.whole("groups")) & 3


def _filled(s: Entries) -> FloatArray:
    """(N,) rows of windows, of two pixels each, that are unpacked to the patch."""
    return _group_tiles(s) * s["kernel_h"]


def _copied_columns(s: Entries) -> Whole:
    """(N,) columns of the windows of two pixels of a row."""
    return s.whole("kernel_w") + np.minimum(s.whole("stride_w"), s.whole("kernel_w"))


class _Copies:
    """(N,) what is copied of windows that reach into padding; one group of input channels, for others have gaps.

    Attributes:
        rows: Rows of windows that are copied from the image.
        zero_rows: Rows that are all padding.
        words: Words of either.
        bytes: Bytes that rows, or the parts of a row on either side of the image's edge, leave.
    """

    def __init__(self, s: Entries) -> None:
        tiles, height, channels, width = (
            _tiles(s),
            s.whole("kernel_h"),
            group_channels(s),
            s.whole("kernel_w"),
        )
        both, one_window = _copied_columns(s) * channels, row_bytes(s)
        rows_outside = s.whole("out_h") - windows_inside(s, "h")[1]
        # Rows of windows above and below the image, of each row of the result that has any.
        empty = (s.whole("out_h") * height - taps_inside(s, "h").astype(np.int64)) / np.maximum(
            rows_outside, 1
        )
        split = tiles.split * 2 - (s.whole("out_h") * s.whole("out_w") & 1) * (tiles.single == 0)
        split = np.where(tiles.split > 0, split, 0)
        # Windows apart from each other are those of rows above and below, too, where all are apart.
        share = np.where(tiles.outside > 0, 0.0, rows_outside * s.whole("out_w") / np.maximum(split, 1))
        zero = (tiles.outside + split * np.minimum(share, 1.0)) * np.minimum(empty, height)
        windows = tiles.left + tiles.right + tiles.outside + tiles.single
        self.rows = (windows + split) * height - zero
        self.zero_rows = zero
        before = np.minimum(s.whole("pad_left"), width) * channels
        last = (s.whole("out_w") - 1) * s.whole("stride_w") - s.whole("pad_left")
        reach = (width - 1) * s.whole("dilation_w") + 1
        behind = np.clip(last + reach - s.whole("in_w"), 0, width) * channels
        parts = (
            (tiles.left, before, both - before),
            (tiles.right, behind, both - behind),
            (tiles.outside, 0 * both, both),
            (tiles.single, behind, one_window - behind),
            (split, np.maximum(before, behind), one_window - np.maximum(before, behind)),
        )
        self.words = sum(count * height * ((a >> 2) + (b >> 2)) for count, a, b in parts)
        self.bytes = sum(count * height * ((a & 3) + (b & 3)) for count, a, b in parts)


def _copies(s: Entries) -> _Copies:
    return s.once("copies", _Copies)


def _scattered(per_window: Formula) -> Formula:
    return lambda s: np.where(has_gaps(s), per_window(s) * s["groups"], 0.0)


def _window_taps(s: Entries) -> FloatArray:
    """(N,) taps of all windows that lie inside the image."""
    return taps_inside(s, "h") * taps_inside(s, "w")


def _pair_steps(s: Entries) -> Whole:
    return padded_depth(s) // 2


def _of_tiles(name: str) -> Formula:
    return lambda s: real(getattr(_tiles(s), name)) * s["groups"]


#: Features of the cycles of a convolution.
GEMM: Final[Mapping[str, Formula]] = {
    "steps": paired(lambda s: _tile_quads(s) * _pair_steps(s)),
    "turns": paired(lambda s: _tile_quads(s) * (-(-(_pair_steps(s) - 1) // 8))),
    "quads": paired(_tile_quads),
    "rest_tiles": paired(lambda s: _group_tiles(s) * (_rest(s) > 0)),
    "rest_channels": paired(lambda s: _group_tiles(s) * _rest(s)),
    "plain_steps": plain(
        lambda s: _group_tiles(s) * padded_depth(s) * np.ceil(s["out_channels"] / s["groups"] / 2)
    ),
    "plain_pairs": plain(lambda s: _group_tiles(s) * np.ceil(s["out_channels"] / s["groups"] / 2)),
    "tiles": _group_tiles,
    "filled_rows": _filled,
    "filled_words": lambda s: _filled(s) * (row_bytes(s) >> 3),
    "filled_odd_words": lambda s: _filled(s) * (row_bytes(s) >> 2 & 1),
    "tails": lambda s: _filled(s) * (row_bytes(s) & 3 > 0),
    "tail_bytes": lambda s: _filled(s) * (row_bytes(s) & 3),
    "runs": _of_tiles("runs"),
    "placed": _of_tiles("placed"),
    "together": lambda s: real(_tiles(s).left + _tiles(s).right + _tiles(s).outside + _tiles(s).single),
    "split": _of_tiles("split"),
    "copied_rows": lambda s: _copies(s).rows * s["groups"],
    "zero_rows": lambda s: _copies(s).zero_rows * s["groups"],
    "copied_words": lambda s: _copies(s).words * s["groups"],
    "copied_bytes": lambda s: _copies(s).bytes * s["groups"],
    "scattered": _of_tiles("scattered"),
    "scattered_taps": _scattered(_window_taps),
    "scattered_words": _scattered(lambda s: _window_taps(s) * (group_channels(s) >> 2)),
    "scattered_bytes": _scattered(lambda s: _window_taps(s) * (group_channels(s) & 3)),
    "scattered_zeros": _scattered(
        lambda s: taps_inside(s, "h") * (s["out_w"] * s["kernel_w"] - taps_inside(s, "w"))
    ),
    "scattered_zero_words": _scattered(
        lambda s: (s["pixels"] * s["window"] - _window_taps(s)) * (group_channels(s) >> 2)
    ),
    "scattered_zero_rows": _scattered(
        lambda s: (s["out_h"] * s["kernel_h"] - taps_inside(s, "h")) * s["out_w"]
    ),
    "groups": lambda s: s["groups"],
    "calls": one,
}

"""What convolutions by tiles of 2 channels and 4 pixels do, as formulas over the columns of the Workload.

See `hannah_hw.cost.libraries.tiles`: tiles of four pixels differ from those of two in that every tile outside runs is
copied, and that one may begin in a row of the result and end in the next or, where rows are short, in a later one.
Weights that cannot be paired have tiles of two pixels here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from hannah_hw.cost.entries import Entries, FloatArray, Formula
from hannah_hw.cost.libraries.loops import Whole, one, real, taps_inside
from hannah_hw.cost.libraries.tiles import (
    GEMM,
    group_channels,
    has_copies,
    has_gaps,
    is_plain,
    padded_depth,
    paired,
    row_bytes,
    windows_inside,
)

_LANES: Final = 4


def four_pixel_scratch(s: Entries) -> FloatArray:
    """(N,) bytes: the patch of four pixels of 16 bits an element, and their windows."""
    return real(12 * padded_depth(s))


class _Rows:
    """Equal rows of the result, by how many of their first windows the last tile of the row before has taken.

    Args:
        left: (N,) windows before those inside the image.
        inside: (N,) windows inside; 0 of rows that reach into padding above or below.
        width: (N,) windows.
        lanes: (N,) windows of a tile.

    Attributes:
        counts: (5, 4, N) runs, tiles in them, copied tiles before and behind them, tiles that end in another row.
        takes: (4, N) windows that the last tile takes from rows after it.
    """

    def __init__(self, left: Whole, inside: Whole, width: Whole, lanes: Whole) -> None:
        taken = np.arange(_LANES)[:, None]
        before = -(-np.maximum(left - taken, 0) // lanes)
        start = taken + before * lanes
        in_runs = np.where(inside > 0, np.maximum(left + inside - start, 0) // lanes, 0)
        behind = -(-np.maximum(width - start - in_runs * lanes, 0) // lanes)
        self.takes = np.maximum(start + (in_runs + behind) * lanes - width, 0)
        split = (self.takes > 0) & (taken < width)
        before = before - (split & (behind == 0))
        behind = behind - (split & (behind > 0))
        self.counts = np.stack([in_runs > 0, in_runs, before, behind, split]).astype(np.int64)

    def walk(self, rows: Whole, taken: Whole) -> tuple[Whole, Whole]:
        """Counts of so many rows one after the other, in steps of powers of two rows.

        Args:
            rows: (N,) how many.
            taken: (N,) windows of the first that are taken.

        Returns:
            (5, N) sums of `counts`, and (N,) what the last tile takes.
        """
        counts, takes, columns = self.counts, self.takes, np.arange(len(rows))
        total = np.zeros((len(counts), len(rows)), np.int64)
        for bit in range(int(rows.max(initial=0)).bit_length()):
            mine = rows >> bit & 1 > 0
            total += np.where(mine, counts[:, taken, columns], 0)
            taken = np.where(mine, takes[taken, columns], taken)
            counts = counts + np.take_along_axis(counts, takes[None], axis=1)
            takes = np.take_along_axis(takes, takes, axis=0)
        return total, taken


class _Tiles:
    """(N,) counts of one group of input channels, and what is copied for its tiles.

    Attributes:
        all: Tiles.
        halves: Pairs of lanes of them, each of which is unpacked by one call.
        runs: Runs of tiles whose windows lie inside the image.
        together: Other tiles, whose windows are copied as one.
        split: Tiles whose windows are copied one by one.
        windows: Those windows.
        rows: Rows that are copied from the image.
        zero_rows: Rows that are all padding.
        words: Words of either.
        bytes: Bytes that rows, or their parts on either side of the image's edge, leave.
    """

    def __init__(self, s: Entries) -> None:
        lanes = np.where(is_plain(s), 2, _LANES)
        height, width = s.whole("out_h"), s.whole("out_w")
        pixels, window = height * width, s.whole("kernel_h") * s.whole("kernel_w")
        flat = (window == 1) & (s.whole("stride_h") == 1) & (s.whole("stride_w") == 1) & ~has_copies(s)
        left, inside = windows_inside(s, "w")
        above, within = windows_inside(s, "h")
        above, within = np.where(flat, 0, above), np.where(flat, 1, within)
        below = np.where(flat, 0, height - above - within)
        width, inside = np.where(flat, pixels, width), np.where(flat, pixels, inside)
        padded = _Rows(np.zeros_like(left), np.zeros_like(left), width, lanes)
        top, taken = padded.walk(above, np.zeros_like(left))
        middle, taken = _Rows(left, inside, width, lanes).walk(within, taken)
        bottom, taken = padded.walk(below, taken)
        # The last tile may have fewer pixels; nothing follows them, so in an image as wide as a tile they are a row.
        filled = lanes - taken
        last = ((taken > 0) & (width >= np.minimum(filled, lanes))).astype(np.int64)
        gaps = has_gaps(s)
        apart = (s.whole("stride_w") > s.whole("kernel_w")) | (s.whole("groups") > 1)
        outside = top + bottom
        self.all = -(-pixels // lanes)
        self.halves = self.all * (lanes // 2)
        self.runs = np.where(gaps, 0, middle[0])
        before, behind, beyond = (np.where(gaps | apart, 0, n) for n in (middle[2], middle[3], outside[3]))
        last = np.where(gaps | apart, 0, last)
        self.together = before + behind + beyond + last
        self.split = np.where(gaps, 0, np.maximum(self.all - middle[1] - self.together, 0))
        self.windows = np.maximum(
            self.split * lanes - np.where(last > 0, 0, np.where(self.split > 0, taken, 0)), 0
        )
        self._copies(s, lanes, (before, behind, beyond, last), filled, above + below)

    def _copies(
        self, s: Entries, lanes: Whole, together: tuple[Whole, ...], filled: Whole, outside: Whole
    ) -> None:
        before, behind, beyond, last = together
        height, width, channels = s.whole("kernel_h"), s.whole("kernel_w"), group_channels(s)
        windows, step = self.windows, np.minimum(s.whole("stride_w"), width)
        both, of_last = ((width + (pixels - 1) * step) * channels for pixels in (lanes, filled))
        # Rows of windows above and below the image: of tiles there, and of a share of the windows by themselves.
        empty = (s.whole("out_h") * height - taps_inside(s, "h")) / np.maximum(outside, 1)
        share = np.maximum(outside * s.whole("out_w") - beyond * lanes, 0)
        self.zero_rows = np.minimum(empty, height) * (beyond + np.minimum(share, windows))
        self.rows = (self.together + windows) * height - self.zero_rows
        first = np.minimum(s.whole("pad_left"), width) * channels
        reach = (s.whole("out_w") - 1) * s.whole("stride_w") - s.whole("pad_left") + width
        final = np.clip(reach - s.whole("in_w"), 0, width) * channels
        edge = np.maximum(first, final)
        parts = (
            (before, first, both - first),
            (behind, final, both - final),
            (beyond, 0 * both, both),
            (last, np.minimum(final, of_last), of_last - np.minimum(final, of_last)),
            (windows, edge, row_bytes(s) - edge),
        )
        self.words = sum(count * height * ((a >> 2) + (b >> 2)) for count, a, b in parts)
        self.bytes = sum(count * height * ((a & 3) + (b & 3)) for count, a, b in parts)


def _tiles(s: Entries) -> _Tiles:
    return s.once("tiles of four", _Tiles)


def _of_tiles(name: str) -> Formula:
    return lambda s: getattr(_tiles(s), name) * s["groups"]


def _filled(s: Entries) -> FloatArray:
    """(N,) rows of windows, of two pixels each, that are unpacked to the patch."""
    return real(_tiles(s).halves) * s["groups"] * s["kernel_h"]


def _pairs(s: Entries) -> FloatArray:
    """(N,) pairs of output channels of all tiles."""
    return real(_tiles(s).all) * s["groups"] * np.ceil(s["out_channels"] / s["groups"] / 2)


def _pair_steps(s: Entries) -> Whole:
    return padded_depth(s) // 2


def _has_rest(s: Entries) -> Whole:
    return (s.whole("out_channels") // s.whole("groups")) & 1


_KEPT: Final = ("plain_steps", "plain_pairs", *(name for name in GEMM if name.startswith("scattered_")))

#: Features of the cycles of a convolution; those of tiles of two pixels that hold for both are theirs.
FOUR_PIXEL_GEMM: Final[Mapping[str, Formula]] = {
    "steps": paired(lambda s: _pairs(s) * _pair_steps(s)),
    "turns": paired(lambda s: _pairs(s) * (-(-(_pair_steps(s) - 1) // 8))),
    "pairs": paired(_pairs),
    "rest_tiles": paired(lambda s: _tiles(s).all * s["groups"] * _has_rest(s)),
    "tiles": _of_tiles("all"),
    "filled_rows": _filled,
    "filled_words": lambda s: _filled(s) * (row_bytes(s) >> 3),
    "filled_odd_words": lambda s: _filled(s) * (row_bytes(s) >> 2 & 1),
    "tails": lambda s: _filled(s) * (row_bytes(s) & 3 > 0),
    "tail_bytes": lambda s: _filled(s) * (row_bytes(s) & 3),
    "runs": _of_tiles("runs"),
    "together": _of_tiles("together"),
    "split": _of_tiles("split"),
    "windows": _of_tiles("windows"),
    "copied_rows": _of_tiles("rows"),
    "zero_rows": _of_tiles("zero_rows"),
    "copied_words": _of_tiles("words"),
    "copied_bytes": _of_tiles("bytes"),
    "scattered": lambda s: np.where(has_gaps(s), _tiles(s).all * s["groups"], 0.0),
    "scattered_windows": lambda s: np.where(has_gaps(s), s["pixels"] * s["groups"], 0.0),
    **{name: GEMM[name] for name in _KEPT},
    "groups": lambda s: s["groups"],
    "calls": one,
}

"""How often the loops of our kernels run, as formulas over the columns of the Workload.

Loops that move or add whole words leave up to three bytes, or seven, to a loop of single ones; on cores that load
words from multiples of four only, pixels whose channels are no multiple of four are left to it altogether. So words
of aligned and of other pixels are features of their own, with one cost where a core does not mind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.entries import Entries, FloatArray, Formula

Whole = NDArray[np.int64]


def one(s: Entries) -> FloatArray:
    """(N,) 1: what a call costs."""
    return np.ones_like(s["pixels"])


def real(values: Whole) -> FloatArray:
    """Whole numbers as real ones."""
    return values.astype(np.float64)


def outputs(s: Entries) -> FloatArray:
    """(N,) elements of the result."""
    return s["outputs"]


def taps_inside(s: Entries, axis: str, *, transposed: bool = False) -> FloatArray:
    """(N,) taps of all window positions along one axis, ``h`` or ``w``, that lie inside the data.

    Args:
        s: The kernels.
        axis: The axis.
        transposed: The windows of a transposed convolution instead: one an input value, inside the result.
    """
    size, count = s.whole(f"in_{axis}"), s.whole(f"out_{axis}")
    if transposed:
        size, count = count, size
    kernel, stride, dilation = (s.whole(f"{name}_{axis}") for name in ("kernel", "stride", "dilation"))
    before = s.whole({"h": "pad_top", "w": "pad_left"}[axis])
    after = np.maximum((count - 1) * stride + dilation * (kernel - 1) + 1 - before - size, 0)
    outside = _outside(before, stride, dilation, kernel, count) + _outside(
        after, stride, dilation, kernel, count
    )
    return real(np.maximum(count * kernel - outside, 0))


def _outside(padding: Whole, stride: Whole, dilation: Whole, kernel: Whole, count: Whole) -> Whole:
    """Taps in the padding of one side: ceil((padding - i * stride) / dilation) at the i-th window from that side."""
    total = np.zeros_like(padding)
    for number in range(int((-(-padding // np.maximum(stride, 1))).max(initial=0))):
        reach = np.maximum(padding - number * stride, 0)
        total += np.where(number < count, np.minimum(-(-reach // dilation), kernel), 0)
    return total


def _element_counts(size: Callable[[Entries], Whole]) -> dict[str, Formula]:
    return {
        "quads": lambda s: real(size(s) >> 2),
        "rest": lambda s: real(size(s) & 3),
        "calls": one,
    }


def _elements(s: Entries) -> Whole:
    return s.whole("out_h") * s.whole("out_w") * s.whole("out_channels")


#: Loops over all elements, four at a time.
ELEMENTS: Final[Mapping[str, Formula]] = _element_counts(_elements)


def words(channels: Whole) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(N,) words of aligned pixels, words of other pixels, and the bytes that these leave."""
    aligned = channels & 3 == 0
    count = channels >> 2
    return real(np.where(aligned, count, 0)), real(np.where(aligned, 0, count)), real(channels & 3)


def channel_words(formula: Formula) -> Mapping[str, Formula]:
    """Three features: a formula for each aligned word, other word and single byte of a result's pixel.

    Args:
        formula: How often.
    """

    def part(index: int) -> Formula:
        return lambda s: formula(s) * words(s.whole("out_channels"))[index]

    return {"words": part(0), "loose_words": part(1), "bytes": part(2)}


def named(prefix: str, features: Mapping[str, Formula]) -> dict[str, Formula]:
    """The features with a prefix to their names."""
    return {f"{prefix}_{name}": formula for name, formula in features.items()}


def copies(times: Formula, size: Formula) -> dict[str, Formula]:
    """Features of copies: calls, eights of bytes that are moved as words, and the bytes behind them.

    Args:
        times: How many copies.
        size: Bytes of one.
    """

    def whole(s: Entries) -> Whole:
        return size(s).astype(np.int64)

    return {
        "copies": times,
        "eights": lambda s: times(s) * np.where(whole(s) & 3 == 0, whole(s) >> 3, 0),
        "loose_eights": lambda s: times(s) * np.where(whole(s) & 3 == 0, 0, whole(s) >> 3),
        "tails": lambda s: times(s) * (whole(s) & 7 > 0),
        "tail_bytes": lambda s: times(s) * real(whole(s) & 7),
    }

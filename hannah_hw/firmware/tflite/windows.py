"""Padding of windows: TFLite knows none (VALID) and its own (SAME); any other is an operator before the window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

Pair = tuple[int, int]

#: Paddings, of the schema's enumeration ``Padding``.
SAME: Final = 0
VALID: Final = 1


@dataclass(frozen=True)
class Padding:
    """How a window is padded.

    Attributes:
        mode: `SAME` or `VALID`.
        rows: Rows to add before the operator, above and below; (0, 0) where `mode` says it all.
        columns: Columns to add before the operator, left and right.
    """

    mode: int
    rows: Pair = (0, 0)
    columns: Pair = (0, 0)

    @property
    def explicit(self) -> bool:
        """Whether an operator must pad."""
        return any(self.rows + self.columns)


@dataclass(frozen=True)
class _Axis:
    """One axis of a window.

    Attributes:
        size: Of the data.
        out: Of the result.
        stride: Of the window.
        span: Of the window, dilation included.
        begin: What is padded before the data.
    """

    size: int
    out: int
    stride: int
    span: int
    begin: int

    @property
    def needed(self) -> int:
        """What the windows of the result cover beyond the data, both ends together; negative where some is left."""
        return (self.out - 1) * self.stride + self.span - self.size

    @property
    def is_same(self) -> bool:
        """Whether SAME means this: a result of size / stride, and the larger half of the padding at the end."""
        return self.out == -(-self.size // self.stride) and self.begin == max(self.needed, 0) // 2

    @property
    def is_valid(self) -> bool:
        """Whether VALID means this: as many windows as lie within the data."""
        return self.begin == 0 and self.needed <= 0 < self.needed + self.stride

    @property
    def pads(self) -> Pair:
        return (self.begin, max(self.needed - self.begin, 0))


def padding_of(columns: Mapping[str, int]) -> Padding:
    """The padding of a convolution or pooling.

    Args:
        columns: Its row of the Workload.
    """
    rows, across = (
        _Axis(
            columns[f"in_{axis}"],
            columns[f"out_{axis}"],
            columns[f"stride_{axis}"],
            columns[f"dilation_{axis}"] * (columns[f"kernel_{axis}"] - 1) + 1,
            columns[begin],
        )
        for axis, begin in (("h", "pad_top"), ("w", "pad_left"))
    )
    if rows.is_valid and across.is_valid:
        return Padding(VALID)
    if rows.is_same and across.is_same:
        return Padding(SAME)
    return Padding(VALID, rows.pads, across.pads)


@dataclass(frozen=True)
class Transposed:
    """How a transposed convolution gets its result.

    Attributes:
        mode: `SAME` or `VALID`.
        sizes: (height, width) that the operator computes.
        begins: First row and column of the result in that; None where it is the whole of it.
    """

    mode: int
    sizes: Pair
    begins: Pair | None


def transposed_of(columns: Mapping[str, int]) -> Transposed:
    """The padding of a transposed convolution: that of the convolution from its result back to its data.

    Args:
        columns: Its row of the Workload.
    """
    axes = [
        _Axis(
            columns[f"out_{axis}"],
            columns[f"in_{axis}"],
            columns[f"stride_{axis}"],
            columns[f"kernel_{axis}"],
            columns[begin],
        )
        for axis, begin in (("h", "pad_top"), ("w", "pad_left"))
    ]
    whole = (axes[0].size, axes[1].size)
    if all(axis.is_valid for axis in axes):
        return Transposed(VALID, whole, None)
    if all(axis.is_same for axis in axes):
        return Transposed(SAME, whole, None)
    # All that the data reach, and what output padding adds; then a cut.
    full = [(axis.out - 1) * axis.stride + axis.span for axis in axes]
    sizes = [max(reached, axis.begin + axis.size) for reached, axis in zip(full, axes, strict=True)]
    return Transposed(VALID, (sizes[0], sizes[1]), (axes[0].begin, axes[1].begin))

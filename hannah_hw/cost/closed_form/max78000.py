"""The convolutional accelerator of Analog Devices' MAX78000: 64 processors, one input channel each.

Every processor convolves its channel, the 64 results are added, and one output channel is finished in a cycle. More
than 64 input channels take several passes. Reading a pixel takes a cycle for each value that is pooled, and one to
write it to the row buffer; padding takes the same without the pooling.

The cycles are those that the vendor's ai8x-synthesis (commit ab4f4c0, izer/latency.py) states for a layer, derived
anew here from its published cases; its total for a network starts at 1. Loading the input and the weights is not part
of it. Limits of the chip: README of ai8x-training, "Limitations of MAX78000 Networks".

What differs from the hardware: pooling and additions, which the chip can fuse into the next convolution, are priced as
layers of their own, and a fully connected layer reads features that lie in one pixel, up to 1024 channels of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.closed_form.gemm import ceil_div
from hannah_hw.cost.closed_form.machine import Counts, Machine

#: Input channels of one pass.
PROCESSORS: Final = 64
#: Processors that share a data memory, which takes their outputs one after the other; there are 4 such groups of 16.
_SHARING, _GROUP = 4, 16
_MOST_CHANNELS: Final = 1024

_Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Passes:
    """Layers as the accelerator runs them; each field is an array, all broadcast.

    Attributes:
        rows: Rows of the data after pooling.
        columns: Columns of the data after pooling.
        pool: Values that are pooled into one.
        passes: Passes over the input channels.
        operands: Data inputs that are combined.
        pool_first: Whether pooling comes before the combination.
        out_columns: Columns of the output of a convolution.
        filters: Output channels of a convolution.
        kernel_rows: Rows of its window.
        kernel_columns: Columns of its window.
        pad_rows: Rows of zeros above, and as many below.
        pad_columns: Columns of zeros on each side.
        convolves: Whether there is a convolution; without it data only pass through.
        slots: Cycles in which a pass writes a pixel of data that pass through.
        flattens: Whether a two-dimensional input is taken as one of channels.
        streams: Whether data flow from layer to layer before they are complete.
    """

    rows: Any
    columns: Any
    pool: Any = 1
    passes: Any = 1
    operands: Any = 1
    pool_first: Any = True
    out_columns: Any = 1
    filters: Any = 1
    kernel_rows: Any = 1
    kernel_columns: Any = 1
    pad_rows: Any = 0
    pad_columns: Any = 0
    convolves: Any = True
    slots: Any = 1
    flattens: Any = False
    streams: Any = False

    def cycles(self) -> _Ints:
        """Cycles of each layer, in the shape that the fields broadcast to."""
        first = np.asarray(self.pool_first, bool)
        # Values that a pixel of padding, and one of data, take to read; of either, one more cycle stores the pixel.
        blank = self.passes * np.where(first, self.operands * 2, 2)
        data = self.passes * np.where(first, self.operands * (self.pool + 1), self.operands * self.pool + 1)
        repeats = np.where(first, 1, self.passes)
        lead = self.kernel_columns - 1 - self.pad_columns
        inside = self.out_columns - self.pad_columns
        edge = self.pad_columns * (blank + 1)

        def convolved(pixel: Any) -> Any:
            return edge + repeats * (lead * (pixel + 1) + inside * pixel) + blank * self.pad_columns

        def filled(pixel: Any) -> Any:
            return 2 * edge + repeats * self.columns * (pixel + 1)

        alone = np.where((np.asarray(self.filters) == 1) & (np.asarray(self.passes) == 1), self.filters, 0)
        written = self.passes * self.out_columns * self.filters + alone
        head = self.kernel_rows - 1 - self.pad_rows
        convolution = (
            np.asarray(self.flattens, np.int64)
            + self.pad_rows * filled(blank)
            + head * filled(data)
            + (self.rows - head) * (convolved(data) + written)
            + self.pad_rows * (convolved(blank) + written)
        )
        through = self.rows * self.columns * (data + self.passes * self.slots)
        total = np.where(self.convolves, convolution, through)
        # The vendor's estimate of streaming: half as long again, rounded up.
        result: _Ints = np.where(self.streams, (15 * total + 9) // 10, total)
        return result


def max78000(layers: Layers, machine: Machine) -> Counts:
    """Count convolutions, transposed ones, fully connected layers, pooling, additions and copies; see the module."""
    del machine
    return Counts(cycles={"compute": _passes(layers).cycles().astype(np.float64)})


def _passes(layers: Layers) -> Passes:
    # One-dimensional data run along the rows of the accelerator.
    flat = (layers["in_h"] == 1) & (layers["kernel_h"] == 1) & (layers["out_h"] == 1)

    def sides(rows: str, columns: str) -> tuple[_Ints, _Ints]:
        along, across = layers[rows], layers[columns]
        return np.where(flat, across, along), np.where(flat, along, across)

    in_rows, in_columns = sides("in_h", "in_w")
    out_rows, out_columns = sides("out_h", "out_w")
    kernel_rows, kernel_columns = sides("kernel_h", "kernel_w")
    stride_rows, stride_columns = sides("stride_h", "stride_w")
    pad_rows, pad_columns = sides("pad_top", "pad_left")
    linear, transposed = layers.is_kind("linear"), layers.is_kind("conv_transpose")
    convolves = layers.is_kind("conv", "conv_transpose", "linear")
    pools = layers.is_kind("max_pool", "avg_pool")
    # More features than channels are possible have to lie in several pixels.
    pixels = np.where(linear, ceil_div(layers["in_channels"], _MOST_CHANNELS), 1)
    channels = ceil_div(layers["in_channels"], pixels)
    # A transposed convolution fills zeros between the pixels and then is an ordinary one. A stride is that of a
    # pooling of single pixels before a convolution of single pixels.
    rows = np.where(
        transposed, in_rows * stride_rows, np.where(convolves, ceil_div(in_rows, stride_rows), out_rows)
    )
    columns = np.where(
        transposed,
        in_columns * stride_columns,
        np.where(convolves, ceil_div(in_columns, stride_columns), out_columns),
    )
    in_pass = np.minimum(ceil_div(np.minimum(channels, PROCESSORS), _SHARING), _GROUP // _SHARING)
    return Passes(
        rows=np.where(linear, pixels, rows),
        columns=np.where(linear, 1, columns),
        pool=np.where(pools, kernel_rows * kernel_columns, 1),
        passes=ceil_div(channels, PROCESSORS),
        operands=np.where(layers.is_kind("add"), layers["operands"], 1),
        out_columns=np.where(linear, 1, out_columns),
        filters=layers["out_channels"],
        kernel_rows=kernel_rows,
        kernel_columns=kernel_columns,
        pad_rows=np.where(transposed, 1, pad_rows),
        pad_columns=np.where(transposed, 1, pad_columns),
        convolves=convolves,
        slots=in_pass,
        flattens=linear & (pixels > 1),
    )

"""Work of convolutions as MLAS, ONNX Runtime's library of kernels, does it.

How its loops nest is read from its sources (onnxruntime/core/mlas/lib: snchwc.cpp, x86_64/SconvKernel*.S, convolve.cpp,
qgemm.h, qdwconv.cpp); how long a step takes is fitted. Every function takes N convolutions of one class and gives
named amounts of work, each (N,) and at least 0.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.host.geometry import Convolutions, FloatArray, IntArray

Work = dict[str, NDArray[Any]]

#: Blocks of output channels that a blocked convolution computes at once (snchwc.cpp: FilterSetSize).
_SET: Final = 4
#: Input channels after which a pointwise convolution writes its sums out (snchwc.cpp: MaximumInputChannelBatch).
_CHANNEL_BATCH: Final = 128
#: Cycles until the result of a multiply-add can be added to: 4 on x86 since 2015.
_LATENCY: Final = 4.0
#: Multiply-adds of whole registers that start in a cycle.
_PER_CYCLE: Final = 2.0
#: Bytes of the first cache that are left for filters beside inputs and outputs.
_L1_BYTES: Final = 24 << 10
#: Bytes of the second cache, likewise.
_L2_BYTES: Final = 384 << 10
#: Columns and rows of the tile of a matrix product.
_TILE_COLUMNS: Final = 16
_TILE_ROWS: Final = 6
#: What a product of 8-bit matrices sums up, and how many columns it has, before the next part (qgemm.h: strides).
_DEPTH: Final = 128
_WIDTH: Final = 128
#: Products of 8-bit values that a loop over whole registers makes at a time.
_PRODUCTS: Final = 16
#: Least outputs of a part of a quantised convolution, and most parts.
_JOB_ROWS: Final = 16
_JOBS: Final = 5
#: Bytes of a float.
_FLOAT: Final = 4


def _up(values: IntArray, multiple: int) -> IntArray:
    """Rounded up to a multiple."""
    return -(-values // multiple) * multiple


def _tile_width(block: int) -> int:
    """Outputs of a tile of a blocked convolution: 6 by 4 registers of sums of the 32 of AVX-512, else 3 by 4 of 16."""
    return 6 if block >= 16 else 3


def _step(outputs: IntArray, blocks: IntArray | int) -> FloatArray:
    """Cycles of one multiply-add of `outputs` times `blocks` sums: by throughput, at least the latency of one."""
    busy = np.maximum(outputs * blocks / _PER_CYCLE, (outputs + blocks) / 2)
    return np.where(outputs > 0, np.maximum(busy, _LATENCY), 0.0)


def _line(outputs: IntArray, blocks: IntArray | int, width: int) -> FloatArray:
    """Cycles of one multiply-add of each of a line of outputs, tile by tile."""
    full, rest = outputs // width, outputs % width
    return full * _step(np.full_like(outputs, width), blocks) + _step(rest, blocks)


def _sets(channels: IntArray, block: int) -> tuple[IntArray, IntArray]:
    """Whole sets of blocks of output channels, and blocks of the last one that is not whole."""
    blocks = -(-channels // block)
    return blocks // _SET, blocks % _SET


def nchwc_conv(c: Convolutions, block: int) -> Work:
    """Blocked input and output: a row of outputs at a time, summed up in memory block by block of input channels."""
    return _direct(c, block, -(-c.inputs // c.groups // block), block)


def nchwc_stem(c: Convolutions, block: int) -> Work:
    """Plain input, as that of an image: summed up channel by channel."""
    return _direct(c, block, c.inputs // c.groups, 1)


def _direct(c: Convolutions, block: int, passes: IntArray, depth: int) -> Work:
    """A direct convolution, of which each pass over the outputs adds up `depth` input channels."""
    width = _tile_width(block)
    full, rest = _sets(c.channels, block)
    # Columns at the border are computed one by one, and so is one that remains of the inner ones.
    tiled = c.inner - (c.inner % width == 1)
    single = c.out_width - tiled
    tiles = -(-tiled // width)
    sets, blocks = full + (rest > 0), full * _SET + rest
    steps = passes * depth
    rows = c.valid_rows * steps
    taps = rows * c.kernel_width
    inside = c.valid_columns - tiled * c.kernel_width
    border_taps = rows * inside
    per_block = c.area * depth * block * _FLOAT
    spilled = full * _SET * (per_block * _SET > _L1_BYTES) + rest * (per_block * rest > _L1_BYTES)
    return {
        "call": np.ones(len(full)),
        "inner": taps * (full * _line(tiled, _SET, width) + _line(tiled, rest, width) * (rest > 0)),
        "border": border_taps * blocks,
        "border_step": border_taps * sets,
        "skipped": rows * (single * c.kernel_width - inside) * sets / depth,
        "tap": rows / depth * c.kernel_width * (tiles + single) * sets,
        "filter_from_l2": (taps * tiles + border_taps) * spilled,
        "weights_from_l3": c.weight_bytes * (c.weight_bytes > _L2_BYTES),
        "sum": c.outputs * blocks * passes,
        "tile": c.batch * c.out_height * (tiles + single) * sets * passes,
        "row": c.batch * c.out_height * sets * passes,
        "add": c.outputs * blocks * c.added,
        "clip": c.outputs * blocks * c.clipped,
    }


def nchwc_pointwise(c: Convolutions, block: int) -> Work:
    """Filters of one tap: outputs in one line where every position counts, and otherwise row by row."""
    width = _tile_width(block)
    full, rest = _sets(c.channels, block)
    dense = (c.stride_height == 1) & (c.stride_width == 1)
    lines = np.where(dense, c.batch, c.batch * c.out_height)
    line = np.where(dense, c.out_height * c.out_width, c.out_width)
    batches = -(-c.inputs // _CHANNEL_BATCH)
    sets, blocks = full + (rest > 0), full * _SET + rest
    source = c.batch * c.inputs * c.height * c.width * _FLOAT
    return {
        "call": np.ones(len(full)),
        "inner": c.inputs * lines * (full * _line(line, _SET, width) + _line(line, rest, width) * (rest > 0)),
        "macs": c.macs / block,
        "sum": c.outputs * blocks * batches,
        "tile": lines * -(-line // width) * sets * batches,
        "row": lines * sets * batches,
        "weight_bytes": c.weight_bytes,
        "input_bytes": source,
        "input_from_l2": source * sets * (source > _L1_BYTES),
        "add": c.outputs * blocks * c.added,
        "clip": c.outputs * blocks * c.clipped,
    }


def nchwc_depthwise(c: Convolutions, block: int) -> Work:
    """Blocked channels by themselves: one register of sums an output, so that latency bounds large filters."""
    width = _tile_width(block)
    blocks = -(-c.channels // block)
    inner = c.inner - (c.inner % width == 1)
    single = c.out_width - inner
    taps = blocks * c.valid_rows * c.kernel_width
    tiles = -(-inner // width)
    return {
        "call": np.ones(len(blocks)),
        "inner": taps * inner,
        "tile": taps * tiles,
        "border": taps * single,
        "output": blocks * c.outputs,
        "row": blocks * c.batch * c.out_height,
        "input": blocks * c.batch * c.height * c.width,
        "strided": taps * inner * (c.stride_width > 1),
        "clip": c.outputs * blocks * c.clipped,
        "add": c.outputs * blocks * c.added,
    }


def plain_conv(c: Convolutions, block: int) -> Work:
    """Plain layout: the input's patches as a matrix, multiplied by the filters."""
    del block
    per_group = c.channels // c.groups
    positions = c.out_height * c.out_width
    expands = (c.area > 1) | (c.stride_width > 1) | (c.stride_height > 1)
    times = c.batch * c.groups
    return {
        "call": np.ones(len(per_group)),
        "tiles": times * _up(positions, _TILE_COLUMNS) * _up(per_group, _TILE_ROWS) * c.depth,
        "macs": c.macs,
        "patches": times * positions * c.depth * expands,
        "patch_rows": times * c.out_height * c.depth * expands,
        "packed": times * _up(positions, _TILE_COLUMNS) * c.depth,
        "output": c.outputs * c.channels,
        "output_row": c.batch * c.channels,
        "weight_bytes": c.weight_bytes,
        "add": c.outputs * c.channels * c.added,
        "clip": c.outputs * c.channels * c.clipped,
    }


def plain_depthwise(c: Convolutions, block: int) -> Work:
    """Plain layout, channel by channel."""
    del block
    rows = c.batch * c.channels * c.out_height
    return {
        "call": np.ones(len(rows)),
        "channel": c.batch * c.channels,
        "macs": c.macs,
        "taps_of_rows": rows * c.area,
        "row": rows,
        "output": c.outputs * c.channels,
        "input": c.batch * c.inputs * c.height * c.width,
        "strided": c.outputs * c.channels * (c.stride_width > 1),
        "clip": c.outputs * c.channels * c.clipped,
    }


def q_conv(c: Convolutions, block: int) -> Work:
    """8 bits: patches as a matrix, a product with sums of 32 bits, and a pass that scales them back.

    The product goes over `_DEPTH` of what is summed and `_WIDTH` columns at a time. Processors with instructions for
    these products work on tiles; others on one sum at a time, whole registers of products and then what is left.
    """
    del block
    n = c.channels // c.groups
    k, m = c.depth, c.outputs * c.groups
    expands = (c.area > 1) | (c.stride_width > 1) | (c.stride_height > 1)
    packed = _up(k, 4)
    last = packed % _DEPTH
    parts, columns = -(-packed // _DEPTH), -(-n // _WIDTH)
    left = last % _PRODUCTS // 4
    return {
        "call": np.ones(len(n)),
        "tiles": m * _up(n, 16) * packed,
        "row_tiles": _up(m, _TILE_ROWS) * _up(n, 16) * packed,
        "sums": m * n * parts,
        "products": m * n * (packed // _PRODUCTS),
        "left_products": m * n * left,
        "left": m * n * (left > 0),
        "few_products": m * n * (packed < _PRODUCTS),
        "rows": m * parts * columns,
        "packed": m * packed * columns,
        "packed_left": m * (k % _PRODUCTS) * columns,
        "weights": packed * n * _jobs(m, n * k),
        "jobs": _jobs(m, n * k),
        "patch_bytes": m * k * expands,
        "patch_taps": m * c.area * expands,
        "scaled_16": m * (n // 16),
        "scaled_4": m * (n % 16 // 4),
        "scaled_1": m * (n % 4),
        "output": m,
    }


def _jobs(outputs: IntArray, weights: IntArray) -> IntArray:
    """Parts of the outputs of a quantised convolution, each of which lays out the weights anew.

    After `ComputeOutputStride` in onnxruntime/core/providers/cpu/quantization/qlinearconv.cc: of 16 outputs or the
    multiple that makes 64 Ki products, but at most 5 parts a thread, of which there is one.
    """
    stride = _up(-(-65536 // weights), _JOB_ROWS)
    few = _up(-(-outputs // _JOBS), _JOB_ROWS)
    return -(-outputs // np.where(-(-outputs // stride) > _JOBS, few, stride))


def q_depthwise(c: Convolutions, block: int) -> Work:
    """8 bits, channels last: every output goes over its taps through pointers, 16 channels at a time."""
    del block
    m, taps = c.outputs, c.outputs * c.area
    n = c.channels
    return {
        "call": np.ones(len(n)),
        "taps_16": taps * (n // 16),
        "taps_8": taps * (n % 16 // 8),
        "taps_1": taps * (n % 8),
        "pointers": taps,
        "tail": taps * (n % 16 > 0),
        "sums_16": m * (n // 16),
        "scaled_4": m * (n % 16 // 4),
        "scaled_1": m * (n % 4),
        "row": m,
        "weight_bytes": c.weight_bytes,
    }

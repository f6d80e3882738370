"""Search for the output block: height, width and depth of what is computed before the next piece is fetched.

A block must fit the shared memory of a core twice, input and accumulators; among those that fit the compiler takes the
one that fetches the fewest inputs and weights an output element. The rules are those of the C++ core of ethos-u-vela
5.2.0 (``ArchEthosU55::FindBlockConfig``, read for facts), with its order of candidates and of operations in single
precision, because ties between blocks are frequent, and rounding decides which of them wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.block.npu import (
    BANK_BYTES,
    DEPTH_STEP,
    LARGEST_BLOCK,
    OUTPUT_BANKS,
    SUBKERNEL,
    EthosU,
)
from hannah_hw.cost.block.operations import BoolArray, IntArray, Operations, ceil_div, round_up

FloatArray = NDArray[np.float32]

#: Operations searched at once; memory is this times a few hundred to thousand blocks.
_CHUNK = 512


@dataclass(frozen=True)
class Blocks:
    """Chosen blocks of N operations.

    Attributes:
        ofm: (N, 3) height, width, depth.
        ifm: (N, 3) height, width, depth of the input that feeds it.
        part_kernel: (N,) whether a core goes through the window before it goes through the input channels.
        wide_accumulators: (N,) whether accumulators have 40 bits.
        found: (N,) whether any block fits.
    """

    ofm: IntArray
    ifm: IntArray
    part_kernel: BoolArray
    wide_accumulators: BoolArray
    found: BoolArray

    def at(self, places: IntArray) -> Blocks:
        """Some of the blocks, by position."""
        return Blocks(
            self.ofm[places],
            self.ifm[places],
            self.part_kernel[places],
            self.wide_accumulators[places],
            self.found[places],
        )


def find_blocks(operations: Operations, npu: EthosU) -> Blocks:
    """The block of each operation.

    Args:
        operations: N operations.
        npu: The processor.
    """
    parts = [
        _find(operations.at(slice(begin, begin + _CHUNK)), npu) for begin in range(0, len(operations), _CHUNK)
    ]
    if not parts:
        none = np.zeros((0, 3), np.int64)
        flags = np.zeros(0, np.bool_)
        return Blocks(none, none, flags, flags, flags)
    return Blocks(
        np.concatenate([part.ofm for part in parts]),
        np.concatenate([part.ifm for part in parts]),
        np.concatenate([part.part_kernel for part in parts]),
        np.concatenate([part.wide_accumulators for part in parts]),
        np.concatenate([part.found for part in parts]),
    )


def kernel_first(operations: Operations) -> BoolArray:
    """(N,) whether a convolution goes through the window before the channels: where that wastes fewer multipliers."""
    depth = operations["ifm_c"]
    window = operations["kernel_h"] * operations["kernel_w"]
    wide = operations["ifm_bits"] == 16
    deep = depth / round_up(depth, np.where(wide, 16, 32))
    part = depth / round_up(depth, 8) * (window / round_up(window, np.where(wide, 2, 4)))
    chosen: BoolArray = operations.is_unit("conv") & ((depth <= 8) | (part >= deep))
    return chosen


@lru_cache(maxsize=16)
def _candidates(npu: EthosU, accumulating: bool) -> IntArray:
    """(L, 3) blocks in the compiler's order: depth, then height, then width.

    Those that no operation of the kind could hold are left out: accumulators of 32 bits, or inputs of 8 bits.
    """
    height, width, depth = npu.ofm_ublock
    heights = np.arange(height, LARGEST_BLOCK[0] + 1, height)
    widths = np.arange(width, LARGEST_BLOCK[1] + 1, width)
    depths = np.arange(depth, LARGEST_BLOCK[2] + 1, depth)
    d, h, w = (axis.ravel() for axis in np.meshgrid(depths, heights, widths, indexing="ij"))
    element = 8 if accumulating else 2
    room = (npu.banks - npu.end_banks - OUTPUT_BANKS) * BANK_BYTES
    # The block of a one-row output takes one row, also where microblocks have two.
    keep = np.where(h == height, 1, h) * w * round_up(d, 8) * element <= room
    table: IntArray = np.stack([h[keep], w[keep], d[keep]], axis=1).astype(np.int64)
    table.flags.writeable = False
    return table


def _find(operations: Operations, npu: EthosU) -> Blocks:
    elementwise = operations.is_unit("elementwise")
    ofm = np.zeros((len(operations), 3), np.int64)
    ifm = np.zeros((len(operations), 3), np.int64)
    found = np.zeros(len(operations), np.bool_)
    part_kernel = kernel_first(operations)
    pooling = operations.is_unit("pool")
    wide = (operations["ifm_bits"] == 16) & ~pooling
    for group, accumulating in ((~elementwise, True), (elementwise, False)):
        places = np.flatnonzero(group)
        if len(places):
            chosen = _search(operations.at(places), npu, part_kernel[places], wide[places], accumulating)
            ofm[places], ifm[places], found[places] = chosen
    return Blocks(ofm, ifm, part_kernel, wide, found)


def _column(values: IntArray) -> IntArray:
    return values[:, None]


def _search(
    operations: Operations, npu: EthosU, part_kernel: BoolArray, wide: BoolArray, accumulating: bool
) -> tuple[IntArray, IntArray, BoolArray]:
    """Blocks of operations that all accumulate or all do not: output (n, 3), input (n, 3), found (n,)."""
    table = _candidates(npu, accumulating)
    ublock = np.array(npu.ofm_ublock)
    sizes = np.stack([operations["ofm_h"], operations["ofm_w"], operations["ofm_c"]], axis=1)
    space = round_up(np.minimum(sizes, LARGEST_BLOCK), ublock)
    reach = (table <= space.max(axis=0)).all(axis=1)
    table = table[reach]
    height, width, depth = (table[None, :, axis] for axis in range(3))
    last = _column(space[:, 2])
    step = np.where(depth % DEPTH_STEP == 0, True, depth == last)
    # A depth that is no multiple of 16 is tried only if one step from a multiple reaches it.
    step &= (depth % DEPTH_STEP == 0) | (last < DEPTH_STEP) | ((depth - ublock[2]) % DEPTH_STEP == 0)
    tried = step & (depth <= last) & (depth >= np.minimum(DEPTH_STEP, last))
    tried &= (height <= _column(space[:, 0])) & (width <= _column(space[:, 1]))

    ifm_h = _needed(height, operations, "h", npu.ofm_ublock[0])
    ifm_w = _needed(width, operations, "w", npu.ofm_ublock[1])
    bits = operations["ifm_bits"]
    equal_depth = ~operations.is_unit("conv", "fc", "reduce", "copy")
    deepest = np.where(bits == 16, 16, np.where(part_kernel, 16, 32))
    fetched = round_up(
        np.minimum(_deepest_operand(operations), deepest), np.where(bits == 16, 4, npu.ifm_ublock_depth)
    )
    ifm_d = np.where(_column(equal_depth.astype(np.int64)) == 1, depth, _column(fetched))
    flat = (operations["ofm_h"] == 1) & (operations["kernel_h"] == 1) & (npu.ofm_ublock[0] == 2)
    rows = np.where(_column(flat.astype(np.int64)) == 1, np.minimum(height, 1), height)

    fits = tried & _fits(operations, npu, (rows, width, depth), (ifm_h, ifm_w, ifm_d), wide, accumulating)
    cost = _cost(operations, (height, rows, width, depth), (ifm_h, ifm_w, ifm_d), equal_depth, accumulating)
    cost = np.where(fits, cost, np.float32(np.inf))
    best = cost.argmin(axis=1)
    every = np.arange(len(operations))
    lowest = cost[every, best]
    found = np.isfinite(lowest)
    ifm_area = _column(np.minimum(_larger(operations, "h") * _larger(operations, "w"), 1 << 40))
    covered = np.maximum(
        np.minimum(ifm_h, _column(_larger(operations, "h")))
        * np.minimum(ifm_w, _column(_larger(operations, "w"))),
        1,
    )
    # Among equals, small blocks that cover more of the input win, the last of them.
    coverage = ifm_area.astype(np.float32) / covered.astype(np.float32)
    rival = (cost == lowest[:, None]) & (height <= 4) & (width <= 4)
    rival &= np.arange(len(table))[None, :] > best[:, None]
    coverage = np.where(rival, coverage, np.float32(np.inf))
    smallest = coverage.min(axis=1)
    final = len(table) - 1 - (coverage == smallest[:, None])[:, ::-1].argmax(axis=1)
    best = np.where(np.isfinite(smallest), final, best)
    inputs = np.stack(
        [np.broadcast_to(size, cost.shape)[every, best] for size in (ifm_h, ifm_w, ifm_d)], axis=1
    )
    return table[best], inputs, found


def _larger(operations: Operations, axis: str) -> IntArray:
    """Extent of the operand with more elements."""
    second = operations.ifm2_elements > operations.ifm_elements
    return np.where(second, operations[f"ifm2_{axis}"], operations[f"ifm_{axis}"])


def _deepest_operand(operations: Operations) -> IntArray:
    return _larger(operations, "c")


def _needed(size: IntArray, operations: Operations, axis: str, granule: int) -> IntArray:
    """(n, L) input rows or columns that an output block of some size reads, in whole microblocks."""
    window = operations[f"kernel_{axis}"]
    dilated = (window - 1) * operations[f"dilation_{axis}"] + 1
    border = np.minimum(dilated, SUBKERNEL) + operations["nearest"]
    extent = (size - 1) * _column(operations[f"stride_{axis}"]) + _column(border)
    return round_up(ceil_div(extent, _column(operations["upscale"])), granule)


def _granules(pairs: tuple[tuple[int, int], ...], bits: IntArray) -> IntArray:
    found = np.zeros(len(bits), np.int64)
    for width, banks in pairs:
        found[bits == width] = banks
    return found


def _fits(
    operations: Operations,
    npu: EthosU,
    block: tuple[IntArray, IntArray, IntArray],
    source: tuple[IntArray, IntArray, IntArray],
    wide: BoolArray,
    accumulating: bool,
) -> BoolArray:
    """(n, L) whether two input blocks and two blocks of accumulators fit beside output and tables."""
    bits = operations["ifm_bits"]
    rows, width, depth = block
    ifm_h, ifm_w, ifm_d = source
    ifm_bytes = ifm_h * ifm_w * round_up(ifm_d * _column(bits // 8), 8)
    granule = _column(_granules(npu.ifm_granules, bits))
    ifm_banks = round_up(ceil_div(ifm_bytes, BANK_BYTES) * 2, granule)
    tables = np.where(operations["table"] > 0, np.maximum(2, npu.end_banks), npu.end_banks)
    room = _column(npu.banks - tables - OUTPUT_BANKS)
    if not accumulating:
        scalar = (operations.ifm_elements == 1) | (operations.ifm2_elements == 1)
        twice = np.where(scalar & (bits <= 16), 1, 2)
        fits: BoolArray = ifm_banks * _column(twice) <= room
        return fits
    element = np.where(wide, 40, 32)
    bytes_ = rows * width * round_up(depth, 8) * _column(element) // 8
    banks = round_up(ceil_div(bytes_, BANK_BYTES) * 2, _column(_granules(npu.accumulator_granules, element)))
    held: BoolArray = ifm_banks + banks <= room
    return held


def _cost(
    operations: Operations,
    block: tuple[IntArray, IntArray, IntArray, IntArray],
    source: tuple[IntArray, IntArray, IntArray],
    equal_depth: BoolArray,
    accumulating: bool,
) -> FloatArray:
    """(n, L) what the compiler minimises: elements fetched an output element."""
    height, rows, width, depth = block
    ifm_h, ifm_w, ifm_d = source
    elements = _single(_column(operations.ofm_elements))
    if accumulating:
        ofm_h, ofm_w, ofm_c = (_column(operations[name]) for name in ("ofm_h", "ofm_w", "ofm_c"))
        blocks_h, blocks_w, blocks_d = (
            _single(size) / _single(step) for size, step in ((ofm_h, rows), (ofm_w, width), (ofm_c, depth))
        )
        deep = _column(operations["ifm_c"])
        weighted = operations.is_unit("conv", "depthwise")
        window = np.where(weighted, operations["kernel_h"] * operations["kernel_w"], 0)
        whole = ceil_div(ofm_h, rows) * ceil_div(ofm_w, width)
        weights = _single(_column(window) * deep * whole)
        depthwise = _column(operations.is_unit("depthwise").astype(np.int64)) == 1
        weights = np.where(depthwise, weights, weights * (blocks_d * _single(depth)))
        dilated_h, dilated_w = (
            (operations[f"kernel_{axis}"] - 1) * operations[f"dilation_{axis}"] + 1 for axis in "hw"
        )
        repeats = ceil_div(dilated_h, SUBKERNEL) * ceil_div(dilated_w, SUBKERNEL)
        inputs = _single(ifm_h * ifm_w * deep * _column(repeats)) * blocks_w * blocks_h
        again = _single(ceil_div(ofm_c, depth))
        inputs = np.where(_column(equal_depth.astype(np.int64)) == 1, inputs, inputs * again)
        cost = (inputs + weights) / elements
    else:
        cost = elements / _single(height * width * depth)
    larger = np.maximum(operations.ifm_elements, operations.ifm2_elements)
    whole_input = _column(larger) < ifm_h * ifm_w * ifm_d * 2
    halved: FloatArray = np.where(whole_input, cost / np.float32(2), cost)
    return halved


def _single(values: IntArray) -> FloatArray:
    return values.astype(np.float32)

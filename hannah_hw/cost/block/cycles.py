"""Cycles of the processor for an operation, memories apart: the array, the output stage and the fetching of blocks.

Formulas: ``EthosU55Performance`` of the C++ core of ethos-u-vela 5.2.0 (published source, read for facts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.block.blocks import Blocks
from hannah_hw.cost.block.npu import BRICK, SCALE_BYTES, SUBKERNEL, EthosU, Memory
from hannah_hw.cost.block.operations import BoolArray, IntArray, Operations, ceil_div, round_up

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class UnitCycles:
    """Cycles of N operations.

    Attributes:
        total: (N,) what the operation takes when no memory holds it up.
        array: (N,) of them, those of the multiplying array; 0 of elementwise operations.
        output: (N,) those of the output stage.
    """

    total: IntArray
    array: IntArray
    output: IntArray


@dataclass(frozen=True)
class Scheduling:
    """Where N slices of operations stand: the first reads a block before it begins, the last writes one at its end.

    Attributes:
        first: (N,).
        last: (N,).
    """

    first: BoolArray
    last: BoolArray

    @classmethod
    def of(cls, count: int, first: bool = True, last: bool = True) -> Scheduling:
        """The same place for all."""
        return cls(np.full(count, first), np.full(count, last))

    def at(self, places: IntArray) -> Scheduling:
        """Some of them."""
        return Scheduling(self.first[places], self.last[places])


def unit_cycles(
    operations: Operations, blocks: Blocks, npu: EthosU, scheduling: Scheduling | None = None
) -> UnitCycles:
    """Cycles of operations in their blocks.

    Args:
        operations: N operations; a ``copy`` takes none here, its memories set its time.
        blocks: Their blocks.
        npu: The processor.
        scheduling: Which slice of the channels of an operation each is; None: all are whole.
    """
    if scheduling is None:
        scheduling = Scheduling.of(len(operations))
    total = np.zeros(len(operations), np.int64)
    array = np.zeros(len(operations), np.int64)
    output = np.zeros(len(operations), np.int64)
    accumulating = operations.is_unit("conv", "depthwise", "fc", "pool", "reduce")
    places = np.flatnonzero(accumulating)
    if len(places):
        total[places], array[places], output[places] = _array_cycles(
            operations.at(places), blocks.at(places), npu, scheduling.at(places)
        )
    places = np.flatnonzero(operations.is_unit("elementwise"))
    if len(places):
        total[places], output[places] = _vector_cycles(operations.at(places), blocks.at(places), npu)
    return UnitCycles(total, array, output)


def _whole(values: NDArray[np.floating[Any]]) -> IntArray:
    return values.astype(np.int64)


def per_element(operations: Operations, wide: BoolArray, npu: EthosU) -> FloatArray:
    """(N,) cycles an output element that the output stage needs: the slower of operation and activation."""
    rows = np.array(npu.output_cycles)[operations["output"]]
    rows = np.where(wide & ~operations.is_unit("elementwise"), npu.output_cycles[3], rows)
    activations = np.array(npu.activation_cycles)[operations["activation"]]
    slower: FloatArray = np.maximum(rows, activations)
    return slower


def _array_cycles(
    operations: Operations, blocks: Blocks, npu: EthosU, scheduling: Scheduling
) -> tuple[IntArray, IntArray, IntArray]:
    """Total cycles (N,), those of the array (N,) and of the output stage (N,)."""
    sizes = np.stack([operations["ofm_h"], operations["ofm_w"], operations["ofm_c"]], axis=1)
    sources = np.stack([operations["ifm_h"], operations["ifm_w"], operations["ifm_c"]], axis=1)
    ofm = np.minimum(blocks.ofm, sizes)
    ifm = np.minimum(blocks.ifm, sources)
    ublock = np.tile(np.array(npu.ofm_ublock), (len(operations), 1))
    # A one-row output of even width is computed in microblocks of one row and four columns.
    flat = operations.is_unit("conv", "fc") & (sizes[:, 0] == 1) & (sizes[:, 1] % 2 == 0)
    flat &= (operations["kernel_h"] == 1) & (npu.ofm_ublock[0] == 2)
    ublock[flat, :2] = (1, 4)
    ofm[flat, 0] = 1
    counts = ceil_div(ofm, ublock)
    block = _block_cycles(operations, blocks, counts, ifm, npu)
    deep = operations.is_unit("conv", "fc", "reduce")
    block = np.where(deep, block * ceil_div(operations["ifm_c"], np.maximum(ifm[:, 2], 1)), block)
    block = block // npu.cores

    # Blocks at the edge count by the microblocks in them.
    many = ceil_div(sizes, ublock).prod(axis=1) / counts.prod(axis=1)
    out = np.ceil(per_element(operations, blocks.wide_accumulators, npu) * ofm.prod(axis=1))
    latency = np.where(
        operations["weights_on_chip"] > 0, npu.staging.read_latency, npu.constants.read_latency
    )
    bias = SCALE_BYTES * ofm[:, 2] * latency / 256
    out = np.where(operations["scales"] > 0, np.maximum(out, bias), out)
    read, written = block_transfer_cycles(operations, blocks, npu)
    issue = (np.where(many > 1, abs(written - read), 0) + block + out) / 4
    array = np.maximum(block, issue)
    output = np.maximum(out, issue)
    # Blocks follow each other at the pace of the slower stage; the first is read and the last is written besides.
    total = np.where(
        array > output,
        np.floor(array * many) + np.where(scheduling.last, output, 0),
        np.floor(output * many + array),
    )
    total = np.floor(total) + np.where(scheduling.first, read, 0) + np.where(scheduling.last, written, 0)
    return _whole(total), _whole(block * many), _whole(out * many)


def _block_cycles(
    operations: Operations, blocks: Blocks, counts: IntArray, ifm: IntArray, npu: EthosU
) -> IntArray:
    """(N,) cycles of the array for one block and one slice of input channels.

    Windows larger than 8 x 8 are computed in parts. Each part takes as many steps as it has elements, a quarter of them
    where four elements go through the array at once, and fills the pipeline again.
    """
    area = counts[:, 0] * counts[:, 1]
    depth = counts[:, 2]
    bits = operations["ifm_bits"]
    weights_cycles = 32 * npu.ofm_ublock[2] // 8
    pixel = np.maximum(weights_cycles, 4 * area)
    pool, depthwise = operations.is_unit("pool"), operations.is_unit("depthwise")
    part = blocks.part_kernel
    slices = np.where(part, ceil_div(ifm[:, 2], 8), 1)
    # Fully connected layers have windows of one element whatever the weights' shape.
    limit = np.where(operations.is_unit("fc"), 1, SUBKERNEL)
    total = np.zeros(len(operations), np.int64)
    for row in range(int(ceil_div(operations["kernel_h"], limit).max(initial=0))):
        rows = np.clip(operations["kernel_h"] - row * limit, 0, limit)
        for column in range(int(ceil_div(operations["kernel_w"], limit).max(initial=0))):
            window = rows * np.clip(operations["kernel_w"] - column * limit, 0, limit)
            at_once = np.where(depthwise, 4, np.where(part, np.where(bits == 16, 2, 4), 1))
            steps = np.where(pool, 1, ceil_div(window, at_once))
            pooled = np.maximum(4, window) * area * depth * (1 if npu.small else bits // 2)
            channels = np.maximum(weights_cycles, 4 * area * (bits // 8)) * steps * depth
            cycles = np.where(pool, pooled, np.where(depthwise, channels, pixel * steps * depth * slices))
            delay = _delay(counts, steps, blocks.wide_accumulators, npu)
            total += np.where(window > 0, cycles + np.where(part, delay * slices, delay), 0)
    return total


def _delay(counts: IntArray, steps: IntArray, wide: BoolArray, npu: EthosU) -> IntArray:
    """(N,) cycles that the pipeline waits where a block has one microblock a layer of channels."""
    depth = counts[:, 2]
    delay = np.where(wide, 7, 3) if npu.small else np.where(wide & (npu.macs <= 128), 3, 2)
    single = counts[:, 0] * counts[:, 1] == 1
    waits = np.where(depth == 1, delay * steps, np.where(steps > 1, delay * (steps - 1) * depth, 0))
    waits = np.where(single, waits, 0)
    if npu.small:
        narrow = ((counts[:, 1] == 1) | (counts[:, 0] == 1)) & (depth > 1) & wide
        waits = waits + np.where(narrow, delay * depth, 0)
    result: IntArray = waits
    return result


def _vector_cycles(operations: Operations, blocks: Blocks, npu: EthosU) -> tuple[IntArray, IntArray]:
    """Total cycles (N,) and those of the output stage (N,)."""
    depth = np.where(operations["ofm_linear"] > 0, operations["ofm_c"], round_up(operations["ofm_c"], BRICK))
    elements = operations["ofm_h"] * operations["ofm_w"] * depth
    rate = per_element(operations, blocks.wide_accumulators, npu)
    read, stored = block_transfer_cycles(operations, blocks, npu)
    volume = np.maximum(blocks.ofm.prod(axis=1), 1)
    issued = np.ceil((np.maximum(read, stored) / volume + rate) / 4 * elements)
    written = np.ceil(rate * elements)
    return _whole(np.maximum(issued, written)), _whole(written)


def block_transfer_cycles(operations: Operations, blocks: Blocks, npu: EthosU) -> tuple[IntArray, IntArray]:
    """(N,) cycles to read a block of the input, and (N,) to write one of the output, latencies included."""
    bits = operations["ifm_bits"]
    names = (("ifm_h", "ifm_w", "ifm_c"), ("ifm2_h", "ifm2_w", "ifm2_c"))
    slowest = np.zeros(len(operations), np.int64)
    for number, axes in enumerate(names):
        shape = np.stack([operations[name] for name in axes], axis=1)
        bytes_ = np.minimum(shape, blocks.ifm).prod(axis=1) * bits // 8
        cycles = np.zeros(len(operations), np.int64)
        for chip, memory in enumerate((npu.feature_maps, npu.staging)):
            moved = transferred(
                bytes_, blocks.ifm, shape, bits, operations["ifm_linear"] > 0, memory, npu.cores, True
            )
            here = memory.read_latency + _cycles_of(moved, memory)
            cycles = np.where(operations["ifm_on_chip"] == chip, here, cycles)
        present = operations.binary if number else np.ones(len(operations), np.bool_)
        slowest = np.where(present, np.maximum(slowest, cycles), slowest)
    shape = np.stack([operations["ofm_h"], operations["ofm_w"], operations["ofm_c"]], axis=1)
    bytes_ = np.minimum(shape, blocks.ofm).prod(axis=1) * operations["ofm_bits"] // 8
    written = np.zeros(len(operations), np.int64)
    for chip, memory in enumerate((npu.feature_maps, npu.staging)):
        linear = operations["ofm_linear"] > 0
        moved = transferred(
            bytes_, blocks.ofm, shape, operations["ofm_bits"], linear, memory, npu.cores, False
        )
        here = memory.write_latency + _cycles_of(moved, memory)
        written = np.where(operations["ofm_on_chip"] == chip, here, written)
    return slowest, written


def _cycles_of(bytes_: IntArray, memory: Memory) -> IntArray:
    return _whole(bytes_.astype(np.float32) / np.float32(memory.bytes_per_cycle))


def transferred(
    amount: IntArray,
    block: IntArray,
    shape: IntArray,
    bits: IntArray,
    linear: BoolArray,
    memory: Memory,
    cores: int,
    reading: bool,
) -> IntArray:
    """(N,) bytes that a memory is busy with for some amount, counting bursts that are cut short as whole ones.

    Args:
        amount: (N,) bytes or elements wanted.
        block: (N, 3) block: height, width, depth.
        shape: (N, 3) tensor: height, width, depth.
        bits: (N,) of an element.
        linear: (N,) whether the tensor is stored row by row.
        memory: Where it lies.
        cores: Of the processor.
        reading: Reading rather than writing.
    """
    width, depth = block[:, 1], block[:, 2]
    whole = bits * width * depth
    brick = np.where(
        shape[:, 1] * bits * BRICK // 8 == depth,
        whole,
        BRICK * bits * width * (1 if reading else cores),
    )
    matching = shape[:, 2] * bits // 8 == depth
    if reading:
        row = np.where(matching, whole, bits * depth)
    else:
        cut = np.minimum(np.minimum(64 * 8, BRICK * bits * cores), depth * bits)
        row = np.where((depth <= BRICK) & matching, whole, cut)
    burst = np.minimum(memory.burst_bytes, np.where(linear, row, brick) // 8)
    moved: IntArray = amount * memory.burst_bytes // np.maximum(burst, 1)
    return moved

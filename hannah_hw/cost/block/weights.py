"""Whether weights are copied on chip before they are read.

Where constants lie in a slower memory, an operation may read its weights through buffers in the staging memory, in
slices of output channels (`hannah_hw.cost.block.slices`), the first of them while the operation before it runs. Rules:
the C++ core of ethos-u-vela 5.2.0 (``Scheduler::ProposeSlicedWeightBuffering``, read for facts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hannah_hw.cost.block.blocks import Blocks
from hannah_hw.cost.block.cycles import unit_cycles
from hannah_hw.cost.block.encoding import Encoding, FloatArray, encoded_bytes
from hannah_hw.cost.block.npu import DEPTH_STEP, EthosU, Memory
from hannah_hw.cost.block.operations import BoolArray, IntArray, Operations, ceil_div, round_up
from hannah_hw.cost.block.slices import channel_slices, copy_cycles, sliced_cycles

#: Cycles that may be lost at the start of an operation before buffering counts as slower.
_STARTUP: Final = 1000

#: Bytes of buffers where the staging memory has no bound.
_UNLIMITED: Final = 1 << 30


@dataclass(frozen=True)
class WeightPlan:
    """How N operations get their weights.

    Attributes:
        bytes: (N,) encoded weights and scales.
        scale_bytes: (N,) of them, scales.
        buffered: (N,) whether they are copied on chip first.
        buffer_bytes: (N,) on-chip bytes of the buffers, 0 without.
        first_bytes: (N,) bytes of the first copy.
        transfer: (N,) cycles to copy all of them.
        last_slice: (N,) cycles of the last slice of channels, under which the next operation's weights can come.
        early: (N,) whether the first copy runs under the operation before.
        early_bytes: (N,) on-chip bytes of the buffer that it fills, live while that operation ends.
        late_bytes: (N,) of the buffer that the last slice is read from, live until the operation ends.
    """

    bytes: IntArray
    scale_bytes: IntArray
    buffered: BoolArray
    buffer_bytes: IntArray
    first_bytes: IntArray
    transfer: IntArray
    last_slice: IntArray
    early: BoolArray
    early_bytes: IntArray
    late_bytes: IntArray


def _read_cycles(bytes_: IntArray | FloatArray, memory: Memory) -> IntArray:
    cycles: IntArray = np.floor(bytes_ / memory.bytes_per_cycle + memory.read_latency).astype(np.int64)
    return cycles


def plan_weights(
    operations: Operations,
    blocks: Blocks,
    npu: EthosU,
    encoding: Encoding,
    refetches: IntArray,
    ifm_bytes: IntArray,
    slack: IntArray,
    first: BoolArray,
) -> WeightPlan:
    """Whether and how each operation's weights are copied on chip.

    Args:
        operations: N operations; those without weights get an empty plan.
        blocks: Their blocks.
        npu: The processor.
        encoding: Assumed compression.
        refetches: (N,) how many times all weights are read.
        ifm_bytes: (N,) input bytes read, as `feature_map_traffic` counts them but without bursts.
        slack: (N,) cycles of the operation before, under which a copy costs nothing.
        first: (N,) whether no operation is before.
    """
    count = len(operations)
    if npu.spills:
        # The schedule is made before activations are staged.
        outside = np.zeros(count, np.int64)
        operations = operations.replaced(ifm_on_chip=outside, ofm_on_chip=outside)
    weighted = operations.is_unit("conv", "depthwise", "fc")
    depth = operations["ofm_c"]
    weights, scales = encoded_bytes(operations, blocks.part_kernel, npu, encoding, depth)
    weights, scales = np.where(weighted, weights, 0), np.where(weighted, scales, 0)
    full = weights + scales
    whole = unit_cycles(operations, blocks, npu).total
    none = WeightPlan(
        full,
        scales,
        np.zeros(count, np.bool_),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        whole,
        np.zeros(count, np.bool_),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
    )
    if not npu.copies_weights or not weighted.any():
        return none
    places = np.flatnonzero(weighted & (operations["weights_on_chip"] == 0))
    if not len(places):
        return none
    chosen = _plan(
        operations.at(places),
        blocks.at(places),
        npu,
        encoding,
        refetches[places],
        ifm_bytes[places],
        slack[places],
        first[places],
        full[places],
        whole[places],
    )
    buffered, buffer_bytes, begins, ends, first_bytes, last = chosen
    for target, values in (
        (none.buffered, buffered),
        (none.buffer_bytes, np.where(buffered, buffer_bytes, 0)),
        (none.first_bytes, np.where(buffered, first_bytes, 0)),
        (none.transfer, copy_cycles(full[places], npu)),
        (none.last_slice, np.where(buffered, last, whole[places])),
        (none.early, buffered & ~first[places]),
        (none.early_bytes, np.where(buffered & ~first[places], begins, 0)),
        (none.late_bytes, np.where(buffered, ends, 0)),
    ):
        target[places] = values
    return none


def _plan(
    operations: Operations,
    blocks: Blocks,
    npu: EthosU,
    encoding: Encoding,
    refetches: IntArray,
    ifm_bytes: IntArray,
    slack: IntArray,
    first: BoolArray,
    full: IntArray,
    whole: IntArray,
) -> tuple[BoolArray, IntArray, IntArray, IntArray, IntArray, IntArray]:
    """Whether buffered; bytes of both buffers, of the first, the last slice's, of the first copy; cycles of that."""
    depth = operations["ofm_c"]
    transfer = copy_cycles(full, npu)
    unmoved = _read_cycles(full, npu.constants) * refetches
    moved = _read_cycles(full, npu.staging) * refetches
    limit = (
        np.full(len(depth), _UNLIMITED)
        if npu.staging_bytes is None
        else npu.staging_bytes - operations["reserved_bytes"]
    )
    limit = np.maximum(limit, 0)
    least = transfer * (np.minimum(depth, DEPTH_STEP) / depth)
    forced = first & (refetches > 1) & ((least < unmoved // 10) | (least <= _STARTUP))
    dominated = whole > unmoved
    seen = moved + np.maximum(transfer - slack, 0)
    worth = forced | (seen < unmoved) | (depth // blocks.ofm[:, 2] > 2)
    worth |= ~first & (least.astype(np.int64) < slack) & (refetches > 1)
    worth &= moved < unmoved

    before, step = channel_slices(operations, blocks, npu, transfer, slack, dominated, full, limit)
    middle = np.maximum(depth - before, 0)
    count = np.where(middle > 0, 1 + ceil_div(middle, np.maximum(step, 1)), 1)
    tail = np.where(middle > 0, middle - (count - 2) * step, 0)
    shallow = (count > 2) & (step / round_up(np.maximum(step, 1), blocks.ofm[:, 2]) < 0.3) & dominated

    parts = (before, step, tail)
    ranges = [np.where(part > 0, _size(operations, blocks, npu, encoding, part), 0) for part in parts]
    # Slices go to two buffers in turn.
    odd = np.where(count > 2, ranges[1], ranges[2])
    even = np.where(count > 3, np.maximum(ranges[0], ranges[1]), ranges[0])
    even = np.where(count == 3, np.maximum(ranges[0], ranges[2]), even)
    largest = np.maximum(ranges[0], np.maximum(np.where(count > 2, ranges[1], 0), ranges[2]))
    double = (count > 1) & (even + odd <= limit)
    buffer_bytes = np.where(double, even + odd, largest)
    fits = buffer_bytes <= limit

    usable = np.where(first, np.where(forced, _STARTUP, 0), slack)
    run, visible, last = sliced_cycles(operations, blocks, npu, parts, ranges, count, usable, double)
    through = ranges[0] + np.maximum(count - 2, 0) * ranges[1] + ranges[2]
    fetches = refetches * count
    new_weights = _read_cycles(through * refetches // fetches, npu.staging) * fetches
    old_weights = unmoved
    # Inputs of the network stay where they are; others may be staged.
    inputs = np.where(first, _read_cycles(ifm_bytes, npu.feature_maps), _read_cycles(ifm_bytes, npu.staging))
    old = np.maximum(np.maximum(whole, old_weights), inputs)
    new = np.maximum(np.maximum(run + visible, new_weights), inputs)
    slow = run + visible == new
    noise = dominated & (visible // count < _STARTUP)
    new = np.where(noise, new - visible, new)
    new = np.where(dominated & (count > 1) & slow & forced, new - count * (_STARTUP // 2), new)
    better = (old >= new) & ~((refetches == 1) & (transfer + new_weights > old))
    buffered = worth & ~shallow & fits & better
    begins = np.where(double, even, largest)
    ends = np.where(double, np.where(count % 2 == 1, even, odd), largest)
    return buffered, buffer_bytes, begins, ends, ranges[0], last


def _size(
    operations: Operations, blocks: Blocks, npu: EthosU, encoding: Encoding, channels: IntArray
) -> IntArray:
    """(n,) bytes of the encoded weights and scales of some output channels."""
    weights, scales = encoded_bytes(operations, blocks.part_kernel, npu, encoding, channels)
    return weights + scales

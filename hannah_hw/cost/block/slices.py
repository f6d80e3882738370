"""Weights in slices of output channels: how large they are, and the cycles of reading one after the other.

A slice is copied to a buffer in the staging memory while the slice before it runs. Rules: the C++ core of ethos-u-vela
5.2.0 (``Scheduler::ProposeSlicedWeightBuffering``, read for facts).
"""

from __future__ import annotations

import numpy as np

from hannah_hw.cost.block.blocks import Blocks
from hannah_hw.cost.block.cycles import Scheduling, unit_cycles
from hannah_hw.cost.block.npu import DEPTH_STEP, EthosU
from hannah_hw.cost.block.operations import BoolArray, IntArray, Operations, round_up


def copy_cycles(bytes_: IntArray, npu: EthosU) -> IntArray:
    """(N,) cycles to copy bytes from the memory of constants to the staging memory."""
    source, destination = npu.constants, npu.staging
    out = np.floor(bytes_ / source.bytes_per_cycle) + source.read_latency
    into = np.floor(bytes_ / destination.bytes_per_cycle) + source.write_latency
    cycles: IntArray = np.maximum(out, into).astype(np.int64)
    return cycles


def channel_slices(
    operations: Operations,
    blocks: Blocks,
    npu: EthosU,
    transfer: IntArray,
    slack: IntArray,
    dominated: BoolArray,
    full: IntArray,
    limit: IntArray,
) -> tuple[IntArray, IntArray]:
    """(n,) channels of the first slice and (n,) of those that follow; all channels and 0 without slices."""
    depth = operations["ofm_c"]
    least = np.minimum(DEPTH_STEP / depth, 1.0)
    half = np.minimum((limit // 2) / np.maximum(full, 1), 1.0)
    ratio = np.minimum(slack / transfer, 1.0)
    aligned = np.floor(ratio / least) * least
    ratio = np.where(1 - aligned < least / 2, 1.0, ratio)
    halved = round_up(np.floor(depth * 0.5).astype(np.int64), DEPTH_STEP) / depth
    ratio = np.where(dominated & (ratio > 0.5) & (ratio < 1), np.clip(halved, 0.5, 1.0), ratio)
    ratio = np.minimum(np.maximum(ratio, least), half)
    granule = DEPTH_STEP
    before = np.where(
        ratio < 1, np.maximum((depth * ratio).astype(np.int64) // granule * granule, DEPTH_STEP), depth
    )
    before = np.minimum(before, depth)
    sliced = before < depth
    staged = operations.replaced(ofm_c=before, weights_on_chip=np.ones_like(depth))
    begun = unit_cycles(staged, blocks, npu, Scheduling.of(len(depth), first=True, last=False)).total
    step = (depth * begun) // transfer
    step = round_up(np.maximum(step, DEPTH_STEP), blocks.ofm[:, 2])
    bytes_ = (step / depth * full).astype(np.int64)
    step = np.where(bytes_ > limit // 2, (limit // 2 / np.maximum(full, 1) * depth).astype(np.int64), step)
    whole_blocks = np.where(step > blocks.ofm[:, 2], blocks.ofm[:, 2], granule)
    step = np.maximum(step // whole_blocks * whole_blocks, granule)
    return before, np.where(sliced, step, 0)


def sliced_cycles(
    operations: Operations,
    blocks: Blocks,
    npu: EthosU,
    parts: tuple[IntArray, IntArray, IntArray],
    ranges: list[IntArray],
    count: IntArray,
    slack: IntArray,
    double: BoolArray,
) -> tuple[IntArray, IntArray, IntArray]:
    """Cycles of all slices (n,), of copies that nothing hides (n,), and of the last slice (n,)."""
    before, step, tail = parts
    operations = operations.replaced(weights_on_chip=np.ones(len(count), np.int64))
    single = count == 1
    size = len(count)
    cycles = []
    for part, first, last in (
        (before, np.ones(size, np.bool_), single),
        (step, np.zeros(size, np.bool_), np.zeros(size, np.bool_)),
        (tail, np.zeros(size, np.bool_), np.ones(size, np.bool_)),
    ):
        sliced = operations.replaced(ofm_c=np.maximum(part, 1))
        total = unit_cycles(sliced, blocks, npu, Scheduling(first, last)).total
        cycles.append(np.where(part > 0, total, 0))
    between = np.maximum(count - 2, 0)
    run = cycles[0] + between * cycles[1] + np.where(single, 0, cycles[2])
    copies = [copy_cycles(part, npu) for part in ranges]
    visible = np.maximum(copies[0] - slack, 0)
    # A copy runs under the slice before it if there are two buffers.
    hidden = [np.where(double, part, 0) for part in cycles]
    visible += np.where(between > 0, np.maximum(copies[1] - hidden[0], 0), 0)
    visible += np.where(between > 1, (between - 1) * np.maximum(copies[1] - hidden[1], 0), 0)
    before_last = np.where(between > 0, hidden[1], hidden[0])
    visible += np.where(single, 0, np.maximum(copies[2] - before_last, 0))
    return run, visible, np.where(single, cycles[0], cycles[2])

"""Weights: how many bytes they take encoded, and whether they are copied on chip before they are read.

The compiler encodes weights (a Golomb-Rice code with runs of zeros), so their size depends on their values, which a
cost model of architectures does not know. `Encoding` states the assumption: bits of a weight. Zeros that pad weights to
the array cost what their share of all values is worth in bits. Where constants lie in a slower memory, an operation may
read its weights through buffers in the staging memory, in slices of output channels, the first of them while the
operation before it runs. Rules: the C++ core of ethos-u-vela 5.2.0 (``Scheduler::ProposeSlicedWeightBuffering``, read
for facts).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.block.blocks import Blocks
from hannah_hw.cost.block.cycles import Scheduling, unit_cycles
from hannah_hw.cost.block.npu import ALIGNMENT, DEPTH_STEP, SCALE_BYTES, SUBKERNEL, EthosU, Memory
from hannah_hw.cost.block.operations import BoolArray, IntArray, Operations, ceil_div, round_up

FloatArray = NDArray[np.float64]

#: Cycles that may be lost at the start of an operation before buffering counts as slower.
_STARTUP: Final = 1000

#: Bytes of buffers where the staging memory has no bound.
_UNLIMITED: Final = 1 << 30


#: Bits of weights that are all the same.
_UNIFORM_BITS: Final = 1.0

#: Share of zeros up to which weights that are normally distributed take 8 bits each, and bits of such a zero. Own
#: measurement: windows of 9, 25 and 49 elements, padded to 12, 28 and 52, encoded by ethos-u-vela 5.2.0.
_SOME_ZEROS: Final = 0.3
_ZERO_BITS: Final = 3.3

#: Standard deviation of normally distributed int8 weights, in steps -> bits of an encoded weight. Own measurement:
#: 147,456 weights of a convolution of 128 channels, encoded by ethos-u-vela 5.2.0.
_NORMAL_BITS: Final = (
    *(
        (6, 4.78),
        (8, 5.33),
        (10, 5.78),
        (12, 6.12),
        (14, 6.46),
        (16, 6.69),
        (18, 6.84),
        (20, 6.97),
        (22, 7.12),
    ),
    *(
        (24, 6.77),
        (28, 6.96),
        (32, 7.16),
        (36, 7.35),
        (40, 7.55),
        (43, 7.70),
        (46, 7.84),
        (50, 8.0),
        (127, 8.0),
    ),
)

#: Numbers of weights that share a scale, at which `normal_bits` is tabulated.
_COUNTS: Final = tuple(2**power for power in range(24))


@functools.cache
def _bits_by_count() -> FloatArray:
    """Bits of normally distributed weights, the largest of which is 127, by how many share a scale (`_COUNTS`)."""
    # The median of the largest of n magnitudes m has (2 Phi(m) - 1)^n = 1/2.
    largest = [NormalDist().inv_cdf((1 + 0.5 ** (1 / count)) / 2) for count in _COUNTS]
    deviations, bits = zip(*_NORMAL_BITS, strict=True)
    table: FloatArray = np.interp(127 / np.array(largest), deviations, bits)
    return table


def normal_bits(count: IntArray) -> FloatArray:
    """(N,) bits of an encoded weight where ``count`` (N,) normally distributed weights share a scale."""
    bits: FloatArray = np.interp(np.log2(np.maximum(count, 1)), np.arange(len(_COUNTS)), _bits_by_count())
    return bits


@dataclass(frozen=True)
class Encoding:
    """How well weights are assumed to compress.

    Attributes:
        bits: Bits of an encoded weight; None: those of normally distributed weights, see `normal_bits`.
        linear_bits: The same for fully connected layers, all of whose weights share one scale.
    """

    bits: float | None
    linear_bits: float | None


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


def encoded_bytes(
    operations: Operations, part_kernel: BoolArray, npu: EthosU, encoding: Encoding, channels: IntArray
) -> tuple[IntArray, IntArray]:
    """Encoded weights (N,) and scales (N,) of some output channels, each stream of a core in whole 16 bytes.

    Weights go through the array in microblocks, which zeros fill up: four window elements at a time where the window
    goes first and in depthwise convolution, otherwise 32 input channels at a time.
    """
    depthwise = operations.is_unit("depthwise")
    inputs = np.where(depthwise, 1, operations["ifm_c"])
    window = operations["kernel_h"] * operations["kernel_w"]
    padded_window = np.zeros_like(window)
    limit_h, limit_w = (SUBKERNEL // operations[f"dilation_{axis}"] for axis in "hw")
    together = np.where(depthwise | part_kernel, 4, 1)
    for row in range(int(ceil_div(operations["kernel_h"], limit_h).max(initial=0))):
        rows = np.clip(operations["kernel_h"] - row * limit_h, 0, limit_h)
        for column in range(int(ceil_div(operations["kernel_w"], limit_w).max(initial=0))):
            columns = np.clip(operations["kernel_w"] - column * limit_w, 0, limit_w)
            padded_window += round_up(rows * columns, together)
    deep = np.where(part_kernel, npu.ifm_ublock_depth, 32)
    padded_inputs = np.where(depthwise, 1, round_up(inputs, deep))
    streams = np.minimum(npu.cores, channels)
    share = ceil_div(channels, np.maximum(streams, 1))
    padded = np.maximum(round_up(share, npu.ofm_ublock[2]) * padded_inputs * padded_window, 1)
    useful = share * inputs * window
    zeros = np.maximum(padded - useful, 0)
    of_channel, of_layer = inputs * window, inputs * window * operations["ofm_c"]
    fully = operations.is_unit("fc")
    each = np.where(
        fully,
        normal_bits(of_layer) if encoding.linear_bits is None else encoding.linear_bits,
        normal_bits(of_channel) if encoding.bits is None else encoding.bits,
    )
    each = np.where(operations["uniform"] > 0, _UNIFORM_BITS, each)
    bits = useful * (each - np.log2(np.maximum(useful, 1) / padded))
    bits = bits - zeros * np.log2(np.maximum(zeros, 1) / padded)
    if encoding.bits is None:
        # With some zeros among normally distributed weights the encoder gives up on the weights.
        some = ~fully & (operations["uniform"] == 0) & (zeros > 0) & (zeros <= _SOME_ZEROS * padded)
        bits = np.where(some, np.maximum(bits, 8 * useful + _ZERO_BITS * zeros), bits)
    one = round_up(np.ceil(bits / 8).astype(np.int64), ALIGNMENT)
    return one * streams, round_up(SCALE_BYTES * share, ALIGNMENT) * streams


def copy_cycles(bytes_: IntArray, npu: EthosU) -> IntArray:
    """(N,) cycles to copy bytes from the memory of constants to the staging memory."""
    source, destination = npu.constants, npu.staging
    out = np.floor(bytes_ / source.bytes_per_cycle) + source.read_latency
    into = np.floor(bytes_ / destination.bytes_per_cycle) + source.write_latency
    cycles: IntArray = np.maximum(out, into).astype(np.int64)
    return cycles


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
        np.full(len(depth), 1 << 30)
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

    before, step = _slices(operations, blocks, npu, transfer, slack, dominated, full, limit)
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
    run, visible, last = _sliced(operations, blocks, npu, parts, ranges, count, usable, double)
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


def _slices(
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


def _sliced(
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

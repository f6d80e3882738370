"""Memory of networks on an Ethos-U: bytes of buffers as the processor stores them, and their peak.

Rules of the C++ core of ethos-u-vela 5.2.0 (``Scheduler::UpdateSchedulerTensor``, ``LiveRangeGraph``, read for facts):

* values between operations are stored in bricks of 16 channels, so channels count as whole bricks; inputs and outputs
  of the network, and what is flattened, reordered or put together from parts that are no whole bricks, are stored row
  by row;
* an elementwise operation writes over an operand of the same size that nothing else reads;
* the result of a concatenation holds its operands from when they are written, a slice is part of its operand, and a
  table is applied by the operation before it;
* buffers for weights are live while their operation runs, the first of them also while the one before it ends.

Addresses are not planned: the compiler's search nearly always reaches the peak of what is live.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hannah_hw.cost.block.npu import ALIGNMENT, BRICK
from hannah_hw.cost.block.operations import BoolArray, IntArray, round_up
from hannah_hw.workload.table import Workload

#: Kinds that write over an operand.
_ELEMENTWISE: Final = ("add", "mul", "scale", "hard_sigmoid")
#: Kinds that are part of the operation before them.
TABLES: Final = ("sigmoid", "hard_swish")


@dataclass(frozen=True)
class Stored:
    """Buffers of P candidates as the processor stores them.

    Attributes:
        bytes: (P, B) bytes, 0 of buffers that are part of another one.
        first: (P, B) index of the first kernel during which a buffer takes memory.
        last: (P, B) index of the last one.
        linear: (P, B) whether it is stored row by row.
    """

    bytes: IntArray
    first: IntArray
    last: IntArray
    linear: BoolArray


def stored(workload: Workload) -> Stored:
    """Buffers of candidates as the processor stores them."""
    kernels, buffers = workload.kernels, workload.buffers
    slots = {name: k for k, name in enumerate(kernels.names)}
    writers = np.array([slots.get(name, -1) for name in buffers.names], np.int64)
    reads = workload.reads.copy()
    owned = np.flatnonzero(writers >= 0)
    reads[writers[owned], owned] = False
    linear = buffers.output.copy()
    linear[:, writers < 0] = True
    for b in owned:
        kind = kernels.kinds[writers[b]]
        if kind == "permute":
            linear[:, b] = True
        for k in np.flatnonzero(reads[:, b]):
            linear[:, b] |= kernels.active[:, k] & _rowwise_reader(workload, int(k), int(writers[b]))
    bytes_ = round_up(buffers.bytes, ALIGNMENT)
    for b in owned:
        k = writers[b]
        pixels = kernels["out_h"][:, k] * kernels["out_w"][:, k]
        width = (kernels["output_bits"][:, k] + 7) // 8
        bricks = pixels * round_up(kernels["out_channels"][:, k], BRICK) * width
        exists = buffers.bytes[:, b] > 0
        bytes_[:, b] = np.where(exists & ~linear[:, b], round_up(bricks, ALIGNMENT), bytes_[:, b])
    found = Stored(bytes_, buffers.first.copy(), buffers.last.copy(), linear)
    _join(workload, found, writers, reads)
    return found


def _rowwise_reader(workload: Workload, k: int, writer: int) -> BoolArray:
    """(P,) whether a kernel reads what another one wrote row by row."""
    kernels = workload.kernels
    kind = kernels.kinds[k]
    everyone = np.ones(workload.size, np.bool_)
    if kind == "permute":
        return everyone
    if kind == "linear":
        # Pixels become features.
        flattened: BoolArray = kernels["in_channels"][:, k] != kernels["out_channels"][:, writer]
        return flattened
    if kind in ("concat", "slice"):
        ragged: BoolArray = kernels["out_channels"][:, writer] % BRICK != 0
        return ragged
    return ~everyone


def _join(workload: Workload, found: Stored, writers: IntArray, reads: BoolArray) -> None:
    """Let buffers that share memory count once."""
    kernels, buffers = workload.kernels, workload.buffers
    readers = reads.sum(axis=0)
    owned = {int(k): b for b, k in enumerate(writers) if k >= 0}
    for k, kind in enumerate(kernels.kinds):
        if k not in owned:
            continue
        out = owned[k]
        here = kernels.active[:, k] & (found.bytes[:, out] > 0)
        taken = np.zeros(workload.size, np.bool_)
        for b in np.flatnonzero(reads[k]):
            read = here & (found.bytes[:, b] > 0) & (found.first[:, b] <= k) & (found.last[:, b] >= k)
            if kind in _ELEMENTWISE and readers[b] == 1 and writers[b] >= 0:
                same = read & ~taken & ~buffers.output[:, b] & (found.bytes[:, b] == found.bytes[:, out])
                same &= found.linear[:, b] == found.linear[:, out]
                found.last[same, b] = k - 1
                taken |= same
            elif kind == "slice":
                found.last[read, b] = np.maximum(found.last, found.last[:, out : out + 1])[read, b]
                found.bytes[read, out] = 0
            elif (kind == "concat" or kind in TABLES) and readers[b] == 1 and writers[b] >= 0:
                found.first[read, out] = np.minimum(found.first[read, out], found.first[read, b])
                found.bytes[read, b] = 0


def peak(workload: Workload, found: Stored, counted: BoolArray, weights: IntArray) -> IntArray:
    """(P,) the most bytes that are live while a kernel runs.

    Args:
        workload: P candidates with K kernels and B buffers.
        found: Their buffers.
        counted: (P, B) whether a buffer lies in the memory in question.
        weights: (P, K) bytes of buffers for weights.
    """
    sizes = np.where(counted, found.bytes, 0)
    most = np.zeros(workload.size, np.int64)
    for k in range(len(workload.kernels)):
        live = np.where((found.first <= k) & (found.last >= k), sizes, 0).sum(axis=1) + weights[:, k]
        most = np.where(workload.kernels.active[:, k], np.maximum(most, live), most)
    return most

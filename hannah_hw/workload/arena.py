"""Placing buffers in one arena: explicit, swappable planners over a whole population at once.

A planner takes the sizes and the closed lifetimes of the buffers of P candidates and gives an offset to every
buffer so that two buffers which live at the same time never overlap. The loops go over buffers, never over
candidates.

* ``greedy_best_fit``: buffers in order of decreasing size (ties: the lower index first) go into the smallest
  gap that is large enough between the buffers already placed which live at the same time (ties: the lowest
  gap), else on top of them. This is greedy by size with best fit, as in Pisarchyk and Lee, "Efficient Memory
  Management for Deep Neural Net Inference" (2020), algorithm 3, and in the arena planner of TensorFlow Lite.
* ``greedy_first_fit``: the same order, the lowest gap that is large enough: what TensorFlow Lite Micro's
  greedy memory planner does.

Sizes are rounded up to the alignment, so that every offset is a multiple of it.

`plan_arena` is the whole memory plan of a runtime whose kernels write over operands and whose scratch memory lies in
the arena too; `plan_memory` places buffers alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import InputError
from hannah_hw.workload import packing
from hannah_hw.workload.arena_sizes import arena_sizes
from hannah_hw.workload.in_place import Merged, merge
from hannah_hw.workload.table import Buffers, Workload

IntArray = NDArray[np.int64]

#: Bytes; TensorFlow Lite Micro's arena alignment.
DEFAULT_ALIGNMENT: Final = 16


@dataclass(frozen=True)
class Plan:
    """Where the buffers of P candidates lie.

    Attributes:
        offsets: (P, B) bytes from the start of the arena; 0 where the candidate does not have the buffer.
        arena_bytes: (P,) size of the arena.
    """

    offsets: IntArray
    arena_bytes: IntArray


class Planner(Protocol):
    """A memory planner: (P, B) sizes in bytes, first and last kernels (closed intervals) -> `Plan`.

    Separate from the cost models because targets choose among planners by name, and a planner must be
    checkable on its own: it never places two buffers with meeting intervals on overlapping addresses.
    """

    def __call__(
        self, sizes: IntArray, first: IntArray, last: IntArray, alignment: int, offsets: bool = True
    ) -> Plan:
        """Place the buffers.

        Args:
            sizes: (P, B) bytes; 0 for a buffer that the candidate does not have.
            first: (P, B) first kernel during which the buffer is live.
            last: (P, B) last such kernel.
            alignment: Bytes, a power of two.
            offsets: False allows ``Plan.offsets`` of shape (P, 0), when only the size of the arena is asked for.
        """


def _place(
    sizes: IntArray, first: IntArray, last: IntArray, alignment: int, offsets: bool, *, best: bool
) -> Plan:
    count, buffers = sizes.shape
    if alignment < 1 or alignment & (alignment - 1):
        raise InputError(f"an alignment of {alignment} bytes is not a power of two")
    if not buffers or not count:
        return Plan(np.zeros((count, buffers), np.int64), np.zeros(count, np.int64))
    shift = alignment.bit_length() - 1
    if not packing.fits(sizes, last, alignment):
        return _place_wide((sizes + (alignment - 1)) >> shift, first, last, alignment, best=best)
    return Plan(*packing.place(sizes, first, last, shift, offsets=offsets, best=best))


def _place_wide(units: IntArray, first: IntArray, last: IntArray, alignment: int, *, best: bool) -> Plan:
    """The same placement one candidate at a time, for sizes or lifetimes beyond the packed word."""
    offsets = np.zeros_like(units)
    for row in range(units.shape[0]):
        done: list[int] = []
        order = sorted(range(units.shape[1]), key=lambda b: (-int(units[row, b]), b))
        for buffer in order:
            wanted = int(units[row, buffer])
            if not wanted:
                continue
            meeting = sorted(
                (int(offsets[row, other]), int(offsets[row, other] + units[row, other]))
                for other in done
                if first[row, other] <= last[row, buffer] and last[row, other] >= first[row, buffer]
            )
            prior, gaps = 0, []
            for begin, end in meeting:
                if begin - prior >= wanted:
                    gaps.append((begin - prior if best else 0, prior))
                prior = max(prior, end)
            offsets[row, buffer] = min(gaps)[1] if gaps else prior
            done.append(buffer)
    return Plan(offsets * alignment, (offsets + units).max(axis=1) * alignment)


def greedy_best_fit(
    sizes: IntArray, first: IntArray, last: IntArray, alignment: int, offsets: bool = True
) -> Plan:
    """Largest buffer first, into the smallest sufficient gap; see the module."""
    return _place(sizes, first, last, alignment, offsets, best=True)


def greedy_first_fit(
    sizes: IntArray, first: IntArray, last: IntArray, alignment: int, offsets: bool = True
) -> Plan:
    """Largest buffer first, into the lowest sufficient gap; see the module."""
    return _place(sizes, first, last, alignment, offsets, best=False)


#: Planners that `hannah_hw.workload.packing` has: whether the gap is the best one.
_PACKED: Final = {"greedy_best_fit": True, "greedy_first_fit": False}
#: Planners by the name that a target file uses.
PLANNERS: Final[Mapping[str, Planner]] = {
    "greedy_best_fit": greedy_best_fit,
    "greedy_first_fit": greedy_first_fit,
}


def plan_memory(
    buffers: Buffers,
    planner: str = "greedy_best_fit",
    *,
    alignment: int = DEFAULT_ALIGNMENT,
    offsets: bool = True,
) -> Plan:
    """Place the buffers of a population.

    Args:
        buffers: The buffers of P candidates.
        planner: A key of `PLANNERS`.
        alignment: Bytes, a power of two.
        offsets: False leaves ``Plan.offsets`` without columns and is faster.

    Raises:
        InputError: Unknown planner, or an alignment that is not a power of two.
    """
    if planner not in PLANNERS:
        raise InputError(f"unknown memory planner {planner!r}", allowed=PLANNERS, given=planner)
    return PLANNERS[planner](buffers.bytes, buffers.first, buffers.last, alignment, offsets)


@dataclass(frozen=True)
class ArenaPlan:
    """Where buffers and scratch memory of P candidates lie.

    Attributes:
        offsets: (P, B) bytes from the start of the arena; 0 where the candidate does not have the buffer. A result
            that takes the memory of an operand has the operand's offset.
        scratch_offsets: (P, K) bytes from the start of the arena of each kernel's scratch memory; 0 where there is
            none.
        buffer_bytes: (P,) size of the arena without scratch memory.
        arena_bytes: (P,) size of the arena.
        in_place: (P, K) whether the kernel writes over an operand.
    """

    offsets: IntArray
    scratch_offsets: IntArray
    buffer_bytes: IntArray
    arena_bytes: IntArray
    in_place: NDArray[np.bool_]


def plan_arena(
    workload: Workload,
    in_place: NDArray[np.bool_],
    scratch: IntArray,
    planner: str = "greedy_best_fit",
    alignment: int = DEFAULT_ALIGNMENT,
    *,
    offsets: bool = True,
) -> ArenaPlan:
    """The memory plan of a runtime with one arena.

    Results take the memory of operands (`hannah_hw.workload.in_place`), unless the candidate's arena would become
    larger by it: a greedy planner may place fewer buffers worse. Then the buffers are placed, and the scratch memory
    of each kernel lies right above the highest byte that is live while it runs.

    Args:
        workload: P candidates with K kernels.
        in_place: (P, K) whether a kernel may write over an operand.
        scratch: (P, K) bytes of scratch memory.
        planner: A key of `PLANNERS`.
        alignment: Bytes, a power of two.
        offsets: False leaves offsets and ``in_place`` without columns and is faster.

    Raises:
        InputError: Unknown planner, or an alignment that is not a power of two.
    """
    if not offsets and planner in _PACKED and alignment & (alignment - 1) == 0:
        sizes = arena_sizes(workload, in_place, scratch, alignment, best=_PACKED[planner])
        if sizes is not None:
            none = np.zeros((workload.size, 0), np.int64)
            return ArenaPlan(none, none, sizes.buffer_bytes, sizes.arena_bytes, none.astype(np.bool_))
    apart = merge(workload, np.zeros_like(in_place))
    plan = _planned(workload, apart, scratch, planner, alignment)
    merged = merge(workload, in_place)
    if not merged.in_place.any():
        return plan
    shared = _planned(workload, merged, scratch, planner, alignment)
    worse = (shared.arena_bytes > plan.arena_bytes)[:, None]
    return ArenaPlan(
        np.where(worse, plan.offsets, shared.offsets),
        np.where(worse, plan.scratch_offsets, shared.scratch_offsets),
        np.where(worse[:, 0], plan.buffer_bytes, shared.buffer_bytes),
        np.minimum(plan.arena_bytes, shared.arena_bytes),
        shared.in_place & ~worse,
    )


def _planned(
    workload: Workload, merged: Merged, scratch: IntArray, planner: str, alignment: int
) -> ArenaPlan:
    """The plan of merged buffers and of scratch memory."""
    buffers, active = merged.buffers, workload.kernels.active
    plan = plan_memory(buffers, planner, alignment=alignment)
    ends = plan.offsets + (buffers.bytes + alignment - 1) // alignment * alignment
    tops = np.zeros(active.shape[::-1], np.int64).T
    for k in range(active.shape[1]):
        live = (buffers.first <= k) & (k <= buffers.last) & (buffers.bytes > 0)
        tops[:, k] = np.where(live, ends, 0).max(axis=1, initial=0)
    asks = active & (scratch > 0)
    tops *= asks
    needed = (tops + scratch * asks).max(axis=1, initial=0)
    return ArenaPlan(
        np.take_along_axis(plan.offsets, merged.roots, axis=1),
        tops,
        plan.arena_bytes,
        np.maximum(plan.arena_bytes, needed),
        merged.in_place,
    )


def liveness_bound(buffers: Buffers) -> IntArray:
    """(P,) bytes that no planner can go below: the largest sum of simultaneously live buffers."""
    count, width = buffers.bytes.shape
    if not width or not count:
        return np.zeros(count, np.int64)
    if not packing.fits(buffers.bytes, buffers.last, 1):
        return _liveness_wide(buffers)
    return packing.peaks(buffers.bytes, buffers.first, buffers.last)


def _liveness_wide(buffers: Buffers) -> IntArray:
    """The same by sums over every kernel, for sizes or lifetimes beyond the packed word."""
    count = len(buffers.bytes)
    live = np.zeros((count, int(buffers.last.max()) + 2), np.int64)
    rows = np.arange(count)
    for buffer in range(buffers.bytes.shape[1]):
        live[rows, buffers.first[:, buffer]] += buffers.bytes[:, buffer]
        live[rows, buffers.last[:, buffer] + 1] -= buffers.bytes[:, buffer]
    result: IntArray = live.cumsum(axis=1).max(axis=1)
    return result

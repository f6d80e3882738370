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
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import InputError
from hannah_hw.workload.table import Buffers

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


# One word holds a placed buffer: offset, end, last kernel and complement of the first kernel, the last two
# each below a guard bit. Words compare by offset, and one subtraction tests whether two lifetimes meet.
_TIME_BITS: Final = 9
_SPACE_BITS: Final = 21
_FIELD: Final = _TIME_BITS + 1
_TIME_MAX: Final = (1 << _TIME_BITS) - 1
_SPACE_MAX: Final = (1 << _SPACE_BITS) - 1
_INDEX_BITS: Final = 63 - _SPACE_BITS - 2 * _TIME_BITS
_END_SHIFT: Final = 2 * _FIELD
_OFFSET_SHIFT: Final = 2 * _FIELD + _SPACE_BITS
_GUARDS: Final = (1 << _TIME_BITS) | (1 << (_FIELD + _TIME_BITS))
_CHUNK: Final = 1024


def _place(
    sizes: IntArray, first: IntArray, last: IntArray, alignment: int, offsets: bool, *, best: bool
) -> Plan:
    count, buffers = sizes.shape
    if alignment < 1 or alignment & (alignment - 1):
        raise InputError(f"an alignment of {alignment} bytes is not a power of two")
    if not buffers or not count:
        return Plan(np.zeros((count, buffers), np.int64), np.zeros(count, np.int64))
    shift = alignment.bit_length() - 1
    units = (sizes + (alignment - 1)) >> shift
    if int(units.sum(axis=1).max()) > _SPACE_MAX or int(last.max()) > _TIME_MAX or buffers > 1 << _INDEX_BITS:
        return _place_wide(units, first, last, alignment, best=best)
    placed = np.zeros((count, buffers if offsets else 0), np.int64)
    arena = np.zeros(count, np.int64)
    scratch = np.empty((9, buffers + 1, min(count, _CHUNK)), np.int64)
    for start in range(0, count, _CHUNK):
        rows = slice(start, start + _CHUNK)
        where, top = _place_packed(units[rows], first[rows], last[rows], scratch, offsets, best)
        if where is not None:
            placed[rows] = where << shift
        arena[rows] = top << shift
    return Plan(placed, arena)


def _place_packed(
    units: IntArray, first: IntArray, last: IntArray, scratch: IntArray, offsets: bool, best: bool
) -> tuple[IntArray | None, IntArray]:
    """Offsets (C, B) and arena (C,) in alignment units; all fields fit the packed word.

    ``scratch`` is (9, B + 1, at least C), reused from chunk to chunk: fresh pages cost more than the arithmetic.
    """
    count, buffers = units.shape
    scratch = scratch[:, :, :count]
    # Ascending order of this key is decreasing size, then increasing index; absent buffers come last.
    key = (_SPACE_MAX - units) << (2 * _TIME_BITS + _INDEX_BITS)
    key |= np.arange(buffers, dtype=np.int64) << (2 * _TIME_BITS)
    key |= first << _TIME_BITS
    key |= last
    key.sort(axis=1)
    ordered, sizes, stored, probes = scratch[:4, :buffers]
    np.copyto(ordered, key.T)
    np.right_shift(ordered, 2 * _TIME_BITS + _INDEX_BITS, out=sizes)
    np.subtract(_SPACE_MAX, sizes, out=sizes)
    present = int(np.count_nonzero(sizes.any(axis=1)))
    ordered, sizes, stored, probes = scratch[:4, :present]
    # A placed word holds (last, ~first) with guards set; a probe (first, ~last): both guards survive
    # word - probe exactly when last >= first of the probe and first <= last of the probe.
    begin, end = scratch[4:6, :present]
    np.right_shift(ordered, _TIME_BITS, out=begin)
    np.bitwise_and(begin, _TIME_MAX, out=begin)
    np.bitwise_and(ordered, _TIME_MAX, out=end)
    np.left_shift(end, _FIELD, out=stored)
    np.subtract(stored, begin, out=stored)
    np.add(stored, _TIME_MAX + _GUARDS, out=stored)
    np.left_shift(begin, _FIELD, out=probes)
    np.subtract(probes, end, out=probes)
    np.add(probes, _TIME_MAX, out=probes)
    heap, other, masked, gaps, prior = scratch[4:]
    prior[0] = 0
    places = np.zeros((present, count), np.int64) if offsets else None
    top = np.zeros(count, np.int64)
    place = np.zeros(count, np.int64)
    word = np.empty(count, np.int64)
    for rank in range(present):
        wanted = sizes[rank]
        if rank:
            # Words of buffers that do not meet the new one become 0: an empty buffer at the bottom.
            met, gap = masked[:rank], gaps[:rank]
            np.subtract(heap[:rank], probes[rank], out=met)
            np.bitwise_and(met, _GUARDS, out=met)
            np.subtract(_GUARDS - 1, met, out=met)
            np.right_shift(met, 63, out=met)
            np.bitwise_and(met, heap[:rank], out=met)
            # prior[j]: the highest end among the first j words; a gap reaches from there to word j.
            np.right_shift(met, _OFFSET_SHIFT, out=gap)
            np.right_shift(met, _END_SHIFT, out=met)
            np.bitwise_and(met, _SPACE_MAX, out=met)
            for position in range(rank):
                np.maximum(prior[position], met[position], out=prior[position + 1])
            np.subtract(gap, prior[:rank], out=gap)
            np.subtract(gap, wanted, out=gap)
            # Order by gap (best fit) or not at all (first fit), then by place; one that is too small has a
            # negative number, the largest of all when read without a sign.
            if best:
                np.left_shift(gap, _SPACE_BITS, out=gap)
            else:
                np.bitwise_and(gap, -(2**63), out=gap)
            np.bitwise_or(gap, prior[:rank], out=gap)
            found = gap.view(np.uint64).min(axis=0).view(np.int64)
            place = np.where(found >= 0, found & _SPACE_MAX, prior[rank])
        if places is not None:
            places[rank] = place
        # An absent buffer is an empty one: it moves neither the top nor any later buffer, all absent too.
        finish = place + wanted
        np.maximum(top, finish, out=top)
        if rank + 1 == present:
            break
        # Insertion into the list ordered by offset: new[j] = min(old[j], max(old[j - 1], word)).
        np.left_shift(place, _SPACE_BITS, out=word)
        np.bitwise_or(word, finish, out=word)
        np.left_shift(word, _END_SHIFT, out=word)
        np.bitwise_or(word, stored[rank], out=word)
        if rank:
            np.maximum(heap[:rank], word, out=other[1 : rank + 1])
            np.minimum(other[1:rank], heap[1:rank], out=other[1:rank])
            np.minimum(heap[0], word, out=other[0])
        else:
            other[0] = word
        heap, other = other, heap
    if places is None:
        return None, top
    result = np.zeros((count, buffers), np.int64)
    source = (ordered >> (2 * _TIME_BITS)) & ((1 << _INDEX_BITS) - 1)
    places *= sizes > 0
    np.put_along_axis(result, source.T, places.T, axis=1)
    return result, top


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


def liveness_bound(buffers: Buffers) -> IntArray:
    """(P,) bytes that no planner can go below: the largest sum of simultaneously live buffers."""
    count, width = buffers.bytes.shape
    if not width or not count:
        return np.zeros(count, np.int64)
    steps = int(buffers.last.max()) + 2
    rows = np.arange(count, dtype=np.int64)[:, None] * steps
    live = np.bincount((rows + buffers.first).ravel(), buffers.bytes.ravel(), count * steps)
    live -= np.bincount((rows + buffers.last + 1).ravel(), buffers.bytes.ravel(), count * steps)
    peak: IntArray = live.reshape(count, steps).cumsum(axis=1).max(axis=1).astype(np.int64)
    return peak

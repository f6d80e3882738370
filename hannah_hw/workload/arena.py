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
_INDEX_BITS: Final = 10
_FIELD: Final = _TIME_BITS + 1
_NEVER: Final = (1 << _TIME_BITS) - 1
_SPACE_MAX: Final = (1 << _SPACE_BITS) - 1
_INDEX_MAX: Final = (1 << _INDEX_BITS) - 1
_END_SHIFT: Final = 2 * _FIELD
_OFFSET_SHIFT: Final = 2 * _FIELD + _SPACE_BITS
_GUARDS: Final = (1 << _TIME_BITS) | (1 << (_FIELD + _TIME_BITS))
_CHUNK: Final = 2048
#: Up to this many neighbours are sorted by a network of exchanges, more by NumPy.
_NETWORK: Final = 8


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
    if int(units.sum(axis=1).max()) > _SPACE_MAX or int(last.max()) >= _NEVER or buffers > _INDEX_MAX:
        return _place_wide(units, first, last, alignment, best=best)
    placed = np.zeros((count, buffers if offsets else 0), np.int64)
    arena = np.zeros(count, np.int64)
    pool = _Pool(min(count, _CHUNK), buffers)
    for start in range(0, count, _CHUNK):
        rows = slice(start, start + _CHUNK)
        where, top = _place_packed(units[rows], first[rows], last[rows], pool, offsets, best)
        if where is not None:
            placed[rows] = where << shift
        arena[rows] = top << shift
    return Plan(placed, arena)


class _Pool:
    """Working memory, reused from chunk to chunk: the first touch of fresh pages costs more than the sums.

    Args:
        count: Candidates in a chunk.
        buffers: Buffers of a candidate.
    """

    def __init__(self, count: int, buffers: int) -> None:
        self._memory = np.empty((8, count * buffers), np.int64)
        self._grid = np.empty(3 * count * buffers, np.int64)

    def table(self, number: int, rows: int, columns: int) -> IntArray:
        """Table ``number``, (rows, columns), contiguous, with whatever it held."""
        return self._memory[number, : rows * columns].reshape(rows, columns)

    def grid(self, size: int) -> IntArray:
        """Zeros, (size,)."""
        grid = self._grid[:size]
        grid.fill(0)
        return grid


def _place_packed(
    units: IntArray, first: IntArray, last: IntArray, pool: _Pool, offsets: bool, best: bool
) -> tuple[IntArray | None, IntArray]:
    """Offsets (C, B) and arena (C,) in alignment units; all fields fit the packed word.

    Buffers are kept by time: a buffer can only meet those up to ``reach`` places before or after it, which for
    chains is one and for residual networks two or three. Each is placed among these few.
    """
    count, buffers = units.shape
    order, reach, present = _by_size(units, first, last, pool)
    sizes, stored, probes, places = (pool.table(number, present, count) for number in range(1, 5))
    begin, end = pool.table(5, present, count), pool.table(6, present, count)
    np.right_shift(order, 2 * _TIME_BITS + 2 * _INDEX_BITS, out=sizes)
    np.subtract(_SPACE_MAX, sizes, out=sizes)
    np.right_shift(order, _TIME_BITS + _INDEX_BITS, out=begin)
    np.bitwise_and(begin, _NEVER, out=begin)
    np.right_shift(order, _INDEX_BITS, out=end)
    np.bitwise_and(end, _NEVER, out=end)
    # A placed word holds (last, ~first) with guards set; a probe (first, ~last): both guards survive
    # word - probe exactly when last >= first of the probe and first <= last of the probe.
    np.left_shift(end, _FIELD, out=stored)
    np.subtract(stored, begin, out=stored)
    np.add(stored, _NEVER + _GUARDS, out=stored)
    np.left_shift(begin, _FIELD, out=probes)
    np.subtract(probes, end, out=probes)
    np.add(probes, _NEVER, out=probes)
    # By time, with a margin of empty places; 0 stands for a buffer that is not placed yet.
    grid = pool.grid((present + 2 * reach) * count)
    np.bitwise_and(order, _INDEX_MAX, out=places)
    np.add(places, reach, out=places)
    np.multiply(places, count, out=places)
    np.add(places, np.arange(count, dtype=np.int64), out=places)
    steps = np.array([d for d in range(-reach, reach + 1) if d], np.int64)[:, None] * count
    near = np.empty((2 * reach, count), np.int64)
    met, gap = np.empty((2, 2 * reach, count), np.int64)
    prior = np.zeros((2 * reach + 1, count), np.int64)
    chosen = pool.table(5, present, count)
    top = np.zeros(count, np.int64)
    place = np.zeros(count, np.int64)
    word = np.empty(count, np.int64)
    for rank in range(present):
        wanted = sizes[rank]
        if rank and reach:
            np.add(steps, places[rank], out=near)
            np.take(grid, near, out=met, mode="clip")
            _keep_meeting(met, probes[rank], gap)
            _sort_rows(met, word)
            _find_gap(met, gap, prior, wanted, place, best)
        chosen[rank] = place
        np.add(place, wanted, out=word)
        np.maximum(top, word, out=top)
        if reach:
            np.left_shift(place, _SPACE_BITS, out=gap[0])
            np.bitwise_or(word, gap[0], out=word)
            np.left_shift(word, _END_SHIFT, out=word)
            np.bitwise_or(word, stored[rank], out=word)
            grid[places[rank]] = word
    if not offsets:
        return None, top
    slots = (order >> (2 * _TIME_BITS + _INDEX_BITS)) & _INDEX_MAX
    result = np.zeros((count, buffers), np.int64)
    np.put_along_axis(result, slots.T, chosen.T, axis=1)
    return result, top


def _by_size(units: IntArray, first: IntArray, last: IntArray, pool: _Pool) -> tuple[IntArray, int, int]:
    """The buffers in the order of placement.

    Returns:
        (N, C) words of complement of size, index, first, last and place in time, the largest buffer first, in
        table 0 of the pool; how many places in time apart two buffers can be that meet; and N, the largest
        number of buffers of a candidate.
    """
    count, buffers = units.shape
    key, absent = pool.table(1, count, buffers), pool.table(2, count, buffers)
    # Ascending by first kernel, then index; absent buffers never live, and come last.
    np.subtract(units, 1, out=absent)
    np.right_shift(absent, 63, out=absent)
    np.bitwise_and(absent, _NEVER, out=absent)
    np.bitwise_or(first, absent, out=key)
    np.left_shift(key, _INDEX_BITS, out=key)
    np.bitwise_or(key, np.arange(buffers, dtype=np.int64), out=key)
    np.left_shift(key, _TIME_BITS, out=key)
    np.bitwise_or(key, last, out=key)
    np.left_shift(key, _SPACE_BITS, out=key)
    np.bitwise_or(key, units, out=key)
    key.sort(axis=1)
    by_time = pool.table(0, buffers, count)
    np.copyto(by_time, key.T)
    size, begin, end = (pool.table(number, buffers, count) for number in range(1, 4))
    np.bitwise_and(by_time, _SPACE_MAX, out=size)
    present = int(np.count_nonzero(size.any(axis=1)))
    np.right_shift(by_time, _SPACE_BITS, out=end)
    np.bitwise_and(end, _NEVER, out=end)
    np.right_shift(by_time, _SPACE_BITS + _TIME_BITS + _INDEX_BITS, out=begin)
    reach = 0
    while reach + 1 < present and bool((begin[reach + 1 :] <= end[: buffers - reach - 1]).any()):
        reach += 1
    # Ascending by complement of size, then index.
    index, order = pool.table(4, buffers, count), pool.table(5, buffers, count)
    np.right_shift(by_time, _SPACE_BITS + _TIME_BITS, out=index)
    np.bitwise_and(index, _INDEX_MAX, out=index)
    np.subtract(_SPACE_MAX, size, out=order)
    time = np.arange(buffers, dtype=np.int64)[:, None]
    for field, bits in ((index, _INDEX_BITS), (begin, _TIME_BITS), (end, _TIME_BITS), (time, _INDEX_BITS)):
        np.left_shift(order, bits, out=order)
        np.bitwise_or(order, field, out=order)
    rows = pool.table(6, count, buffers)
    np.copyto(rows, order.T)
    rows.sort(axis=1)
    result = pool.table(0, present, count)
    np.copyto(result, rows.T[:present])
    return result, reach, present


def _keep_meeting(words: IntArray, probe: IntArray, scratch: IntArray) -> None:
    """Words of buffers that do not meet the probe become 0: an empty buffer at the bottom."""
    np.subtract(words, probe, out=scratch)
    np.bitwise_and(scratch, _GUARDS, out=scratch)
    np.subtract(_GUARDS - 1, scratch, out=scratch)
    np.right_shift(scratch, 63, out=scratch)
    np.bitwise_and(words, scratch, out=words)


def _sort_rows(words: IntArray, low: IntArray) -> None:
    """Sort each column of (M, C), in place; ``low`` (C,) is scratch."""
    count = len(words)
    if count > _NETWORK:
        words.sort(axis=0)
        return
    for end in range(count - 1, 0, -1):
        for row in range(end):
            np.minimum(words[row], words[row + 1], out=low)
            np.maximum(words[row], words[row + 1], out=words[row + 1])
            words[row] = low


def _find_gap(
    words: IntArray, gap: IntArray, prior: IntArray, wanted: IntArray, place: IntArray, best: bool
) -> None:
    """Write (C,) offsets among the words (M, C), which ascend by offset and are destroyed."""
    np.right_shift(words, _OFFSET_SHIFT, out=gap)
    np.right_shift(words, _END_SHIFT, out=words)
    np.bitwise_and(words, _SPACE_MAX, out=words)
    # prior[j]: the highest end among the first j words; a gap reaches from there to word j.
    for row in range(len(words)):
        np.maximum(prior[row], words[row], out=prior[row + 1])
    np.subtract(gap, prior[:-1], out=gap)
    np.subtract(gap, wanted, out=gap)
    # Order by gap (best fit) or not at all (first fit), then by place; a gap that is too small gives a
    # negative number, the largest of all when read without a sign.
    if best:
        np.left_shift(gap, _SPACE_BITS, out=gap)
    else:
        np.bitwise_and(gap, -(2**63), out=gap)
    np.bitwise_or(gap, prior[:-1], out=gap)
    found = gap.view(np.uint64).min(axis=0).view(np.int64)
    # found where it is a gap, else on top of all: found + (top - found) where found has its sign bit.
    np.right_shift(found, 63, out=place)
    np.bitwise_and(found, _SPACE_MAX, out=found)
    np.subtract(prior[-1], found, out=gap[0])
    np.bitwise_and(place, gap[0], out=place)
    np.add(place, found, out=place)


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
    peak = np.zeros(count, np.int64)
    if not width or not count:
        return peak
    if int(buffers.last.max()) >> _LIVE_TIME_BITS or int(buffers.bytes.max()) >> _LIVE_SIZE_BITS:
        raise InputError(
            f"memory planning takes up to {1 << _LIVE_TIME_BITS} kernels and 1 TiB a buffer; "
            f"given: {int(buffers.last.max()) + 1} kernels, {int(buffers.bytes.max())} bytes"
        )
    for start in range(0, count, _LIVE_CHUNK):
        rows = slice(start, start + _LIVE_CHUNK)
        peak[rows] = _peak(buffers.bytes[rows], buffers.first[rows], buffers.last[rows])
    return peak


_LIVE_TIME_BITS: Final = 11
_LIVE_SIZE_BITS: Final = 40
_LIVE_CHUNK: Final = 512


def _peak(sizes: IntArray, first: IntArray, last: IntArray) -> IntArray:
    """The sum of live sizes can only peak where a buffer begins: add to each what began before and still lives."""
    key = (((first << _LIVE_TIME_BITS) | last) << _LIVE_SIZE_BITS) | sizes
    key.sort(axis=1)
    key = np.ascontiguousarray(key.T)
    size = key & ((1 << _LIVE_SIZE_BITS) - 1)
    key >>= _LIVE_SIZE_BITS
    end = key & ((1 << _LIVE_TIME_BITS) - 1)
    key >>= _LIVE_TIME_BITS
    total = size.copy()
    for step in range(1, len(key)):
        # 1 where the buffer `step` places earlier still lives when this one begins.
        lives = key[step:] <= end[:-step]
        if not lives.any():
            break
        total[step:] += size[:-step] * lives
    result: IntArray = total.max(axis=0)
    return result

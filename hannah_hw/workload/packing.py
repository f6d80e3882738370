"""The arithmetic of greedy memory planning: buffers of many candidates as words, placed all at once.

A word holds the fields of one buffer, so that sorting words orders buffers and one subtraction compares
lifetimes. The loops go over ranks of buffers; each step treats all candidates.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

# One word holds a placed buffer: offset, end, last kernel and complement of the first kernel, the last two
# each below a guard bit. Words compare by offset, and one subtraction tests whether two lifetimes meet.
TIME_BITS: Final = 9
SPACE_BITS: Final = 21
INDEX_BITS: Final = 10
FIELD: Final = TIME_BITS + 1
NEVER: Final = (1 << TIME_BITS) - 1
SPACE_MAX: Final = (1 << SPACE_BITS) - 1
INDEX_MAX: Final = (1 << INDEX_BITS) - 1
END_SHIFT: Final = 2 * FIELD
OFFSET_SHIFT: Final = 2 * FIELD + SPACE_BITS
_GUARDS: Final = (1 << TIME_BITS) | (1 << (FIELD + TIME_BITS))
#: A word by time of a buffer that never lives.
ABSENT: Final = NEVER << (INDEX_BITS + TIME_BITS + SPACE_BITS)
CHUNK: Final = 3072
#: Up to this many neighbours are sorted by a network of exchanges, more by NumPy.
_NETWORK: Final = 8


def fits(sizes: IntArray, last: IntArray, alignment: int) -> bool:
    """Whether the buffers (P, B) fit the fields of a word."""
    return (
        _total_units(sizes, alignment) <= SPACE_MAX
        and int(last.max()) < NEVER
        and sizes.shape[1] <= INDEX_MAX
    )


def place(
    sizes: IntArray, first: IntArray, last: IntArray, shift: int, *, offsets: bool, best: bool
) -> tuple[IntArray, IntArray]:
    """Offsets (P, B) and arena (P,) in bytes; alignment is ``2 ** shift`` bytes, and the buffers fit a word.

    Args:
        sizes: (P, B) bytes.
        first: (P, B) first kernel.
        last: (P, B) last kernel.
        shift: Of the alignment.
        offsets: False leaves the offsets without meaning.
        best: Best fit, else first fit.
    """
    count, buffers = sizes.shape
    placed = np.zeros((count, buffers if offsets else 0), np.int64)
    arena = np.zeros(count, np.int64)
    table, order, counts = compact(sizes, first, last, shift)
    pool = Pool(min(count, CHUNK), len(table))
    for start in range(0, count, CHUNK):
        lanes = slice(start, start + CHUNK)
        held = counts[order[lanes]]
        if held[-1]:
            where, top, _ = place_words(table[: held[-1], lanes], held, pool, buffers if offsets else 0, best)
            arena[order[lanes]] = top << shift
            if offsets:
                placed[order[lanes]] = where << shift
    return placed, arena


def peaks(sizes: IntArray, first: IntArray, last: IntArray) -> IntArray:
    """(P,) the largest sum of sizes that live at the same time."""
    count = len(sizes)
    peak = np.zeros(count, np.int64)
    table, order, counts = compact(sizes, first, last, 0)
    for start in range(0, count, CHUNK):
        lanes = slice(start, start + CHUNK)
        present = int(counts[order[lanes][-1]])
        if present:
            peak[order[lanes]] = _peak(table[:present, lanes])
    return peak


def _total_units(sizes: IntArray, alignment: int) -> int:
    """At least the largest number of alignment units of a candidate; exact where a quick bound is too large."""
    bound = (int(sizes.max()) // alignment + 1) * sizes.shape[1]
    return bound if bound <= SPACE_MAX else int((-(-sizes // alignment)).sum(axis=1).max())


def compact(
    sizes: IntArray, first: IntArray, last: IntArray, shift: int, present: NDArray[np.bool_] | None = None
) -> tuple[IntArray, IntArray, IntArray]:
    """The buffers that candidates have, as words by time, candidates with few buffers first.

    Args:
        sizes: (P, B) bytes.
        first: (P, B) first kernel.
        last: (P, B) last kernel.
        shift: Of the alignment.
        present: (P, B) which buffers to list, also without bytes; None: those with bytes.

    Returns:
        (N, P) words of first, index, last and size in units of 2 ** shift bytes, rounded up, ascending; absent
        ones, at the end, never live. The order
        of the candidates (P,), and the number of buffers with bytes of each candidate in the original order (P,).
    """
    count, buffers = sizes.shape
    by_buffer, padding = sizes.T, (1 << shift) - 1
    has = np.ascontiguousarray(by_buffer > 0)
    counts = has.sum(axis=0)
    order = np.argsort(counts, kind="stable")
    lane = np.empty(count, np.int64)
    lane[order] = np.arange(count)
    rows = int(counts.max())
    if present is not None:
        has = np.ascontiguousarray(present.T)
        rows = int(has.sum(axis=0).max())
    table = np.full((rows, count), ABSENT, np.int64)
    flat = table.reshape(-1)
    begins, ends = first.T, last.T
    for buffer in range(buffers):
        mine = np.flatnonzero(has[buffer])
        word = (begins[buffer][mine] << INDEX_BITS) | buffer
        word <<= TIME_BITS
        word |= ends[buffer][mine]
        word <<= SPACE_BITS
        word |= (by_buffer[buffer][mine] + padding) >> shift
        # `lane` ends up as the place of each candidate's next buffer: one row further with every buffer.
        place = lane[mine]
        flat[place] = word
        lane[mine] = place + count
    if (table[1:] < table[:-1]).any():
        table.sort(axis=0)
    return table, order, counts


class Pool:
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


def place_words(
    by_time: IntArray, counts: IntArray, pool: Pool, buffers: int, best: bool
) -> tuple[IntArray, IntArray, IntArray]:
    """Offsets (C, buffers) and arena (C,) in alignment units, and the placed words by time, with empty margins.

    A buffer can only meet those up to ``reach`` places before or after it in time, which for chains is one and
    for residual networks two or three. Each is placed among these few.

    Args:
        by_time: (N, C) words of `compact`.
        counts: (C,) number of buffers with bytes, ascending.
        pool: Working memory.
        buffers: Columns of the offsets; 0: only the arena is wanted.
        best: Best fit, else first fit.
    """
    present, count = by_time.shape
    order, reach = _by_size(by_time, pool)
    sizes, stored, probes, places = (pool.table(number, present, count) for number in range(1, 5))
    begin, end = pool.table(5, present, count), pool.table(6, present, count)
    np.right_shift(order, 2 * TIME_BITS + 2 * INDEX_BITS, out=sizes)
    np.subtract(SPACE_MAX, sizes, out=sizes)
    np.right_shift(order, TIME_BITS + INDEX_BITS, out=begin)
    np.bitwise_and(begin, NEVER, out=begin)
    np.right_shift(order, INDEX_BITS, out=end)
    np.bitwise_and(end, NEVER, out=end)
    # A placed word holds (last, ~first) with guards set; a probe (first, ~last): both guards survive
    # word - probe exactly when last >= first of the probe and first <= last of the probe.
    np.left_shift(end, FIELD, out=stored)
    np.subtract(stored, begin, out=stored)
    np.add(stored, NEVER + _GUARDS, out=stored)
    np.left_shift(begin, FIELD, out=probes)
    np.subtract(probes, end, out=probes)
    np.add(probes, NEVER, out=probes)
    # By time, with a margin of empty places; 0 stands for a buffer that is not placed yet.
    grid = pool.grid((present + 2 * reach) * count)
    np.bitwise_and(order, INDEX_MAX, out=places)
    np.add(places, reach, out=places)
    np.multiply(places, count, out=places)
    np.add(places, np.arange(count, dtype=np.int64), out=places)
    steps = np.array([d for d in range(-reach, reach + 1) if d], np.int64)[:, None] * count
    around = 2 * reach
    scratch = np.empty((4, (around + 1) * count), np.int64)
    chosen = pool.table(5, present, count)
    top = np.zeros(count, np.int64)
    place_ = np.zeros(count, np.int64)
    word_ = np.empty(count, np.int64)
    for rank in range(int(counts[-1])):
        # Candidates with fewer buffers are done; they come first.
        lanes = slice(int(np.searchsorted(counts, rank, side="right")), None)
        wanted, spot, place, word = sizes[rank, lanes], places[rank, lanes], place_[lanes], word_[lanes]
        if rank and reach:
            near, met, gap = (scratch[i, : around * len(spot)].reshape(around, -1) for i in range(3))
            prior = scratch[3, : (around + 1) * len(spot)].reshape(around + 1, -1)
            prior[0] = 0
            np.add(steps, spot, out=near)
            np.take(grid, near, out=met, mode="clip")
            _keep_meeting(met, probes[rank, lanes], gap)
            _sort_rows(met, word)
            _find_gap(met, gap, prior, wanted, place, best)
        chosen[rank] = place_
        np.add(place, wanted, out=word)
        np.maximum(top[lanes], word, out=top[lanes])
        np.left_shift(place, SPACE_BITS, out=place)
        np.bitwise_or(word, place, out=word)
        np.left_shift(word, END_SHIFT, out=word)
        np.bitwise_or(word, stored[rank, lanes], out=word)
        grid[spot] = word
        if not reach:
            place.fill(0)
    result = np.zeros((count, buffers), np.int64)
    if buffers:
        slots = (order >> (2 * TIME_BITS + INDEX_BITS)) & INDEX_MAX
        held = np.nonzero(sizes)
        result[held[1], slots[held]] = chosen[held]
    return result, top, grid.reshape(-1, count)


def _by_size(by_time: IntArray, pool: Pool) -> tuple[IntArray, int]:
    """The buffers in the order of placement.

    Returns:
        (N, C) words of complement of size, index, first, last and place in time, the largest buffer first, in
        table 0 of the pool; and how many places in time apart two buffers can be that meet.
    """
    present, count = by_time.shape
    size, begin, end = (pool.table(number, present, count) for number in range(1, 4))
    np.bitwise_and(by_time, SPACE_MAX, out=size)
    np.right_shift(by_time, SPACE_BITS, out=end)
    np.bitwise_and(end, NEVER, out=end)
    np.right_shift(by_time, SPACE_BITS + TIME_BITS + INDEX_BITS, out=begin)
    reach = 0
    while reach + 1 < present and bool((begin[reach + 1 :] <= end[: present - reach - 1]).any()):
        reach += 1
    # Ascending by complement of size, then index.
    index, order = pool.table(4, present, count), pool.table(5, present, count)
    np.right_shift(by_time, SPACE_BITS + TIME_BITS, out=index)
    np.bitwise_and(index, INDEX_MAX, out=index)
    np.subtract(SPACE_MAX, size, out=order)
    time = np.arange(present, dtype=np.int64)[:, None]
    for field, bits in ((index, INDEX_BITS), (begin, TIME_BITS), (end, TIME_BITS), (time, INDEX_BITS)):
        np.left_shift(order, bits, out=order)
        np.bitwise_or(order, field, out=order)
    rows = pool.table(6, count, present)
    np.copyto(rows, order.T)
    rows.sort(axis=1)
    result = pool.table(0, present, count)
    np.copyto(result, rows.T)
    return result, reach


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
    for row, other in _network(count):
        np.minimum(words[row], words[other], out=low)
        np.maximum(words[row], words[other], out=words[other])
        words[row] = low


@functools.cache
def _network(count: int) -> tuple[tuple[int, int], ...]:
    """Exchanges that sort ``count`` values: Batcher's odd-even merge sort (1968)."""
    pairs = []
    p = 1
    while p < count:
        k = p
        while k >= 1:
            for j in range(k % p, count - k, 2 * k):
                pairs += [
                    (i + j, i + j + k)
                    for i in range(min(k, count - j - k))
                    if (i + j) // (2 * p) == (i + j + k) // (2 * p)
                ]
            k //= 2
        p *= 2
    return tuple(pairs)


def _find_gap(
    words: IntArray, gap: IntArray, prior: IntArray, wanted: IntArray, place: IntArray, best: bool
) -> None:
    """Write (C,) offsets among the words (M, C), which ascend by offset and are destroyed."""
    np.right_shift(words, OFFSET_SHIFT, out=gap)
    np.right_shift(words, END_SHIFT, out=words)
    np.bitwise_and(words, SPACE_MAX, out=words)
    # prior[j]: the highest end among the first j words; a gap reaches from there to word j.
    for row in range(len(words)):
        np.maximum(prior[row], words[row], out=prior[row + 1])
    np.subtract(gap, prior[:-1], out=gap)
    np.subtract(gap, wanted, out=gap)
    # Order by gap (best fit) or not at all (first fit), then by place; a gap that is too small gives a
    # negative number, the largest of all when read without a sign.
    if best:
        np.left_shift(gap, SPACE_BITS, out=gap)
    else:
        np.bitwise_and(gap, -(2**63), out=gap)
    np.bitwise_or(gap, prior[:-1], out=gap)
    found = gap.view(np.uint64).min(axis=0).view(np.int64)
    # found where it is a gap, else on top of all: found + (top - found) where found has its sign bit.
    np.right_shift(found, 63, out=place)
    np.bitwise_and(found, SPACE_MAX, out=found)
    np.subtract(prior[-1], found, out=gap[0])
    np.bitwise_and(place, gap[0], out=place)
    np.add(place, found, out=place)


def _peak(by_time: IntArray) -> IntArray:
    """(C,) The sum of live sizes can only peak where a buffer begins: add what began before and still lives."""
    size = by_time & SPACE_MAX
    end = (by_time >> SPACE_BITS) & NEVER
    begin = by_time >> (SPACE_BITS + TIME_BITS + INDEX_BITS)
    total = size.copy()
    for step in range(1, len(by_time)):
        lives = begin[step:] <= end[:-step]
        if not lives.any():
            break
        total[step:] += size[:-step] * lives
    result: IntArray = total.max(axis=0)
    return result

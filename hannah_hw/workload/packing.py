"""The arithmetic of greedy memory planning: buffers of many candidates as words, placed all at once.

A word holds the fields of one buffer, so that sorting words orders buffers and one subtraction compares
lifetimes. The loops go over ranks of buffers; each step treats all candidates.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

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
#: A word by time of a buffer that never lives.
_ABSENT: Final = _NEVER << (_INDEX_BITS + _TIME_BITS + _SPACE_BITS)
_CHUNK: Final = 3072
#: Up to this many neighbours are sorted by a network of exchanges, more by NumPy.
_NETWORK: Final = 8


def fits(sizes: IntArray, last: IntArray, alignment: int) -> bool:
    """Whether the buffers (P, B) fit the fields of a word."""
    return (
        _total_units(sizes, alignment) <= _SPACE_MAX
        and int(last.max()) < _NEVER
        and sizes.shape[1] <= _INDEX_MAX
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
    table, order, counts = _compact(sizes, first, last, shift)
    pool = _Pool(min(count, _CHUNK), len(table))
    for start in range(0, count, _CHUNK):
        lanes = slice(start, start + _CHUNK)
        held = counts[order[lanes]]
        if held[-1]:
            where, top, _ = _place_packed(
                table[: held[-1], lanes], held, pool, buffers if offsets else 0, best
            )
            arena[order[lanes]] = top << shift
            if offsets:
                placed[order[lanes]] = where << shift
    return placed, arena


def peaks(sizes: IntArray, first: IntArray, last: IntArray) -> IntArray:
    """(P,) the largest sum of sizes that live at the same time."""
    count = len(sizes)
    peak = np.zeros(count, np.int64)
    table, order, counts = _compact(sizes, first, last, 0)
    for start in range(0, count, _CHUNK):
        lanes = slice(start, start + _CHUNK)
        present = int(counts[order[lanes][-1]])
        if present:
            peak[order[lanes]] = _peak(table[:present, lanes])
    return peak


@dataclass(frozen=True)
class Moments:
    """What is live whenever a buffer of some candidates begins to live: C candidates, N buffers by time.

    Attributes:
        lanes: (C,) the candidates.
        index: (N, C) which buffer begins.
        absent: (N, C) whether there is none; the rest is then without meaning.
        tops: (N, C) highest end of a live buffer, in alignment units, as the two below.
        live: (N, C) sum of the sizes of live buffers.
        arena: (C,) highest end of all buffers.
    """

    lanes: IntArray
    index: IntArray
    absent: NDArray[np.bool_]
    tops: IntArray
    live: IntArray
    arena: IntArray


def moments(
    sizes: IntArray,
    first: IntArray,
    last: IntArray,
    shift: int,
    present: NDArray[np.bool_],
    *,
    best: bool,
) -> Iterator[Moments]:
    """Place buffers, and look at the moments when each begins to live; some candidates at a time.

    Args:
        sizes: (P, B) bytes.
        first: (P, B) first kernel.
        last: (P, B) last kernel.
        shift: Of the alignment.
        present: (P, B) which buffers there are; those without bytes begin like others and take no place.
        best: Best fit, else first fit.
    """
    count = len(sizes)
    table, order, counts = _compact(sizes, first, last, shift, present)
    pool = _Pool(min(count, _CHUNK), len(table))
    for start in range(0, count, _CHUNK):
        lanes = slice(start, start + _CHUNK)
        held = counts[order[lanes]]
        if not held[-1]:
            continue
        part = table[:, lanes]
        part = np.ascontiguousarray(part[: int((part != _ABSENT).any(axis=1).sum())])
        placed, begun = _with_bytes(part, int(held[-1]))
        _, arena, words = _place_packed(placed, held, pool, 0, best)
        reach = (len(words) - len(placed)) // 2
        index = part >> (_SPACE_BITS + _TIME_BITS)
        begin = index >> _INDEX_BITS
        index &= _INDEX_MAX
        # The buffers that are live when one begins are among the last ones that began: no two that meet lie further
        # apart than `reach`.
        tops, live = np.zeros_like(part), np.zeros_like(part)
        begun += (reach - 1) * part.shape[1]
        met, field = np.empty_like(part), np.empty_like(part)
        for _ in range(reach + 1):
            np.take(words, begun, out=met, mode="clip")
            np.right_shift(met, _FIELD, out=field)
            np.bitwise_and(field, _NEVER, out=field)
            # 0 for a buffer whose last kernel lies before, else all bits.
            np.subtract(field, begin, out=field)
            np.right_shift(field, 63, out=field)
            np.invert(field, out=field)
            np.bitwise_and(met, field, out=met)
            np.right_shift(met, _OFFSET_SHIFT, out=field)
            np.right_shift(met, _END_SHIFT, out=met)
            np.bitwise_and(met, _SPACE_MAX, out=met)
            np.maximum(tops, met, out=tops)
            np.subtract(met, field, out=met)
            np.add(live, met, out=live)
            begun -= part.shape[1]
        yield Moments(order[lanes], index, begin == _NEVER, tops, live, arena)


def _with_bytes(by_time: IntArray, rows: int) -> tuple[IntArray, IntArray]:
    """The words (N, C) of buffers that take bytes, without gaps, and where the others stand among them.

    Returns:
        (rows, C) words, and (N, C) places: ``C`` times the number of buffers with bytes that began by the time that
        each begins, plus the column.
    """
    count = by_time.shape[1]
    has = (by_time & _SPACE_MAX) != 0
    begun = has.cumsum(axis=0, dtype=np.int64)
    begun *= count
    begun += np.arange(count, dtype=np.int64)
    table = np.full(rows * count, _ABSENT, np.int64)
    table[begun[has] - count] = by_time[has]
    return table.reshape(rows, count), begun


def _total_units(sizes: IntArray, alignment: int) -> int:
    """At least the largest number of alignment units of a candidate; exact where a quick bound is too large."""
    bound = (int(sizes.max()) // alignment + 1) * sizes.shape[1]
    return bound if bound <= _SPACE_MAX else int((-(-sizes // alignment)).sum(axis=1).max())


def _compact(
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
    table = np.full((rows, count), _ABSENT, np.int64)
    flat = table.reshape(-1)
    begins, ends = first.T, last.T
    for buffer in range(buffers):
        mine = np.flatnonzero(has[buffer])
        word = (begins[buffer][mine] << _INDEX_BITS) | buffer
        word <<= _TIME_BITS
        word |= ends[buffer][mine]
        word <<= _SPACE_BITS
        word |= (by_buffer[buffer][mine] + padding) >> shift
        # `lane` ends up as the place of each candidate's next buffer: one row further with every buffer.
        place = lane[mine]
        flat[place] = word
        lane[mine] = place + count
    if (table[1:] < table[:-1]).any():
        table.sort(axis=0)
    return table, order, counts


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
    by_time: IntArray, counts: IntArray, pool: _Pool, buffers: int, best: bool
) -> tuple[IntArray, IntArray, IntArray]:
    """Offsets (C, buffers) and arena (C,) in alignment units, and the placed words by time, with empty margins.

    A buffer can only meet those up to ``reach`` places before or after it in time, which for chains is one and
    for residual networks two or three. Each is placed among these few.

    Args:
        by_time: (N, C) words of `_compact`.
        counts: (C,) number of buffers with bytes, ascending.
        pool: Working memory.
        buffers: Columns of the offsets; 0: only the arena is wanted.
        best: Best fit, else first fit.
    """
    present, count = by_time.shape
    order, reach = _by_size(by_time, pool)
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
        np.left_shift(place, _SPACE_BITS, out=place)
        np.bitwise_or(word, place, out=word)
        np.left_shift(word, _END_SHIFT, out=word)
        np.bitwise_or(word, stored[rank, lanes], out=word)
        grid[spot] = word
        if not reach:
            place.fill(0)
    result = np.zeros((count, buffers), np.int64)
    if buffers:
        slots = (order >> (2 * _TIME_BITS + _INDEX_BITS)) & _INDEX_MAX
        held = np.nonzero(sizes)
        result[held[1], slots[held]] = chosen[held]
    return result, top, grid.reshape(-1, count)


def _by_size(by_time: IntArray, pool: _Pool) -> tuple[IntArray, int]:
    """The buffers in the order of placement.

    Returns:
        (N, C) words of complement of size, index, first, last and place in time, the largest buffer first, in
        table 0 of the pool; and how many places in time apart two buffers can be that meet.
    """
    present, count = by_time.shape
    size, begin, end = (pool.table(number, present, count) for number in range(1, 4))
    np.bitwise_and(by_time, _SPACE_MAX, out=size)
    np.right_shift(by_time, _SPACE_BITS, out=end)
    np.bitwise_and(end, _NEVER, out=end)
    np.right_shift(by_time, _SPACE_BITS + _TIME_BITS + _INDEX_BITS, out=begin)
    reach = 0
    while reach + 1 < present and bool((begin[reach + 1 :] <= end[: present - reach - 1]).any()):
        reach += 1
    # Ascending by complement of size, then index.
    index, order = pool.table(4, present, count), pool.table(5, present, count)
    np.right_shift(by_time, _SPACE_BITS + _TIME_BITS, out=index)
    np.bitwise_and(index, _INDEX_MAX, out=index)
    np.subtract(_SPACE_MAX, size, out=order)
    time = np.arange(present, dtype=np.int64)[:, None]
    for field, bits in ((index, _INDEX_BITS), (begin, _TIME_BITS), (end, _TIME_BITS), (time, _INDEX_BITS)):
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


def _peak(by_time: IntArray) -> IntArray:
    """(C,) The sum of live sizes can only peak where a buffer begins: add what began before and still lives."""
    size = by_time & _SPACE_MAX
    end = (by_time >> _SPACE_BITS) & _NEVER
    begin = by_time >> (_SPACE_BITS + _TIME_BITS + _INDEX_BITS)
    total = size.copy()
    for step in range(1, len(by_time)):
        lives = begin[step:] <= end[:-step]
        if not lives.any():
            break
        total[step:] += size[:-step] * lives
    result: IntArray = total.max(axis=0)
    return result

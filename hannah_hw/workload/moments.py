"""What is live at the moments when buffers begin to live, for many candidates at once.

A buffer without bytes, such as one whose memory is an operand's, keeps its moment: its kernel runs then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hannah_hw.workload import packing

IntArray = NDArray[np.int64]


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
    sums: bool,
) -> Iterator[Moments]:
    """Place buffers, and look at the moments when each begins to live; some candidates at a time.

    Args:
        sizes: (P, B) bytes.
        first: (P, B) first kernel.
        last: (P, B) last kernel.
        shift: Of the alignment.
        present: (P, B) which buffers there are; those without bytes begin like others and take no place.
        best: Best fit, else first fit.
        sums: False leaves ``live`` zero.
    """
    count = len(sizes)
    table, order, counts = packing.compact(sizes, first, last, shift, present)
    pool = packing.Pool(min(count, packing.CHUNK), len(table))
    for start in range(0, count, packing.CHUNK):
        lanes = slice(start, start + packing.CHUNK)
        held = counts[order[lanes]]
        if not held[-1]:
            continue
        part = table[:, lanes]
        part = np.ascontiguousarray(part[: int((part != packing.ABSENT).any(axis=1).sum())])
        placed, begun = _with_bytes(part, int(held[-1]))
        _, arena, words = packing.place_words(placed, held, pool, 0, best)
        reach = (len(words) - len(placed)) // 2
        index = part >> (packing.SPACE_BITS + packing.TIME_BITS)
        begin = index >> packing.INDEX_BITS
        index &= packing.INDEX_MAX
        # The buffers that are live when one begins are among the last ones that began: no two that meet lie further
        # apart than `reach`.
        tops, live = np.zeros_like(part), np.zeros_like(part)
        begun += (reach - 1) * part.shape[1]
        met, field = np.empty_like(part), np.empty_like(part)
        for _ in range(reach + 1):
            np.take(words, begun, out=met, mode="clip")
            np.right_shift(met, packing.FIELD, out=field)
            np.bitwise_and(field, packing.NEVER, out=field)
            # 0 for a buffer whose last kernel lies before, else all bits.
            np.subtract(field, begin, out=field)
            np.right_shift(field, 63, out=field)
            np.invert(field, out=field)
            np.bitwise_and(met, field, out=met)
            if sums:
                np.right_shift(met, packing.OFFSET_SHIFT, out=field)
                np.subtract(live, field, out=live)
            np.right_shift(met, packing.END_SHIFT, out=met)
            np.bitwise_and(met, packing.SPACE_MAX, out=met)
            np.maximum(tops, met, out=tops)
            if sums:
                np.add(live, met, out=live)
            begun -= part.shape[1]
        yield Moments(order[lanes], index, begin == packing.NEVER, tops, live, arena)


def _with_bytes(by_time: IntArray, rows: int) -> tuple[IntArray, IntArray]:
    """The words (N, C) of buffers that take bytes, without gaps, and where the others stand among them.

    Returns:
        (rows, C) words, and (N, C) places: ``C`` times the number of buffers with bytes that began by the time that
        each begins, plus the column.
    """
    count = by_time.shape[1]
    has = (by_time & packing.SPACE_MAX) != 0
    begun = np.empty_like(by_time)
    table = np.full(rows * count, packing.ABSENT, np.int64)
    place = np.arange(count, dtype=np.int64)
    for row, here in enumerate(has):
        columns = np.flatnonzero(here)
        where = place[columns]
        table[where] = by_time[row][columns]
        place[columns] = where + count
        begun[row] = place
    return table.reshape(rows, count), begun

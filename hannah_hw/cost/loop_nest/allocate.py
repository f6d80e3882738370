"""Which loops each memory keeps, given an ordering.

Memories are filled from the array outwards. In each, every operand keeps as many further inner loops as there is room
for; where not all fit together, the combination with the fewest bits moved in and out over the layer wins, of equals
the one with more loops of the operand that the memory lists first (the rule of LOMA, so that operands may be split
differently). The outermost memory of an operand keeps all its loops.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import BoolArray, FloatArray, IntArray
from hannah_hw.cost.loop_nest.tables import Tables
from hannah_hw.cost.loop_nest.walk import Position, Walk

#: Traffic that differs by rounding only is equal.
_EQUAL: Final = 1 + 1e-12


@dataclass(frozen=True)
class Allocation:
    """Loops that levels of B rows keep.

    Attributes:
        positions: (levels, B) loops at or below each level.
        fits: (B,) whether every memory can hold what it must.
    """

    positions: NDArray[np.int8]
    fits: BoolArray


def allocate(
    tables: Tables,
    cases: IntArray,
    orders: NDArray[np.uint8],
    fill: Mapping[str, float] | None = None,
    chunk: int = 4096,
) -> Allocation:
    """Allocate the loops of rows.

    Args:
        tables: Tables of the cases.
        cases: (B,) case of each row, best sorted.
        orders: (L, B) orderings, innermost first, filled up with `PAD`.
        fill: Memory -> fraction of its free capacity that may be used; 1 of those left out.
        chunk: Rows handled at a time.
    """
    rows = len(cases)
    positions = np.empty((len(tables.levels), rows), np.int8)
    fits = np.empty(rows, np.bool_)
    capacity = filled(tables, fill)
    for start in range(0, rows, chunk):
        part = slice(start, start + chunk)
        walk = Walk(tables, cases[part], orders[:, part])
        found, fits[part] = allocate_walk(walk, capacity)
        enter_positions(walk, found, positions[:, part])
    return Allocation(positions, fits)


def filled(tables: Tables, fill: Mapping[str, float] | None) -> FloatArray:
    """(memories, M) bits that an allocation may use.

    Raises:
        TargetError: A memory that does not exist.
    """
    capacity = tables.capacity
    for name, fraction in (fill or {}).items():
        place = tables.hierarchy.memories.index(tables.hierarchy.memory(name))
        capacity = capacity.copy()
        capacity[place] *= fraction
    return capacity


def enter_positions(walk: Walk, positions: list[Position], table: NDArray[np.int8]) -> None:
    """Write positions into a (levels, B) table, without the filler of shorter orderings."""
    loops = walk.tables.loops[walk.cases].astype(np.int8)
    for level, position in enumerate(positions):
        table[level] = loops if position is None else np.minimum(position.astype(np.int8), loops)


def allocate_walk(walk: Walk, capacity: FloatArray) -> tuple[list[Position], BoolArray]:
    """Position of every level, and (B,) whether every memory can hold what it must.

    Args:
        walk: The rows.
        capacity: (memories, M) bits.
    """
    tables = walk.tables
    positions: list[Position] = [None] * len(tables.levels)
    fits = np.ones(walk.rows, np.bool_)
    for place, levels in enumerate(tables.shape.in_memory):
        enough = (tables.in_full[place] <= capacity[place])[walk.span]
        if all(tables.levels[level].top for level in levels):
            if not enough.all():
                fits &= enough[walk.cases - walk.span.start]
            continue
        forced = tables.hierarchy.memories[place].double_buffer is True
        steady = tables.steady[list(levels), walk.span].all(axis=0)
        # A memory that holds everything keeps all loops, unless more loops could mean more transfers.
        easy = enough & steady if not (forced and tables.mode == "zigzag") else np.zeros_like(enough)
        if easy.all():
            continue
        kept: list[IntArray] = []
        alone = len(levels) == 1 and not forced
        # To count what fits is faster on all rows than on a copy of some; the others are written over.
        quick = np.full_like(easy, alone and (steady & ~easy).any())
        for hard, joint in ((quick, False), (~easy & ~(steady & alone), True)):
            if not hard.any():
                continue
            part = _Rows.of(walk, hard)
            free = capacity[place, part.cases]
            below = [part.of_all(_below(walk, positions, level)) for level in levels]
            sizes = [_sizes(part, level, start, forced) for level, start in zip(levels, below, strict=True)]
            if joint:
                if forced and tables.mode == "zigzag":
                    _stop_at_overflow(sizes, below, free)
                chosen, possible = _joint(part, levels, sizes, below, free)
            else:
                held = (sizes[0] <= free).view(np.int8).sum(axis=0, dtype=np.int8) - 1
                chosen, possible = [np.maximum(held, 0).astype(np.int64)], held >= below[0]
            if hard.all():
                kept, holds = chosen, possible
                continue
            if not kept:
                kept = [np.full(walk.rows, walk.length, np.int64) for _ in levels]
                holds = np.ones(walk.rows, np.bool_)
            holds[part.places] = possible
            for own, position in zip(kept, chosen, strict=True):
                own[part.places] = position
        fits &= holds
        for level, own in zip(levels, kept, strict=True):
            if not tables.levels[level].top:
                positions[level] = own
    return positions, fits


@dataclass(frozen=True)
class _Rows:
    """Rows of a walk for which a memory is too small to hold everything, R of them.

    Attributes:
        walk: All rows.
        places: Where they are among all rows.
        cases: (R,) case of each.
        state: (L + 1, R) as in the walk.
        inside: (L + 1, R) as in the walk.
    """

    walk: Walk
    places: IntArray | slice
    cases: IntArray
    state: IntArray
    inside: FloatArray

    @classmethod
    def of(cls, walk: Walk, hard: BoolArray) -> _Rows:
        """Rows of some cases of the walk's span."""
        if hard.all():
            return cls(walk, slice(None), walk.cases, walk.state, walk.inside)
        places = np.flatnonzero(hard[walk.cases - walk.span.start])
        return cls(walk, places, walk.cases[places], walk.state[:, places], walk.inside[:, places])

    def of_all(self, column: NDArray[Any]) -> NDArray[Any]:
        """The part of a column of all rows."""
        return column[self.places]

    def pick(self, table: FloatArray, position: IntArray) -> FloatArray:
        """(R,) values of a (L + 1, R) table at a position of each row."""
        rows = len(position)
        return table.reshape(-1).take(position * rows + np.arange(rows))


def _below(walk: Walk, positions: list[Position], level: int) -> IntArray:
    """(B,) loops that the memories below a level keep."""
    if walk.tables.levels[level].depth == 0:
        return np.zeros(walk.rows, np.int64)
    position = positions[level - 1]
    return np.full(walk.rows, walk.length, np.int64) if position is None else position


def _sizes(part: _Rows, level: int, below: IntArray, forced: bool) -> FloatArray:
    """(L + 1, R) bits that a level takes, by the loops that it keeps.

    An output that is still reduced beyond the memory below comes here as partial sums.
    """
    walk, tables = part.walk, part.walk.tables
    state = part.state
    if tables.levels[level].operand == 2:
        inside = part.pick(part.inside, below)
        partial = (inside < part.of_all(walk.reduced)) | tables.reduced[level][part.cases]
        state = state + partial * len(tables.states.case)
    sizes: FloatArray = tables.held[level].take(state)
    if forced:
        sizes = np.where(sizes < sizes[walk.length], 2 * sizes, sizes)
    return sizes


def _stop_at_overflow(sizes: list[FloatArray], below: list[IntArray], free: FloatArray) -> None:
    """ZigZag's loop ends at the first overflow, also where the whole tensor, which is not doubled, would fit again."""
    for size, start in zip(sizes, below, strict=True):
        tried = np.arange(len(size))[:, None] >= start
        over = np.logical_or.accumulate((size > free) & tried, axis=0)
        np.copyto(size, np.inf, where=over)


def _joint(
    part: _Rows, levels: tuple[int, ...], sizes: list[FloatArray], below: list[IntArray], free: FloatArray
) -> tuple[list[IntArray], BoolArray]:
    """Best combination of positions of the operands of one memory, and whether there is any."""
    walk, rows = part.walk, len(part.cases)
    tops = [walk.tables.levels[level].top for level in levels]
    repeats = part.inside[walk.length] / part.inside
    moved, ranges = [], []
    for size, start, top in zip(sizes, below, tops, strict=True):
        moved.append(np.zeros_like(size) if top else size * repeats)
        ranges.append((walk.length,) if top else range(walk.length + 1))
        for place in ranges[-1]:
            np.copyto(size[place], np.inf, where=start > place)
    least = np.full(rows, np.inf)
    best = [np.zeros(rows, np.int64) for _ in levels]
    for places in itertools.product(*ranges):
        room = sum(size[place] for size, place in zip(sizes, places, strict=True))
        traffic = sum(bits[place] for bits, place in zip(moved, places, strict=True))
        better = (room <= free) & (traffic <= least * _EQUAL)
        if better.any():
            np.copyto(least, traffic, where=better)
            for position, place in zip(best, places, strict=True):
                np.copyto(position, place, where=better)
    return best, np.isfinite(least)

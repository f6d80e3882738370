"""Bits that a mapping takes in each memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import FloatArray, IntArray
from hannah_hw.cost.loop_nest.tables import Tables
from hannah_hw.cost.loop_nest.walk import Position, Walk


def occupancy(
    tables: Tables, cases: IntArray, orders: NDArray[np.uint8], positions: NDArray[np.integer]
) -> FloatArray:
    """(memories, B) bits taken in one instance of each memory.

    Args:
        tables: Tables of the cases.
        cases: (B,) case of each row.
        orders: (L, B) orderings, innermost first.
        positions: (levels, B) loops at or below each level.
    """
    walk = Walk(tables, cases, orders)
    return occupied(walk, walk.given(positions))


def occupied(walk: Walk, positions: list[Position]) -> FloatArray:
    """(memories, B) bits taken by the rows of a walk."""
    tables = walk.tables
    taken = np.zeros((len(tables.hierarchy.memories), walk.rows))
    for place, levels in enumerate(tables.shape.in_memory):
        for level in levels:
            taken[place] += tables.held[level].take(_state(walk, positions, level))
    return taken


def _state(walk: Walk, positions: list[Position], level: int) -> IntArray:
    """(B,) positions in `Tables.held`: outputs that come as partial sums stay as wide until they are finished."""
    tables = walk.tables
    state = walk.states_at(positions[level])
    own = tables.levels[level]
    if own.operand < 2:
        return state
    below = walk.pick(walk.inside, positions[level - 1]) if own.depth else np.ones(walk.rows)
    partial = (below < walk.reduced) | tables.reduced[level][walk.cases]
    shifted: IntArray = state + partial * len(tables.states.case)
    return shifted

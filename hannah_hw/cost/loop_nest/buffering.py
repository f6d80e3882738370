"""Which levels are loaded ahead, so that a transfer may take the whole period.

A level may where the memory is at most half full, or else where its own tile fits a second time into what is left;
outputs claim that space first, then weights, then inputs. The tile that counts is smaller than the one kept where
relevant loops end the level: they need only their current slice.
"""

from __future__ import annotations

import numpy as np

from hannah_hw.cost.accelerators.layers import BoolArray, FloatArray
from hannah_hw.cost.loop_nest.boundaries import Boundaries

#: Operands in the order in which they claim space: O, W, I.
_CLAIMS = (2, 1, 0)


def loaded_ahead(boundaries: Boundaries) -> dict[int, BoolArray]:
    """Level -> (B,) whether it is loaded ahead; levels left out are, on every row."""
    walk = boundaries.walk
    tables = walk.tables
    shape = tables.shape
    shared: dict[int, FloatArray] = {}
    share: dict[int, FloatArray] = {}
    never: set[int] = set()
    for place, levels in enumerate(shape.in_memory):
        memory = tables.hierarchy.memories[place]
        if memory.double_buffer is False:
            never.update(levels)
            continue
        if memory.double_buffer is True and tables.mode == "whole":
            continue
        if all(tables.levels[level].top for level in levels) or tables.at_most_half[place, walk.span].all():
            continue
        # Less than a bit is no room: dividing by one bit instead of none says so.
        free = np.maximum(tables.capacity[place, walk.cases], 1.0)
        shared[place] = np.zeros(walk.rows)
        for level in levels:
            share[level] = _counted(boundaries, level) / free
            shared[place] += share[level]
    ahead: dict[int, BoolArray] = {level: np.zeros(walk.rows, np.bool_) for level in never}
    for operand in _CLAIMS:
        for level in range(shape.starts[operand], shape.starts[operand] + shape.depths[operand]):
            place = tables.levels[level].memory
            if level in share:
                used = shared[place]
                half = used <= 0.5
                ahead[level] = half | (share[level] <= 1 - used)
                shared[place] = np.where(ahead[level] & ~half, used + share[level], used)
    return ahead


def _counted(boundaries: Boundaries, level: int) -> FloatArray:
    """(B,) bits of a level that must be there at a time."""
    walk = boundaries.walk
    tables = walk.tables
    own = tables.levels[level]
    boundary = boundaries.above(level)
    position = boundaries.positions[level]
    inner = boundaries.above(level - 1).period if own.depth else np.ones(walk.rows)
    inside = walk.pick(walk.inside, position)
    sweep = np.maximum(walk.pick(walk.sweep(own.operand), position), inner)
    slices = np.where(boundary.period == inside, inside / sweep, 1.0)
    bits = tables.held_rounded[level].take(boundaries.index(own.operand, own.depth + 1))
    counted: FloatArray = np.floor(bits / slices)
    return counted

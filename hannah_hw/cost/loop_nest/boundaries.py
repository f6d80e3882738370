"""What crosses the boundaries between memories on each row: which tile, how often, in which time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hannah_hw.cost.accelerators.layers import BoolArray, FloatArray, IntArray
from hannah_hw.cost.loop_nest.levels import Link
from hannah_hw.cost.loop_nest.walk import Position, Walk


@dataclass(frozen=True)
class Boundary:
    """The boundary above one level, of B rows.

    Attributes:
        state: (B,) state of the loops below.
        period: (B,) iterations between two transfers.
        window: (B,) iterations in which one may happen without double buffering.
        count: (B,) transfers over the layer.
    """

    state: IntArray
    period: FloatArray
    window: FloatArray
    count: FloatArray


class Boundaries:
    """All boundaries of the rows of a walk.

    Attributes:
        walk: The rows.
        positions: Of every level.
        partial: Boundary of outputs -> (B,) whether partial sums cross it, by stored extents.
        partial_moved: The same by moved extents.
    """

    def __init__(self, walk: Walk, positions: list[Position]) -> None:
        """Boundaries of rows.

        Args:
            walk: The rows.
            positions: Loops kept at or below each level; None: all of them on every row.
        """
        self.walk = walk
        self.positions = positions
        shape = walk.tables.shape
        self._lowest: list[Boundary] = []
        self._above: list[Boundary] = []
        for operand, start in enumerate(shape.starts):
            # An output leaves the multiplier every cycle; inputs and weights stay while only irrelevant loops run.
            period = walk.period[operand][0] if operand < 2 else np.ones(walk.rows)
            self._lowest.append(Boundary(walk.state[0], period, period, walk.total / period))
            inner: FloatArray | None = None
            for level in range(start, start + shape.depths[operand]):
                boundary = self._boundary(operand, positions[level], inner)
                self._above.append(boundary)
                inner = boundary.period
        self.partial = self._partial(False)
        self.partial_moved = self._partial(True) if walk.tables.uneven else self.partial

    def above(self, level: int) -> Boundary:
        """The boundary above a level."""
        return self._above[level]

    def of(self, link: Link) -> Boundary:
        """The boundary that a link crosses."""
        if link.outer:
            return self._above[link.level]
        return self._lowest[link.operand] if link.boundary == 0 else self._above[link.level - 1]

    def index(self, link: Link, moved: bool = False) -> IntArray:
        """(B,) positions in tables of bits for what crosses at a link."""
        return self.width(link.operand, link.boundary, self.of(link).state, moved)

    def width(self, operand: int, boundary: int, state: IntArray, moved: bool) -> IntArray:
        """(B,) positions in tables of bits: beyond the finished outputs where partial sums cross a boundary."""
        if operand < 2:
            return state
        partial = (self.partial_moved if moved else self.partial)[boundary]
        shifted: IntArray = state + partial * len(self.walk.tables.states.case)
        return shifted

    def _boundary(self, operand: int, position: Position, inner: FloatArray | None) -> Boundary:
        walk = self.walk
        window = walk.pick(walk.window[operand], position)
        if inner is not None:
            window = np.maximum(window, inner)
        period = walk.pick(walk.period[operand], position)
        return Boundary(walk.states_at(position), period, window, walk.total / period)

    def _partial(self, moved: bool) -> list[BoolArray]:
        """Reduction loops beyond a boundary, temporal or spatial, make what crosses it partial sums."""
        walk, tables = self.walk, self.walk.tables
        shape = tables.shape
        spatial = tables.reduced_moved if moved else tables.reduced
        start = shape.starts[2]
        flags = [(walk.reduced > 1) | spatial[start][walk.cases]]
        flags += [
            (self._above[level].period < walk.reduced) | spatial[level + 1][walk.cases]
            for level in range(start, start + shape.depths[2] - 1)
        ]
        return [*flags, np.zeros(walk.rows, np.bool_)]

"""What crosses the boundaries between memories on each row: which tile, how often, in which time."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from hannah_hw.cost.accelerators.layers import BoolArray, FloatArray, IntArray
from hannah_hw.cost.loop_nest.walk import Position, Walk


class Boundary:
    """A boundary between two memories, or to the array, of B rows.

    Attributes:
        state: (B,) state of the loops below.
        period: (B,) iterations between two transfers.
        count: (B,) transfers over the layer.
    """

    def __init__(
        self,
        state: IntArray,
        period: FloatArray,
        total: FloatArray,
        window: Callable[[], FloatArray] | None = None,
    ) -> None:
        """A boundary.

        Args:
            state: (B,) state of the loops below.
            period: (B,) iterations between two transfers.
            total: (B,) iterations of all loops.
            window: How to find `window`, which few rows need; None: it is the period.
        """
        self.state = state
        self.period = period
        self.count: FloatArray = total / period
        self._window = window

    @cached_property
    def window(self) -> FloatArray:
        """(B,) iterations in which a transfer may happen without double buffering."""
        return self.period if self._window is None else self._window()

    @cached_property
    def once(self) -> BoolArray:
        """(B,) whether there is one transfer only."""
        once: BoolArray = self.count == 1
        return once

    @cached_property
    def once_anywhere(self) -> bool:
        """Whether any row has one transfer only."""
        return bool(self.once.any())

    @cached_property
    def once_everywhere(self) -> bool:
        """Whether every row has."""
        return bool(self.once.all())


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
            self._lowest.append(Boundary(walk.state[0], period, walk.total))
            inner: Boundary | None = None
            for level in range(start, start + shape.depths[operand]):
                inner = self._boundary(operand, positions[level], inner)
                self._above.append(inner)
        self.partial = self._partial(False)
        self.partial_moved = self._partial(True) if walk.tables.uneven else self.partial

    def above(self, level: int) -> Boundary:
        """The boundary above a level."""
        return self._above[level]

    def at(self, operand: int, boundary: int) -> Boundary:
        """Boundary of an operand, 0 the one to the array."""
        if boundary == 0:
            return self._lowest[operand]
        return self._above[self.walk.tables.shape.starts[operand] + boundary - 1]

    def index(self, operand: int, boundary: int, moved: bool = False) -> IntArray:
        """(B,) positions in tables of bits: beyond the finished outputs where partial sums cross the boundary."""
        state = self.at(operand, boundary).state
        if operand < 2:
            return state
        moved = moved and self.partial_moved is not self.partial
        if (boundary, moved) not in self._shifted:
            partial = (self.partial_moved if moved else self.partial)[boundary]
            self._shifted[boundary, moved] = state + partial * len(self.walk.tables.states.case)
        return self._shifted[boundary, moved]

    @cached_property
    def _shifted(self) -> dict[tuple[int, bool], IntArray]:
        return {}

    def _boundary(self, operand: int, position: Position, inner: Boundary | None) -> Boundary:
        walk = self.walk

        def window() -> FloatArray:
            found = walk.pick(walk.window(operand), position)
            return found if inner is None else np.maximum(found, inner.period)

        period = walk.pick(walk.period[operand], position)
        return Boundary(walk.states_at(position), period, walk.total, window)

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

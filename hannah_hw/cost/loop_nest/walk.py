"""Orderings of many rows, position by position.

A row is (case, ordering). Position i of a row is the boundary above its i innermost loops. Arrays are position-major,
(L + 1, B) for B rows, so that a step over positions is one operation on contiguous rows.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import FloatArray, IntArray
from hannah_hw.cost.loop_nest.states import REDUCTION, RELEVANT_BIT
from hannah_hw.cost.loop_nest.tables import Tables

#: Position of a level on each row; None: above all loops, on every row.
Position = IntArray | None


class Walk:
    """B rows, the longest of L loops.

    Attributes:
        tables: Tables of the cases.
        cases: (B,) case of each row.
        rows: B.
        length: L.
        span: Cases from the first to the last that occurs; what holds for all of them holds for every row.
        state: (L + 1, B) state of the loops below each position.
        inside: (L + 1, B) iterations of the loops below each position.
        total: (B,) iterations of all loops.
        reduced: (B,) iterations up to and including the outermost reduction loop, 1 without one.
    """

    def __init__(self, tables: Tables, cases: IntArray, orders: NDArray[np.uint8]) -> None:
        """Walk rows.

        Args:
            tables: Tables of the cases.
            cases: (B,), best sorted.
            orders: (L, B) kinds of the loops, innermost first, `PAD` beyond the case's last.
        """
        states = tables.states
        self.tables = tables
        self.cases = cases
        self.length, self.rows = orders.shape
        self.span = slice(int(cases.min()), int(cases.max()) + 1)
        self._numbers = np.arange(self.rows)
        self._last: tuple[IntArray, IntArray] | None = None
        kinds = np.minimum(orders, states.stride - 1).astype(np.int64)
        kinds += cases * states.stride
        steps = states.weights.take(kinds)
        self._flags = states.flags.take(kinds)
        self.state = np.empty((self.length + 1, self.rows), np.int64)
        self.state[0] = states.first[cases]
        for place in range(self.length):
            np.add(self.state[place], steps[place], self.state[place + 1])
        self.inside: FloatArray = states.iterations.take(self.state)
        self.total: FloatArray = self.inside[self.length]
        self.reduced = np.ones(self.rows)
        reduction = (self._flags & REDUCTION) != 0
        for place in range(self.length):
            np.copyto(self.reduced, self.inside[place + 1], where=reduction[place])

    @cached_property
    def period(self) -> tuple[FloatArray, ...]:
        """Operand -> (L + 1, B) iterations after which the data below a position change.

        Loops that are irrelevant to the operand and follow directly outwards do not change them.
        """
        return tuple(self._period(operand) for operand in range(3))

    def window(self, operand: int) -> FloatArray:
        """(L + 1, B) iterations below the irrelevant loops that end at a position.

        A memory that is not loaded ahead may be written only while it is not read again, in the last iteration of
        these loops.
        """
        return self._runs(operand)

    def sweep(self, operand: int) -> FloatArray:
        """(L + 1, B) iterations below the relevant loops that end at a position."""
        return self._runs(RELEVANT_BIT + operand)

    def _runs(self, bit: int) -> FloatArray:
        """(L + 1, B) iterations below the loops with some flag that end at a position."""
        if bit not in self._known:
            belongs = (self._flags & (1 << bit)) != 0
            start = self.inside.copy()
            for place in range(self.length):
                np.copyto(start[place + 1], start[place], where=belongs[place])
            self._known[bit] = start
        return self._known[bit]

    @cached_property
    def _known(self) -> dict[int, FloatArray]:
        return {}

    def given(self, positions: NDArray[np.integer]) -> list[Position]:
        """Positions of a mapping that is given, (levels, B); the outermost level of an operand keeps all loops."""
        return [
            None if level.top else np.minimum(positions[number], self.length).astype(np.int64)
            for number, level in enumerate(self.tables.levels)
        ]

    def pick(self, table: FloatArray, position: Position) -> FloatArray:
        """(B,) values of a (L + 1, B) table at a position of each row."""
        if position is None:
            last: FloatArray = table[self.length]
            return last
        found: FloatArray = table.reshape(-1).take(self._flat(position))
        return found

    def states_at(self, position: Position) -> IntArray:
        """(B,) states of the loops below a position of each row."""
        if position is None:
            last: IntArray = self.state[self.length]
            return last
        found: IntArray = self.state.reshape(-1).take(self._flat(position))
        return found

    def _flat(self, position: IntArray) -> IntArray:
        """(B,) places of positions in a flattened (L + 1, B) table; of the last positions asked for they are known."""
        if self._last is None or self._last[0] is not position:
            self._last = (position, position * self.rows + self._numbers)
        return self._last[1]

    def _period(self, operand: int) -> FloatArray:
        irrelevant = (self._flags & (1 << operand)) != 0
        period = self.inside.copy()
        for place in range(self.length - 1, -1, -1):
            np.copyto(period[place], period[place + 1], where=irrelevant[place])
        return period

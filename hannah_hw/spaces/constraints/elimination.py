"""Many parameters that conditions over few of them tie together: bucket elimination.

One parameter after the other is eliminated: the tables of all conditions that it has a part in are joined, and what
is left of them without it is a table over the others. Backwards, each parameter then knows which of its levels can
be completed to a valid whole, given those that were eliminated later, and how often. So samples are exact and a
repair never runs into a dead end. Dechter, "Bucket elimination: a unifying framework for reasoning", Artificial
Intelligence 113 (1999).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.parameters import Parameter
from hannah_hw.spaces.constraints.grid import BoolArray, FloatArray, IntArray, level_weights

#: Cells of the largest table, and of all tables of one elimination.
CELLS: Final = 1 << 18
ALL_CELLS: Final = 1 << 22

#: A possible combination never counts less than this, relative to the most frequent one: no underflow to never.
_RARE: Final = 1e-250


def elimination_order(
    sizes: Sequence[int], scopes: Iterable[frozenset[int]]
) -> list[tuple[int, list[int]]] | None:
    """An order in which the parameters can be eliminated, those with the smallest tables first.

    Args:
        sizes: Number of levels of each parameter.
        scopes: Which parameters each condition depends on.

    Returns:
        Each parameter and those that its table is over besides, ascending; None if tables would grow too large.
    """
    neighbours: dict[int, set[int]] = {index: set() for index in range(len(sizes))}
    for scope in scopes:
        for index in scope:
            neighbours[index] |= scope - {index}
    order: list[tuple[int, list[int]]] = []
    total = 0
    while neighbours:
        cells, index = min(
            (sizes[i] * math.prod(sizes[j] for j in around), i) for i, around in neighbours.items()
        )
        total += cells
        if cells > CELLS or total > ALL_CELLS:
            return None
        around = neighbours.pop(index)
        for other in around:
            neighbours[other] |= around - {other}
            neighbours[other].discard(index)
        order.append((index, sorted(around)))
    return order


class Elimination:
    """Combinations of some discrete parameters that satisfy conditions.

    Samples have the distribution of the parameters, restricted to the valid combinations. A repair goes through the
    parameters in the reverse order of elimination and gives each the level nearest to its own that leaves a valid
    whole.

    Args:
        parameters: N discrete parameters.
        tables: Of each condition: positions of its parameters, ascending, and its truth table over them.
        order: Of `elimination_order`.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        tables: Sequence[tuple[tuple[int, ...], BoolArray]],
        order: Sequence[tuple[int, list[int]]],
    ) -> None:
        self._parameters = tuple(parameters)
        self._sizes = [len(p.levels) for p in parameters]
        self.satisfiable = True
        #: The parameter, what its table is over besides, whether a level is possible, share of each level.
        self._buckets: list[tuple[int, list[int], BoolArray, FloatArray]] = []
        waiting = [(axes, table, table.astype(np.float64)) for axes, table in tables]
        for index, around in order:
            own = [factor for factor in waiting if index in factor[0]]
            waiting = [factor for factor in waiting if index not in factor[0]]
            axes = [*around, index]
            shape = tuple(self._sizes[axis] for axis in axes)
            possible: BoolArray = np.ones(shape, np.bool_)
            count: FloatArray = np.broadcast_to(level_weights(parameters[index]), shape)
            for scope, truth, number in own:
                possible = possible & self._spread(truth, scope, axes)
                count = count * self._spread(number, scope, axes)
            count = np.where(possible, np.maximum(count, _RARE), 0.0)
            self._buckets.append((index, around, possible, count))
            rest, message = np.asarray(possible.any(axis=-1)), np.asarray(count.sum(axis=-1))
            if around:
                waiting.append((tuple(around), rest, message / max(float(message.max()), _RARE)))
            self.satisfiable &= bool(rest.any())

    def _spread(self, table: NDArray[Any], scope: Sequence[int], axes: Sequence[int]) -> NDArray[Any]:
        """A table over some parameters as one over more of them, in the order of axes."""
        kept = [axis for axis in axes if axis in scope]
        turned = np.transpose(table, [list(scope).index(axis) for axis in kept])
        return turned.reshape([self._sizes[axis] if axis in scope else 1 for axis in axes])

    def _cells(self, rows: FloatArray, around: Sequence[int]) -> IntArray:
        """(P,) positions in a table over some parameters."""
        cells = np.zeros(len(rows), np.int64)
        for axis in around:
            cells = cells * self._sizes[axis] + rows[:, axis].astype(np.int64)
        return cells

    @functools.cached_property
    def _ends(self) -> list[FloatArray]:
        """Of each bucket: cell number plus the end of each level's share, in one ascending line."""
        result = []
        for index, _, _, count in self._buckets:
            ends = np.cumsum(count.reshape(-1, self._sizes[index]), axis=1)
            share = ends / np.where(ends[:, -1:] > 0, ends[:, -1:], 1.0)
            result.append((share + np.arange(len(share))[:, None]).ravel())
        return result

    def sample(self, uniform: FloatArray) -> FloatArray:
        """Random valid combinations.

        Args:
            uniform: (P, N) random numbers from 0 to 1.

        Returns:
            (P, N) levels.
        """
        rows = np.zeros(uniform.shape)
        # Below 1 by more than what a cell number leaves of a float's digits.
        uniform = np.minimum(uniform, 1 - 2.0**-32)
        for (index, around, _, _), ends in zip(reversed(self._buckets), reversed(self._ends), strict=True):
            cells = self._cells(rows, around)
            found = np.searchsorted(ends, cells + uniform[:, index], side="right")
            rows[:, index] = found - cells * self._sizes[index]
        return rows

    @functools.cached_property
    def _nearest(self) -> list[IntArray]:
        """Of each bucket: (cells, levels) the possible level nearest to each level."""
        result = []
        for index, _, table, _ in self._buckets:
            size = self._sizes[index]
            possible = table.reshape(-1, size)
            nearest = np.empty(possible.shape, np.int64)
            for level in range(size):
                away = np.abs(np.arange(size) - level)
                if not self._parameters[index].ordered:
                    away = np.minimum(away, 1)
                preferred = np.argsort(away, kind="stable")
                nearest[:, level] = preferred[possible[:, preferred].argmax(axis=1)]
            result.append(nearest.ravel())
        return result

    def repair(self, rows: FloatArray) -> FloatArray:
        """Valid combinations near given ones.

        Args:
            rows: (P, N) levels.

        Returns:
            (P, N) levels; valid rows as they are.
        """
        result = rows.copy()
        for (index, around, _, _), nearest in zip(
            reversed(self._buckets), reversed(self._nearest), strict=True
        ):
            cells = self._cells(result, around) * self._sizes[index] + rows[:, index].astype(np.int64)
            result[:, index] = nearest[cells]
        return result

"""Few parameters that conditions tie together: every combination is looked at once."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.expressions import Program, Scalar
from hannah_hw.parameters import FloatScalarParameter, Parameter

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def level_values(parameter: Parameter) -> NDArray[Any]:
    """What a program is given for each level of a parameter: its value, or its position where it is no number."""
    return np.array(parameter.levels if parameter.numeric else parameter.places)


def truth_table(parameters: Sequence[Parameter], conditions: Sequence[Scalar]) -> BoolArray:
    """Whether all conditions hold, with one dimension a parameter."""
    shape = tuple(len(p.levels) for p in parameters)
    cells = np.indices(shape, np.int64).reshape(len(shape), math.prod(shape))
    columns = {p.id: level_values(p)[cells[i]] for i, p in enumerate(parameters)}
    result = np.ones(math.prod(shape), np.bool_)
    for holds in Program(list(conditions)).run(columns):
        result &= np.asarray(holds, np.bool_)
    return result.reshape(shape)


def level_weights(parameter: Parameter) -> FloatArray:
    """Probability of each level in a sample."""
    if parameter.weights is not None:
        return parameter.weights
    return np.full(len(parameter.levels), 1 / len(parameter.levels))


def default_position(parameter: Parameter) -> float:
    """The declared starting point as a level or a position."""
    if isinstance(parameter, FloatScalarParameter):
        return float(parameter.snapped(parameter.positions(np.array([parameter.default])))[0])
    return float(parameter.levels.index(parameter.default))


def drawn_levels(parameter: Parameter, uniform: FloatArray) -> FloatArray:
    """Random levels of one parameter, or positions if it is continuous.

    Args:
        parameter: The parameter.
        uniform: Random numbers from 0 to 1.
    """
    if isinstance(parameter, FloatScalarParameter):
        return parameter.snapped(uniform)
    if parameter.weights is None:
        return np.floor(uniform * len(parameter.levels))
    return np.searchsorted(np.cumsum(parameter.weights)[:-1], uniform, side="right").astype(np.float64)


class Grid:
    """All combinations of some discrete parameters, with those that satisfy some conditions.

    Samples have the distribution of the parameters, restricted to the valid combinations. A repair is the nearest
    valid combination: a step of an ordered parameter counts as its share of the range, another category as 1. Of
    equally near ones the same is taken every time.

    Args:
        parameters: N discrete parameters.
        conditions: Conditions over them.
    """

    def __init__(self, parameters: Sequence[Parameter], conditions: Sequence[Scalar]) -> None:
        self._parameters = tuple(parameters)
        self._valid = truth_table(parameters, conditions)

    @property
    def satisfiable(self) -> bool:
        """Whether any combination is valid."""
        return bool(self._valid.any())

    @functools.cached_property
    def _choices(self) -> tuple[IntArray, FloatArray]:
        """Cells of the valid combinations, and the end of each one's share of a sample."""
        cells = np.flatnonzero(self._valid)
        weights = np.ones(self._valid.shape)
        for axis, parameter in enumerate(self._parameters):
            shape = [-1 if i == axis else 1 for i in range(weights.ndim)]
            weights = weights * level_weights(parameter).reshape(shape)
        ends = np.cumsum(weights.ravel()[cells])
        return cells, ends / ends[-1]

    def sample(self, uniform: FloatArray) -> FloatArray:
        """Random valid combinations.

        Args:
            uniform: (P, N) random numbers from 0 to 1.

        Returns:
            (P, N) levels.
        """
        cells, ends = self._choices
        chosen = np.minimum(np.searchsorted(ends, uniform[:, 0], side="right"), len(cells) - 1)
        return self._levels(cells[chosen])

    def repair(self, rows: FloatArray) -> FloatArray:
        """The nearest valid combinations.

        Args:
            rows: (P, N) levels.

        Returns:
            (P, N) levels; valid rows as they are.
        """
        cells = np.ravel_multi_index(tuple(rows.T.astype(np.int64)), self._valid.shape)
        wrong = np.flatnonzero(~self._valid.ravel()[cells])
        if not len(wrong):
            return rows
        rows = rows.copy()
        rows[wrong] = self._levels(self._nearest[cells[wrong]])
        return rows

    def _levels(self, cells: IntArray) -> FloatArray:
        return np.stack(np.unravel_index(cells, self._valid.shape), axis=1).astype(np.float64)

    @functools.cached_property
    def _nearest(self) -> IntArray:
        """Cell -> nearest valid cell: the distance transform of the valid cells, one dimension after the other."""
        distance = np.where(self._valid, 0.0, np.inf)
        nearest = np.arange(distance.size, dtype=np.int64).reshape(distance.shape)
        for axis, parameter in enumerate(self._parameters):
            d, n = np.moveaxis(distance, axis, 0), np.moveaxis(nearest, axis, 0)
            count = len(d)
            if not parameter.ordered:
                best = d.argmin(axis=0)[None]
                _relax(d, n, slice(None), np.take_along_axis(d, best, 0), np.take_along_axis(n, best, 0), 1.0)
                continue
            for level in range(1, count):
                _relax(d, n, level, d[level - 1], n[level - 1], 1 / (count - 1))
            for level in range(count - 2, -1, -1):
                _relax(d, n, level, d[level + 1], n[level + 1], 1 / (count - 1))
        return nearest.ravel()


def _relax(
    distance: FloatArray, nearest: IntArray, at: int | slice, other: FloatArray, cell: IntArray, step: float
) -> None:
    """Go by way of other cells where that is nearer, in place."""
    nearer = other + step < distance[at]
    distance[at] = np.where(nearer, other + step, distance[at])
    nearest[at] = np.where(nearer, cell, nearest[at])

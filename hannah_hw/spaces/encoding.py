"""The matrix view of a space's parameters: one row a candidate, one column a parameter.

A discrete column holds the index of a level, a continuous one a position from 0 to 1. In a canonical row every
parameter that the candidate does not depend on has its default, so equal rows are the same candidate.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Or, Program, Scalar
from hannah_hw.parameters import FloatScalarParameter, Parameter, plain_value
from hannah_hw.spaces.assignment import Assignment
from hannah_hw.spaces.constraints import Constraints, Rule
from hannah_hw.spaces.constraints.grid import level_values

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class Encoding:
    """Columns for parameters.

    Args:
        parameters: The parameters, D of them.
        activity: Parameter id -> whether a candidate depends on the parameter.
        rules: Gives what every row must satisfy, when that is first asked for.

    Attributes:
        ids: D parameter ids.
        levels: (D,) number of levels; 0 for a continuous column.
        ordered: (D,) whether neighbouring levels are alike.
        default: (D,) the declared starting point.
        groups: (D,) number of the sub-tree (outermost block) that the parameter belongs to.
        activity: Parameter id -> whether a candidate depends on the parameter.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        activity: Mapping[str, Scalar],
        rules: Callable[[], Sequence[Rule]] = tuple,
    ) -> None:
        self.parameters = tuple(parameters)
        self.ids = tuple(parameter.id for parameter in parameters)
        self.levels = np.array([len(p.levels) for p in parameters], np.int64)
        self.ordered = np.array([p.ordered for p in parameters], np.bool_)
        self._top = np.where(self.levels > 0, self.levels - 1, 1).astype(np.float64)
        self._continuous = np.flatnonzero(self.levels == 0)
        self._tables = [level_values(p) if p.levels else None for p in parameters]
        self.default = np.array([self._position(p, p.default) for p in parameters], np.float64)
        blocks = [".".join(p.id.split(".")[:2]) for p in parameters]
        number = {block: index for index, block in enumerate(dict.fromkeys(blocks))}
        self.groups = np.array([number[block] for block in blocks], np.int64)
        self.activity = {parameter.id: activity[parameter.id] for parameter in parameters}
        self._program = Program(list(self.activity.values()))
        self._rules = rules

    @functools.cached_property
    def constraints(self) -> Constraints:
        """The conditions of the space, solved together.

        Raises:
            SpaceError: No candidate satisfies them; the message lists some that conflict.
        """
        return Constraints(self.parameters, self._rules())

    @property
    def size(self) -> float:
        """Number of rows, without regard to activity and conditions; infinite with a continuous column."""
        return float("inf") if (self.levels == 0).any() else float(np.prod(self.levels.astype(np.float64)))

    def values(self, X: FloatArray) -> dict[str, NDArray[Any]]:
        """Parameter id -> (P,) values; level indices where the values are no numbers.

        Args:
            X: (P, D) rows.
        """
        result: dict[str, NDArray[Any]] = {}
        for index, (parameter, table) in enumerate(zip(self.parameters, self._tables, strict=True)):
            column = X[:, index]
            if isinstance(parameter, FloatScalarParameter):
                result[parameter.id] = parameter.at(column)
            elif table is not None:
                result[parameter.id] = table[column.astype(np.int64)]
        return result

    def values_of(self, row: FloatArray) -> dict[str, Any]:
        """Parameter id -> value of one row; level index where the values are no numbers.

        Args:
            row: (D,) a canonical row.
        """
        result: dict[str, Any] = {}
        for parameter, position in zip(self.parameters, row.tolist(), strict=True):
            if isinstance(parameter, FloatScalarParameter):
                result[parameter.id] = parameter.value_at(position)
            else:
                level = int(position)
                result[parameter.id] = (parameter.levels if parameter.numeric else parameter.places)[level]
        return result

    def active(self, X: FloatArray) -> BoolArray:
        """(P, D): whether each candidate depends on each parameter."""
        if len(X) == 1:
            return np.array([self._program.run_one(self.values_of(X[0]))], np.bool_)
        result = np.empty((len(self.ids), len(X)), np.bool_)
        for index, column in enumerate(self._program.run(self.values(X))):
            result[index] = column
        return result.T

    def canonical(self, X: FloatArray) -> FloatArray:
        """Rows within bounds and on levels, with the default where a parameter is not active.

        Rows that violate a condition of the space become valid ones near them; see `hannah_hw.spaces.constraints`.

        Raises:
            SpaceError: No candidate satisfies the conditions.
        """
        rows = self._reset(self._snapped(X))
        if not self.constraints:
            return rows
        repaired = self.constraints.repair(rows)
        changed = (repaired != rows).any(axis=1)
        if changed.any():
            repaired[changed] = self._reset(repaired[changed])
        return repaired

    def _snapped(self, X: FloatArray) -> FloatArray:
        """Rows within bounds and on levels."""
        rows = np.rint(np.clip(X, 0.0, self._top))
        for index in self._continuous:
            parameter: Any = self.parameters[index]
            rows[:, index] = parameter.snapped(X[:, index])
        return rows

    def _reset(self, rows: FloatArray) -> FloatArray:
        """Rows with the default where a parameter is not active."""
        return np.where(self.active(rows), rows, self.default)

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """(n, D) random canonical rows, by each parameter's own distribution: uniform, or log-uniform.

        Where there are conditions, it is that distribution among the rows that satisfy them.

        Raises:
            SpaceError: No candidate satisfies the conditions.
        """
        uniform = rng.random((n, len(self.ids)))
        rows = np.where(self.levels > 0, np.floor(uniform * np.maximum(self.levels, 1)), uniform)
        for index, parameter in enumerate(self.parameters):
            if parameter.weights is not None:
                ends = np.cumsum(parameter.weights)[:-1]
                rows[:, index] = np.searchsorted(ends, uniform[:, index], side="right")
        rows = self._snapped(rows)
        if self.constraints:
            rows = self.constraints.sample(rows, uniform, rng)
        return self._reset(rows)

    def assignment(self, row: FloatArray) -> Assignment:
        """The values of a row's active parameters."""
        active = self.active(row[None])[0]
        values = self.all_values(row)
        return Assignment({self.ids[index]: values[self.ids[index]] for index in np.flatnonzero(active)})

    def all_values(self, row: FloatArray) -> dict[str, Any]:
        """The values of all of a row's parameters, active or not, by id."""
        return {
            p.id: p.value_at(position) if isinstance(p, FloatScalarParameter) else p.levels[int(position)]
            for p, position in zip(self.parameters, row.tolist(), strict=True)
        }

    def encode(self, assignments: Sequence[Mapping[str, Any]]) -> FloatArray:
        """(P, D) canonical rows; parameters that an assignment does not name take their default.

        Where the defaults do not satisfy the conditions together with what is named, values near them do.

        Raises:
            SpaceError: An unknown parameter, a value that it cannot have, or values that violate conditions.
        """
        given = self._reset(self._snapped(self.positions(assignments)))
        rows = self.canonical(given)
        if self.constraints:
            for index in np.flatnonzero((rows != given).any(axis=1)).tolist():
                named = [i for i, name in enumerate(self.ids) if name in assignments[index]]
                if (rows[index, named] != given[index, named]).any():
                    rows[index] = self._completed(given[index], named)
        return rows

    def _completed(self, row: FloatArray, columns: Sequence[int]) -> FloatArray:
        """The canonical row near a row among those with its values in some columns.

        Raises:
            SpaceError: There is none, or none was found where a continuous parameter has a fixed value.
        """
        active, values = self.active(row[None])[0], self.all_values(row)
        fixed = [
            Rule(Or(False, p.origin == values[p.id]), f"{p.id} = {values[p.id]!r}", ("given",))
            for p in (self.parameters[column] for column in columns if active[column])
            if p.levels
        ]
        constraints = Constraints(self.parameters, [*self._rules(), *fixed])
        near: FloatArray = self._reset(constraints.repair(row[None]))[0]
        moved = [column for column in columns if active[column] and near[column] != row[column]]
        if moved:
            given, found = (
                {self.ids[c]: v[self.ids[c]] for c in moved} for v in (values, self.all_values(near))
            )
            raise SpaceError(f"{given} violates conditions of the space; {found} would satisfy them")
        return near

    def positions(self, assignments: Sequence[Mapping[str, Any]]) -> FloatArray:
        """(P, D) rows as they are given, not canonical; see `encode`.

        Raises:
            SpaceError: An unknown parameter, or a value that it cannot have.
        """
        X = np.tile(self.default, (len(assignments), 1))
        index = {name: i for i, name in enumerate(self.ids)}
        for row, assignment in zip(X, assignments, strict=True):
            for name, value in assignment.items():
                if name not in index:
                    raise SpaceError(f"there is no parameter {name!r}", allowed=self.ids, given=name)
                row[index[name]] = self._position(self.parameters[index[name]], value)
        return X

    @staticmethod
    def _position(parameter: Parameter, value: Any) -> float:
        value = plain_value(value)
        parameter.check(value)
        if isinstance(parameter, FloatScalarParameter):
            return float(parameter.snapped(parameter.positions(np.array([value], np.float64)))[0])
        return float(parameter.levels.index(value))

"""How many candidates a space has: assignments, and assignments that are different networks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from hannah_hw.expressions import Program, leaves
from hannah_hw.graph.activity import node_activity, parameter_activity
from hannah_hw.parameters import Parameter
from hannah_hw.spaces.constraints.grid import level_values
from hannah_hw.spaces.encoding import FloatArray
from hannah_hw.spaces.space import SearchSpace

#: Largest number of assignments that are enumerated.
MAX_ENUMERATED: Final = 1 << 17
#: Largest standard error of an estimated number, as a share of it.
MAX_ERROR: Final = 0.1
_SAMPLES: Final = 1 << 17
_CHUNK: Final = 1 << 14


def assignments(space: SearchSpace) -> int | None:
    """Number of assignments of all parameters, active or not; None where one is continuous."""
    levels = space.encoding.levels.tolist()
    return math.prod(levels) if all(levels) else None


def every_candidate(space: SearchSpace, *, limit: int = MAX_ENUMERATED) -> FloatArray | None:
    """All candidates of a small space.

    Args:
        space: The space.
        limit: Largest number of assignments that are looked at.

    Returns:
        (P, D) canonical rows, each once; None where there are more assignments.
    """
    size = assignments(space)
    if size is None or size > limit:
        return None
    levels = space.encoding.levels.tolist()
    seen = np.zeros(size, np.bool_)
    for rows in _grid(levels):
        seen[_positions(space.encoding.canonical(rows), levels)] = True
    return _rows(np.flatnonzero(seen), levels)


@dataclass(frozen=True)
class Count:
    """A number of candidates.

    Attributes:
        value: The number.
        error: Standard error as a share of it; 0 of a number that was counted.
    """

    value: int
    error: float

    def __str__(self) -> str:
        exact = counted(self.value)
        return f"about {exact} (standard error {self.error:.1%})" if self.error else exact


def counted(value: int) -> str:
    """A count in full, or a large one to three digits."""
    return f"{value:,}" if value < 10**9 else f"{value:.3g}"


def distinct(space: SearchSpace, *, limit: int = MAX_ENUMERATED) -> Count | None:
    """The candidates of a space: assignments that differ in an active parameter and satisfy all conditions.

    All assignments of a small space are looked at. A larger one without conditions is counted by the parameters that
    decide which are active, if those have few assignments. Otherwise it is estimated.

    Args:
        space: The space.
        limit: Largest number of assignments that are looked at.

    Returns:
        The number; None where a parameter is continuous, or an estimate would be worse than `MAX_ERROR`.
    """
    rows, size = every_candidate(space, limit=limit), assignments(space)
    if rows is not None:
        return Count(len(rows), 0.0)
    if size is None:
        return None
    counted = None if space.encoding.constraints else _structural(space, limit)
    return _estimate(space, size) if counted is None else Count(counted, 0.0)


def _estimate(space: SearchSpace, size: int) -> Count | None:
    """The number of candidates from random assignments.

    A valid candidate is as many assignments as its inactive parameters have. The mean over all assignments of its
    inverse, and of 0 for what is not valid, times the number of assignments therefore is the number of candidates,
    and that over random ones an estimate without bias.
    """
    encoding = space.encoding
    shares = np.empty(_SAMPLES)
    rng = np.random.default_rng(0)
    for start in range(0, _SAMPLES, _CHUNK):
        rows = rng.integers(encoding.levels, size=(_CHUNK, len(encoding.levels))).astype(np.float64)
        active = encoding.active(rows)
        valid = ((encoding.canonical(rows) == rows) | ~active).all(axis=1)
        repeated = np.where(active, 0.0, np.log(encoding.levels)).sum(axis=1)
        shares[start : start + _CHUNK] = np.exp(-repeated) * valid
    mean = float(shares.mean())
    error = float(shares.std()) / mean / math.sqrt(_SAMPLES) if mean else math.inf
    return Count(round(size * Fraction(mean)), error) if error <= MAX_ERROR else None


def _structural(space: SearchSpace, limit: int) -> int | None:
    """Number of candidates: for each assignment of the parameters that decide what is active, the others multiply.

    Returns:
        The number; None where they have more assignments than the limit.
    """
    activity = parameter_activity(space.order, node_activity(space.order, space.outputs))
    expressions = [activity[name] for name in space.encoding.ids]
    deciding = [space.parameters[leaf.id] for leaf in leaves(expressions) if isinstance(leaf, Parameter)]
    levels = [len(parameter.levels) for parameter in deciding]
    if math.prod(levels) > limit:
        return None
    program = Program(expressions)
    patterns: dict[bytes, int] = {}
    for rows in _grid(levels):
        values = {p.id: _values(p, rows[:, i]) for i, p in enumerate(deciding)}
        columns = [np.broadcast_to(np.asarray(c, np.bool_), len(rows)) for c in program.run(values)]
        found, counts = np.unique(np.stack(columns, axis=1), axis=0, return_counts=True)
        for pattern, count in zip(found, counts.tolist(), strict=True):
            patterns[pattern.tobytes()] = patterns.get(pattern.tobytes(), 0) + count
    decides = {parameter.id for parameter in deciding}
    total = 0
    for key, count in patterns.items():
        others = repeated = 1
        for name, active in zip(space.encoding.ids, np.frombuffer(key, np.bool_), strict=True):
            options = len(space.parameters[name].levels)
            if active and name not in decides:
                others *= options
            elif not active and name in decides:
                repeated *= options
        # Assignments that differ in what is inactive are one candidate.
        total += count * others // repeated
    return total


def _values(parameter: Parameter, column: FloatArray) -> np.ndarray:
    """A parameter's values at level indices; the indices themselves where the values are no numbers."""
    return level_values(parameter)[column.astype(np.int64)]


def _grid(levels: list[int]) -> Iterable[FloatArray]:
    """(n, D) level indices of all assignments, in chunks."""
    size = math.prod(levels)
    for start in range(0, size, _CHUNK):
        yield _rows(np.arange(start, min(start + _CHUNK, size)), levels)


def _rows(positions: np.ndarray, levels: list[int]) -> FloatArray:
    """(n, D) level indices of the assignments at some positions among all."""
    result = np.zeros((len(positions), len(levels)))
    for column in reversed(range(len(levels))):
        positions, result[:, column] = np.divmod(positions, levels[column])
    return result


def _positions(rows: FloatArray, levels: list[int]) -> np.ndarray:
    """The positions of some assignments among all."""
    result = np.zeros(len(rows), np.int64)
    for column, count in enumerate(levels):
        result = result * count + rows[:, column].astype(np.int64)
    return result

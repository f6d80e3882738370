"""Conditions over many parameters, such as a budget of MACs, or over continuous ones.

No table holds them, but a valid candidate is usually not hard to find. Samples are drawn until they are valid.
A candidate that is not is moved towards a valid one parameter by parameter, until it is valid itself; then as much
as possible of what it was is put back. So a repair always ends well if one valid candidate is known.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.expressions import Program, Scalar
from hannah_hw.parameters import FloatScalarParameter, Parameter
from hannah_hw.spaces.constraints.elimination import Elimination
from hannah_hw.spaces.constraints.grid import BoolArray, FloatArray, IntArray, default_position, drawn_levels
from hannah_hw.spaces.constraints.proof import columns, solve
from hannah_hw.spaces.constraints.violation import violation

#: Valid candidates that repairs may end at, and how many samples are drawn to find them.
_POOL: Final = 128
_POOL_DRAWS: Final = 1 << 15
#: Samples are drawn until they are valid if at least this share of them is; otherwise valid ones walk.
_SHARE: Final = 0.05
#: Steps of a walk, in parameters; candidates drawn at a time.
_LAPS: Final = 2
_DRAWS: Final = 1 << 16
#: Rounds of descent on the violation, and how many candidates descend.
_DESCENT: Final = 30
_DESCENDING: Final = 8
#: Rows that are repaired at a time, which bounds the memory.
_CHUNK: Final = 512
#: Bits of the position that is searched for between two of a continuous parameter.
_STEPS: Final = 6


class Relinking:
    """Combinations of parameters, some of them perhaps continuous, that satisfy conditions.

    Args:
        parameters: N parameters.
        narrow: Of the conditions over few discrete parameters: the positions of these, and their solver.
        wide: All other conditions.
        conditions: All conditions.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        narrow: tuple[IntArray, Elimination],
        wide: Sequence[Scalar],
        conditions: Sequence[Scalar],
    ) -> None:
        self._parameters = tuple(parameters)
        self._tied, self._narrow = narrow
        self._wide, self._conditions = list(wide), list(conditions)
        self._program = Program(self._wide)
        self._levels = np.array([len(p.levels) for p in parameters], np.int64)
        self._discrete = self._levels > 0
        self._continuous = [(i, p) for i, p in enumerate(parameters) if isinstance(p, FloatScalarParameter)]
        self._ordered = np.array([p.ordered for p in parameters])
        self._top = np.maximum(self._levels - 1, 1).astype(np.float64)

    @property
    def satisfiable(self) -> bool:
        """Whether a valid combination is known."""
        return self._narrow.satisfiable and len(self._pool) > 0

    @property
    def open(self) -> bool:
        """Whether none is known, though there may be one."""
        return self._narrow.satisfiable and not self._found[1]

    def sample(self, uniform: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Random valid combinations, of the parameters' distribution restricted to valid ones.

        Exactly so where more than a few percent are valid; where they are rarer, after a walk that would have this
        distribution in the end.

        Args:
            uniform: (P, N) random numbers from 0 to 1.
            rng: Where more of them come from.

        Returns:
            (P, N) levels and positions.
        """
        rows = self._draw(uniform)
        missing = np.flatnonzero(~self._valid(rows))
        while len(missing) and self._share >= _SHARE:
            more = self._draw(
                rng.random((min(int(len(missing) / self._share) + 1, _DRAWS), uniform.shape[1]))
            )
            more = more[self._valid(more)][: len(missing)]
            rows[missing[: len(more)]] = more
            missing = missing[len(more) :]
        if len(missing):
            start = self._pool[rng.integers(len(self._pool), size=len(missing))]
            rows[missing] = self._walk(start, rng)
        return rows

    def _walk(self, rows: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Rows after random changes of one parameter at a time, each taken back if it makes the row invalid."""
        width, lines = rows.shape[1], np.arange(len(rows))
        weighted = [index for index, p in enumerate(self._parameters) if p.weights is not None]
        for _ in range(_LAPS * width):
            column = rng.integers(width, size=len(rows))
            uniform = rng.random(len(rows))
            value = np.where(self._discrete[column], np.floor(uniform * self._levels[column]), uniform)
            for index in weighted:
                here = column == index
                value[here] = drawn_levels(self._parameters[index], uniform[here])
            trial = rows.copy()
            trial[lines, column] = value
            trial = self._settled(trial)
            rows = np.where(self._valid(trial)[:, None], trial, rows)
        return rows

    def repair(self, rows: FloatArray) -> FloatArray:
        """Valid combinations near given ones.

        Args:
            rows: (P, N) levels and positions.

        Returns:
            (P, N) levels and positions; valid rows as they are.
        """
        result = self._settled(rows).copy()
        wrong = np.flatnonzero(~self._valid(result))
        for start in range(0, len(wrong), _CHUNK):
            part = wrong[start : start + _CHUNK]
            result[part] = self._relinked(result[part])
        return result

    def _draw(self, uniform: FloatArray) -> FloatArray:
        rows = np.stack([drawn_levels(p, uniform[:, i]) for i, p in enumerate(self._parameters)], axis=1)
        if len(self._tied):
            rows[:, self._tied] = self._narrow.sample(uniform[:, self._tied])
        return rows

    def _settled(self, rows: FloatArray) -> FloatArray:
        """Rows that satisfy the conditions over few parameters, with values that continuous ones can have."""
        if not len(self._tied) and not self._continuous:
            return rows
        result = rows.copy()
        for index, parameter in self._continuous:
            result[:, index] = parameter.snapped(rows[:, index])
        if len(self._tied):
            result[:, self._tied] = self._narrow.repair(rows[:, self._tied])
        return result

    def _valid(self, rows: FloatArray) -> BoolArray:
        result = np.ones(len(rows), np.bool_)
        for holds in self._program.run(columns(self._parameters, rows)):
            result &= np.asarray(holds, np.bool_)
        return result

    def _away(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """Distance by column: the share of the range, or 1 for another category."""
        return np.where(self._ordered, np.abs(a - b) / self._top, a != b)

    def _relinked(self, rows: FloatArray) -> FloatArray:
        """Invalid rows moved to valid ones near them."""
        pool = self._pool
        away = np.stack([self._away(rows, anchor).sum(axis=1) for anchor in pool], axis=1)
        goal = pool[away.argmin(axis=1)]
        noise = _scattered(rows)
        rank = _ranks(self._away(rows, goal) * (0.5 + noise))
        valid = self._boundary(rows.shape[1], lambda count: np.where(rank < count[:, None], goal, rows), goal)
        return self._halfway(rows, self._restored(rows, valid, noise))

    def _boundary(self, top: int, mixed: Callable[[IntArray], FloatArray], valid: FloatArray) -> FloatArray:
        """Valid rows as far down as bisection finds them.

        Args:
            top: Number at which a row is valid; perhaps it is so from 0 on.
            mixed: (P,) numbers -> (P, N) rows.
            valid: (P, N) the rows at the top.
        """
        low, high = np.full(len(valid), -1, np.int64), np.full(len(valid), top, np.int64)
        for _ in range(top.bit_length()):
            middle = (low + high) // 2
            trial = self._settled(mixed(np.maximum(middle, 0)))
            good = self._valid(trial) & (low < middle)
            valid = np.where(good[:, None], trial, valid)
            high, low = np.where(good, middle, high), np.where(good, low, middle)
        return valid

    def _restored(self, rows: FloatArray, valid: FloatArray, noise: FloatArray) -> FloatArray:
        """Valid rows with as many values of other rows put back as bisection finds."""
        away = self._away(rows, valid)
        row, column = np.nonzero(away)
        trial = valid[row]
        trial[np.arange(len(row)), column] = rows[row, column]
        kept = self._valid(trial) & (self._settled(trial) == trial).all(axis=1)
        gain = np.zeros(rows.shape)
        gain[row, column] = np.where(kept, away[row, column], 0.0)
        rank, width = _ranks(gain * (0.5 + noise)), rows.shape[1]

        def restored(left_out: IntArray) -> FloatArray:
            return np.where((rank < width - left_out[:, None]) & (gain > 0), rows, valid)

        return self._boundary(width, restored, valid)

    def _halfway(self, rows: FloatArray, valid: FloatArray) -> FloatArray:
        """Valid rows with the ordered parameter that is farthest from that of other rows moved towards it."""
        lines, column = (
            np.arange(len(rows)),
            np.where(self._ordered, self._away(rows, valid), 0.0).argmax(axis=1),
        )
        start, end = rows[lines, column], valid[lines, column]
        top = int(np.where(self._discrete[column], np.abs(end - start), 1 << _STEPS).max())

        def between(count: IntArray) -> FloatArray:
            moved = valid.copy()
            position = start + (end - start) * count / top
            moved[lines, column] = np.where(self._discrete[column], np.rint(position), position)
            return moved

        closer = self._boundary(top, between, valid)
        nearer = self._away(rows, closer).sum(axis=1) < self._away(rows, valid).sum(axis=1)
        return np.where(nearer[:, None], closer, valid)

    @functools.cached_property
    def _found(self) -> tuple[FloatArray, bool, float]:
        """Some valid rows; where there are none, whether that is proved; and the share of samples that are valid."""
        rng = np.random.default_rng(0)
        width = len(self._parameters)
        start = self._settled(np.array([[default_position(p) for p in self._parameters]]))
        found, drawn, count = start[self._valid(start)], start, 0
        while count < _POOL and len(drawn) < _POOL_DRAWS:
            rows = self._draw(rng.random((_POOL_DRAWS // 8, width)))
            valid = self._valid(rows)
            count += int(valid.sum())
            found = np.concatenate([found, rows[valid]])
            drawn = np.concatenate([drawn, rows])
        share = count / max(len(drawn) - 1, 1)
        if not len(found):
            found = self._descend(drawn)
        if not len(found):
            row, proved = solve(self._parameters, self._conditions)
            if row is None:
                return found, proved, 0.0
            found = row[None]
        if len(found) < _POOL:
            more = self._walk(np.resize(found, (_POOL - len(found), width)), rng)
            found = np.concatenate([found, more])
        return found[:_POOL], True, share

    @property
    def _pool(self) -> FloatArray:
        return self._found[0]

    @property
    def _share(self) -> float:
        return self._found[2]

    def _descend(self, rows: FloatArray) -> FloatArray:
        """Valid rows that are found by changing one value after the other for the better."""
        program = Program([violation(condition) for condition in self._wide])

        def parts(rows: FloatArray) -> FloatArray:
            values = program.run(columns(self._parameters, rows))
            return np.stack([np.broadcast_to(np.asarray(v, np.float64), len(rows)) for v in values], axis=1)

        scale = np.maximum(np.median(parts(rows), axis=0), 1e-9)
        current = rows[np.argsort((parts(rows) / scale).sum(axis=1), kind="stable")[:_DESCENDING]]
        moves = [
            (column, level)
            for column, parameter in enumerate(self._parameters)
            for level in (range(len(parameter.levels)) if parameter.levels else np.linspace(0, 1, 11))
        ]
        at, to = (np.array(values) for values in zip(*moves, strict=True))
        for _ in range(_DESCENT):
            worst = (parts(current) / scale).sum(axis=1)
            trial = np.repeat(current, len(moves), axis=0)
            trial[np.arange(len(trial)), np.tile(at, len(current))] = np.tile(to, len(current))
            trial = self._settled(trial)
            total = (parts(trial) / scale).sum(axis=1).reshape(len(current), len(moves))
            best = total.argmin(axis=1)
            better = total.min(axis=1) < worst
            if not better.any():
                break
            chosen = trial.reshape(len(current), len(moves), -1)[np.arange(len(current)), best]
            current = np.where(better[:, None], chosen, current)
            valid = self._valid(current)
            if valid.any():
                return current[valid]
        return current[:0]


def _ranks(values: FloatArray) -> IntArray:
    """(P, N) position of each value in its row, the largest first; of equal ones the leftmost."""
    return np.argsort(np.argsort(-values, axis=1, kind="stable"), axis=1, kind="stable")


def _scattered(rows: FloatArray) -> FloatArray:
    """(P, N) numbers from 0 to 1 that look random, but follow from the row: repairs of different rows differ.

    The mixing function of SplitMix64: Steele et al., "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    step = np.uint64(0x9E3779B97F4A7C15)
    key = np.zeros(len(rows), np.uint64)
    for column in np.rint(rows * 1e6).astype(np.uint64).T:
        key = _mixed(key * step + column)
    columns = np.arange(rows.shape[1], dtype=np.uint64)
    return _mixed((key[:, None] + columns) * step) / 2.0**64


def _mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))

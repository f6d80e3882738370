"""One accounting for every engine: what is charged, what is recorded, and when a run is over.

* A candidate that was evaluated before, or a network equal to one, costs nothing.
* Mode ``all``: every other candidate is charged. Mode ``free``: one that breaks a constraint that the cost model
  knows is not charged, whether the engine has screened it itself or asked for its values.
* A run ends when the charged evaluations reach the budget, or when the engine has asked for `PATIENCE` times
  as many: it then has what it has.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from benchmarks.search.problems import Problem
from hannah_hw.search.protocols import FloatArray

#: Requests per evaluation of the budget after which a run is stopped.
PATIENCE: Final = 30


class Spent(Exception):  # noqa: N818 - the end of a run is no error
    """The budget or the patience is used up."""


@dataclass
class Ledger:
    """The only way for an engine to values.

    Args:
        problem: What is evaluated.
        mode: ``all`` or ``free``.
        budget: Charged evaluations.
        patience: Requests per evaluation after which the run is over.

    Attributes:
        objectives: Charged rows, (M,) each.
        feasible: Whether they keep all constraints.
        requests: Rows that were asked for, charged or not.
        seconds: CPU time that the evaluations took, which is not the engine's.
    """

    problem: Problem
    mode: str
    budget: int
    patience: int = PATIENCE
    objectives: list[FloatArray] = field(default_factory=list)
    feasible: list[bool] = field(default_factory=list)
    requests: int = 0
    seconds: float = 0.0
    _known: dict[bytes, tuple[FloatArray, FloatArray]] = field(default_factory=dict)

    def __call__(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(P, M) objectives and (P, C) excess of canonical rows.

        Raises:
            Spent: The run is over, before the values that it does not cover.
        """
        clock = time.process_time()
        try:
            found = [pair for piece in self._pieces(rows) for pair in self._evaluate(piece)]
        finally:
            self.seconds += time.process_time() - clock
        return np.stack([objectives for objectives, _ in found]), np.stack([excess for _, excess in found])

    def _pieces(self, rows: FloatArray) -> Iterator[FloatArray]:
        """The rows, a part at a time that cannot outrun the budget: what is not charged is not evaluated."""
        at = 0
        while at < len(rows):
            left = min(self.budget - len(self.objectives), self.budget * self.patience - self.requests)
            if left <= 0:
                raise Spent
            yield rows[at : at + left]
            at += left

    def _evaluate(self, rows: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        self.requests += len(rows)
        keys = self.problem.networks(rows)
        first = {key: at for at, key in reversed(list(enumerate(keys)))}
        fresh = sorted(at for key, at in first.items() if key not in self._known)
        if fresh:
            for at, objectives, excess in zip(fresh, *self.problem.values(rows[fresh]), strict=True):
                self._known[keys[at]] = objectives, excess
                self._charge(objectives, excess)
        return [self._known[key] for key in keys]

    def _charge(self, objectives: FloatArray, excess: FloatArray) -> None:
        feasible = bool((excess <= 0).all())
        if feasible or self.mode == "all" or not self.problem.screened:
            self.objectives.append(objectives)
            self.feasible.append(feasible)


def violation(excess: FloatArray) -> FloatArray:
    """(P,) total excess of (P, C) constraints, 0 where all are kept."""
    total: FloatArray = np.maximum(excess, 0).sum(axis=1)
    return total

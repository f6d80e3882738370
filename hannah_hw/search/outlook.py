"""What algorithms can know of rows before an evaluation: estimates, and what a learned predictor expects."""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy as np

from hannah_hw.search.metrics import METRICS, Goals
from hannah_hw.search.misses import Misses
from hannah_hw.search.preference import preferred_violation
from hannah_hw.search.protocols import Estimates, FloatArray, Known, Problem
from hannah_hw.search.recording import Priced

#: Dimension of a metric -> a small amount of it. Features are log1p of multiples of it: as good as logarithms where
#: networks differ, and finite at 0.
_SMALL: Final = {"seconds": 1e-6, "joules": 1e-9, "square_millimetres": 1e-3}


class Predictor(Protocol):
    """Learns the objectives that only an evaluation tells from those that were told."""

    def learn(self, rows: FloatArray, known: Known, objectives: FloatArray, violation: FloatArray, /) -> None:
        """Take in what an algorithm is told of the next P rows.

        Args:
            rows: (P, D) rows, in the order of asking.
            known: What was known of them before.
            objectives: (P, M) minimised; not finite where infeasible or failed.
            violation: (P,) total violation.
        """
        ...

    def expected(self, rows: FloatArray, known: Known, /) -> FloatArray | None:
        """(P, M) objectives, minimised, the expensive ones predicted; None while the predictor is not good enough."""
        ...

    def summary(self) -> dict[str, Any] | None:
        """Where it stands, ready for JSON; None before it has learned enough."""
        ...


class EstimateOutlook:
    """The outlook on a problem; see `hannah_hw.search.protocols.Outlook`. It counts what it is asked.

    Args:
        problem: The space and its prices.
        goals: Objectives and constraints.
        predictor: Behind `expected`; None: there is none.

    Attributes:
        estimated: Candidates priced.
        feasible: Of them, those that keep every constraint known before an evaluation.
        closer: The count of `estimated` when a candidate last came closer to the constraints than any before it,
            while none keeps them.
        misses: Why nothing keeps them.
    """

    def __init__(self, problem: Problem, goals: Goals, predictor: Predictor | None = None) -> None:
        self._problem = problem
        self._goals = goals
        self._predictor = predictor
        self.estimated = 0
        self.feasible = 0
        self.closer = 0
        self.misses = Misses(goals)

    def known(self, rows: FloatArray, /) -> Known:
        """What the estimates say of (P, D) rows."""
        estimates = self._problem.estimate(rows)
        parts, total = self._goals.free_violations(estimates)
        self.estimated += len(rows)
        self.feasible += int((total == 0).sum())
        if not self.feasible and len(rows) and self.misses.add(estimates, parts, total):
            self.closer = self.estimated
        return self.of(estimates, total)

    def expected(self, rows: FloatArray, /) -> FloatArray | None:
        """(P, M) objectives with the expensive ones predicted; None while no predictor is good enough."""
        if self._predictor is None:
            return None
        estimates = self._problem.estimate(rows)
        return self._predictor.expected(rows, self.of(estimates, self._goals.free_violations(estimates)[1]))

    def standing(self) -> dict[str, Any] | None:
        """Where the predictor stands; None where there is none, or it has not learned enough."""
        return None if self._predictor is None else self._predictor.summary()

    def learn(
        self, priced: Priced, piece: slice, rows: FloatArray, objectives: FloatArray, violation: FloatArray
    ) -> None:
        """Hand what an algorithm is told to the predictor, if there is one.

        Args:
            priced: The batch that the rows are in.
            piece: Their places there.
            rows: See `Predictor.learn`, as are the others.
            objectives: (P, M).
            violation: (P,).
        """
        if self._predictor is None:
            return
        known = self.of(priced.estimates, priced.total)
        known = Known(known.objectives[piece], known.violation[piece], known.features[piece])
        self._predictor.learn(rows, known, objectives, violation)

    def of(self, estimates: Estimates, total: FloatArray) -> Known:
        """What P estimates say; `total` is the (P,) violation of the constraints that are known."""
        unknown = np.full(len(total), np.nan)
        keys = [METRICS[name].key for name in self._goals.objectives]
        columns = [np.asarray(estimates.columns.get(key, unknown), float) for key in keys]
        # Without an objective that has to be learned nobody needs features, and counts of a network take time.
        features = log_metrics(estimates) if self._goals.trained else np.zeros((len(total), 0))
        objectives = np.stack(columns, axis=1) * self._goals.signs
        return Known(objectives, preferred_violation(self._goals, objectives, total), features)


def log_metrics(estimates: Estimates) -> FloatArray:
    """(P, F) logarithms of every free metric, in the order of `METRICS`; 0 where the target has no figure."""
    columns = []
    for metric in METRICS.values():
        if metric.key not in estimates.columns:
            continue
        values = np.asarray(estimates.columns[metric.key], float) / _SMALL.get(metric.dimension, 1.0)
        columns.append(np.log1p(np.maximum(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0), 0.0)))
    return np.stack(columns, axis=1)

"""Everything that evaluations have shown, as arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from hannah_hw.search.protocols import BoolArray, FloatArray, Known


@dataclass(frozen=True)
class Told:
    """N evaluated rows in the order of telling. Values that are unknown or failed are inf.

    Attributes:
        rows: (N, D) the rows.
        known: What was known of them before.
        objectives: (N, M) values.
        violation: (N,) total violation; 0 where feasible, inf where the evaluation failed.
        excess: (N, C) signed constraints that only an evaluation shows.
    """

    rows: FloatArray
    known: Known
    objectives: FloatArray
    violation: FloatArray
    excess: FloatArray

    @classmethod
    def nothing(cls, width: int, known: Known) -> Self:
        """No row of `width` columns; `known` is what is known of no rows."""
        count = known.objectives.shape[1]
        return cls(np.zeros((0, width)), known, np.zeros((0, count)), np.zeros(0), np.zeros((0, 0)))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def failed(self) -> BoolArray:
        """(N,) evaluations without a violation and without a value."""
        incomplete = ~np.isfinite(self.objectives).all(axis=1)
        return np.asarray(np.isinf(self.violation) | (incomplete & (self.violation == 0)))

    @property
    def feasible(self) -> BoolArray:
        """(N,) rows that count."""
        return np.asarray((self.violation == 0) & np.isfinite(self.objectives).all(axis=1))

    def plus(
        self,
        rows: FloatArray,
        known: Known,
        objectives: FloatArray,
        violation: FloatArray,
        excess: FloatArray | None,
    ) -> Told:
        """These rows and (P, D) further ones; see `Algorithm.tell` for the values."""
        limits = np.zeros((len(rows), 0)) if excess is None else _certain(excess)
        return Told(
            np.concatenate([self.rows, rows]),
            joined(self.known, known),
            np.concatenate([self.objectives, _certain(objectives)]),
            np.concatenate([self.violation, _certain(violation)]),
            np.concatenate([self.excess.reshape(len(self), limits.shape[1]), limits]),
        )

    def successes(self, start: int) -> BoolArray:
        """(N - start,) which rows from `start` on are feasible and not dominated by an earlier row."""
        feasible = self.feasible
        new, old = self.objectives[start:], self.objectives
        no_worse, better = np.ones((2, len(old), len(new)), bool)
        better[:] = False
        for column in range(old.shape[1]):
            no_worse &= old[:, column, None] <= new[:, column]
            better |= old[:, column, None] < new[:, column]
        earlier = np.arange(len(old))[:, None] < np.arange(start, len(old))
        beaten = (no_worse & better & earlier & feasible[:, None]).any(axis=0)
        return np.asarray(feasible[start:] & ~beaten)

    def to_dict(self) -> dict[str, Any]:
        """All but what is known, ready for JSON."""
        names = ("rows", "objectives", "violation", "excess")
        return {name: getattr(self, name).tolist() for name in names}

    def restored(self, document: dict[str, Any], look: Callable[[FloatArray], Known]) -> Told:
        """What `to_dict` made, with what `look` says is known of the rows."""
        rows, objectives, violation, excess = (np.array(part, float) for part in document.values())
        if not len(rows):
            return self
        return Told(rows, look(rows), objectives, violation, excess.reshape(len(rows), -1))


def joined(first: Known, second: Known) -> Known:
    """What is known of some rows, then of others. How many features there are only rows show."""
    if not len(first.violation) or not len(second.violation):
        return first if len(first.violation) else second
    return Known(
        np.concatenate([first.objectives, second.objectives]),
        np.concatenate([first.violation, second.violation]),
        np.concatenate([first.features, second.features]),
    )


def taken(known: Known, index: BoolArray | Any) -> Known:
    """What is known of some of the rows."""
    return Known(known.objectives[index], known.violation[index], known.features[index])


def _certain(values: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values), values, np.inf)

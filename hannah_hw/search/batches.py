"""Batches of candidates between asking and telling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hannah_hw.search.archive import minimised
from hannah_hw.search.metrics import Goals
from hannah_hw.search.observers import Record
from hannah_hw.search.protocols import FloatArray
from hannah_hw.search.recording import Priced, make_record
from hannah_hw.search.tasks import Outcome, Task


@dataclass(frozen=True, eq=False)
class Batch:
    """Candidates that were asked for together, until the algorithm was told of all of them.

    Attributes:
        generation: Number of the batch.
        first: Place of its first candidate in the order of asking.
        told: When it was asked, the algorithm knew the records of so many first candidates in the order of asking.
        rows: (P, D) rows.
        priced: What is known of them before an evaluation.
        objectives: (P, M) minimised, filled in record by record; NaN where unknown or failed.
        violation: (P,) total violation, filled in likewise.
        excess: (P, C) signed values of the constraints that only an evaluation shows, likewise.
    """

    generation: int
    first: int
    told: int
    rows: FloatArray
    priced: Priced
    objectives: FloatArray
    violation: FloatArray
    excess: FloatArray

    @property
    def end(self) -> int:
        """Index behind its last record."""
        return self.first + len(self.rows)

    @classmethod
    def fresh(
        cls, rows: FloatArray, priced: Priced, goals: Goals, *, generation: int, first: int, told: int
    ) -> Batch:
        """A batch of which nothing is recorded yet."""
        return cls(
            generation=generation,
            first=first,
            told=told,
            rows=rows,
            priced=priced,
            objectives=np.full((len(rows), len(goals.objectives)), np.nan),
            violation=np.zeros(len(rows)),
            excess=np.full((len(rows), len(goals.trained_constraints)), np.nan),
        )

    def worthy(self, index: int) -> bool:
        """Whether a candidate keeps all constraints that are known, so that it is worth an evaluation."""
        return bool(self.priced.total[index - self.first] == 0)

    def identifier(self, index: int) -> str:
        """The id of a candidate."""
        return self.priced.described[index - self.first][0]

    def task(self, index: int) -> Task:
        """The evaluation of a candidate."""
        identifier, assignment = self.priced.described[index - self.first]
        metrics = self.priced.metrics(index - self.first)
        known = {key: value for key, value in metrics.items() if value is not None}
        return Task(identifier, assignment, told=self.told, known=known)

    def record(self, index: int, goals: Goals, outcome: Outcome | None) -> Record:
        """The record of a candidate; see `make_record`."""
        return make_record(
            self.priced,
            index - self.first,
            goals,
            index=index,
            generation=self.generation,
            outcome=outcome,
        )

    def report(self, index: int) -> dict[str, Any] | None:
        """The cost report of a candidate."""
        return self.priced.estimates.report(index - self.first)

    def enter(self, index: int, goals: Goals, record: Mapping[str, Any]) -> None:
        """Fill in what the algorithm will be told of a record."""
        position = index - self.first
        self.objectives[position] = minimised(record, goals)
        self.violation[position] = sum(record["violations"].values())
        self.excess[position] = goals.trained_excess(record["metrics"])

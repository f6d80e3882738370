"""The growing result of a run: front, hypervolume, and what was counted; the records themselves stay in their file."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from hannah_hw.errors import RunError
from hannah_hw.search.hypervolume import reference_point, relative_hypervolume
from hannah_hw.search.metrics import Goals
from hannah_hw.search.observers import Front, Progress, Record
from hannah_hw.search.protocols import FloatArray

#: Share of a run's time that may be spent on showing the hypervolume of a front that grows.
_SHOWING: Final = 0.1


class Archive:
    """What follows from the records of a run, taken in one by one.

    Args:
        goals: Objectives and constraints.
        budget: Candidates that may be charged.
        records: Where records can be read again, by their index.
        hardware: Assignment -> param of the target -> its value as a person reads it; None where none are searched.

    Attributes:
        goals: Objectives and constraints.
        budget: Candidates that may be charged.
        size: Records taken in.
        members: Indices of the non-dominated records with status ``ok``, oldest first.
        reference: (M,) reference point in minimised objectives; None until `fix_reference` found a result.
        generation: Number of the generation that records are taken in from.
    """

    def __init__(
        self,
        goals: Goals,
        budget: int,
        records: Sequence[Record],
        hardware: Callable[[Mapping[str, Any]], Mapping[str, str]] | None = None,
    ) -> None:
        self.goals = goals
        self.budget = budget
        self.size = 0
        self.members: list[int] = []
        self.reference: FloatArray | None = None
        self.generation = 0
        self._records = records
        self._points: FloatArray = np.zeros((0, len(goals.objectives)))
        self._ids: list[str] = []
        self._early: list[FloatArray] = []
        self._hardware = hardware
        self._chips: dict[int, Mapping[str, str]] = {}
        self._counts: Counter[str] = Counter()
        self._charged = 0
        self._replayed = 0
        self._started = time.monotonic()
        self._hypervolume: float | None = None
        self._stale = False
        self._shown, self._showing_s = self._started, 0.0

    @property
    def evaluations(self) -> int:
        """Candidates charged so far."""
        return self._charged

    @property
    def front(self) -> list[Record]:
        """Non-dominated records with status ``ok``, oldest first, read again."""
        return [self._records[index] for index in self.members]

    def count(self, status: str) -> int:
        """Records with a status."""
        return self._counts[status]

    def add(self, record: Record, *, replayed: bool = False) -> bool:
        """Take in the next record; whether it is on the front."""
        index = self.size
        self.size += 1
        self._counts[record["status"]] += 1
        self._charged += charged(record)
        self._replayed += replayed and charged(record)
        if record["status"] != "ok":
            return False
        point = minimised(record, self.goals)
        if self.reference is None:
            self._early.append(point)
        if ((self._points <= point).all(axis=1) & (self._points < point).any(axis=1)).any():
            return False
        kept = (self._points < point).any(axis=1) | (self._points == point).all(axis=1)
        self._points = np.concatenate([self._points[kept], point[None]])
        if not kept.all():
            for member, stays in zip(self.members, kept, strict=True):
                if not stays:
                    self._chips.pop(member, None)
            self.members = [m for m, stays in zip(self.members, kept, strict=True) if stays]
            self._ids = [name for name, stays in zip(self._ids, kept, strict=True) if stays]
        self.members.append(index)
        self._ids.append(record["id"])
        if self._hardware is not None:
            self._chips[index] = self._hardware(record["assignment"])
        self._stale = True
        return True

    def fix_reference(self) -> None:
        """At the end of a generation: fix the reference point, once there is a result to fix it by.

        A coordinate is the worst value that the constraints allow; where they allow any, `reference_point` of
        the results so far.
        """
        if self.reference is None and self._early:
            corner = self.goals.corner
            worst = reference_point(np.array(self._early))
            self.reference = np.where(np.isnan(corner), worst, corner)
            self._early = []

    def hypervolume(self) -> float | None:
        """`relative_hypervolume` of the front as it is now; None until the reference point is fixed."""
        if self.reference is not None and (self._stale or self._hypervolume is None):
            before = time.monotonic()
            self._hypervolume = relative_hypervolume(self._points, self.reference)
            self._stale = False
            self._shown = time.monotonic()
            self._showing_s = self._shown - before
        return self._hypervolume

    def progress(self, estimated: int = 0, feasible: int = 0, *, exact: bool = False) -> Progress:
        """The present numbers.

        Args:
            estimated: Candidates priced.
            feasible: Of them, those that keep every constraint known before an evaluation.
            exact: Whether the hypervolume must be that of the present front; see `Progress`.
        """
        now = time.monotonic()
        elapsed = now - self._started
        fresh = self._charged - self._replayed
        if exact or self._hypervolume is None or (now - self._shown) * _SHOWING >= self._showing_s:
            self.hypervolume()
        return Progress(
            generation=self.generation,
            evaluations=self._charged,
            budget=self.budget,
            failed=self._counts["failed"],
            infeasible=self._counts["infeasible"],
            estimated=estimated,
            feasible_share=feasible / estimated if estimated else 0.0,
            hypervolume=self._hypervolume,
            front_size=len(self.members),
            elapsed_s=elapsed,
            left_s=elapsed / fresh * (self.budget - self._charged) if fresh else None,
            stopped=self._counts["stopped"],
            hardware=self._chip_values(),
            front=Front(self.goals.objectives, tuple(self._ids), self._points),
        )

    def _chip_values(self) -> dict[str, tuple[str, ...]]:
        """Param -> its values on the front, the most frequent first."""
        found: dict[str, Counter[str]] = {}
        for chip in self._chips.values():
            for name, text in chip.items():
                found.setdefault(name, Counter())[text] += 1
        return {name: tuple(text for text, _ in counts.most_common()) for name, counts in found.items()}


def charged(record: Mapping[str, Any]) -> bool:
    """Whether a record counts against the budget.

    Everything does but the candidates that the estimate alone ruled out; one whose training showed that it
    breaks a bound on the error has an error, and was paid for. What is said of one that is the same network as another
    was paid for with that.
    """
    if record.get("same_as") is not None:
        return False
    return record["status"] != "infeasible" or record["metrics"].get("error") is not None


def check_log(records: Iterable[Mapping[str, Any]], goals: Goals, where: str) -> int:
    """Check that what a run reads from the records of its log is there.

    Args:
        records: The log.
        goals: Objectives and constraints.
        where: Its file, for the message.

    Returns:
        How many of them are charged.

    Raises:
        RunError: A record is damaged, or was written by another version; names its line.
    """
    spent = 0
    for number, record in enumerate(records, 1):
        try:
            if record["status"] not in ("ok", "infeasible", "failed", "stopped"):
                raise ValueError(f"unknown status {record['status']!r}")
            point = minimised(record, goals)
            if record["status"] == "ok" and not np.isfinite(point).all():
                raise ValueError("an objective is missing")
            spent += charged(record)
            float(sum(record["violations"].values()))
            record["id"], record["reason"], record["generation"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(
                f"{where}:{number} is damaged, or of another version ({type(error).__name__}: {error}); "
                "delete this line and what follows, then --resume"
            ) from error
    return spent


def minimised(record: Mapping[str, Any], goals: Goals) -> FloatArray:
    """(M,) objectives of a record, sign turned where one is maximised; NaN where it has none."""
    values = [record["objectives"].get(name) for name in goals.objectives]
    return np.array([np.nan if v is None else float(v) for v in values]) * goals.signs

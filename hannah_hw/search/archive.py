"""The growing result of a run: records, front, hypervolume, and the numbers that a progress display shows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from hannah_hw.errors import RunError
from hannah_hw.search.hypervolume import reference_point, relative_hypervolume
from hannah_hw.search.metrics import Goals
from hannah_hw.search.protocols import FloatArray

Record = dict[str, Any]
#: Why a run ended.
Ending = Literal["budget", "exhausted"]


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        generation: Number of the current generation, from 0.
        evaluations: Candidates charged so far.
        budget: Candidates that may be charged.
        failed: Of the charged ones, those that failed.
        infeasible: Records of infeasible candidates.
        estimated: Candidates priced, screened offspring included.
        feasible_share: Share of the priced ones that keep every constraint known before training.
        hypervolume: `relative_hypervolume` of the front; None until the reference point is fixed.
        front_size: Candidates on the front.
        elapsed_s: Seconds since this process started the run.
        left_s: Estimated seconds to the end; None while nothing was evaluated by this process.
        hardware: Of a search for hardware too: param of the target -> its values on the front, as a person reads them.
    """

    generation: int
    evaluations: int
    budget: int
    failed: int
    infeasible: int
    estimated: int
    feasible_share: float
    hypervolume: float | None
    front_size: int
    elapsed_s: float
    left_s: float | None
    hardware: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Observer(Protocol):
    """Follows a run. Every method is called in the process that runs the search, between evaluations."""

    def on_start(self, progress: Progress, /) -> None:
        """The run begins or continues."""
        ...

    def on_record(self, record: Record, progress: Progress, /) -> None:
        """A record was written; not called for records read back from the log."""
        ...

    def on_generation(self, progress: Progress, /) -> None:
        """The algorithm was told a whole batch."""
        ...

    def on_end(self, progress: Progress, ending: Ending | None, /) -> None:
        """The run is over; `ending` is None if an error or an interrupt ended it."""
        ...


@runtime_checkable
class LegalizationObserver(Protocol):
    """An observer of a run that is also told what narrowing the space to the target did, before the run begins."""

    def on_legalized(self, text: str, /) -> None:
        """The space was narrowed; the text says by what."""
        ...


@dataclass
class Archive:
    """Records of a run in order, and what follows from them.

    Attributes:
        goals: Objectives and constraints.
        budget: Candidates that may be charged.
        records: All records.
        front: Non-dominated records with status ``ok``, oldest first.
        reference: (M,) reference point in minimised objectives; None until `fix_reference` found a result.
        hardware: Assignment -> param of the target -> its value as a person reads it; None where none are searched.
    """

    goals: Goals
    budget: int
    records: list[Record] = field(default_factory=list)
    front: list[Record] = field(default_factory=list)
    reference: FloatArray | None = None
    generation: int = 0
    estimated: int = 0
    feasible: int = 0
    hardware: Callable[[Mapping[str, Any]], Mapping[str, str]] | None = None

    def __post_init__(self) -> None:
        self._points: FloatArray = np.zeros((0, len(self.goals.objectives)))
        self._counts: Counter[str] = Counter()
        self._charged = 0
        self._replayed = 0
        self._hypervolume: float | None = None
        self._started = time.monotonic()

    @property
    def evaluations(self) -> int:
        """Candidates charged so far."""
        return self._charged

    def count(self, status: str) -> int:
        """Records with a status."""
        return self._counts[status]

    def add(self, record: Record, *, replayed: bool = False) -> None:
        """Take in the next record."""
        self.records.append(record)
        self._counts[record["status"]] += 1
        self._charged += charged(record)
        self._replayed += replayed and charged(record)
        if record["status"] != "ok":
            return
        point = minimised(record, self.goals)
        if ((self._points <= point).all(axis=1) & (self._points < point).any(axis=1)).any():
            return
        beaten = np.asarray((self._points >= point).all(axis=1) & (self._points > point).any(axis=1))
        self._points = np.concatenate([self._points[~beaten], point[None]])
        self.front = [r for r, gone in zip(self.front, beaten, strict=True) if not gone] + [record]
        self._update()

    def fix_reference(self) -> None:
        """At the end of a generation: fix the reference point, once there is a result to fix it by.

        A coordinate is the worst value that the constraints allow; where they allow any, `reference_point` of
        the results so far.
        """
        if self.reference is not None:
            return
        points = [minimised(record, self.goals) for record in self.records if record["status"] == "ok"]
        if points:
            corner = self.goals.corner
            self.reference = np.where(np.isnan(corner), reference_point(np.array(points)), corner)
            self._update()

    def _update(self) -> None:
        if self.reference is not None:
            self._hypervolume = relative_hypervolume(self._points, self.reference)

    def progress(self) -> Progress:
        """The present numbers."""
        elapsed = time.monotonic() - self._started
        fresh = self._charged - self._replayed
        return Progress(
            generation=self.generation,
            evaluations=self._charged,
            budget=self.budget,
            failed=self._counts["failed"],
            infeasible=self._counts["infeasible"],
            estimated=self.estimated,
            feasible_share=self.feasible / self.estimated if self.estimated else 0.0,
            hypervolume=self._hypervolume,
            front_size=len(self.front),
            elapsed_s=elapsed,
            left_s=elapsed / fresh * (self.budget - self._charged) if fresh else None,
            hardware=self._hardware(),
        )

    def _hardware(self) -> dict[str, tuple[str, ...]]:
        """Param -> its values on the front, the most frequent first."""
        found: dict[str, Counter[str]] = {}
        if self.hardware is None:
            return {}
        for record in self.front:
            for name, text in self.hardware(record["assignment"]).items():
                found.setdefault(name, Counter())[text] += 1
        return {name: tuple(text for text, _ in counts.most_common()) for name, counts in found.items()}


def charged(record: Mapping[str, Any]) -> bool:
    """Whether a record counts against the budget.

    Everything does but the candidates that the estimate alone ruled out; one whose training showed that it
    breaks a bound on the error has an error, and was paid for.
    """
    return record["status"] != "infeasible" or record["metrics"].get("error") is not None


def check_log(records: Sequence[Mapping[str, Any]], goals: Goals, where: str) -> None:
    """Check that what a run reads from the records of its log is there.

    Args:
        records: The log.
        goals: Objectives and constraints.
        where: Its file, for the message.

    Raises:
        RunError: A record is damaged, or was written by another version; names its line.
    """
    for number, record in enumerate(records, 1):
        try:
            if record["status"] not in ("ok", "infeasible", "failed"):
                raise ValueError(f"unknown status {record['status']!r}")
            point = minimised(record, goals)
            if record["status"] == "ok" and not np.isfinite(point).all():
                raise ValueError("an objective is missing")
            charged(record)
            float(sum(record["violations"].values()))
            record["id"], record["reason"], record["generation"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(
                f"{where}:{number} is damaged, or of another version ({type(error).__name__}: {error}); "
                "delete this line and what follows, then --resume"
            ) from error


def minimised(record: Mapping[str, Any], goals: Goals) -> FloatArray:
    """(M,) objectives of a record, sign turned where one is maximised; NaN where it has none."""
    values = [record["objectives"].get(name) for name in goals.objectives]
    return np.array([np.nan if v is None else float(v) for v in values]) * goals.signs

"""Finalists: the front of a search is fine-tuned before anybody takes a model away.

`hannah_hw.scoring.finetune` says how. The records are in ``finalists.jsonl`` of the run, the models in
``artifacts/ID.tuned.onnx``; the log of the search is not touched. What fine-tuning changes about a record is computed
from both, the same in a run, in its report and in what is exported.

The search does not see it, so finalists may be asked for when a search is finished. A record holds the options that it
was made with: with others its candidate is fine-tuned anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from hannah_hw.search.archive import minimised
from hannah_hw.search.evaluators import ScoringEvaluator
from hannah_hw.search.follow_up import FollowUp
from hannah_hw.search.metrics import BALANCED, Goals
from hannah_hw.search.observers import Record
from hannah_hw.search.one_shot import by_supernet
from hannah_hw.search.protocols import Evaluator, FloatArray, Problem
from hannah_hw.search.record_log import RecordLog
from hannah_hw.search.rundir import WEIGHTS
from hannah_hw.search.settling import front_of
from hannah_hw.search.tasks import Executor, Task

if TYPE_CHECKING:
    from hannah_hw.scoring.finetune import Start
    from hannah_hw.search.config import SearchConfig


@runtime_checkable
class FinalistObserver(Protocol):
    """An observer of a run that also follows its finalists."""

    def on_finalist(self, done: int, total: int, /) -> None:
        """So many of the finalists have a record; also called before the first."""
        ...


@dataclass(kw_only=True)
class FinalistEvaluator(ScoringEvaluator):
    """Fine-tunes a candidate; see `hannah_hw.search.protocols.Evaluator`.

    Attributes:
        finalists: Options of `hannah_hw.scoring.finetune.Finalists`.
        supernet: File of a supernet, whose weights finalists begin with; None: those that the search trained.
        statistics: Training samples from which running statistics of its networks are computed.
    """

    finalists: Mapping[str, Any]
    supernet: Path | None = None
    statistics: int = 0
    _begin: Start | None = field(default=None, repr=False)

    def start(self) -> None:
        """Load the space, the data and the supernet, and train on one thread."""
        from hannah_hw.scoring.finetune import Start
        from hannah_hw.scoring.shared_weights import load_supernet, statistics_batches
        from hannah_hw.scoring.stages import Stages

        super().start()
        if self._loaded is None:
            raise RuntimeError("nothing was loaded")
        space, data, _ = self._loaded
        self._begin = Start(Stages(self.shares, self.weights))
        if self.supernet is not None:
            batches = statistics_batches(data, self.statistics)
            self._begin = Start(supernet=load_supernet(space, self.supernet), statistics=batches)

    def evaluate(self, task: Task, /) -> dict[str, Any]:
        """Fine-tune one candidate."""
        from hannah_hw.scoring.finetune import Finalists, finetune_candidate

        if self._loaded is None or self._begin is None:
            raise RuntimeError("start() was not called")
        space, data, training = self._loaded
        options, network = Finalists(**self.finalists), self._network(task)
        return finetune_candidate(
            space, network, data, training, options, self.seed, self.artifacts, self._begin, self.precision
        )

    def moved(self, folder: Path, /) -> FinalistEvaluator:
        """The same with its models, weights and supernet in another folder."""
        weights = None if self.weights is None else folder / self.weights.name
        supernet = None if self.supernet is None else folder / self.supernet.name
        return replace(
            self,
            artifacts=folder / self.artifacts.name,
            weights=weights,
            supernet=supernet,
            _loaded=None,
            _begin=None,
        )

    def reads(self, task: Task, /) -> list[str]:
        """Weights that the search kept, or the supernet."""
        return super().reads(task) if self.supernet is None else [self.supernet.name]


class Tuning(FollowUp):
    """Fine-tunes candidates that have no record of it yet, and keeps the records; see `FollowUp`.

    A record has ``tuned`` (what `hannah_hw.scoring.finetune.finetune_candidate` gives; None after a failure) and
    ``options``.

    Args:
        log: Where they are kept.
        executor: Runs a `FinalistEvaluator`.
        options: Of the fine-tuning.
        observers: Of the run; those that are a `FinalistObserver` are told.

    Attributes:
        count: How many finalists there are; None: all of the front.
    """

    left = "finalists to train"

    def __init__(
        self,
        log: RecordLog,
        executor: Executor,
        options: Mapping[str, Any],
        observers: Sequence[object] = (),
    ) -> None:
        self.count: int | None = options.get("count")
        self._options = {name: value for name, value in options.items() if name != "count"}
        super().__init__(log, executor)
        self._following = [observer for observer in observers if isinstance(observer, FinalistObserver)]

    def _counts(self, record: Record) -> bool:
        return bool(record.get("options") == self._options)

    def _given(self, metrics: Mapping[str, Any] | None) -> Mapping[str, Any]:
        return {"tuned": None if metrics is None else dict(metrics), "options": self._options}

    def _told(self, done: int, total: int) -> None:
        for observer in self._following:
            observer.on_finalist(done, total)


@dataclass(frozen=True)
class Evaluators:
    """What trains the candidates of a run.

    Attributes:
        evaluator: In the search; None if nothing is trained.
        tuner: After it; None if there are no finalists.
    """

    evaluator: Evaluator | None
    tuner: FinalistEvaluator | None = None


def following(
    config: SearchConfig,
    evaluator: Evaluator | None,
    problem: Problem,
    goals: Goals,
    observers: Sequence[object] = (),
) -> Evaluators:
    """What the sections ``supernet`` and ``finalists`` make of what trains candidates; a supernet is trained here.

    The models of a supernet's networks are those of finalists, so that it has them in any case.

    Args:
        config: The configuration of the run.
        evaluator: What trains candidates without them.
        problem: The space and its prices.
        goals: Of the search.
        observers: Of the run.

    Raises:
        RunError: The supernet cannot be trained.
    """
    if not isinstance(evaluator, ScoringEvaluator) or (config.supernet is None and config.finalists is None):
        return Evaluators(evaluator)
    from hannah_hw.scoring.finetune import Finalists

    shared = None
    if config.supernet is not None:
        shared = by_supernet(evaluator, config.supernet, problem, goals, observers)
    else:
        evaluator = replace(evaluator, weights=evaluator.folder / WEIGHTS, keep=True)
    same = {f.name: getattr(evaluator, f.name) for f in fields(evaluator) if f.name != "_loaded"}
    tuner = FinalistEvaluator(
        **same,
        finalists=Finalists(**(config.finalists or {})).model_dump(),
        supernet=None if shared is None else shared.supernet,
        statistics=0 if shared is None else shared.statistics,
    )
    return Evaluators(evaluator if shared is None else shared, tuner)


def furthest_apart(front: Sequence[Record], goals: Goals, count: int | None) -> list[Record]:
    """Members of a front that are spread over it, in its order.

    The best of each objective come first, then again and again the member that is furthest from all that were chosen,
    where every objective runs from 0 to 1 over the front.

    Args:
        front: Records with status ``ok``.
        goals: Their objectives.
        count: How many; None: all.
    """
    if count is None or len(front) <= count:
        return list(front)
    points: FloatArray = np.array([minimised(record, goals) for record in front])
    low, high = points.min(axis=0), points.max(axis=0)
    points = (points - low) / np.where(high > low, high - low, 1.0)
    chosen = list(dict.fromkeys(int(best) for best in points.argmin(axis=0)))[:count]
    nearest = np.linalg.norm(points[:, None] - points[None, chosen], axis=2).min(axis=1)
    while len(chosen) < count:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return [front[position] for position in sorted(chosen)]


@dataclass(frozen=True)
class Finals:
    """What fine-tuning left of a front.

    Attributes:
        front: Its members, as `tuned` says; oldest first.
        finalists: Records of fine-tuning.
    """

    front: list[Record]
    finalists: list[Record] = field(default_factory=list)

    def applied(self, records: Sequence[Record], goals: Goals) -> Sequence[Record]:
        """Records of the search as fine-tuning left them."""
        if not self.finalists:
            return records
        known = {finalist["id"]: finalist for finalist in self.finalists}
        return [tuned(record, known.get(record["id"]), goals) for record in records]


def tune_front(front: Sequence[Record], goals: Goals, tuning: Tuning, *, alone: bool) -> Finals:
    """Fine-tune a front.

    Members only get better, so that what they dominated stays dominated; among themselves they are compared anew.

    Args:
        front: Of the search.
        goals: Of the search.
        tuning: Fine-tunes and keeps the records of it.
        alone: Whether finalists alone can be on the front, as those of a supernet: no other has a model of its own.

    Raises:
        RunError: See `FollowUp.run`.
    """
    finalists = furthest_apart(front, goals, tuning.count)
    found = {record["id"]: record for record in tuning.run(finalists)}
    now = [tuned(record, found.get(record["id"]), goals) for record in front]
    if alone:
        now = [record for record in now if "searched" in record]
    return Finals(front_of(now, goals), list(found.values()))


def tuned(record: Record, finalist: Mapping[str, Any] | None, goals: Goals) -> Record:
    """A record as fine-tuning leaves it.

    Args:
        record: Of the search; not changed.
        finalist: Its record; None where the candidate is no finalist.
        goals: Of the search.

    Returns:
        The record itself where fine-tuning gave nothing. Otherwise its errors are those of the better model and its
        artifact is that model, ``searched`` keeps the errors that the search saw, and it is ``infeasible`` where the
        error breaks a bound.
    """
    found = None if finalist is None else finalist.get("tuned")
    if found is None or found.get("artifact") is None or record["status"] != "ok":
        return record
    errors = {key: float(found[key]) for key in ("error", "test_error")}
    # Figures that count every class alike are of the model that the search saw.
    kept = {key: value for key, value in record["metrics"].items() if not key.endswith(BALANCED)}
    metrics = {**kept, **errors}
    objectives = {name: errors.get(name, value) for name, value in record["objectives"].items()}
    violations = {**record.get("violations", {}), **goals.trained_violations(metrics)}
    changed = {
        **record,
        "objectives": objectives,
        "metrics": metrics,
        "violations": violations,
        "artifact": found["artifact"],
        "searched": {key: record["metrics"].get(key) for key in errors},
    }
    if any(violations.values()):
        message = "the error after fine-tuning breaks a bound"
        changed |= {"status": "infeasible", "reason": {"kind": "tuned", "message": message}}
    return changed

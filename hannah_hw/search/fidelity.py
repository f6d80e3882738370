"""Successive halving: candidates are trained in stages, and only the better ones go on to the next.

After each stage but the last, a candidate is compared with those that were known when it was asked for and that reached
the same stage: by constrained non-dominated rank and crowding of its objectives there. Of every `factor`, the best goes
on; as long as few are known, all do. (Jamieson and Talwalkar, "Non-stochastic best arm identification", AISTATS 2016;
decided one by one, as in Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020.)

What decides is known from the records alone, so that neither the number of workers nor an interruption changes it.

A candidate that is stopped is recorded as ``stopped``: it is never on the front. Its ``error`` is the one that the
search expects after the whole training, and what the algorithm is told: the error of its last stage times the median
of (error at the end) / (error at that stage) of those that were trained to the end. ``share`` says how much of the
training it had, ``error_stage_1`` and so on what was measured after each stage.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from pydantic import BeforeValidator, Field

from hannah_hw.search.dominance import crowding, sort_fronts
from hannah_hw.search.metrics import METRICS, Goals
from hannah_hw.search.protocols import FloatArray
from hannah_hw.search.sections import Strict, as_bytes
from hannah_hw.search.tasks import Executor, Outcome, Remembers, Task

#: Results of a stage that a candidate is compared with: the latest that were known. Comparing costs their square.
WINDOW: Final = 512


class FidelitySection(Strict):
    """How candidates are trained in stages.

    Attributes:
        stages: Number of stages.
        factor: Each stage ends at this multiple of the training of the one before, and one candidate in `factor` goes
            on to it.
        least: Results of a stage without which every candidate goes on.
        inherit: Whether a candidate begins with the weights of the trained one that has most in common with it; see
            `hannah_hw.search.inheriting`.
        weights: Most bytes of weights that are kept for that.
    """

    stages: Annotated[int, Field(ge=1, le=6)] = 3
    factor: Annotated[int, Field(ge=2, le=10)] = 3
    least: Annotated[int, Field(ge=1, le=1000)] = 6
    inherit: bool = False
    weights: Annotated[int, BeforeValidator(as_bytes), Field(ge=0)] = 256 << 20

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the whole training that is done after each stage."""
        return tuple(float(self.factor) ** -left for left in reversed(range(self.stages)))


@dataclass
class _Underway:
    """A task that was submitted: what is known of it so far."""

    task: Task
    errors: list[float] = field(default_factory=list)
    weights: str | None = None
    started: datetime | None = None
    wall_s: float = 0.0


@dataclass(frozen=True)
class _Result:
    """What became of a record: its objectives without the error, the errors of its stages, and the error at its end."""

    objectives: FloatArray
    errors: tuple[float, ...]
    final: float | None


class Halving:
    """Runs tasks in stages; see the module. Its outcomes are those of the last stage that a candidate had.

    Args:
        executor: Runs the stages: tasks with a share.
        goals: Objectives and constraints.
        section: How.
        discard: Called with the name of the file of weights (``weights`` among the metrics) of a candidate that is
            stopped, or fails after its first stage.
    """

    def __init__(
        self,
        executor: Executor,
        goals: Goals,
        section: FidelitySection,
        discard: Callable[[str], None] | None = None,
    ) -> None:
        self._executor = executor
        self._goals = goals
        self._shares = section.shares
        self._factor = section.factor
        self._least = section.least
        self._discard = discard
        self._underway: dict[int, _Underway] = {}
        self._results: dict[int, _Result] = {}

    def submit(self, index: int, task: Task, /) -> None:
        """See `hannah_hw.search.tasks.Executor.submit`."""
        self._underway[index] = _Underway(task)
        self._executor.submit(index, replace(task, share=self._shares[0]))

    def wait(self) -> tuple[int, Outcome]:
        """See `hannah_hw.search.tasks.Executor.wait`."""
        while True:
            index, outcome = self._executor.wait()
            candidate = self._underway[index]
            candidate.started = candidate.started or outcome.started
            candidate.wall_s += outcome.wall_s
            whole = replace(outcome, started=candidate.started, wall_s=candidate.wall_s)
            error = outcome.metrics.get("error")
            if outcome.reason is not None or not isinstance(error, int | float) or not np.isfinite(error):
                # The engine records it as a failure.
                self._let_go(candidate)
                del self._underway[index]
                return index, whole
            stage = len(candidate.errors)
            last = stage == len(self._shares) - 1
            if not last:
                candidate.errors.append(float(error))
                candidate.weights = outcome.metrics.get("weights")
                if self._goes_on(candidate, stage):
                    self._executor.submit(index, replace(candidate.task, share=self._shares[stage + 1]))
                    continue
            del self._underway[index]
            metrics = dict(outcome.metrics)
            metrics.pop("weights", None)
            if not last:
                self._let_go(candidate)
                metrics["error"] = self._expected(candidate, stage)
            metrics["share"] = self._shares[stage]
            metrics |= {_stage_key(at): value for at, value in enumerate(candidate.errors)}
            self._learn(index, candidate.task, metrics)
            return index, replace(whole, metrics=metrics)

    def room(self) -> int:
        """See `hannah_hw.search.tasks.Executor.room`."""
        return self._executor.room()

    def close(self) -> None:
        """See `hannah_hw.search.tasks.Executor.close`."""
        self._underway.clear()
        self._executor.close()

    def remember(self, index: int, task: Task, outcome: Outcome, /) -> None:
        """See `hannah_hw.search.tasks.Remembers.remember`."""
        if outcome.reason is None and "share" in outcome.metrics:
            self._learn(index, task, outcome.metrics)
        if isinstance(self._executor, Remembers):
            self._executor.remember(index, task, outcome)

    def _let_go(self, candidate: _Underway) -> None:
        """Nobody trains a candidate any further."""
        if candidate.weights is not None and self._discard is not None:
            # A worker names it, perhaps one on another machine: it has no say in the folder.
            self._discard(Path(str(candidate.weights)).name)

    def _learn(self, index: int, task: Task, metrics: Any) -> None:
        names = self._goals.objectives
        values = [task.known.get(METRICS[name].key, np.inf) for name in names]
        errors = [metrics[_stage_key(at)] for at in range(len(self._shares)) if _stage_key(at) in metrics]
        final = float(metrics["error"]) if metrics["share"] == 1.0 else None
        self._results[index] = _Result(np.array(values, float), tuple(errors), final)

    def _known(self, told: int, stage: int) -> list[_Result]:
        """Results of a stage among the records that were told, the latest at most."""
        found = [
            result
            for index, result in sorted(self._results.items())
            if index < told and len(result.errors) > stage
        ]
        return found[-WINDOW:]

    def _goes_on(self, candidate: _Underway, stage: int) -> bool:
        """Whether a candidate is among the best of its stage."""
        known = self._known(candidate.task.told, stage)
        if len(known) < self._least:
            return True
        values = [candidate.task.known.get(METRICS[name].key, np.inf) for name in self._goals.objectives]
        objectives = np.stack([*(result.objectives for result in known), np.array(values, float)])
        errors = np.array([*(result.errors[stage] for result in known), candidate.errors[stage]])
        for column, name in enumerate(self._goals.objectives):
            if METRICS[name].key == "error":
                objectives[:, column] = errors
        objectives = objectives * self._goals.signs
        violation = np.array([sum(self._goals.trained_violations({"error": e}).values()) for e in errors])
        rank = sort_fronts(objectives, violation)
        room = crowding(objectives, rank)
        better = (rank < rank[-1]) | ((rank == rank[-1]) & (room > room[-1]))
        return bool(better.sum() < len(errors) / self._factor)

    def _expected(self, candidate: _Underway, stage: int) -> float:
        """The error that a candidate would end at, from that of a stage."""
        ratios = [
            result.final / result.errors[stage]
            for result in self._known(candidate.task.told, stage)
            if result.final is not None and result.errors[stage] > 0
        ]
        scale = float(np.median(ratios)) if ratios else 1.0
        return min(1.0, candidate.errors[stage] * scale)


def _stage_key(stage: int) -> str:
    """Metric of the error after a stage that was not the last."""
    return f"error_stage_{stage + 1}"


def discard(file: Path) -> None:
    """Remove weights that are no longer needed, and their folder with the last of them."""
    file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        # Others are in it, or a worker is about to write there.
        file.parent.rmdir()

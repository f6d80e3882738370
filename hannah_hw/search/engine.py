"""The loop: ask, estimate, screen, evaluate, record, tell; and the replay that makes a run resumable."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from hannah_hw.errors import RunError
from hannah_hw.search.algorithms import Algorithm, make_algorithm
from hannah_hw.search.archive import Archive
from hannah_hw.search.batches import Batch
from hannah_hw.search.failures import Failures
from hannah_hw.search.metrics import Goals
from hannah_hw.search.observers import Ending, Observer, Progress, Record, StopSearch
from hannah_hw.search.outlook import EstimateOutlook, Predictor
from hannah_hw.search.preference import preferred_violation
from hannah_hw.search.protocols import Problem
from hannah_hw.search.recording import outcome_of, price
from hannah_hw.search.replaying import check_state, digest, other_run
from hannah_hw.search.store import Scratch, Store
from hannah_hw.search.tasks import Executor, Outcome, Remembers

#: Estimates without a new feasible candidate after which a run gives up.
PATIENCE: Final = 20_000
#: Estimates without coming closer to a first feasible candidate after which a run gives up.
STAGNATION: Final = 4_000
#: Records of a search without training that have a cost report each; of later ones only those that reach the front,
#: as a report takes as long as the prices of many candidates.
REPORTED: Final = 1_000
#: Seconds between two summaries of where a run stands, at least; the last one is always written.
SUMMARY_INTERVAL: Final = 1.0


class Engine:
    """One run of a search.

    The algorithm is asked for batches whose size depends on the algorithm alone. A batch is priced at once; what
    violates a constraint known from the estimate is recorded as infeasible and costs nothing; the rest is evaluated
    and charged. Outcomes are taken as they come, records written in the order of asking, and one that must wait for
    an earlier one is kept beside the log. When only estimated metrics matter nothing is evaluated, and a feasible
    candidate is charged for being recorded.

    The lag makes results independent of the number of workers and of their speed, and lets them work on while
    stragglers finish: when the batch that begins at record a is asked for, the algorithm has been told exactly the
    records before a - lag, no fewer and no more. Replaying a log therefore leads to the same state.

    Args:
        problem: The space and its prices.
        goals: Objectives and constraints.
        algorithm: See `hannah_hw.search.algorithms.find_algorithm`.
        options: Of the algorithm.
        population: Size of the population.
        evaluations: Candidates that may be charged.
        seed: Fixes the sequence of candidates.
        lag: Records that may be unknown to the algorithm when it is asked for more.
        executor: Evaluates candidates; needed if a goal is about a trained metric.
        store: Where records go, and the run that is continued; None: a new one that is not kept.
        observers: Called as the run goes on.
        predictor: What the algorithm may expect of the objectives that only an evaluation tells.

    Attributes:
        archive: Front, hypervolume and counts so far.
        records: The records, each read when it is asked for.
    """

    def __init__(
        self,
        problem: Problem,
        goals: Goals,
        *,
        algorithm: str | type[Algorithm] = "nsga2",
        options: Mapping[str, Any] = MappingProxyType({}),
        population: int = 32,
        evaluations: int = 200,
        seed: int = 0,
        lag: int = 0,
        executor: Executor | None = None,
        store: Store | None = None,
        observers: Sequence[Observer] = (),
        predictor: Predictor | None = None,
    ) -> None:
        if goals.trained and executor is None:
            raise ValueError("a goal is about a trained metric, but there is no executor")
        self.problem = problem
        self.goals = goals
        self._store: Store = store or Scratch()
        self.records = self._store.records
        self.archive = Archive(goals, evaluations, self.records, getattr(problem, "hardware", None))
        self._outlook = EstimateOutlook(problem, goals, predictor)
        self.algorithm = make_algorithm(
            algorithm,
            problem.encoding,
            len(goals.objectives),
            options,
            population=population,
            seed=seed,
            outlook=self._outlook,
        )
        self._executor = executor if goals.trained else None
        self._observers = observers
        self._lag = lag
        self._old = len(self.records)
        self._kept = dict(self._store.kept())
        self._state = self._store.read_state()
        self._batches: deque[Batch] = deque()
        self._asked = self._told = self._next = self._generations = 0
        self._finished: dict[int, Record] = {}
        self._fresh: list[tuple[Record, Progress | None]] = []
        self._underway = 0
        self._draining = self._over = self._stopped = False
        self._last_feasible = 0
        self._failures = Failures()
        self._written_at = float("-inf")

    def run(self) -> Ending:
        """Search until the budget is spent, nothing new is found or an observer stops it.

        Raises:
            RunError: Nothing feasible is found, every evaluation fails, the log is another run's, or a record
                cannot be written.
            KeyboardInterrupt: Ctrl-C; what was recorded is kept.
        """
        ending: Ending | None = None
        for observer in self._observers:
            self._guard(observer.on_start, self.progress())
        try:
            while (ending := self.advance()) is None:
                if self._executor is None:
                    raise RuntimeError("nothing is evaluated, and yet the run waits")
                self.take(*self._executor.wait())
        finally:
            if self._executor is not None:
                self._executor.close()
            for observer in self._observers:
                observer.on_end(self.progress(exact=True), ending)
        self._store.write_state({**self._summarise(exact=True), "ending": ending})
        return ending

    def advance(self) -> Ending | None:
        """Do all that needs no further outcome: record, submit, ask.

        Returns:
            Why the run ends; None: an outcome of what was submitted is needed.

        Raises:
            RunError: See `run`.
        """
        while True:
            while self._write():
                pass
            if self._stopped:
                return "stopped"
            if not self._charging:
                return "budget"
            if self._submit():
                continue
            settled = self.archive.size == self._asked
            if self._draining and settled and (self._over or self._told == self._asked):
                if not self._outlook.feasible:
                    raise RunError(
                        self._outlook.misses.explain(self._outlook.estimated, exhausted=not self._over)
                    )
                return "exhausted"
            target = self._target()
            if self._left <= 0 or target is None:
                return None
            self._ask(target)

    def take(self, index: int, outcome: Outcome) -> None:
        """Take what became of an evaluation.

        Args:
            index: Of its record.
            outcome: The outcome.
        """
        record = self._finished[index] = self._batch(index).record(index, self.goals, outcome)
        if index > self.archive.size:
            self._store.keep(record)

    def progress(self, *, exact: bool = False) -> Progress:
        """Where the run stands; see `hannah_hw.search.archive.Archive.progress`."""
        progress = self.archive.progress(self._outlook.estimated, self._outlook.feasible, exact=exact)
        standing = self._outlook.standing()
        return progress if standing is None else replace(progress, predictor=standing)

    @property
    def _charging(self) -> bool:
        """Whether a further candidate may be charged."""
        return self.archive.evaluations < self.archive.budget

    @property
    def _left(self) -> int:
        """Evaluations that are neither charged nor under way."""
        return self.archive.budget - self.archive.evaluations - self._underway

    def _target(self) -> int | None:
        """How many records the algorithm must know to be asked for more; None: it is not asked now."""
        target = self._asked - (0 if self._draining else self._lag)
        return target if self.archive.size >= target else None

    def _ask(self, target: int) -> None:
        """Tell the algorithm the records before `target`, and ask it for a batch."""
        self._catch_up(target)
        outlook = self._outlook
        rows = self.algorithm.ask(self.algorithm.batch)
        priced = price(self.problem, self.goals, rows) if len(rows) else None
        if priced is not None and (priced.total == 0).any():
            self._last_feasible = outlook.estimated
        stuck = not outlook.feasible and outlook.estimated - outlook.closer >= STAGNATION
        if stuck or outlook.estimated - self._last_feasible >= PATIENCE:
            self._draining = self._over = True
            return
        # An algorithm that has nothing to ask for is asked once more when it knows everything.
        self._draining = priced is None
        if priced is None:
            return
        self._batches.append(
            Batch.fresh(
                rows,
                priced,
                self.goals,
                generation=self._generations,
                first=self._asked,
                told=self._known,
            )
        )
        self._check()
        self._generations += 1
        self._asked += len(rows)
        now = time.monotonic()
        if self._asked > self._old and now - self._written_at >= SUMMARY_INTERVAL:
            self._written_at = now
            self._store.write_state(self._summarise())

    @property
    def _known(self) -> int:
        """All records of candidates before this one in the order of asking were told."""
        return self._told

    def _check(self) -> None:
        """See whether a replay leads to where the old run was."""
        check_state(self._state, self.algorithm, asked=self._batches[-1].end, told=self._told)

    def _catch_up(self, target: int) -> None:
        """Tell the algorithm the records before `target`, and let go of batches that it knows."""
        while self._told < target:
            batch = self._batch(self._told)
            self._tell(batch, slice(self._told - batch.first, min(target, batch.end) - batch.first))
        while self._batches and self._batches[0].end <= self._told:
            self._batches.popleft()

    def _tell(self, batch: Batch, piece: slice) -> None:
        """Tell records of one batch, given by their places there."""
        rows, objectives, violation = batch.rows[piece], batch.objectives[piece], batch.violation[piece]
        excess = batch.excess[piece] if batch.excess.shape[1] else None
        seen = preferred_violation(self.goals, objectives, violation)
        self.algorithm.tell(rows, objectives, seen, excess=excess)
        self._outlook.learn(batch.priced, piece, rows, objectives, violation)
        self._told += len(rows)

    def _submit(self) -> bool:
        """Submit what the budget allows; whether a record became ready by that."""
        ready = False
        while self._next < self._asked:
            batch = self._batch(self._next)
            if self._next >= self._old and batch.worthy(self._next):
                if self._left <= 0:
                    break
                self._underway += 1
                ready |= self._evaluate(batch, self._next)
            self._next += 1
        return ready

    def _evaluate(self, batch: Batch, index: int) -> bool:
        """Have a candidate evaluated; whether its outcome is there already."""
        if self._executor is None:
            outcome = Outcome({}, None, datetime.now(UTC), 0.0)
            self._finished[index] = batch.record(index, self.goals, outcome)
            return True
        task = batch.task(index)
        record = self._kept.pop(index, None)
        if record is None:
            self._executor.submit(index, task)
            return False
        if record["id"] != task.identifier:
            raise other_run(index)
        self._finished[index] = record
        self._remind(batch, index, record)
        return True

    def _remind(self, batch: Batch, place: int, record: Record) -> None:
        """Tell the executor of an outcome that an earlier process had."""
        if isinstance(self._executor, Remembers) and batch.worthy(place):
            self._executor.remember(place, batch.task(place), outcome_of(record))

    def _write(self) -> bool:
        """Record what is ready, as far as the batch goes that the next record is in; whether anything was."""
        if self.archive.size == self._asked or self._stopped:
            return False
        batch = self._batch(self.archive.size)
        before = self.archive.size
        failure: RunError | None = None
        while self.archive.size < batch.end and self._charging and failure is None:
            index = self.archive.size
            record = self._ready(batch, index)
            if record is None:
                break
            failure = self._enter(batch, index, record)
        self._publish(failure)
        if self.archive.size > before and (self.archive.size == batch.end or not self._charging):
            self._turn(batch.generation + (self.archive.size == batch.end))
        return self.archive.size > before

    def _enter(self, batch: Batch, place: int, record: Record) -> RunError | None:
        """Take in the next record, which is that of a place in the order of asking; an error that ends the run."""
        index = self.archive.size
        on_front = self.archive.add(record, replayed=index < self._old)
        batch.enter(place, self.goals, record)
        if index < self._old:
            return None
        if record["status"] == "ok" and (on_front or self._executor is not None or index < REPORTED):
            record["cost"] = batch.report(place)
        self._fresh.append((record, self.progress() if self._observers else None))
        return self._failures.add(record, self.archive.count("failed"), self.archive.evaluations)

    def _publish(self, failure: RunError | None) -> None:
        """Write what was taken in, then show it."""
        fresh, self._fresh = self._fresh, []
        self._store.append(*(record for record, _ in fresh))
        if not self._finished and not self._kept:
            self._store.release()
        if failure is not None:
            raise failure
        for record, progress in fresh:
            for observer in self._observers:
                self._guard(observer.on_record, record, progress)

    def _turn(self, generation: int) -> None:
        """A generation is over; the number of the next one is given."""
        self.archive.fix_reference()
        for observer in self._observers:
            self._guard(observer.on_generation, self.progress())
        self.archive.generation = generation

    def _ready(self, batch: Batch, index: int) -> Record | None:
        """The next record, if all that belongs in it is known."""
        if index < self._old:
            record = self.records[index]
            if record["id"] != batch.identifier(index):
                raise other_run(index)
            self._remind(batch, index, record)
            return record
        if not batch.worthy(index):
            return batch.record(index, self.goals, None)
        finished = self._finished.pop(index, None)
        self._underway -= finished is not None
        return finished

    def _batch(self, index: int) -> Batch:
        """The batch that a record is in."""
        return next(batch for batch in self._batches if batch.first <= index < batch.end)

    def _guard(self, call: Callable[..., None], *arguments: object) -> None:
        """Call an observer, which may ask for the end."""
        try:
            call(*arguments)
        except StopSearch:
            self._stopped = True

    def _summarise(self, *, exact: bool = False) -> dict[str, Any]:
        """``state.json``: where the run stands, and a digest of what the algorithm knew when it was last asked."""
        reference = self.archive.reference
        return {
            "generation": self.archive.generation,
            "records": self.archive.size,
            "evaluations": self.archive.evaluations,
            "estimated": self._outlook.estimated,
            "feasible": self._outlook.feasible,
            "reference": None if reference is None else (reference * self.goals.signs).tolist(),
            "hypervolume": self.progress(exact=exact).hypervolume,
            "algorithm": self.algorithm.name,
            "asked": self._asked,
            **digest(self.algorithm, self._told),
            "predictor": self._outlook.standing(),
            "ending": None,
        }

"""The loop: ask, estimate, screen, train, record, tell; and the replay that makes a run resumable."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import numpy as np

from hannah_hw.errors import RunError
from hannah_hw.search.algorithms import Algorithm, find_algorithm
from hannah_hw.search.archive import Archive, Ending, Observer, Record, minimised
from hannah_hw.search.metrics import METRICS, Goals
from hannah_hw.search.misses import Misses
from hannah_hw.search.protocols import BandedEstimates, BoolArray, Estimates, FloatArray, Known, Problem
from hannah_hw.search.tasks import Executor, Outcome, Task, run_all

#: Estimates without a new feasible candidate after which a run gives up.
PATIENCE: Final = 20_000
#: Estimates without coming closer to a first feasible candidate after which a run gives up.
STAGNATION: Final = 4_000
#: Failed evaluations, without a single success, after which a run gives up.
FAILURES: Final = 8


class Store(Protocol):
    """Where records go; `hannah_hw.search.rundir.RunDirectory` is one."""

    def append(self, record: Mapping[str, Any], /) -> None:
        """Keep one record."""
        ...

    def write_state(self, state: Mapping[str, Any], /) -> None:
        """Keep the summary after a generation."""
        ...


@dataclass(frozen=True)
class _Batch:
    """What is known about the candidates of one generation before any is trained."""

    estimates: Estimates
    described: Sequence[tuple[str, dict[str, Any]]]
    parts: Mapping[str, FloatArray]
    total: FloatArray
    uncertain: Mapping[str, BoolArray]

    def intervals(self, position: int) -> dict[str, Any]:
        """What a record says of the intervals of a candidate's estimates, where there are any.

        ``bands``: metric key -> relative half width; ``uncertain``: metrics whose interval holds a bound.
        """
        columns = self.estimates.bands if isinstance(self.estimates, BandedEstimates) else {}
        bands = {key: width for key in columns if (width := _plain(columns[key][position])) is not None}
        held = [name for name, column in self.uncertain.items() if column[position]]
        return {"bands": bands, "uncertain": held} if bands else {}


class Engine:
    """One run of a search.

    The run is a sequence of generations. In each, the algorithm is asked for a batch whose size depends on the
    algorithm alone; the batch is priced at once; what violates a constraint known from the estimate is recorded
    as infeasible and costs nothing; the rest is evaluated and charged. Records are written in the order of
    asking, whatever the order in which workers finish, and the algorithm learns from the records, so that
    replaying a log leads to the same state. When only estimated metrics matter nothing is trained, and a
    feasible candidate is charged for being recorded.

    Args:
        problem: The space and its prices.
        goals: Objectives and constraints.
        algorithm: A name in `hannah_hw.search.algorithms.ALGORITHMS`.
        population: Size of the population.
        evaluations: Candidates that may be charged.
        seed: Fixes the sequence of candidates.
        executor: Evaluates candidates; needed if a goal is about a trained metric.
        store: Where records go; None: they are only kept in memory.
        log: Records of the run to continue.
        state: The summary beside that log, to compare with.
        observers: Called as the run goes on.

    Attributes:
        archive: Records, front and hypervolume so far.
    """

    def __init__(
        self,
        problem: Problem,
        goals: Goals,
        *,
        algorithm: str = "nsga2",
        population: int = 32,
        evaluations: int = 200,
        seed: int = 0,
        executor: Executor | None = None,
        store: Store | None = None,
        log: Sequence[Record] = (),
        state: Mapping[str, Any] | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        if goals.trained and executor is None:
            raise ValueError("a goal is about a trained metric, but there is no executor")
        self.problem = problem
        self.goals = goals
        self.archive = Archive(goals, evaluations, hardware=getattr(problem, "hardware", None))
        self.algorithm: Algorithm = find_algorithm(algorithm)(
            problem.encoding, len(goals.objectives), population=population, seed=seed, outlook=self
        )
        self._executor = executor if goals.trained else None
        self._store = store
        self._log = list(log)
        self._state = state
        self._observers = observers
        self._misses = Misses(goals)
        self._last_feasible = 0
        self._last_closer = 0
        self._summary: dict[str, Any] = {}

    def run(self) -> Ending:
        """Search until the budget is spent or nothing new is found.

        Raises:
            RunError: Nothing feasible is found, every evaluation fails, the log is another run's, or a record
                cannot be written.
            KeyboardInterrupt: Ctrl-C; what was recorded is kept.
        """
        ending: Ending | None = None
        for observer in self._observers:
            observer.on_start(self.archive.progress())
        try:
            while ending is None:
                ending = self._generation()
        finally:
            if self._executor is not None:
                self._executor.close()
            for observer in self._observers:
                observer.on_end(self.archive.progress(), ending)
        if self._store is not None and self._summary:
            self._store.write_state({**self._summary, "ending": ending})
        return ending

    def _generation(self) -> Ending | None:
        """One batch, from asking to telling; why the run ends, if it does."""
        archive = self.archive
        if archive.evaluations >= archive.budget:
            return "budget"
        rows = self.algorithm.ask(self.algorithm.batch)
        stuck = not archive.feasible and archive.estimated - self._last_closer >= STAGNATION
        if not len(rows) or stuck or archive.estimated - self._last_feasible >= PATIENCE:
            if not archive.feasible:
                raise RunError(self._misses.explain(archive.estimated, exhausted=not len(rows)))
            return "exhausted"
        batch = self._price(rows)
        if (batch.total == 0).any():
            self._last_feasible = archive.estimated
        feasible = np.flatnonzero(batch.total == 0)
        left = archive.budget - archive.evaluations
        # The rest of a batch is dropped when the budget ends inside it: continuing the run with a larger budget
        # asks for the same batch again and goes on where the log ends.
        end = len(rows) if len(feasible) <= left else int(feasible[left - 1]) + 1
        records = list(self._records(batch, end))
        values = np.array([minimised(record, self.goals) for record in records])
        violation = np.array([sum(record["violations"].values()) for record in records])
        self.algorithm.tell(rows[:end], values, violation)
        archive.fix_reference()
        for observer in self._observers:
            observer.on_generation(archive.progress())
        self._check_state()
        archive.generation += 1
        if len(archive.records) >= len(self._log):
            self._summary = self._summarise()
            if self._store is not None:
                self._store.write_state(self._summary)
        return None

    def _price(self, rows: FloatArray) -> _Batch:
        estimates = self.problem.estimate(rows)
        parts, total = self.goals.free_violations(estimates)
        described, uncertain = self.problem.describe(rows), self.goals.uncertain(estimates)
        return _Batch(estimates, described, parts, total, uncertain)

    def _records(self, batch: _Batch, end: int) -> Iterator[Record]:
        """Records of the first `end` candidates, in order, written as soon as those before them are."""
        first = len(self.archive.records)
        waiting = [
            position
            for position in range(end)
            if batch.total[position] == 0 and first + position >= len(self._log)
        ]
        outcomes = self._evaluate(batch, waiting)
        done: dict[int, Outcome] = {}
        for position in range(end):
            index = first + position
            if index < len(self._log):
                record = self._log[index]
                if record["id"] != batch.described[position][0]:
                    raise RunError(self._other_run(index))
                self.archive.add(record, replayed=True)
                yield record
                continue
            while position in waiting and position not in done:
                which, outcome = next(outcomes)
                done[waiting[which]] = outcome
            record = self._record(batch, position, index, done.pop(position, None))
            if self._store is not None:
                self._store.append(record)
            self.archive.add(record)
            self._check_failures()
            for observer in self._observers:
                observer.on_record(record, self.archive.progress())
            yield record

    def _evaluate(self, batch: _Batch, positions: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
        tasks = [Task(*batch.described[position]) for position in positions]
        if self._executor is not None:
            return run_all(self._executor, tasks)
        now = datetime.now(UTC)
        return ((which, Outcome({}, None, now, 0.0)) for which in range(len(tasks)))

    def _record(self, batch: _Batch, position: int, index: int, outcome: Outcome | None) -> Record:
        """One line of the log; `outcome` is None for a candidate that the estimate rules out."""
        identifier, assignment = batch.described[position]
        metrics = {key: _plain(column[position]) for key, column in batch.estimates.columns.items()}
        macs, parameters = metrics.pop("macs", None), metrics.pop("parameters", None)
        violations = {name: float(part[position]) for name, part in batch.parts.items()}
        reason: Mapping[str, str] | None = None
        artifact = None
        status = "infeasible"
        if violations.get("unsupported"):
            reason = {"kind": "unsupported", "message": batch.estimates.unsupported(position)}
        if outcome is not None:
            scored = dict(outcome.metrics)
            artifact = scored.pop("artifact", None)
            metrics |= {key: _plain(value) for key, value in scored.items()}
            reason = outcome.reason or self._incomplete(metrics)
            status = "failed" if reason else "ok"
        if status == "ok":
            violations |= self.goals.trained_violations(metrics)
            status = "infeasible" if any(violations.values()) else "ok"
        known = {**metrics, "macs": macs, "parameters": parameters}
        started = outcome.started if outcome is not None else datetime.now(UTC)
        finished = started.timestamp() + (outcome.wall_s if outcome is not None else 0.0)
        return {
            "index": index,
            "id": identifier,
            "generation": self.archive.generation,
            "status": status,
            "reason": dict(reason) if reason else None,
            "assignment": assignment,
            "objectives": {
                name: known[METRICS[name].key]
                for name in self.goals.objectives
                if known.get(METRICS[name].key) is not None
            },
            "violations": violations,
            "macs": _whole(macs),
            "parameters": _whole(parameters),
            "metrics": metrics,
            **batch.intervals(position),
            "cost": batch.estimates.report(position) if status == "ok" else None,
            "artifact": artifact,
            "timestamps": {
                "started": started.isoformat(timespec="milliseconds"),
                "finished": datetime.fromtimestamp(finished, UTC).isoformat(timespec="milliseconds"),
                "wall_s": round(outcome.wall_s, 3) if outcome is not None else 0.0,
            },
        }

    def _incomplete(self, metrics: Mapping[str, Any]) -> dict[str, str] | None:
        """The failure of an evaluation that left out a number it was made for."""
        names = [*self.goals.objectives, *(c.metric for c in self.goals.constraints)]
        missing = [name for name in dict.fromkeys(names) if METRICS[name].key in metrics]
        missing = [name for name in missing if metrics[METRICS[name].key] is None]
        missing += [
            n for n in dict.fromkeys(names) if not METRICS[n].estimated and METRICS[n].key not in metrics
        ]
        if not missing:
            return None
        return {"kind": "no-figure", "message": f"no finite figure for: {', '.join(missing)}"}

    def known(self, rows: FloatArray) -> Known:
        """What the estimates say of rows; keeps count for the display."""
        estimates = self.problem.estimate(rows)
        parts, total = self.goals.free_violations(estimates)
        self.archive.estimated += len(rows)
        self.archive.feasible += int((total == 0).sum())
        if not self.archive.feasible and len(rows) and self._misses.add(estimates, parts, total):
            self._last_closer = self.archive.estimated
        unknown = np.full(len(rows), np.nan)
        keys = [METRICS[name].key for name in self.goals.objectives]
        objectives = np.stack(
            [np.asarray(estimates.columns.get(key, unknown), float) for key in keys], axis=1
        )
        return Known(objectives * self.goals.signs, total, np.zeros((len(rows), 0)))

    def expected(self, rows: FloatArray) -> None:
        """No predictor of what only an evaluation tells."""

    def _check_failures(self) -> None:
        archive = self.archive
        if archive.count("failed") < FAILURES or archive.evaluations > archive.count("failed"):
            return
        reasons = Counter(
            f"{r['reason']['kind']}: {r['reason']['message']}"
            for r in archive.records
            if r["status"] == "failed"
        )
        text, times = reasons.most_common(1)[0]
        raise RunError(f"all of the first {archive.count('failed')} evaluations failed; {times} times {text}")

    def _summarise(self) -> dict[str, Any]:
        """``state.json``: where the run stands, and a digest of what the algorithm knows."""
        reference = self.archive.reference
        population = self.algorithm
        digest = hashlib.blake2b(digest_size=16)
        for array in (population.rows, population.objectives, population.violation):
            digest.update(np.ascontiguousarray(array + 0.0).tobytes())
        return {
            "generation": self.archive.generation,
            "records": len(self.archive.records),
            "evaluations": self.archive.evaluations,
            "estimated": self.archive.estimated,
            "feasible": self.archive.feasible,
            "reference": None if reference is None else (reference * self.goals.signs).tolist(),
            "hypervolume": self.archive.progress().hypervolume,
            "algorithm": population.name,
            "generator": population.rng.bit_generator.state,
            "population": digest.hexdigest(),
            "ending": None,
        }

    def _check_state(self) -> None:
        """When the replay passes the point of the old summary, both must agree."""
        records = len(self.archive.records)
        if self._state is None or self._state.get("records") != records or records > len(self._log):
            return
        now = self._summarise()
        if any(self._state.get(key) != now[key] for key in ("population", "generator")):
            raise RunError(self._other_run(records - 1))

    def _other_run(self, index: int) -> str:
        return (
            f"the log does not continue at record {index}: the same seed now leads elsewhere, so the space, the "
            "target, the data or the installed versions are not those of the run; start a new one"
        )


def _plain(value: object) -> float | None:
    """A finite float for JSON, or None."""
    if not isinstance(value, int | float | np.number):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)

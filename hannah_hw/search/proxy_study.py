"""How well zero-cost proxies order the networks of a user's own space, by training some of them.

The folder of a study holds config.yaml, trained.jsonl (a line a trained candidate, as they finish), proxies.jsonl and
artifacts/. A study that was stopped goes on where it was; with a larger count it trains only what is new.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from hannah_hw.errors import ConfigError, RunError
from hannah_hw.files import write_atomically
from hannah_hw.scoring.predictor import held_out
from hannah_hw.scoring.proxies import PROXIES, ProxyScorer, draw_batch
from hannah_hw.scoring.proxies.scorer import as_inputs, check_record
from hannah_hw.scoring.ranking import BASELINE, Standing, compare
from hannah_hw.search import pipeline
from hannah_hw.search.config import SearchConfig, dump_config, load_config
from hannah_hw.search.cosearch import CoSearchProblem
from hannah_hw.search.features import row_features
from hannah_hw.search.foresight import PROXY_LOG
from hannah_hw.search.metrics import Goals
from hannah_hw.search.outlook import log_metrics
from hannah_hw.search.placing import make_executor
from hannah_hw.search.protocols import Estimates, FloatArray
from hannah_hw.search.record_log import RecordLog
from hannah_hw.search.rundir import ARTIFACTS, CONFIG
from hannah_hw.search.tasks import Executor, Outcome, Task, run_all

TRAINED_LOG: Final = "trained.jsonl"
#: Fewest networks that a rank correlation is computed of.
FEWEST: Final = 8
#: Random candidates that are priced at a time, and how often, to find some that fit the target.
_DRAWN: Final = 2000
_DRAWS: Final = 50


@dataclass(frozen=True)
class ProxyFindings:
    """What a study found.

    Attributes:
        standings: How well every figure orders the networks by their accuracy.
        trained: Networks that were trained.
        failed: Of the candidates that were tried, those without an accuracy.
        unaided: Rank correlation of a learned predictor's held-out predictions, from the parameters of the networks
            and their free metrics; NaN where there are too few networks, or scikit-learn is not installed.
        aided: The same with all proxies as further inputs.
        training: How they were trained.
        batch: What the proxies were shown.
    """

    standings: list[Standing]
    trained: int
    failed: int
    unaided: float
    aided: float
    training: str
    batch: str

    @property
    def kept(self) -> list[str]:
        """Proxies that order networks better than the number of parameters."""
        return [s.name for s in self.standings if s.kept and s.name in PROXIES]

    @property
    def dropped(self) -> list[str]:
        """Proxies that do not."""
        return [s.name for s in self.standings if not s.kept and s.name in PROXIES]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "trained": self.trained,
            "failed": self.failed,
            "training": self.training,
            "batch": self.batch,
            "predictor": {
                "without_proxies": self.unaided if math.isfinite(self.unaided) else None,
                "with_proxies": self.aided if math.isfinite(self.aided) else None,
            },
            "standings": [standing.to_dict() for standing in self.standings],
            "kept": self.kept,
            "dropped": self.dropped,
        }


class ProxyStudy:
    """Trains random candidates that fit the target, and compares proxies with their validation accuracy.

    Args:
        config: A search configuration with a goal about the error; how it is searched does not matter.
        folder: Where results are kept; it may hold the study already.
        batch: Samples that proxies are shown.

    Raises:
        InputError: The configuration cannot be used, or the folder is another study's.
    """

    def __init__(self, config: SearchConfig, folder: str | Path, *, batch: int = 32) -> None:
        if not config.goals.trained or config.data is None:
            raise ConfigError(
                "nothing is trained with this configuration, so there is no accuracy to compare proxies with; "
                "give data and an objective about the error",
                where="objectives",
            )
        self._config = config
        self._folder = Path(folder)
        self._batch = batch
        before = self._folder / CONFIG
        if before.is_file() and load_config(before).hash != config.hash:
            raise ConfigError(
                f"{self._folder} holds results of another configuration; choose another folder",
                where="--out",
            )
        self._setup = pipeline.build(config, self._folder.absolute() / ARTIFACTS)

    def run(
        self, count: int, *, progress: Callable[[int, int], None] = lambda _done, _wanted: None
    ) -> ProxyFindings:
        """Train what is missing, and compare.

        Args:
            count: Networks.
            progress: Called with the number of networks that have been trained, and with `count`.

        Raises:
            InputError: Fewer networks than `FEWEST`, or fewer in the space that fit the target.
            RunError: Too many trainings failed, or a record cannot be written.
        """
        if count < FEWEST:
            raise ConfigError(
                f"{count} networks are too few for a rank correlation; train at least {FEWEST}",
                where="--count",
            )
        config, problem = self._config, self._setup.problem
        rows = self._draw(count)
        described = problem.describe(rows)
        hardware = problem.axes.ids if isinstance(problem, CoSearchProblem) else ()
        batch = draw_batch(config.dataset(), self._batch)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._folder / CONFIG, dump_config(config, self._setup.facts).encode())
        except OSError as error:
            raise RunError(
                f"cannot write to {self._folder}: {error.strerror}; choose another --out"
            ) from error
        with ExitStack() as stack:
            log = RecordLog(self._folder / TRAINED_LOG, _check)
            stack.callback(log.close)
            kept = RecordLog(self._folder / f"{self._batch}-{PROXY_LOG}", check_record)
            stack.callback(kept.close)
            errors: dict[str, float | None] = {record["id"]: record["error"] for record in log.records}
            missing = [Task(*entry) for entry in described if entry[0] not in errors]
            progress(count - len(missing), count)
            if missing:
                executor = self._executor()
                stack.callback(executor.close)
                for number, (index, outcome) in enumerate(run_all(executor, missing), 1):
                    record = _record(missing[index].identifier, outcome)
                    log.append(record)
                    errors[record["id"]] = record["error"]
                    progress(count - len(missing) + number, count)
            found = [errors[identifier] for identifier, _ in described]
            known = np.array([error is not None for error in found])
            accuracy = 1.0 - np.array([error for error in found if error is not None])
            if len(accuracy) < FEWEST:
                raise RunError(
                    f"{count - len(accuracy)} of {count} trainings failed; {TRAINED_LOG} in {self._folder} says why"
                )
            scorer = ProxyScorer(
                problem.space,
                batch,
                seed=config.search.seed,
                hardware=hardware,
                records=kept.records,
                keep=kept.append,
            )
            scores = scorer.scores(rows[known])
        estimates = problem.estimate(rows[known])
        columns = estimates.columns
        figures = {name: np.asarray(columns[name], float) for name in (BASELINE, "macs")}
        figures |= dict(zip(scorer.names, scores.T, strict=True))
        return ProxyFindings(
            compare(figures, accuracy, ms=scorer.ms, seed=config.search.seed),
            len(accuracy),
            count - len(accuracy),
            *self._predicted(rows[known], estimates, scores, accuracy),
            ", ".join(f"{name} {value}" for name, value in self._config.training.items()) or "as by default",
            batch.source,
        )

    def _predicted(
        self, rows: FloatArray, estimates: Estimates, scores: FloatArray, accuracy: FloatArray
    ) -> tuple[float, float]:
        """Rank correlations of held-out predictions without proxies and with them."""
        if importlib.util.find_spec("sklearn") is None:
            return math.nan, math.nan
        features = row_features(self._setup.problem.encoding, rows)
        inputs = np.concatenate([features, log_metrics(estimates)], axis=1)
        return held_out(inputs, as_inputs(scores), 1.0 - accuracy, self._config.search.seed % 2**32)

    def _executor(self) -> Executor:
        evaluator = self._setup.evaluator
        if evaluator is None:
            raise RuntimeError("a configuration with a trained goal has an evaluator")
        search = self._config.search
        return make_executor(evaluator, search.workers, search.timeout, search.memory)

    def _draw(self, count: int) -> FloatArray:
        """(count, D) random rows, different networks that keep every constraint known before training."""
        problem, rng = self._setup.problem, np.random.default_rng(self._config.search.seed)
        goals: Goals = self._config.goals.within(problem.capacities)
        found: dict[str, FloatArray] = {}
        tried = 0
        while len(found) < count and tried < _DRAWS * _DRAWN:
            rows = problem.space.sample_population(_DRAWN, rng)
            tried += len(rows)
            _, violation = goals.free_violations(problem.estimate(rows))
            fitting = rows[violation == 0][:count]
            for (identifier, _), row in zip(problem.describe(fitting), fitting, strict=True):
                found.setdefault(identifier, row)
        if len(found) < count:
            raise ConfigError(
                f"{len(found)} different networks fit the target among {tried} random ones, and {count} are wanted; "
                "relax the constraints, or train fewer",
                where="--count",
            )
        return np.array(list(found.values())[:count])


def _record(identifier: str, outcome: Outcome) -> dict[str, Any]:
    """One line of the log of trainings."""
    error = outcome.metrics.get("error")
    return {
        "id": identifier,
        "error": None if error is None else float(error),
        "reason": None if outcome.reason is None else dict(outcome.reason),
        "wall_s": round(outcome.wall_s, 3),
    }


def _check(_index: int, record: Mapping[str, Any]) -> str | None:
    """What is wrong with a line of the log of trainings."""
    fine = isinstance(record.get("id"), str) and isinstance(record.get("error", ""), int | float | None)
    return None if fine else "no 'id' and 'error'"

"""The two front doors: `run_search` for a configuration and a run directory, `Search` for Python."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, Self

import numpy as np

from hannah_hw.errors import ConfigError, InputError, RunError
from hannah_hw.quantities import parse_quantity
from hannah_hw.search import pipeline
from hannah_hw.search.algorithms import Algorithm, check_options
from hannah_hw.search.archive import check_log
from hannah_hw.search.asking import Asked, Conversation, Inbox
from hannah_hw.search.choosing import AUTO, Choice, ChoiceObserver, choose, choose_lag
from hannah_hw.search.config import AFTERWARDS, SearchConfig, dump_config, load_config
from hannah_hw.search.cosearch import CoSearchProblem, make_problem
from hannah_hw.search.engine import Engine
from hannah_hw.search.fidelity import FidelitySection, Halving
from hannah_hw.search.figures import check_figures
from hannah_hw.search.finalists import Finals, Tuning, following, tune_front
from hannah_hw.search.foresight import Foresight, open_foresight
from hannah_hw.search.functions import ScoreFunction, as_evaluator
from hannah_hw.search.measuring import Measuring, PlanObserver, plan
from hannah_hw.search.metrics import METRICS, Goals, parse_constraint
from hannah_hw.search.misses import explain_empty, explain_left
from hannah_hw.search.observers import (
    Callback,
    Ending,
    LegalizationObserver,
    Observer,
    Progress,
    Record,
    as_observers,
)
from hannah_hw.search.placing import make_executor
from hannah_hw.search.preference import achievement, knee_index
from hannah_hw.search.protocols import Evaluator, FloatArray, Problem
from hannah_hw.search.repeats import OncePerNetwork, network_key
from hannah_hw.search.rundir import ARTIFACTS, CONFIG, LOG, WEIGHTS, RunDirectory
from hannah_hw.search.sections import FREE_TO_CHANGE
from hannah_hw.search.settling import settle
from hannah_hw.search.staging import staged
from hannah_hw.search.tasks import Executor

#: Budget of a search in a loop of the caller's own, who ends it by asking for no more.
MOST_EVALUATIONS: Final = 10_000_000


@dataclass(frozen=True)
class RunResult:
    """What a run found.

    Attributes:
        path: The run directory.
        records: All records, in order, each read from the log when it is asked for.
        front: Non-dominated feasible records; where measurements decide, as `hannah_hw.search.settling.decided` says.
        ending: ``budget``, ``exhausted``, or ``stopped`` where an observer asked for it.
        progress: The final numbers.
        empty: Why the front is empty; None where it is not.
        measured: Records of measurements, in the order of the candidates; see `hannah_hw.search.measuring`.
        finalists: Records of fine-tuning; see `hannah_hw.search.finalists`.
    """

    path: Path
    records: Sequence[Record]
    front: list[Record]
    ending: Ending
    progress: Progress
    empty: str | None = None
    measured: list[Record] = field(default_factory=list)
    finalists: list[Record] = field(default_factory=list)


def run_search(
    config: SearchConfig | str | Path | None,
    out: str | Path,
    *,
    resume: bool = False,
    overrides: Sequence[str] = (),
    observers: Sequence[Observer | Callback] = (),
) -> RunResult:
    """Run a configured search in a run directory.

    Args:
        config: A configuration or its file; None with `resume`: the copy in the directory.
        out: The run directory.
        resume: Continue the run that it holds. The configuration must ask for the same results; the number of
            evaluations, workers and the limits of time and memory may differ.
        overrides: ``dotted.key=value`` strings for a configuration that is read from a file.
        observers: Called as the run goes on; see `Search`.

    Raises:
        InputError: The configuration, or anything it names, cannot be used; nothing is written.
        RunError: The run failed or was interrupted; what it recorded is kept.
    """
    out = Path(out)
    observers = as_observers(observers)
    if config is None:
        if not resume or not (out / CONFIG).is_file():
            raise RunError(f"{out} holds no run to resume; give a configuration")
        config = out / CONFIG
    if not isinstance(config, SearchConfig):
        config = load_config(config, overrides)
    before = load_config(out / CONFIG) if resume and (out / CONFIG).is_file() else None
    setup = pipeline.build(config, out.absolute() / ARTIFACTS)
    choice, lag = _chosen(config, before, setup.problem)
    facts = {**setup.facts, "algorithm": str(choice.algorithm), "lag": lag}
    if before is not None:
        _check_same(config, before, out)
    with ExitStack() as stack:
        directory = stack.enter_context(RunDirectory(out, resume=resume))
        goals = config.goals.within(setup.problem.capacities)
        spent = check_log(directory.records, goals, str(out / LOG))
        if spent > config.search.evaluations:
            raise ConfigError(
                f"the run already holds {spent} evaluations, more than {config.search.evaluations}",
                where="search.evaluations",
            )
        directory.write(CONFIG, dump_config(config, facts))
        training = following(config, setup.evaluator, setup.problem, goals, observers)
        executor: Executor | None = None
        if training.evaluator is not None:
            executor = make_executor(
                training.evaluator, config.search.workers, config.search.timeout, config.search.memory
            )
            stack.callback(executor.close)
            if config.fidelity is not None:
                weights = directory.path / WEIGHTS
                executor = staged(executor, goals, config.fidelity, setup.problem, weights)
            hardware = setup.problem.axes.ids if isinstance(setup.problem, CoSearchProblem) else ()
            executor = OncePerNetwork(executor, network_key(setup.problem.space, hardware))
        foresight: Foresight | None = None
        if config.predictor is not None:
            foresight = open_foresight(
                config.predictor,
                config.proxies,
                setup.problem,
                goals,
                data=config.data,
                seed=config.search.seed,
                folder=directory.path,
                stack=stack,
            )
        engine = Engine(
            setup.problem,
            goals,
            algorithm=choice.algorithm,
            options=config.search.options,
            population=config.search.population,
            evaluations=config.search.evaluations,
            seed=config.search.seed,
            lag=lag,
            executor=executor,
            store=directory,
            observers=observers,
            predictor=foresight,
        )
        for observer in observers:
            changed = setup.legalized is not None and setup.legalized.changed
            if changed and isinstance(observer, LegalizationObserver):
                observer.on_legalized(str(setup.legalized))
            if choice.reason and isinstance(observer, ChoiceObserver):
                observer.on_choice(str(choice))
            if setup.measurer is not None and isinstance(observer, PlanObserver):
                observer.on_plan(plan(config.measure, setup.facts["measure"]))
        try:
            ending = engine.run()
        except KeyboardInterrupt as interrupt:
            done = engine.archive.evaluations
            raise RunError(
                f"interrupted after {done} of {config.search.evaluations} evaluations; continue with --resume"
            ) from interrupt
        archive, records = engine.archive, directory.records
        front, measured, empty = archive.front, list[Record](), None
        final = Finals(front)
        if training.tuner is not None:
            pool = make_executor(
                training.tuner, config.search.workers, config.search.timeout, config.search.memory
            )
            stack.callback(pool.close)
            tuning = Tuning(directory.open_finalists(), pool, training.tuner.finalists, observers)
            final = tune_front(front, goals, tuning, alone=config.supernet is not None)
            front = final.front
        if setup.measurer is not None:
            scope = config.measure.profile
            # Models on a host would slow each other down; and measuring needs the tools of this machine.
            workers = config.search.workers if scope is None and isinstance(config.search.workers, int) else 1
            pool = make_executor(setup.measurer, workers, config.search.timeout, config.search.memory)
            stack.callback(pool.close)
            log = directory.open_measurements()
            measuring = Measuring(log, pool, observers, decides=scope is not None)
            if scope is None:
                measured = measuring.run(front)
            else:
                settled = settle(final.applied(records, goals), goals, measuring, scope)
                front, empty = settled.front, None if settled.front else explain_left(settled.left)
                measured = [measuring.known[r["id"]] for r in records if r["id"] in measuring.known]
    if not archive.members:
        empty = explain_empty(records, goals)
    return RunResult(
        out, records, front, ending, engine.progress(exact=True), empty, measured, final.finalists
    )


def _chosen(
    config: SearchConfig, before: SearchConfig | None, problem: pipeline.SpaceProblem
) -> tuple[Choice, int]:
    """Algorithm and lag of a run; what a configuration leaves open stays as it was when the run began."""
    begun = (before.resolved if before is not None else None) or {}
    if config.search.algorithm == AUTO and isinstance(begun.get("algorithm"), str):
        choice = Choice(begun["algorithm"], "as when the run began")
    else:
        choice = choose(config.search.algorithm, config.goals.within(problem.capacities), problem)
    lag = choose_lag(config.search.lag, config.goals)
    if config.search.lag is None and isinstance(begun.get("lag"), int):
        lag = begun["lag"]
    return choice, lag


def _check_same(config: SearchConfig, before: SearchConfig, out: Path) -> None:
    if config.hash == before.hash:
        return
    now, then = config.to_dict(), before.to_dict()
    changed = [key for key in {**now, **then} if now.get(key) != then.get(key) and key not in AFTERWARDS]
    raise ConfigError(
        f"the configuration differs from that of the run in {out} (in: {', '.join(changed)}); "
        f"only {', '.join(AFTERWARDS)} and {', '.join(f'search.{name}' for name in FREE_TO_CHANGE)} may change",
        where="--resume",
    )


class Search:
    """A search from Python, in the manner of scikit-learn: arguments here, work in `fit`, results in ``x_``.

    Args:
        space: A search space, its name or path; or any `hannah_hw.search.protocols.Problem`.
        target: A target, its name or path; None if `space` is a problem, which has its own prices.
        objectives: Metric name -> ``min`` or ``max``, or names to minimise; see `METRICS`.
        constraints: Metric name -> ``"<= 64 KiB"``.
        preference: Objective -> what is hoped for, such as ``"5 ms"``; see `hannah_hw.search.preference`.
        algorithm: Name, ``package.module:Class`` or class, see `hannah_hw.search.algorithms.find_algorithm`; ``auto``:
            `hannah_hw.search.choosing.choose`.
        options: Of the algorithm.
        population: Size of the population.
        seed: Fixes everything.
        evaluator: What gives the metrics that need training: an evaluator, or a function ``score(candidate, budget)``
            that returns them, see `hannah_hw.scoring.own`; None if no goal needs one, or for `ask` and `tell`.
        fidelity: Whether candidates are evaluated in stages, and only the better ones to the end; see
            `hannah_hw.search.fidelity`. None: at once.
        folder: Where a function's candidates have folders of their own; None: a new folder for temporary files.
        workers: Processes; 0: evaluate in this process. Or the address of a dask scheduler, ``tcp://HOST:PORT``, or
            any executor of `concurrent.futures`; see `hannah_hw.search.placing`.
        timeout: Seconds that one evaluation may take in a worker.
        memory: Bytes that a worker may hold; None: no limit.
        params: Param of the target -> its value, of those that are not searched; all others are. ``default``: none is.
        legalize: Whether the space is narrowed to what the target can run; see `hannah_hw.legalize`.
        lag: Results that may be unknown when more candidates are asked for, so that nobody waits for a straggler;
            None: `hannah_hw.search.choosing.choose_lag`.
        observers: Called as the search goes on: objects (`hannah_hw.search.Observer`), or functions of a record and
            the progress. A function that returns True, or anything that raises `hannah_hw.search.StopSearch`, ends
            the search early.

    Raises:
        InputError: The space or the target cannot be used, a metric or a bound is unknown, the target has no figures
            for a goal, or a target is missing.

    Attributes:
        history_: All records, in order, each read when it is asked for.
        front_: Non-dominated feasible records.
        hypervolume_: Relative hypervolume of the front; None if nothing feasible was found.
        ending_: ``budget``, ``exhausted`` or ``stopped``.
    """

    history_: Sequence[Record]
    front_: list[Record]
    hypervolume_: float | None
    ending_: Ending

    def __init__(
        self,
        space: Any,
        target: Any = None,
        objectives: Mapping[str, str] | Iterable[str] = ("latency",),
        constraints: Mapping[str, str] | None = None,
        *,
        preference: Mapping[str, str | float] = MappingProxyType({}),
        algorithm: str | type[Algorithm] = AUTO,
        options: Mapping[str, Any] = MappingProxyType({}),
        population: int = 32,
        seed: int = 0,
        evaluator: Evaluator | ScoreFunction | None = None,
        fidelity: FidelitySection | None = None,
        folder: str | Path | None = None,
        workers: int | str | concurrent.futures.Executor = 0,
        timeout: float = 600.0,
        memory: int | None = None,
        params: Mapping[str, Any] | Literal["default"] = MappingProxyType({}),
        legalize: bool = True,
        lag: int | None = None,
        observers: Sequence[Observer | Callback] = (),
    ) -> None:
        if target is None and not hasattr(space, "estimate"):
            raise ConfigError("a space has no prices of its own; give a target, for example 'stm32l4r5zi'")
        self.problem: Problem = space if target is None else _problem(space, target, params, legal=legalize)
        goals = make_goals(objectives, constraints or {}, preference)
        if algorithm != AUTO:
            check_options(algorithm, options)
        if isinstance(self.problem, pipeline.SpaceProblem):
            check_figures(self.problem, goals)
            goals = goals.within(self.problem.capacities)
        self.goals = goals
        self.algorithm = algorithm
        self.options = options
        self.population = population
        self.seed = seed
        self.evaluator = evaluator
        self.fidelity = fidelity
        self.folder = folder
        self.workers = workers
        self.timeout = timeout
        self.memory = memory
        self.observers = observers
        self.lag = lag
        self._conversation: Conversation | None = None

    def fit(self, budget: int) -> Self:
        """Search.

        Args:
            budget: Evaluations: trained candidates, or recorded ones where nothing is trained.

        Raises:
            ConfigError: A goal needs an evaluator.
            RunError: Nothing feasible is found, or every evaluation fails.
        """
        if self.goals.trained and self.evaluator is None:
            raise ConfigError("a goal about the error needs an evaluator, or a loop of ask() and tell()")
        executor: Executor | None = None
        if self.evaluator is not None:
            folder = None if self.folder is None else Path(self.folder).absolute()
            evaluator = as_evaluator(self.evaluator, self.problem, self.seed, folder)
            executor = make_executor(evaluator, self.workers, self.timeout, self.memory)
            if self.fidelity is not None:
                executor = Halving(executor, self.goals, self.fidelity)
        engine = self._engine(budget, executor)
        self.ending_ = engine.run()
        self._found(engine)
        return self

    def ask(self, n: int = 1) -> list[Asked]:
        """Candidates to evaluate in a loop of the caller's own; `tell` what became of each.

        The first call begins a search, which goes on as long as there is something to ask for. All of it follows from
        the seed and from what is told, in whatever order; only those that are asked for depend on the lag.

        Args:
            n: At most so many. Fewer, or none, means that the search has to be told of others first or, if there are
                no others, that it found nothing new.

        Raises:
            ConfigError: No goal needs an evaluation: `fit` finds the front.
            RunError: Nothing keeps the constraints.
        """
        if self._conversation is None:
            if not self.goals.trained:
                raise ConfigError("no goal needs an evaluation, so there is nothing to tell; use fit()")
            inbox = Inbox()
            self._conversation = Conversation(self._engine(MOST_EVALUATIONS, inbox), inbox)
        return self._conversation.ask(n)

    def tell(
        self, asked: Asked | int, metrics: Mapping[str, Any] | None = None, *, failure: str | None = None
    ) -> None:
        """What became of a candidate that was asked for; `history_` and `front_` are brought up to date.

        Args:
            asked: The candidate, or its index.
            metrics: Metric key -> number, all that a goal needs, such as ``{"error": 0.1}``.
            failure: Instead: why it could not be evaluated.

        Raises:
            InputError: It does not wait for its evaluation, or neither metrics nor a failure are given.
            RunError: All evaluations fail.
        """
        if self._conversation is None:
            raise InputError("nothing was asked for", where="Search.tell")
        self._conversation.tell(asked, metrics, failure)
        self._found(self._conversation.engine)

    def _engine(self, budget: int, executor: Executor | None) -> Engine:
        choice = choose(self.algorithm, self.goals, self.problem)
        observers = as_observers(self.observers)
        for observer in observers:
            if choice.reason and isinstance(observer, ChoiceObserver):
                observer.on_choice(str(choice))
        return Engine(
            self.problem,
            self.goals,
            algorithm=choice.algorithm,
            options=self.options,
            population=self.population,
            evaluations=budget,
            seed=self.seed,
            lag=choose_lag(self.lag, self.goals),
            executor=executor,
            observers=observers,
        )

    def _found(self, engine: Engine) -> None:
        """The results so far."""
        self.history_, self.front_ = engine.records, engine.archive.front
        self.hypervolume_ = engine.archive.hypervolume()

    @property
    def knee_(self) -> Record | None:
        """The record of the front's knee; see `hannah_hw.search.preference.knee_index`. None: the front is empty."""
        index = knee_index(self._points)
        return None if index is None else self.front_[index]

    @property
    def preferred_(self) -> Record | None:
        """The record of the front that is nearest to the preference; see `hannah_hw.search.preference.achievement`.

        None: the front is empty.
        """
        return self.front_[int(achievement(self.goals, self._points).argmin())] if self.front_ else None

    @property
    def _points(self) -> FloatArray:
        return self.front_objectives_ * self.goals.signs

    @property
    def front_objectives_(self) -> FloatArray:
        """(F, M) objectives of the front, as they are (a maximised one is not negated)."""
        rows = [[record["objectives"][name] for name in self.goals.objectives] for record in self.front_]
        return np.array(rows, float).reshape(len(rows), len(self.goals.objectives))


def _problem(
    space: Any, target: Any, params: Mapping[str, Any] | Literal["default"], *, legal: bool
) -> Problem:
    if isinstance(space, str | Path):
        space = pipeline.load_space(str(space))
    if isinstance(target, str | Path):
        from hannah_hw.targets import load_target

        target = load_target(target)
    return make_problem(space, target, params, legal=legal)[0]


def make_goals(
    objectives: Mapping[str, str] | Iterable[str],
    constraints: Mapping[str, str],
    preference: Mapping[str, str | float] = MappingProxyType({}),
) -> Goals:
    """Objectives, constraints and preference from what a caller writes.

    Raises:
        ConfigError: An unknown metric, no objective, or a direction other than ``min`` and ``max``.
    """
    directions = dict(objectives) if isinstance(objectives, Mapping) else dict.fromkeys(objectives, "min")
    for name in (*directions, *constraints, *preference):
        if name not in METRICS:
            raise ConfigError(f"unknown metric {name!r}", allowed=sorted(METRICS), given=name)
    if not directions:
        raise ConfigError("at least one objective is needed", allowed=sorted(METRICS))
    for name, direction in directions.items():
        if direction not in ("min", "max"):
            raise ConfigError(f"{name}: {direction!r} is no direction", allowed=["min", "max"])
    hopes = {name: parse_quantity(hope, METRICS[name].dimension) for name, hope in preference.items()}
    return Goals(directions, tuple(parse_constraint(name, text) for name, text in constraints.items()), hopes)

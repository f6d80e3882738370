"""Searches from Python, in memory; `hannah_hw.search.running` runs a configuration in a run directory."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, Self

import numpy as np

from hannah_hw.errors import ConfigError, InputError
from hannah_hw.quantities import parse_quantity
from hannah_hw.search import pipeline
from hannah_hw.search.algorithms import Algorithm, check_options
from hannah_hw.search.asking import Asked, Conversation, Inbox
from hannah_hw.search.choosing import (
    AUTO,
    NOT_REPRODUCIBLE,
    ChoiceObserver,
    Order,
    choose,
    choose_lag,
    choose_order,
)
from hannah_hw.search.cosearch import make_problem
from hannah_hw.search.engine import Engine
from hannah_hw.search.fidelity import FidelitySection, Halving
from hannah_hw.search.figures import check_figures
from hannah_hw.search.foresight import Foresight, PredictorSection, expensive
from hannah_hw.search.functions import ScoreFunction, as_evaluator
from hannah_hw.search.metrics import METRICS, Goals, parse_constraint
from hannah_hw.search.observers import (
    Callback,
    Ending,
    Observer,
    OrderObserver,
    Record,
    as_observers,
)
from hannah_hw.search.placing import make_executor
from hannah_hw.search.preference import achievement, knee_index
from hannah_hw.search.pricing import SpaceProblem
from hannah_hw.search.protocols import Evaluator, FloatArray, Problem
from hannah_hw.search.tasks import Executor
from hannah_hw.search.unordered import engine_of

#: Budget of a search in a loop of the caller's own, who ends it by asking for no more.
MOST_EVALUATIONS: Final = 10_000_000


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
        population: Size of the population; None: `hannah_hw.search.choosing.choose`.
        seed: Fixes everything, but for the order of finishing.
        evaluator: What gives the metrics that need training: an evaluator, or a function ``score(candidate, budget)``
            that returns them, see `hannah_hw.scoring.own`; None if no goal needs one, or for `ask` and `tell`.
        fidelity: Whether candidates are evaluated in stages, and only the better ones to the end; see
            `hannah_hw.search.fidelity`. None: at once.
        predictor: When what only an evaluation shows is predicted, for algorithms that breed candidates; see
            `hannah_hw.search.foresight`. None: never.
        folder: Where a function's candidates have folders of their own; None: a new folder for temporary files.
        workers: Processes; 0: evaluate in this process. Or the address of a dask scheduler, ``tcp://HOST:PORT``, or
            any executor of `concurrent.futures`; see `hannah_hw.search.placing`.
        timeout: Seconds that one evaluation may take in a worker.
        memory: Bytes that a worker may hold; None: no limit.
        params: Param of the target -> its value, of those that are not searched; all others are. ``default``: none is.
        legalize: Whether the space is narrowed to what the target can run; see `hannah_hw.legalize`.
        lag: Results that may be unknown when more candidates are asked for, so that nobody waits for a straggler;
            None: `hannah_hw.search.choosing.choose_lag`.
        order: Whether results are told in the order of asking, so that the seed fixes everything, or of finishing, so
            that no straggler stops anybody; see `hannah_hw.search.unordered`.
        observers: Called as the search goes on: objects (`hannah_hw.search.Observer`), or functions of a record and
            the progress. A function that returns True, or anything that raises `hannah_hw.search.StopSearch`, ends
            the search early.

    Raises:
        InputError: The space or the target cannot be used, a metric or a bound is unknown, the target has no figures
            for a goal, a target is missing, or there is nothing to predict.

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
        population: int | None = None,
        seed: int = 0,
        evaluator: Evaluator | ScoreFunction | None = None,
        fidelity: FidelitySection | None = None,
        predictor: PredictorSection | None = None,
        folder: str | Path | None = None,
        workers: int | str | concurrent.futures.Executor = 0,
        timeout: float = 600.0,
        memory: int | None = None,
        params: Mapping[str, Any] | Literal["default"] = MappingProxyType({}),
        legalize: bool = True,
        lag: int | None = None,
        order: Order = "asked",
        observers: Sequence[Observer | Callback] = (),
    ) -> None:
        if target is None and not hasattr(space, "estimate"):
            raise ConfigError("a space has no prices of its own; give a target, for example 'stm32l4r5zi'")
        self.problem: Problem = space if target is None else _problem(space, target, params, legal=legalize)
        goals = make_goals(objectives, constraints or {}, preference)
        if algorithm != AUTO:
            check_options(algorithm, options)
        if isinstance(self.problem, SpaceProblem):
            check_figures(self.problem, goals)
            goals = goals.within(self.problem.capacities)
        if predictor is not None and not goals.trained:
            raise ConfigError("predictor predicts what only an evaluation shows, but no goal needs one")
        self.goals = goals
        self.algorithm = algorithm
        self.options = options
        self.population = population
        self.seed = seed
        self.evaluator = evaluator
        self.fidelity = fidelity
        self.predictor = predictor
        self.folder = folder
        self.workers = workers
        self.timeout = timeout
        self.memory = memory
        self.observers = observers
        self.lag = lag
        self.order = order
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
            InputError: It does not wait for its evaluation, neither metrics nor a failure are given, or a metric is one
                that the search has estimated itself.
            RunError: All evaluations fail.
        """
        if self._conversation is None:
            raise InputError("nothing was asked for", where="Search.tell")
        self._conversation.tell(asked, metrics, failure)
        self._found(self._conversation.engine)

    def _engine(self, budget: int, executor: Executor | None) -> Engine:
        choice = choose(
            self.algorithm, self.goals, self.problem, options=self.options, population=self.population
        )
        order = choose_order(self.order, self.goals)
        observers = as_observers(self.observers)
        for observer in observers:
            if choice.reason and isinstance(observer, ChoiceObserver):
                observer.on_choice(str(choice))
            if order == "finished" and isinstance(observer, OrderObserver):
                observer.on_order(NOT_REPRODUCIBLE)
        return engine_of(order)(
            self.problem,
            self.goals,
            algorithm=choice.algorithm,
            options=choice.options,
            population=choice.population,
            evaluations=budget,
            seed=self.seed,
            lag=choose_lag(self.lag, self.goals),
            executor=executor,
            observers=observers,
            predictor=self._foresight(),
        )

    def _foresight(self) -> Foresight | None:
        if self.predictor is None:
            return None
        return Foresight(self.problem.encoding, expensive(self.goals), self.predictor, seed=self.seed % 2**32)

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

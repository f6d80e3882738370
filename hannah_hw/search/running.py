"""Runs of a configuration in a run directory, which may be stopped at any moment and continued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from hannah_hw.errors import ConfigError, RunError
from hannah_hw.files import write_atomically
from hannah_hw.search import pipeline
from hannah_hw.search.archive import check_log
from hannah_hw.search.choosing import (
    AUTO,
    NOT_REPRODUCIBLE,
    Choice,
    ChoiceObserver,
    choose,
    choose_lag,
    choose_order,
    recalled,
)
from hannah_hw.search.config import AFTERWARDS, SearchConfig, dump_config, load_config
from hannah_hw.search.cosearch import CoSearchProblem
from hannah_hw.search.finalists import Finals, Tuning, following, tune_front
from hannah_hw.search.foresight import Foresight, open_foresight
from hannah_hw.search.measuring import Measuring, PlanObserver, plan
from hannah_hw.search.misses import explain_empty, explain_left
from hannah_hw.search.observers import (
    Callback,
    DataObserver,
    Ending,
    LegalizationObserver,
    Observer,
    OrderObserver,
    Progress,
    Record,
    as_observers,
)
from hannah_hw.search.placing import make_executor
from hannah_hw.search.pricing import SpaceProblem
from hannah_hw.search.repeats import OncePerNetwork, network_key
from hannah_hw.search.rundir import ARTIFACTS, CONFIG, LOG, WEIGHTS, RunDirectory
from hannah_hw.search.sections import FREE_TO_CHANGE
from hannah_hw.search.settling import settle
from hannah_hw.search.staging import keep_weights, staged
from hannah_hw.search.tasks import Executor
from hannah_hw.search.unordered import engine_of


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
    order = choose_order(config.search.order, config.goals)
    facts = {**setup.facts, **choice.facts(), "lag": lag if order == "asked" else None, "order": order}
    if before is not None:
        _check_same(config, before, out)
        _check_data(facts.get("data"), (before.resolved or {}).get("data"), out)
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
        for name, content in setup.files.items():
            write_atomically(directory.path / name, content)
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
        engine = engine_of(order)(
            setup.problem,
            goals,
            algorithm=choice.algorithm,
            options=choice.options,
            population=choice.population,
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
            if isinstance(observer, DataObserver):
                for warning in facts.get("data", {}).get("warnings", ()):
                    observer.on_data(warning)
            if (choice.reason or choice.resumed) and isinstance(observer, ChoiceObserver):
                observer.on_choice(str(choice))
            if order == "finished" and isinstance(observer, OrderObserver):
                observer.on_order(NOT_REPRODUCIBLE)
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
            if config.fidelity is None or not config.fidelity.inherit:
                # Where candidates inherit, those that follow when the run is continued need them.
                keep_weights(directory.path / WEIGHTS, setup.problem, archive.front)
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


def _chosen(config: SearchConfig, before: SearchConfig | None, problem: SpaceProblem) -> tuple[Choice, int]:
    """Algorithm and lag of a run; what a configuration leaves open stays as it was when the run began."""
    begun = (before.resolved if before is not None else None) or {}
    choice = recalled(begun) if config.search.algorithm == AUTO else None
    choice = choice or choose(
        config.search.algorithm,
        config.goals.within(problem.capacities),
        problem,
        options=config.search.options,
        population=config.search.population,
    )
    lag = choose_lag(config.search.lag, config.goals)
    if config.search.lag is None and isinstance(begun.get("lag"), int):
        lag = begun["lag"]
    return choice, lag


def _check_data(now: object, then: object, out: Path) -> None:
    """The data must be what the run began with: a file may have changed under the same name."""
    hashes = [data.get("sha256") if isinstance(data, Mapping) else None for data in (now, then)]
    if None not in hashes and hashes[0] != hashes[1]:
        raise ConfigError(
            f"the data changed since the run in {out} began (SHA-256 {hashes[1]}, now {hashes[0]}); "
            "restore its files, or search again in another folder",
            where="--resume",
        )


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

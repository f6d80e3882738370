"""Everything that a configuration names, loaded: the space on its target, the data, and what trains and measures.

Wrong inputs show here, before anything is written. The engine sees the protocols of `hannah_hw.search.protocols` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hannah_hw.errors import ConfigError, SpaceError, TargetError, require_all
from hannah_hw.search.evaluators import OwnEvaluator, ScoringEvaluator
from hannah_hw.search.needs import packages
from hannah_hw.search.pricing import SpaceProblem
from hannah_hw.search.rundir import WEIGHTS

if TYPE_CHECKING:
    from hannah_hw.legalization import Legalized
    from hannah_hw.scoring import Dataset
    from hannah_hw.search.config import SearchConfig
    from hannah_hw.search.measuring import MeasuringEvaluator
    from hannah_hw.spaces import SearchSpace


def load_space(
    name: str, options: Mapping[str, Any] | None = None, offered: Mapping[str, Any] | None = None
) -> SearchSpace:
    """Load a search space by name or path; see `hannah_hw.spaces.load_space`.

    Args:
        name: Name or path.
        options: Options of the space, and ``allow_code``.
        offered: Options that are passed if the space has them.
    """
    from hannah_hw.spaces import open_space

    given = dict(options or {})
    return open_space(name, given, offered=offered, allow_code=given.pop("allow_code", False))


@dataclass(frozen=True)
class Setup:
    """Everything a configured run works with.

    Attributes:
        problem: The space on the target.
        evaluator: None if nothing is trained.
        facts: For the header ``resolved`` of the run's configuration: versions, data, target.
        measurer: Measures the front after the search; None if that was not asked for.
        legalized: What narrowing the space to the target did; None if that was not asked for.
        files: Name -> content of files that lie beside the models; see `hannah_hw.scoring.preprocessing`.
    """

    problem: SpaceProblem
    evaluator: ScoringEvaluator | OwnEvaluator | None
    facts: dict[str, Any]
    measurer: MeasuringEvaluator | None = None
    legalized: Legalized | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


def build(config: SearchConfig, artifacts: Path) -> Setup:
    """Load what a configuration names; every wrong input shows here, before anything is written.

    The space is offered the shape of the samples and the number of classes of the data; options that the
    configuration gives come first.

    Raises:
        InputError: The space, the target or the data cannot be used.
        MissingExtraError: Packages that it uses are not installed; it names all of them.
    """
    from hannah_hw.search.cosearch import CoSearchProblem, make_problem
    from hannah_hw.search.figures import check_figures
    from hannah_hw.targets import Host, describe_target, load_target

    require_all(packages(config))
    options = config.space.options
    offered: dict[str, Any] = {}
    facts: dict[str, Any] = {"hash": config.hash, "versions": versions()}
    data = None
    files: dict[str, bytes] = {}
    if config.data is not None and config.goals.trained:
        from hannah_hw.scoring.findings import findings
        from hannah_hw.scoring.preprocessing import preprocessing_files

        data = config.dataset()
        offered = _offer(data)
        helped = {name for name, value in config.training.items() if value not in (None, "none")}
        if config.goals.balanced:
            helped.add("balance")
        found = [str(finding) for finding in findings(data) if finding.remedy not in helped]
        facts["data"] = {**data.summary(), **({"warnings": found} if found else {})}
        files = preprocessing_files(data)
    evaluator = _make_evaluator(config, offered, artifacts) if config.goals.trained else None
    space = _open_space(config, offered)
    if data is not None:
        _check_fit(space, data)
    target = load_target(config.target)
    if isinstance(target, Host):
        facts["precision"] = target.model.precision
        if isinstance(evaluator, ScoringEvaluator):
            evaluator = replace(evaluator, precision=target.model.precision)
    facts["target"] = {key: value for key, value in describe_target(target).items() if key != "operators"}
    try:
        problem, legalized = make_problem(space, target, config.params, legal=config.legalize)
    except TargetError as failure:
        raise ConfigError(str(failure), where="params") from failure
    check_figures(problem, config.goals)
    if legalized is not None:
        facts["legalized"] = legalized.to_dict()
    if isinstance(problem, CoSearchProblem):
        facts["hardware"] = {
            p.id: {"dimension": p.dimension, "values": list(problem.space.parameters[p.id].levels)}
            for p in problem.axes.parameters
        }
        if evaluator is not None:
            evaluator = replace(evaluator, hardware=problem.axes.ids)
    measurer = None
    if config.measure.wanted:
        from hannah_hw.search.measuring import MeasuringEvaluator, means

        facts["measure"] = means(target, config.measure)
        measurer = MeasuringEvaluator(
            config.space.name, options, offered, config.target, config.measure.compiler, artifacts
        )
    return Setup(problem, evaluator, facts, measurer, legalized, files)


def _make_evaluator(
    config: SearchConfig, offered: Mapping[str, Any], artifacts: Path
) -> ScoringEvaluator | OwnEvaluator:
    """What trains the candidates of a configuration.

    Raises:
        ConfigError: The user's trainer cannot be used.
    """
    seed, space = config.search.seed, config.space
    if config.score is not None:
        from hannah_hw.scoring.own import find_score

        find_score(config.score.function, allow_code=config.score.allow_code)
        return OwnEvaluator(
            space=space.name,
            options=space.options,
            offered=offered,
            seed=seed,
            artifacts=artifacts,
            function=config.score.function,
        )
    staged = config.fidelity is not None
    return ScoringEvaluator(
        space=space.name,
        options=space.options,
        offered=offered,
        seed=seed,
        artifacts=artifacts,
        data=config.data if config.data is not None else "",
        training=config.training,
        shares=config.fidelity.shares if config.fidelity is not None else (1.0,),
        weights=artifacts.with_name(WEIGHTS) if staged else None,
        keep=config.fidelity is not None and config.fidelity.inherit,
        balanced=config.goals.balanced,
    )


def configured_space(config: SearchConfig) -> SearchSpace:
    """The space that a configuration searches, of the shape of its data as `build` gives it.

    Raises:
        InputError: The space or the data cannot be used.
    """
    offered: dict[str, Any] = {}
    if config.data is not None and config.goals.trained:
        offered = _offer(config.dataset())
    return load_space(config.space.name, config.space.options, offered)


def _open_space(config: SearchConfig, offered: Mapping[str, Any]) -> SearchSpace:
    """The space; one that only the shape of the data keeps from loading says so.

    Raises:
        SpaceError: It cannot be loaded.
    """
    try:
        return load_space(config.space.name, config.space.options, offered)
    except SpaceError as failure:
        if not offered:
            raise
        try:
            load_space(config.space.name, config.space.options)
        except SpaceError:
            raise failure from None
        shape = offered["input_shape"]
        raise SpaceError(
            f"{config.space.name} takes no samples of the shape {shape}; spaces for images take (channels, height, "
            "width), tc_resnet takes (channels, length), and `hannah-hw init DATA --target CHIP` chooses one that fits "
            f"(it said: {failure})",
            where="space",
        ) from failure


def _offer(data: Dataset) -> dict[str, Any]:
    """Options of a space that follow from the data."""
    return {"input_shape": tuple(data.input_shape), "classes": int(data.classes)}


def _check_fit(space: SearchSpace, data: Dataset) -> None:
    """The space must take the samples of the data and tell their classes apart."""
    plan = space.candidate(space.default()).plan
    shapes = [tensor.shape()[1:] for tensor in plan.inputs]
    if shapes != [data.input_shape]:
        raise SpaceError(
            f"{space.name} takes inputs of shape {', '.join(map(str, shapes))}, "
            f"but the samples of {data.name} have the shape {data.input_shape}; "
            "remove the option that fixes it, or choose other data or another space",
            where="space",
        )
    outputs = [step.shape[1:] for step in plan.steps if step.op.id in plan.outputs]
    if len(outputs) != 1 or len(outputs[0]) != 1 or outputs[0][0] < data.classes:
        raise SpaceError(
            f"{space.name} gives outputs of shape {', '.join(map(str, outputs))}, "
            f"but {data.name} has {data.classes} classes; needed: one of ({data.classes},)",
            where="space",
        )


def versions() -> dict[str, str]:
    """Versions of what the results depend on; packages that are not installed are left out."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for package in ("hannah-hw", "numpy", "torch", "onnx", "onnxruntime"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

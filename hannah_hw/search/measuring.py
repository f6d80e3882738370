"""The upper rung of a search: models on an emulated core, through an accelerator's own compiler, or on this machine.

The search is over when the front is measured, and does not learn from it; see `hannah_hw.search.follow_up`. A candidate
that cannot be measured gets a record with the reason; delete its line to try again. Only a machine that was too busy is
asked anew.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from hannah_hw.errors import InputError
from hannah_hw.search.follow_up import FollowUp
from hannah_hw.search.observers import Record
from hannah_hw.search.record_log import RecordLog
from hannah_hw.search.tasks import Executor, Task

if TYPE_CHECKING:
    from hannah_hw.search.sections import MeasureSection
    from hannah_hw.spaces import SearchSpace
    from hannah_hw.targets import Target

#: Kind of the targets that have a compiler of their own.
_COMPILED: Final = "block"
#: Family of the targets that are machines.
_HOST: Final = "host"
_NO_FIRMWARE: Final = "firmware is built with it, and {} has none; leave it out"


@runtime_checkable
class MeasurementObserver(Protocol):
    """An observer of a run that also follows the measurements after it."""

    def on_measurement(self, done: int, total: int, /) -> None:
        """So many of the models to be measured have a record; also called before the first."""
        ...


@runtime_checkable
class PlanObserver(Protocol):
    """An observer of a run that is told, before the search begins, what will be measured after it."""

    def on_plan(self, text: str, /) -> None:
        """What will be measured, in words."""
        ...


@dataclass
class MeasuringEvaluator:
    """Measures a candidate by the means of its target; see `hannah_hw.search.protocols.Evaluator`.

    Firmware of a microcontroller runs on its emulated core; for an Ethos-U the vendor's compiler states what a network
    costs; on a host the network runs in ONNX Runtime.

    Attributes:
        space: Name or path of the space.
        options: Options of the space.
        offered: Options that are passed if the space has them.
        target: Name or path of the target.
        compiler: ``zig``, ``gcc``, or None for the one that is there.
        artifacts: Folder of the trained models. A candidate without one is measured with random weights.
    """

    space: str
    options: Mapping[str, Any]
    offered: Mapping[str, Any]
    target: str
    compiler: str | None
    artifacts: Path
    _target: Target | None = field(default=None, repr=False)
    _space: SearchSpace | None = field(default=None, repr=False)

    def start(self) -> None:
        """Load the target."""
        from hannah_hw.targets import load_target

        self._target = load_target(self.target)

    @property
    def folder(self) -> Path:
        """The run's; see `hannah_hw.search.protocols.Portable`."""
        return self.artifacts.parent

    def moved(self, folder: Path, /) -> MeasuringEvaluator:
        """The same with the models in another folder."""
        return replace(self, artifacts=folder / self.artifacts.name, _target=None, _space=None)

    def reads(self, task: Task, /) -> tuple[str, ...]:
        """The candidate's models."""
        return (f"{self.artifacts.name}/{task.identifier}.*",)

    def evaluate(self, task: Task, /) -> dict[str, Any]:
        """Measure one candidate."""
        if self._target is None:
            raise RuntimeError("start() was not called")
        path = trained_model(self.artifacts, task.identifier)
        model = path if path is not None else self._loaded().candidate(task.assignment)
        if self._target.family == _HOST:
            from hannah_hw.measure.host_measure import measure_on_host
            from hannah_hw.targets.host import host

            return measure_on_host(model, host(self._target, "profiling")).to_dict()
        if self._target.kind == _COMPILED:
            from hannah_hw.measure.vela import compile_with_vela

            return compile_with_vela(model, self._target).to_dict()
        from hannah_hw.measure.emulated import measure_model

        return measure_model(model, self._target, compiler=self.compiler).to_dict()

    def _loaded(self) -> SearchSpace:
        """The space, which only candidates without a trained model need."""
        if self._space is None:
            from hannah_hw.search.pipeline import load_space
            from hannah_hw.spaces.declarative.problems import SpaceWarning

            with warnings.catch_warnings():
                # The search has loaded it before, and warned of what is odd.
                warnings.simplefilter("ignore", SpaceWarning)
                self._space = load_space(self.space, self.options, self.offered)
        return self._space


def trained_model(artifacts: Path, identifier: str) -> Path | None:
    """The model of a candidate, the fine-tuned one where there is one; None where there is none."""
    files = (artifacts / f"{identifier}{ending}" for ending in (".tuned.onnx", ".onnx"))
    return next((file for file in files if file.is_file()), None)


def means(target: Target, section: MeasureSection) -> dict[str, str]:
    """What measuring on a target is done with: core, compiler and, for firmware, emulator; or runtime and processor.

    Args:
        target: A target.
        section: What is to be measured.

    Raises:
        InputError: The target's core cannot be emulated, there is no such compiler, or firmware's compiler was named
            for a target without firmware; what an accelerator's params stand for is not what its compiler knows; a
            host is not this machine; or it is asked for what other targets are measured by.
        MissingExtraError: A package is not installed.
    """
    if target.family == _HOST:
        if section.emulate is not None:
            raise InputError(
                f"{target.name} is a host, which is not emulated; write measure: {{profile: {section.emulate}}}",
                where="measure.emulate",
            )
        if section.compiler is not None:
            raise InputError(_NO_FIRMWARE.format(target.name), where="measure.compiler")
        from hannah_hw.measure.host_measure import host_means
        from hannah_hw.targets.host import host

        return host_means(host(target, "profiling"))
    if section.profile is not None:
        raise InputError(
            f"{target.name} is a target of the family {target.family}, and networks are profiled on hosts; "
            "write measure: {emulate: front}",
            where="measure.profile",
        )
    compiler = section.compiler
    if target.kind == _COMPILED:
        return _compiler_means(target, compiler)
    from hannah_hw.measure.emulated import means_of
    from hannah_hw.targets import microcontroller

    return means_of(microcontroller(target, "measuring on an emulated core"), compiler)


def _compiler_means(target: Target, compiler: str | None) -> dict[str, str]:
    from hannah_hw.measure.vela_compiler import PACKAGE, core_of, system_of, vela_version
    from hannah_hw.targets import Accelerator

    if compiler is not None:
        raise InputError(_NO_FIRMWARE.format(target.name), where="measure.compiler")
    if isinstance(target, Accelerator) and target.params:
        raise InputError(
            f"{target.name} has params, and {PACKAGE} compiles for processors that exist; leave measure.emulate out",
            where="measure.emulate",
        )
    return {"core": core_of(system_of(target)), "compiler": f"{PACKAGE} {vela_version()}"}


def plan(section: MeasureSection, stated: Mapping[str, str]) -> str:
    """What is measured after a search, in words.

    Args:
        section: What was asked for; something was.
        stated: What `means` gave.
    """
    models = {
        None: "the models of the front",
        "front": "the models of the front and those that are uncertain, until all of the front is measured,",
        "contenders": "all models whose interval reaches the front, until all of the front is measured,",
    }[section.profile]
    how = ", ".join(f"{key} {text}" for key, text in stated.items())
    return f"{models} are {'measured' if section.profile is None else 'profiled'}: {how}"


class Measuring(FollowUp):
    """Measures candidates that have no record yet, and keeps the records; see `FollowUp`.

    A record has ``measurement`` (None after a failure), and ``decides`` where it does.

    Args:
        log: Where they are kept.
        executor: Runs a `MeasuringEvaluator`.
        observers: Of the run; those that are a `MeasurementObserver` are told.
        decides: Whether a measurement decides what is on the front; see `hannah_hw.search.settling`.
    """

    left = "models to measure"

    def __init__(
        self, log: RecordLog, executor: Executor, observers: Sequence[object] = (), *, decides: bool = False
    ) -> None:
        super().__init__(log, executor)
        self._following = [observer for observer in observers if isinstance(observer, MeasurementObserver)]
        self._decides = decides

    def _counts(self, record: Record) -> bool:
        return not _disturbed(record)

    def _given(self, metrics: Mapping[str, Any] | None) -> Mapping[str, Any]:
        found = None if metrics is None else dict(metrics)
        return {"measurement": found, **({"decides": True} if self._decides else {})}

    def _told(self, done: int, total: int) -> None:
        for observer in self._following:
            observer.on_measurement(done, total)


def _disturbed(record: Record) -> bool:
    """Whether a measurement failed for nothing but the noise of the machine, and may be repeated."""
    return record["status"] != "ok" and (record.get("reason") or {}).get("kind") == "noise"

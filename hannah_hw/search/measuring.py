"""The upper rung of a search: models of the front on an emulated core or through an accelerator's own compiler.

The search is over when the front is measured, and does not learn from it: what is measured can be asked for later,
by resuming a finished run. Records are appended in the order of the front, whatever the order in which workers finish,
and one that exists is kept, so that a run that was killed here ends with the same file. A candidate that cannot be
measured gets a record with the reason; delete its line to try again.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from hannah_hw.errors import InputError, RunError
from hannah_hw.search.archive import Record
from hannah_hw.search.record_log import RecordLog
from hannah_hw.search.tasks import Executor, Outcome, Task

if TYPE_CHECKING:
    from hannah_hw.spaces import SearchSpace
    from hannah_hw.targets import Target

#: Kind of the targets that have a compiler of their own.
_COMPILED: Final = "block"


@runtime_checkable
class MeasurementObserver(Protocol):
    """An observer of a run that also follows the measurements after it."""

    def on_measurement(self, done: int, total: int, /) -> None:
        """So many of the models to be measured have a record; also called before the first."""
        ...


@dataclass
class EmulatingEvaluator:
    """Measures a candidate by the means of its target; see `hannah_hw.search.protocols.Evaluator`.

    Firmware of a microcontroller runs on its emulated core; for an Ethos-U the vendor's compiler states what a network
    costs.

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

    def evaluate(self, identifier: str, assignment: Mapping[str, Any], /) -> dict[str, Any]:
        """Measure one candidate; firmware is built, run and checked."""
        if self._target is None:
            raise RuntimeError("start() was not called")
        path = self.artifacts / f"{identifier}.onnx"
        model = path if path.is_file() else self._loaded().candidate(assignment)
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


def means(target: Target, compiler: str | None) -> dict[str, str]:
    """What measuring on a target is done with: core, compiler and, for firmware, emulator.

    Raises:
        InputError: The target's core cannot be emulated, there is no such compiler, or firmware's compiler was named
            for a target without firmware; or what an accelerator's params stand for is not what its compiler knows.
        MissingExtraError: A package is not installed.
    """
    if target.kind == _COMPILED:
        return _compiler_means(target, compiler)
    from hannah_hw.measure.emulated import means_of
    from hannah_hw.targets import microcontroller

    return means_of(microcontroller(target, "measuring on an emulated core"), compiler)


def _compiler_means(target: Target, compiler: str | None) -> dict[str, str]:
    from hannah_hw.measure.vela_compiler import PACKAGE, core_of, system_of, vela_version
    from hannah_hw.targets import Accelerator

    if compiler is not None:
        raise InputError(
            f"firmware is built with it, and {target.name} has none; leave it out", where="measure.compiler"
        )
    if isinstance(target, Accelerator) and target.params:
        raise InputError(
            f"{target.name} has params, and {PACKAGE} compiles for processors that exist; leave measure.emulate out",
            where="measure.emulate",
        )
    return {"core": core_of(system_of(target)), "compiler": f"{PACKAGE} {vela_version()}"}


def measure_front(
    front: Sequence[Record], log: RecordLog, executor: Executor, observers: Sequence[object] = ()
) -> list[Record]:
    """Measure the candidates of a front that have no record yet.

    Args:
        front: Records of the search.
        log: Where the measurements are kept.
        executor: Runs an `EmulatingEvaluator`; closed at the end.
        observers: Of the run; those that are a `MeasurementObserver` are told.

    Returns:
        A record of each candidate of the front: ``id``, ``status`` (``ok`` or ``failed``), ``reason`` (``kind`` and
        ``message``, or None) and ``measurement`` (None after a failure).

    Raises:
        RunError: It was interrupted, no candidate could be measured for the same reason, or a record cannot be
            written.
    """
    following = [observer for observer in observers if isinstance(observer, MeasurementObserver)]
    known = {record["id"]: record for record in log.records}
    tasks = [Task(r["id"], r["assignment"]) for r in front if r["id"] not in known]
    finished: dict[int, Outcome] = {}
    written = 0
    for observer in following:
        observer.on_measurement(len(front) - len(tasks), len(front))
    try:
        for position, outcome in executor.run(tasks):
            finished[position] = outcome
            while written in finished:
                record = _record(tasks[written], finished.pop(written))
                log.append(record)
                known[record["id"]] = record
                written += 1
                for observer in following:
                    observer.on_measurement(len(front) - len(tasks) + written, len(front))
    except KeyboardInterrupt as interrupt:
        left = len(tasks) - written
        raise RunError(
            f"the search is done; interrupted with {left} of {len(front)} models to measure; continue with --resume"
        ) from interrupt
    finally:
        executor.close()
    return [known[record["id"]] for record in front]


def _record(task: Task, outcome: Outcome) -> Record:
    return {
        "id": task.identifier,
        "status": "ok" if outcome.reason is None else "failed",
        "reason": None if outcome.reason is None else dict(outcome.reason),
        "measurement": dict(outcome.metrics) if outcome.reason is None else None,
    }

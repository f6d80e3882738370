"""Models timed in turns, again where two halves of a measurement do not agree, and those that never do refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from hannah_hw.errors import ModelError
from hannah_hw.host.session import input_specs, open_session, random_inputs, run_once
from hannah_hw.measure.host_clock import BoundRun, Run, interleaved, settle

if TYPE_CHECKING:
    from onnx import ModelProto

#: Largest difference between two halves of a measurement, relative to the time of a run.
RETEST: Final = 0.03
#: How often what fails the test is measured again.
ATTEMPTS: Final = 3
#: Rounds of a measurement.
ROUNDS: Final = 20
#: Models that are timed with what is measured again or later, as a scale for it.
ANCHORS: Final = 16
#: Name of the empty model among subjects.
EMPTY: Final = "empty"


@dataclass(frozen=True)
class Subject:
    """Something to time.

    Attributes:
        name: What it is called in results; of a kernel its key.
        model: Content of an ONNX file.
        optimisation: A key of `hannah_hw.host.session.OPTIMISATIONS`.
        in_place: See `hannah_hw.measure.host_clock.BoundRun`.
    """

    name: str
    model: bytes
    optimisation: str = "all"
    in_place: bool = False


@dataclass
class Timings:
    """What was measured.

    Attributes:
        seconds: Name -> seconds of one run.
        spread: Name -> seconds by which two halves of the measurement differ.
        failures: Name -> why there is no time.
        calm: Share of rounds that nothing disturbed, of each measurement.
        slow: By what factor the machine was slower than before, of each measurement; see `Times`.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    calm: list[float] = field(default_factory=list)
    slow: list[float] = field(default_factory=list)

    def anchors(self) -> dict[str, float]:
        """Name -> seconds of some that are steady and neither short nor long, spread over all times."""
        names = sorted(
            (name for name in self.seconds if self.spread[name] <= RETEST * self.seconds[name]),
            key=self.seconds.__getitem__,
        )
        inner = names[len(names) // 10 : len(names) - len(names) // 10]
        step = max(1, len(inner) // ANCHORS)
        return {name: self.seconds[name] for name in inner[::step][:ANCHORS]}


def time_subjects(
    subjects: Sequence[Subject],
    *,
    known: Mapping[str, float] | None = None,
    rounds: int = ROUNDS,
    retest: float = RETEST,
    threads: int = 1,
    seed: int = 0,
) -> Timings:
    """Time models in turns; what differs too much between two halves of the measurement is timed again.

    Args:
        subjects: What to time, with different names.
        known: Name -> seconds of subjects that have been timed before: a scale for the others.
        rounds: Visits of every subject in one measurement.
        retest: Largest difference between its halves, relative to the time of a run.
        threads: Threads within an operator.
        seed: Of inputs and of the order.

    Returns:
        Times of all others that are steady, and why the rest has none.
    """
    found = Timings()
    runs: dict[str, Run] = {}
    for subject in subjects:
        try:
            runs[subject.name] = _opened(subject, threads, seed)
        except ModelError as error:
            found.failures[subject.name] = str(error)
    known = {name: value for name, value in (known or {}).items() if name in runs}
    waiting = [name for name in runs if name not in known]
    probe = _opened(Subject("probe", _probe_model()), threads, seed)
    for attempt in range(ATTEMPTS):
        scale = known
        if attempt:
            steady = known or found.anchors()
            scale = {name: steady[name] for name in list(steady)[:ANCHORS] if name not in waiting}
        names = [*scale, *(name for name in waiting if name not in scale)]
        times = interleaved(
            [runs[name] for name in names], rounds=rounds, probe=probe, threads=threads, seed=seed + attempt
        )
        before = np.array([scale.get(name, np.nan) for name in names])
        settled = settle(times, before)
        found.calm.append(settled.calm)
        found.slow.append(settled.slow)
        results = dict(
            zip(names, zip(settled.seconds.tolist(), settled.spread.tolist(), strict=True), strict=True)
        )
        for name in waiting:
            found.seconds[name], found.spread[name] = results[name]
        waiting = [name for name in waiting if found.spread[name] > retest * found.seconds[name]]
        if not waiting:
            break
    for name in waiting:
        share = found.spread.pop(name) / found.seconds.pop(name)
        found.failures[name] = (
            f"two halves of its measurement differ by {share:.1%} of its time, more than {retest:.0%}, "
            f"{ATTEMPTS} times; the machine is too busy"
        )
    return found


def _opened(subject: Subject, threads: int, seed: int) -> Run:
    """A function that runs a subject.

    Raises:
        ModelError: It cannot run.
    """
    session = open_session(subject.model, threads=threads, optimisation=subject.optimisation)
    feeds = random_inputs(input_specs(session, subject.name), seed)
    run_once(session, feeds, subject.name)
    return BoundRun(session, feeds, in_place=subject.in_place)


@cache
def empty_model() -> bytes:
    """A model that computes nothing: what a run takes before any kernel does something."""
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([], "empty", [value], [value])
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


@cache
def _probe_model() -> bytes:
    """A product of two matrices, of about 20 us: arithmetic that fits into the nearest cache."""
    from onnx import TensorProto, helper, numpy_helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [64, 64])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [64, 64])
    weight = numpy_helper.from_array(np.full((64, 64), 0.01, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "probe", [value], [result], [weight]
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())

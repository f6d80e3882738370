"""Models timed in turns until two halves of the measurement agree, and those for which they never do refused."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from hannah_hw.errors import ModelError
from hannah_hw.host.session import input_specs, open_session, random_inputs, run_once
from hannah_hw.measure.host_clock import LEAST_CALM, BoundRun, Run, interleaved, settle

if TYPE_CHECKING:
    from onnx import ModelProto

#: Largest difference between two halves of a measurement, relative to the time of a run.
RETEST: Final = 0.03
#: Fewest rounds of a measurement, and how many are added at a time while it is not steady.
ROUNDS: Final = 40
_MORE: Final = 20
#: Seconds after which no rounds are added.
SECONDS: Final = 10.0
#: Models that are timed with what is measured later, as a scale for it.
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
        calm: Share of visits that nothing disturbed.
        probe: Seconds of the probe in its fastest state; see `hannah_hw.measure.host_clock.Times`.
        slow: By what factor the machine was slower than before; likewise.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    calm: float = 1.0
    probe: float = 0.0
    slow: float = 1.0


def time_subjects(
    subjects: Sequence[Subject],
    *,
    known: Mapping[str, float] | None = None,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    fastest: float = np.inf,
    retest: float = RETEST,
    threads: int = 1,
    seed: int = 0,
) -> Timings:
    """Time models in turns, until two halves of the measurement agree on each and enough of it was undisturbed.

    Args:
        subjects: What to time, with different names.
        known: Name -> seconds of subjects that have been timed before: a scale for the others.
        rounds: Fewest visits of every subject.
        seconds: After which no more are made, whether the halves agree or not.
        fastest: Seconds of the probe in the fastest state that was seen before.
        retest: Largest difference between the halves, relative to the time of a run.
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
    if not runs:
        return found
    probe = _opened(Subject("probe", _probe_model()), threads, seed)
    before = np.array([known.get(name, np.nan) for name in runs])
    deadline = time.monotonic() + seconds
    visits = None
    while True:
        more = interleaved(
            list(runs.values()),
            rounds=rounds if visits is None else _MORE,
            probe=probe,
            threads=threads,
            seed=seed if visits is None else seed + len(visits.seconds),
        )
        visits = more if visits is None else visits + more
        settled = settle(visits, before, fastest)
        new = np.isnan(before)
        steady = bool((settled.spread <= retest * settled.seconds)[new].all())
        if (steady and settled.calm >= LEAST_CALM) or time.monotonic() > deadline:
            break
    found.calm, found.probe, found.slow = settled.calm, settled.probe, settled.slow
    for name, value, spread in zip(runs, settled.seconds.tolist(), settled.spread.tolist(), strict=True):
        if name in known:
            continue
        if spread <= retest * value:
            found.seconds[name], found.spread[name] = value, spread
        else:
            found.failures[name] = (
                f"two halves of its measurement differ by {spread / value:.1%} of its time, more than {retest:.0%}, "
                f"after {len(visits.seconds)} rounds; the machine is too busy"
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

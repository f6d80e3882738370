"""A network on the host that a target describes, in the same measure as its estimates."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hannah_hw.cost.report import Figure
from hannah_hw.errors import InputError, MeasurementError
from hannah_hw.host.candidates import candidate_model
from hannah_hw.host.facts import this_runtime
from hannah_hw.host.pricing import learned, learned_rows
from hannah_hw.host.session import input_specs, open_session, random_inputs, run_once
from hannah_hw.lowering.loading import load
from hannah_hw.measure.host_clock import DISTURBED, clock
from hannah_hw.measure.host_sweep import known_subjects
from hannah_hw.measure.host_turns import Subject, Timings, time_subjects
from hannah_hw.spaces import Candidate
from hannah_hw.targets import host

if TYPE_CHECKING:
    from hannah_hw.targets import Host, Target


#: Kernels of the calibration that are timed with a network.
_KNOWN: Final = 6
#: How often a measurement is begun while the machine is slower than when it was calibrated, and the pause between.
PATIENCE: Final = 5
PAUSE_SECONDS: Final = 1.0


@dataclass(frozen=True)
class HostMeasurement:
    """What a network took on this machine.

    Attributes:
        model: Its name.
        target: Label of the target.
        weights: Where its weights come from: ``the model's`` or ``random``.
        figures: ``latency_s`` -> figure; its error is by how much two halves of the measurement differ.
        means: What ran it; see `host_means`.
        calm: Share of the visits in which nothing else ran on the processor.
        warning: Why the figures may be wrong; empty where nothing says so.
    """

    model: str
    target: str
    weights: str
    figures: dict[str, Figure]
    means: dict[str, str]
    calm: float
    warning: str = ""

    def value(self, key: str) -> float:
        """A figure's value."""
        return self.figures[key].value

    def to_dict(self) -> dict[str, Any]:
        """JSON-able data; keys carry their units."""
        return asdict(self)


def host_means(target: Target) -> dict[str, str]:
    """What networks of a target are measured with, which must be this machine.

    Raises:
        InputError: Another machine was calibrated.
        UnsupportedError: The target is no host.
    """
    calibrated = host(target, "running networks on this machine").runtime
    here = this_runtime(calibrated.threads)
    for name in ("processor", "nchwc_block"):
        there, own = getattr(calibrated, name), getattr(here, name)
        if there != own:
            raise InputError(
                f"{target.name} was calibrated on another machine: its {name} is {there}, that of this machine {own}; "
                "measure there, or calibrate this machine: `hannah-hw calibrate host`",
                where=target.label,
            )
    return {
        "runtime": f"onnxruntime {here.version}",
        "processor": here.processor,
        "threads": str(here.threads),
    }


def measure_on_host(
    model: Candidate | str | os.PathLike[str],
    target: Target,
    *,
    seed: int = 0,
) -> HostMeasurement:
    """Run a network on this machine, pinned to one processor, and time it as its kernels were timed.

    That is thread CPU time where one thread runs. Kernels of the calibration are timed in turns with it: the factor by
    which they are slower now is divided out, and a measurement in which it is more than
    `hannah_hw.measure.host_clock.DISTURBED`, or of which two halves differ by more than
    `hannah_hw.measure.host_turns.RETEST`, is repeated.

    Args:
        model: A candidate, which gets random weights and the precision of the target, or the path of an ONNX file.
        target: The host, which must be this machine.
        seed: Of random weights and inputs.

    Raises:
        InputError: The target is another machine.
        UnsupportedError: The target is no host.
        ModelError: ONNX Runtime cannot run the model.
        MeasurementError: The machine was too busy in every attempt.
    """
    machine = host(target, "running networks on this machine")
    means = host_means(machine)
    threads = machine.runtime.threads
    if isinstance(model, Candidate):
        content = candidate_model(model, machine.model.precision, seed=seed).SerializeToString()
        name, weights = model.id, "random"
    else:
        content = load(Path(model)).SerializeToString()
        name, weights = Path(model).stem, "the model's"
    session = open_session(content, threads=threads)
    run_once(session, random_inputs(input_specs(session, name), seed), name)
    timed, slow = _timed(Subject(name, content), machine, seed)
    if name in timed.failures:
        raise MeasurementError(f"{name}: {timed.failures[name]}", kind="noise")
    seconds, spread = timed.seconds[name], timed.spread[name] / timed.seconds[name]
    kind = "thread CPU time" if clock(threads) is time.thread_time_ns else "wall time"
    note = (
        f"{kind} of a run, {', '.join(f'{key} {text}' for key, text in means.items())}; two halves of the measurement "
        f"differ by {spread:.1%}; {_compared(slow)}"
    )
    figures = {"latency_s": Figure(seconds, "s", "measured", round(spread, 4), note)}
    return HostMeasurement(name, target.label, weights, figures, means, timed.calm, _warning(slow))


def _timed(subject: Subject, target: Host, seed: int) -> tuple[Timings, float | None]:
    """A subject timed beside kernels of the calibration, while the machine is nearly as fast as then.

    Returns:
        The times, and by what factor the machine was slower; None where too few measurements of the calibration are
        there to tell. Where it never was as fast, those of the fastest attempt that has a time of the subject.
    """
    scale, known = known_subjects(learned_rows(target), learned(target).run_seconds, seed, _KNOWN)
    threads = target.runtime.threads
    found: list[tuple[bool, float, Timings]] = []
    for attempt in range(PATIENCE):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        timed = time_subjects([subject, *scale], known=known, threads=threads, seed=seed + attempt)
        found.append((subject.name in timed.failures, timed.slow, timed))
        if found[-1][:2] <= (False, DISTURBED):
            break
    _, slow, best = min(found, key=lambda one: one[:2])
    return best, slow if known else None


def _compared(slow: float | None) -> str:
    """How the machine is beside its calibration, in words."""
    if slow is None:
        return "not compared with the calibration, of which too few measurements are there"
    return f"runs took {slow:.3f} times as long as when the machine was calibrated, which is divided out"


def _warning(slow: float | None) -> str:
    """What is wrong with a measurement, in words; empty: nothing."""
    if slow is None:
        return (
            "times are as they were now, not as when the machine was calibrated: too few measurements of the "
            "calibration are beside its cost model"
        )
    if slow <= DISTURBED:
        return ""
    return (
        f"runs took {slow:.2f} times as long as when the machine was calibrated, and not all of them alike: measure "
        "again when it is quieter; where it stays so, calibrate it again"
    )

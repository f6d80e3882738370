"""How long a model takes on this machine, operator by operator, in ONNX Runtime."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import ModelError
from hannah_hw.host.facts import processor
from hannah_hw.host.session import input_specs, open_session, random_inputs, run_once
from hannah_hw.measure.host_operators import Arena, OperatorTime, arena, operator_times
from hannah_hw.measure.host_timing import WarmUp, statistics, timed, warm_up

#: Most runs that the per-operator profile takes.
_PROFILED_RUNS: Final = 20


@dataclass(frozen=True)
class ProfileReport:
    """A measurement of one model on this machine.

    Attributes:
        model: File name.
        latency_s: Median wall time of one run.
        latency_p90_s: 90th percentile.
        latency_min_s: Fastest run.
        variation: Coefficient of variation of the runs: standard deviation over mean.
        noisy: Whether `variation` is above `hannah_hw.measure.host_timing.NOISY`: other work disturbed the measurement.
        steady: Whether warm-up reached a steady state before its time ran out; see
            `hannah_hw.measure.host_timing.is_steady`.
        warmup_runs: Runs before timing.
        runs: Timed runs.
        threads: Threads within an operator.
        optimisation: Graph optimisation level.
        provider: Execution provider.
        inputs: Shape of each input.
        operators: Time of each executed node, in execution order. Measured with profiling on, which adds
            about a microsecond a node; `latency_s` is measured with it off.
        arena: Memory arena of the session; None where ONNX Runtime does not report it.
        versions: Of ONNX Runtime, NumPy and Python.
        machine: Processor and operating system.
        source: Always ``measured``.
    """

    model: str
    latency_s: float
    latency_p90_s: float
    latency_min_s: float
    variation: float
    noisy: bool
    steady: bool
    warmup_runs: int
    runs: int
    threads: int
    optimisation: str
    provider: str
    inputs: dict[str, list[int]]
    operators: tuple[OperatorTime, ...]
    arena: Arena | None
    versions: dict[str, str]
    machine: str
    source: str = "measured"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; keys carry units."""
        return {**asdict(self), "operators": [asdict(row) for row in self.operators]}


def profile_model(
    path: str | Path,
    *,
    shape: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
    threads: int = 1,
    runs: int = 100,
    optimisation: str = "all",
    provider: str = "CPUExecutionProvider",
    seed: int = 0,
) -> ProfileReport:
    """Measure a model's latency on this machine.

    Args:
        path: The ONNX file.
        shape: Input shape, or shapes by input name, where the model's own is dynamic. A symbolic batch alone
            is taken as 1.
        threads: Threads within an operator.
        runs: Timed runs.
        optimisation: ``none``, ``basic``, ``extended`` or ``all``.
        provider: Execution provider.
        seed: Of the random inputs.

    Raises:
        ModelError: See `hannah_hw.host.session.open_session` and `input_specs`; or it fails while running.
    """
    if runs < 1:
        raise ModelError(f"{runs} runs were asked for; at least 1 is needed", where=str(path))
    settings: dict[str, Any] = {"threads": threads, "optimisation": optimisation, "provider": provider}
    run, feeds = prepare(path, shape=shape, seed=seed, **settings)
    sample = timed(run)
    warmup = warm_up(sample)
    return build_report(path, warmup, np.array([sample() for _ in range(runs)]), feeds, settings)


def prepare(
    path: str | Path,
    *,
    shape: Sequence[int] | Mapping[str, Sequence[int]] | None,
    seed: int,
    **settings: Any,
) -> tuple[Callable[[], object], dict[str, NDArray[Any]]]:
    """A model that has run once: a function that runs it again, and the inputs that it takes.

    Raises:
        ModelError: See `profile_model`.
    """
    session = open_session(path, **settings)
    feeds = random_inputs(input_specs(session, path, shape), seed)
    run_once(session, feeds, path)
    return lambda: session.run(None, feeds), feeds


def build_report(
    path: str | Path,
    warmup: WarmUp,
    times: NDArray[np.float64],
    feeds: dict[str, NDArray[Any]],
    settings: Mapping[str, Any],
) -> ProfileReport:
    """What (runs,) seconds of single runs say, with the operators of a session of its own that profiles them."""
    timing = statistics(times)
    events = _events(path, feeds, min(len(times), _PROFILED_RUNS), settings)
    return ProfileReport(
        model=Path(path).name,
        latency_s=timing.median_s,
        latency_p90_s=timing.p90_s,
        latency_min_s=timing.fastest_s,
        variation=timing.variation,
        noisy=timing.noisy,
        steady=warmup.steady,
        warmup_runs=warmup.runs,
        runs=len(times),
        threads=settings["threads"],
        optimisation=settings["optimisation"],
        provider=settings["provider"],
        inputs={name: list(value.shape) for name, value in feeds.items()},
        operators=operator_times(events),
        arena=arena(events),
        versions=_versions(),
        machine=f"{processor()}, {os.cpu_count()} cores, {platform.system()}",
    )


def _events(
    path: str | Path, feeds: dict[str, NDArray[Any]], runs: int, settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The runtime's own profile of `runs` runs and one before them."""
    with tempfile.TemporaryDirectory(prefix="hannah_hw.") as scratch:
        session = open_session(path, **settings, profile_prefix=str(Path(scratch) / "profile"))
        for _ in range(runs + 1):
            session.run(None, feeds)
        events: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return events


def _versions() -> dict[str, str]:
    import onnxruntime

    return {
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }

"""How long a model takes on this machine, operator by operator, in ONNX Runtime."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import ModelError
from hannah_hw.measure.host import input_specs, open_session, random_inputs

#: Warm-up ends when two successive blocks of runs agree in their median to this relative difference.
STEADY: Final = 0.05
_BLOCK: Final = 5
_WARMUP_SECONDS: Final = 2.0

#: Coefficient of variation of the timed runs above which the machine counts as noisy.
NOISY: Final = 0.10

#: Most runs that the per-operator profile takes.
_PROFILED_RUNS: Final = 20


@dataclass(frozen=True)
class OperatorTime:
    """Time of one node of the graph that the runtime executed (after its fusions).

    Attributes:
        name: Node name in the optimised graph.
        op_type: Its operator.
        latency_s: Median over the profiled runs.
        share: Of the sum over all operators.
    """

    name: str
    op_type: str
    latency_s: float
    share: float


@dataclass(frozen=True)
class ProfileReport:
    """A measurement of one model on this machine.

    Attributes:
        model: File name.
        latency_s: Median wall time of one run.
        latency_p90_s: 90th percentile.
        latency_min_s: Fastest run.
        variation: Standard deviation over mean of the runs.
        noisy: Whether `variation` is above `NOISY`: other work disturbed the measurement.
        steady: Whether warm-up reached a steady state before its time ran out.
        warmup_runs: Runs before timing.
        runs: Timed runs.
        threads: Threads within an operator.
        optimisation: Graph optimisation level.
        provider: Execution provider.
        inputs: Shape of each input.
        operators: Time of each executed node, in execution order. Measured with profiling on, which adds
            about a microsecond a node; `latency_s` is measured with it off.
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
        ModelError: See `hannah_hw.measure.host.open_session` and `input_specs`; or it fails while running.
    """
    if runs < 1:
        raise ModelError(f"{runs} runs were asked for; at least 1 is needed", where=str(path))
    settings: dict[str, Any] = {"threads": threads, "optimisation": optimisation, "provider": provider}
    session = open_session(path, **settings)
    feeds = random_inputs(input_specs(session, path, shape), seed)
    run = _runner(session, feeds, path)
    warmup, steady = _warm_up(run)
    times = _time(run, runs)
    variation = float(times.std() / times.mean())
    return ProfileReport(
        model=Path(path).name,
        latency_s=float(np.median(times)),
        latency_p90_s=float(np.quantile(times, 0.9)),
        latency_min_s=float(times.min()),
        variation=variation,
        noisy=variation > NOISY,
        steady=steady,
        warmup_runs=warmup,
        runs=runs,
        threads=threads,
        optimisation=optimisation,
        provider=session.get_providers()[0],
        inputs={name: list(value.shape) for name, value in feeds.items()},
        operators=_operators(path, feeds, min(runs, _PROFILED_RUNS), settings),
        versions=_versions(),
        machine=f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
    )


def _runner(session: Any, feeds: dict[str, NDArray[Any]], path: str | Path) -> Callable[[], object]:
    """One run of a session, checked once."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    try:
        session.run(None, feeds)
    except (state.Fail, state.InvalidArgument, state.NotImplemented, state.RuntimeException) as error:
        raise ModelError(f"the model fails while running: {error}", where=str(path)) from error
    return lambda: session.run(None, feeds)


def _warm_up(run: Callable[[], object]) -> tuple[int, bool]:
    """Run until two blocks agree; returns the number of runs and whether they did."""
    started = time.perf_counter()
    count, previous = 0, 0.0
    while True:
        median = float(np.median(_time(run, _BLOCK)))
        count += _BLOCK
        if previous and abs(median - previous) <= STEADY * previous:
            return count, True
        if time.perf_counter() - started > _WARMUP_SECONDS:
            return count, False
        previous = median


def _time(run: Callable[[], object], runs: int) -> NDArray[np.float64]:
    """(runs,) wall seconds of each run."""
    times = np.empty(runs)
    for index in range(runs):
        started = time.perf_counter()
        run()
        times[index] = time.perf_counter() - started
    return times


def _operators(
    path: str | Path, feeds: dict[str, NDArray[Any]], runs: int, settings: dict[str, Any]
) -> tuple[OperatorTime, ...]:
    """Median time of each node, from the runtime's own profile."""
    with tempfile.TemporaryDirectory(prefix="hannah_hw.") as scratch:
        session = open_session(path, **settings, profile_prefix=str(Path(scratch) / "profile"))
        for _ in range(runs + 1):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    samples: dict[str, list[float]] = {}
    types: dict[str, str] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            samples.setdefault(name, []).append(event["dur"] * 1e-6)
            types[name] = event["args"]["op_name"]
    # The first run allocates memory and is left out.
    medians = {name: float(np.median(values[1:])) for name, values in samples.items()}
    total = sum(medians.values())
    return tuple(
        OperatorTime(name, types[name], value, value / total if total > 0 else 0.0)
        for name, value in medians.items()
    )


def _versions() -> dict[str, str]:
    import onnxruntime

    return {
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    """The processor's name, or its architecture where the system does not say."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.machine()
    return platform.processor() or platform.machine()

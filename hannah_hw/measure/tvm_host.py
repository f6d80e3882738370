"""How long a model takes on this machine when TVM compiles it, kernel by kernel, its outputs checked."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import EvaluationError, InputError
from hannah_hw.host.facts import processor
from hannah_hw.host.session import input_specs, open_session, random_inputs
from hannah_hw.lowering.open_shapes import GivenShapes
from hannah_hw.lowering.reader import read_onnx
from hannah_hw.lowering.tvm import Lowered, TvmKernel, TvmWorker
from hannah_hw.lowering.tvm.agreement import float_workload
from hannah_hw.lowering.tvm.process import VERSIONS, worker_or_own
from hannah_hw.measure.differences import TOLERANCE, difference
from hannah_hw.measure.host_timing import STEADY_BLOCKS, Timing, is_steady, statistics

#: Random inputs whose output is checked.
INPUTS: Final = 2
#: Timed runs.
RUNS: Final = 100
#: Seconds that compiling and running one model may take.
TIMEOUT_S: Final = 600.0
#: Seconds of runs before those that are timed.
WARMUP_S: Final = 0.5
#: Most runs in which kernels are timed.
_KERNEL_RUNS: Final = 20


@dataclass(frozen=True)
class KernelTime:
    """One kernel of TVM.

    Attributes:
        kernel: What it computes.
        latency_s: Median wall time, with about a microsecond of calling it.
        share: Part of the sum over all kernels.
    """

    kernel: TvmKernel
    latency_s: float
    share: float


@dataclass(frozen=True)
class TvmMeasurement:
    """A model compiled by TVM on this machine. There is none whose output was wrong.

    Attributes:
        model: File name.
        timing: Of whole runs: wall times, on one thread.
        steady: Whether times were steady at the end of the warm-up; see `hannah_hw.measure.host_timing.is_steady`.
        warmup_runs: Runs before timing.
        runs: Timed runs.
        kernels: What ran, in order. Measured one by one in runs of their own.
        checked: Inputs whose outputs were compared with ONNX Runtime's.
        difference: Largest difference from it, relative to the largest output.
        compile_s: Wall seconds of compiling.
        target: LLVM's name of the machine.
        cpu: LLVM's name of the processor.
        versions: Of TVM and its foreign function interface.
        machine: Processor and operating system.
        source: Always ``measured``.
    """

    model: str
    timing: Timing
    steady: bool
    warmup_runs: int
    runs: int
    kernels: tuple[KernelTime, ...]
    checked: int
    difference: float
    compile_s: float
    target: str
    cpu: str
    versions: dict[str, str]
    machine: str
    source: str = "measured"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; keys carry units."""
        timing = self.timing
        return {
            "model": self.model,
            "latency_s": timing.median_s,
            "latency_p90_s": timing.p90_s,
            "latency_min_s": timing.fastest_s,
            "variation": timing.variation,
            "noisy": timing.noisy,
            **{
                name: value
                for name, value in asdict(self).items()
                if name not in ("model", "timing", "kernels")
            },
            "kernels": [
                {
                    "name": row.kernel.name,
                    "nodes": list(row.kernel.nodes),
                    "macs": row.kernel.macs,
                    "latency_s": row.latency_s,
                    "share": row.share,
                }
                for row in self.kernels
            ],
        }


def measure_with_tvm(
    path: str | os.PathLike[str],
    *,
    shapes: GivenShapes | None = None,
    runs: int = RUNS,
    inputs: int = INPUTS,
    seed: int = 0,
    worker: TvmWorker | None = None,
) -> TvmMeasurement:
    """Compile a float32 model with TVM, check what it computes, and measure it on this machine, on one thread.

    Args:
        path: The ONNX file.
        shapes: See `hannah_hw.estimation.estimate`.
        runs: Timed runs.
        inputs: Random inputs whose outputs are compared with ONNX Runtime's.
        seed: Of the inputs.
        worker: TVM's process, kept warm between models; without one, it is started and ended here.

    Raises:
        InputError: The model is quantised, or there is nothing to run or to compare.
        ModelError: The file is no readable ONNX, or ONNX Runtime cannot run it.
        UnsupportedError: TVM has no operator of the model.
        EvaluationError: TVM crashed or failed, or it computes something else (its kind is ``output``).
        MissingExtraError: TVM is not installed.
    """
    for name, value in (("runs", runs), ("inputs", inputs)):
        if value < 1:
            raise InputError(f"{value} {name} were asked for; at least 1 is needed", where=name)
    read = read_onnx(path, shapes=shapes)
    float_workload(read)
    session = open_session(read.model.SerializeToString(), optimisation="none")
    specs = input_specs(session, str(path))
    feeds = [random_inputs(specs, seed + index) for index in range(inputs)]
    expected = [session.run(None, feed) for feed in feeds]
    with worker_or_own(worker, timeout_s=TIMEOUT_S) as used:
        found, answer = _run(used, read.model, feeds, runs)
    names = [output.name for output in read.model.graph.output]
    worst = max(_compared(names, mine, theirs) for mine, theirs in zip(expected, found, strict=True))
    blocks = np.array_split(np.array(answer["warmup"][1:]), STEADY_BLOCKS)
    return TvmMeasurement(
        model=Path(path).name,
        timing=statistics(np.array(answer["times"])),
        steady=all(len(block) for block in blocks) and is_steady([float(np.median(b)) for b in blocks]),
        warmup_runs=len(answer["warmup"]),
        runs=runs,
        kernels=_kernel_times(answer),
        checked=inputs,
        difference=worst,
        compile_s=answer["compile_s"],
        target=answer["target"],
        cpu=answer["cpu"],
        versions=dict(VERSIONS),
        machine=f"{processor()}, {os.cpu_count()} cores, {platform.system()}",
    )


def _run(
    worker: TvmWorker, model: Any, feeds: Sequence[Mapping[str, NDArray[Any]]], runs: int
) -> tuple[list[list[NDArray[Any]]], dict[str, Any]]:
    """Outputs for each set of inputs, and what the worker answers."""
    with tempfile.TemporaryDirectory(prefix="hannah-hw-") as folder:
        inputs, outputs = Path(folder, "inputs.npz"), Path(folder, "outputs.npz")
        arrays: dict[str, Any] = {
            f"{i}.{j}": array for i, feed in enumerate(feeds) for j, array in enumerate(feed.values())
        }
        np.savez(inputs, **arrays)
        answer = worker.request(
            "run",
            model,
            "compile and run",
            inputs=str(inputs),
            outputs=str(outputs),
            warmup_s=WARMUP_S,
            runs=runs,
            kernel_runs=min(runs, _KERNEL_RUNS),
        )
        with np.load(outputs, allow_pickle=False) as results:
            return [
                [results[f"{i}.{j}"] for j in range(len(model.graph.output))] for i in range(len(feeds))
            ], answer


def _compared(names: Sequence[str], expected: Sequence[Any], found: Sequence[NDArray[Any]]) -> float:
    """Largest difference of the outputs; see `difference`.

    Raises:
        EvaluationError: It is beyond `TOLERANCE`, or an output has another shape.
    """
    worst = 0.0
    for name, mine, theirs in zip(names, expected, found, strict=True):
        if mine.shape != theirs.shape:
            raise EvaluationError(
                f"TVM's output {name} is of shape {theirs.shape}, and ONNX Runtime's {mine.shape}",
                kind="output",
            )
        apart = difference(mine, theirs)
        if not apart <= TOLERANCE:
            raise EvaluationError(
                f"TVM's output {name} differs from ONNX Runtime's by {apart:.2g} of the largest value, and "
                f"{TOLERANCE:g} is allowed; please report this model",
                kind="output",
            )
        worst = max(worst, apart)
    return worst


def _kernel_times(answer: Mapping[str, Any]) -> tuple[KernelTime, ...]:
    kernels = Lowered.from_dict(answer).kernels
    medians = [
        (kernel, float(np.median(times)))
        for kernel, times in zip(kernels, answer["kernel_times"], strict=True)
        if times
    ]
    total = sum(seconds for _, seconds in medians) or 1.0
    return tuple(KernelTime(kernel, seconds, seconds / total) for kernel, seconds in medians)

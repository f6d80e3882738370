"""``hannah-hw measure --runtime tvm``: what TVM's kernels of a float32 model cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hannah_hw.cli.output import emit, say, table, write
from hannah_hw.quantities import format_si

if TYPE_CHECKING:
    from hannah_hw.lowering.open_shapes import GivenShapes
    from hannah_hw.measure.tvm_host import TvmMeasurement


def measure_on_host(
    model: Path, shapes: GivenShapes | None, inputs: int | None, runs: int | None, as_json: bool
) -> None:
    """Measure a model on this machine and print it.

    Args:
        model: An ONNX file of float32.
        shapes: Of its inputs, where the file leaves them open.
        inputs: Random inputs whose outputs are compared, where given.
        runs: Timed runs, where given.
        as_json: Of the verb.
    """
    from hannah_hw.measure.tvm_host import INPUTS, RUNS, measure_with_tvm

    found = measure_with_tvm(
        model,
        shapes=shapes,
        runs=RUNS if runs is None else runs,
        inputs=INPUTS if inputs is None else inputs,
    )
    emit(found.to_dict(), as_json, lambda: render(found))
    if found.timing.noisy or not found.steady:
        say(
            f"warning: the runs vary by {found.timing.variation:.0%}"
            f"{'' if found.steady else ' and were not steady after warm-up'}; other work disturbed them. Close it, or "
            "raise --runs"
        )


def render(found: TvmMeasurement) -> None:
    """A measurement as a person reads it."""
    timing = found.timing
    version = found.versions["apache-tvm"]
    write(f"{found.model} on {found.machine}, TVM {version}, LLVM {found.target} {found.cpu}, 1 thread")
    write(
        f"median {format_si(timing.median_s, 's')}, p90 {format_si(timing.p90_s, 's')}, "
        f"fastest {format_si(timing.fastest_s, 's')}, variation {timing.variation:.1%}, "
        f"{found.runs} runs after {found.warmup_runs} of warm-up; compiled in {format_si(found.compile_s, 's')}"
    )
    write("")
    rows = [
        (
            row.kernel.name,
            ", ".join(row.kernel.nodes),
            f"{row.kernel.macs:,}",
            format_si(row.latency_s, "s"),
            f"{row.share:.1%}",
        )
        for row in found.kernels
    ]
    table(("kernel", "ONNX nodes by their first output", "MACs", "latency", "share"), rows, right=(2, 3, 4))
    write("")
    write(
        f"{found.checked} random inputs: the outputs differ from ONNX Runtime's by at most {found.difference:.1g} "
        "of the largest value"
    )

"""``hannah-hw profile``: how long a model takes on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hannah_hw.cli.options import ShapeOption, parse_shapes
from hannah_hw.cli.output import JsonOption, emit, say, table, write
from hannah_hw.quantities import format_si

if TYPE_CHECKING:
    from hannah_hw.measure.profile import ProfileReport


def profile(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="A model.")],
    shape: ShapeOption = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads within an operator.")] = 1,
    runs: Annotated[int, typer.Option("--runs", "-n", min=1, max=1_000_000, help="Timed runs.")] = 100,
    optimisation: Annotated[
        str, typer.Option("--optimisation", help="Graph optimisation: none, basic, extended or all.")
    ] = "all",
    provider: Annotated[
        str, typer.Option("--provider", help="Execution provider of ONNX Runtime.")
    ] = "CPUExecutionProvider",
    as_json: JsonOption = False,
) -> None:
    """Measure an ONNX model in ONNX Runtime on this machine: median, p90, and every operator.

    It warms up until the times are steady, and says when other work disturbed the measurement.

    - `hannah-hw profile model.onnx`
    - `hannah-hw profile model.onnx --threads 2 --runs 500 --json`
    - `hannah-hw profile dynamic.onnx --shape 1,3,96,96`
    - `hannah-hw profile two_inputs.onnx --shape image=1,3,96,96 --shape state=1,64`
    """
    from hannah_hw.measure.profile import profile_model

    report = profile_model(
        model,
        shape=parse_shapes(shape),
        threads=threads,
        runs=runs,
        optimisation=optimisation,
        provider=provider,
    )
    emit(report.to_dict(), as_json, lambda: _render(report))
    if report.noisy:
        say(
            f"warning: the runs vary by {report.variation:.0%}; other work disturbed them. "
            "Close it, or raise --runs"
        )
    if not report.steady:
        say("warning: the warm-up did not reach steady times")


def _render(report: ProfileReport) -> None:
    write(f"{report.model} on {report.machine}, {report.provider}, {report.threads} thread(s)")
    write(
        f"median {format_si(report.latency_s, 's')}, p90 {format_si(report.latency_p90_s, 's')}, "
        f"fastest {format_si(report.latency_min_s, 's')}, {report.runs} runs after {report.warmup_runs} of warm-up"
    )
    write("")
    rows = [
        (row.name, row.op_type, format_si(row.latency_s, "s"), f"{row.share:.1%}") for row in report.operators
    ]
    table(("operator", "type", "latency", "share"), rows, right=(2, 3))

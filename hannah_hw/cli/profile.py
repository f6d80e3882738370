"""``hannah-hw profile``: how long a model takes on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hannah_hw.cli import completion
from hannah_hw.cli.insight import render_insight
from hannah_hw.cli.options import ShapeOption, parse_shapes
from hannah_hw.cli.output import JsonOption, emit, paragraph, say, table, write
from hannah_hw.quantities import format_bytes, format_si

if TYPE_CHECKING:
    from hannah_hw.advice import Insight
    from hannah_hw.measure.host_comparison import Comparison
    from hannah_hw.measure.profile import ProfileReport


def profile(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.onnx", autocompletion=completion.models, help="A model.")
    ],
    shape: ShapeOption = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads within an operator.")] = 1,
    runs: Annotated[int, typer.Option("--runs", "-n", min=1, max=1_000_000, help="Timed runs.")] = 100,
    optimisation: Annotated[
        str,
        typer.Option(
            "--optimisation",
            autocompletion=completion.words("none", "basic", "extended", "all"),
            help="Graph optimisation: none, basic, extended or all.",
        ),
    ] = "all",
    provider: Annotated[
        str, typer.Option("--provider", help="Execution provider of ONNX Runtime.")
    ] = "CPUExecutionProvider",
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            metavar="OTHER.onnx",
            autocompletion=completion.models,
            help="Measure this model in turns with the first.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure an ONNX model in ONNX Runtime on this machine: median, p90, and every operator.

    It warms up until the times are steady, and says when other work disturbed the measurement. Below the operators it
    says what would help: changes of the network, with the measured times scaled by the work that they leave.
    With --compare, runs of two models alternate, and the ratio of their medians has an interval.

    - `hannah-hw profile model.onnx`
    - `hannah-hw profile model.onnx --threads 2 --runs 500 --json`
    - `hannah-hw profile model.onnx --compare smaller.onnx`
    - `hannah-hw profile dynamic.onnx --shape 1,3,96,96`
    - `hannah-hw profile two_inputs.onnx --shape image=1,3,96,96 --shape state=1,64`
    """
    from hannah_hw.advice import advise_profile
    from hannah_hw.measure.host_comparison import compare_models
    from hannah_hw.measure.profile import profile_model

    shapes = parse_shapes(shape)
    if compare is not None:
        both = compare_models(
            model,
            compare,
            shape=shapes,
            runs=runs,
            threads=threads,
            optimisation=optimisation,
            provider=provider,
        )
        emit(both.to_dict(), as_json, lambda: _render_comparison(both))
        _warn(both.model)
        _warn(both.other)
        return
    report = profile_model(
        model, shape=shapes, threads=threads, runs=runs, optimisation=optimisation, provider=provider
    )
    timed = [(row.name, row.latency_s) for row in report.operators]
    insight = advise_profile(str(model), timed, report.latency_s, shapes=shapes)
    document = report.to_dict() | {"insight": insight.to_dict()}
    emit(document, as_json, lambda: _render(report, insight))
    _warn(report)


def _warn(report: ProfileReport) -> None:
    """Say what makes a measurement doubtful, and what to do about it."""
    if report.noisy:
        say(
            f"warning: {report.model}: the runs vary by {report.variation:.0%}; other work disturbed them. "
            "Close it, or raise --runs"
        )
    if not report.steady:
        say(
            f"warning: {report.model}: the times were not steady after {report.warmup_runs} runs of warm-up. "
            "Wait until the machine is quiet and cool, and measure again"
        )


def _render(report: ProfileReport, insight: Insight) -> None:
    _render_settings(report)
    _render_times(report)
    write("")
    foreign = any(row.provider != report.provider for row in report.operators)
    rows = [
        (
            row.name,
            row.op_type,
            format_si(row.latency_s, "s"),
            f"{row.share:.1%}",
            *([row.provider] if foreign else []),
        )
        for row in report.operators
    ]
    headers = ("operator", "type", "latency", "share", *(["provider"] if foreign else []))
    table(headers, rows, right=(2, 3), spare=("provider", "type"))
    write("")
    render_insight(insight)


def _render_settings(report: ProfileReport) -> None:
    paragraph(
        f"{report.model} on {report.machine}, ONNX Runtime {report.versions['onnxruntime']}, {report.provider}, "
        f"{report.threads} thread(s), optimisation {report.optimisation}"
    )


def _render_times(report: ProfileReport) -> None:
    paragraph(
        f"median {format_si(report.latency_s, 's')}, p90 {format_si(report.latency_p90_s, 's')}, "
        f"fastest {format_si(report.latency_min_s, 's')}, variation {report.variation:.1%}, "
        f"{report.runs} runs after {report.warmup_runs} of warm-up"
    )
    if report.arena is None:
        write("memory arena: not reported by this ONNX Runtime")
    else:
        write(
            f"memory arena: {format_bytes(report.arena.held_bytes)} held, "
            f"{format_bytes(report.arena.peak_bytes)} in use at most"
        )


def _render_comparison(both: Comparison) -> None:
    for report in (both.model, both.other):
        _render_settings(report)
        _render_times(report)
        write("")
    ratio = both.ratio
    paragraph(
        f"{both.other.model} takes {ratio.value:.3f} times as long as {both.model.model} "
        f"({ratio.confidence:.0%} interval {ratio.low:.3f} to {ratio.high:.3f}, {both.pairs} pairs of runs in turns)"
    )
    if not ratio.differs:
        paragraph("the interval holds 1: these runs show no difference; raise --runs to see a small one")

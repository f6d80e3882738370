"""``hannah-hw estimate``: what a model costs on a target, without running it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hannah_hw.cli import completion
from hannah_hw.cli.accelerator_report import kernel as find_kernel
from hannah_hw.cli.accelerator_report import render_kernel, render_kernels
from hannah_hw.cli.figures import figure_table
from hannah_hw.cli.insight import render_insight
from hannah_hw.cli.lowering_report import (
    SecondView,
    assembly_processor,
    lowering_document,
    render_lowering,
    second_view,
)
from hannah_hw.cli.options import ShapeOption, parse_shapes, refuse_options
from hannah_hw.cli.output import JsonOption, emit, paragraph, say, table, write
from hannah_hw.errors import InputError
from hannah_hw.quantities import format_bytes, format_si

if TYPE_CHECKING:
    from hannah_hw.advice import Insight
    from hannah_hw.cost import CostReport

#: Most names that a line lists.
_NAMED = 3
#: Compilers whose lowering is a second view of a model.
LOWERINGS = ("tvm",)


def estimate(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL.onnx", autocompletion=completion.models, help="A model, float32 or int8 QDQ."
        ),
    ],
    target: Annotated[
        str,
        typer.Option(
            "--target",
            "-t",
            autocompletion=completion.targets,
            help="A name of `targets list` or a .yaml file; :RUNTIME behind it takes another one.",
        ),
    ],
    shape: ShapeOption = None,
    kernel: Annotated[
        str | None,
        typer.Option(
            "--kernel", metavar="NAME", help="On an accelerator: show all of one kernel, with its mapping."
        ),
    ] = None,
    lowering: Annotated[
        str | None,
        typer.Option(
            "--lowering",
            metavar="NAME",
            help="A second view of a float32 model, compared with ours kernel by kernel: tvm (extra `tvm`).",
        ),
    ] = None,
    features: Annotated[
        bool,
        typer.Option(
            "--features",
            help="With --lowering tvm and --json: TVM's 164 features of every store of its kernels.",
        ),
    ] = False,
    assembly: Annotated[
        Path | None,
        typer.Option(
            "--assembly",
            metavar="DIR",
            help="With --lowering tvm: write TVM's kernels there as assembly and object files.",
        ),
    ] = None,
    llvm: Annotated[
        str | None,
        typer.Option(
            "--llvm",
            metavar="NAME",
            help="Processor of the assembly, as in m4; by default the target's core.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Estimate latency, energy, RAM and flash of an ONNX model on a target; on a host latency alone.

    Below the figures it says which kernels take most of the time, what the RAM holds at its peak, and what would help:
    changes of the network, each priced as the network that it leads to. What they cost in accuracy is not known.

    Every figure says where it comes from and its error band. Operators that the target cannot run, or that nobody
    can read, are counted by type with the reason; there are then no totals but partial sums over the rest, and the
    exit code is 1.

    - `hannah-hw estimate model.onnx --target stm32l4r5zi`
    - `hannah-hw estimate model.onnx --target stm32l4r5zi:cmsis_nn`
    - `hannah-hw estimate model.onnx -t ./my_chip.yaml --json`
    - `hannah-hw estimate model.onnx -t eyeriss --kernel conv_1`
    - `hannah-hw estimate model.onnx -t ./my_host.yaml`
    - `hannah-hw estimate dynamic.onnx -t nrf5340 --shape 1,3,96,96`
    - `hannah-hw estimate model.onnx -t stm32l4r5zi --lowering tvm`
    - `hannah-hw estimate model.onnx -t nrf5340 --lowering tvm --assembly kernels`
    """
    from hannah_hw.advice import advise
    from hannah_hw.estimation import estimate as price

    if lowering not in (None, *LOWERINGS):
        raise InputError(
            f"there is no lowering {lowering!r}", where="--lowering", allowed=LOWERINGS, given=lowering or ""
        )
    processor = assembly_processor(lowering, assembly, llvm, target)
    if not (lowering and as_json):
        refuse_options({"--features": features}, "it is for --lowering tvm with --json")
    shapes = parse_shapes(shape)
    report = price(str(model), target, shapes=shapes)
    if kernel is not None:
        find_kernel(report, kernel)
    second = second_view(model, shapes, features, processor, assembly) if lowering else None
    for warning in _too_large(report):
        say(f"warning: {warning}")
    insight = advise(str(model), target, shapes=shapes, report=report)
    document = report.to_dict() | {"insight": insight.to_dict()}
    if second is not None:
        document["lowering"] = lowering_document(second)
    emit(document, as_json, lambda: _render(report, insight, kernel, second))
    if report.unsupported:
        kinds = [f"{row.count} {row.kind}" for row in report.unsupported_kinds]
        verdict = "has no price for" if report.runs_unpriced else "cannot run"
        say(
            f"error: {report.target} {verdict} {len(report.unsupported)} of the kernels: "
            f"{', '.join(kinds[:_NAMED])}{', ...' if len(kinds) > _NAMED else ''}; "
            f"`hannah-hw targets ops {shlex.quote(target)} {shlex.quote(str(model))}` shows by which rule"
        )
        raise typer.Exit(1)


def _too_large(report: CostReport) -> list[str]:
    """What of a model does not fit into a chip; its time is priced all the same."""
    sizes = (("RAM", "ram_bytes", report.ram_bytes), ("flash", "flash_bytes", report.flash_bytes))
    return [
        f"it needs {format_bytes(needed)} of {name}, and {report.target} has {format_bytes(report.limits[key])}"
        for name, key, needed in sizes
        if needed is not None and needed > report.limits.get(key, needed)
    ]


def _render(report: CostReport, insight: Insight, kernel: str | None, second: SecondView | None) -> None:
    write(f"{report.target}")
    figures = report.figures or report.partial
    if figures:
        figure_table(figures, least=bool(report.unsupported))
    else:
        write(f"no figures: none of the kernels {'has a price' if report.runs_unpriced else 'can run'}")
    write("")
    if report.memory is not None and report.memory.weights_in is not None:
        render_kernels(report)
        if kernel is not None:
            render_kernel(report, kernel)
    else:
        _render_kernels(report)
        for note in report.notes:
            write("")
            paragraph(f"note: {note}")
    if report.unsupported:
        _render_unsupported(report)
    else:
        write("")
        render_insight(insight)
    if second is not None:
        write("")
        render_lowering(second)


def _render_unsupported(report: CostReport) -> None:
    """What cannot run or has no price, counted by kind."""
    write("")
    rows = []
    for row in report.unsupported_kinds:
        names = ", ".join(row.kernels[:_NAMED]) + (", ..." if row.count > _NAMED else "")
        rows.append((row.kind, row.count, f"not read: {row.unread}" if row.unread else row.rule, names))
    verdict = "no price" if report.runs_unpriced else "cannot run"
    table((verdict, "count", "because", "kernels"), rows, right=[1])


def _render_kernels(report: CostReport) -> None:
    narrow = any(row.bits for row in report.kernels)
    kernels = [
        (
            row.name,
            row.kernel_class,
            *([row.bits or "8"] if narrow else []),
            None if row.macs is None else f"{row.macs:,}",
            "-" if row.latency_s is None else format_si(row.latency_s, "s"),
            f"{row.latency_s / report.latency_s:.1%}" if row.latency_s and report.latency_s else None,
            format_bytes(row.weight_bytes),
            row.source,
        )
        for row in report.kernels
    ]
    bits = ["bits of weights / input / output"] if narrow else []
    columns = ("kernel", "class", *bits, "MACs", "latency", "share", "weights", "source")
    numbers = [columns.index(name) for name in ("MACs", "latency", "share", "weights")]
    table(columns, kernels, right=numbers, spare=("source", "weights", "class"))

"""``hannah-hw validate``: estimates of a target against emulated firmware, published figures, or your board."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hannah_hw.cli.measure import CompilerOption
from hannah_hw.cli.output import JsonOption, emit, say, table, write
from hannah_hw.errors import (
    CatalogError,
    InputError,
    MissingExtraError,
    MissingToolError,
    RunError,
    TargetError,
)
from hannah_hw.quantities import format_bytes, format_si

if TYPE_CHECKING:
    from hannah_hw.measure.comparison import NetworkComparison
    from hannah_hw.measure.validation import ValidationReport
    from hannah_hw.targets import Microcontroller


def validate(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A name of `targets list`, or a path ending in .yaml.")
    ],
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            help="Your measurements: a CSV file with the columns model (an ONNX file, relative to the CSV file), "
            "latency_s or latency_ms, energy_j or energy_uj.",
        ),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option("--model", "-m", metavar="MODEL.onnx", help="Emulate this int8 model; repeatable."),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            "--calibration", metavar="FILE.npy", help="For float32 models, as in `measure`; or `random`."
        ),
    ] = None,
    kernels: Annotated[
        bool, typer.Option("--kernels", help="Show every kernel, not only their classes.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also draw the errors: a .svg or .html file.")
    ] = None,
    compiler: CompilerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the estimates of a target with what networks really need.

    The four networks of MLPerf Tiny are built as firmware and run on the target's emulated core: latency, RAM and
    flash, network by network and kernel by kernel. Where figures of the real chip are published, those are compared
    too. With --against, your own measurements of the chip are the reference instead. What of the target was fitted to
    such figures is stated below the table.

    - `hannah-hw validate stm32l4r5zi`
    - `hannah-hw validate stm32l4r5zi --out errors.html --kernels`
    - `hannah-hw validate nrf5340 --model model.onnx`
    - `hannah-hw validate ./my_chip.yaml --against my_board.csv`
    """
    from hannah_hw.targets import load_target, microcontroller

    chip = microcontroller(load_target(target), "comparing with emulated firmware and boards")
    if against is not None and (model or out is not None):
        raise InputError(
            "--against takes the models of its file; leave out --model and --out", where="--against"
        )
    if out is not None and out.suffix not in (".svg", ".html"):
        raise InputError("the plot is a .svg or a .html file", where=f"--out {out}")
    emulation, notes = (
        ([], []) if against is not None else _emulated(chip, model or (), calibration, compiler)
    )
    report = _against(chip, against, wanted=not model)
    if not emulation and report is None:
        raise RunError(
            f"{'; '.join(notes)}. No figures of a board are published for {chip.name} either; give your own with "
            "--against FILE.csv"
        )
    if not emulation and out is not None:
        raise RunError("; ".join(notes))
    for note in notes:
        say(f"warning: {note}")
    if out is not None:
        _draw(chip, emulation, out)
    emit(_document(report, emulation), as_json, lambda: _render(report, emulation, kernels))
    refused = {row.network: row.unsupported[0] for row in (report.rows if report else ()) if row.unsupported}
    refused |= {network.network: network.reason for network in emulation if network.reason is not None}
    for network, reason in refused.items():
        say(f"error: {chip.name} cannot run {network}: {reason}")
    if refused:
        raise typer.Exit(1)


def _emulated(
    chip: Microcontroller, models: Sequence[Path], calibration: str | None, compiler: str | None
) -> tuple[list[NetworkComparison], list[str]]:
    """The comparisons with emulation, or why there is none: a chip without it still has published figures."""
    from hannah_hw.measure.comparison import compare, compare_mlperf_tiny

    try:
        if models:
            return [
                compare(path.stem, path, chip, compiler=compiler, calibration=calibration) for path in models
            ], []
        return compare_mlperf_tiny(chip, compiler=compiler), []
    except (MissingExtraError, MissingToolError, TargetError) as error:
        if models:
            raise
        return [], [f"not compared with emulated firmware: {error}"]


def _against(chip: Microcontroller, against: Path | None, *, wanted: bool) -> ValidationReport | None:
    """The comparison with a board; None where nothing is published."""
    from hannah_hw.measure.validation import validate as compare

    if not wanted:
        return None
    try:
        return compare(chip, against)
    except CatalogError:
        if against is not None:
            raise
        return None


def _document(report: ValidationReport | None, emulation: Sequence[NetworkComparison]) -> dict[str, Any]:
    from hannah_hw.measure.comparison import to_dict

    document = report.to_dict() if report is not None else {}
    return {**document, "emulation": to_dict(emulation) if emulation else None}


def _draw(chip: Microcontroller, emulation: Sequence[NetworkComparison], out: Path) -> None:
    from hannah_hw.files import write_atomically
    from hannah_hw.report.agreement import agreement_page, draw_agreement

    title = f"{chip.title}: estimates against an emulated {chip.processor.title}"
    text = (draw_agreement if out.suffix == ".svg" else agreement_page)(title, emulation)
    try:
        write_atomically(out, text.encode())
    except OSError as failure:
        raise RunError(f"cannot write {out}: {failure}") from failure
    say(f"drawn into {out}")


def _render(report: ValidationReport | None, emulation: Sequence[NetworkComparison], kernels: bool) -> None:
    if emulation:
        _render_emulation(emulation, kernels)
    if report is None:
        return
    if emulation:
        write("")
        write(f"{report.target} against the real chip")
    rows = [
        (
            row.network,
            _figure(row.predicted_latency_s, "s"),
            _figure(row.reference_latency_s, "s"),
            _signed(row.latency_error),
            _figure(row.predicted_energy_j, "J"),
            _figure(row.reference_energy_j, "J"),
            _signed(row.energy_error),
        )
        for row in report.rows
    ]
    headers = ("network", "latency", "reference", "error", "energy", "reference", "error")
    table(headers, rows, right=range(1, 7))
    write("")
    for source in dict.fromkeys(row.source for row in report.rows):
        write(f"reference: {source}")
    for sentence in report.fitted:
        write(sentence)


def _render_emulation(emulation: Sequence[NetworkComparison], kernels: bool) -> None:
    from hannah_hw.measure.comparison import by_class

    write("estimate against emulated firmware; its output is that of the integer reference")
    rows = []
    for network in emulation:
        cells = []
        for key, figure in network.figures.items():
            show = format_bytes if key.endswith("_bytes") else _seconds
            cells += [show(figure.estimated), show(figure.emulated), _signed(figure.error)]
        rows.append((network.network, *(cells or [None] * 9)))
    figures = ("latency", "emulated", "error", "RAM", "ELF + stack", "error", "flash", "ELF", "error")
    table(("network", *figures), rows, right=range(1, 10))
    write("")
    if kernels:
        table(
            ("network", "kernel", "class", "function", "MACs", "cycles", "emulated", "error"),
            [
                (
                    network.network,
                    kernel.name,
                    kernel.kernel_class,
                    kernel.function,
                    f"{kernel.macs:,}",
                    f"{kernel.estimated_cycles:,.0f}",
                    f"{kernel.emulated_cycles:,.0f}",
                    _signed(kernel.error),
                )
                for network in emulation
                for kernel in network.kernels
            ],
            right=range(4, 8),
        )
        write("")
    table(
        ("kernel class", "kernels", "mean error", "largest"),
        [
            (row.kernel_class, row.kernels, f"{row.mean:.1%}", f"{row.largest:.1%}")
            for row in by_class(emulation)
        ],
        right=range(1, 4),
    )


def _seconds(value: float) -> str:
    return format_si(value, "s")


def _figure(value: float | None, unit: str) -> str | None:
    return None if value is None else format_si(value, unit)


def _signed(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:+.1f} %"

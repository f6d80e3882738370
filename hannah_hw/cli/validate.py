"""``hannah-hw validate``: estimates of a target against emulated firmware, published figures, or your board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hannah_hw.cli import completion
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
    from hannah_hw.targets import Microcontroller, Target


#: What latency, RAM and flash are compared with.
_EMULATED: Final = ("emulated", "ELF + stack", "ELF")
_COMPILED: Final = ("compiler", "SRAM", "compiled")


def validate(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            autocompletion=completion.targets,
            help="A name of `targets list`, or a path ending in .yaml.",
        ),
    ],
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            autocompletion=completion.tables,
            help="Your measurements: a CSV file with the columns model (an ONNX file, relative to the CSV file), "
            "latency_s or latency_ms, energy_j or energy_uj.",
        ),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL.onnx",
            autocompletion=completion.models,
            help="Emulate or compile this int8 model; repeatable.",
        ),
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

    Of an Ethos-U the networks are compiled with Arm's compiler, ethos-u-vela (extra `vela`), and compared with that.

    Of a host, which must be this machine, the networks are run and compared with their estimates.

    - `hannah-hw validate stm32l4r5zi`
    - `hannah-hw validate stm32l4r5zi --out errors.html --kernels`
    - `hannah-hw validate nrf5340 --model model.onnx`
    - `hannah-hw validate ./my_chip.yaml --against my_board.csv`
    - `hannah-hw validate ./my_host.yaml --model model.onnx`
    """
    from hannah_hw.targets import Host, load_target, microcontroller

    described = load_target(target)
    if against is not None and (model or out is not None):
        raise InputError(
            "--against takes the models of its file; leave out --model and --out", where="--against"
        )
    if out is not None and out.suffix not in (".svg", ".html"):
        raise InputError("the plot is a .svg or a .html file", where=f"--out {out}")
    if isinstance(described, Host):
        from hannah_hw.cli.validate_host import validate_host

        unused = {"--against": against, "--calibration": calibration, "--kernels": kernels, "--out": out}
        validate_host(described, model or (), as_json, unused | {"--compiler": compiler})
        return
    if described.kind == "block" and against is None:
        if compiler is not None:
            raise InputError(f"firmware is built with it, and {described.name} has none", where="--compiler")
        _compiled(described, model or (), calibration, out, kernels, as_json)
        return
    chip = microcontroller(described, "comparing with emulated firmware and boards")
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
        _draw(f"{chip.title}: estimates against an emulated {chip.processor.title}", emulation, out)
    emit(_document(report, emulation), as_json, lambda: _render(report, emulation, kernels))
    refused = {row.network: row.unsupported[0] for row in (report.rows if report else ()) if row.unsupported}
    refused |= {network.network: network.reason for network in emulation if network.reason is not None}
    _report_refused(chip, refused)


def _report_refused(chip: Target, refused: Mapping[str, str]) -> None:
    for network, reason in refused.items():
        say(f"error: {chip.name} cannot run {network}: {reason}")
    if refused:
        raise typer.Exit(1)


def _compiled(
    chip: Target,
    models: Sequence[Path],
    calibration: str | None,
    out: Path | None,
    kernels: bool,
    as_json: bool,
) -> None:
    """Compare estimates with an accelerator's own compiler."""
    from hannah_hw.measure.comparison import to_dict
    from hannah_hw.measure.vela_comparison import compare_mlperf_tiny_compiled, compare_with_compiler
    from hannah_hw.measure.vela_compiler import PACKAGE, vela_version

    compiler = f"{PACKAGE} {vela_version()}"
    if models:
        found = [compare_with_compiler(path.stem, path, chip, calibration=calibration) for path in models]
    else:
        found = compare_mlperf_tiny_compiled(chip)
    if out is not None:
        _draw(f"{chip.title}: estimates against {compiler}", found, out)
    title = f"estimate against vendor compiler {compiler}: its own cycle estimate, not silicon"
    emit(
        {"compiler": compiler, "compiled": to_dict(found)},
        as_json,
        lambda: _render_networks(title, _COMPILED, found, kernels),
    )
    _report_refused(
        chip, {network.network: network.reason for network in found if network.reason is not None}
    )


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


def _draw(title: str, emulation: Sequence[NetworkComparison], out: Path) -> None:
    from hannah_hw.files import write_atomically
    from hannah_hw.report.agreement import agreement_page, draw_agreement

    text = (draw_agreement if out.suffix == ".svg" else agreement_page)(title, emulation)
    try:
        write_atomically(out, text.encode())
    except OSError as failure:
        raise RunError(f"cannot write {out}: {failure}") from failure
    say(f"drawn into {out}")


def _render(report: ValidationReport | None, emulation: Sequence[NetworkComparison], kernels: bool) -> None:
    if emulation:
        title = "estimate against emulated firmware; its output is that of the integer reference"
        _render_networks(title, _EMULATED, emulation, kernels)
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


def _render_networks(
    title: str, words: tuple[str, str, str], emulation: Sequence[NetworkComparison], kernels: bool
) -> None:
    from hannah_hw.measure.comparison import FIGURES, by_class

    write(title)
    rows = []
    for network in emulation:
        cells: list[str | None] = []
        for key in FIGURES:
            figure = network.figures.get(key)
            show = format_bytes if key.endswith("_bytes") else _seconds
            cells += (
                [None] * 3
                if figure is None
                else [show(figure.estimated), show(figure.measured), _signed(figure.error)]
            )
        rows.append((network.network, *cells))
    latency, ram, flash = words
    figures = ("latency", latency, "error", "RAM", ram, "error", "flash", flash, "error")
    table(("network", *figures), rows, right=range(1, 10))
    write("")
    if kernels:
        table(
            ("network", "kernel", "class", "function", "MACs", "cycles", latency, "error"),
            [
                (
                    network.network,
                    kernel.name,
                    kernel.kernel_class,
                    kernel.function,
                    f"{kernel.macs:,}",
                    f"{kernel.estimated_cycles:,.0f}",
                    f"{kernel.measured_cycles:,.0f}",
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

"""``hannah-hw measure``: what a model costs as firmware on an emulated core."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hannah_hw.cli.estimate import show
from hannah_hw.cli.output import JsonOption, emit, say, table, write
from hannah_hw.quantities import format_bytes, format_si

if TYPE_CHECKING:
    from hannah_hw.measure.measurement import Measurement

CompilerOption = Annotated[
    str | None,
    typer.Option("--compiler", help="zig or gcc; by default zig where it is installed, else gcc."),
]


def measure(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="An int8 model in the QDQ form.")],
    target: Annotated[
        str,
        typer.Option(
            "--target",
            "-t",
            help="A name of `targets list` or a .yaml file; :RUNTIME behind it takes another one.",
        ),
    ],
    core: Annotated[
        str | None, typer.Option("--core", help="Emulate this core in place of the target's, as in m33.")
    ] = None,
    compiler: CompilerOption = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            "--calibration",
            metavar="FILE.npy",
            help="Quantise a float32 model with these inputs (N, ...); `random`: with noise, for time and memory "
            "alone.",
        ),
    ] = None,
    flash_reads: Annotated[
        bool,
        typer.Option(
            "--flash-reads", help="Count data loads from flash also where the target's flash makes none wait."
        ),
    ] = False,
    inputs: Annotated[
        int, typer.Option("--inputs", min=1, max=1000, help="Random inputs whose output is checked.")
    ] = 2,
    as_json: JsonOption = False,
) -> None:
    """Measure an ONNX model as firmware on an emulated core: instructions, cycles, RAM and flash, kernel by kernel.

    The model becomes a C project (that of `export --to c`), is built for the target's core and its memory, and run
    instruction by instruction. Its output is compared with the integer reference; a wrong one is an error, and there
    are no figures then. Two runs agree to the instruction.

    - `hannah-hw measure runs/mnist/artifacts/3f2a90c1.onnx --target stm32l4r5zi`
    - `hannah-hw measure model.onnx -t nrf5340 --json`
    - `hannah-hw measure float.onnx -t rp2040 --calibration samples.npy`
    """
    from hannah_hw.measure.emulated import measure_model

    _warn_of_runtime(target)
    found = measure_model(
        model,
        target,
        core=core,
        compiler=compiler,
        calibration=calibration,
        flash_reads=flash_reads,
        inputs=inputs,
    )
    emit(found.to_dict(), as_json, lambda: _render(found))


def _warn_of_runtime(target: str) -> None:
    """Say whose kernels are measured where the target was named with another runtime.

    Raises:
        TargetError: There is no such target, or it has no such runtime; see `hannah_hw.targets.load_target`.
    """
    from hannah_hw.measure.emulated import firmware_target
    from hannah_hw.targets import load_target, microcontroller

    chip = microcontroller(load_target(target), "measuring on an emulated core")
    used = firmware_target(chip)
    if used.label != chip.label:
        say(
            f"warning: firmware is made of our own kernels: this measures {used.label}; compare it with the estimate "
            f"for that, not for {chip.label}"
        )


def _render(found: Measurement) -> None:
    write(f"{found.model} on {found.target}: {found.core}, {found.compiler}, {found.emulator}")
    labels = [
        text for name, text in (("weights", found.weights), ("ranges", found.ranges)) if text != "the model's"
    ]
    if labels:
        write(f"weights: {found.weights}; ranges of values: {found.ranges}")
    table(
        ("figure", "value", "source", "error", "note"),
        [
            (
                key,
                show(figure.value, figure.unit),
                figure.source,
                "not known"
                if figure.error is None
                else "exact"
                if figure.error == 0
                else f"± {100 * figure.error:.2g} %",
                figure.note,
            )
            for key, figure in found.figures.items()
        ],
        right=[1],
    )
    write("")
    _render_kernels(found)
    write("")
    parts = ", ".join(f"{name} {format_bytes(size)}" for name, size in found.memory.items())
    write(f"RAM: {parts}")
    write(f"flash: {', '.join(f'{name} {format_bytes(size)}' for name, size in found.flash.items())}")
    write(f"{found.checked} random inputs: every output is that of the integer reference")


def _render_kernels(found: Measurement) -> None:
    counted = found.flash_reads is not None
    headers = ["kernel", "function", "MACs", "instructions", "core cycles", "cycles/MAC", "branches"]
    headers += ["flash reads"] * counted + ["latency", "share"]
    rows = []
    for row in found.kernels:
        per_mac = "-" if row.cycles_per_mac is None else f"{row.cycles_per_mac:.2f}"
        cells = [
            row.name,
            row.function,
            f"{row.macs:,}",
            f"{row.instructions:,}",
            f"{row.core_cycles:,}",
            per_mac,
        ]
        cells += [f"{row.taken_branches:,}"] + [f"{row.flash_reads or 0:,}"] * counted
        share = row.latency_s / found.value("latency_s")
        rows.append([*cells, format_si(row.latency_s, "s"), f"{share:.1%}"])
    total = ["all", "", f"{found.macs:,}", f"{found.instructions:,}", f"{found.core_cycles:,}"]
    total += [f"{found.core_cycles / found.macs:.2f}" if found.macs else "-", f"{found.taken_branches:,}"]
    total += [f"{found.flash_reads or 0:,}"] * counted + [format_si(found.value("latency_s"), "s"), ""]
    table(headers, [*rows, total], right=range(2, len(headers)))

"""``hannah-hw measure``: what a model costs as firmware on an emulated core, or by a compiler of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hannah_hw.cli import completion
from hannah_hw.cli.figures import figure_table
from hannah_hw.cli.insight import measured_insight, render_insight
from hannah_hw.cli.options import ShapeOption, parse_shapes, refuse_options
from hannah_hw.cli.output import JsonOption, emit, paragraph, say, table, write
from hannah_hw.errors import InputError
from hannah_hw.quantities import format_bytes, format_si

if TYPE_CHECKING:
    from hannah_hw.advice import Insight
    from hannah_hw.cost.report import Figure
    from hannah_hw.measure.measurement import Measurement
    from hannah_hw.targets import Microcontroller, Target

#: Compilers of float32 models in place of our kernels.
RUNTIMES = ("tvm",)

CompilerOption = Annotated[
    str | None,
    typer.Option(
        "--compiler",
        autocompletion=completion.words("zig", "gcc"),
        help="zig or gcc; by default zig where it is installed, else gcc.",
    ),
]


def measure(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL.onnx",
            autocompletion=completion.models,
            help="An int8 model in the QDQ form; for an Ethos-U also a .tflite file.",
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            autocompletion=completion.targets,
            help="A name of `targets list` or a .yaml file; :RUNTIME behind it takes another one. Not needed with "
            "--runtime, which without one runs on this machine.",
        ),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime", metavar="NAME", help="What compiles a float32 model in our place: tvm (extra `tvm`)."
        ),
    ] = None,
    core: Annotated[
        str | None,
        typer.Option(
            "--core",
            autocompletion=completion.cores,
            help="Emulate this core in place of the target's, as in m33.",
        ),
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
    shape: ShapeOption = None,
    flash_reads: Annotated[
        bool,
        typer.Option(
            "--flash-reads", help="Count data loads from flash also where the target's flash makes none wait."
        ),
    ] = False,
    inputs: Annotated[
        int | None,
        typer.Option(
            "--inputs", min=1, max=1000, help="Random inputs whose output is checked; 2 by default."
        ),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(
            "--runs", "-n", min=1, max=1_000_000, help="Timed runs on this machine; 100 by default."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure an ONNX model: cycles, RAM and flash, kernel by kernel.

    For a microcontroller the model becomes a C project (that of `export --to c`), is built for the target's core and
    its memory, and run instruction by instruction. Its output is compared with the integer reference; a wrong one is
    an error, and there are no figures then. Two runs agree to the instruction.

    For an Ethos-U it becomes a .tflite file, which Arm's compiler ethos-u-vela compiles (extra `vela`): memory is what
    the compiled network takes, cycles are the compiler's own estimate of the hardware.

    For a host, which must be this machine, it is run as it is and timed as the kernels of the calibration were.

    With --runtime tvm the kernels are TVM's, and the model is float32; outputs are compared with those of ONNX Runtime.
    With a microcontroller it becomes firmware; without a target it is compiled for this machine and run on one thread.

    Below the figures are the kernels that take most of the time, and what would help, by estimates on the same target.

    - `hannah-hw measure runs/mnist/artifacts/3f2a90c1.onnx --target stm32l4r5zi`
    - `hannah-hw measure model.onnx -t nrf5340 --json`
    - `hannah-hw measure float.onnx -t rp2040 --calibration samples.npy`
    - `hannah-hw measure model.onnx -t ethos_u55_128`
    - `hannah-hw measure model.onnx -t ./my_host.yaml`
    - `hannah-hw measure float.onnx --runtime tvm -t stm32l4r5zi`
    - `hannah-hw measure float.onnx --runtime tvm`
    """
    from hannah_hw.measure.emulated import INPUTS, measure_model
    from hannah_hw.targets import Host, load_target

    if runtime not in (None, *RUNTIMES):
        raise InputError(
            f"there is no runtime {runtime!r}", where="--runtime", allowed=RUNTIMES, given=runtime or ""
        )
    given = {
        "--core": core,
        "--compiler": compiler,
        "--calibration": calibration,
        "--flash-reads": flash_reads,
        "--shape": shape,
    }
    if runtime is not None and target is None:
        from hannah_hw.cli.measure_tvm import measure_on_host

        unused = {option: value for option, value in given.items() if option != "--shape"}
        refuse_options(unused, "it is for firmware on an emulated core; TVM's kernels run on this machine")
        measure_on_host(model, parse_shapes(shape), inputs, runs, as_json)
        return
    if target is None:
        raise InputError(
            "say what to measure on: a name of `targets list`, or this machine with --runtime tvm",
            where="--target",
        )
    refuse_options({"--runs": runs}, "runs are for this machine; an emulated core counts one")
    chip = load_target(target)
    if runtime is not None:
        from hannah_hw.measure.float_firmware import measure_float_model

        refuse_options({"--calibration": calibration}, "it is for int8 firmware; TVM's kernels are float32")
        measured = measure_float_model(
            model,
            chip,
            core=core,
            compiler=compiler,
            flash_reads=flash_reads,
            inputs=inputs if inputs is not None else INPUTS,
            shapes=parse_shapes(shape),
        )
        _emit(measured, measured_insight(model, None, _times(measured)), as_json)
        return
    if chip.kind == "block":
        from hannah_hw.cli.measure_vela import measure_with_vela

        unused = {option: value for option, value in given.items() if option != "--calibration"}
        measure_with_vela(model, chip, calibration, as_json, unused | {"--inputs": inputs})
        return
    if isinstance(chip, Host):
        from hannah_hw.cli.measure_host import measure_host

        measure_host(model, chip, as_json, given | {"--inputs": inputs})
        return
    used = _firmware_chip(chip)
    found = measure_model(
        model,
        chip,
        core=core,
        compiler=compiler,
        calibration=calibration,
        shapes=parse_shapes(shape),
        flash_reads=flash_reads,
        inputs=inputs if inputs is not None else INPUTS,
    )
    _emit(found, measured_insight(model, used, _times(found), parse_shapes(shape)), as_json)


def _times(found: Measurement) -> list[tuple[str, float]]:
    return [(row.name, row.latency_s) for row in found.kernels]


def _emit(found: Measurement, insight: Insight, as_json: bool) -> None:
    document = found.to_dict() | {"insight": insight.to_dict()}
    emit(document, as_json, lambda: _render(found, insight))


def _firmware_chip(target: Target) -> Microcontroller:
    """The target with the kernels that are measured; says so where it was named with others.

    Raises:
        TargetError: It is no microcontroller.
    """
    from hannah_hw.measure.emulated import firmware_target
    from hannah_hw.targets import microcontroller

    chip = microcontroller(target, "measuring on an emulated core")
    used = firmware_target(chip)
    if used.label != chip.label:
        say(
            f"warning: firmware is made of our own kernels: this measures {used.label}; compare it with the estimate "
            f"for that, not for {chip.label}"
        )
    return used


def _render(found: Measurement, insight: Insight) -> None:
    paragraph(f"{found.model} on {found.target}: {found.core}, {found.compiler}, {found.emulator}")
    render_figures(found.figures, found.weights, found.ranges)
    write("")
    _render_kernels(found)
    write("")
    parts = ", ".join(f"{name} {format_bytes(size)}" for name, size in found.memory.items())
    write(f"RAM: {parts}")
    write(f"flash: {', '.join(f'{name} {format_bytes(size)}' for name, size in found.flash.items())}")
    if found.difference:
        write(
            f"{found.checked} random inputs: outputs differ from those of {found.reference} by at most "
            f"{found.difference:.1g} of the largest element"
        )
    else:
        write(f"{found.checked} random inputs: every output is that of {found.reference}")
    write("")
    render_insight(insight)


def render_figures(figures: Mapping[str, Figure], weights: str, ranges: str) -> None:
    """What was measured, and of what where that is not the model's own."""
    labels = [text for name, text in (("weights", weights), ("ranges", ranges)) if text != "the model's"]
    if labels:
        write(f"weights: {weights}; ranges of values: {ranges}")
    figure_table(figures)


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
    spare = ("branches", "flash reads", "instructions", "function", "cycles/MAC")
    table(headers, [*rows, total], right=range(2, len(headers)), spare=spare)

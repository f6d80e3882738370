"""The page that comes with a generated project: sizes, inputs and outputs, how to build and use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hannah_hw.cores import Core
from hannah_hw.firmware.design import Design
from hannah_hw.firmware.layers import Value
from hannah_hw.firmware.linking import MemoryMap
from hannah_hw.firmware.naming import markdown
from hannah_hw.firmware.sources import title as core_title
from hannah_hw.quantities import format_bytes

LICENCE: Final = (
    "The kernels, the start-up code and the build files are part of hannah_hw, Apache License 2.0 "
    "(https://www.apache.org/licenses/LICENSE-2.0). The weights are those of your model, under whatever licence it has."
)
_ORDER: Final = (
    "Values are int8, channels last: value (y, x, c) is at `[(y * width + x) * channels + c]`. A real value is "
    "`scale * (value - zero_point)`; an input is quantised by"
)
_REAL: Final = (
    "where `real` is what the network was trained with, after any normalisation. An inference overwrites its inputs: "
    "write all of them before each run. Outputs stay until the next run or the next write to an input."
)


@dataclass(frozen=True)
class Measured:
    """Sizes of built firmware.

    Attributes:
        flash_bytes: All that is stored in flash.
        code_bytes: The code in it.
        ram_bytes: Static data, without the stack.
        compiler: What built it.
    """

    flash_bytes: int
    code_bytes: int
    ram_bytes: int
    compiler: str


def readme(
    design: Design,
    memory: MemoryMap | None,
    stack_bytes: int,
    title: str,
    measured: Measured | None = None,
    code_bytes: float | None = None,
) -> str:
    """``README.md``.

    Args:
        design: What the project consists of.
        memory: The chip's memories; None for the host.
        stack_bytes: What the stack may grow to.
        title: The chip, the core or the host.
        measured: Sizes, once it was built.
        code_bytes: An estimate of the code's size, where there is one.
    """
    layers = "1 layer" if len(design.steps) == 1 else f"{len(design.steps)} layers"
    about = (
        f"An int8 network as C for {markdown(title)}: {layers}, {design.macs:,} multiply-accumulates "
        "an inference. There is no heap and no C library; all state is one static arena."
    )
    parts = [
        [f"# {design.prefix}", "", about, ""],
        building_lines(design.prefix, design.core),
        _sizes(design, memory, stack_bytes, measured, code_bytes),
        _using(design),
        _layers(design),
        ["## Licence", "", LICENCE, ""],
    ]
    return "\n".join(line for part in parts for line in part)


def building_lines(prefix: str, core: Core | None) -> list[str]:
    """How a project is built.

    Args:
        prefix: Beginning of its public names.
        core: The core; None is the host.
    """
    if core is None:
        lines = [
            f"make                                     # build/{prefix}",
            "cmake -B build && cmake --build build    # the same with CMake",
        ]
        note = "The program reads int8 inputs from standard input and writes int8 outputs to standard output."
    else:
        lines = [
            f"make                      # build/{prefix}.elf with {core.gcc[0]}gcc",
            "make COMPILER=zig         # with zig: pip install ziglang",
            "cmake -B build -DCMAKE_TOOLCHAIN_FILE=toolchain.cmake && cmake --build build",
        ]
        note = (
            f"`features.h` stops the compiler if its flags are not those of {core_title(core)}. In firmware of "
            f"your own, compile `{prefix}.c`, `layers.c`, `weights.c` and `kernels/` with the flags of the "
            "Makefile, and leave out `main.c`, which is an example, `start.c`, `runtime_functions.c` and `link.ld`."
        )
    return ["## Build", "", "```console", *lines, "```", "", note, ""]


def _sizes(
    design: Design,
    memory: MemoryMap | None,
    stack_bytes: int,
    measured: Measured | None,
    code_bytes: float | None,
) -> list[str]:
    flash = design.constant_bytes + design.description_bytes
    rows: list[tuple[str, float, str]] = [
        ("RAM: arena", design.memory.arena_bytes, "exact; values between layers and scratch memory"),
        ("flash: weights and other constants", design.constant_bytes, "exact"),
        ("flash: descriptions of layers", design.description_bytes, "exact"),
    ]
    if memory is not None:
        rows.insert(1, ("RAM: stack", stack_bytes, "reserved in `link.ld`"))
    if measured is not None:
        by = f"measured, {markdown(measured.compiler)}"
        rows.append(("flash: code", measured.code_bytes, by))
        rows.append(("**flash**", measured.flash_bytes, by))
        rows.append(("**RAM** without the stack", measured.ram_bytes, by))
    elif code_bytes is not None:
        rows.append(("flash: code", code_bytes, "estimated"))
        rows.append(("**flash**", flash + code_bytes, "estimated"))
    lines = ["## Memory", "", "| | bytes | |", "|---|---:|---|"]
    lines += [f"| {what} | {size:,.0f} | {note} |" for what, size, note in rows]
    if memory is not None:
        chip = f"{format_bytes(memory.flash_bytes)} of flash and {format_bytes(memory.ram_bytes)} of RAM"
        lines += ["", f"`link.ld` is made for {chip}; `make size` shows what a build needs."]
        if not memory.placed:
            lines += [
                "",
                "**The origins in `link.ld` are not known to be those of your chip: change them first.**",
            ]
    return [*lines, ""]


def _using(design: Design) -> list[str]:
    prefix, network = design.prefix, design.network
    upper = prefix.upper()
    return [
        "## Use",
        "",
        "```c",
        f'#include "{prefix}.h"',
        "",
        f"{prefix}_init();                        // once",
        f"int8_t *input = {prefix}_input(0);      // write the input there, before every run",
        f"{prefix}_run();",
        f"const int8_t *output = {prefix}_output(0);",
        "```",
        "",
        "| | name | height x width x channels | scale | zero point |",
        "|---|---|---|---|---|",
        *(_value_row(f"input {n}", network.values[index]) for n, index in enumerate(network.inputs)),
        *(_value_row(f"output {n}", network.values[index]) for n, index in enumerate(network.outputs)),
        "",
        _ORDER,
        "",
        "```c",
        f"input[i] = {prefix}_quantise(real, {upper}_INPUT_0_SCALE, {upper}_INPUT_0_ZERO_POINT);",
        "```",
        "",
        _REAL,
        "",
    ]


def _value_row(what: str, value: Value) -> str:
    shape = " x ".join(map(str, value.shape))
    return f"| {what} | {markdown(value.name)} | {shape} | {value.scale:.9g} | {value.zero_point} |"


def _layers(design: Design) -> list[str]:
    lines = [
        "## Layers",
        "",
        "| function | layer | kernel | MACs | constants | in place |",
        "|---|---|---|---:|---:|---|",
    ]
    for k, step in enumerate(design.steps):
        cells = (
            f"`{design.prefix}_layer_{k}`",
            markdown(step.layer.name),
            f"`{step.choice.implementation.function}` ({step.choice.kernel_class.title})",
            f"{step.layer.columns['macs']:,}",
            f"{len(step.packed.data):,}",
            "yes" if design.memory.in_place[k] else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]

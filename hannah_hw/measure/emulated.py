"""Measuring a network on an emulated core: its firmware is built, run layer by layer, counted and checked.

The firmware is the project that ``hannah-hw export --to c`` writes. Every input's output, and of the first input every
layer's, is compared with the integer reference, byte by byte; what differs is an error, never a figure. Two
measurements agree to the instruction: nothing in an emulated core depends on time.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cores import CORES, Core, core_named
from hannah_hw.errors import EvaluationError, InputError, require
from hannah_hw.measure.counted import Given, Runs, emulator_version, kernel_row, measurement
from hannah_hw.measure.measurement import Measurement, Timing
from hannah_hw.measure.models import Int8Model, int8_model
from hannah_hw.measure.running import Firmware, random_inputs

if TYPE_CHECKING:
    from hannah_hw.emulation import MemoryMap, Sizes
    from hannah_hw.firmware.layers import Network
    from hannah_hw.firmware.toolchain import CompilerName
    from hannah_hw.lowering.open_shapes import GivenShapes
    from hannah_hw.spaces import Candidate
    from hannah_hw.targets import Microcontroller, Target

Int8Array = NDArray[np.int8]

#: Name of the runtime of a target that is firmware of ours.
RUNTIME: Final = "hannah"
#: Modules of the extra ``emulate`` that measuring imports.
PACKAGES: Final = ("unicorn", "capstone", "elftools")
_PAGE: Final = 4096
#: Random inputs that are compared, at least.
INPUTS: Final = 2


def measure_model(
    model: str | Path | Candidate,
    target: Target | str,
    *,
    core: str | None = None,
    compiler: str | None = None,
    calibration: str | Path | NDArray[np.float32] | None = None,
    shapes: GivenShapes | None = None,
    flash_reads: bool = False,
    inputs: int = INPUTS,
    seed: int = 0,
) -> Measurement:
    """Instructions, cycles, RAM and flash of a network on a target's emulated core.

    Args:
        model: An int8 ONNX file in the QDQ form, or with `calibration` a float32 one; or a candidate, which gets
            random weights.
        target: The target, or its name or path.
        core: Emulate this core in place of the target's.
        compiler: ``zig`` or ``gcc``; None takes the first that is there.
        calibration: See `hannah_hw.measure.models.int8_model`; so the shapes.
        shapes: Shape of the input where a file leaves it open.
        flash_reads: Count data loads from flash also where the target's flash does not make the core wait.
        inputs: Random inputs whose output is compared with the integer reference.
        seed: Of the inputs, and of a candidate's weights.

    Raises:
        InputError: Something that was given is wrong, or the core cannot be emulated.
        UnsupportedError: An operator has no int8 kernel.
        EvaluationError: It does not fit into the target's RAM or flash; its kind is ``memory``.
        MeasurementError: The firmware faulted, or its output is wrong.
        CompilerError: The compiler failed, or lacks a feature of the core.
        MissingToolError: There is no compiler.
        MissingExtraError: A package of the extra ``emulate`` is not installed.
    """
    from hannah_hw.firmware.network import read_network
    from hannah_hw.targets import load_target, microcontroller

    if inputs < 1:
        raise InputError(f"{inputs} inputs were asked for; at least 1 is needed")
    loaded = load_target(target) if isinstance(target, str) else target
    chip = firmware_target(microcontroller(loaded, "measuring on an emulated core"))
    chosen = emulated_core(chip, core)
    given = int8_model(model, calibration, shapes=shapes, seed=seed)
    network = read_network(given.source, shapes=shapes)
    return measure_network(
        network, chip, chosen, given, compiler=compiler, flash_reads=flash_reads, inputs=inputs, seed=seed
    )


def measure_network(
    network: Network,
    target: Microcontroller,
    core: Core,
    given: Int8Model,
    *,
    compiler: str | None = None,
    flash_reads: bool = False,
    inputs: int = INPUTS,
    seed: int = 0,
) -> Measurement:
    """See `measure_model`; the network was read from `given`."""
    from hannah_hw.emulation import Emulator, elf_sizes
    from hannah_hw.firmware.building import build
    from hannah_hw.firmware.project import generate
    from hannah_hw.firmware.toolchain import find

    timing = Timing(target, core)
    chosen = find(core, compiler_name(compiler))
    with tempfile.TemporaryDirectory(prefix="hannah-hw-") as folder:
        project = generate(network, core, folder=Path(folder), target=target, name=given.name)
        elf = build(project, chosen).elf
        emulator = Emulator(elf, core, small_memory(core, elf_sizes(elf)))
    firmware = Firmware(project, emulator, given.where)
    rng = np.random.default_rng(seed)
    reads = flash_reads or timing.needs_flash_reads
    layers = firmware.run_by_layer(random_inputs(network, rng), flash_reads=reads)
    whole = [firmware.run(random_inputs(network, rng)) for _ in range(max(1, inputs - 1))]
    check_sizes(emulator.sizes, emulator.stack_high_water, target)
    rows = [
        kernel_row(
            timing,
            counts,
            name=step.layer.name,
            kind=step.layer.kind,
            kernel_class=step.choice.kernel_class.name,
            function=step.choice.implementation.function,
            macs=step.layer.columns["macs"],
        )
        for step, counts in zip(project.design.steps, layers, strict=True)
    ]
    runs = Runs(emulator, project.arena_symbol, f"{project.prefix}_run", layers, whole)
    about = Given(given.name, given.weights, given.ranges, chosen.version, "the integer reference")
    return measurement(about, timing, runs, rows)


def small_memory(core: Core, sizes: Sizes) -> MemoryMap:
    """Memories as large as a program needs: counting reads of flash copies the RAM around every call."""
    from hannah_hw.emulation import Region, memory_map

    usual = memory_map(core)
    needed = (
        sizes.ram_bytes + sum(sizes.sections.get(name, 0) for name in (".stack", ".heap")) + usual.stack_bytes
    )
    pages = -(-needed // _PAGE) + 1
    return replace(usual, ram=Region(usual.ram.start, min(pages * _PAGE, usual.ram.size)))


def emulated_core(target: Microcontroller, core: str | None = None) -> Core:
    """The core that a target's firmware is emulated on.

    Args:
        target: The target.
        core: Another core to emulate.

    Raises:
        InputError: It is no core of the catalogue, or has no emulator; or the target's runtime is not built here.
    """
    name = core if core is not None else target.core
    where = "--core" if core is not None else f"{target.name}: core"
    emulated = [entry.name for entry in CORES.values() if entry.unicorn is not None]
    if name not in CORES:
        raise InputError(
            f"{name!r} is no core that firmware is built for", where=where, allowed=emulated, given=name
        )
    chosen = core_named(name)
    if chosen.unicorn is None:
        raise InputError(
            f"there is no emulator for {chosen.title}; estimate, or measure for another core",
            where=where,
            allowed=emulated,
        )
    return chosen


def firmware_target(target: Microcontroller) -> Microcontroller:
    """The target with the runtime of our own kernels in use, where it has one: it is what firmware is made of."""
    return target.using(RUNTIME) if RUNTIME in target.model.runtimes else target


def means_of(target: Microcontroller, compiler: str | None = None) -> dict[str, str]:
    """What measuring on a target is done with, found out before the first model is there.

    Raises:
        InputError: See `emulated_core`; or the compiler is unknown, or the target is priced with the kernels of
            another runtime than its firmware has, so that estimates and measurements are not of the same thing.
        MissingToolError: There is no compiler.
        MissingExtraError: A package of the extra ``emulate`` is not installed.
    """
    from hannah_hw.firmware.toolchain import find

    used = firmware_target(target)
    if used.label != target.label:
        raise InputError(
            f"firmware is made of our own kernels, and the target is {target.label}; take {used.label}, or leave "
            "measure.emulate out",
            where="measure.emulate",
        )
    core = emulated_core(target)
    for package in PACKAGES:
        require(package, "emulate")
    return {
        "core": core.title,
        "compiler": find(core, compiler_name(compiler)).version,
        "emulator": emulator_version(),
    }


def compiler_name(name: str | None) -> CompilerName | None:
    """A compiler's name as the toolchain knows it.

    Raises:
        InputError: There is no such compiler.
    """
    from hannah_hw.firmware.toolchain import COMPILERS

    for known in COMPILERS:
        if name == known:
            return known
    if name is not None:
        raise InputError(f"unknown compiler {name!r}", where="compiler", allowed=COMPILERS, given=name)
    return None


def check_sizes(sizes: Sizes, stack_bytes: int, target: Microcontroller) -> None:
    """Whether variables and the stack that was measured fit a target's RAM.

    Raises:
        EvaluationError: They do not; its kind is ``memory``.
    """
    needed = sizes.ram_bytes + stack_bytes
    if needed > target.ram_bytes:
        raise EvaluationError(
            f"the firmware needs {needed:,} bytes of RAM, {stack_bytes:,} of them stack, and {target.name} has "
            f"{target.ram_bytes:,}; take a network with narrower layers or smaller images, or a chip with more",
            kind="memory",
        )

"""Figures of firmware from what an emulated core counted: the same for int8 and for float32 networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hannah_hw.errors import require
from hannah_hw.measure.measurement import KernelMeasurement, Measurement, Timing

if TYPE_CHECKING:
    from hannah_hw.emulation import Counts, Emulator

_COUNTED: Final = ("instructions", "cycles", "taken_branches")


@dataclass(frozen=True)
class Given:
    """What was measured, with what.

    Attributes:
        model: Name of the model.
        weights: Where its weights come from.
        ranges: Where the ranges of its values come from.
        compiler: What built the firmware.
        reference: What its outputs were compared with.
    """

    model: str
    weights: str
    ranges: str
    compiler: str
    reference: str


@dataclass(frozen=True)
class Runs:
    """What an emulator counted.

    Attributes:
        emulator: The emulator.
        arena: Symbol of the arena.
        run: Symbol of the function that runs the network.
        layers: Of each layer of one inference, called one by one.
        whole: Of more inferences.
        difference: Largest difference of an output's element from the reference, relative to the largest element.
    """

    emulator: Emulator
    arena: str
    run: str
    layers: Sequence[Counts]
    whole: Sequence[Counts]
    difference: float = 0.0


def emulator_version() -> str:
    """``Unicorn 2.1.4``.

    Raises:
        MissingExtraError: unicorn is not installed.
    """
    return f"Unicorn {require('unicorn', 'emulate').__version__}"


def kernel_row(
    timing: Timing, counts: Counts, *, name: str, kind: str, kernel_class: str, function: str, macs: int
) -> KernelMeasurement:
    """The row of one layer; see `KernelMeasurement`."""
    cycles = timing.cycles(counts.cycles, counts.flash_reads)
    return KernelMeasurement(
        name=name,
        kind=kind,
        kernel_class=kernel_class,
        function=function,
        macs=macs,
        instructions=counts.instructions,
        core_cycles=counts.cycles,
        taken_branches=counts.taken_branches,
        flash_reads=counts.flash_reads,
        cycles=cycles,
        latency_s=cycles / timing.target.clock_hz,
    )


def measurement(
    given: Given, timing: Timing, runs: Runs, kernels: Sequence[KernelMeasurement]
) -> Measurement:
    """The measurement of a network.

    Args:
        given: What was measured.
        timing: From what the core counts to seconds on the chip.
        runs: What was counted.
        kernels: The row of each layer.
    """
    between = runs.whole[0].by_function[runs.run]
    totals = {key: sum(getattr(counts, key) for counts in (*runs.layers, between)) for key in _COUNTED}
    counted = [counts.flash_reads for counts in runs.layers if counts.flash_reads is not None]
    reads = sum(counted) if len(counted) == len(runs.layers) else None
    sizes, stack = runs.emulator.sizes, runs.emulator.stack_high_water
    arena = runs.emulator.symbols[runs.arena].size
    checked = 1 + len(runs.whole)
    note = f"variables of the ELF and the deepest stack of {checked} runs, without interrupts"
    return Measurement(
        model=given.model,
        target=timing.target.name,
        core=timing.core.title,
        compiler=given.compiler,
        emulator=emulator_version(),
        weights=given.weights,
        ranges=given.ranges,
        figures=timing.figures(
            timing.cycles(totals["cycles"], reads), sizes.ram_bytes + stack, sizes.flash_bytes, note
        ),
        kernels=tuple(kernels),
        instructions=totals["instructions"],
        core_cycles=totals["cycles"],
        taken_branches=totals["taken_branches"],
        flash_reads=reads,
        memory={"arena": arena, "static": sizes.ram_bytes - arena, "stack": stack},
        flash={
            "code": sizes.code_bytes,
            "constants": sizes.constant_bytes,
            "other": sizes.flash_bytes - sizes.code_bytes - sizes.constant_bytes,
        },
        checked=checked,
        reference=given.reference,
        difference=runs.difference,
    )

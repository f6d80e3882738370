"""Processor cores that firmware is built for and emulated on: one entry a core, everything that depends on it.

A core is added here; the compiler flags, the emulator and the kernels ask it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from hannah_hw.errors import InputError

#: Kernel libraries in C: the dual 16-bit multiply-accumulates of Armv7E-M and Armv8-M, the vectors of Armv8.1-M, or
#: portable C.
KernelSet = Literal["dsp", "dsp_slow_flash", "helium", "portable"]


@dataclass(frozen=True)
class Core:
    """One processor core.

    Attributes:
        name: Catalogue name, as in ``cost_models/NAME``.
        title: What people call it.
        isa: ``arm`` (Thumb, M profile) or ``riscv32``.
        kernels: Which of our kernels run on it.
        zig: Target triple and CPU with every feature spelled out: names of CPUs alone leave features off.
        gcc: Compiler prefix and machine flags.
        features: Macros that the build asserts, with the value they must have; None: must be undefined.
        unicorn: Name of the CPU model in Unicorn, or None where Unicorn has none.
        timing: Key of the cycle table in `hannah_hw.emulation.cycles`, or None where only instructions are counted.
        timing_error: Relative half width of what the cycle table leaves open on this core (dual issue, caches,
            undocumented pipelines), without flash waits.
    """

    name: str
    title: str
    isa: Literal["arm", "riscv32"]
    kernels: KernelSet
    zig: tuple[str, str]
    gcc: tuple[str, tuple[str, ...]]
    features: Mapping[str, int | None]
    unicorn: str | None
    timing: str | None
    timing_error: float


_ARM: Final = "thumb-freestanding-eabi"
_HARD: Final = "thumb-freestanding-eabihf"

CORES: Final[Mapping[str, Core]] = {
    core.name: core
    for core in (
        Core(
            "m0p",
            "Cortex-M0+",
            "arm",
            "portable",
            (_ARM, "cortex_m0plus"),
            ("arm-none-eabi-", ("-mcpu=cortex-m0plus", "-mthumb")),
            {"__ARM_ARCH_6M__": 1, "__ARM_FEATURE_DSP": None},
            "CORTEX_M0",
            "cortex_m0p",
            0.05,
        ),
        Core(
            "m3",
            "Cortex-M3",
            "arm",
            "portable",
            (_ARM, "cortex_m3"),
            ("arm-none-eabi-", ("-mcpu=cortex-m3", "-mthumb")),
            {"__ARM_ARCH_7M__": 1, "__ARM_FEATURE_DSP": None},
            "CORTEX_M3",
            "cortex_m3",
            0.05,
        ),
        Core(
            "m4",
            "Cortex-M4",
            "arm",
            "dsp",
            (_HARD, "cortex_m4+vfp4d16sp"),
            ("arm-none-eabi-", ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")),
            {"__ARM_ARCH_7EM__": 1, "__ARM_FEATURE_DSP": 1},
            "CORTEX_M4",
            "cortex_m4",
            0.05,
        ),
        Core(
            "m7",
            "Cortex-M7",
            "arm",
            "dsp",
            (_HARD, "cortex_m7+fp_armv8d16sp"),
            ("arm-none-eabi-", ("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard")),
            {"__ARM_ARCH_7EM__": 1, "__ARM_FEATURE_DSP": 1},
            "CORTEX_M7",
            "cortex_m7",
            0.5,
        ),
        Core(
            "m33",
            "Cortex-M33",
            "arm",
            "dsp",
            (_HARD, "cortex_m33+dsp+fp_armv8d16sp"),
            ("arm-none-eabi-", ("-mcpu=cortex-m33", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard")),
            {"__ARM_ARCH_8M_MAIN__": 1, "__ARM_FEATURE_DSP": 1},
            "CORTEX_M33",
            "cortex_m33",
            0.15,
        ),
        # No public table says how long its vector instructions take: QEMU counts instructions, and nothing cycles.
        Core(
            "m55",
            "Cortex-M55",
            "arm",
            "helium",
            (_HARD, "cortex_m55+mve_fp+fp_armv8d16"),
            ("arm-none-eabi-", ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard")),
            {"__ARM_FEATURE_MVE": 3, "__ARM_FEATURE_DSP": 1},
            None,
            None,
            0.5,
        ),
        Core(
            "rv32imc",
            "RV32IMC",
            "riscv32",
            "portable",
            ("riscv32-freestanding-none", "generic_rv32+m+c"),
            ("riscv64-unknown-elf-", ("-march=rv32imc", "-mabi=ilp32")),
            {"__riscv_mul": 1, "__riscv_compressed": 1},
            "rv32",
            "rv32imc",
            0.25,
        ),
    )
}


#: Kernels of a core -> what else it may run, by what a runtime of them adds to the name of the usual one.
_VARIANTS: Final[Mapping[KernelSet, Mapping[str, KernelSet]]] = {"dsp": {"_slow_flash": "dsp_slow_flash"}}


def runtimes(core: Core) -> Mapping[str, Core]:
    """The runtimes of our own kernels that a core has: names as in ``cost_models/CORE/NAME``, the usual one first.

    Args:
        core: One of `CORES`.

    Returns:
        Name -> the core with the kernels of that runtime.
    """
    variants = _VARIANTS.get(core.kernels, {})
    return {"hannah": core} | {
        f"hannah{suffix}": replace(core, kernels=kernels) for suffix, kernels in variants.items()
    }


def core_named(name: str) -> Core:
    """A core by its name.

    Raises:
        InputError: There is no such core.
    """
    if name not in CORES:
        raise InputError(f"unknown core {name!r}", allowed=CORES, given=name)
    return CORES[name]

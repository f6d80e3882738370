"""Processors that TVM writes assembly for, as LLVM names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hannah_hw.errors import InputError


@dataclass(frozen=True)
class LlvmTarget:
    """A processor.

    Attributes:
        name: As a user gives it; that of a core of `hannah_hw.cores` where it is one.
        title: What people call it.
        triple: Architecture, system and binary interface.
        cpu: Name of the processor.
        features: Those that the processor's name leaves open, each with a sign.
        float_abi: Arm: ``hard`` where functions take floats in floating-point registers, else ``soft``.
        abi: RISC-V: its binary interface.
    """

    name: str
    title: str
    triple: str
    cpu: str
    features: tuple[str, ...] = ()
    float_abi: str = ""
    abi: str = ""

    def options(self) -> dict[str, Any]:
        """What makes a ``tvm.target.Target`` of it."""
        given = {"mattr": list(self.features), "mfloat-abi": self.float_abi, "mabi": self.abi}
        return {
            "kind": "llvm",
            "mtriple": self.triple,
            "mcpu": self.cpu,
            "num-cores": 1,
            **{name: value for name, value in given.items() if value},
        }


LLVM_TARGETS: Final[Mapping[str, LlvmTarget]] = {
    target.name: target
    for target in (
        LlvmTarget("m0p", "Cortex-M0+", "thumbv6m-none-eabi", "cortex-m0plus", (), "soft"),
        LlvmTarget("m3", "Cortex-M3", "thumbv7m-none-eabi", "cortex-m3", (), "soft"),
        LlvmTarget("m4", "Cortex-M4", "thumbv7em-none-eabihf", "cortex-m4", ("+vfp4d16sp",), "hard"),
        # Its floating-point unit may have double precision or not: the kernels need none.
        LlvmTarget(
            "m7", "Cortex-M7", "thumbv7em-none-eabihf", "cortex-m7", ("+fp-armv8d16sp", "-fp64"), "hard"
        ),
        LlvmTarget(
            "m33",
            "Cortex-M33",
            "thumbv8m.main-none-eabihf",
            "cortex-m33",
            ("+dsp", "+fp-armv8d16sp"),
            "hard",
        ),
        LlvmTarget("m55", "Cortex-M55", "thumbv8.1m.main-none-eabihf", "cortex-m55", ("+mve.fp",), "hard"),
        LlvmTarget("rv32imc", "RV32IMC", "riscv32-unknown-elf", "generic-rv32", ("+m", "+c"), "", "ilp32"),
        LlvmTarget(
            "rv32imfc", "RV32IMFC", "riscv32-unknown-elf", "generic-rv32", ("+m", "+f", "+c"), "", "ilp32f"
        ),
        LlvmTarget(
            "rv64gcv",
            "RV64GCV",
            "riscv64-unknown-elf",
            "generic-rv64",
            ("+m", "+a", "+f", "+d", "+c", "+v"),
            "",
            "lp64d",
        ),
        LlvmTarget("aarch64", "Armv8-A, as a Cortex-A53", "aarch64-linux-gnu", "cortex-a53"),
        LlvmTarget("x86_64", "x86-64 with AVX2 (x86-64-v3)", "x86_64-linux-gnu", "x86-64-v3"),
    )
}


def llvm_target(name: str) -> LlvmTarget:
    """A processor by its name.

    Raises:
        InputError: There is none of that name.
    """
    if name not in LLVM_TARGETS:
        raise InputError(f"no LLVM target is called {name!r}", allowed=LLVM_TARGETS, given=name)
    return LLVM_TARGETS[name]

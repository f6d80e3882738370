"""Memory that firmware takes beside buffers and constants, from the ELF files of small programs.

Code is told apart by who needs it: every kernel class is linked alone, and functions or tables that several classes
need form parts of their own, so that a firmware with all of these classes has them once. What a layer takes (its
description, its call) and what every firmware has come from generated projects of few and of many layers.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from hannah_hw.cores import Core
from hannah_hw.cost.coefficients import Bytes, CodePart, Runtime
from hannah_hw.emulation import Emulator
from hannah_hw.emulation.elf import Symbol, elf_sizes, read_elf
from hannah_hw.firmware.building import build
from hannah_hw.firmware.layers import Layer, Network, Value
from hannah_hw.firmware.libraries import library
from hannah_hw.firmware.project import generate
from hannah_hw.firmware.toolchain import Compiler
from hannah_hw.measure.bench import TABLE, core_of, firmware_of
from hannah_hw.workload.table import KERNEL_COLUMNS

#: Layers of the two networks that tell a layer's memory from that of every firmware.
_FEW: Final = 2
_MANY: Final = 12
_CHANNELS: Final = 8


def measure_runtime(compiler: Compiler, stacks: dict[str, int], reference: str) -> Runtime:
    """Memory of the firmwares that a compiler builds.

    Args:
        compiler: For the core.
        stacks: Kernel class -> deepest stack of its kernel.
        reference: How the figures were taken.

    Raises:
        CompilerError: Something does not compile.
        MissingExtraError: A package of the extra ``emulate`` is not installed.
    """
    core = core_of(compiler)
    parts = code_parts(compiler)
    kernel = sum(part.bytes for part in parts if "conv_1x1" in part.classes)
    few, many = (_Chain(compiler, core, layers) for layers in (_FEW, _MANY))
    each = (many.code_bytes - few.code_bytes) / (_MANY - _FEW)
    base = few.code_bytes - _FEW * each - kernel
    own = few.stack_bytes - stacks["conv_1x1"]

    def measured(count: float) -> Bytes:
        return Bytes(bytes=max(round(count), 0), source="measured", reference=reference)

    return Runtime(
        stack=measured(own),
        stack_by_class=stacks,
        ram=measured(few.static_bytes),
        code=measured(base),
        code_per_kernel=measured(each),
        code_by_class={
            name: measured(sum(part.bytes for part in parts if part.classes == (name,)))
            for name in library(core)
        },
        code_shared=tuple(part for part in parts if len(part.classes) > 1),
    )


def code_parts(compiler: Compiler) -> list[CodePart]:
    """Code and tables of all kernel classes, by the classes that need them.

    Raises:
        CompilerError: A kernel does not compile or link.
    """
    core = core_of(compiler)
    needed: dict[_Key, Symbol] = {}
    users: dict[_Key, list[str]] = defaultdict(list)
    empty = set(_symbols(firmware_of(compiler, [])))
    for name, implementations in library(core).items():
        for symbol, found in _symbols(firmware_of(compiler, [implementations[0]])).items():
            if symbol not in empty and symbol.name != TABLE:
                needed[symbol] = found
                users[symbol].append(name)
    sizes: dict[tuple[str, ...], int] = defaultdict(int)
    for symbol, classes in users.items():
        # Functions begin at multiples of four.
        sizes[tuple(classes)] += -(-needed[symbol].size // 4) * 4
    return [CodePart(classes=classes, bytes=size) for classes, size in sizes.items()]


class _Key(NamedTuple):
    """What tells a function or a table apart: files may have local ones of one name."""

    source: str
    name: str


def _symbols(elf: Path) -> dict[_Key, Symbol]:
    """What takes memory."""
    return {
        _Key(symbol.source, name): symbol
        for name, symbol in read_elf(elf).every
        if symbol.size and symbol.kind in ("function", "object")
    }


class _Chain:
    """Generated firmware of 1x1 convolutions behind each other.

    Attributes:
        code_bytes: Flash without the constants of the layers.
        static_bytes: RAM without the arena.
        stack_bytes: Deepest stack of a run.
    """

    def __init__(self, compiler: Compiler, core: Core, layers: int) -> None:
        with tempfile.TemporaryDirectory(prefix="hannah-hw-") as folder:
            project = generate(_network(layers), core, folder=Path(folder))
            built = build(project, compiler)
            sizes = elf_sizes(built.elf)
            design = project.design
            self.code_bytes = sizes.flash_bytes - sum(len(step.packed.data) for step in design.steps)
            self.static_bytes = sizes.ram_bytes - design.memory.arena_bytes
            emulator = Emulator(built.elf, core)
            emulator.call(f"{project.prefix}_init")
            emulator.call(f"{project.prefix}_run")
            self.stack_bytes = emulator.stack_high_water


def _network(layers: int) -> Network:
    """A chain of small convolutions."""
    weights = np.ones((_CHANNELS, 1, 1, _CHANNELS), np.int8)
    columns = {
        **KERNEL_COLUMNS,
        **dict.fromkeys(("in_h", "in_w", "out_h", "out_w"), 2),
        **dict.fromkeys(("in_channels", "out_channels", "bias"), _CHANNELS),
        "weights": weights.size,
        "macs": 4 * weights.size,
    }
    values = tuple(Value(f"value_{k}", (2, 2, _CHANNELS), 0.1, 0) for k in range(layers + 1))
    chain = tuple(
        Layer(
            f"layer_{k}",
            "conv",
            (k,),
            k + 1,
            columns,
            weights=weights,
            bias=np.zeros(_CHANNELS, np.int32),
            scales=np.full(_CHANNELS, 0.1),
        )
        for k in range(layers)
    )
    return Network("chain", values, chain, (0,), (layers,))

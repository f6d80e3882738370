"""Running single kernels on an emulated core: one firmware with all kernels, any shape without a compiler.

The host writes what a generated project has in flash, the layer's description and its constants, to free flash, and
operands to RAM; it calls the kernel by its symbol and compares the result with the integer reference. A result that
differs in one byte is an error, never a figure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from hannah_hw.cores import Core
from hannah_hw.emulation import Emulator, memory_map
from hannah_hw.errors import InputError, MeasurementError, RunError
from hannah_hw.files import write_atomically
from hannah_hw.firmware import reference
from hannah_hw.firmware.calls import layer_calls, pack_fields
from hannah_hw.firmware.implementation import Implementation
from hannah_hw.firmware.libraries import choose, library
from hannah_hw.firmware.linking import link, start_objects
from hannah_hw.firmware.objects import KERNEL_FOLDER, compile_objects, objects_cache
from hannah_hw.firmware.toolchain import Compiler
from hannah_hw.measure.bench_layers import Call, Int8Array

#: What result and scratch memory hold before a call, so that a byte that a kernel does not write shows.
_UNWRITTEN: Final = b"\x55"
_ALIGNMENT: Final = 16
#: What the table of all kernels is called in the firmware.
TABLE: Final = "hn_bench_kernels"
#: RAM that a call has. Counting reads from flash copies it four times, so it is no larger than layers need.
_RAM_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Sample:
    """What one layer cost, summed over the calls of its kernel.

    Attributes:
        function: The C function that ran.
        instructions: Executed instructions.
        cycles: By the core's documented timing, without wait states.
        flash_reads: Data loads from flash.
        scratch_bytes: Scratch memory that it was given.
        constant_bytes: Packed weights, biases and multipliers.
        stack_bytes: Deepest use of the stack.
    """

    function: str
    instructions: int
    cycles: int
    flash_reads: int
    scratch_bytes: int
    constant_bytes: int
    stack_bytes: int


class Bench:
    """A core with all kernels of its library in flash.

    Args:
        compiler: For the core.

    Attributes:
        core: The core.
        elf: The firmware.

    Raises:
        InputError: The compiler is one for the host.
        CompilerError: The kernels do not compile.
        MissingExtraError: A package of the extra ``emulate`` is not installed.
    """

    def __init__(self, compiler: Compiler) -> None:
        core = core_of(compiler)
        self.core, self.elf = core, bench_firmware(compiler)
        whole = memory_map(core)
        memory = replace(whole, ram=replace(whole.ram, size=_RAM_BYTES))
        self._emulator = Emulator(self.elf, core, memory)
        # The upper half of flash is free: all kernels together are a few kilobytes.
        self._flash, self._ram = memory.flash.start + memory.flash.size // 2, memory.ram.start
        self._flash_end, self._ram_end = memory.flash.end, memory.ram.end - memory.stack_bytes

    def run(self, call: Call) -> Sample:
        """Run one layer.

        Args:
            call: The layer and its operands.

        Raises:
            MeasurementError: The result is not that of `hannah_hw.firmware.reference`, or the kernel faulted.
            RunError: The layer does not fit the memories.
        """
        network, layer = call.network, call.layer
        chosen = choose(network, layer, self.core)
        kernel = chosen.implementation
        packed, scratch_bytes = kernel.pack(network, layer), kernel.scratch(network, layer)
        result_bytes = network.values[layer.output].size
        ram = _Places(self._ram, self._ram_end)
        operands = [ram.take(operand.nbytes) for operand in call.operands]
        result, scratch = ram.take(result_bytes), ram.take(scratch_bytes)
        for place, operand in zip(operands, call.operands, strict=True):
            self._emulator.write(place, operand.tobytes())
        self._emulator.write(result, _UNWRITTEN * result_bytes)
        self._emulator.write(scratch, _UNWRITTEN * scratch_bytes)
        flash = _Places(self._flash, self._flash_end)
        constants = flash.take(len(packed.data))
        self._emulator.write(constants, packed.data)
        totals = np.zeros(3, np.int64)
        stack = 0
        for kernel_call in layer_calls(network, layer, packed):
            description = pack_fields(kernel_call.fields)
            place = flash.take(len(description))
            self._emulator.write(place, description)
            first, second = (*(operands[number] for number in kernel_call.reads), 0)[:2]
            arguments = (place, constants, first, second, result, scratch)
            counts = self._emulator.call(kernel.function, *arguments, flash_reads=True)
            totals += (counts.instructions, counts.cycles, counts.flash_reads or 0)
            stack = max(stack, counts.stack_bytes)
        found = np.frombuffer(self._emulator.read(result, result_bytes), np.int8)
        wanted = reference.run_layer(network, layer, call.operands)
        _compare(found, wanted.ravel(), f"{kernel.function} at {dict(layer.columns)}")
        instructions, cycles, flash_reads = totals.tolist()
        return Sample(
            kernel.function, instructions, cycles, flash_reads, scratch_bytes, len(packed.data), stack
        )


class _Places:
    """Memory that is handed out from its start on."""

    def __init__(self, start: int, end: int) -> None:
        self._next, self._end = start, end

    def take(self, size: int) -> int:
        place = self._next
        self._next += -(-size // _ALIGNMENT) * _ALIGNMENT
        if self._next > self._end:
            raise RunError(f"a layer of {size} bytes does not fit the memories of the emulated core")
        return place


def _compare(found: Int8Array, wanted: Int8Array, what: str) -> None:
    wrong = np.flatnonzero(found != wanted)
    if len(wrong):
        at = int(wrong[0])
        raise MeasurementError(
            f"{what} writes {len(wrong)} of {len(wanted)} wrong values, the first at {at}: {found[at]} "
            f"instead of {wanted[at]}; no figure of a wrong kernel is kept",
            kind="wrong_output",
        )


def core_of(compiler: Compiler) -> Core:
    """The core that a compiler is for.

    Raises:
        InputError: It is one for the host.
    """
    if compiler.core is None:
        raise InputError("kernels are measured on a core; choose a compiler for one of hannah_hw.cores")
    return compiler.core


def bench_firmware(compiler: Compiler) -> Path:
    """The firmware with all kernels of the core's library; see `firmware_of`."""
    kernels = library(core_of(compiler)).values()
    return firmware_of(compiler, [entry for implementations in kernels for entry in implementations])


def firmware_of(compiler: Compiler, kernels: Sequence[Implementation]) -> Path:
    """A firmware that keeps kernels without calling them, linked once and kept.

    Args:
        compiler: For the core.
        kernels: The kernels.

    Raises:
        InputError: The compiler is one for the host.
        CompilerError: A kernel does not compile or link.
    """
    core = core_of(compiler)
    sources = sorted({source for kernel in kernels for source in kernel.sources})
    functions = sorted({kernel.function for kernel in kernels})
    folder = objects_cache() / "bench"
    try:
        folder.mkdir(exist_ok=True)
        text = _main(functions).encode()
        main = folder / f"main-{hashlib.sha256(text).hexdigest()[:24]}.c"
        if not main.is_file():
            write_atomically(main, text)
    except OSError as error:
        raise RunError(f"cannot prepare a benchmark of kernels: {error}") from error
    objects = [
        *start_objects(compiler),
        *compile_objects(compiler, [main, *(KERNEL_FOLDER / source for source in sources)]),
    ]
    key = hashlib.sha256("\n".join(path.name for path in objects).encode()).hexdigest()
    elf = folder / f"{core.name}-{compiler.name}-{key[:24]}.elf"
    return elf if elf.is_file() else link(compiler, objects, elf, title="a benchmark of kernels")


def _main(functions: Sequence[str]) -> str:
    """A program that could call any of the kernels, so that the linker keeps them."""
    lines = ['#include "hn.h"']
    if functions:
        lines += [f"hn_kernel {', '.join(functions)};"]
        lines += [f"static hn_kernel *volatile const {TABLE}[] = {{{', '.join(functions)}}};"]
    return "\n".join([*lines, f"int main(void) {{ return {f'{TABLE}[0] == 0' if functions else '0'}; }}", ""])

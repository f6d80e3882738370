"""Calling functions of firmware on an emulated core, and counting what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cores import Core
from hannah_hw.emulation.counts import Counts, FunctionCounts
from hannah_hw.emulation.cycles import CycleTable, timing_of
from hannah_hw.emulation.elf import Program, Sizes, Symbol, read_elf
from hannah_hw.emulation.hooks import HOOK_BLOCK, add_hook
from hannah_hw.emulation.instructions import KINDS, Instructions
from hannah_hw.emulation.loads import LoadCounter
from hannah_hw.emulation.machine import Machine
from hannah_hw.emulation.memory import MemoryMap, memory_map
from hannah_hw.errors import InputError

#: Instructions after which a call is taken for an endless loop: some ten seconds.
DEFAULT_LIMIT = 1_000_000_000


class Emulator:
    """Firmware on an emulated core. Memory persists between calls; registers do not.

    Args:
        elf: The linked program, or its bytes. Its initialised data is already where start-up code would copy it.
        core: The core.
        memory: Where its memories are; by default where `memory_map` says.

    Attributes:
        core: The core.
        symbols: Name -> symbol.
        sizes: Of the program.
        stack_high_water: Deepest use of the stack of all calls, in bytes.

    Raises:
        InputError: The file is no such program, or does not fit the memories.
        MissingExtraError: A package of the extra ``emulate`` is not installed.
    """

    def __init__(self, elf: Path | bytes, core: Core, memory: MemoryMap | None = None) -> None:
        self.core = core
        self._memory = memory or memory_map(core)
        self._program = read_elf(elf)
        if self._program.isa != core.isa:
            raise InputError(
                f"a program for {self._program.isa} cannot run on {core.title}, which is {core.isa}"
            )
        self._code = _flash_code(self._program, self._memory)
        self._machine = Machine(self._program, core, self._memory, self._code)
        add_hook(self._machine.engine, HOOK_BLOCK, "hannah_block", self._machine.counters)
        self._instructions = Instructions(core.isa, *self._code)
        self._table = CycleTable(timing_of(core))
        self._owners, self._owner_names = _owners(self._program, *self._code)
        self.symbols: Mapping[str, Symbol] = self._program.symbols
        self.sizes: Sizes = self._program.sizes
        self.stack_high_water = 0
        self._executed: NDArray[np.int64] = np.zeros(0, np.int64)
        self._loads: LoadCounter | None = None

    def call(
        self, symbol: str, *arguments: int, flash_reads: bool = False, limit: int = DEFAULT_LIMIT
    ) -> Counts:
        """Call a function and count what it costs.

        Args:
            symbol: Its name.
            arguments: Whole numbers of at most 32 bits: values and addresses.
            flash_reads: Whether loads from flash are counted as well, in a second run from the same memory.
            limit: Instructions after which it is stopped.

        Returns:
            The counts of this call.

        Raises:
            InputError: There is no such function.
            MeasurementError: It faulted, or did not return within the limit.
        """
        address = self._address(symbol)
        before = self._machine.memory if flash_reads else b""
        returned, stack_bytes = self._machine.call(address, arguments, limit)
        self.stack_high_water = max(self.stack_high_water, stack_bytes)
        self._learn()
        reads = None
        if flash_reads:
            if self._loads is None:
                machine = Machine(self._program, self.core, self._memory, self._code)
                machine.flash = self._machine.flash
                self._loads = LoadCounter(machine, self._memory.flash, self._instructions)
            reads = self._loads.count(before, self._machine.memory, address, arguments, limit)
        return self._count(returned, stack_bytes, reads)

    def read(self, where: int | str, size: int | None = None) -> bytes:
        """Bytes of memory.

        Args:
            where: An address or a symbol.
            size: How many; by default the symbol's size.

        Raises:
            InputError: There is no such symbol or no such memory.
        """
        if size is None:
            size = self.symbols[where].size if isinstance(where, str) and where in self.symbols else 0
        address = self._address(where)
        self._check(address, size)
        return bytes(self._machine.engine.mem_read(address, size))

    def write(self, where: int | str, data: bytes) -> None:
        """Change bytes of RAM, or, as a programmer of chips does, of flash that holds no code.

        Args:
            where: An address or a symbol.
            data: The bytes.

        Raises:
            InputError: There is no such symbol or no such memory, or code lies there.
        """
        address = self._address(where)
        self._check(address, len(data))
        start, code = self._code
        if address < start + len(code) and start < address + len(data):
            raise InputError(
                f"{len(data)} bytes at {address:#x} would change code; link the program again instead"
            )
        self._machine.engine.mem_write(address, bytes(data))
        if self._loads is not None and self._memory.flash.holds(address):
            self._loads.machine.engine.mem_write(address, bytes(data))

    def _address(self, where: int | str) -> int:
        if isinstance(where, int):
            return where
        if where not in self.symbols:
            raise InputError(
                f"the firmware has no symbol {where!r}", given=where, allowed=list(self.symbols)[:20]
            )
        return self.symbols[where].address

    def _check(self, address: int, size: int) -> None:
        if not (self._memory.ram.holds(address, size) or self._memory.flash.holds(address, size)):
            raise InputError(f"{size} bytes at {address:#x} lie neither in flash nor in RAM")

    def _learn(self) -> None:
        """How often each halfword was executed, and which instructions they are."""
        self._executed = np.cumsum(self._machine.starts - self._machine.ends)
        self._instructions.decode(np.flatnonzero(self._machine.starts), self._executed > 0)

    def _count(self, returned: int, stack_bytes: int, reads: NDArray[np.int64] | None) -> Counts:
        machine, known, executed = self._machine, self._instructions, self._executed
        at = np.flatnonzero((known.length > 0) & (executed > 0))
        length, kind, words = known.length[at], known.kind[at], known.words[at]
        executions, taken, arrivals = executed[at], machine.taken[at + length], machine.arrivals[at]
        adjacent = np.zeros(len(at), bool)
        adjacent[1:] = at[1:] == at[:-1] + length[:-1]
        cycles = self._table.cycles(executions, taken, arrivals, adjacent, kind, words)
        owners = self._owners[at]
        figures = [executions, cycles, taken, *([] if reads is None else [reads[at]])]
        columns = [np.bincount(owners, figure, len(self._owner_names)).astype(np.int64) for figure in figures]
        by_kind = np.bincount(kind, executions, len(KINDS)).astype(np.int64)
        return Counts(
            instructions=int(executions.sum()),
            cycles=int(cycles.sum()),
            taken_branches=int(taken.sum()),
            flash_reads=None if reads is None else int(reads.sum()),
            by_function={
                name: FunctionCounts(*(int(column[i]) for column in columns))
                for i, name in enumerate(self._owner_names)
                if columns[0][i]
            },
            by_kind={name: int(by_kind[code]) for code, name in enumerate(KINDS) if by_kind[code]},
            stack_bytes=stack_bytes,
            returned=returned,
        )


def _flash_code(program: Program, memory: MemoryMap) -> tuple[int, bytes]:
    """All code in flash as one run of bytes; gaps between sections are zeros."""
    sections = [(address, data) for address, data in program.code if memory.flash.holds(address, len(data))]
    if not sections:
        raise InputError(
            "the program has no code in flash; link it for the memories of hannah_hw.emulation.memory_map"
        )
    start = min(address for address, _ in sections) & ~1
    image = bytearray(max(address + len(data) for address, data in sections) - start + 1 & ~1)
    for address, data in sections:
        image[address - start : address - start + len(data)] = data
    return start, bytes(image)


def _owners(program: Program, start: int, code: bytes) -> tuple[NDArray[np.int64], list[str]]:
    """The function that each halfword belongs to, as an index into names; 0 is none.

    A function without a size, as in assembly that does not give one, reaches to the next. Local functions of several
    sources that have one name are counted together.
    """
    functions = program.functions
    owners = np.zeros(len(code) // 2 + 1, np.int64)
    names = [""]
    for i, (address, size, name) in enumerate(functions):
        following = functions[i + 1][0] if i + 1 < len(functions) else start + len(code)
        end = address + size if size else following
        if start <= address < start + len(code):
            if name not in names:
                names.append(name)
            owners[(address - start) // 2 : (end - start + 1) // 2] = names.index(name)
    return owners, names

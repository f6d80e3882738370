"""One Unicorn engine with a program in its memory: registers, calls, faults; no counting."""

from __future__ import annotations

import bisect
from typing import Any, Final

import numpy as np

from hannah_hw.cores import Core
from hannah_hw.emulation.elf import Program
from hannah_hw.emulation.hooks import HOOK_FAULT, Counters, add_hook, address_of, unicorn_library
from hannah_hw.emulation.memory import MemoryMap, Region
from hannah_hw.errors import InputError, MeasurementError, require

#: Registers of arguments; what is left goes onto the stack.
_ARGUMENTS: Final = {"arm": 4, "riscv32": 8}
_PAINT: Final = 0xA5
#: Start-up code of firmware switches the FPU on there (CPACR, 0xE000ED88); Unicorn has it on from reset.
_SYSTEM_CONTROL_SPACE: Final = (0xE000_E000, 0x1000)
_PAGE: Final = 0x1000


class Machine:
    """A core with its memories.

    Args:
        program: What is loaded; initialised data already lies where start-up code would copy it.
        core: The core.
        memory: Its memories.
        code: (address, bytes) of the code that counters are about.

    Attributes:
        engine: The ``unicorn.Uc``.
        counters: Shared with the hooks in C.

    Raises:
        InputError: The program does not fit the memories, or Unicorn has no such core.
        MissingExtraError: unicorn is not installed.
    """

    def __init__(self, program: Program, core: Core, memory: MemoryMap, code: tuple[int, bytes]) -> None:
        unicorn = require("unicorn", "emulate")
        self._program, self._core, self._memory = program, core, memory
        self._error = unicorn.UcError
        self.engine = _engine(unicorn, core)
        registers = require("unicorn.arm_const" if core.isa == "arm" else "unicorn.riscv_const", "emulate")
        prefix = "UC_ARM_REG_R" if core.isa == "arm" else "UC_RISCV_REG_A"
        named = "UC_ARM_REG_" if core.isa == "arm" else "UC_RISCV_REG_"
        self._arguments = [getattr(registers, f"{prefix}{i}") for i in range(_ARGUMENTS[core.isa])]
        self._stack_pointer = getattr(registers, f"{named}SP")
        self._program_counter = getattr(registers, f"{named}PC")
        self._link = getattr(registers, f"{named}{'LR' if core.isa == 'arm' else 'RA'}")
        self._load()
        start, content = code
        self.counters = Counters(code_start=start, halfwords=len(content) // 2)
        self.counters.stop = address_of(unicorn_library().uc_emu_stop)
        self.starts, self.ends, self.taken, self.arrivals = np.zeros((4, len(content) // 2 + 1), np.int64)
        for name in ("starts", "ends", "taken", "arrivals"):
            setattr(self.counters, name, getattr(self, name).ctypes.data)
        add_hook(self.engine, HOOK_FAULT, "hannah_fault", self.counters)
        self._reset_state = self.engine.context_save()

    @property
    def memory(self) -> bytes:
        """All of RAM."""
        return bytes(self.engine.mem_read(self._memory.ram.start, self._memory.ram.size))

    @memory.setter
    def memory(self, content: bytes) -> None:
        self.engine.mem_write(self._memory.ram.start, content)

    @property
    def flash(self) -> bytes:
        """All of flash."""
        return bytes(self.engine.mem_read(self._memory.flash.start, self._memory.flash.size))

    @flash.setter
    def flash(self, content: bytes) -> None:
        self.engine.mem_write(self._memory.flash.start, content)

    def _load(self) -> None:
        flash, ram, read_execute = self._memory.flash, self._memory.ram, 5
        self.engine.mem_map(flash.start, flash.size, read_execute)
        # A page that the stack must not grow into lies between it and data.
        stack = Region(ram.end - self._memory.stack_bytes, self._memory.stack_bytes)
        self._guard = Region(stack.start - _PAGE, _PAGE)
        data = Region(ram.start, self._guard.start - ram.start)
        self.engine.mem_map(data.start, data.size)
        self.engine.mem_map(self._guard.start, _PAGE, 0)
        self.engine.mem_map(stack.start, stack.size)
        self.engine.mem_map(self._memory.exit, _PAGE, read_execute)
        if self._core.isa == "arm":
            self.engine.mem_map(*_SYSTEM_CONTROL_SPACE)
        for segment in self._program.segments:
            for address in {segment.load_address, segment.address}:
                size = len(segment.data) if address != segment.address else segment.memory_size
                if not any(region.holds(address, size) for region in (flash, data)):
                    raise InputError(
                        f"the program has {size} bytes at {address:#x}, outside of flash "
                        f"{flash.start:#x}..{flash.end:#x} and of RAM below the stack, {data.start:#x}..{data.end:#x}"
                    )
                self.engine.mem_write(address, segment.data)

    def call(self, address: int, arguments: tuple[int, ...], limit: int) -> tuple[int, int]:
        """Call a function and return when it does.

        Args:
            address: Where it begins.
            arguments: Whole numbers of at most 32 bits.
            limit: Instructions after which it is stopped.

        Returns:
            The first result register, and the deepest use of the stack in bytes.

        Raises:
            MeasurementError: It faulted, or did not return within the limit.
        """
        memory, engine = self._memory, self.engine
        engine.context_restore(self._reset_state)
        for counter in (self.starts, self.ends, self.taken, self.arrivals):
            counter[:] = 0
        bottom = memory.ram.end - memory.stack_bytes
        engine.mem_write(bottom, bytes([_PAINT]) * memory.stack_bytes)
        on_stack = arguments[len(self._arguments) :]
        stack_pointer = memory.ram.end - (4 * len(on_stack) + 15) // 16 * 16
        for register, value in zip(self._arguments, arguments, strict=False):
            engine.reg_write(register, value & 0xFFFF_FFFF)
        engine.mem_write(stack_pointer, b"".join((v & 0xFFFF_FFFF).to_bytes(4, "little") for v in on_stack))
        engine.reg_write(self._stack_pointer, stack_pointer)
        thumb = int(self._core.isa == "arm")
        engine.reg_write(self._link, memory.exit | thumb)
        counters = self.counters
        counters.previous_end = counters.outside = counters.fault_address = counters.fault_size = 0
        counters.exhausted = 0
        counters.budget = 2 * limit
        try:
            engine.emu_start(address | thumb, memory.exit)
        except self._error as error:
            raise self._fault(str(error)) from error
        if counters.outside:
            raise self._fault(f"ran code outside of flash at {counters.outside:#x}")
        if counters.exhausted:
            raise MeasurementError(
                f"did not return within {limit} instructions, in {self.function_at(self._pc())}; "
                "an endless loop, or a limit that is too low",
                kind="timeout",
            )
        if self._pc() != memory.exit:
            raise self._fault("stopped without returning")
        if counters.previous_end:
            self.taken[(counters.previous_end - counters.code_start) // 2] += 1
        stack = np.frombuffer(engine.mem_read(bottom, memory.stack_bytes), np.uint8)
        used = np.flatnonzero(stack != _PAINT)
        deepest = memory.stack_bytes - int(used[0]) if len(used) else 0
        return int(engine.reg_read(self._arguments[0])), deepest

    def function_at(self, address: int) -> str:
        """``function+offset`` of an address, for messages."""
        functions = self._program.functions
        index = bisect.bisect_right(functions, address, key=lambda function: function[0]) - 1
        if index < 0:
            return f"{address:#x}"
        begin, _, name = functions[index]
        return f"{name}+{address - begin:#x} (pc {address:#x})"

    def _pc(self) -> int:
        return int(self.engine.reg_read(self._program_counter)) & ~1

    def _fault(self, what: str) -> MeasurementError:
        address = self.counters.fault_address
        if self._guard.holds(address):
            what = f"the stack grew beyond {self._memory.stack_bytes} bytes"
        message = f"{what} in {self.function_at(self._pc())}"
        if self.counters.fault_size:
            message += f", {self.counters.fault_size} bytes at {address:#x}"
        return MeasurementError(message, kind="fault")


def _engine(unicorn: Any, core: Core) -> Any:
    if core.unicorn is None:
        raise InputError(
            f"Unicorn has no {core.title}; hannah_hw.emulation.qemu counts instructions where QEMU has it"
        )
    if core.isa == "riscv32":
        return unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
    # With UC_MODE_MCLASS Unicorn 2.1.4 ignores the model that is asked for and takes a Cortex-M33, which runs
    # instructions and unaligned accesses that the core does not have. The models alone bring the M profile.
    engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
    engine.ctl_set_cpu_model(getattr(require("unicorn.arm_const", "emulate"), f"UC_CPU_ARM_{core.unicorn}"))
    return engine

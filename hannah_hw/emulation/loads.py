"""Counting loads that read from flash: literals, weights, tables.

A hook of memory accesses would be the plain way; with one, Unicorn 2.1.4 computes wrong results near IT blocks. So a
hook of instructions looks at each load before it executes, and works out from registers where it is going to read.
Unicorn does not call it before an instruction whose condition fails. That the run leaves the same memory behind as one
without the hook is checked every time. So is the alignment of accesses of several words, to which Unicorn is
indifferent and a chip is not.
"""

from __future__ import annotations

import ctypes
import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.emulation.hooks import HOOK_CODE, Loads, Operand, add_hook, address_of, unicorn_library
from hannah_hw.emulation.instructions import KINDS, Instructions
from hannah_hw.emulation.machine import Machine
from hannah_hw.emulation.memory import Region
from hannah_hw.errors import MeasurementError, require

_ARM: Final = re.compile(
    r"\[(?P<base>\w+)(?:, #(?P<offset>-?\w+))?(?:, (?P<index>[a-z]\w*)(?:, lsl #(?P<shift>\d+))?)?\]"
)
_RISCV: Final = re.compile(r"(?P<offset>-?\w+)?\((?P<base>\w+)\)")
#: Kinds that need an aligned address even on cores that load and store words anywhere (Armv7-M ARM, A3.2.1).
_ALIGNED: Final = ("load_pair", "load_multiple", "store_pair", "store_multiple", "fp_store")


class LoadCounter:
    """A machine of its own whose loads are watched.

    Args:
        machine: With the program in its memory.
        flash: What counts as flash.
        instructions: Of the program; may learn more between runs.

    Attributes:
        machine: The machine.
    """

    def __init__(self, machine: Machine, flash: Region, instructions: Instructions) -> None:
        self.machine, self._instructions = machine, instructions
        size = len(instructions.length)
        self._entries = np.zeros(size, np.uint32)
        self._reads = np.zeros(size, np.int64)
        # A load's operand has the number of its halfword plus one: number 0 stands for no load.
        self._operands = (Operand * (size + 1))()
        self._known = 0
        library = unicorn_library()
        self._context = Loads(
            code_start=machine.counters.code_start,
            halfwords=machine.counters.halfwords,
            entries=self._entries.ctypes.data,
            operands=ctypes.addressof(self._operands),
            reads=self._reads.ctypes.data,
            flash_start=flash.start,
            flash_size=flash.size,
            read_register=address_of(library.uc_reg_read),
            stop=address_of(library.uc_emu_stop),
        )
        self._registers = _registers(instructions.arm)
        add_hook(machine.engine, HOOK_CODE, "hannah_load", self._context)

    def count(
        self, before: bytes, after: bytes, address: int, arguments: tuple[int, ...], limit: int
    ) -> NDArray[np.int64]:
        """Repeat a call.

        Args:
            before: RAM before the call.
            after: RAM after the call, as it was without the hook.
            address: Of the function.
            arguments: Its arguments.
            limit: See `Machine.call`.

        Returns:
            (halfwords,) words read from flash by the load that begins there.

        Raises:
            MeasurementError: An access is not aligned as the core needs it, or the run computed something else.
        """
        self._learn()
        self._reads[:] = 0
        self._context.misaligned_at = 0
        self.machine.memory = before
        try:
            self.machine.call(address, arguments, limit)
        except MeasurementError as error:
            at = self._context.misaligned_at
            if not at:
                raise
            where = self.machine.function_at(at)
            raise MeasurementError(
                f"an access that needs an address that is a multiple of 4 and has none, in {where}",
                kind="fault",
            ) from error
        if self.machine.memory != after:
            raise MeasurementError(
                "the emulator computes something else while loads are watched; measure without flash reads",
                kind="emulator",
            )
        return self._reads * self._instructions.words

    def _learn(self) -> None:
        """Find out what the accesses that were decoded since the last run refer to."""
        accesses = list(self._instructions.accesses.items())
        for index, (mnemonic, text) in accesses[self._known :]:
            self._operands[index + 1] = self._operand(index, mnemonic, text)
            self._entries[index] = index + 1
        self._known = len(accesses)

    def _operand(self, index: int, mnemonic: str, text: str) -> Operand:
        """The memory that an access refers to.

        Raises:
            MeasurementError: The operand has a form that is not known.
        """
        words = int(self._instructions.words[index])
        kind = KINDS[int(self._instructions.kind[index])]
        alignment = 3 if kind in _ALIGNED or mnemonic.startswith("vldr") else 0
        if mnemonic.startswith(("pop", "vpop", "push", "vpush")):
            return Operand(base=self._registers["sp"], alignment=alignment)
        if kind in ("load_multiple", "store_multiple"):
            base = text.partition(",")[0].rstrip("!")
            before = 4 * words if mnemonic.startswith(("ldmdb", "vldmdb", "stmdb", "vstmdb")) else 0
            return Operand(base=self._registers[base], offset=-before & 0xFFFF_FFFF, alignment=alignment)
        match = (_ARM if self._instructions.arm else _RISCV).search(text)
        if match is None:
            raise MeasurementError(f"no rule what {mnemonic} {text} refers to", kind="emulator")
        parts = match.groupdict()
        base, offset = parts["base"], int(parts["offset"] or "0", 0)
        if base == "pc":
            # The program counter reads as four bytes on; literals count from the word that it lies in.
            counter = self._context.code_start + 2 * index + 4
            offset += counter if kind == "table_branch" else counter & ~3
        return Operand(
            base=0 if base == "pc" else self._registers[base],
            index=self._registers[parts["index"]] if parts.get("index") else 0,
            shift=int(parts.get("shift") or 0),
            offset=offset & 0xFFFF_FFFF,
            alignment=alignment,
        )


def _registers(arm: bool) -> dict[str, int]:
    """Names of registers, as capstone writes them -> Unicorn's numbers."""
    constants = require("unicorn.arm_const" if arm else "unicorn.riscv_const", "emulate")
    prefix = "UC_ARM_REG_" if arm else "UC_RISCV_REG_"
    return {
        name.removeprefix(prefix).lower(): number
        for name, number in vars(constants).items()
        if name.startswith(prefix)
    }

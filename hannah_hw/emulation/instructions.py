"""What the instructions of a program are: their lengths, kinds and words moved, found once with capstone.

Only what was executed is decoded, from the first halfwords of blocks on: code holds literals and tables that are no
instructions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import MeasurementError, require

#: Kinds of instructions that documents give cycles of.
KINDS: Final = (
    "alu",
    "multiply",
    "multiply_add",
    "multiply_long",
    "multiply_add_long",
    "multiply_dsp",
    "divide",
    "load",
    "load_pair",
    "load_multiple",
    "store",
    "store_pair",
    "store_multiple",
    "branch",
    "call",
    "table_branch",
    "it",
    "system",
    "fp",
    "fp_multiply_add",
    "fp_divide",
    "fp_store",
)
#: Kinds that access memory.
_MOVING: Final = frozenset(
    {
        "load",
        "load_pair",
        "load_multiple",
        "table_branch",
        "store",
        "store_pair",
        "store_multiple",
        "fp_store",
    }
)
_CODE: Final[Mapping[str, int]] = {kind: code for code, kind in enumerate(KINDS)}

#: Beginnings of mnemonics -> kind, the longest that fits.
_ARM: Final[Mapping[str, str]] = {
    **dict.fromkeys(("mul",), "multiply"),
    **dict.fromkeys(("mla", "mls"), "multiply_add"),
    **dict.fromkeys(("smull", "umull"), "multiply_long"),
    **dict.fromkeys(("smlal", "umlal", "umaal"), "multiply_add_long"),
    **dict.fromkeys(
        ("smla", "smls", "smu", "smmul", "smmla", "smmls", "smlald", "smlalb", "smlalt", "usad"),
        "multiply_dsp",
    ),
    **dict.fromkeys(("sdiv", "udiv"), "divide"),
    **dict.fromkeys(("ldr", "vldr"), "load"),
    **dict.fromkeys(("ldm", "pop", "vldm", "vpop"), "load_multiple"),
    **dict.fromkeys(("ldrd",), "load_pair"),
    **dict.fromkeys(("str",), "store"),
    **dict.fromkeys(("strd",), "store_pair"),
    **dict.fromkeys(("vstr",), "fp_store"),
    **dict.fromkeys(("stm", "push", "vstm", "vpush"), "store_multiple"),
    **dict.fromkeys(("tbb", "tbh"), "table_branch"),
    **dict.fromkeys(("it",), "it"),
    **dict.fromkeys(("mrs", "msr", "dmb", "dsb", "isb", "cps", "svc", "bkpt"), "system"),
    **dict.fromkeys(("v",), "fp"),
    **dict.fromkeys(("vmla", "vmls", "vnmla", "vnmls", "vfma", "vfms", "vfnma", "vfnms"), "fp_multiply_add"),
    **dict.fromkeys(("vdiv", "vsqrt"), "fp_divide"),
}
#: Mnemonics that have to fit wholly, since others begin like them.
_ARM_WHOLE: Final[Mapping[str, str]] = {
    **dict.fromkeys(("b", "bx", "blx", "cbz", "cbnz"), "branch"),
    "bl": "call",
}
_RISCV: Final[Mapping[str, str]] = {
    **dict.fromkeys(("mul", "mulh", "mulhu", "mulhsu"), "multiply"),
    **dict.fromkeys(("div", "divu", "rem", "remu"), "divide"),
    **dict.fromkeys(("lb", "lbu", "lh", "lhu", "lw", "lwsp"), "load"),
    **dict.fromkeys(("sb", "sh", "sw", "swsp"), "store"),
    **dict.fromkeys(("beq", "bne", "blt", "bge", "bltu", "bgeu", "beqz", "bnez", "j", "jr"), "branch"),
    **dict.fromkeys(("jal", "jalr"), "call"),
    **dict.fromkeys(
        ("fence", "fence.i", "ecall", "ebreak", "csrrw", "csrrs", "csrrc", "csrrwi", "csrrsi", "csrrci"),
        "system",
    ),
}


class Instructions:
    """The instructions of a program's code, in arrays by halfword; an entry counts at an instruction's first halfword.

    Args:
        isa: ``arm`` or ``riscv32``.
        start: Address of the first byte of ``code``.
        code: The bytes.

    Attributes:
        arm: Whether the ISA is Arm's.
        length: (halfwords,) halfwords of the instruction, 0 where none is known to begin.
        kind: (halfwords,) index into `KINDS`.
        words: (halfwords,) words that it loads or stores; 0 where it does not access memory.
        accesses: Halfword index of every load, and of every store that needs an aligned address -> (mnemonic, operands)
            as capstone writes them.

    Raises:
        MissingExtraError: capstone is not installed.
    """

    def __init__(self, isa: str, start: int, code: bytes) -> None:
        capstone = require("capstone", "emulate")
        if isa == "arm":
            mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
            self._decoder = capstone.Cs(capstone.CS_ARCH_ARM, mode)
        else:
            mode = capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC
            self._decoder = capstone.Cs(capstone.CS_ARCH_RISCV, mode)
        self.arm, self._start, self._bytes = isa == "arm", start, code
        self._kinds: dict[str, int] = {}
        size = len(code) // 2 + 1
        self.length: NDArray[np.int64] = np.zeros(size, np.int64)
        self.kind: NDArray[np.int64] = np.zeros(size, np.int64)
        self.words: NDArray[np.int64] = np.zeros(size, np.int64)
        self.accesses: dict[int, tuple[str, str]] = {}

    def decode(self, starts: NDArray[np.int64], executed: NDArray[np.bool_]) -> None:
        """Learn the instructions of blocks; what is known is skipped.

        Args:
            starts: Halfword index of each block's begin.
            executed: (halfwords,) whether a halfword was executed; the last, behind the code, was not.

        Raises:
            MeasurementError: Something executed is no instruction that capstone knows.
        """
        for first in starts.tolist():
            if self.length[first]:
                continue
            # A block may run into another that is known already; code that was not executed ends it.
            index = first
            last = first + int(np.argmin(executed[first:]))
            address = self._start + 2 * first
            for at, size, mnemonic, operands in self._decoder.disasm_lite(
                self._bytes[2 * first : 2 * last], address
            ):
                index = (at - self._start) // 2
                if self.length[index]:
                    break
                self._note(index, size // 2, mnemonic, operands)
                index += size // 2
            else:
                if index < last:
                    raise MeasurementError(
                        f"capstone cannot decode what was executed at {self._start + 2 * index:#x}",
                        kind="fault",
                    )

    def _note(self, index: int, length: int, mnemonic: str, operands: str) -> None:
        code = self._kinds.get(mnemonic)
        if code is None:
            code = self._kinds[mnemonic] = _CODE[self._kind_of(index, length, mnemonic)]
        kind = KINDS[code]
        self.length[index], self.kind[index] = length, code
        if kind in _MOVING:
            self.words[index] = _words(kind, operands)
            if kind != "store":
                self.accesses[index] = (mnemonic, operands)

    def _kind_of(self, index: int, length: int, mnemonic: str) -> str:
        """The kind of an instruction, by its name without condition and width, which only a slow decoding tells."""
        content = self._bytes[2 * index : 2 * (index + length)]
        for instruction in self._decoder.disasm(content, self._start + 2 * index):
            mnemonic = self._decoder.insn_name(instruction.id) or mnemonic
        return _arm_kind(mnemonic) if self.arm else _riscv_kind(mnemonic)


def _arm_kind(mnemonic: str) -> str:
    if mnemonic in _ARM_WHOLE:
        return _ARM_WHOLE[mnemonic]
    for end in range(len(mnemonic), 0, -1):
        if mnemonic[:end] in _ARM:
            return _ARM[mnemonic[:end]]
    return "alu"


def _riscv_kind(mnemonic: str) -> str:
    return _RISCV.get(mnemonic.removeprefix("c."), "alu")


def _words(kind: str, operands: str) -> int:
    """Words that a load or store moves: of a register list, a pair, or one register, which may be a double."""
    if "{" in operands:
        listed = operands[operands.index("{") + 1 : operands.index("}")].split(",")
        return sum(2 if register.strip().startswith("d") else 1 for register in listed)
    return 2 if kind.endswith("pair") or operands.startswith("d") else 1

"""A second opinion: firmware under QEMU, which models boards and a core that Unicorn does not have, the Cortex-M55.

QEMU is a program, not a package: ``qemu-system-arm`` on PATH, as of Debian's package of that name. A call starts it
anew, with flash and RAM as they are: a piece of machine code behind the data calls the function and writes RAM to a
file, through semihosting. A plugin counts the blocks of instructions that ran.
"""

from __future__ import annotations

import bisect
import functools
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cores import Core
from hannah_hw.emulation.compiling import compiled
from hannah_hw.emulation.elf import Program, Sizes, Symbol, read_elf
from hannah_hw.emulation.memory import Region, memory_map
from hannah_hw.errors import InputError, MeasurementError, MissingToolError

#: The program.
QEMU: Final = "qemu-system-arm"
#: Seconds; an emulated second of a microcontroller takes about one.
TIMEOUT_S: Final = 120.0
_PLUGIN: Final = Path(__file__).with_name("qemu_plugin.c")
_KIB: Final = 1 << 10

#: Core -> board, bytes at the start of flash and of RAM in `memory_map` that it has. What runs on a Cortex-M33 runs on
#: a Cortex-M55; boards with the former have too little RAM there.
_BOARDS: Final[Mapping[str, tuple[str, int, int]]] = {
    "m0p": ("microbit", 256 * _KIB, 16 * _KIB),
    "m3": ("mps2-an385", 4096 * _KIB, 4096 * _KIB),
    "m4": ("mps2-an386", 4096 * _KIB, 4096 * _KIB),
    "m7": ("mps2-an500", 4096 * _KIB, 4096 * _KIB),
    "m33": ("mps3-an547", 512 * _KIB, 512 * _KIB),
    "m55": ("mps3-an547", 512 * _KIB, 512 * _KIB),
}
_PAINT: Final = 0xA5
_STACK: Final = 8 * _KIB
#: Thumb code for every core of the M profile; what it needs lies in words behind it.
_CALLER: Final = bytes.fromhex(
    "0ea7"  #          adr  r7, words
    "38687968 0160"  # ldr  r0, [r7]; ldr r1, [r7, #4]; str r1, [r0]     switches the FPU on where there is one
    "bff34f8f bff36f8f"  # dsb; isb
    "b868 8546"  #     ldr  r0, [r7, #8]; mov sp, r0
    "fc68 3869 7969 ba69 fb69"  # ldr r4, [r7, #12]; ldr r0 ... r3, [r7, #16 ... #28]
    "a047 3861"  #     blx  r4; str r0, [r7, #16]
    "0120 3946 2031 abbe"  # SYS_OPEN with the words from 32 on: name, mode, its length
    "f862 0520 3946 2c31 abbe"  # SYS_WRITE with the words from 44 on: handle, address, bytes
    "1820 b96b abbe"  # SYS_EXIT with the word at 56
    "fee7"  #          b .
)
#: Bytes at the end of RAM for the caller and its words.
_CALLER_SPACE: Final = 256
_CPACR: Final = 0xE000_ED88
_FPU_ON: Final = 0xF << 20
_WRITE_BINARY: Final = 5
_APPLICATION_EXIT: Final = 0x20026


@dataclass(frozen=True)
class QemuCounts:
    """What a call cost.

    Attributes:
        instructions: Executed.
        by_function: Function -> instructions, without what it calls; code outside of any function is ``""``.
        stack_bytes: The deepest use of the stack.
        returned: The first result register.
    """

    instructions: int
    by_function: Mapping[str, int]
    stack_bytes: int
    returned: int


class QemuEmulator:
    """Firmware on a board of QEMU. Memory persists between calls.

    Args:
        elf: The linked program, or its bytes, for the memories of `memory_map`. Initialised data is in its place.
        core: The core.

    Attributes:
        core: The core.
        symbols: Name -> symbol.
        sizes: Of the program.

    Raises:
        InputError: The file is no such program, is larger than the board's memories, or there is no board.
        MissingExtraError: pyelftools is not installed.
        MissingToolError: QEMU is not on PATH.
    """

    def __init__(self, elf: Path | bytes, core: Core) -> None:
        self._command = shutil.which(QEMU)
        if self._command is None:
            raise MissingToolError(f"{QEMU} is not on PATH; install QEMU (Debian: apt install {QEMU})")
        if core.name not in _BOARDS:
            raise InputError(f"QEMU has no board with {core.title}", allowed=_BOARDS, given=core.name)
        self.core = core
        self._board, flash_bytes, ram_bytes = _BOARDS[core.name]
        program = read_elf(elf)
        if program.isa != core.isa:
            raise InputError(f"a program for {program.isa} cannot run on {core.title}, which is {core.isa}")
        self.symbols: Mapping[str, Symbol] = program.symbols
        self.sizes: Sizes = program.sizes
        memory = memory_map(core)
        self._regions = (Region(memory.flash.start, flash_bytes), Region(memory.ram.start, ram_bytes))
        self._flash, self._ram = bytearray(flash_bytes), bytearray(ram_bytes)
        self._load(program)
        self._functions = program.functions

    def _load(self, program: Program) -> None:
        for segment in program.segments:
            for address in {segment.load_address, segment.address}:
                self.write(address, segment.data)
            if self._regions[1].holds(segment.address):
                end = segment.address + segment.memory_size - self._regions[1].start
                if end > len(self._ram) - _STACK:
                    raise InputError(
                        f"the program needs {end} bytes of RAM and {_STACK} of stack, "
                        f"and QEMU's {self._board} has {len(self._ram)}"
                    )

    def call(self, symbol: str, *arguments: int, timeout_s: float = TIMEOUT_S) -> QemuCounts:
        """Call a function and count its instructions.

        Args:
            symbol: Its name.
            arguments: Whole numbers of at most 32 bits: values and addresses.
            timeout_s: Seconds after which it is stopped.

        Returns:
            The counts of this call.

        Raises:
            InputError: There is no such function.
            MeasurementError: It faulted, or did not return in time.
            RunError: The plugin cannot be compiled.
        """
        function = self._address(symbol)
        ram = self._regions[1]
        words_at = ram.end - _CALLER_SPACE + len(_CALLER)
        on_stack = b"".join((value & 0xFFFF_FFFF).to_bytes(4, "little") for value in arguments[4:])
        stack_pointer = (ram.end - _CALLER_SPACE - len(on_stack)) & ~7
        registers = [*(value & 0xFFFF_FFFF for value in arguments[:4]), 0, 0, 0, 0][:4]
        words = (
            *((words_at, 0) if self.core.name == "m0p" else (_CPACR, _FPU_ON)),
            *(stack_pointer, function | 1, *registers),
            *(words_at + 60, _WRITE_BINARY, 3),
            *(0, ram.start, ram.size),
            _APPLICATION_EXIT,
        )
        image = bytearray(self._ram)
        image[-_STACK:-_CALLER_SPACE] = bytes([_PAINT]) * (_STACK - _CALLER_SPACE)
        at = stack_pointer - ram.start
        image[at : at + len(on_stack)] = on_stack
        caller = _CALLER + struct.pack(f"<{len(words)}I4s", *words, b"ram")
        image[-_CALLER_SPACE:] = caller.ljust(_CALLER_SPACE, b"\0")
        after, blocks = self._run(bytes(image), ram.end - _CALLER_SPACE, timeout_s)
        self._ram[:-_STACK] = after[:-_STACK]
        stack = np.frombuffer(after, np.uint8)[-_STACK:-_CALLER_SPACE]
        used = np.flatnonzero(stack != _PAINT)
        deepest = len(stack) - int(used[0]) if len(used) else 0
        if deepest == len(stack):
            raise MeasurementError(f"the stack grew beyond {_STACK - _CALLER_SPACE} bytes", kind="fault")
        by_function: dict[str, int] = {}
        for address, _, instructions, executions in blocks.tolist():
            if not ram.holds(address):
                name = self._function_at(address)
                by_function[name] = by_function.get(name, 0) + instructions * executions
        returned_at = ram.size - _CALLER_SPACE + len(_CALLER) + 16
        return QemuCounts(
            instructions=sum(by_function.values()),
            by_function=by_function,
            stack_bytes=deepest,
            returned=int.from_bytes(after[returned_at : returned_at + 4], "little"),
        )

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
        memory, at = self._place(self._address(where), size)
        return bytes(memory[at : at + size])

    def write(self, where: int | str, data: bytes) -> None:
        """Change bytes of flash or RAM.

        Args:
            where: An address or a symbol.
            data: The bytes.

        Raises:
            InputError: There is no such symbol or no such memory.
        """
        memory, at = self._place(self._address(where), len(data))
        memory[at : at + len(data)] = data

    def _place(self, address: int, size: int) -> tuple[bytearray, int]:
        for region, memory in zip(self._regions, (self._flash, self._ram), strict=True):
            if region.holds(address, size):
                return memory, address - region.start
        flash, ram = self._regions
        raise InputError(
            f"{size} bytes at {address:#x} lie outside of the flash {flash.start:#x}..{flash.end:#x} and RAM "
            f"{ram.start:#x}..{ram.end:#x} of QEMU's {self._board}"
        )

    def _address(self, where: int | str) -> int:
        if isinstance(where, int):
            return where
        if where not in self.symbols:
            raise InputError(
                f"the firmware has no symbol {where!r}", given=where, allowed=list(self.symbols)[:20]
            )
        return self.symbols[where].address

    def _function_at(self, address: int) -> str:
        index = bisect.bisect_right(self._functions, address, key=lambda function: function[0]) - 1
        return self._functions[index][2] if index >= 0 else ""

    def _run(self, ram: bytes, entry: int, timeout_s: float) -> tuple[bytes, NDArray[np.int64]]:
        """Run the board until the caller has written RAM.

        Returns:
            RAM, and (blocks, 4): address, bytes, instructions and executions of each block.
        """
        plugin = compiled(_PLUGIN, f"-DPLUGIN_VERSION={_plugin_version(str(self._command))}")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "flash.bin").write_bytes(self._flash)
            (folder / "ram.bin").write_bytes(ram)
            flash_region, ram_region = self._regions
            command = [
                *(
                    str(self._command),
                    "-M",
                    self._board,
                    "-display",
                    "none",
                    "-monitor",
                    "none",
                    "-serial",
                    "none",
                ),
                *("-semihosting-config", "enable=on,target=native", "-no-reboot"),
                *("-device", f"loader,file=flash.bin,addr={flash_region.start:#x},force-raw=on"),
                *("-device", f"loader,file=ram.bin,addr={ram_region.start:#x},force-raw=on"),
                *("-device", f"loader,addr={entry | 1:#x},cpu-num=0"),
                *("-plugin", f"{plugin},out=blocks"),
            ]
            try:
                result = subprocess.run(
                    command, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False
                )
            except subprocess.TimeoutExpired as error:
                raise MeasurementError(
                    f"did not return within {timeout_s:g} s on QEMU's {self._board}; an endless loop?",
                    kind="timeout",
                ) from error
            dump, blocks = folder / "ram", folder / "blocks"
            if result.returncode or not dump.exists() or not blocks.exists():
                said = result.stderr.strip().partition("\n")[0] or f"exit status {result.returncode}"
                raise MeasurementError(f"QEMU's {self._board} stopped: {said}", kind="fault")
            counts = np.loadtxt(blocks, np.int64, ndmin=2)
            return dump.read_bytes(), counts


@functools.cache
def _plugin_version(command: str) -> int:
    """The version of the plugin interface to ask for: QEMU 9 no longer takes 1, QEMU 8.1 and before not yet 2."""
    said = subprocess.run(
        [command, "--version"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    ).stdout
    number = re.search(r"version (\d+)", said)
    return 2 if number is not None and int(number[1]) >= 9 else 1

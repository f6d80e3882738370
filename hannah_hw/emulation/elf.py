"""ELF files: what is loaded where, symbols, and sizes as a chip's memories see them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

from hannah_hw.errors import InputError, require

_WRITE: Final = 1
_ALLOC: Final = 2
_EXECUTE: Final = 4
_MACHINES: Final = {"EM_ARM": "arm", "EM_RISCV": "riscv32"}

#: Sections that linker scripts reserve; a stack is measured instead, and there is no heap.
_RESERVED: Final = (".stack", ".heap", "._user_heap_stack")


@dataclass(frozen=True)
class Symbol:
    """A named address.

    Attributes:
        address: Without the Thumb bit.
        size: Bytes; 0 where the source does not say.
        kind: ``function``, ``object`` or ``label``.
        source: The source file of a local one, without its folder; empty for global ones.
    """

    address: int
    size: int
    kind: str
    source: str = ""


@dataclass(frozen=True)
class Segment:
    """Bytes of a file that are loaded.

    Attributes:
        address: Where the program expects them.
        load_address: Where they are stored, for initialised data in flash.
        data: The bytes.
        memory_size: Bytes in memory, zeros behind ``data`` included.
    """

    address: int
    load_address: int
    data: bytes
    memory_size: int


@dataclass(frozen=True)
class Sizes:
    """Bytes of a linked program.

    Attributes:
        flash_bytes: All that is stored in flash: code, constants and initial values of data.
        code_bytes: Sections of instructions; literal pools are part of them.
        constant_bytes: Sections that are neither code nor writable.
        ram_bytes: ``.data`` and ``.bss``: writable sections, without a reserved stack or heap.
        sections: Name -> bytes of every section that takes memory.
    """

    flash_bytes: int
    code_bytes: int
    constant_bytes: int
    ram_bytes: int
    sections: Mapping[str, int]

    def check(self, flash_bytes: int, ram_bytes: int, *, where: str) -> None:
        """Compare with a chip's memories.

        Args:
            flash_bytes: Of the chip.
            ram_bytes: Of the chip, or what is left beside the stack.
            where: The chip's name, for the message.

        Raises:
            InputError: One of them is too small.
        """
        for name, has, needs in (
            ("flash", flash_bytes, self.flash_bytes),
            ("RAM", ram_bytes, self.ram_bytes),
        ):
            if needs > has:
                raise InputError(
                    f"the firmware needs {needs} bytes of {name}, {needs - has} more than the {has} that there are; "
                    "choose a smaller model or another target",
                    where=where,
                )


@dataclass(frozen=True)
class Program:
    """A linked program.

    Attributes:
        isa: ``arm`` or ``riscv32``.
        segments: What is loaded.
        symbols: Name -> symbol; of equal names a global one, else the first.
        every: All names and symbols; names of local ones may repeat.
        functions: (address, size, name) in the order of addresses; names of local ones may repeat.
        code: (address, bytes) of every section of instructions.
        sizes: Its sizes.
    """

    isa: str
    segments: tuple[Segment, ...]
    symbols: Mapping[str, Symbol]
    every: tuple[tuple[str, Symbol], ...]
    functions: tuple[tuple[int, int, str], ...]
    code: tuple[tuple[int, bytes], ...]
    sizes: Sizes


def read_elf(elf: Path | bytes) -> Program:
    """Read a linked program.

    Args:
        elf: The file, or its content.

    Raises:
        InputError: It cannot be read, is no 32-bit executable ELF file, or is for another kind of processor.
        MissingExtraError: pyelftools is not installed.
    """
    elffile, exceptions = (
        require("elftools.elf.elffile", "emulate"),
        require("elftools.common.exceptions", "emulate"),
    )
    where = "ELF" if isinstance(elf, bytes) else str(elf)
    try:
        content = elf if isinstance(elf, bytes) else elf.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=where) from error
    try:
        return _program(elffile.ELFFile(io.BytesIO(content)), where)
    except exceptions.ELFError as error:
        raise InputError(f"not an ELF file ({error}); give the linked firmware", where=where) from error


def elf_sizes(elf: Path | bytes) -> Sizes:
    """Sizes of a linked program.

    Raises:
        InputError: See `read_elf`.
        MissingExtraError: pyelftools is not installed.
    """
    return read_elf(elf).sizes


def _program(file: Any, where: str) -> Program:
    isa = _MACHINES.get(file["e_machine"])
    if isa is None or file.elfclass != 32:
        raise InputError(
            f"an ELF file for {file.get_machine_arch()}, {file.elfclass} bit",
            where=where,
            allowed=("32-bit Arm", "32-bit RISC-V"),
        )
    if file["e_type"] != "ET_EXEC":
        raise InputError("not a linked executable but an object or a library; link it first", where=where)
    segments = tuple(
        Segment(segment["p_vaddr"], segment["p_paddr"], segment.data(), segment["p_memsz"])
        for segment in file.iter_segments()
        if segment["p_type"] == "PT_LOAD" and segment["p_memsz"]
    )
    sections = [s for s in file.iter_sections() if s["sh_flags"] & _ALLOC and s["sh_size"]]
    symbols = _symbols(file)
    functions = {(symbol.address, symbol.size, name) for name, symbol in symbols if symbol.kind == "function"}
    return Program(
        isa,
        segments,
        # Of equal names the last one stays.
        dict(reversed(symbols)),
        tuple(symbols),
        tuple(sorted(functions)),
        tuple((s["sh_addr"], s.data()) for s in sections if s["sh_flags"] & _EXECUTE),
        Sizes(
            flash_bytes=sum(len(segment.data) for segment in segments),
            code_bytes=sum(s["sh_size"] for s in sections if s["sh_flags"] & _EXECUTE),
            constant_bytes=sum(s["sh_size"] for s in sections if not s["sh_flags"] & (_EXECUTE | _WRITE)),
            ram_bytes=sum(
                s["sh_size"] for s in sections if s["sh_flags"] & _WRITE and not s.name.startswith(_RESERVED)
            ),
            sections={s.name: s["sh_size"] for s in sections},
        ),
    )


def _symbols(file: Any) -> list[tuple[str, Symbol]]:
    """Names and symbols, global ones first."""
    table = file.get_section_by_name(".symtab")
    if table is None:
        return []
    kinds = {"STT_FUNC": "function", "STT_OBJECT": "object", "STT_NOTYPE": "label"}
    first: list[tuple[str, Symbol]] = []
    others: list[tuple[str, Symbol]] = []
    source = ""
    for entry in table.iter_symbols():
        # Local symbols follow the name of the file that they are from.
        if entry["st_info"]["type"] == "STT_FILE":
            source = PurePath(entry.name).name
            continue
        local = entry["st_info"]["bind"] == "STB_LOCAL"
        kind = kinds.get(entry["st_info"]["type"])
        # "$t", "$d" and the like mark what is code and what is data; they name nothing.
        if kind is None or not entry.name or entry.name.startswith("$") or entry["st_shndx"] == "SHN_UNDEF":
            continue
        address = entry["st_value"] & ~1 if kind == "function" else entry["st_value"]
        symbol = Symbol(address, entry["st_size"], kind, source if local else "")
        (others if local else first).append((entry.name, symbol))
    return first + others

"""Linking firmware: the memory of a chip, the linker script made for it, start-up code, and what does not fit."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hannah_hw.cores import Core
from hannah_hw.errors import EvaluationError, InputError, RunError
from hannah_hw.firmware.naming import comment
from hannah_hw.firmware.objects import compile_objects
from hannah_hw.firmware.toolchain import Compiler, CompilerError

TEMPLATES: Final = Path(__file__).parent / "templates"

#: Bytes of stack where nothing else is said; the deepest call of our kernels needs less than half of it.
DEFAULT_STACK_BYTES: Final = 2048

#: ``region 'RAM' overflowed by 12 bytes`` of GNU ld, ``will not fit in region 'RAM': overflowed by 12 bytes`` of LLD.
_OVERFLOW: Final = re.compile(r"region [`'\"]?(\w+)['\"]?:? overflowed by (\d+) bytes")


@dataclass(frozen=True)
class MemoryMap:
    """Where a chip's memories are.

    Attributes:
        flash_origin: First address of the program memory.
        flash_bytes: Its size.
        ram_origin: First address of the data memory.
        ram_bytes: Its size.
        placed: Whether the origins are the chip's, and not just usual ones.
    """

    flash_origin: int
    flash_bytes: int
    ram_origin: int
    ram_bytes: int
    placed: bool = True


#: The memories of emulated cores: larger than those of any chip, so that whatever is to be measured fits.
_EMULATED: Final[Mapping[str, MemoryMap]] = {
    "arm": MemoryMap(0x0000_0000, 8 << 20, 0x2000_0000, 8 << 20),
    "riscv32": MemoryMap(0x0001_0000, 8 << 20, 0x8000_0000, 8 << 20),
}


def emulated_memory(core: Core) -> MemoryMap:
    """The memories of an emulated core."""
    return _EMULATED[core.isa]


def fill(template: str, values: Mapping[str, object]) -> str:
    """A file of `TEMPLATES` with every ``@NAME@`` replaced.

    Raises:
        KeyError: The template has a name without a value.
    """
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    return re.sub(r"@([A-Z][A-Z0-9_]*)@", lambda match: str(values[match[1]]), text)


def linker_script(memory: MemoryMap, stack_bytes: int, title: str) -> str:
    """A linker script for GNU ld and LLD.

    Args:
        memory: The chip's memories.
        stack_bytes: What the stack may grow to.
        title: The first line, a comment.

    Raises:
        InputError: A stack of no or negative size.
    """
    if stack_bytes < 1:
        raise InputError(f"a stack of {stack_bytes} bytes; give a positive size")
    values = {
        "TITLE": comment(title),
        "FLASH_ORIGIN": f"0x{memory.flash_origin:08x}",
        "FLASH_BYTES": memory.flash_bytes,
        "RAM_ORIGIN": f"0x{memory.ram_origin:08x}",
        "RAM_BYTES": memory.ram_bytes,
        "STACK_BYTES": stack_bytes,
    }
    return fill("link.ld", values)


def start_sources(core: Core) -> tuple[Path, ...]:
    """What bare-metal firmware needs beside its own sources: reset handler, and the functions compilers call."""
    return TEMPLATES / f"start_{core.isa}.c", TEMPLATES / "runtime_functions.c"


def start_objects(compiler: Compiler) -> list[Path]:
    """`start_sources`, compiled.

    Raises:
        InputError: The compiler is one for the host, which needs no start-up code.
        CompilerError: They do not compile.
    """
    if compiler.core is None:
        raise InputError("a program for this machine needs no start-up code")
    return compile_objects(compiler, start_sources(compiler.core))


def link(
    compiler: Compiler,
    objects: Sequence[Path],
    output: Path,
    *,
    memory: MemoryMap | None = None,
    stack_bytes: int = DEFAULT_STACK_BYTES,
    title: str = "firmware",
    flags: Sequence[str] = (),
) -> Path:
    """Link firmware for the compiler's core; start-up objects have to be among the objects.

    Args:
        compiler: The compiler.
        objects: Objects; functions and data that nothing refers to are left out.
        output: The ELF, written whole or not at all.
        memory: The chip's memories; by default those of the emulated core.
        stack_bytes: What the stack may grow to; it counts as used RAM.
        title: What is linked, for messages.
        flags: More flags of the linker, before the objects.

    Returns:
        `output`.

    Raises:
        EvaluationError: It does not fit into flash or RAM; says by how many bytes. Its kind is ``memory``.
        CompilerError: The linker failed for another reason.
        RunError: The file cannot be written.
    """
    if compiler.core is None:
        raise InputError("firmware is linked for a core; link_host links for this machine")
    memory = memory if memory is not None else emulated_memory(compiler.core)
    try:
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".linking-") as folder:
            script, elf = Path(folder, "link.ld"), Path(folder, "firmware.elf")
            script.write_text(linker_script(memory, stack_bytes, title), encoding="utf-8")
            _link(compiler, [*flags, f"-Wl,-T,{script}"], objects, elf, title)
            elf.replace(output)
    except CompilerError as error:
        _explain(error, memory, title)
        raise
    except OSError as error:
        raise RunError(f"cannot write {output}: {error}") from error
    return output


def link_host(compiler: Compiler, objects: Sequence[Path], output: Path) -> Path:
    """Link a shared library for this machine, to be called from Python.

    Args:
        compiler: One for the host.
        objects: Objects, compiled with ``-fPIC``.
        output: The library, written whole or not at all.

    Raises:
        CompilerError: The linker failed.
        RunError: The file cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".linking-") as folder:
            library = Path(folder, output.name)
            _link(compiler, ["-shared"], objects, library, output.name)
            library.replace(output)
    except OSError as error:
        raise RunError(f"cannot write {output}: {error}") from error
    return output


def _link(
    compiler: Compiler, flags: Sequence[str], objects: Sequence[Path], output: Path, title: str
) -> None:
    """Link, with zig's own run-time library only if something is missing without."""
    settings = compiler.settings
    rest = [*flags, *map(str, objects), *settings.libraries, "-o", str(output)]
    try:
        compiler.run([*settings.link_flags, *rest], f"link {title}")
    except CompilerError as error:
        if compiler.name != "zig" or "undefined symbol" not in error.output:
            raise
        own = [flag for flag in settings.link_flags if flag != "-nostdlib"]
        compiler.run([*own, *rest], f"link {title}")


def _explain(error: CompilerError, memory: MemoryMap, title: str) -> None:
    """Replace the error by one in bytes where memories overflowed."""
    over: dict[str, int] = {}
    for region, count in _OVERFLOW.findall(error.output):
        over[region] = max(over.get(region, 0), int(count))
    sizes = {"FLASH": ("flash", memory.flash_bytes), "RAM": ("RAM", memory.ram_bytes)}
    parts = [
        f"{size + over[region]:,} bytes of {name}, and there are {size:,}"
        for region, (name, size) in sizes.items()
        if region in over
    ]
    if parts:
        raise EvaluationError(
            f"{title} needs {'; '.join(parts)}: take a network with fewer weights (flash) or smaller activations "
            "(RAM), or a chip with more",
            kind="memory",
        ) from error

"""Small programs for emulated cores, compiled with zig as a pip package."""

import subprocess
import sys
from pathlib import Path

import pytest

from hannah_hw.cores import CORES
from hannah_hw.emulation import memory_map

pytest.importorskip("ziglang")
pytest.importorskip("unicorn")

_SCRIPT = """
MEMORY {{ FLASH (rx) : ORIGIN = {flash:#x}, LENGTH = 8M  RAM (rwx) : ORIGIN = {ram:#x}, LENGTH = 8M }}
SECTIONS {{
  .text : {{ KEEP(*(.text*)) }} > FLASH
  .rodata : {{ KEEP(*(.rodata*)) *(.srodata*) }} > FLASH
  .data : {{ KEEP(*(.data*)) KEEP(*(.sdata*)) }} > RAM AT > FLASH
  .bss (NOLOAD) : {{ KEEP(*(.bss*)) KEEP(*(.sbss*)) *(COMMON) }} > RAM
  .stack (NOLOAD) : {{ . += 256; }} > RAM
  /DISCARD/ : {{ *(.ARM.ex*) *(.comment) *(.eh_frame*) }}
}}
"""
#: What lets a line of assembly run on every core of an ISA.
PREAMBLE = {"arm": ".syntax unified\n.thumb\n", "riscv32": ""}


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """``build(core name, source, suffix=".c") -> path`` of the linked program; ``.s`` is assembly."""
    folder = tmp_path_factory.mktemp("programs")
    built: dict[tuple[str, ...], Path] = {}

    def link(core_name: str, source: str, suffix: str = ".c", *flags: str) -> Path:
        key = (core_name, source, suffix, *flags)
        if key not in built:
            core = CORES[core_name]
            memory = memory_map(core)
            name = folder / f"{len(built)}{suffix}"
            name.write_text(PREAMBLE[core.isa] + source if suffix == ".s" else source)
            script = name.with_suffix(".ld")
            script.write_text(_SCRIPT.format(flash=memory.flash.start, ram=memory.ram.start))
            target, cpu = core.zig
            elf = name.with_suffix(".elf")
            options = ["-O2", "-fno-unwind-tables", "-nostdlib", "-fno-sanitize=all", "-Wl,--no-gc-sections"]
            command = [
                sys.executable,
                "-m",
                "ziglang",
                "cc",
                "-target",
                target,
                f"-mcpu={cpu}",
                *options,
                *flags,
            ]
            subprocess.run([*command, f"-Wl,-T,{script}", "-o", elf, name], check=True, timeout=120)
            built[key] = elf
        return built[key]

    return link


def function(name: str, body: str) -> str:
    """A function in Thumb or RISC-V assembly."""
    return f".balign 4\n.global {name}\n.type {name}, %function\n{name}:\n{body}\n.size {name}, . - {name}\n"


@pytest.fixture(scope="session")
def assemble(build):
    """``assemble(core name, name=body, ...) -> path`` of a program of functions in assembly."""

    def link(core_name: str, **functions: str) -> Path:
        return build(core_name, "\n".join(function(*item) for item in functions.items()), ".s")

    return link

"""Sizes and symbols of ELF files against what the sources say, and files that are none."""

import subprocess
import sys

import pytest

from hannah_hw.cores import CORES
from hannah_hw.emulation import Emulator, elf_sizes, memory_map
from hannah_hw.emulation.elf import read_elf
from hannah_hw.errors import InputError

PROGRAM = """
const unsigned char constants[400] = {1};
unsigned initialised[25] = {1};
unsigned char zeros[1000];
int answer(void) { return 42; }
"""


@pytest.mark.parametrize("core", ["m0p", "m4", "rv32imc"])
def test_sizes_are_those_of_the_source(build, core):
    sizes = elf_sizes(build(core, PROGRAM))
    assert sizes.constant_bytes == 400
    assert sizes.ram_bytes == 100 + 1000  # the stack of the linker script is none of it
    assert sizes.flash_bytes == sizes.code_bytes + 400 + 100
    assert 4 <= sizes.code_bytes <= 32
    assert sizes.sections[".bss"] == 1000


def test_symbols(build):
    program = read_elf(build("m4", PROGRAM).read_bytes())
    memory = memory_map(CORES["m4"])
    answer, zeros = program.symbols["answer"], program.symbols["zeros"]
    assert (answer.kind, answer.address) == ("function", memory.flash.start)
    assert (zeros.kind, zeros.size) == ("object", 1000)
    assert memory.ram.holds(zeros.address, zeros.size)
    assert not any(name.startswith("$") for name in program.symbols)


def test_local_functions_may_have_one_name(build):
    # As static functions of two sources have; a third, global one of the same name is the symbol.
    functions = "".join(
        f".type {name}, %function\n{name}: bx lr\n.size {name}, . - {name}\n"
        for name in ("one", "two", "six")
    )
    content = bytearray(build("m4", f".global two\n{functions}", ".s").read_bytes())
    for name in (b"\0one\0", b"\0two\0", b"\0six\0"):
        assert content.count(name) == 1
        content = content.replace(name, b"\0one\0")
    program = read_elf(bytes(content))
    assert [name for _, _, name in program.functions] == ["one"] * 3
    assert [address for address, _, _ in program.functions] == [0, 2, 4]
    assert program.symbols["one"].address == 2
    assert sorted(symbol.address for name, symbol in program.every if name == "one") == [0, 2, 4]
    counts = Emulator(bytes(content), CORES["m4"]).call("one")
    assert counts.by_function["one"].instructions == counts.instructions == 1


def test_a_chip_that_is_too_small(build):
    sizes = elf_sizes(build("m4", PROGRAM))
    sizes.check(sizes.flash_bytes, sizes.ram_bytes, where="chip")
    with pytest.raises(InputError, match=rf"chip: .*{sizes.flash_bytes} bytes of flash, 1 more than"):
        sizes.check(sizes.flash_bytes - 1, sizes.ram_bytes, where="chip")
    with pytest.raises(InputError, match=r"1100 bytes of RAM, 76 more than the 1024"):
        sizes.check(sizes.flash_bytes, 1024, where="chip")


def test_files_that_are_no_firmware(build, tmp_path):
    nothing = tmp_path / "model.onnx"
    with pytest.raises(InputError, match=r"model\.onnx: cannot be read: No such file"):
        elf_sizes(nothing)
    nothing.write_bytes(b"")
    with pytest.raises(InputError, match=r"model\.onnx: not an ELF file"):
        elf_sizes(nothing)
    nothing.write_bytes(b"\x7fELF" + bytes(8))
    with pytest.raises(InputError, match="not an ELF file"):
        elf_sizes(nothing)
    content = build("m4", PROGRAM).read_bytes()
    with pytest.raises(InputError, match="not an ELF file"):
        elf_sizes(content[:40])
    other = bytearray(content)
    other[18] = 62  # x86-64
    with pytest.raises(InputError, match="32-bit Arm"):
        elf_sizes(bytes(other))
    source, module = tmp_path / "a.c", tmp_path / "a.o"
    source.write_text(PROGRAM)
    target, cpu = CORES["m4"].zig
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-target",
        target,
        f"-mcpu={cpu}",
        "-c",
        source,
        "-o",
        module,
    ]
    subprocess.run(command, check=True, timeout=60)
    with pytest.raises(InputError, match="link it first"):
        elf_sizes(module)

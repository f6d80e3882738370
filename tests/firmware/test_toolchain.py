"""Compilers, kept objects and linking: what is asserted of flags, caches and memories, by building small programs."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from hannah_hw.cores import CORES, core_named
from hannah_hw.emulation import Emulator
from hannah_hw.emulation.qemu import QEMU, QemuEmulator
from hannah_hw.errors import EvaluationError, InputError, MeasurementError, MissingToolError, RunError
from hannah_hw.firmware import toolchain
from hannah_hw.firmware.linking import MemoryMap, link, linker_script, start_objects
from hannah_hw.firmware.objects import compile_object, compile_objects, included, objects_cache
from hannah_hw.firmware.toolchain import CompilerError, find

M4 = core_named("m4")
PROGRAM = """
#include <stdint.h>
int32_t counter = 41;
int32_t zeros[100];
const uint8_t table[1000] = {1};
int main(void) { counter += zeros[99] + table[0]; return counter; }
"""
COMPILERS = [(core.name, name) for core in CORES.values() for name in toolchain.COMPILERS]
EMULATED = [(core, name) for core, name in COMPILERS if CORES[core].unicorn is not None]


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(shared_cache, monkeypatch):
    monkeypatch.setenv("HANNAH_HW_CACHE", str(shared_cache))
    return shared_cache


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def compiler_for(core: str, name: str):
    try:
        return find(core_named(core), name)
    except MissingToolError:
        pytest.skip(f"there is no {name} for {core}")


@pytest.mark.parametrize(("core", "name"), EMULATED)
def test_every_compiler_makes_firmware_that_starts(core, name, tmp_path):
    """Reset handler: .data is copied, .bss zeroed, main called; seen from outside of the program."""
    compiler = compiler_for(core, name)
    source = write(tmp_path / "program.c", PROGRAM)
    objects = [compile_object(compiler, source), *start_objects(compiler)]
    elf = link(compiler, objects, tmp_path / "program.elf")
    emulator = Emulator(elf, core_named(core))
    # The emulator has initialised data in its place already; spoilt, only start-up code can bring it back.
    emulator.write("counter", b"\xff\xff\xff\xff")
    emulator.write("zeros", b"\xff" * 400)
    with pytest.raises(MeasurementError):
        emulator.call("hn_reset", limit=20_000)  # it never returns
    assert int.from_bytes(emulator.read("counter", 4), "little") == 42
    assert emulator.read("zeros", 400) == bytes(400)


@pytest.mark.parametrize(("core", "name"), COMPILERS)
def test_runtime_functions_compute_what_the_standard_says(core, name, tmp_path):
    """memcpy, memmove, memset, memcmp, and division and long arithmetic where the core has none."""
    compiler = compiler_for(core, name)
    source = write(tmp_path / "calls.c", CALLS)
    elf = link(
        compiler,
        [compile_object(compiler, source), *start_objects(compiler)],
        tmp_path / "calls.elf",
    )
    if CORES[core].unicorn is None and shutil.which(QEMU) is None:
        pytest.skip(f"{QEMU} is not on PATH")
    emulator = (Emulator if CORES[core].unicorn else QemuEmulator)(elf, core_named(core))
    emulator.call("check")
    assert int.from_bytes(emulator.read("failed", 4), "little") == 0
    assert int.from_bytes(emulator.read("checked", 4), "little") == 8 * 8 * 40 * 3 + 13 * 13


CALLS = """
#include <stddef.h>
#include <stdint.h>
void *memcpy(void *restrict, const void *restrict, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);
void check(void);
int main(void) { check(); return 0; }
volatile int32_t failed, checked;
static uint8_t source[64], target[64], wanted[64];
static const int32_t numbers[13] = {0, 1, -1, 2, -2, 3, 7, -7, 1000, 65536, -65537, 2147483647, -2147483647 - 1};

static void reset(void) {
  for (int i = 0; i < 64; i++) {
    source[i] = (uint8_t)(i * 37 + 11);
    target[i] = wanted[i] = (uint8_t)(200 - i);
  }
}
static void compare(void) {
  checked++;
  for (int i = 0; i < 64; i++) failed += target[i] != wanted[i];
}
static int64_t slow_product(int32_t a, int32_t b) { /* by adding: no multiplication of long numbers */
  uint64_t sum = 0, part = (uint64_t)(int64_t)a;
  for (uint32_t bits = (uint32_t)b, i = 0; i < 32; i++, bits >>= 1, part += part)
    if (bits & 1) sum = i == 31 ? sum - part : sum + part;
  return (int64_t)sum;
}
void check(void) {
  for (int to = 0; to < 8; to++)
    for (int from = 0; from < 8; from++)
      for (size_t size = 0; size < 40; size++) {
        reset();
        for (size_t i = 0; i < size; i++) wanted[to + i] = source[from + i];
        memcpy(target + to, source + from, size);
        compare();
        failed += size && memcmp(target + to, source + from, size) != 0;
        reset();
        for (size_t i = 0; i < 64; i++) wanted[i] = source[i];
        for (size_t i = 0; i < size; i++) wanted[to + i] = source[from + i];
        for (size_t i = 0; i < 64; i++) target[i] = source[i];
        memmove(target + to, target + from, size);
        compare();
        reset();
        for (size_t i = 0; i < size; i++) wanted[to + i] = (uint8_t)(0x180 + from);
        memset(target + to, 0x180 + from, size);
        compare();
      }
  for (int i = 0; i < 13; i++)
    for (int j = 0; j < 13; j++) {
      volatile int32_t a = numbers[i], b = numbers[j];
      checked++;
      if (b != 0 && !(b == -1 && a == -2147483647 - 1)) {
        int32_t quotient = a / b, rest = a % b;
        failed += slow_product(quotient, b) + rest != a || (rest != 0 && (rest < 0) != (a < 0));
        failed += (rest < 0 ? -(int64_t)rest : rest) >= (b < 0 ? -(int64_t)b : b);
        uint32_t whole = (uint32_t)a / (uint32_t)b, left = (uint32_t)a % (uint32_t)b;
        failed += left >= (uint32_t)b || whole * (uint32_t)b + left != (uint32_t)a;
      }
      failed += (int64_t)a * b != slow_product(a, b);
      volatile int64_t value = (int64_t)a * 65537 + b;
      volatile int count = (i * 5 + j) & 63;
      int64_t right = value;
      uint64_t logical = (uint64_t)value, left = (uint64_t)value;
      for (int n = 0; n < count; n++) right >>= 1, logical >>= 1, left <<= 1;
      failed += (value >> count) != right || ((uint64_t)value << count) != left;
      failed += ((uint64_t)value >> count) != logical;
    }
}
"""


def test_a_compiler_that_lacks_a_feature_is_named(tmp_path):
    """zig's plain cortex_m33 has no DSP: the trap that the assertion is for."""
    lacking = replace(core_named("m33"), zig=("thumb-freestanding-eabihf", "cortex_m33"))
    source = write(tmp_path / "program.c", PROGRAM)
    with pytest.raises(CompilerError, match=r"Cortex-M33 does not have the features.*__ARM_FEATURE_DSP == 1"):
        compile_object(find(lacking, "zig"), source)


def test_a_feature_too_many_is_named(tmp_path):
    soft = replace(core_named("m3"), zig=M4.zig)
    source = write(tmp_path / "program.c", PROGRAM)
    with pytest.raises(CompilerError, match="__ARM_FEATURE_DSP undefined"):
        compile_object(find(soft, "zig"), source)


def test_errors_in_a_source_are_shown_in_its_first_lines(tmp_path):
    source = write(tmp_path / "wrong.c", "int f(void) { return missing; }\n")
    with pytest.raises(CompilerError, match=r"(?s)could not compile wrong\.c:.*missing") as raised:
        compile_object(find(M4), source)
    assert len(str(raised.value).splitlines()) < 12


def test_a_missing_compiler_says_what_to_install(monkeypatch):
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        MissingToolError, match=r"Cortex-M4; install pip install 'hannah-hw\[emulate\]'.*gcc-arm-none-eabi"
    ):
        find(M4)
    with pytest.raises(
        MissingToolError, match=r"gcc for RV32IMC; install the package gcc-riscv64-unknown-elf"
    ) as raised:
        find(core_named("rv32imc"), "gcc")
    assert "pip" not in str(raised.value)
    assert toolchain.available(M4) == ()


def test_unknown_compilers_are_refused():
    with pytest.raises(InputError, match="unknown compiler 'clang'; allowed: zig, gcc"):
        find(M4, "clang")


def test_a_compiler_that_hangs_is_given_up(tmp_path, monkeypatch):
    slow = write(tmp_path / "slow", "#!/bin/sh\nsleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(toolchain, "TIMEOUT_S", 0.2)
    compiler = replace(find(M4), command=(str(slow),))
    with pytest.raises(RunError, match=r"to compile program\.c, and gave up"):
        compile_object(compiler, write(tmp_path / "program.c", PROGRAM))


def test_objects_are_kept_and_never_stale(tmp_path, cache):
    compiler = find(M4)
    header = write(tmp_path / "size.h", "#define SIZE 1\n")
    source = write(tmp_path / "a.c", '#include "size.h"\nint a[SIZE];\n')
    first = compile_object(compiler, source)
    made = first.stat().st_mtime_ns
    assert compile_object(compiler, source) == first
    assert first.stat().st_mtime_ns == made
    others = {
        compile_object(compiler, source, defines={"X": 1}),
        compile_object(compiler, source, flags=["-O1"]),
        compile_object(replace(compiler, version="another"), source),
        compile_object(find(core_named("m3")), source),
    }
    header.write_text("#define SIZE 2\n", encoding="utf-8")
    others.add(compile_object(compiler, source))
    assert len(others) == 5
    assert first not in others
    header.unlink()
    with pytest.raises(CompilerError, match=r"size\.h"):
        compile_object(compiler, source)
    header.write_text("#define SIZE 1\n", encoding="utf-8")
    assert compile_object(compiler, source) == first
    assert not list(cache.rglob(".compiling*"))


def test_objects_of_one_network_stay_out_of_the_cache(tmp_path, cache):
    before = set(cache.rglob("*.o"))
    source = write(tmp_path / "weights.c", "const int weights[3] = {1, 2, 3};\n")
    (made,) = compile_objects(find(M4), [source], folder=tmp_path)
    assert made.parent == tmp_path
    assert set(cache.rglob("*.o")) == before


def test_headers_are_found_through_headers_and_folders(tmp_path):
    folder = tmp_path / "include"
    folder.mkdir()
    inner = write(folder / "inner.h", "")
    outer = write(
        tmp_path / "outer.h", '#if 0\n  # include "inner.h"\n#endif\n#include "outer.h"\n#include <x.h>\n'
    )
    source = write(tmp_path / "a.c", '#include "outer.h"\n')
    assert included(source, [folder]) == [source, outer, inner]


def test_processes_share_a_cache(tmp_path):
    """Many writers of the same objects at once: all get whole objects."""
    compiler = find(M4)
    sources = [write(tmp_path / f"s{n}.c", f"int s{n}(void) {{ return {n}; }}\n") for n in range(3)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _n: compile_objects(compiler, sources), range(4)))
    assert all(result == results[0] for result in results)
    assert all(path.read_bytes()[:4] == b"\x7fELF" for path in results[0])


def test_a_cache_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HANNAH_HW_CACHE", str(write(tmp_path / "file", "") / "cache"))
    with pytest.raises(RunError, match="HANNAH_HW_CACHE"):
        objects_cache()


@pytest.mark.parametrize("name", toolchain.COMPILERS)
def test_firmware_that_does_not_fit_says_by_how_much(name, tmp_path):
    """Sizes against those of the same firmware linked where it fits."""
    compiler = compiler_for("m4", name)
    objects = [compile_object(compiler, write(tmp_path / "program.c", PROGRAM)), *start_objects(compiler)]
    elf = link(compiler, objects, tmp_path / "fits.elf", stack_bytes=1024)
    sizes = Emulator(elf, M4).sizes
    small = MemoryMap(0, 128, 0x2000_0000, 300)
    with pytest.raises(EvaluationError) as raised:
        link(compiler, objects, tmp_path / "small.elf", memory=small, stack_bytes=1024, title="the tiny one")
    assert raised.value.kind == "memory"
    assert str(raised.value).startswith(
        f"the tiny one needs {sizes.flash_bytes:,} bytes of flash, and there are 128; "
    )
    needed = int(str(raised.value).split("; ")[1].split()[0].replace(",", ""))
    assert 0 <= needed - sizes.ram_bytes - 1024 < 32
    assert not (tmp_path / "small.elf").exists()


def test_undefined_functions_are_shown(tmp_path):
    source = write(tmp_path / "program.c", "void missing(void);\nint main(void) { missing(); return 0; }\n")
    compiler = find(M4, "gcc") if any(c.name == "gcc" for c in toolchain.available(M4)) else find(M4)
    with pytest.raises(CompilerError, match="missing"):
        link(compiler, [compile_object(compiler, source), *start_objects(compiler)], tmp_path / "x.elf")


def test_linker_scripts_keep_what_is_given():
    script = linker_script(MemoryMap(0x0800_0000, 2 << 20, 0x2000_0000, 640 << 10), 4096, "a */ b")
    assert "ORIGIN = 0x08000000, LENGTH = 2097152" in script
    assert "ORIGIN = 0x20000000, LENGTH = 655360" in script
    assert ". += 4096;" in script
    assert script.splitlines()[0].count("*/") == 1
    assert "@" not in script
    with pytest.raises(InputError, match="stack of 0 bytes"):
        linker_script(MemoryMap(0, 1, 0, 1), 0, "")


def test_flags_do_not_turn_loops_into_calls(tmp_path):
    """A loop that copies stays one: an object without undefined symbols."""
    source = write(
        tmp_path / "loop.c",
        "void copy(signed char *a, const signed char *b, int n) { for (int i = 0; i < n; i++) a[i] = b[i]; }\n"
        "void zero(signed char *a, int n) { for (int i = 0; i < n; i++) a[i] = 0; }\n",
    )
    for compiler in toolchain.available(M4):
        data = compile_object(compiler, source).read_bytes()
        assert b"memcpy" not in data
        assert b"memset" not in data
        assert b"memclr" not in data


def test_messages_are_not_translated(tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    source = write(tmp_path / "wrong.c", "int f(void) { return missing; }\n")
    with pytest.raises(CompilerError, match="undeclared"):
        compile_object(find(M4), source)

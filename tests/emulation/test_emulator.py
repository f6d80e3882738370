"""What firmware computes, what of it is counted, and how it fails."""

import sys

import numpy as np
import pytest

from hannah_hw.cores import CORES
from hannah_hw.emulation import Emulator, memory_map
from hannah_hw.emulation.hooks import HOOK_CODE, add_hook
from hannah_hw.emulation.machine import Machine
from hannah_hw.errors import InputError, MeasurementError, MissingExtraError
from tests.emulation.programs import PROGRAM, expected, i32

FLOAT = """
float scaled[1] = {1.5f};
void scale(int n) { for (int i = 0; i < n; i++) scaled[0] = scaled[0] * 2.0f + 0.25f; }
"""
BAD = """
#include <stdint.h>
int nowhere(void) { return *(volatile int *)0x50000000; }
void to_flash(volatile int *at) { *at = 1; }
void forever(void) { for (;;) __asm__ volatile(""); }
int word(volatile int *at) { return *at; }
int deep(int n) { volatile int here[64]; here[n & 63] = n; return n ? deep(n - 1) + here[n & 63] : 0; }
"""
CORE_NAMES = ("m0p", "m3", "m4", "m7", "m33", "rv32imc")


@pytest.fixture(params=CORE_NAMES)
def emulator(request, build):
    return Emulator(build(request.param, PROGRAM), CORES[request.param])


def test_results_and_counts_repeat(emulator, build):
    first, second = emulator.call("run", 9), emulator.call("run", 9)
    assert i32(first.returned) == expected(9)
    assert first == second
    assert Emulator(build(emulator.core.name, PROGRAM), emulator.core).call("run", 9) == first
    assert emulator.call("run", 18).instructions > 1.9 * first.instructions


def test_functions_share_what_there_is(emulator):
    counts = emulator.call("run", 9, flash_reads=True)
    assert set(counts.by_function) == {"run", "dot", "clamped"}
    for figure in ("instructions", "cycles", "taken_branches", "flash_reads"):
        assert sum(getattr(share, figure) for share in counts.by_function.values()) == getattr(counts, figure)
    assert sum(counts.by_kind.values()) == counts.instructions
    # A call of the two others and their return, and the loops' turns.
    assert counts.by_function["dot"].taken_branches >= 9


def test_blocks_count_what_a_hook_of_every_instruction_counts(emulator):
    counts = emulator.call("run", 9)
    machine = Machine(emulator._program, emulator.core, memory_map(emulator.core), emulator._code)
    add_hook(machine.engine, HOOK_CODE, "hannah_instruction", machine.counters)
    returned, _ = machine.call(emulator.symbols["run"].address, (9,), 10**7)
    assert returned == counts.returned
    known, executed = emulator._instructions, emulator._executed
    begins = known.length > 0
    # Unicorn does not call the hook of an instruction whose condition failed; there are such only behind IT.
    assert np.all(machine.starts[~begins] == 0)
    conditional = behind_it(emulator)
    assert np.array_equal(machine.starts[begins & ~conditional], executed[begins & ~conditional])
    assert np.all(machine.starts[conditional] <= executed[conditional])
    assert conditional.any() == (emulator.core.name in ("m3", "m4", "m7", "m33"))


def behind_it(emulator):
    """Where instructions are conditional, from the encoding: 0xBF, a condition and a mask whose lowest bit counts."""
    code = np.frombuffer(emulator._code[1], "<u2")
    length = emulator._instructions.length
    conditional = np.zeros(len(length), bool)
    for index in np.flatnonzero(length) if emulator.core.isa == "arm" else ():
        if code[index] >> 8 == 0xBF and code[index] & 15:
            at = index + 1
            for _ in range(4 - (int(code[index] & 15) & -int(code[index] & 15)).bit_length() + 1):
                conditional[at] = length[at] > 0
                at += length[at]
    return conditional


def test_arguments_memory_and_initialised_data(emulator):
    assert emulator.call("eight", *range(1, 9)).returned == sum(i * i for i in range(1, 9))
    assert emulator.call("eight", -1, 0, 0, 0, 0, 0, 0, 0).returned == 2**32 - 1
    assert emulator.call("first").returned == 11
    emulator.write("initialised", (99).to_bytes(4, "little"))
    assert emulator.call("first").returned == 99
    assert emulator.read("initialised") == np.array([99, 12, 13, 14], "<i4").tobytes()
    assert emulator.read(emulator.symbols["initialised"].address + 4, 4) == b"\x0c\0\0\0"
    assert len(emulator.read("buffer")) == 256


@pytest.mark.parametrize("core", ["m4", "m7", "m33"])
def test_floating_point(build, core):
    emulator = Emulator(build(core, FLOAT), CORES[core])
    emulator.call("scale", 3)
    assert np.frombuffer(emulator.read("scaled"), "<f4")[0] == ((1.5 * 2 + 0.25) * 2 + 0.25) * 2 + 0.25


def test_a_core_without_fpu_refuses_its_instructions(build):
    emulator = Emulator(build("m4", FLOAT), CORES["m3"])
    with pytest.raises(MeasurementError, match="in scale"):
        emulator.call("scale", 3)


@pytest.mark.parametrize("core", CORE_NAMES)
def test_faults_name_function_and_address(build, core):
    emulator = Emulator(build(core, BAD), CORES[core])
    memory = memory_map(CORES[core])
    for name, arguments, words in (
        ("nowhere", (), ("READ_UNMAPPED", "nowhere+", "4 bytes at 0x50000000")),
        (
            "to_flash",
            (memory.flash.start + 64,),
            ("WRITE_PROT", "to_flash+", f"at {memory.flash.start + 64:#x}"),
        ),
    ):
        with pytest.raises(MeasurementError) as caught:
            emulator.call(name, *arguments)
        assert caught.value.kind == "fault"
        for word in words:
            assert word in str(caught.value)
    with pytest.raises(
        MeasurementError, match=r"did not return within 1000 instructions, in forever\+"
    ) as caught:
        emulator.call("forever", limit=1000)
    assert caught.value.kind == "timeout"
    # What comes after a failure is as if it had not been.
    assert emulator.call("word", memory.flash.start).instructions == Emulator(
        build(core, BAD), CORES[core]
    ).call("word", memory.flash.start).instructions  # fmt: skip


def test_the_limit_lets_everything_below_it_through(build):
    emulator = Emulator(build("m4", PROGRAM), CORES["m4"])
    needed = emulator.call("run", 9).instructions
    assert emulator.call("run", 9, limit=needed).instructions == needed
    with pytest.raises(MeasurementError, match="did not return"):
        emulator.call("run", 9, limit=needed // 3)


def test_unaligned_words(build):
    at = memory_map(CORES["m0p"]).ram.start + 1
    with pytest.raises(MeasurementError, match=r"in word\+"):
        Emulator(build("m0p", BAD), CORES["m0p"]).call("word", at)
    assert Emulator(build("m4", BAD), CORES["m4"]).call("word", at).returned == 0


@pytest.mark.parametrize("instruction", ["udf #0", "bkpt #0", "svc #0", "wfi", "bx r0", "ldr pc, [r1]"])
def test_what_does_not_return_is_a_fault(assemble, instruction):
    emulator = Emulator(assemble("m4", f=f"nop\n{instruction}\nbx lr"), CORES["m4"])
    with pytest.raises(MeasurementError) as caught:
        emulator.call("f", 0x3000_0001, memory_map(CORES["m4"]).ram.start, limit=10_000)
    assert caught.value.kind == "fault"


def test_the_stack(build, assemble):
    emulator = Emulator(build("m4", BAD), CORES["m4"])
    little, much = emulator.call("deep", 1).stack_bytes, emulator.call("deep", 11).stack_bytes
    assert (much - little) % 10 == 0
    assert (much - little) // 10 >= 256
    assert emulator.stack_high_water == much
    with pytest.raises(MeasurementError, match="stack grew beyond 65536 bytes"):
        emulator.call("deep", 300)
    # A function that stores one word below its stack pointer.
    pushes = Emulator(assemble("m4", f="push {r4, lr}\npush {r0-r3}\nadd sp, #16\npop {r4, pc}"), CORES["m4"])
    assert pushes.call("f", 1, 2, 3, 4).stack_bytes == 24


def test_names_and_addresses_that_are_not_there(build):
    emulator = Emulator(build("m4", PROGRAM), CORES["m4"])
    with pytest.raises(InputError, match="no symbol 'rum'"):
        emulator.call("rum")
    with pytest.raises(InputError, match="neither in flash nor in RAM"):
        emulator.read(0x5000_0000, 4)
    with pytest.raises(InputError, match="would change code"):
        emulator.write(0, b"1234")
    with pytest.raises(InputError, match="cannot run on RV32IMC"):
        Emulator(build("m4", PROGRAM), CORES["rv32imc"])


def test_a_missing_package_names_the_extra(build, monkeypatch):
    elf = build("m4", PROGRAM)
    monkeypatch.setitem(sys.modules, "unicorn", None)
    with pytest.raises(MissingExtraError, match=r"hannah-hw\[emulate\]"):
        Emulator(elf, CORES["m4"])

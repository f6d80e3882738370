"""Loads from flash against counts by hand, and against programs whose every read is known."""

import pytest

from hannah_hw.cores import CORES
from hannah_hw.emulation import Emulator, memory_map
from hannah_hw.errors import MeasurementError

ARM = ("m0p", "m3", "m4", "m33")
RAM = memory_map(CORES["m4"]).ram.start
SUM = """
#include <stdint.h>
static const int32_t table[64] = {1, 2, 3};
int32_t copy[64];
int32_t sum(const int32_t *from, int n, int stride) {
  int32_t result = 0;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int i = 0; i < n; i++) { result += *from; from += stride; }
  return result;
}
int32_t of_flash(int n) { return sum(table, n, 1); }
int32_t of_ram(int n) { return sum(copy, n, 1); }
"""


def reads(core_name, elf, *call):
    emulator = Emulator(elf, CORES[core_name])
    without = emulator.call(*call)
    counts = Emulator(elf, CORES[core_name]).call(*call, flash_reads=True)
    assert without.flash_reads is None
    assert (counts.cycles, counts.returned) == (without.cycles, without.returned)
    return counts.flash_reads


@pytest.mark.parametrize("core", [*ARM, "rv32imc"])
def test_only_reads_from_flash_count(build, core):
    elf = build(core, SUM)
    literals = reads(core, elf, "of_ram", 37)  # the array's address may be one
    assert literals <= 1
    assert reads(core, elf, "of_flash", 37) == literals + 37
    assert reads(core, elf, "sum", memory_map(CORES[core]).flash.start, 10, 2) == 10


@pytest.mark.parametrize("core", ARM)
def test_every_load_of_a_loop_by_hand(assemble, core):
    # Each of r1 turns: a literal, a word and a byte of a table in flash, two words of RAM of which none counts,
    # and a list of three words from flash.
    body = """push {r4, r5, r6, lr}
1: ldr r2, =table
ldr r3, [r2, #4]
ldrb r4, [r2, r1]
ldr r3, [r0]
ldrh r3, [r0, #2]
ldm r2!, {r4, r5, r6}
subs r1, #1
bne 1b
pop {r4, r5, r6, pc}
.ltorg
.balign 4
table: .word 1, 2, 3, 4, 5, 6, 7, 8"""
    assert reads(core, assemble(core, f=body), "f", RAM, 9) == 9 * (1 + 1 + 1 + 3)


def test_addressing_modes_of_armv7m(assemble):
    # In the order of the code: 2 + 1 + 1 + 1 + 1 + 2 + 2 + 3 + 1 + 4 words from flash, none from RAM.
    body = """push {r4, r5, r6, r7}
adr r2, table
movs r1, #1
ldrd r3, r4, [r2], #8
ldr r3, [r2, #-8]!
ldr r3, [r2], #4
ldr r3, [r2, r1, lsl #2]
ldrsb r3, [r2, #-1]
ldrd r3, r4, [r0, #8]
ldrd r3, r4, [r2, #4]
ldmdb r2, {r3, r4}
add r3, r2, #12
ldmdb r3!, {r4, r5, r6}
ldr r4, [r0], #4
ldr r4, [r0, #-4]!
vldr s0, table
vldmia r2!, {s0-s3}
vldmia r0!, {s0-s3}
pop {r4, r5, r6, r7}
bx lr
.balign 4
table: .word 1, 2, 3, 4, 5, 6, 7, 8"""
    assert reads("m4", assemble("m4", f=body), "f", RAM) == 2 + 1 + 1 + 1 + 1 + 2 + 2 + 3 + 1 + 4


def test_a_table_of_branches_is_read_from_flash(assemble):
    body = "tbb [pc, r0]\n1: .byte (2f - 1b) / 2, (3f - 1b) / 2\n2: movs r0, #7\nbx lr\n3: movs r0, #9\nbx lr"
    emulator = Emulator(assemble("m4", f=body), CORES["m4"])
    for choice, result in ((0, 7), (1, 9)):
        counts = emulator.call("f", choice, flash_reads=True)
        assert (counts.returned, counts.flash_reads) == (result, 1)
        assert counts.taken_branches == 2


def test_a_load_whose_condition_fails_reads_nothing(assemble):
    body = "adr r2, 1f\ncmp r0, #0\nit eq\nldreq r0, [r2]\nbx lr\n.balign 4\n1: .word 5"
    emulator = Emulator(assemble("m4", f=body), CORES["m4"])
    assert emulator.call("f", 0, flash_reads=True).flash_reads == 1
    assert emulator.call("f", 1, flash_reads=True).flash_reads == 0
    assert emulator.call("f", 0, flash_reads=True).returned == 5


def test_memory_is_as_after_one_call(assemble):
    # A call that changes what the next one finds: it must not have run twice on the emulator's memory.
    body = "ldr r1, [r0]\nadds r1, #1\nstr r1, [r0]\nmov r0, r1\nbx lr"
    emulator = Emulator(assemble("m4", f=body), CORES["m4"])
    assert [emulator.call("f", RAM, flash_reads=counted).returned for counted in (True, False, True)] == [
        1,
        2,
        3,
    ]


def test_constants_written_into_flash_are_what_is_read(assemble):
    body = "ldr r0, [r0]\nbx lr"
    emulator = Emulator(assemble("m4", f=body), CORES["m4"])
    for value in (3, 4):
        emulator.write(0x1000, value.to_bytes(4, "little"))
        counts = emulator.call("f", 0x1000, flash_reads=True)
        assert (counts.returned, counts.flash_reads) == (value, 1)


@pytest.mark.parametrize(
    "instruction",
    [
        "ldrd r2, r3, [r0]",
        "ldm r0, {r1, r2}",
        "ldmdb r0, {r1, r2}",
        "strd r2, r3, [r0], #8",
        "stm r0!, {r1, r2}",
        "vldr s0, [r0, #4]",
        "vstr s0, [r0]",
        "vstmia r0!, {s0, s1}",
    ],
)
def test_accesses_that_a_chip_wants_aligned(assemble, instruction):
    # Armv7-M loads and stores single words anywhere, but not several at once; Unicorn does not mind.
    emulator = Emulator(assemble("m4", f=f"ldr r1, [r0]\n{instruction}\nbx lr"), CORES["m4"])
    emulator.call("f", RAM + 16, flash_reads=True)
    with pytest.raises(MeasurementError, match=r"a multiple of 4 and has none, in f\+0x2"):
        emulator.call("f", RAM + 18, flash_reads=True)

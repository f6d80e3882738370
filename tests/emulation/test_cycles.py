"""Instructions and cycles against what the documents' tables add up to by hand."""

import pytest

from hannah_hw.cores import CORES
from hannah_hw.emulation import Emulator

ARM = ("m0p", "m3", "m4", "m7", "m33")
SUM = "movs r1, #0\n1: adds r1, r1, r0\nsubs r0, #1\nbne 1b\nmov r0, r1\nbx lr"
MOVES = """push {r4, r5, r6, lr}
ldr r1, [r0]
ldr r2, [r0, #4]
str r1, [r0, #8]
ldr r3, [r0, #12]
adds r1, r1, r2
ldr r2, [r0]
ldm r0!, {r4, r5, r6}
pop {r4, r5, r6, pc}"""


@pytest.mark.parametrize("core", ARM)
def test_a_loop(assemble, core):
    counts = Emulator(assemble(core, f=SUM, g=MOVES), CORES[core]).call("f", 10)
    assert counts.returned == 55
    assert counts.instructions == 1 + 3 * 10 + 2
    assert counts.taken_branches == 9 + 1  # the return is one
    # M0+: a taken branch takes 2 cycles, else 1 + P with P = 2; everything else takes 1.
    assert counts.cycles == 33 + 10 * (1 if core == "m0p" else 2)
    assert counts.by_kind == {"alu": 22, "branch": 11}
    assert counts.stack_bytes == 0


@pytest.mark.parametrize("core", ARM)
def test_loads_and_stores(assemble, core):
    emulator = Emulator(assemble(core, f=SUM, g=MOVES), CORES[core])
    counts = emulator.call("g", 0x2000_0000)
    assert counts.instructions == 9
    if core == "m0p":
        assert counts.cycles == 5 + 2 + 2 + 2 + 2 + 1 + 2 + 4 + 5 + 1
    else:  # a load takes 1 behind another load or a store
        assert counts.cycles == 5 + 2 + 1 + 1 + 1 + 1 + 2 + 4 + 5 + 2
    assert counts.stack_bytes == emulator.stack_high_water == 16


def test_a_load_that_is_branched_to_is_not_pipelined(assemble):
    # Four turns: the load at 1 follows the load before it once, and comes from the branch three times.
    body = "ldr r2, [r0]\n1: ldr r3, [r0]\nsubs r1, #1\nbne 1b\nbx lr"
    counts = Emulator(assemble("m4", f=body), CORES["m4"]).call("f", 0x2000_0000, 4)
    assert counts.cycles == 2 + (1 + 3 * 2) + 4 + (4 + 3 * 2) + (1 + 2)


SINGLE = [
    ("m0p", "muls r0, r1, r0", 1),
    ("m3", "mul r0, r1, r2", 1),
    ("m3", "mla r0, r1, r2, r3", 2),
    ("m3", "mls r0, r1, r2, r3", 2),
    ("m3", "smull r0, r3, r1, r2", 5),
    ("m3", "umlal r0, r3, r1, r2", 7),
    ("m3", "udiv r0, r1, r2", 7),
    ("m4", "mla r0, r1, r2, r3", 1),
    ("m4", "smull r0, r3, r1, r2", 1),
    ("m4", "smlal r0, r3, r1, r2", 1),
    ("m4", "smlad r0, r1, r2, r3", 1),
    ("m4", "smmlar r0, r1, r2, r3", 1),
    ("m4", "smlabb r0, r1, r2, r3", 1),
    ("m4", "ssat r0, #8, r1", 1),
    ("m4", "sdiv r0, r1, r2", 7),
    ("m4", "ldrd r2, r3, [sp]", 3),
    ("m4", "strd r2, r3, [sp, #-8]", 3),
    ("m4", "stmdb sp, {r0-r3}", 5),
    ("m4", "ldmdb sp, {r0-r3}", 5),
    ("m4", "vldr s0, [sp]", 2),
    ("m4", "vldr d0, [sp]", 3),
    ("m4", "vstr s0, [sp, #-4]", 2),
    ("m4", "vldmdb r2!, {s0-s3}", 5),
    ("m4", "vadd.f32 s0, s1, s2", 1),
    ("m4", "vmla.f32 s0, s1, s2", 3),
    ("m4", "vfma.f32 s0, s1, s2", 3),
    ("m4", "vdiv.f32 s0, s1, s2", 14),
    ("m4", "vsqrt.f32 s0, s1", 14),
    ("m4", "nop", 1),
]


@pytest.mark.parametrize("row", range(len(SINGLE)), ids=[f"{row[0]}-{row[1]}" for row in SINGLE])
def test_single_instructions(assemble, row):
    core, _, cycles = SINGLE[row]
    # All of a core are one program, linked once. Loads read what is written below the stack pointer.
    bodies = {
        f"f{i}": f"push {{r2, r3}}\n{instruction}\nadd sp, #8\nbx lr"
        for i, (name, instruction, _) in enumerate(SINGLE)
        if name == core
    }
    counts = Emulator(assemble(core, **bodies), CORES[core]).call(f"f{row}", 1, 3, 0x2000_0100, 5)
    assert counts.instructions == 4
    assert counts.cycles == 3 + cycles + 1 + (1 + (1 if core == "m0p" else 2))


def test_calls_of_m0p(assemble):
    # BL takes 3 cycles, BLX 2, BX 2, a branch that is not taken 1: DDI0484C, table 3-1.
    body = "push {lr}\nbl leaf\nldr r1, =leaf\nblx r1\ncmp r1, #0\nbeq 1f\n1: pop {pc}"
    elf = assemble("m0p", f=body + "\n.ltorg", leaf="bx lr")
    counts = Emulator(elf, CORES["m0p"]).call("f")
    assert counts.cycles == 2 + 3 + 2 + 2 + 2 + 2 + 1 + 1 + (2 + 1)


def test_an_instruction_whose_condition_fails_takes_its_cycle(assemble):
    body = "cmp r0, #0\nite eq\nmoveq r0, #7\nmvnne r0, r0\nbx lr"
    emulator = Emulator(assemble("m4", f=body), CORES["m4"])
    for value, result in ((0, 7), (1, 0xFFFF_FFFE)):
        counts = emulator.call("f", value)
        assert (counts.returned, counts.instructions, counts.cycles) == (result, 5, 5 + 2)


def test_rv32imc(assemble):
    body = """li a1, 0
1: lw a2, 0(a3)
mul a4, a0, a0
divu a4, a4, a0
add a1, a1, a4
sw a2, 4(a3)
addi a0, a0, -1
bnez a0, 1b
mv a0, a1
ret"""
    counts = Emulator(assemble("rv32imc", f=body), CORES["rv32imc"]).call("f", 5, 0, 0, 0x8000_0000)
    assert counts.returned == 15
    assert counts.instructions == 1 + 5 * 7 + 2
    assert counts.taken_branches == 4 + 1
    assert counts.by_kind == {"alu": 12, "load": 5, "store": 5, "multiply": 5, "divide": 5, "branch": 6}
    assert counts.cycles == counts.instructions + 5 * 1 + 5 * 31 + 5 * 2

"""Unicorn and QEMU, two emulators, count the same on the same program and leave the same memory behind."""

import shutil

import pytest

from hannah_hw.cores import CORES
from hannah_hw.emulation import Emulator, memory_map
from hannah_hw.emulation.qemu import QEMU, QemuEmulator
from hannah_hw.errors import InputError, MeasurementError, MissingToolError
from tests.emulation.programs import PROGRAM, expected, i32

needs_qemu = pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"{QEMU} is not on PATH")


@needs_qemu
@pytest.mark.parametrize("core", ["m0p", "m3", "m4", "m7", "m33"])
def test_two_emulators_agree(build, core):
    elf = build(core, PROGRAM)
    unicorn, qemu = Emulator(elf, CORES[core]), QemuEmulator(elf, CORES[core])
    for rounds in (9, 2):
        first, second = unicorn.call("run", rounds), qemu.call("run", rounds)
        assert second.instructions == first.instructions
        assert second.by_function == {name: share.instructions for name, share in first.by_function.items()}
        assert (second.returned, second.stack_bytes) == (first.returned, first.stack_bytes)
        assert qemu.read("buffer") == unicorn.read("buffer")
    assert qemu.call("eight", *range(1, 9)).returned == sum(i * i for i in range(1, 9))


@needs_qemu
def test_memory_persists_and_can_be_written(build):
    qemu = QemuEmulator(build("m4", PROGRAM), CORES["m4"])
    assert qemu.call("first").returned == 11
    qemu.write("initialised", b"\x07\0\0\0")
    assert qemu.call("first").returned == 7
    assert qemu.read("initialised", 8) == b"\x07\0\0\0\x0c\0\0\0"


@needs_qemu
def test_helium(build):
    # The portable program, for which the compiler takes Helium: far fewer instructions and the same result.
    qemu = QemuEmulator(build("m55", PROGRAM), CORES["m55"])
    counts = qemu.call("run", 9)
    assert i32(counts.returned) == expected(9)
    assert qemu.call("run", 9) == counts
    scalar = QemuEmulator(build("m33", PROGRAM), CORES["m33"]).call("run", 9)
    assert scalar.returned == counts.returned
    assert counts.by_function["dot"] < scalar.by_function["dot"] / 3
    body = "vadd.i8 q0, q1, q2\nbx lr"
    with pytest.raises(InputError, match="Unicorn has no Cortex-M55"):
        Emulator(build("m55", PROGRAM), CORES["m55"])
    assembly = f".syntax unified\n.thumb\n.global f\n.type f, %function\nf: {body}\n.size f, . - f"
    assert QemuEmulator(build("m55", assembly, ".s"), CORES["m55"]).call("f").instructions == 2


@needs_qemu
def test_faults(build, assemble):
    bad = assemble("m4", nowhere="ldr r0, =0xf0000000\nldr r0, [r0]\nbx lr\n.ltorg", forever="b .")
    qemu = QemuEmulator(bad, CORES["m4"])
    with pytest.raises(MeasurementError, match="mps2-an386 stopped") as caught:
        qemu.call("nowhere")
    assert caught.value.kind == "fault"
    assert str(caught.value).count("\n") == 0
    with pytest.raises(MeasurementError, match=r"within 0\.5 s") as caught:
        qemu.call("forever", timeout_s=0.5)
    assert caught.value.kind == "timeout"
    with pytest.raises(InputError, match="no symbol"):
        qemu.call("somewhere")
    with pytest.raises(InputError, match="outside of the flash"):
        qemu.read(memory_map(CORES["m4"]).ram.start + (4 << 20), 1)


@needs_qemu
def test_programs_that_a_board_is_too_small_for(build):
    big = build("m55", "char zeros[600000]; int f(void) { return zeros[3]; }")
    with pytest.raises(InputError, match="needs 600256 bytes of RAM"):
        QemuEmulator(big, CORES["m55"])
    with pytest.raises(InputError, match="no board with RV32IMC"):
        QemuEmulator(big, CORES["rv32imc"])


def test_without_qemu(build, monkeypatch, tmp_path):
    elf = build("m4", PROGRAM)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="apt install qemu-system-arm"):
        QemuEmulator(elf, CORES["m4"])

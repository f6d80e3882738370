"""Generated projects are built by every compiler and build tool that is there, and measured."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from hannah_hw import load_target
from hannah_hw.cores import CORES, core_named
from hannah_hw.emulation import Emulator
from hannah_hw.emulation.elf import elf_sizes
from hannah_hw.errors import EvaluationError
from hannah_hw.firmware import reference, toolchain
from hannah_hw.firmware.building import build, write_sizes
from hannah_hw.firmware.project import generate
from tests.firmware.models import random_inputs

STRICT = ["-Werror", "-Wpedantic", "-Wno-overlength-strings", "-Wconversion"]
#: Most of the kernels on the cores that have kernels of their own, a few of them elsewhere.
RUN = {"m0p": ("plain", "temporal"), "m4": ("plain", "residual", "temporal"), "rv32imc": ("plain",)}


def core_of(place: str):
    return None if place == "host" else core_named(place)


@pytest.mark.parametrize("place", [name for name, core in CORES.items() if core.unicorn is not None])
def test_firmware_on_emulated_cores_computes_what_the_reference_says(place, networks, tmp_path):
    core = core_named(place)
    for name in RUN.get(place, ("pooled",)):
        network = networks(name)
        project = generate(network, core, folder=tmp_path / name)
        emulator = Emulator(build(project).elf, core)
        emulator.call(f"{project.prefix}_init")
        arena, offsets = emulator.symbols[project.arena_symbol].address, project.design.memory.offsets
        inputs = random_inputs(network, 7)
        for index, array in zip(network.inputs, inputs, strict=True):
            emulator.write(arena + offsets[index], array.tobytes())
        emulator.call(f"{project.prefix}_run")
        for index, wanted in zip(network.outputs, reference.run(network, inputs), strict=True):
            assert emulator.read(arena + offsets[index], wanted.size) == wanted.tobytes()
        assert emulator.stack_high_water <= project.stack_bytes
        assert 0 <= emulator.sizes.ram_bytes - project.design.memory.arena_bytes <= 16
        assert (
            emulator.sizes.constant_bytes >= project.design.constant_bytes + project.design.description_bytes
        )


@pytest.mark.parametrize(("place", "command"), [("m4", "make"), ("m0p", "make"), ("m33", "zig")])
def test_make_builds_firmware(place, command, networks, tmp_path):
    core = core_named(place)
    compiler = f"{core.gcc[0]}gcc" if command == "make" else "zig"
    if not shutil.which("make") or (command == "make" and not shutil.which(compiler)):
        pytest.skip(f"there is no make or no {compiler}")
    name = "plain" if place == "m4" else "pooled"
    project = generate(networks(name), core, folder=tmp_path, target=load_target("stm32l4r5zi"))
    zig = ["COMPILER=zig", f"CC={sys.executable} -m ziglang cc"] if command == "zig" else []
    made = subprocess.run(["make", *zig], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""
    own = elf_sizes(build(project, "zig" if command == "zig" else "gcc").elf)
    assert elf_sizes(tmp_path / "build" / f"{name}.elf").sections == own.sections


@pytest.mark.parametrize("place", ["host", "m4"])
def test_cmake_builds_everywhere(place, networks, tmp_path):
    core = core_of(place)
    compiler = "cc" if core is None else f"{core.gcc[0]}gcc"
    if not shutil.which("cmake") or not shutil.which(compiler):
        pytest.skip(f"there is no cmake or no {compiler}")
    network = networks("residual")
    generate(network, core, folder=tmp_path)
    chain = [] if core is None else ["-DCMAKE_TOOLCHAIN_FILE=toolchain.cmake"]
    for command in (["cmake", "-B", "build", *chain], ["cmake", "--build", "build"]):
        made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert made.returncode == 0, made.stdout + made.stderr
        assert "warning" not in made.stderr
    if core is not None:
        assert elf_sizes(tmp_path / "build" / "residual.elf").ram_bytes > 0
        return
    inputs = [random_inputs(network, seed) for seed in range(2)]
    given = b"".join(x.tobytes() for several in inputs for x in several)
    ran = subprocess.run([tmp_path / "build" / "residual"], input=given, capture_output=True, timeout=60)
    assert ran.returncode == 0
    wanted = [y.tobytes() for several in inputs for y in reference.run(network, several)]
    assert ran.stdout == b"".join(wanted)
    cut = subprocess.run([tmp_path / "build" / "residual"], input=given[:-1], capture_output=True, timeout=60)
    assert cut.returncode == 1


@pytest.mark.parametrize("place", ["host", "m4", "rv32imc"])
def test_generated_sources_compile_without_a_warning(place, networks, tmp_path):
    core = core_of(place)
    generate(networks("pooled"), core, folder=tmp_path)
    for compiler in toolchain.available(core):
        for name in ("pooled.c", "layers.c", "weights.c", "main.c"):
            flags = [*compiler.settings.flags, *STRICT, "-c", str(tmp_path / name)]
            compiler.run([*flags, f"-I{tmp_path / 'kernels'}", "-o", str(tmp_path / "x.o")], name)


def test_firmware_that_exceeds_the_flash_is_refused(networks, tmp_path):
    target = load_target("stm32l4r5zi").model_copy(update={"flash_bytes": 4096})
    project = generate(networks("residual"), core_named("m4"), folder=tmp_path, target=target)
    with pytest.raises(
        EvaluationError, match=r"the firmware of residual needs [\d,]+ bytes of flash, and there are 4,096"
    ):
        build(project)


def test_linker_scripts_have_the_origins_of_the_chip(networks, tmp_path):
    target = load_target("stm32l4r5zi")
    generate(networks("pooled"), target.processor, folder=tmp_path, target=target)
    script = (tmp_path / "link.ld").read_text()
    assert "ORIGIN = 0x08000000, LENGTH = 2097152" in script
    assert "ORIGIN = 0x20000000, LENGTH = 655360" in script
    assert "change them" not in (tmp_path / "README.md").read_text()
    other = target.model_copy(update={"flash_origin": None})
    generate(networks("pooled"), target.processor, folder=tmp_path, target=other)
    assert "change them" in (tmp_path / "README.md").read_text()


def test_the_page_shows_measured_sizes(networks, tmp_path):
    target = load_target("nrf5340")
    project = generate(networks("plain"), target.processor, folder=tmp_path, target=target)
    before = (tmp_path / "README.md").read_text()
    assert "measured" not in before
    assert f"| RAM: arena | {project.design.memory.arena_bytes:,} |" in before
    sizes = write_sizes(project, build(project))
    after = (tmp_path / "README.md").read_text()
    assert f"| **flash** | {sizes.flash_bytes:,} | measured" in after
    assert "nRF5340" in after

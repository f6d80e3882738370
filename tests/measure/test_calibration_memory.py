"""Code of kernel classes, from single classes linked alone to whole firmwares."""

import pytest

from hannah_hw.cores import CORES
from hannah_hw.emulation.elf import elf_sizes
from hannah_hw.firmware.libraries import library
from hannah_hw.firmware.toolchain import find
from hannah_hw.measure.bench import firmware_of
from hannah_hw.measure.calibration_memory import code_parts

pytest.importorskip("ziglang")


@pytest.mark.parametrize("core", ["m4", "rv32imc"])
def test_parts_of_classes_add_up_to_a_firmware_with_all_of_them(core):
    # Files have static functions of one name, so parts are told apart by file and name.
    compiler = find(CORES[core], prefer="zig")
    parts = code_parts(compiler)
    kernels = library(CORES[core])
    chosen = ("conv", "conv_1x1", "dw_3x3", "dw", "fc", "global_avg_pool", "add")
    linked = elf_sizes(firmware_of(compiler, [kernels[name][0] for name in chosen])).flash_bytes
    empty = elf_sizes(firmware_of(compiler, [])).flash_bytes
    counted = sum(part.bytes for part in parts if set(part.classes) & set(chosen))
    # The table of functions has a word for each.
    assert counted + 4 * len(chosen) == pytest.approx(linked - empty, rel=0.01)

"""Kernel classes of our own int8 kernels with the DSP extension, for flash that makes the core wait.

They are those of `hannah_hw.cost.libraries.hannah_dsp` but for convolutions, which take four pixels by two channels at
a time: half the reads of weights for a few per cent more cycles and more scratch memory. The constants take as many
bytes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hannah_hw.cost.classes import KernelClass, Library
from hannah_hw.cost.libraries import hannah_dsp
from hannah_hw.cost.libraries.tiles import GEMM
from hannah_hw.cost.libraries.tiles_of_four import FOUR_PIXEL_GEMM, four_pixel_scratch


def _by_four_pixels(entry: KernelClass) -> KernelClass:
    if entry.features is not GEMM:
        return entry
    return replace(entry, features=FOUR_PIXEL_GEMM, scratch=four_pixel_scratch)


#: All classes; among those of one kind the first that selects a kernel runs it.
CLASSES: Final[tuple[KernelClass, ...]] = tuple(_by_four_pixels(entry) for entry in hannah_dsp.CLASSES)

HANNAH_DSP_SLOW_FLASH: Final = Library(
    "hannah_dsp_slow_flash",
    "hannah int8 kernels, DSP extension, slow flash",
    CLASSES,
    scratch_in_arena=True,
)

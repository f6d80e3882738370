"""Running firmware instruction by instruction: emulated cores, counts and documented cycle times."""

from hannah_hw.emulation.counts import Counts, FunctionCounts
from hannah_hw.emulation.elf import Sizes, Symbol, elf_sizes
from hannah_hw.emulation.emulator import Emulator
from hannah_hw.emulation.memory import MemoryMap, Region, memory_map

__all__ = [
    "Counts",
    "Emulator",
    "FunctionCounts",
    "MemoryMap",
    "Region",
    "Sizes",
    "Symbol",
    "elf_sizes",
    "memory_map",
]

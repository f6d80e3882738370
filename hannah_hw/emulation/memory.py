"""Where code and data of measured firmware lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hannah_hw.cores import Core


@dataclass(frozen=True)
class Region:
    """Consecutive addresses.

    Attributes:
        start: The first.
        size: Bytes.
    """

    start: int
    size: int

    @property
    def end(self) -> int:
        """One past the last address."""
        return self.start + self.size

    def holds(self, address: int, size: int = 1) -> bool:
        """Whether all of these bytes lie inside."""
        return self.start <= address and address + size <= self.end


@dataclass(frozen=True)
class MemoryMap:
    """The memories of an emulated core.

    Attributes:
        flash: Code and constants; writing there is a fault.
        ram: Data; the stack grows down from its end.
        stack_bytes: What is painted below the end of RAM, so the largest stack that can be told.
        exit: Where a called function returns to; outside of both memories.
    """

    flash: Region
    ram: Region
    stack_bytes: int
    exit: int


_SIZE: Final = 8 << 20
_STACK: Final = 64 << 10
_MAPS: Final = {
    "arm": MemoryMap(Region(0, _SIZE), Region(0x2000_0000, _SIZE), _STACK, 0x1000_0000),
    "riscv32": MemoryMap(Region(0x0001_0000, _SIZE), Region(0x8000_0000, _SIZE), _STACK, 0x4000_0000),
}


def memory_map(core: Core) -> MemoryMap:
    """The memories that firmware for measurements is linked for: larger than any chip's, equal for all of an ISA.

    A project of a user has its own linker script; instruction counts do not depend on addresses.
    """
    return _MAPS[core.isa]

"""Values that are read from or written to one memory in order: cycles and energy.

A memory moves as many bits a cycle as its widest port of that direction; what is moved is rounded up to the port's
least access. Energy is that of a word as wide as the port at most moves, in proportion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from hannah_hw.targets.accelerator import Accelerator
from hannah_hw.targets.hardware import Operand

FloatArray = NDArray[np.float64]

#: Movements through a port that take values out of its memory, or put them there.
_MOVES: Final = {"read": ("read", "drain"), "write": ("fill", "update")}


@dataclass(frozen=True)
class Stream:
    """One direction of a memory.

    Attributes:
        memory: Name of the memory.
        port: Name of the port; streams through one port share its cycles.
        width: Most bits a cycle.
        least: Least bits that an access moves.
        word_pj: Energy of a word of ``width`` bits, picojoules; NaN: not known.
    """

    memory: str
    port: str
    width: int
    least: int
    word_pj: float

    def cycles(self, bits: FloatArray) -> FloatArray:
        """Cycles that it takes."""
        taken: FloatArray = np.ceil(bits / self.width)
        return taken

    def energy_pj(self, bits: FloatArray) -> FloatArray:
        """Picojoules that it takes; 0 where nothing moves."""
        words = np.ceil(bits / self.least) * self.least / self.width
        return np.where(bits > 0, words * self.word_pj, 0.0)


def stream(
    target: Accelerator, name: str | None, operand: Operand, direction: Literal["read", "write"]
) -> Stream | None:
    """How values move between the units of an accelerator and a memory; None where that is not described.

    Args:
        target: The target.
        name: The memory; None: the outermost one that holds the operand.
        operand: What the values are.
        direction: Seen from the unit.
    """
    holders = [m for m in target.memories if operand in m.holds and name in (None, m.name)]
    if not holders:
        return None
    memory = holders[-1]
    carried = memory.carried()
    ports = [p for p in memory.ports if set(_MOVES[direction]) & set(carried[p.name].get(operand, ()))]
    if not ports:
        return None
    port = max(ports, key=lambda p: p.max_bits)
    figure = memory.read_pj if direction == "read" else memory.write_pj
    return Stream(
        memory.name,
        f"{memory.name} {port.name}",
        port.max_bits,
        port.min_bits or port.max_bits,
        float("nan") if figure is None else figure.value,
    )


def outermost(target: Accelerator, operand: Operand) -> str | None:
    """Name of the memory of an operand that is furthest from the array."""
    holders = [memory.name for memory in target.memories if operand in memory.holds]
    return holders[-1] if holders else None

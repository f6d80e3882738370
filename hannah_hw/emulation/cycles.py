"""Cycles by the documented tables of cores: zero wait states, no contention, the instruction stream in order.

``P``, the refill of the pipeline after a branch, is documented as one to three cycles, depending on alignment and width
of the instruction that is branched to; the tables here take two. Divisions and long products of a Cortex-M3 take
longer for larger operands; what is taken is said with each table. Not in the sums, and so part of `Core.timing_error`:
the cycle that a Cortex-M3 or M4 waits where an address depends on the result of the instruction before, folded IT
instructions, a cycle less for a load whose condition fails, and a cycle more for a load right behind a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cores import Core
from hannah_hw.emulation.instructions import KINDS
from hannah_hw.errors import InputError

_LOAD: Final = KINDS.index("load")


@dataclass(frozen=True)
class Timing:
    """How long instructions take on a core.

    Attributes:
        source: The document, or what is assumed.
        cycles: Kind -> (cycles, cycles more per word moved); what is not named takes (1, 0).
        taken: Cycles that a taken branch takes beyond its own.
        pipelined: Kinds behind which a load takes a cycle less.
    """

    source: str
    cycles: Mapping[str, tuple[int, int]]
    taken: int
    pipelined: frozenset[str] = field(default_factory=frozenset)


_M3: Final = {
    "multiply_add": (2, 0),
    "multiply_long": (5, 0),
    "multiply_add_long": (7, 0),
    "divide": (7, 0),
    "load": (1, 1),
    "load_pair": (1, 1),
    "load_multiple": (1, 1),
    "store_pair": (1, 1),
    "store_multiple": (1, 1),
    "table_branch": (2, 0),
}
_M4: Final = {
    **_M3,
    "multiply_add": (1, 0),
    "multiply_long": (1, 0),
    "multiply_add_long": (1, 0),
    "fp_multiply_add": (3, 0),
    "fp_divide": (14, 0),
    "fp_store": (1, 1),
}
_PIPELINED: Final = frozenset({"load", "load_pair", "store", "store_pair", "fp_store"})

#: Names of `hannah_hw.cores.Core.timing` -> table.
TIMINGS: Final[Mapping[str, Timing]] = {
    "cortex_m0p": Timing(
        "Arm DDI0484C, table 3-1; single-cycle multiplier",
        {"load": (2, 0), "store": (2, 0), "load_multiple": (1, 1), "store_multiple": (1, 1), "call": (2, 0)},
        taken=1,
    ),
    "cortex_m3": Timing(
        "Arm DDI0337, instruction timings; the longest of a long product's 3 to 5 and 4 to 7 cycles, since factors of"
        " requantisation use all bits; 7 of a division's 2 to 12",
        _M3,
        taken=2,
        pipelined=_PIPELINED,
    ),
    "cortex_m4": Timing(
        "Arm DDI0439, tables 3-1 and 7-1; 7 of a division's 2 to 12", _M4, taken=2, pipelined=_PIPELINED
    ),
    "cortex_m7": Timing("assumed as Cortex-M4: Arm publishes no table", _M4, taken=2, pipelined=_PIPELINED),
    "cortex_m33": Timing("assumed as Cortex-M4: Arm publishes no table", _M4, taken=2, pipelined=_PIPELINED),
    "rv32imc": Timing(
        "assumed: four stages, in order; loads 2, taken branches 3, divisions 32 cycles",
        {"load": (2, 0), "divide": (32, 0)},
        taken=2,
    ),
}


def timing_of(core: Core) -> Timing:
    """How long instructions take on a core.

    Raises:
        InputError: There is no table for it.
    """
    if core.timing is None:
        raise InputError(f"there is no cycle table for {core.title}", given=core.name)
    return TIMINGS[core.timing]


@dataclass(frozen=True)
class CycleTable:
    """A timing, ready for arrays of instructions.

    Args:
        timing: The core's.
    """

    timing: Timing

    def cycles(
        self,
        executions: NDArray[np.int64],
        taken: NDArray[np.int64],
        arrivals: NDArray[np.int64],
        adjacent: NDArray[np.bool_],
        kind: NDArray[np.int64],
        words: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Cycles of every instruction of a program.

        Args:
            executions: (N,) of the instructions in the order of addresses.
            taken: (N,) how often an instruction branched.
            arrivals: (N,) how often it was branched to.
            adjacent: (N,) whether it lies right behind the instruction before it.
            kind: (N,) index into `KINDS`.
            words: (N,) words moved.

        Returns:
            (N,) cycles.
        """
        fixed, per_word = np.array([self.timing.cycles.get(name, (1, 0)) for name in KINDS]).T
        cycles: NDArray[np.int64] = (
            executions * (fixed[kind] + per_word[kind] * words) + taken * self.timing.taken
        )
        if self.timing.pipelined:
            overlaps = np.isin(kind, [KINDS.index(name) for name in self.timing.pipelined])
            follows = np.zeros(len(kind), bool)
            follows[1:] = overlaps[:-1] & adjacent[1:]
            cycles = cycles - np.where((kind == _LOAD) & follows, executions - arrivals, 0)
        return cycles

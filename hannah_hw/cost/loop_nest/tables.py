"""What the evaluation of orderings looks up, tabulated once for M cases of (layer, unrolling, factors)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import get_args

import numpy as np

from hannah_hw.cost.accelerators.layers import LOOPS, BoolArray, FloatArray, IntArray
from hannah_hw.cost.loop_nest.amounts import Amounts
from hannah_hw.cost.loop_nest.factors import Factors, prime_factors
from hannah_hw.cost.loop_nest.hierarchy import OPERANDS, Hierarchy
from hannah_hw.cost.loop_nest.nests import IRRELEVANT, LoopNests
from hannah_hw.cost.loop_nest.spatial import Mode, unroll
from hannah_hw.cost.loop_nest.states import PAD, States
from hannah_hw.errors import InputError

__all__ = ["PAD", "Tables"]


class Tables(Amounts):
    """M cases on one hierarchy.

    Attributes:
        temporal: (M,) cycles of the temporal loops.
        drain: (M,) cycles in which the last results leave along systolic dimensions: units - 1 of each.
        mac_pj: (M,) energy of the multiply-accumulates.
        capacity: (memories, M) bits of an instance that are free for the layer.
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        nests: LoopNests,
        asked: IntArray,
        factors: int | Sequence[Factors] = 6,
        mode: Mode = "whole",
        reserved: Mapping[str, IntArray | float] | None = None,
    ) -> None:
        """Tabulate cases.

        Args:
            hierarchy: The accelerator.
            nests: M layers; a layer may occur more than once, with other unrollings or factors.
            asked: (array dimensions, 8) units as from `spatial.wanted`, or (M, array dimensions, 8).
            factors: Most prime factors of a case, or the factors of each case.
            mode: See `spatial`.
            reserved: Memory -> bits of it, (M,) or one number, that other tensors take.

        Raises:
            InputError: Factors that do not multiply to the temporal loops, or an unknown mode.
            TargetError: Bits reserved in a memory that does not exist.
        """
        if mode not in get_args(Mode):
            raise InputError(f"{mode!r} is no way to round", where="mode", allowed=get_args(Mode), given=mode)
        unrolled = unroll(asked, nests.sizes, mode)
        super().__init__(hierarchy, nests, unrolled, States(_factors(factors, unrolled.temporal, mode)), mode)
        self.temporal: FloatArray = self.states.iterations[self.states.last]
        self.mac_pj: FloatArray = hierarchy.array.mac_pj * nests.macs
        self.capacity = self._capacity(reserved or {})
        along = [list(hierarchy.array.sizes).index(name) for name in hierarchy.array.systolic]
        used = unrolled.units[:, along].prod(axis=2)
        self.drain: FloatArray = (used - 1).sum(axis=1).astype(np.float64)

    @property
    def kinds(self) -> tuple[Factors, ...]:
        """Distinct (loop, factor) of each case; orderings are sequences of positions in it."""
        return self.states.kinds

    @property
    def repeats(self) -> IntArray:
        """(M, U) how often each kind occurs."""
        return self.states.repeats

    @property
    def loops(self) -> IntArray:
        """(M,) loops of an ordering."""
        return self.states.loops

    @cached_property
    def in_full(self) -> FloatArray:
        """(memories, M) bits that hold everything the memory may hold, outputs as partial sums."""
        total = np.zeros(self.capacity.shape)
        for place, levels in enumerate(self.shape.in_memory):
            for level in levels:
                total[place] += self.held[level][self._state(self.states.last, level)]
        return total

    @cached_property
    def at_most_half(self) -> BoolArray:
        """(memories, M) whether everything takes at most half of a memory, so that all of it is loaded ahead."""
        found: BoolArray = self.in_full <= 0.5 * self.capacity
        return found

    def cannot_hold(self, case: int) -> str | None:
        """Which memory is too small for the smallest tiles that a case can have there, or None."""
        for place, levels in enumerate(self.shape.in_memory):
            parts = {}
            for level in levels:
                own = self.levels[level]
                state = int((self.states.last if own.top else self.states.first)[case])
                if self._always_partial(level, case):
                    state += len(self.states.case)
                parts[OPERANDS[own.operand]] = float(self.held[level][state])
            free = float(self.capacity[place, case])
            if sum(parts.values()) > free:
                shown = " + ".join(f"{bits / 8:.12g} B of {name}" for name, bits in parts.items())
                memory = self.hierarchy.memories[place].name
                return f"{memory} has {free / 8:.12g} B free, the smallest tile takes {shown}"
        return None

    def _always_partial(self, level: int, case: int) -> bool:
        """Whether outputs come to a level as partial sums whatever the ordering."""
        own = self.levels[level]
        if own.operand < 2:
            return False
        loops = self.states.extents[IRRELEVANT[2], self.states.last[case]]
        return bool(self.reduced[level][case]) or (own.depth == 0 and float(loops.prod()) > 1)

    def _state(self, states: IntArray, level: int) -> IntArray:
        """Positions in `bits` of states, outputs as partial sums."""
        return states + len(self.states.case) if self.levels[level].operand == 2 else states

    def _capacity(self, reserved: Mapping[str, IntArray | float]) -> FloatArray:
        capacity = np.array([memory.capacity for memory in self.hierarchy.memories])
        free = np.repeat(capacity[:, None], len(self.nests), axis=1)
        for name, bits in reserved.items():
            place = self.hierarchy.memories.index(self.hierarchy.memory(name))
            free[place] = np.maximum(free[place] - bits, 0.0)
        return free


def _factors(factors: int | Sequence[Factors], temporal: IntArray, mode: Mode) -> Sequence[Factors]:
    """Factors of each case, which must be those of its temporal loops."""
    if isinstance(factors, int):
        return [prime_factors(row, factors) for row in temporal.tolist()]
    if len(factors) != len(temporal):
        raise InputError(f"{len(factors)} sets of factors for {len(temporal)} cases; give one a case")
    for case, own in enumerate(factors):
        product = np.ones(len(LOOPS), np.int64)
        for loop, factor in own:
            product[loop] *= factor
        # ZigZag divides by one unrolling after the other and rounds up each time, 400 / (400 / 58) to 59: it may
        # loop more often than it has to, and its mappings are replayed as they are.
        more = product - temporal[case]
        wrong = (more < 0) | ((more > 0) & (mode != "zigzag"))
        if wrong.any():
            loop = int(np.flatnonzero(wrong)[0])
            raise InputError(
                f"the factors of {LOOPS[loop]} multiply to {product[loop]}, "
                f"its temporal loop has {temporal[case, loop]} iterations",
                where=f"factors[{case}]",
            )
    return [tuple(own) or ((0, 1),) for own in factors]

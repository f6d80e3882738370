"""Which loops lie below a boundary, as numbered states.

The size of a tile depends on which factors of the temporal loops lie below it, not on their order. A case's factors
are a multiset: U distinct kinds, kind u occurring r_u times. Its sub-multisets are numbered like digits of a
mixed radix, the sum over u of (times taken) · w_u with w_0 = 1 and w_(u+1) = w_u · (r_u + 1), after earlier cases. An
ordering is then a walk: each loop adds its kind's weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import LOOPS, FloatArray, IntArray
from hannah_hw.cost.loop_nest.factors import Factors
from hannah_hw.cost.loop_nest.nests import IRRELEVANT, RELEVANT

#: Filler of orderings that are shorter than others, at their end.
PAD: Final = 255

#: Bits of a kind's flags: 1 << operand where the loop is irrelevant to the operand, 8 << operand where it is relevant.
RELEVANT_BIT: Final = 3
#: Bit of the flags of a reduction loop. The filler is none, though irrelevant to the output.
REDUCTION: Final = 1 << 6

_TRANSPARENT: Final = (1 << 6) - 1


class States:
    """States of M cases, S in all.

    Attributes:
        kinds: Distinct (loop, factor) of each case, sorted.
        repeats: (M, U) how often each kind occurs; 0 of kinds that a case does not have.
        loops: (M,) factors of an ordering.
        first: (M,) state of no loops.
        last: (M,) state of all loops.
        case: (S,) case of each state.
        extents: (8, S) iterations of each of `LOOPS`.
        iterations: (S,) their product.
        weights: (M · (U + 1),) what a kind adds to the state; 0 of the filler, which is kind U.
        flags: (M · (U + 1),) what a kind is to the operands.
    """

    def __init__(self, factors: Sequence[Factors]) -> None:
        """States of cases.

        Args:
            factors: Of each case, in any order.
        """
        self.kinds = tuple(tuple(sorted(set(own))) for own in factors)
        count, width = len(factors), max(map(len, self.kinds), default=0)
        self.stride = width + 1
        self.repeats = np.zeros((count, width), np.int64)
        loops = np.zeros((count, width), np.int64)
        sizes = np.ones((count, width))
        for case, (own, kinds) in enumerate(zip(factors, self.kinds, strict=True)):
            for place, kind in enumerate(kinds):
                self.repeats[case, place] = own.count(kind)
                loops[case, place], sizes[case, place] = kind
        radix = self.repeats + 1
        weights = np.concatenate([np.ones((count, 1), np.int64), np.cumprod(radix, axis=1)], axis=1)
        totals = weights[:, -1]
        weights = np.where(np.arange(self.stride) < width, weights, 0)
        self.first: IntArray = np.concatenate([[0], np.cumsum(totals)[:-1]]).astype(np.int64)[:count]
        self.last: IntArray = self.first + totals - 1
        self.loops: IntArray = self.repeats.sum(axis=1)
        self.case: IntArray = np.repeat(np.arange(count), totals)
        self.extents = self._extents(loops, sizes, radix, weights)
        self.iterations: FloatArray = self.extents.prod(axis=0)
        present = self.repeats > 0
        weights[:, :width] *= present
        self.weights: IntArray = weights.ravel()
        self.flags = self._flags(loops, present)

    def _extents(self, loops: IntArray, sizes: FloatArray, radix: IntArray, weights: IntArray) -> FloatArray:
        extents = np.ones((len(LOOPS), len(self.case)))
        places = np.arange(len(self.case))
        number = places - self.first[self.case]
        for kind in range(radix.shape[1]):
            taken = number // weights[self.case, kind] % radix[self.case, kind]
            extents[loops[self.case, kind], places] *= sizes[self.case, kind] ** taken
        return extents

    def _flags(self, loops: IntArray, present: NDArray[np.bool_]) -> NDArray[np.uint8]:
        of_loop = np.zeros(len(LOOPS), np.int64)
        for operand in range(3):
            of_loop |= IRRELEVANT[operand].astype(np.int64) << operand
            of_loop |= RELEVANT[operand].astype(np.int64) << (RELEVANT_BIT + operand)
        of_loop |= IRRELEVANT[2] * REDUCTION
        flags = np.full((len(self.kinds), self.stride), _TRANSPARENT, np.uint8)
        flags[:, :-1] = np.where(present, of_loop[loops], _TRANSPARENT)
        return flags.ravel()

    def steps(self, kind: int) -> tuple[IntArray, IntArray]:
        """States to which one more loop of a kind can be added, and the states with it."""
        place = self.case * self.stride + kind
        number = np.arange(len(self.case)) - self.first[self.case]
        taken = number // np.maximum(self.weights[place], 1) % (self.repeats[self.case, kind] + 1)
        fewer: IntArray = np.flatnonzero(taken < self.repeats[self.case, kind])
        return fewer, fewer + self.weights[place[fewer]]

"""How much lies in a memory and passes a link, tabulated over states, and what no ordering changes, over cases.

Two variants of extents follow from the mode (see `spatial`): ``stored``, for energy, capacity and double buffering, and
``moved``, for latency. In mode ``whole`` they are one, whole numbers that cover the partial tiles, clipped at the size
of the loop: what all iterations of a loop run over is no more than the tensor has.

Tables of bits are over S states, or over 2 S for outputs: as finished values, then as partial sums.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import cached_property
from typing import Final

import numpy as np

from hannah_hw.cost.accelerators.layers import LOOPS, BoolArray, FloatArray
from hannah_hw.cost.loop_nest.hierarchy import Hierarchy
from hannah_hw.cost.loop_nest.levels import Level, Levels, Link
from hannah_hw.cost.loop_nest.nests import IRRELEVANT, LOOP, LoopNests
from hannah_hw.cost.loop_nest.spatial import Mode, Unrolled
from hannah_hw.cost.loop_nest.states import States
from hannah_hw.cost.loop_nest.tiles import Windows, elements

#: Quotients below this are 1.
ONE: Final = 1 + 1e-12

_ROUNDING: Final = 1e-9


class Amounts:
    """Amounts of M cases.

    Attributes:
        hierarchy: The accelerator.
        nests: M layers.
        unrolled: The layers on the array.
        states: Sub-multisets of the factors of each case.
        mode: See `spatial`.
        uneven: Whether stored and moved extents differ anywhere.
        windows: Windows of the layers.
    """

    def __init__(
        self, hierarchy: Hierarchy, nests: LoopNests, unrolled: Unrolled, states: States, mode: Mode
    ) -> None:
        self.hierarchy = hierarchy
        self.nests = nests
        self.unrolled = unrolled
        self.states = states
        self.mode = mode
        self.uneven = bool((unrolled.stored != unrolled.moved).any())
        self.windows = Windows.of(nests)
        self._known: dict[Hashable, FloatArray] = {}

    def __len__(self) -> int:
        return len(self.nests)

    @property
    def shape(self) -> Levels:
        """Levels, links and ports of the hierarchy."""
        return self.hierarchy.shape

    @property
    def levels(self) -> tuple[Level, ...]:
        """Levels of I, W and O, each from the array outwards."""
        return self.shape.levels

    def _once(self, key: Hashable, make: Callable[[], FloatArray]) -> FloatArray:
        """A table, made at its first use."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    @cached_property
    def _state_windows(self) -> Windows:
        return self.windows.at(self.states.case)

    def everywhere(self, moved: bool) -> FloatArray:
        """(8, M) extents unrolled over the whole array."""
        table = self.unrolled.moved if moved and self.uneven else self.unrolled.stored
        return self._once(("everywhere", table is self.unrolled.stored), lambda: _along(table, None))

    def inside(self, operand: int, depth: int, moved: bool) -> FloatArray:
        """(8, M) extents unrolled below a boundary: over the dimensions that memories below it are shared over."""
        table = self.unrolled.moved if moved and self.uneven else self.unrolled.stored
        dimensions = self.shape.reach[operand][depth]
        key = ("inside", dimensions, table is self.unrolled.stored)
        return self._once(key, lambda: _along(table, dimensions))

    def tile(self, level: int, moved: bool) -> FloatArray:
        """(S,) elements in one instance of a memory whose loops are those of each state."""
        moved = moved and self.uneven
        return self._once(("tile", level, moved), lambda: self._tile(level, moved))

    def _tile(self, level: int, moved: bool) -> FloatArray:
        own = self.levels[level]
        inside = self.inside(own.operand, own.depth + 1, moved)
        case, whole = self.states.case, self.mode == "whole"

        def extent(loop: str) -> FloatArray:
            place = LOOP[loop]
            extents: FloatArray = self.states.extents[place]
            if (inside[place] != 1).any():
                extents = extents * inside[place][case]
                if whole:
                    extents = np.minimum(extents, self.nests.sizes[:, place][case])
            return extents

        return elements(own.operand, extent, self._state_windows, self.mode)

    def bits(self, level: int, elements_of_state: FloatArray) -> FloatArray:
        """Elements of the states as a table of bits."""
        operand = self.levels[level].operand
        final: FloatArray = elements_of_state * self.nests.bits[:, operand][self.states.case]
        if operand < 2:
            return final
        return np.concatenate([final, elements_of_state * self.nests.partial_bits[self.states.case]])

    @cached_property
    def held(self) -> tuple[FloatArray, ...]:
        """Level -> bits that one instance holds."""
        return tuple(self.bits(level, self.tile(level, False)) for level in range(len(self.levels)))

    @cached_property
    def held_rounded(self) -> tuple[FloatArray, ...]:
        """Level -> the same of whole elements."""
        if not self.uneven:
            return self.held
        return tuple(self.bits(level, np.rint(self.tile(level, False))) for level in range(len(self.levels)))

    def copies(self, level: int, moved: bool) -> FloatArray:
        """(M,) tiles below a memory that have different data: what leaves it once feeds all with the same."""
        own = self.levels[level]
        below, above = (
            elements(own.operand, dict(zip(LOOPS, table, strict=True)).__getitem__, self.windows, self.mode)
            for table in (self.inside(own.operand, own.depth + beyond, moved) for beyond in (0, 1))
        )
        ratio = above / below
        rounded: FloatArray = np.ceil(ratio - _ROUNDING) if self.mode == "whole" else np.rint(ratio)
        return rounded

    def instances(self, level: int) -> FloatArray:
        """(M,) instances of a memory that work."""
        own = self.levels[level]
        outside = self.everywhere(False) / self.inside(own.operand, own.depth + 1, False)
        rounded: FloatArray = np.rint(np.round(outside.prod(axis=0), 3))
        return rounded

    @cached_property
    def reduced(self) -> tuple[BoolArray, ...]:
        """Level -> (M,) whether outputs of its instances are added up further out, by stored extents."""
        return self._reduced(False)

    @cached_property
    def reduced_moved(self) -> tuple[BoolArray, ...]:
        """The same by moved extents."""
        return self._reduced(True)

    def _reduced(self, moved: bool) -> tuple[BoolArray, ...]:
        found = []
        for level in self.levels:
            outside = self.everywhere(moved) / self.inside(level.operand, level.depth + 1, moved)
            reductions = outside[IRRELEVANT[2]] > ONE
            found.append(reductions.any(axis=0) & (level.operand == 2))
        return tuple(found)

    def crossing(self, link: Link, moved: bool) -> FloatArray:
        """Bits that one period moves over a link of one instance, by the state of the link's boundary.

        Towards the next memory: the tile. Towards the array: the tile of the memory below, or one element, of each
        of its copies with different data.
        """
        moved = moved and self.uneven
        return self._once(("crossing", link.level, link.outer, moved), lambda: self._crossing(link, moved))

    def _crossing(self, link: Link, moved: bool) -> FloatArray:
        if link.outer:
            return self.bits(link.level, np.rint(self.tile(link.level, moved)))
        amount = self.copies(link.level, moved)[self.states.case]
        if self.levels[link.level].depth > 0:
            amount = amount * np.rint(self.tile(link.level - 1, moved))
        return self.bits(link.level, amount)

    @cached_property
    def words(self) -> tuple[FloatArray, ...]:
        """Link -> words of one period over all instances, by state; a part of a word is paid in parts.

        Links that only partial sums take have none for finished outputs.
        """
        found = []
        for link in self.shape.links:
            parts = np.ceil(self.crossing(link, False) / link.min_bits) * (link.min_bits / link.max_bits)
            instances = self.instances(link.level)[self.states.case]
            words = parts * (np.tile(instances, 2) if link.operand == 2 else instances)
            if link.partial:
                words[: len(instances)] = 0.0
            found.append(words)
        return tuple(found)

    @cached_property
    def crossing_pj(self) -> Mapping[tuple[int, int], FloatArray]:
        """Operand and boundary -> pJ of one period over all links and instances, by state."""
        found: dict[tuple[int, int], FloatArray] = {}
        for link, words in zip(self.shape.links, self.words, strict=True):
            key = (link.operand, link.boundary)
            found[key] = found.get(key, 0.0) + words * link.word_pj
        return found

    def transfer_cycles(self, link: Link) -> FloatArray:
        """Cycles of one period's transfer, by state."""
        key = ("cycles", link.level, link.outer, link.max_bits)
        return self._once(key, lambda: np.ceil(self.crossing(link, True) / link.max_bits))

    def least_cycles(self, operand: int, max_bits: int) -> FloatArray:
        """Cycles in which a port passes the tile of the innermost memory of an operand, by state."""
        level = self.shape.starts[operand]
        return self._once(
            ("least", operand, max_bits),
            lambda: np.ceil(self.bits(level, np.rint(self.tile(level, True))) / max_bits),
        )

    @cached_property
    def steady(self) -> BoolArray:
        """(levels, M) whether keeping one more loop never takes more transfers of bits.

        Always, but for inputs of fractional extents, whose truncation may turn it round.
        """
        found = np.ones((len(self.levels), len(self)), np.bool_)
        for number, level in enumerate(self.levels):
            if level.operand == 0 and self.uneven:
                traffic = self.tile(number, False) / self.states.iterations
                for kind in range(self.states.repeats.shape[1]):
                    fewer, more = self.states.steps(kind)
                    worse = traffic[more] > traffic[fewer] * ONE
                    found[number, self.states.case[fewer[worse]]] = False
        return found


def _along(table: FloatArray, dimensions: tuple[int, ...] | None) -> FloatArray:
    """(8, M) product of (M, dimensions, 8) extents over some dimensions, or over all."""
    chosen = table if dimensions is None else table[:, list(dimensions)]
    product: FloatArray = np.ascontiguousarray(chosen.prod(axis=1).T)
    return product

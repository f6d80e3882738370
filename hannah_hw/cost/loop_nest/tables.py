"""What the evaluation of orderings looks up, tabulated once for M cases of (layer, unrolling, factors).

Tables over states hold sizes of tiles, tables over cases what no ordering changes. Two variants of extents follow
from the mode (see `spatial`): ``stored``, for energy, capacity and double buffering, and ``moved``, for latency. In
mode ``whole`` they are one, whole numbers that cover the partial tiles, clipped at the size of the loop: what all
iterations of a loop run over is no more than the tensor has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final, get_args

import numpy as np

from hannah_hw.cost.accelerators.layers import LOOPS, BoolArray, FloatArray, IntArray
from hannah_hw.cost.loop_nest.factors import Factors, prime_factors
from hannah_hw.cost.loop_nest.hierarchy import OPERANDS, Hierarchy
from hannah_hw.cost.loop_nest.levels import Level, Levels, Link
from hannah_hw.cost.loop_nest.nests import IRRELEVANT, LOOP, LoopNests
from hannah_hw.cost.loop_nest.spatial import Mode, unroll
from hannah_hw.cost.loop_nest.states import PAD, States
from hannah_hw.cost.loop_nest.tiles import Windows, elements
from hannah_hw.errors import InputError

__all__ = ["PAD", "Tables"]

#: Extents closer than this to 1 are 1.
_ONE: Final = 1 + 1e-12

_ROUNDING: Final = 1e-9


class Tables:
    """M cases on one hierarchy.

    Attributes:
        hierarchy: The accelerator.
        nests: M layers.
        mode: See `spatial`.
        unrolled: The layers on the array.
        states: Sub-multisets of the factors of each case.
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
        self.hierarchy = hierarchy
        self.nests = nests
        self.mode = mode
        self.unrolled = unroll(asked, nests.sizes, mode)
        self.states = States(self._factors(factors))
        self.temporal: FloatArray = self.states.iterations[self.states.last]
        self.mac_pj: FloatArray = hierarchy.array.mac_pj * nests.macs
        self.capacity = self._capacity(reserved or {})
        along = [list(hierarchy.array.sizes).index(name) for name in hierarchy.array.systolic]
        used = self.unrolled.units[:, along].prod(axis=2)
        self.drain: FloatArray = (used - 1).sum(axis=1).astype(np.float64)

    def __len__(self) -> int:
        return len(self.nests)

    @cached_property
    def shape(self) -> Levels:
        """Levels, links and ports of the hierarchy."""
        return Levels(self.hierarchy)

    @property
    def levels(self) -> tuple[Level, ...]:
        """Levels of I, W and O, each from the array outwards."""
        return self.shape.levels

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

    @property
    def uneven(self) -> bool:
        """Whether stored and moved extents differ anywhere."""
        return self.unrolled.stored is not self.unrolled.moved and bool(
            (self.unrolled.stored != self.unrolled.moved).any()
        )

    @cached_property
    def windows(self) -> Windows:
        """Windows of the cases."""
        return Windows.of(self.nests)

    @cached_property
    def _state_windows(self) -> Windows:
        return self.windows.at(self.states.case)

    def inside(self, operand: int, depth: int, moved: bool) -> FloatArray:
        """(8, M) extents unrolled below a boundary: over the dimensions that memories below it are shared over."""
        table = self.unrolled.moved if moved else self.unrolled.stored
        chain = self.hierarchy.chains[OPERANDS[operand]][:depth]
        served = {name for place in chain for name in self.hierarchy.memories[place].served}
        chosen = [place for place, name in enumerate(self.hierarchy.array.sizes) if name in served]
        product: FloatArray = np.ascontiguousarray(table[:, chosen].prod(axis=1).T)
        return product

    def everywhere(self, moved: bool) -> FloatArray:
        """(8, M) extents unrolled over the whole array."""
        table = self.unrolled.moved if moved else self.unrolled.stored
        product: FloatArray = np.ascontiguousarray(table.prod(axis=1).T)
        return product

    def tile(self, level: int, moved: bool) -> FloatArray:
        """(S,) elements in one instance of a memory whose loops are those of each state."""
        moved = moved and self.uneven
        if (level, moved) not in self._tiles:
            self._tiles[level, moved] = self._tile(level, moved)
        return self._tiles[level, moved]

    @cached_property
    def _tiles(self) -> dict[tuple[int, bool], FloatArray]:
        return {}

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
        """Elements of the states as bits: (S,), or (2 S,) of outputs, finished first, then as partial sums."""
        operand = self.levels[level].operand
        final: FloatArray = elements_of_state * self.nests.bits[:, operand][self.states.case]
        if operand < 2:
            return final
        return np.concatenate([final, elements_of_state * self.nests.partial_bits[self.states.case]])

    @cached_property
    def held(self) -> tuple[FloatArray, ...]:
        """Level -> bits that one instance holds, by state as in `bits`."""
        return tuple(self.bits(level, self.tile(level, False)) for level in range(len(self.levels)))

    @cached_property
    def held_rounded(self) -> tuple[FloatArray, ...]:
        """The same of whole elements."""
        return tuple(self.bits(level, np.rint(self.tile(level, False))) for level in range(len(self.levels)))

    def copies(self, level: int, moved: bool) -> FloatArray:
        """(M,) tiles below a memory that have different data: what leaves it once feeds all with the same."""
        own = self.levels[level]
        below, above = (
            elements(own.operand, table.__getitem__, self.windows, self.mode)
            for table in (_by_loop(self.inside(own.operand, own.depth + beyond, moved)) for beyond in (0, 1))
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

    def reduced_above(self, level: int, moved: bool) -> BoolArray:
        """(M,) whether partial sums of several instances of an output memory are added up further out."""
        own = self.levels[level]
        outside = self.everywhere(moved) / self.inside(own.operand, own.depth + 1, moved)
        found: BoolArray = (outside[IRRELEVANT[2]] > _ONE).any(axis=0)
        return found

    @cached_property
    def reduced(self) -> tuple[BoolArray, ...]:
        """Level -> `reduced_above` by stored extents; False of levels of inputs and weights."""
        return self._reduced(False)

    @cached_property
    def reduced_moved(self) -> tuple[BoolArray, ...]:
        """The same by moved extents."""
        return self._reduced(True)

    def _reduced(self, moved: bool) -> tuple[BoolArray, ...]:
        nowhere = np.zeros(len(self), np.bool_)
        return tuple(
            self.reduced_above(number, moved) if level.operand == 2 else nowhere
            for number, level in enumerate(self.levels)
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
                for kind in range(self.repeats.shape[1]):
                    fewer, more = self.states.steps(kind)
                    worse = traffic[more] > traffic[fewer] * _ONE
                    found[number, self.states.case[fewer[worse]]] = False
        return found

    def crossing(self, link: Link, moved: bool) -> FloatArray:
        """Bits that one period moves over a link, by the state of its boundary as in `bits`.

        Towards the next memory: the tile. Towards the array: the tile of the memory below, or one element, of each
        of its copies with different data.
        """
        if link.outer:
            amount = np.rint(self.tile(link.level, moved))
        else:
            first = self.levels[link.level].depth == 0
            below = np.ones(len(self.states.case)) if first else np.rint(self.tile(link.level - 1, moved))
            amount = below * self.copies(link.level, moved)[self.states.case]
        return self.bits(link.level, amount)

    @cached_property
    def words(self) -> tuple[FloatArray, ...]:
        """Link -> words of one period over all instances, by state as in `bits`; a part of a word is paid in parts.

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
        """Operand and boundary -> pJ of one period over all links and instances, by state as in `bits`."""
        found: dict[tuple[int, int], FloatArray] = {}
        for link, words in zip(self.shape.links, self.words, strict=True):
            key = (link.operand, link.boundary)
            found[key] = found.get(key, 0.0) + words * link.word_pj
        return found

    def transfer(self, link: Link) -> FloatArray:
        """Bits of one period through one instance's port, by state as in `bits`, that latency is counted from."""
        key = (link.level, link.outer)
        if key not in self._transfers:
            self._transfers[key] = self.crossing(link, True)
        return self._transfers[key]

    @cached_property
    def _transfers(self) -> dict[tuple[int, bool], FloatArray]:
        return {}

    def transfer_cycles(self, link: Link) -> FloatArray:
        """Cycles of one period's transfer, by state as in `bits`."""
        key = (link.level, link.outer, link.max_bits)
        if key not in self._cycles:
            self._cycles[key] = np.ceil(self.transfer(link) / link.max_bits)
        return self._cycles[key]

    @cached_property
    def _cycles(self) -> dict[tuple[int, bool, int], FloatArray]:
        return {}

    def least_cycles(self, operand: int, max_bits: int) -> FloatArray:
        """Cycles in which a port passes the tile of the innermost memory of an operand, by state as in `bits`."""
        key = (operand, max_bits)
        if key not in self._least:
            level = self.shape.starts[operand]
            self._least[key] = np.ceil(self.bits(level, np.rint(self.tile(level, True))) / max_bits)
        return self._least[key]

    @cached_property
    def _least(self) -> dict[tuple[int, int], FloatArray]:
        return {}

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

    def _factors(self, factors: int | Sequence[Factors]) -> Sequence[Factors]:
        temporal = self.unrolled.temporal
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
            wrong = (more < 0) | ((more > 0) & (self.mode != "zigzag"))
            if wrong.any():
                loop = int(np.flatnonzero(wrong)[0])
                raise InputError(
                    f"the factors of {LOOPS[loop]} multiply to {product[loop]}, "
                    f"its temporal loop has {temporal[case, loop]} iterations",
                    where=f"factors[{case}]",
                )
        return [tuple(own) or ((0, 1),) for own in factors]

    def _capacity(self, reserved: Mapping[str, IntArray | float]) -> FloatArray:
        capacity = np.array([memory.capacity for memory in self.hierarchy.memories])
        free = np.repeat(capacity[:, None], len(self.nests), axis=1)
        for name, bits in reserved.items():
            place = self.hierarchy.memories.index(self.hierarchy.memory(name))
            free[place] = np.maximum(free[place] - bits, 0.0)
        return free


def _by_loop(extents: FloatArray) -> dict[str, FloatArray]:
    return dict(zip(LOOPS, extents, strict=True))

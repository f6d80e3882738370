"""Which loops to run side by side: unrollings of layers that use an array well.

Array dimensions are filled one after the other, the largest first. Each takes one loop, or two where one alone would
leave units idle: all of a short loop and as much of another as there is room for, or shares that multiply to the
dimension. After each, the best partial unrollings of a layer are kept:

* by the cycles of the loops over time that are left: the product of ceil(size / units);
* between equals, by the energy of what the array reads and writes each cycle: an operand that a loop does not touch is
  read once for all units of a dimension that its memory serves.

What an inner memory cannot hold at a time is left out. Of dimensions that no memory tells apart only one of both
orders is kept.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np

from hannah_hw.cost.accelerators.layers import LOOPS, BoolArray, FloatArray, IntArray
from hannah_hw.cost.loop_nest.hierarchy import OPERANDS, Hierarchy
from hannah_hw.cost.loop_nest.nests import IRRELEVANT, LoopNests
from hannah_hw.cost.loop_nest.tiles import Windows, elements

#: Partial unrollings of a layer that are kept after each dimension.
_KEPT: Final = 24

#: Unrollings of a layer in the end, and how many of them are the most frugal ones instead of the fastest.
_FINAL: Final = 12
_FRUGAL: Final = 4

#: Partial unrollings that leave more cycles than this times the least are dropped.
_SLACK: Final = 2.0

#: Layers that are unrolled at a time.
_LAYERS: Final = 16

#: Weights that make the units along one dimension, and along all, a number.
_CODE: Final = np.random.default_rng(8).integers(1, 2**40, len(LOOPS))
_MIXER: Final = np.random.default_rng(9).integers(1, 2**62, 1024) | 1


@dataclass(frozen=True)
class _Partial:
    """Partial unrollings: the layer of each, (P, dimensions, 8) units, (P, 8) sizes that are left."""

    layer: IntArray
    units: IntArray
    left: IntArray

    @property
    def steps(self) -> FloatArray:
        """(P,) cycles of the loops that are left."""
        product: FloatArray = self.left.astype(np.float64).prod(axis=1)
        return product

    def at(self, chosen: IntArray) -> _Partial:
        return _Partial(self.layer[chosen], self.units[chosen], self.left[chosen])


def unrollings(hierarchy: Hierarchy, nests: LoopNests) -> tuple[IntArray, IntArray]:
    """Unrollings of layers that are worth a search over orderings.

    Args:
        hierarchy: The accelerator.
        nests: M layers.

    Returns:
        (N,) layers, sorted, and (N, array dimensions, 8) units of each unrolling; at least one for every layer.
    """
    found = [
        _block(hierarchy, nests, np.arange(begin, min(begin + _LAYERS, len(nests))))
        for begin in range(0, len(nests), _LAYERS)
    ]
    dimensions = len(hierarchy.array.sizes)
    layer = [np.zeros(0, np.int64), *(partial.layer for partial in found)]
    units = [np.zeros((0, dimensions, len(LOOPS)), np.int64), *(partial.units for partial in found)]
    return np.concatenate(layer), np.concatenate(units)


def _block(hierarchy: Hierarchy, nests: LoopNests, layers: IntArray) -> _Partial:
    sizes = list(hierarchy.array.sizes.values())
    partial = _Partial(layers, np.ones((len(layers), len(sizes), len(LOOPS)), np.int64), nests.sizes[layers])
    twins = _twins(hierarchy)
    for dimension in sorted(range(len(sizes)), key=lambda number: (-sizes[number], number)):
        partial = _extended(partial, dimension, sizes[dimension])
        before = twins[dimension]
        if before is not None:
            # Exchanged, the two are the same unrolling: `_best` keeps one of both.
            code = partial.units @ _CODE
            rows = np.flatnonzero(code[:, before] < code[:, dimension])
            pair = np.array([[before, dimension]])
            partial.units[rows[:, None], pair] = partial.units[rows[:, None], pair[:, ::-1]]
        partial = _best(hierarchy, nests, partial, _KEPT, 0)
    return _best(hierarchy, nests, partial, _FINAL, _FRUGAL)


def _extended(partial: _Partial, dimension: int, size: int) -> _Partial:
    """Every partial unrolling with every filling of one more dimension."""
    first, second, share = _fillings(size)
    one, other = partial.left[:, first], partial.left[:, second]
    alone = first == second
    taken = np.where(share == 0, one, np.minimum(share, one))
    taken = np.where(alone, np.minimum(one, size), taken)
    room = size // np.maximum(taken, 1)
    beside = np.where(alone, 1, np.minimum(other, room))
    # Alone, a loop may be of size 1: then the dimension has one unit at work. Only one such filling is kept.
    possible = np.where(alone, (taken > 1) | (first == 0), (taken > 1) & (beside > 1))
    row, filling = np.nonzero(possible)
    taken, beside = taken[row, filling], beside[row, filling]
    units, left = partial.units[row], partial.left[row]
    numbers = np.arange(len(row))
    for loop, count in ((first[filling], taken), (second[filling], beside)):
        units[numbers, dimension, loop] *= count
        left[numbers, loop] = -(-left[numbers, loop] // count)
    return _Partial(partial.layer[row], units, left)


def _fillings(size: int) -> tuple[IntArray, IntArray, IntArray]:
    """First loop, second loop (the same: none) and units of the first; 0: all that is left of it."""
    loops = range(len(LOOPS))
    alone = [(loop, loop, 0) for loop in loops]
    whole = [(one, other, 0) for one, other in itertools.permutations(loops, 2)]
    shares = [share for share in range(2, size) if size % share == 0]
    mixed = [(one, other, share) for one, other in itertools.combinations(loops, 2) for share in shares]
    table = np.array(alone + whole + mixed, np.int64)
    return table[:, 0], table[:, 1], table[:, 2]


def _best(hierarchy: Hierarchy, nests: LoopNests, partial: _Partial, number: int, frugal: int) -> _Partial:
    """The fastest of each layer, some of them replaced by the most frugal ones, without doubles."""
    partial = partial.at(_distinct(partial))
    partial = partial.at(np.flatnonzero(_fits(hierarchy, nests, partial)))
    steps = partial.steps
    least = np.full(int(partial.layer.max()) + 1, np.inf)
    np.minimum.at(least, partial.layer, steps)
    partial = partial.at(np.flatnonzero(steps <= _SLACK * least[partial.layer]))
    steps, power = partial.steps, _power(hierarchy, nests, partial)
    loops = (partial.units > 1).sum(axis=(1, 2))
    fast = rank(partial.layer, (steps, power, loops))
    cheap = rank(partial.layer, (power * steps, steps, loops))
    return partial.at(np.flatnonzero((fast < number - frugal) | (cheap < frugal)))


def _distinct(partial: _Partial) -> IntArray:
    """Positions of the first of equal ones, sorted by layer."""
    rows = len(partial.layer)
    # Two that differ have the same number with a chance of 1 in 2^60 or so.
    key = partial.units.reshape(rows, -1) @ _MIXER[: partial.units[0].size] + partial.layer * _MIXER[-1]
    _, first = np.unique(key, return_index=True)
    found: IntArray = np.sort(first)
    return found[np.argsort(partial.layer[found], kind="stable")]


def rank(layer: IntArray, criteria: tuple[FloatArray | IntArray, ...]) -> IntArray:
    """(P,) place of each among those of its layer, by the first criterion first; ``layer`` is sorted."""
    ranked = np.lexsort((*reversed(criteria), layer))
    places = np.empty(len(layer), np.int64)
    places[ranked] = np.arange(len(layer)) - np.searchsorted(layer, layer)
    return places


def _fits(hierarchy: Hierarchy, nests: LoopNests, partial: _Partial) -> BoolArray:
    """(P,) whether every memory inside of the outermost ones holds what its units work on at a time."""
    own = nests.at(partial.layer)
    windows = Windows.of(own)
    summed = (own.sizes[:, IRRELEVANT[2]] > 1).any(axis=1)
    bits = own.bits.copy()
    bits[:, 2] = np.where(summed, own.partial_bits, own.bits[:, 2])
    fits = np.ones(len(partial.layer), np.bool_)
    taken = np.zeros((len(hierarchy.memories), len(partial.layer)))
    for number, operand in enumerate(OPERANDS):
        for depth, place in enumerate(hierarchy.chains[operand][:-1]):
            inside = list(hierarchy.shape.reach[number][depth + 1])
            extents = partial.units[:, inside].prod(axis=1).T.astype(np.float64)
            by_loop = dict(zip(LOOPS, extents, strict=True))
            taken[place] += elements(number, by_loop.__getitem__, windows, "whole") * bits[:, number]
    for place, memory in enumerate(hierarchy.memories):
        fits &= taken[place] <= memory.capacity
    return fits


def _power(hierarchy: Hierarchy, nests: LoopNests, partial: _Partial) -> FloatArray:
    """(P,) energy of a cycle's accesses to the innermost memories; their bits where the energy is not known."""
    total = np.zeros(len(partial.layer))
    for number, operand in enumerate(OPERANDS):
        memory = hierarchy.memories[hierarchy.chains[operand][0]]
        port = next(port for port in memory.ports if "read" in port.carries.get(operand, ()))
        energy = memory.read_pj if memory.read_pj > 0 else 1.0
        counted = ~IRRELEVANT[number]
        accesses = np.ones(len(partial.layer))
        for dimension, name in enumerate(hierarchy.array.sizes):
            units = partial.units[:, dimension].astype(np.float64)
            accesses *= (units[:, counted] if name in memory.served else units).prod(axis=1)
        total += accesses * nests.bits[partial.layer, number] * energy / port.max_bits
    return total


def _twins(hierarchy: Hierarchy) -> list[int | None]:
    """Of each array dimension, the one before it that nothing tells apart from it."""
    seen: dict[tuple[int, bool, tuple[bool, ...]], int] = {}
    found: list[int | None] = []
    for number, (name, size) in enumerate(hierarchy.array.sizes.items()):
        shared = tuple(name in memory.served for memory in hierarchy.memories)
        kind = (size, name in hierarchy.array.systolic, shared)
        found.append(seen.get(kind))
        seen[kind] = number
    return found

"""The best mapping of each of many layers on one hierarchy, over unrollings, orderings and allocations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import IntArray
from hannah_hw.cost.loop_nest.candidates import Objective, better, criteria
from hannah_hw.cost.loop_nest.evaluate import Evaluation, evaluate
from hannah_hw.cost.loop_nest.factors import Factors, prime_factors
from hannah_hw.cost.loop_nest.hierarchy import Hierarchy
from hannah_hw.cost.loop_nest.mapping import Mapping as Mapped
from hannah_hw.cost.loop_nest.nests import LOOP, LoopNests
from hannah_hw.cost.loop_nest.orderings import MOST_LOOPS, Orders, starts
from hannah_hw.cost.loop_nest.search import Found, best_of, search
from hannah_hw.cost.loop_nest.spatial import Mode, unroll
from hannah_hw.cost.loop_nest.tables import PAD, Tables
from hannah_hw.cost.loop_nest.unrollings import rank, unrollings

#: Prime factors of which all orderings are tried; with more, those are tried too and the better mapping is taken.
FULL_FACTORS: Final = 6

#: Unrollings of a layer whose orderings are all searched: the best of all with a few orderings. All of them are where
#: there are at most twice as many, since to rank them would save little.
_UNROLLINGS: Final = 3

#: Cases whose tables exist at a time.
_CASES: Final = 512


@dataclass(frozen=True)
class Choices:
    """What a mapper may choose from.

    Attributes:
        spatial: Unrollings, each (array dimensions, 8) as from `spatial.wanted`; ``search``: those of `unrollings`.
        temporal: Loops from the inner to the outer; None: all orderings.
        objective: What a mapping has least of.
        factors: Most prime factors of a layer's loops over time.
        half_full: Whether allocations that leave memories half empty are tried too.
        mode: See `spatial`.
    """

    spatial: tuple[IntArray, ...] | Literal["search"]
    temporal: tuple[str, ...] | None = None
    objective: Objective = "cycles"
    factors: int = FULL_FACTORS
    half_full: bool = True
    mode: Mode = "whole"


@dataclass(frozen=True)
class Mappings:
    """Mappings of M layers on one hierarchy, and what they cost.

    Attributes:
        hierarchy: The accelerator.
        units: (M, array dimensions, 8) units that each loop takes.
        kinds: Distinct loop factors of each.
        orders: (loops, M).
        costs: With words and energy of every link.
        tried: (M,) mappings that were priced.
        reasons: Why a layer has no mapping; None where it has one.
    """

    hierarchy: Hierarchy
    units: IntArray
    kinds: tuple[Factors, ...]
    orders: Orders
    costs: Evaluation
    tried: IntArray
    reasons: tuple[str | None, ...]

    def mapping(self, layer: int) -> Mapped:
        """The mapping of one layer."""
        positions = self.costs.positions[:, layer].astype(np.int64)
        return Mapped.chosen(
            self.hierarchy, self.units[layer], self.kinds[layer], self.orders[:, layer], positions
        )


def best_mappings(
    hierarchy: Hierarchy,
    nests: LoopNests,
    choices: Choices,
    reserved: Mapping[str, IntArray] | None = None,
) -> Iterator[tuple[IntArray, Mappings]]:
    """Map layers.

    Args:
        hierarchy: The accelerator.
        nests: M layers.
        choices: What to choose from.
        reserved: Memory -> (M,) bits of it that other tensors take.

    Yields:
        Positions of some of the layers, and their mappings; tables exist for these only.

    Raises:
        TargetError: An objective with energy on a hierarchy without.
    """
    layer, asked = _unrolled(hierarchy, nests, choices)
    begins = np.searchsorted(layer, np.arange(len(nests) + 1))
    first = 0
    while first < len(nests):
        last = max(int(np.searchsorted(begins, begins[first] + _CASES, side="right")) - 1, first + 1)
        rows = slice(int(begins[first]), int(begins[last]))
        yield (
            np.arange(first, last),
            _map(hierarchy, nests, choices, layer[rows], asked[rows], reserved or {}),
        )
        first = last


def _unrolled(hierarchy: Hierarchy, nests: LoopNests, choices: Choices) -> tuple[IntArray, IntArray]:
    """(N,) layers and (N, array dimensions, 8) units of the unrollings to try, each of them once."""
    if choices.spatial == "search":
        return unrollings(hierarchy, nests)
    asked = np.stack(choices.spatial)
    options, count = len(asked), len(nests)
    layer = np.repeat(np.arange(count), options)
    every = np.tile(asked, (count, 1, 1))
    if options == 1:
        return layer, every
    units = unroll(every, nests.sizes[layer], choices.mode).units.reshape(count, options, -1)
    equal = (units[:, :, None] == units[:, None, :]).all(axis=3)
    # The first of equals: no earlier option takes the same units.
    new = ~np.tril(equal, -1).any(axis=2).reshape(-1)
    return layer[new], every[new]


def _map(
    hierarchy: Hierarchy,
    nests: LoopNests,
    choices: Choices,
    layer: IntArray,
    asked: IntArray,
    reserved: Mapping[str, IntArray],
) -> Mappings:
    """Map the layers of some cases; every layer in between has one or more."""
    limits = _limits(choices)
    repeated = np.repeat(layer, len(limits))
    own = np.repeat(asked, len(limits), axis=0)
    temporal = unroll(own, nests.sizes[repeated], choices.mode).temporal
    factors = [
        prime_factors(row, limits[number % len(limits)]) for number, row in enumerate(temporal.tolist())
    ]
    new = [
        number
        for number, found in enumerate(factors)
        if number % len(limits) == 0 or found != factors[number - 1]
    ]
    cases = repeated[new]
    tables = Tables(
        hierarchy,
        nests.at(cases),
        own[new],
        [factors[number] for number in new],
        choices.mode,
        {name: bits[cases] for name, bits in reserved.items()},
    )
    found = _search(tables, cases, choices)
    chosen = _best_case(cases, found, choices.objective)
    orders = np.ascontiguousarray(found.orders[:, chosen])
    costs = evaluate(tables, chosen, orders, found.positions[:, chosen], detail=True)
    tried = np.add.reduceat(found.tried, np.flatnonzero(np.diff(cases, prepend=-1)))
    fits = found.fits[chosen]
    return Mappings(
        hierarchy=hierarchy,
        units=tables.unrolled.units[chosen],
        kinds=tuple(tables.kinds[case] for case in chosen),
        orders=orders,
        costs=costs,
        tried=tried,
        reasons=tuple(
            None if fit else tables.cannot_hold(int(case)) or "no mapping fits into the memories"
            for fit, case in zip(fits.tolist(), chosen, strict=True)
        ),
    )


def _limits(choices: Choices) -> tuple[int, ...]:
    if choices.temporal is not None:
        return (MOST_LOOPS,)
    if choices.factors > FULL_FACTORS:
        return (FULL_FACTORS, choices.factors)
    return (choices.factors,)


def _search(tables: Tables, layers: IntArray, choices: Choices) -> Found:
    allocations = None if choices.half_full else ()
    if choices.temporal is not None:
        orders = ordered(tables, choices.temporal)
        return best_of(tables, np.arange(len(tables)), orders, choices.objective, allocations)
    # What is searched of a layer depends on its own cases only, not on those of other layers.
    many = np.bincount(layers)[layers] > 2 * _UNROLLINGS
    if not many.any():
        return search(tables, choices.objective, allocations)
    loops = int(tables.loops.max())
    which, orders = starts(tables.kinds, tables.repeats, np.flatnonzero(many), loops, 0, 0)
    quick = best_of(tables, which, orders, choices.objective, ())
    places = rank(layers, criteria(choices.objective, quick.cycles, quick.energy_pj))
    leading = np.flatnonzero(~many | (places < _UNROLLINGS))
    found = search(tables, choices.objective, allocations, cases=leading)
    found.tried[:] += quick.tried
    return found


def ordered(tables: Tables, loops: Sequence[str]) -> Orders:
    """(loops, M) the ordering of each case that has the loops in one order, the smaller factors of a loop inside.

    Args:
        tables: Tables of M cases.
        loops: From the inner to the outer; those that are left out come outside of them.
    """
    turn = {LOOP[name]: place for place, name in enumerate(loops)}
    outside = len(turn)
    orders: NDArray[np.uint8] = np.full((int(tables.loops.max(initial=0)), len(tables)), PAD, np.uint8)
    for case, kinds in enumerate(tables.kinds):
        places = sorted(range(len(kinds)), key=lambda kind: (turn.get(kinds[kind][0], outside), kinds[kind]))
        repeats = tables.repeats[case]
        sequence = [kind for kind in places for _ in range(int(repeats[kind]))]
        orders[: len(sequence), case] = sequence
    return orders


def _best_case(layers: IntArray, found: Found, objective: Objective) -> IntArray:
    """The best case of each layer, of equals the first."""
    begins = np.flatnonzero(np.diff(layers, prepend=-1))
    first, second = criteria(objective, found.cycles, found.energy_pj)
    best = begins.copy()
    lengths = np.diff(begins, append=len(layers))
    for offset in range(1, int(lengths.max(initial=1))):
        there = np.flatnonzero(lengths > offset)
        case = begins[there] + offset
        wins = better((first[case], second[case]), (first[best[there]], second[best[there]]))
        best[there[wins]] = case[wins]
    return best

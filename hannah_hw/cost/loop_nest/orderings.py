"""Orderings of the loop factors of cases: all of them, or good ones to start a search from.

An ordering is a sequence of positions in the kinds of a case (see `tables`), inner loop first. How many there are and
which depends only on how often each kind occurs, so that they are made once for each such pattern.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import IntArray
from hannah_hw.cost.loop_nest.factors import Factors
from hannah_hw.cost.loop_nest.nests import LOOP
from hannah_hw.cost.loop_nest.states import PAD

#: (loops, rows) of positions in the kinds of the case of a row, padded with `PAD` at the end.
Orders = NDArray[np.uint8]

#: Most loops of an ordering: `keys` holds so many.
MOST_LOOPS: Final = 12

#: Loops that leave an operand where it is: the weights, the partial sums, the input. Orders that run one group inside
#: of another are those of the dataflows that are named after what stays.
_STATIONARY: Final = (("B", "OX", "OY"), ("FX", "FY", "C"), ("K",))


def pattern(repeats: IntArray) -> tuple[int, ...]:
    """How often each kind occurs, without the kinds that a case does not have."""
    return tuple(int(times) for times in repeats if times)


def count(repeats: IntArray) -> IntArray:
    """(M,) distinct orderings of cases from (M, U) occurrences of their kinds."""
    top = int(repeats.sum(axis=1).max(initial=0))
    factorial = np.array([float(math.factorial(n)) for n in range(top + 1)])
    found = factorial[repeats.sum(axis=1)] / factorial[repeats].prod(axis=1)
    rounded: IntArray = np.rint(np.minimum(found, 2.0**62)).astype(np.int64)
    return rounded


@lru_cache(maxsize=512)
def all_orderings(repeats: tuple[int, ...]) -> Orders:
    """(loops, N) every distinct ordering, lexicographically by columns."""
    if not any(repeats):
        return np.zeros((0, 1), np.uint8)
    parts = []
    for kind, times in enumerate(repeats):
        if times:
            rest = all_orderings((*repeats[:kind], times - 1, *repeats[kind + 1 :]))
            parts.append(np.concatenate([np.full((1, rest.shape[1]), kind, np.uint8), rest]))
    whole = np.ascontiguousarray(np.concatenate(parts, axis=1))
    whole.setflags(write=False)
    return whole


@lru_cache(maxsize=512)
def _padded(repeats: tuple[int, ...], loops: int) -> Orders:
    return _pad(all_orderings(repeats), loops)


def _pad(orders: Orders, loops: int) -> Orders:
    """Orders at least ``loops`` long."""
    missing = max(loops - len(orders), 0)
    return np.concatenate([orders, np.full((missing, orders.shape[1]), PAD, np.uint8)])


def enumerated(repeats: IntArray, cases: IntArray, loops: int) -> tuple[IntArray, Orders]:
    """All orderings of some cases, one case after the other.

    Args:
        repeats: (M, U) occurrences of the kinds of all cases.
        cases: Positions of those that are wanted.
        loops: Rows of the result.

    Returns:
        (B,) the case of each ordering, and (loops, B) the orderings.
    """
    made = [_padded(pattern(repeats[case]), loops) for case in cases.tolist()]
    rows = np.array([orders.shape[1] for orders in made], np.int64)
    whole = np.concatenate(made, axis=1) if made else np.zeros((loops, 0), np.uint8)
    return np.repeat(cases, rows), whole


def batches(rows: IntArray, limit: int) -> Iterator[slice]:
    """Runs of cases of at most ``limit`` rows in all, or of one case."""
    ends = np.cumsum(rows)
    begin, done = 0, 0
    while begin < len(rows):
        end = max(int(np.searchsorted(ends, done + limit, side="right")), begin + 1)
        yield slice(begin, end)
        begin, done = end, int(ends[end - 1])


@lru_cache(maxsize=4096)
def stationary(kinds: Factors, repeats: tuple[int, ...]) -> Orders:
    """(loops, N) up to six orders that keep one operand in place longest, another second; groups outermost."""
    of_loop: dict[int, list[int]] = {}
    for place, ((loop, _), times) in enumerate(zip(kinds, repeats, strict=True)):
        of_loop.setdefault(loop, []).extend([place] * times)
    grouped = [[place for loop in loops for place in of_loop.get(LOOP[loop], [])] for loops in _STATIONARY]
    outermost = of_loop.get(LOOP["G"], [])
    orders = dict.fromkeys(
        tuple(itertools.chain(*chosen, outermost)) for chosen in itertools.permutations(grouped)
    )
    return np.array(list(orders), np.uint8).T


@lru_cache(maxsize=512)
def drawn(repeats: tuple[int, ...], number: int, seed: int) -> Orders:
    """(loops, number) random orders; the same for the same arguments, so that no case depends on its neighbours."""
    loops = np.repeat(np.arange(len(repeats), dtype=np.uint8), repeats)
    generator = np.random.default_rng((seed, *repeats))
    rows = np.broadcast_to(loops, (number, len(loops)))
    return np.ascontiguousarray(generator.permuted(rows, axis=1).T)


def starts(
    kinds: Sequence[Factors], repeats: IntArray, cases: IntArray, loops: int, random: int, seed: int
) -> tuple[IntArray, Orders]:
    """Stationary and random orders of some cases, as `enumerated` returns them; some may occur twice."""
    made = []
    for case in cases.tolist():
        own = pattern(repeats[case])
        orders = np.concatenate([stationary(kinds[case], own), drawn(own, random, seed)], axis=1)
        made.append(_pad(orders, loops))
    rows = np.array([orders.shape[1] for orders in made], np.int64)
    whole = np.concatenate(made, axis=1) if made else np.zeros((loops, 0), np.uint8)
    return np.repeat(cases, rows), whole


def swapped(orders: Orders, loops: IntArray) -> tuple[IntArray, Orders]:
    """Every ordering with every two of its loops exchanged.

    Args:
        orders: (L, B).
        loops: (B,) loops of each, without padding.

    Returns:
        Which of the B each new ordering comes from, and the (L, N) new orderings.
    """
    length, rows = orders.shape
    pairs = list(itertools.combinations(range(length), 2))
    places = np.tile(np.arange(length), (len(pairs), 1))
    for number, (one, other) in enumerate(pairs):
        places[number, [one, other]] = other, one
    last = np.array([other for _, other in pairs], np.int64)
    keep = last[:, None] < loops[None, :]
    source = np.broadcast_to(np.arange(rows), keep.shape)[keep]
    which = np.broadcast_to(np.arange(len(pairs))[:, None], keep.shape)[keep]
    return source, orders[places[which].T, source]


def keys(cases: IntArray, orders: Orders) -> IntArray:
    """(B,) numbers that are equal of equal orderings of one case only, and sort by case, then as orderings do.

    Args:
        cases: (B,) below 2^14.
        orders: (loops, B) of at most `MOST_LOOPS` loops.
    """
    key: IntArray = cases.astype(np.int64)
    for row in orders:
        key = key * 16 + np.minimum(row, 15)
    return key

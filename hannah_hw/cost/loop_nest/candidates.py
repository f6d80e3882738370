"""Priced mappings of many cases, and which of them are best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import BoolArray, FloatArray, IntArray
from hannah_hw.cost.loop_nest.evaluate import evaluate
from hannah_hw.cost.loop_nest.orderings import Orders
from hannah_hw.cost.loop_nest.tables import Tables

Objective = Literal["cycles", "energy", "edp"]

#: Rows of a batch: enough that the cost of a call does not count, few enough to stay in the cache.
ROWS: Final = 10_000

#: Figures that differ by less are equal, whatever the order in which they were summed.
_EQUAL: Final = 1e-12


@dataclass(frozen=True)
class Candidates:
    """B priced mappings, sorted by case.

    Attributes:
        cases: (B,) case of each.
        orders: (loops, B) orderings.
        positions: (levels, B) loops held at and below each level.
        cycles: (B,), infinite where the mapping does not fit.
        energy_pj: (B,).
    """

    cases: IntArray
    orders: Orders
    positions: NDArray[np.int8]
    cycles: FloatArray
    energy_pj: FloatArray

    @classmethod
    def priced(
        cls, tables: Tables, cases: IntArray, orders: Orders, positions: NDArray[np.int8] | None = None
    ) -> Candidates:
        """Evaluate rows, with full memories unless positions are given."""
        costs = evaluate(tables, cases, orders, positions, chunk=ROWS)
        return cls(cases, orders, costs.positions, costs.cycles, costs.energy_pj)

    def at(self, chosen: BoolArray | IntArray) -> Candidates:
        """Some of them, by mask or by position."""
        return Candidates(
            self.cases[chosen],
            self.orders[:, chosen],
            self.positions[:, chosen],
            self.cycles[chosen],
            self.energy_pj[chosen],
        )


def together(parts: Sequence[Candidates]) -> Candidates:
    """Candidates one after the other."""
    return Candidates(
        np.concatenate([part.cases for part in parts]),
        np.concatenate([part.orders for part in parts], axis=1),
        np.concatenate([part.positions for part in parts], axis=1),
        np.concatenate([part.cycles for part in parts]),
        np.concatenate([part.energy_pj for part in parts]),
    )


def criteria(
    objective: Objective, cycles: FloatArray, energy_pj: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """What is to be least, and what decides between equals."""
    if objective == "cycles":
        return cycles, np.where(np.isnan(energy_pj), np.inf, energy_pj)
    if objective == "energy":
        return energy_pj, cycles
    return cycles * energy_pj, cycles


def better(one: tuple[FloatArray, FloatArray], other: tuple[FloatArray, FloatArray]) -> BoolArray:
    """Whether the first of two pairs of criteria is the better one; not where they are equal."""
    first, second = one
    least, then = other
    found: BoolArray = (first < least * (1 - _EQUAL)) | (
        (first <= least * (1 + _EQUAL)) & (second < then * (1 - _EQUAL))
    )
    return found


def leading(rows: Candidates, objective: Objective, number: int) -> IntArray:
    """Sorted positions of the best rows of each case, of equals the first ones. Rows are sorted by case."""
    first, second = criteria(objective, rows.cycles, rows.energy_pj)
    begins = np.flatnonzero(np.diff(rows.cases, prepend=-1))
    if number == 1:
        return first_best(begins, first, second)
    ends = np.append(begins[1:], len(rows.cases))
    chosen = [np.zeros(0, np.int64)]
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        if end - begin <= number:
            chosen.append(np.arange(begin, end))
        else:
            ranked = np.lexsort((second[begin:end], first[begin:end]))[:number]
            ranked.sort()
            chosen.append(begin + ranked)
    return np.concatenate(chosen)


def first_best(begins: IntArray, first: FloatArray, second: FloatArray) -> IntArray:
    """The best row of each run of rows, the first one of equals."""
    lengths = np.diff(begins, append=len(first))
    least = np.minimum.reduceat(first, begins) * (1 + _EQUAL)
    tied = np.flatnonzero(first <= np.repeat(least, lengths))
    run = np.repeat(np.arange(len(begins)), lengths)[tied]
    then = second[tied]
    begins = np.flatnonzero(np.diff(run, prepend=-1))
    least = np.minimum.reduceat(then, begins) * (1 + _EQUAL)
    chosen = then <= least[run]
    tied, run = tied[chosen], run[chosen]
    best: IntArray = tied[np.flatnonzero(np.diff(run, prepend=-1))]
    return best

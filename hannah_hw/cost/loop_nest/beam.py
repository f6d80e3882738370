"""Good orderings of cases that have too many to try all: a beam search."""

from __future__ import annotations

from typing import Final

import numpy as np

from hannah_hw.cost.accelerators.layers import IntArray
from hannah_hw.cost.loop_nest.candidates import Candidates, Objective, leading, together
from hannah_hw.cost.loop_nest.orderings import Orders, keys, starts, swapped
from hannah_hw.cost.loop_nest.tables import Tables

#: Orders whose exchanges are tried next, random orders beside the stationary ones, and most rounds of the beam search.
BEAM: Final = 8
_RANDOM: Final = 16
_ROUNDS: Final = 8


def beam(tables: Tables, cases: IntArray, loops: int, objective: Objective, seed: int) -> Candidates:
    """Orders that keep one operand in place, random ones, and what exchanges of two loops of the best lead to.

    Args:
        tables: Tables of the cases.
        cases: Sorted positions of some.
        loops: Rows of orderings.
        objective: What is to be least.
        seed: Of the random orders.

    Returns:
        Sorted by case, then as orderings.
    """
    first = int(cases[0])

    def unseen(which: IntArray, orders: Orders, known: IntArray) -> tuple[Candidates, IntArray]:
        key, place = np.unique(keys(which - first, orders), return_index=True)
        new = ~np.isin(key, known)
        return Candidates.priced(tables, which[place[new]], orders[:, place[new]]), key[new]

    begin = starts(tables.kinds, tables.repeats, cases, loops, _RANDOM, seed)
    rows, known = unseen(*begin, np.empty(0, np.int64))
    expanded = np.zeros(len(known), np.bool_)
    for _ in range(_ROUNDS):
        opened = leading(rows, objective, BEAM)
        opened = opened[~expanded[opened]]
        if not len(opened):
            break
        expanded[opened] = True
        source, orders = swapped(rows.orders[:, opened], tables.loops[rows.cases[opened]])
        fresh, key = unseen(rows.cases[opened][source], orders, known)
        rows, known = together([rows, fresh]), np.concatenate([known, key])
        expanded = np.concatenate([expanded, np.zeros(len(key), np.bool_)])
        ranked = np.argsort(known)
        rows, known, expanded = rows.at(ranked), known[ranked], expanded[ranked]
    return rows

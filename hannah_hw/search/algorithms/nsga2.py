"""NSGA-II (Deb et al. 2002; see `hannah_hw.search.dominance`) on conditional mixed spaces."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from hannah_hw.search.algorithms.base import Algorithm
from hannah_hw.search.dominance import crowding, sort_fronts
from hannah_hw.search.protocols import FloatArray, IntArray

#: Probability that a child mixes two parents.
CROSSOVER: Final = 0.9


class Nsga2(Algorithm):
    """Elitist selection by constrained rank and crowding, binary tournaments, generations of a population's size.

    The population is kept sorted by rank, then crowding, so that a tournament is a comparison of indices.
    """

    name: ClassVar[str] = "nsga2"

    def _offspring(self, n: int) -> FloatArray:
        # Of two random members the one with the lower index is the better one.
        parents = self.rng.integers(len(self.rows), size=(2, 2, n)).min(axis=0)
        return self.variation.children(self.rows, parents[0], parents[1], self.rng, crossover=CROSSOVER)

    def _survive(self) -> None:
        rank = sort_fronts(self.objectives, self.violation)
        order: IntArray = np.lexsort((-crowding(self.objectives, rank), rank))
        self.select(order[: self.population])

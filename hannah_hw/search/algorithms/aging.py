"""Aging evolution for several objectives.

After Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019; here every
tournament is judged by a randomly weighted Tchebycheff norm.
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from hannah_hw.search.algorithms.base import Algorithm
from hannah_hw.search.protocols import FloatArray

#: Share of the population that takes part in a tournament (25 of 100 in the paper).
TOURNAMENT: Final = 0.25
#: Probability that a child mixes the winners of two tournaments under the same weights. The paper only mutates;
#: on problem A of ``benchmarks/search_quality.py`` mixing always is worth a fifth of the hypervolume.
CROSSOVER: Final = 1.0
#: Added to the score of an infeasible member, beyond any feasible one's.
PENALTY: Final = 10.0


class Aging(Algorithm):
    """The oldest member dies, whatever its worth; parents win tournaments under random weights.

    Objectives are normalised by the range of the population's feasible members; the score of a member under
    weights w is ``max_j w_j z_j``, plus `PENALTY` and its violation if it is infeasible.
    """

    name: ClassVar[str] = "aging"

    @property
    def batch(self) -> int:
        """A sixteenth of the population, at least 8: small enough for selection to act on what was just learnt."""
        return max(8, self.population // 16)

    def _offspring(self, n: int) -> FloatArray:
        score = self._scores(self.rng.dirichlet(np.ones(self.objectives.shape[1]), n))
        size = len(self.rows)
        entrants = max(2, round(TOURNAMENT * size))
        parents = []
        for _ in range(2):
            ticket = self.rng.random((n, size))
            limit = np.partition(ticket, entrants - 1, axis=1)[:, entrants - 1 : entrants]
            parents.append(np.where(ticket <= limit, score, np.inf).argmin(axis=1))
        return self.variation.children(self.rows, parents[0], parents[1], self.rng, crossover=CROSSOVER)

    def _scores(self, weights: FloatArray) -> FloatArray:
        """(n, N) scores of all members under (n, M) weights; finite, lower is better."""
        feasible = self.violation == 0
        known = self.objectives[feasible]
        if len(known):
            low = known.min(axis=0)
            extent = np.maximum(known.max(axis=0) - low, 1e-12)
            scaled = np.where(feasible[:, None], (self.objectives - low) / extent, 0.0)
        else:
            scaled = np.zeros_like(self.objectives)
        worst = np.minimum(self.violation, 1e9)
        score: FloatArray = (weights[:, None, :] * scaled).max(axis=2)
        return score + np.where(feasible, 0.0, PENALTY + worst)

    def _survive(self) -> None:
        self.select(slice(-self.population, None))

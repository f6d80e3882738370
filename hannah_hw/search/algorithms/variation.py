"""Crossover and mutation on rows of an `Encoding`: only parameters that mean something are varied.

* Crossover takes each parameter from one of two parents; half of the children exchange whole sub-trees
  (the encoding's groups), so that values that were selected together stay together.
* Mutation changes active parameters only: an unordered category becomes another one, a number makes a
  normal step whose width is drawn log-uniformly between `NARROWEST` and `WIDEST` of its range, reflected at
  the ends.
* A sub-tree that a child switches on gets living genes: the values that another member of the population
  uses there, or random ones where nobody does. The declared defaults would otherwise flood every new branch.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from hannah_hw.search.protocols import BoolArray, Encoding, FloatArray, IntArray

#: Width of a numeric mutation as a share of the parameter's range: 10 ** U(log10 NARROWEST, log10 WIDEST).
NARROWEST: Final = 0.02
WIDEST: Final = 0.5
#: Width of the steps, as a share of the range, where the number of mutated parameters is given; at least one level.
STEP: Final = 0.15
#: Number of mutated parameters of a child and how often.
MUTATIONS: Final = ((1, 2, 4), (0.45, 0.35, 0.20))
#: Share of children that exchange whole sub-trees, of those that cross at all.
BY_GROUP: Final = 0.5
#: Share of the genes of a sub-tree switched on that are copied from the population, the rest are random.
DONATED: Final = 0.9


class Variation:
    """The operators of one encoding.

    Args:
        encoding: The parameter space.
    """

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        levels = encoding.levels
        self.continuous: BoolArray = levels == 0
        self.category: BoolArray = ~encoding.ordered & ~self.continuous
        self.top: FloatArray = np.where(self.continuous, 1.0, np.maximum(levels - 1, 0))
        self.movable: BoolArray = levels != 1
        names, self.group = np.unique(encoding.groups, return_inverse=True)
        self.group_count = len(names)
        self.conditional = not bool(encoding.active(self._probe()).all())

    def _probe(self) -> FloatArray:
        """Rows that show whether any parameter can be inactive."""
        return self.random(256, np.random.default_rng(0))

    def random(self, n: int, rng: np.random.Generator) -> FloatArray:
        """(n, D) independent uniform values of every column, active or not."""
        share = rng.random((n, len(self.top)))
        rows: FloatArray = np.where(self.continuous, share, np.floor(share * (self.top + 1)))
        return rows

    def children(
        self,
        pool: FloatArray,
        mothers: IntArray,
        fathers: IntArray,
        rng: np.random.Generator,
        *,
        crossover: float | FloatArray,
        by_group: float | FloatArray = BY_GROUP,
        genes: FloatArray | None = None,
    ) -> FloatArray:
        """One child of each pair of parents.

        Args:
            pool: (N, D) canonical rows; any of them may lend genes to a sub-tree switched on.
            mothers: (P,) rows of the pool.
            fathers: (P,) rows of the pool.
            rng: Source of randomness.
            crossover: Probability that a child mixes its parents, one or (P,); otherwise it is a mutated mother.
            by_group: Probability that a child that mixes exchanges whole sub-trees, one or (P,).
            genes: (P,) expected number of mutated parameters, each taken with equal probability and moved by
                `STEP`; None: numbers and widths of `MUTATIONS`, `NARROWEST` and `WIDEST`.

        Returns:
            (P, D) canonical rows.
        """
        count, width = len(mothers), pool.shape[1]
        whole = rng.random((count, self.group_count))[:, self.group] < 0.5
        single = rng.random((count, width)) < 0.5
        swap = np.where((rng.random(count) < by_group)[:, None], whole, single)
        swap &= (rng.random(count) < crossover)[:, None]
        rows = np.where(swap, pool[fathers], pool[mothers])
        if self.conditional:
            active = self.encoding.active(pool)
            alive = np.where(swap, active[fathers], active[mothers])
            rows = np.where(alive, rows, self._genes(pool, active, count, rng))
        else:
            alive = np.ones(rows.shape, bool)
        if genes is None:
            self._mutate(rows, alive, rng)
        else:
            self._jitter(rows, alive, genes, rng)
        return self.encoding.canonical(rows)

    def _genes(
        self, donors: FloatArray, active: BoolArray, count: int, rng: np.random.Generator
    ) -> FloatArray:
        """(count, D) values for columns that may come alive, whole sub-trees from one donor each."""
        fresh = self.random(count, rng)
        pick: IntArray = rng.integers(len(donors), size=(count, self.group_count))[:, self.group]
        columns = np.arange(fresh.shape[1])
        lent = active[pick, columns] & (rng.random(fresh.shape) < DONATED)
        return np.where(lent, donors[pick, columns], fresh)

    def _mutate(self, rows: FloatArray, alive: BoolArray, rng: np.random.Generator) -> None:
        """Change one, two or four active columns of every row, in place."""
        count, width = rows.shape
        sizes, shares = MUTATIONS
        wanted = np.minimum(
            np.array(sizes)[np.searchsorted(np.cumsum(shares)[:-1], rng.random(count))], width
        )
        key = np.where(alive & self.movable, rng.random(rows.shape), 2.0)
        limit = np.sort(key, axis=1)[np.arange(count), wanted - 1]
        row, column = np.nonzero((key <= limit[:, None]) & (key < 2.0))
        exponent = rng.uniform(np.log10(NARROWEST), np.log10(WIDEST), len(row))
        old, top = rows[row, column], self.top[column]
        step = rng.normal(size=len(row)) * 10.0**exponent * top
        whole = np.sign(step) * np.maximum(np.abs(step), 1.0)
        moved = old + np.where(self.continuous[column], step, whole)
        moved = np.where(moved < 0, -moved, np.where(moved > top, 2 * top - moved, moved))
        rows[row, column] = np.where(self.category[column], self._other(old, top, rng), moved)

    def _jitter(
        self, rows: FloatArray, alive: BoolArray, genes: FloatArray, rng: np.random.Generator
    ) -> None:
        """Change `genes` active columns of each row on average, in place."""
        free = alive & self.movable
        share = genes / np.maximum(free.sum(axis=1), 1)
        row, column = np.nonzero((rng.random(rows.shape) < share[:, None]) & free)
        old, top = rows[row, column], self.top[column]
        step = rng.normal(size=len(row)) * STEP * top
        whole = np.sign(step) * np.maximum(np.abs(step), 1.0)
        moved = np.clip(old + np.where(self.continuous[column], step, whole), 0.0, top)
        rows[row, column] = np.where(self.category[column], self._other(old, top, rng), moved)

    @staticmethod
    def _other(old: FloatArray, top: FloatArray, rng: np.random.Generator) -> FloatArray:
        """(K,) another level of each category."""
        other: FloatArray = (old + 1 + np.floor(rng.random(len(old)) * np.maximum(top, 1))) % (top + 1)
        return other

"""The evolutionary searches that Vega's documents name, on any space.

They are what ``search_algorithm: {type: BackboneNas}`` of a document asks for (Huawei Noah's Ark Lab, Vega 1.8.5,
``algorithms/nas/backbone_nas``, ``algorithms/compression/quant_ea`` and ``prune_ea``): children of the front whose
codes (see `hannah_hw.search.algorithms.codes`) change as a whole. Parents are ranked by constrained dominance and
crowding, nothing is evaluated twice, and constraints that the estimate shows cost nothing, as in every algorithm here.
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from hannah_hw.search.algorithms.base import Algorithm
from hannah_hw.search.algorithms.codes import find_codes, move_ones, random_segments, resample
from hannah_hw.search.dominance import crowding, sort_fronts
from hannah_hw.search.protocols import Encoding, FloatArray, IntArray, Outlook

#: Share of the children whose segments come from a second parent; the others get new values there.
CROSSED: Final = 0.5
#: Share of the children whose parameters outside of codes change too.
BESIDES: Final = 0.5


class CodeEvolution(Algorithm):
    """What the searches share: parents from the front, some random candidates, codes apart from other parameters.

    A space without codes is one code of all of its discrete parameters.

    Args:
        encoding: See `Algorithm`, as for the other arguments.
        objectives: Number of objectives M.
        population: Members that are kept.
        seed: Fixes the sequence.
        outlook: What is known before an evaluation.
        random_ratio: Share of the candidates that are drawn at random instead of bred.

    Raises:
        ValueError: `random_ratio` is no share below 1.
    """

    def __init__(
        self,
        encoding: Encoding,
        objectives: int,
        *,
        population: int,
        seed: int,
        outlook: Outlook | None = None,
        random_ratio: float = 0.2,
    ) -> None:
        super().__init__(encoding, objectives, population=population, seed=seed, outlook=outlook)
        if not 0 <= random_ratio < 1:
            raise ValueError(f"random_ratio is {random_ratio}; it must be at least 0 and below 1")
        self.random_ratio = random_ratio
        discrete = np.flatnonzero(encoding.levels > 1)
        self.codes: list[IntArray] = find_codes(encoding) or ([discrete] if len(discrete) else [])
        columns = np.concatenate(self.codes) if self.codes else np.zeros(0, np.int64)
        self.others: IntArray = np.setdiff1d(np.arange(len(encoding.ids)), columns)

    def _survive(self) -> None:
        rank = sort_fronts(self.objectives, self.violation)
        order: IntArray = np.lexsort((-crowding(self.objectives, rank), rank))
        self.select(order[: self.population])

    def _offspring(self, n: int) -> FloatArray:
        front = np.flatnonzero(sort_fronts(self.objectives, self.violation) == 0)
        mothers, fathers = self.rng.choice(front, size=(2, n))
        rows = self.rows[mothers].copy()
        varied = self.variation.children(self.rows, mothers, fathers, self.rng, crossover=0.0)
        besides = self.rng.random(n) < BESIDES
        rows[np.ix_(besides, self.others)] = varied[np.ix_(besides, self.others)]
        self._vary(rows, self.rows[fathers])
        random = self.rng.random(n) < self.random_ratio
        rows[random] = self.encoding.sample(int(random.sum()), self.rng)
        return self.encoding.canonical(rows)

    def _vary(self, rows: FloatArray, fathers: FloatArray) -> None:
        """Change the codes of children, copies of their mothers, in place: a segment of one of them."""
        which = self.rng.integers(len(self.codes), size=len(rows)) if self.codes else np.zeros(0, np.int64)
        crossed = self.rng.random((len(rows), 1)) < CROSSED
        for number, code in enumerate(self.codes):
            at = np.flatnonzero(which == number)
            old = rows[np.ix_(at, code)]
            new = resample(old, self.encoding.levels[code], self.rng)
            new = np.where(crossed[at], fathers[np.ix_(at, code)], new)
            inside = random_segments(len(at), len(code), self.rng)
            rows[np.ix_(at, code)] = np.where(inside, new, old)


class QuantEA(CodeEvolution):
    """Bit widths: a segment of a code gets other widths, or those of a second parent."""

    name: ClassVar[str] = "QuantEA"


class PruneEA(CodeEvolution):
    """Kept channels: a segment of a code is drawn anew (flipped, where it is a mask), or is that of a second parent."""

    name: ClassVar[str] = "PruneEA"


class BackboneNas(CodeEvolution):
    """Places of doublings and of strides: every binary code of a child has as many ones as its parent's.

    Args:
        encoding: See `CodeEvolution`, as for the other arguments.
        objectives: Number of objectives M.
        population: Members that are kept.
        seed: Fixes the sequence.
        outlook: What is known before an evaluation.
        random_ratio: Share of the candidates that are drawn at random instead of bred.
        num_mutate: Twice the largest distance that an entry is moved in the last step; at least 2.

    Raises:
        ValueError: An option is out of range.
    """

    name: ClassVar[str] = "BackboneNas"

    def __init__(
        self,
        encoding: Encoding,
        objectives: int,
        *,
        population: int,
        seed: int,
        outlook: Outlook | None = None,
        random_ratio: float = 0.2,
        num_mutate: int = 10,
    ) -> None:
        super().__init__(
            encoding, objectives, population=population, seed=seed, outlook=outlook, random_ratio=random_ratio
        )
        if num_mutate < 2:
            raise ValueError(f"num_mutate is {num_mutate}; it must be at least 2")
        self.reach = num_mutate // 2
        binary = [code for code in find_codes(encoding) if (encoding.levels[code] == 2).all()]
        self.codes = binary or self.codes
        self.binary = bool(binary)
        columns = np.concatenate(self.codes) if self.codes else np.zeros(0, np.int64)
        self.others = np.setdiff1d(np.arange(len(encoding.ids)), columns)

    def _vary(self, rows: FloatArray, fathers: FloatArray) -> None:
        if not self.binary:
            super()._vary(rows, fathers)
            return
        for code in self.codes:
            rows[:, code] = move_ones(rows[:, code], self.reach, self.rng)

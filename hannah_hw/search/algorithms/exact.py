"""The exact front of a small space on which every objective is known: nothing is left to chance or to evolution."""

from __future__ import annotations

import time
from typing import ClassVar, Final

import numpy as np

from hannah_hw.errors import ConfigError
from hannah_hw.search.algorithms._rows import count_rows
from hannah_hw.search.algorithms.base import Algorithm
from hannah_hw.search.dominance import pareto_mask
from hannah_hw.search.protocols import Encoding, FloatArray, Outlook

#: Combinations of levels that are enumerated at most.
MOST_ROWS: Final = 1 << 20
#: Seconds that pricing them may take, judged by the first `CHUNK` of them.
MOST_SECONDS: Final = 600.0
#: Rows priced at a time.
CHUNK: Final = 1 << 13


def refusal(encoding: Encoding, outlook: Outlook | None) -> str | None:
    """Why a space cannot be enumerated on an outlook; None where it can.

    Prices a few rows: the time that all of them need is judged by it.
    """
    if outlook is None:
        return "nothing is known of a candidate before it is evaluated"
    rows = count_rows(encoding)
    if rows > MOST_ROWS:
        return f"the space has {rows:.3g} combinations, more than the {MOST_ROWS} that are enumerated"
    sample = encoding.sample(64, np.random.default_rng(0))
    known = outlook.known(sample)
    feasible = known.violation == 0
    if np.isnan(known.objectives[feasible]).any():
        return "an objective is only known after an evaluation"
    start = time.perf_counter()
    outlook.known(encoding.sample(min(CHUNK, int(rows)), np.random.default_rng(1)))
    seconds = (time.perf_counter() - start) * max(1.0, rows / CHUNK)
    if seconds > MOST_SECONDS:
        return (
            f"pricing all {rows:.0f} combinations would take {seconds:.0f} s, more than {MOST_SECONDS:.0f} s"
        )
    return None


class Exact(Algorithm):
    """Enumerates the space on the outlook and hands out its front: best first in the first objective.

    Every row of the front is handed out, also those with equal objectives, and nothing after it. Where no row keeps
    the constraints, the rows of the least violation are handed out instead.

    Raises:
        ConfigError: See `refusal`; raised by the first `ask`.

    Attributes:
        priced: Distinct candidates of the space, known after the first `ask`.
        feasible: Those of them that keep the constraints.
        ties: Rows of the front whose objectives another one has too.
    """

    name: ClassVar[str] = "exact"
    enumerates: ClassVar[bool] = True

    def __init__(
        self,
        encoding: Encoding,
        objectives: int,
        *,
        population: int,
        seed: int,
        outlook: Outlook | None = None,
    ) -> None:
        super().__init__(encoding, objectives, population=population, seed=seed, outlook=outlook)
        self.priced = self.feasible = self.ties = 0
        self._front: FloatArray | None = None

    def ask(self, n: int) -> FloatArray:
        """(m, D) the next rows of the front, m <= n; none at its end."""
        if self._front is None:
            self._front = self._enumerate_front()
        rows = self._unseen(self._front)[:n]
        return self._hand_out(rows, np.zeros(len(rows)))

    def _offspring(self, n: int) -> FloatArray:
        return self.rows[:0]

    def _survive(self) -> None:
        """Everything told is kept: it is the front."""

    def _enumerate_front(self) -> FloatArray:
        reason = refusal(self.encoding, self.outlook)
        if reason is not None or self.outlook is None:
            raise ConfigError(f"the front cannot be enumerated: {reason}", where="search.algorithm")
        levels = tuple(int(n) for n in self.encoding.levels)
        total = int(count_rows(self.encoding))
        rows, values, least = self.rows[:0], self.objectives[:0], np.inf
        for start in range(0, total, CHUNK):
            places = np.arange(start, min(start + CHUNK, total))
            grid = np.stack(np.unravel_index(places, levels), axis=1).astype(float)
            # Each candidate is in the grid once as its canonical self.
            chunk = grid[(self.encoding.canonical(grid) == grid).all(axis=1)]
            if not len(chunk):
                continue
            known = self.outlook.known(chunk)
            self.priced += len(chunk)
            self.feasible += int((known.violation == 0).sum())
            if known.violation.min() < least:
                rows, values, least = rows[:0], values[:0], float(known.violation.min())
            kept = known.violation == least
            rows = np.concatenate([rows, chunk[kept]])
            values = np.concatenate([values, known.objectives[kept]])
            if least == 0:
                front = pareto_mask(values)
                rows, values = rows[front], values[front]
        _, counts = np.unique(values, axis=0, return_counts=True)
        self.ties = int(counts[counts > 1].sum())
        return rows[np.lexsort(values.T[::-1])]

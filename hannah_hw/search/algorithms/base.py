"""The contract of a search algorithm, and what all of them share: duplicates, screening, exhaustion, state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final

import numpy as np

from hannah_hw.search.algorithms._rows import Scored, count_rows, every_row, merged, new_places, row_keys
from hannah_hw.search.algorithms.variation import Variation
from hannah_hw.search.dominance import crowding, sort_fronts
from hannah_hw.search.protocols import BoolArray, Encoding, FloatArray, IntArray, Outlook

#: Draws of offspring per `ask`: the first has the size asked for, the others `REDRAW` times what is missing.
DRAWS: Final = 6
REDRAW: Final = 4
#: Rounds of descent on the violation alone, when too few feasible rows are known to breed from.
DESCENT_ROUNDS: Final = 20
#: With a predictor: offspring bred for each one that is handed out.
CHOICE: Final = 8
#: A space of at most this many discrete combinations is enumerated when drawing finds nothing new.
ENUMERABLE: Final = 1 << 16


class Algorithm(ABC):
    """Proposes rows of an encoding and learns from their values.

    The contract, which ``tests/conformance/test_algorithms.py`` checks for every registered algorithm, and for a class
    of another package that is named in the environment: ``HANNAH_HW_ALGORITHMS=package.module:Class``:

    * ``ask(n)`` returns at most n canonical rows, none of which was ever returned before. Fewer than n, or
      none, means that nothing new was found: the space (or its feasible part) is exhausted.
    * ``tell(rows, objectives, violation, excess=...)`` is given every asked row exactly once, in any order, on which
      the sequence may depend, in pieces of any size, which make no difference. Objectives are minimised. A row with a
      violation above 0 is infeasible, whatever its objectives; a row without a violation whose objectives are not
      all finite is a failed evaluation, which ranks behind every other row.
    * Asking before everything is told is allowed.
    * The sequence depends on the arguments, the seed and what was told, on nothing else.
    * ``state_dict()`` is JSON-able and exact: after ``load_state_dict`` on a fresh object of the same arguments
      the sequence continues as if nothing had happened.

    Constraints that can be checked for nothing are those of the `outlook`. The first batch of a run is not screened,
    unless an algorithm chooses it itself: it shows what the space is like. Later, offspring are drawn up to `DRAWS`
    times until enough of them pass; while fewer feasible rows than a population are known, rows are found by
    descending on the violation alone. Rows that fail them are returned only when nothing else is left to return,
    least violating first; they are then told like any other.

    Where the outlook has a predictor that it trusts, `CHOICE` times as many offspring are bred as are asked for, and
    the best of them by constrained rank and crowding of the expected objectives are handed out.

    Args:
        encoding: The parameter space.
        objectives: Number of objectives M.
        population: Size of the population.
        seed: Fixes the sequence.
        outlook: What is known before an evaluation; None: nothing.

    Attributes:
        rows: (N, D) the population.
        objectives: (N, M) its values; inf where infeasible or failed.
        violation: (N,) its total violation; inf where failed.
        excess: (N, C) signed values of the constraints that only an evaluation shows, <= 0 where kept; NaN where
            it failed. C is 0 until some are told.
        free: (M,) objectives that the outlook knows.
    """

    #: The name in the registry and in a search configuration.
    name: ClassVar[str]
    #: Whether it looks at the whole space beforehand, instead of learning from what it is told.
    enumerates: ClassVar[bool] = False

    def __init__(
        self,
        encoding: Encoding,
        objectives: int,
        *,
        population: int,
        seed: int,
        outlook: Outlook | None = None,
    ) -> None:
        self.encoding = encoding
        self.population = population
        self.rng = np.random.default_rng(seed)
        self.variation = Variation(encoding)
        self.rows: FloatArray = np.zeros((0, len(encoding.ids)))
        self.objectives: FloatArray = np.zeros((0, objectives))
        self.violation: FloatArray = np.zeros(0)
        self.excess: FloatArray = np.zeros((0, 0))
        self.outlook = outlook
        self._seen: dict[bytes, None] = {}
        self._waiting: dict[bytes, None] = {}
        self._promising = 0
        self._fresh = 0
        self.free: BoolArray = np.zeros(objectives, bool)
        self._listed: Scored | None = None

    @property
    def batch(self) -> int:
        """Rows that a run asks for at a time; it may not depend on the number of workers."""
        return self.population

    @property
    def starting(self) -> int:
        """Rows that no free constraint rules out, drawn at random before breeding begins."""
        return self.population

    @abstractmethod
    def _offspring(self, n: int) -> FloatArray:
        """(n, D) canonical rows bred from the population, which has at least two rows; duplicates are allowed."""

    @abstractmethod
    def _survive(self) -> None:
        """Reduce the population, to whose end the `_fresh` rows that were told since the last `ask` are appended."""

    def ask(self, n: int) -> FloatArray:
        """(m, D) new canonical rows, m <= n; see the contract above."""
        if self._fresh:
            self._survive()
            self._fresh = 0
        if not self._seen:
            start = self.encoding.canonical(self.encoding.default[None])
            rows = self._unseen(np.concatenate([start, self.encoding.sample(n, self.rng)]))[:n]
            return self._hand_out(rows, self._violations(rows))
        initial = len(self.rows) < 2 or self._promising < self.starting
        if initial:
            n = min(n, max(1, self.starting - self._promising))
            found = self._draw(n, lambda count: self.encoding.sample(count, self.rng))
        else:
            found = self._draw(n, self._bred)
        passed, small = int((found[1] == 0).sum()), count_rows(self.encoding) <= ENUMERABLE
        if passed < n and small:
            found = merged(found, self._enumerate(found[0]))
        elif passed == 0 or (initial and passed < n and self.outlook is not None):
            found = merged(found, self._descend(n, found[0]))
        rows, violation = found
        feasible = violation == 0
        if feasible.any() or (self._promising and small):
            rows, violation = rows[feasible], violation[feasible]
        order = np.argsort(violation, kind="stable")[:n]
        return self._hand_out(rows[order], violation[order])

    def tell(
        self,
        rows: FloatArray,
        objectives: FloatArray,
        violation: FloatArray,
        *,
        excess: FloatArray | None = None,
    ) -> None:
        """Learn the values of rows that were asked for.

        Args:
            rows: (P, D) rows that were asked for and not told yet.
            objectives: (P, M) minimised; anything where there is a violation; NaN or inf where it failed.
            violation: (P,) total violation, 0 where feasible.
            excess: (P, C) signed values of the constraints that only an evaluation shows, <= 0 where kept, for
                algorithms that model them; NaN where unknown. Always of one width; None: there are none.

        Raises:
            ValueError: A row does not wait for its values, or the number of constraints changed.
        """
        keys = row_keys(rows)
        if len(set(keys)) < len(keys) or not self._waiting.keys() >= set(keys):
            raise ValueError("tell() must be given rows that were asked for, and each of them once")
        for key in keys:
            del self._waiting[key]
        if not keys:
            return
        finite = np.isfinite(objectives).all(axis=1)
        violation = np.where(finite | (violation > 0), violation, np.inf)
        values = np.where((finite & (violation == 0))[:, None], objectives, np.inf)
        self.rows = np.concatenate([self.rows, rows])
        self.objectives = np.concatenate([self.objectives, values])
        self.violation = np.concatenate([self.violation, violation])
        new = np.zeros((len(rows), 0)) if excess is None else np.asarray(excess, float)
        if not len(self.excess):
            self.excess = np.zeros((0, new.shape[1]))
        self.excess = np.concatenate([self.excess, new])
        self._fresh += len(rows)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the future depends on, ready for JSON."""
        return {
            "algorithm": self.name,
            "generator": self.rng.bit_generator.state,
            "rows": self.rows.tolist(),
            "objectives": self.objectives.tolist(),
            "violation": self.violation.tolist(),
            "excess": self.excess.tolist(),
            "seen": [np.frombuffer(key).tolist() for key in self._seen],
            "waiting": [place for place, key in enumerate(self._seen) if key in self._waiting],
            "promising": self._promising,
            "fresh": self._fresh,
            "free": self.free.tolist(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict` of an algorithm with the same arguments.

        Raises:
            ValueError: The state is another algorithm's.
        """
        if state["algorithm"] != self.name:
            raise ValueError(f"this is a state of {state['algorithm']!r}, not of {self.name!r}")
        width, objectives = self.rows.shape[1], self.objectives.shape[1]
        self.rng.bit_generator.state = state["generator"]
        self.rows = np.array(state["rows"], float).reshape(-1, width)
        self.objectives = np.array(state["objectives"], float).reshape(-1, objectives)
        self.violation = np.array(state["violation"], float)
        self.excess = np.array(state["excess"], float).reshape(len(self.rows), -1 if len(self.rows) else 0)
        self._seen = dict.fromkeys(row_keys(np.array(state["seen"], float).reshape(-1, width)))
        seen = list(self._seen)
        self._waiting = dict.fromkeys(seen[place] for place in state["waiting"])
        self._promising = int(state["promising"])
        self._fresh = int(state["fresh"])
        self.free = np.array(state["free"], bool)

    def select(self, keep: IntArray | slice) -> None:
        """Keep the given members of the population."""
        self.rows = self.rows[keep]
        self.objectives = self.objectives[keep]
        self.violation = self.violation[keep]
        self.excess = self.excess[keep]

    def _hand_out(self, rows: FloatArray, violation: FloatArray) -> FloatArray:
        keys = row_keys(rows)
        self._seen.update(dict.fromkeys(keys))
        self._waiting.update(dict.fromkeys(keys))
        self._promising += int((violation == 0).sum())
        return rows

    def _unseen(self, rows: FloatArray, besides: FloatArray | None = None) -> FloatArray:
        """Rows that were never handed out, without repetitions, in their order."""
        return rows[new_places(rows, self._seen, besides)]

    def _violations(self, rows: FloatArray) -> FloatArray:
        if self.outlook is None or not len(rows):
            return np.zeros(len(rows))
        known = self.outlook.known(rows)
        feasible = known.violation == 0
        if feasible.any():
            self.free = ~np.isnan(known.objectives[feasible]).any(axis=0)
        return known.violation

    def _bred(self, n: int) -> FloatArray:
        """(n, D) offspring; with a predictor the most promising of `CHOICE` times as many.

        These are the best by constrained rank, then crowding, of what is expected of them.
        """
        rows = self._offspring(n)
        expected = self.outlook.expected(rows) if self.outlook is not None else None
        if self.outlook is None or expected is None:
            return rows
        more = self._offspring((CHOICE - 1) * n)
        expected_of_more = self.outlook.expected(more)
        if expected_of_more is None:
            return rows
        rows = np.concatenate([rows, more])
        new = new_places(rows, self._seen)
        rows, objectives = rows[new], np.concatenate([expected, expected_of_more])[new]
        rank = sort_fronts(objectives, self.outlook.known(rows).violation)
        return rows[np.lexsort((-crowding(objectives, rank), rank))[:n]]

    def _draw(self, n: int, source: Callable[[int], FloatArray]) -> Scored:
        """Unseen rows of a source and their violations; draws again until n of them are feasible."""
        rows, violation = self.rows[:0], np.zeros(0)
        for attempt in range(DRAWS):
            missing = n - int((violation == 0).sum())
            if missing <= 0:
                break
            new = self._unseen(source(n if attempt == 0 else REDRAW * missing), rows)
            rows, violation = merged((rows, violation), (new, self._violations(new)))
        return rows, violation

    def _descend(self, n: int, besides: FloatArray) -> Scored:
        """Unseen rows, found by breeding the least violating ones, until n of them are feasible."""
        rows = self._unseen(self.encoding.sample(REDRAW * n, self.rng), besides)
        found = rows, self._violations(rows)
        pool = merged(found, (self.rows, self.violation))
        for _ in range(DESCENT_ROUNDS):
            if (found[1] == 0).sum() >= n or not len(pool[1]):
                break
            order = np.lexsort((self.rng.random(len(pool[1])), pool[1]))[: REDRAW * n]
            parents = pool[0][order]
            pick = self.rng.integers(len(parents), size=(2, REDRAW * n))
            children = self.variation.children(parents, pick[0], pick[1], self.rng, crossover=0.5)
            new = self._unseen(children, np.concatenate([besides, found[0]]))
            scored = new, self._violations(new)
            found = merged(found, scored)
            pool = merged((parents, pool[1][order]), scored)
        return found

    def _enumerate(self, besides: FloatArray) -> Scored:
        """Every row that was not handed out yet, shuffled, with its violation."""
        if self._listed is None:
            rows = every_row(self.encoding)
            self._listed = rows, self._violations(rows)
        rows, violation = self._listed
        left = self.rng.permutation(np.array(new_places(rows, self._seen, besides), np.int64))
        return rows[left], violation[left]

"""Search on a model of what only an evaluation shows, for evaluations that take minutes.

Latency and memory cost microseconds, an error costs a training. Gaussian processes predict the expensive outcomes
from the parameters and from everything that is known for free. The candidate is evaluated that has the largest
expected hypervolume improvement, with free objectives taken exactly, among many unseen ones that keep the known
constraints.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np

from hannah_hw.search.algorithms._acquisition import HypervolumeImprovement, budgets
from hannah_hw.search.algorithms._outcomes import Outcomes, Predictions, Shape
from hannah_hw.search.algorithms._rows import row_keys
from hannah_hw.search.algorithms._told import Told, joined, taken
from hannah_hw.search.algorithms.adaptive import Adaptive
from hannah_hw.search.dominance import pareto_mask
from hannah_hw.search.protocols import BoolArray, Encoding, FloatArray, IntArray, Known, Outlook

#: Rows before the first model: a tenth of what a small budget has.
INITIAL: Final = 10
#: Rows from which the initial ones are chosen, as far from each other as possible.
SPREAD_OVER: Final = 200
#: Rows told from which on this many are asked for at a time. One by one is best where every row counts; later a fit
#: is shared by several, which bounds what a row costs.
BATCHES: Final = ((0, 1), (50, 2), (100, 4), (200, 8), (400, 16))
#: Candidates that are bred from the population, bred from the front, and drawn at random.
CANDIDATES: Final = (100, 600, 200)
#: Times that the best candidates breed further ones, how many breed and how many are bred.
ROUNDS: Final = 2
PARENTS: Final = 40
BRED: Final = 300
#: Candidates of which the best are judged again, more exactly, and the budgets of both judgements.
FINALISTS: Final = 64
BUDGETS: Final = (128, 1024)
#: Rows told before evolution is tried beside the model, and how many of the last rows are compared.
TRIED_FROM: Final = 100
WINDOW: Final = 150
#: Rows and successes of both that are taken for granted, evolution's first, so that a few rows decide nothing.
GRANTED: Final = (8, (1, 4))
#: Least share of the rows that each of them gets, and how strongly shares follow success.
LEAST: Final = 0.1
KEENNESS: Final = 2


class Surrogate(Adaptive):
    """Expected hypervolume improvement on Gaussian processes; evolution takes over as far as it does better.

    The first rows keep the constraints that are known for free, as far as such rows are found, and are chosen far from
    each other, beginning with the declared default; there are as many as `INITIAL` needs. Then every row has
    the largest expected improvement among some 1,600 candidates, times the probability that it keeps the constraints
    that only an evaluation shows; while nothing feasible is known, the least expected excess. Rows that were asked for
    and are not told yet count as evaluated, with the outcome that is expected of them.

    From `TRIED_FROM` rows on a share of the rows is bred as the parent class does. A row succeeds if no earlier one
    dominates it; the shares follow the rates of success of the last `WINDOW` rows. So a model that no longer helps,
    in a long run or on outcomes that it cannot learn, costs little. It learns from a bounded number of rows.
    """

    name: ClassVar[str] = "surrogate"

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
        self._told = Told.nothing(self.rows.shape[1], self._look(self.rows))
        self._modelled: list[bool] = []
        self._proposed: dict[bytes, None] = {}
        self._shapes: dict[str, Shape] = {}

    @property
    def batch(self) -> int:
        """Rows that a run asks for at a time: few while every row counts."""
        return max(size for start, size in BATCHES if len(self._told) >= start) if self._seen else INITIAL

    def ask(self, n: int) -> FloatArray:
        """(m, D) new canonical rows, m <= n; see `Algorithm`."""
        if self._fresh:
            self._survive()
            self._fresh = 0
        if not self._seen:
            default = self.encoding.canonical(self.encoding.default[None])[:n]
            self._hand_out(default, self._violations(default))
            rows = np.concatenate([default, self._far_apart(n - len(default))])
        elif self._promising < INITIAL:
            rows = self._far_apart(min(n, INITIAL - self._promising))
        else:
            rows = self._most_improving(n - int((self.rng.random(n) < self._evolved_share()).sum()))
            self._proposed.update(dict.fromkeys(row_keys(rows)))
        return rows if len(rows) == n else np.concatenate([rows, super().ask(n - len(rows))])

    def tell(
        self,
        rows: FloatArray,
        objectives: FloatArray,
        violation: FloatArray,
        *,
        excess: FloatArray | None = None,
    ) -> None:
        """Learn the values of rows that were asked for; see `Algorithm`."""
        super().tell(rows, objectives, violation, excess=excess)
        if len(rows):
            self._told = self._told.plus(rows, self._look(rows), objectives, violation, excess)
            for key in row_keys(rows):
                self._modelled.append(key in self._proposed)
                self._proposed.pop(key, None)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the future depends on, ready for JSON."""
        return {
            **super().state_dict(),
            "told": self._told.to_dict(),
            "modelled": self._modelled,
            "proposed": [np.frombuffer(key).tolist() for key in self._proposed],
            "shapes": {name: shape.to_dict() for name, shape in self._shapes.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict` of an algorithm with the same arguments."""
        super().load_state_dict(state)
        self._told = self._told.restored(state["told"], self._look)
        self._modelled = [bool(flag) for flag in state["modelled"]]
        proposed = np.array(state["proposed"], float).reshape(-1, self.rows.shape[1])
        self._proposed = dict.fromkeys(row_keys(proposed))
        self._shapes = {name: Shape.from_dict(shape) for name, shape in state["shapes"].items()}

    def _look(self, rows: FloatArray) -> Known:
        """What is known of rows for free."""
        if self.outlook is not None and len(rows):
            return self.outlook.known(rows)
        unknown = np.full((len(rows), self.objectives.shape[1]), np.nan)
        return Known(unknown, np.zeros(len(rows)), np.zeros((len(rows), 0)))

    def _pending(self) -> FloatArray:
        """(K, D) rows that were asked for and are not told yet."""
        flat = np.frombuffer(b"".join(self._waiting)) if self._waiting else np.zeros(0)
        return flat.reshape(-1, self.rows.shape[1])

    def _inputs(self, rows: FloatArray, known: Known) -> FloatArray:
        """(P, F) inputs of the models.

        These are the features of rows, and further known figures, or the known objectives where there are none, by
        the spread of what was told.
        """
        seen = self._told.known
        inputs = self._features(rows)
        if not len(rows) or not len(self._told):
            return inputs
        columns = np.isfinite(seen.objectives).all(axis=0)
        if seen.features.shape[1]:
            free, before = known.features, seen.features
        else:
            free, before = known.objectives[:, columns], seen.objectives[:, columns]
        spread = before.std(axis=0)
        free = (free - before.mean(axis=0)) / (2 * np.where(spread > 0, spread, 1.0))
        return np.concatenate([inputs, free], axis=1)

    def _blocks(self, width: int) -> IntArray:
        """(width,) block of each input: choices and switches, numbers, and what is known have a scale each."""
        kinds = np.full(width, 2)
        kinds[: self._features.count] = self._features.binary
        return np.asarray(np.unique(kinds, return_inverse=True)[1], np.int64)

    def _evolved_share(self) -> float:
        """Share of rows that evolution gets, by the success of both in the last rows told; see the class."""
        told = self._told
        if len(told) < TRIED_FROM:
            return 0.0
        start = max(TRIED_FROM, len(told) - WINDOW)
        success, modelled = told.successes(start), np.array(self._modelled[start:], bool)
        rows, granted = GRANTED
        evolved, model = (
            ((granted[by] + success[modelled == by].sum()) / (rows + (modelled == by).sum())) ** KEENNESS
            for by in (False, True)
        )
        return float(np.clip(evolved / (evolved + model), LEAST, 1 - LEAST))

    def _far_apart(self, n: int) -> FloatArray:
        """Rows of the initial design: each as far from all before it as possible."""
        rows, known = self._affordable(self.encoding.sample(SPREAD_OVER, self.rng), enough=SPREAD_OVER // 2)
        if not len(rows):
            return rows
        inputs = self._inputs(rows, known)
        before = np.concatenate([self._told.rows, self._pending()])
        distance = np.full(len(rows), np.inf)
        for other in self._inputs(before, joined(self._told.known, self._look(self._pending()))):
            distance = np.minimum(distance, ((inputs - other) ** 2).sum(axis=1))
        chosen: list[int] = []
        while len(chosen) < min(n, len(rows)):
            chosen.append(int(distance.argmax()))
            distance = np.minimum(distance, ((inputs - inputs[chosen[-1]]) ** 2).sum(axis=1))
        return self._hand_out(rows[chosen], known.violation[chosen])

    def _affordable(self, rows: FloatArray, *, enough: int) -> tuple[FloatArray, Known]:
        """Those of some rows that are unseen and keep the known constraints; found by descent where that is hard."""
        rows = self._unseen(rows)
        known = self._look(rows)
        if (known.violation == 0).sum() < enough and self.outlook is not None:
            more = self._descend(enough, rows)[0]
            rows, known = np.concatenate([rows, more]), joined(known, self._look(more))
        keeps = known.violation == 0
        return rows[keeps], taken(known, keeps)

    def _most_improving(self, n: int) -> FloatArray:
        """At most n rows of the largest expected improvement; none where there is nothing to model or to choose."""
        told = self._told
        predicted: BoolArray = np.asarray(~np.isfinite(told.known.objectives).any(axis=0))
        learnable = np.isfinite(told.objectives[told.known.violation == 0]).sum(axis=0) >= 2
        if n < 1 or not predicted.any() or not learnable[predicted].all():
            return self.rows[:0]
        inputs = self._inputs(told.rows, told.known)
        blocks = self._blocks(inputs.shape[1])
        models = Outcomes(told, inputs, predicted, blocks, self._shapes)
        self._shapes = models.shapes
        pending = self._pending()
        if len(pending):
            models = models.believe(
                self._inputs(pending, self._look(pending)), self._look(pending).objectives
            )
        rows, known = self._affordable(self._candidates(models), enough=FINALISTS)
        if not len(rows):
            return rows
        return self._choose(n, models, rows, known)

    def _candidates(self, models: Outcomes) -> FloatArray:
        """Rows to choose from; they may be seen or break known constraints."""
        bred, mutated, random = CANDIDATES
        parts = [self._offspring(bred), self.encoding.sample(random, self.rng)]
        if len(models.points):
            front = self._told.rows[models.rows[pareto_mask(models.points)]]
            pair = self.rng.integers(len(front), size=(2, mutated))
            parts.append(self.variation.children(front, pair[0], pair[1], self.rng, crossover=0.5))
        return np.concatenate(parts)

    def _choose(self, n: int, models: Outcomes, rows: FloatArray, known: Known) -> FloatArray:
        """The n best rows found by climbing from some; each counts as evaluated for those after it."""
        shift = self.rng.random(models.points.shape[1] - 1)
        shares = [budgets(count, len(shift), shift) for count in BUDGETS]
        forecast = models.predict(self._inputs(rows, known), known.objectives)
        box = models.box(forecast)
        rough = models.improvement(box, shares[0])
        value = _worth(rough, forecast)
        for _ in range(ROUNDS):
            parents = np.argsort(-value, kind="stable")[:PARENTS]
            pair = self.rng.integers(len(parents), size=(2, BRED))
            bred = self.variation.children(rows[parents], pair[0], pair[1], self.rng, crossover=0.3)
            more = self._unseen(bred, rows)
            also = self._look(more)
            keeps = also.violation == 0
            if not keeps.any():
                continue
            more, also = more[keeps], taken(also, keeps)
            new = models.predict(self._inputs(more, also), also.objectives)
            rows, known, forecast = np.concatenate([rows, more]), joined(known, also), forecast.plus(new)
            value = np.concatenate([value, _worth(rough, new)])
        best = np.argsort(-value, kind="stable")[:FINALISTS]
        rows, known = rows[best], taken(known, best)
        inputs, forecast = self._inputs(rows, known), forecast.take(best)
        exact = models.improvement(box, shares[1])
        chosen: list[int] = []
        while len(chosen) < min(n, len(rows)):
            if chosen:
                last = slice(chosen[-1], chosen[-1] + 1)
                models = models.believe(inputs[last], known.objectives[last])
                if exact is not None:
                    exact.add(forecast.mean[last])
                forecast = models.predict(inputs, known.objectives)
            value = _worth(exact, forecast)
            value[chosen] = -np.inf
            chosen.append(int(value.argmax()))
        return self._hand_out(rows[chosen], known.violation[chosen])


def _worth(improvement: HypervolumeImprovement | None, forecast: Predictions) -> FloatArray:
    """(P,) what is maximised; without an improvement nothing feasible is known yet."""
    if improvement is None:
        return np.asarray(forecast.kept - forecast.excess)
    return np.asarray(improvement.of(forecast.mean, forecast.sd) * forecast.kept)

"""Evolution that learns which children to keep and which operators to use; the default where nothing is trained.

Parents win tournaments under random weights, as in aging evolution (Real et al., AAAI 2019). For every place of a
batch `CHOICE` children are bred under one weight vector, and a linear model of everything that was told
(`hannah_hw.search.algorithms._linear`) chooses the one to hand out; what the outlook knows of objectives and
constraints takes the place of what the model says of them. Operators that led to good children are used more often
(adaptive pursuit by success rates; Fialho et al., "Analyzing bandit-based adaptive operator selection mechanisms",
Annals of Mathematics and Artificial Intelligence 60, 2010).
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np

from hannah_hw.search.algorithms._linear import LinearModel
from hannah_hw.search.algorithms._rows import row_keys
from hannah_hw.search.algorithms.base import Algorithm
from hannah_hw.search.dominance import crowding, sort_fronts
from hannah_hw.search.features import Features
from hannah_hw.search.protocols import Encoding, FloatArray, IntArray, Outlook

#: Rows drawn before breeding begins, or the population if that is smaller.
STARTING: Final = 16
#: Rows asked for at a time: a twentieth of what was asked before, so that selection acts on what was just learnt.
BATCH: Final = (8, 32)
#: Least number of members that breed, where as many are known.
POOL: Final = 100
#: Range of the probability that a member takes part in a tournament, drawn for each weight vector.
TOURNAMENT: Final = (0.4, 0.95)
#: Children bred for a batch where the model foresees well, once it has seen `LEARNT` rows.
CHOICE: Final = 512
LEARNT: Final = 20
#: How far the ideal point of the weighted norm lies below the front, in units of the front's extent.
IDEAL: Final = 0.5
#: Added to the score of a member with a violation, beyond any other's.
PENALTY: Final = 10.0
#: What a row that was handed out before scores: beyond everything else.
SEEN: Final = 1e12
#: A violation that the model foresees counts from here on: it may be wrong by so much.
TOLERANCE: Final = 0.02
#: The operators: probability of mixing two parents, of doing so by whole sub-trees, expected number of mutations, and
#: whether the model chooses.
MIXING: Final = np.array([0.0, 1.0, 1.0])
BY_GROUP: Final = np.array([0.0, 0.0, 1.0])
GENES: Final = np.array([1.0, 2.0, 4.0])
CHOOSING: Final = np.array([False, True])
#: Share of operators drawn evenly, whatever their success.
EVEN: Final = 0.2
#: Power of the success rate that the other draws are proportional to.
SHARPNESS: Final = 1.5
#: What successes still weigh after one more batch.
MEMORY: Final = 0.97


class Adaptive(Algorithm):
    """The most recent members breed; children are chosen by a model, operators by their success.

    Objectives are normalised by the front of the feasible members; the score under weights w is ``max_j w_j z_j``
    with z counted from `IDEAL` extents below the front; members with a violation rank behind, by that alone.
    A child is a success if it is in the better half of the population by constrained rank and crowding.
    """

    name: ClassVar[str] = "adaptive"

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
        self._features = Features(self.encoding)
        self._model = LinearModel(self._features.count, self.objectives.shape[1])
        self._limits = LinearModel(self._features.count, 1)
        self._violated = False
        # Kinds of operators: successes and uses of each of their settings.
        self._success = [np.ones(len(kind)) for kind in (MIXING, GENES, CHOOSING)]
        self._use = [np.full(len(kind), 2.0) for kind in (MIXING, GENES, CHOOSING)]
        # Where the norms are counted from, and their unit: the front of the feasible members.
        self._low: FloatArray = np.zeros(self.objectives.shape[1])
        self._extent: FloatArray = np.ones(self.objectives.shape[1])
        # What the model said of the members before it learnt them.
        self._guessed: FloatArray = np.zeros((0, self.objectives.shape[1]))
        # Row -> its operators: of what was bred since the last `ask`, and of what was handed out and is not told yet.
        self._bred_by: dict[bytes, tuple[int, ...]] = {}
        self._made: dict[bytes, tuple[int, ...]] = {}

    @property
    def batch(self) -> int:
        """A twentieth of what was asked before, within `BATCH`; at most the population."""
        return min(max(BATCH[0], min(BATCH[1], len(self._seen) // 20)), self.population)

    @property
    def starting(self) -> int:
        """`STARTING`, or the population if that is smaller."""
        return min(STARTING, self.population)

    def state_dict(self) -> dict[str, Any]:
        """See `Algorithm.state_dict`."""
        return super().state_dict() | {
            "model": self._model.state_dict(),
            "limits": self._limits.state_dict(),
            "violated": self._violated,
            "low": self._low.tolist(),
            "extent": self._extent.tolist(),
            "guessed": self._guessed.tolist(),
            "success": [kind.tolist() for kind in self._success],
            "use": [kind.tolist() for kind in self._use],
            "made": [[np.frombuffer(key).tolist(), list(how)] for key, how in self._made.items()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Algorithm.load_state_dict`."""
        super().load_state_dict(state)
        self._model.load_state_dict(state["model"])
        self._limits.load_state_dict(state["limits"])
        self._violated = bool(state["violated"])
        self._guessed = np.array(state["guessed"], float).reshape(-1, self.objectives.shape[1])
        self._success = [np.array(kind) for kind in state["success"]]
        self._use = [np.array(kind) for kind in state["use"]]
        self._low, self._extent = np.array(state["low"], float), np.array(state["extent"], float)
        self._made = {np.array(key, float).tobytes(): tuple(how) for key, how in state["made"]}

    def _hand_out(self, rows: FloatArray, violation: FloatArray) -> FloatArray:
        for key in row_keys(rows):
            if key in self._bred_by:
                self._made[key] = self._bred_by[key]
        self._bred_by = {}
        return super()._hand_out(rows, violation)

    def _survive(self) -> None:
        self._learn()
        rank = sort_fronts(self.objectives, self.violation)
        self._credit(rank)
        front = self.objectives[(rank == 0) & (self.violation == 0)]
        if len(front):
            self._low, extent = front.min(axis=0), np.ptp(front, axis=0)
            self._extent = np.where(extent > 0, extent, 1.0)
        self.select(slice(-max(POOL, self.population), None))
        self._guessed = self._guessed[-len(self.rows) :]

    def _learn(self) -> None:
        """Show the models what was told since the last `ask`."""
        new = slice(-self._fresh, None)
        features, good = self._features(self.rows[new]), self.violation[new] == 0
        foreseen = (
            self._model.predict(features) if self._model.seen else np.full(self.objectives[new].shape, np.inf)
        )
        self._guessed = np.concatenate([self._guessed, foreseen])[-len(self.rows) :]
        self._model.learn(features[good], self.objectives[new][good])
        limits = self.excess[new].max(axis=1) if self.excess.shape[1] else self.violation[new]
        sure = np.isfinite(limits)
        self._limits.learn(features[sure], np.minimum(limits[sure], 1.0)[:, None])
        self._violated |= bool((limits[sure] > 0).any())

    def _credit(self, rank: IntArray) -> None:
        """Count the successes of the operators behind what was told since the last `ask`, by ranks of the members."""
        first = len(self.rows) - self._fresh
        hows = [self._made.pop(key, None) for key in row_keys(self.rows[first:])]
        made = np.array([place for place, how in enumerate(hows, first) if how is not None], np.int64)
        if not len(made):
            return
        order = np.lexsort((-crowding(self.objectives, rank), rank))
        good = np.zeros(len(self.rows))
        good[order[: max(1, len(order) // 2)]] = 1.0
        operators = np.array([how for how in hows if how is not None])
        for kind, used in enumerate(operators.T):
            settings = len(self._use[kind])
            self._success[kind] = MEMORY * self._success[kind] + np.bincount(used, good[made], settings)
            self._use[kind] = MEMORY * self._use[kind] + np.bincount(used, minlength=settings)

    def _operators(self, kind: int, n: int) -> IntArray:
        """(n,) settings of one kind of operator, drawn by their success."""
        rate = (self._success[kind] / self._use[kind]) ** SHARPNESS
        share = EVEN / len(rate) + (1.0 - EVEN) * rate / rate.sum()
        chosen: IntArray = np.minimum(np.searchsorted(np.cumsum(share), self.rng.random(n)), len(rate) - 1)
        return chosen

    def _offspring(self, n: int) -> FloatArray:
        draws = self._draws(n)
        weights = self.rng.dirichlet(np.ones(self.objectives.shape[1]), n)
        parents = self._parents(weights, 2 * draws).reshape(n, 2, draws)
        weights = np.repeat(weights, draws, axis=0)
        mixing, genes = self._operators(0, n * draws), self._operators(1, n * draws)
        choosing = self._operators(2, n)
        children = self.variation.children(
            self.rows,
            parents[:, 0].ravel(),
            parents[:, 1].ravel(),
            self.rng,
            crossover=MIXING[mixing],
            by_group=BY_GROUP[mixing],
            genes=GENES[genes],
        )
        pick = np.arange(n)
        if draws > 1:
            score, bar = self._foreseen(children, weights)
            # Where the model does not choose, the first child does that may be handed out.
            score = np.where(np.repeat(CHOOSING[choosing], draws), score, 0.0) + bar
            pick = pick * draws + score.reshape(n, draws).argmin(axis=1)
        children = children[pick]
        made = zip(mixing[pick].tolist(), genes[pick].tolist(), choosing.tolist(), strict=True)
        self._bred_by.update(zip(row_keys(children), made, strict=True))
        return children

    def _draws(self, n: int) -> int:
        """Children bred for each of n that are handed out: those of `CHOICE` times how well the model foresaw members.

        That is the mean squared correlation of what it said of them before it learnt them with what they are.
        """
        if self._model.seen + self._limits.seen < 2 * LEARNT:
            return 1
        most = max(1, CHOICE // n)
        judged = np.isfinite(self._guessed).all(axis=1) & (self.violation == 0)
        if judged.sum() < LEARNT:
            return most
        guessed, real = self._guessed[judged], self.objectives[judged]
        unknown = ~self.free if not self.free.all() else np.ones(len(self.free), bool)
        guessed, real = (part[:, unknown] - part[:, unknown].mean(axis=0) for part in (guessed, real))
        norm = np.sqrt((guessed**2).sum(axis=0) * (real**2).sum(axis=0))
        skill = np.maximum((guessed * real).sum(axis=0) / np.maximum(norm, 1e-300), 0.0)
        return max(1, round(most * float((skill**2).mean())))

    def _parents(self, weights: FloatArray, times: int) -> IntArray:
        """(n * times,) winners of `times` tournaments under each of (n, M) weights.

        Of the members in order of their score the first that takes part wins, so the place of the winner is
        geometrically distributed.
        """
        violation = np.where(self.violation > 0, PENALTY + np.minimum(self.violation, 1e9), 0.0)
        order = (self._scores(weights, self.objectives) + violation).argsort(axis=1, kind="stable")
        share = self.rng.uniform(*TOURNAMENT, (len(weights), 1))
        place = np.minimum(self.rng.geometric(share, (len(weights), times)) - 1, len(self.rows) - 1)
        winner: IntArray = np.take_along_axis(order, place, axis=1).ravel()
        return winner

    def _scores(self, weights: FloatArray, objectives: FloatArray) -> FloatArray:
        """(n, N) weighted norms of (N, M) or (n, N, M) objectives under (n, M) weights; 0 where not finite."""
        scaled = (objectives - self._low) / self._extent + IDEAL
        scaled[~np.isfinite(scaled)] = 0.0
        result: FloatArray = weights[:, :1] * scaled[..., 0]
        for column in range(1, weights.shape[1]):
            np.maximum(result, weights[:, column : column + 1] * scaled[..., column], out=result)
        return result

    def _foreseen(self, children: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(P,) scores that the models foresee of children under (P, M) weights, and what speaks against each.

        The latter is the violation of what is known, and `SEEN` for a row that was handed out before.
        """
        bar = SEEN * np.array([key in self._seen for key in row_keys(children)])
        objectives = np.full(weights.shape, np.nan)
        if self.outlook is not None and not self.free.all():
            known = self.outlook.known(children)
            objectives = known.objectives
            bar = bar + np.where(known.violation > 0, PENALTY + np.minimum(known.violation, 1e9), 0.0)
        # What a bar rules out already is not worth a prediction, unless that is all there is.
        fair = np.flatnonzero(bar == 0) if (bar == 0).any() else np.arange(len(children))
        features, score = self._features(children[fair]), np.zeros(len(children))
        expected = (
            self._model.predict(features) if self._model.seen else np.full_like(objectives[fair], np.inf)
        )
        expected = np.where(np.isfinite(objectives[fair]), objectives[fair], expected)
        score[fair] = self._scores(weights[fair], expected[:, None, :])[:, 0]
        if self._violated:
            score[fair] += np.maximum(self._limits.predict(features)[:, 0] - TOLERANCE, 0.0)
        return score, bar

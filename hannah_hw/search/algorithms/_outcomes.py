"""What evaluations have shown, and what they are expected to show of candidates that were not evaluated."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hannah_hw.search.algorithms._acquisition import HypervolumeImprovement, normal
from hannah_hw.search.algorithms._gaussian import GaussianProcess, climb, first_hyper
from hannah_hw.search.algorithms._told import Told
from hannah_hw.search.dominance import pareto_mask
from hannah_hw.search.protocols import BoolArray, FloatArray, IntArray

#: Rows that a model is fitted to at most, which bounds what a candidate costs.
MOST: Final = 300
#: Steps of a fit that begins anew and of one that goes on from the last.
STEPS: Final = (30, 10)
#: Hyper-parameters are fitted anew when the rows have grown by this share since the last time.
REFIT: Final = 0.15
#: How far beyond the worst value, as a share of the range of what is seen, the box of the hypervolume reaches.
MARGIN: Final = 0.05
#: Rows that keep the known constraints above which those that do not are no longer learnt from.
FEW: Final = 5
#: Standard deviations by which a constraint may turn out better while nothing feasible is known.
OPTIMISM: Final = 0.5


@dataclass(frozen=True)
class Shape:
    """The form of one model, which the next fit goes on from.

    Attributes:
        hyper: Hyper-parameters; see `hannah_hw.search.algorithms._gaussian`.
        told: Number of rows told when they were fitted.
    """

    hyper: FloatArray
    told: int

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"hyper": self.hyper.tolist(), "told": self.told}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Shape:
        """What `to_dict` made."""
        return cls(np.array(document["hyper"], float), int(document["told"]))


@dataclass(frozen=True)
class Predictions:
    """Predictions for P candidates.

    Attributes:
        mean: (P, M) objectives: known ones as they are, predicted ones as expected.
        sd: (P, M) standard deviations; 0 where known.
        kept: (P,) probability that every constraint is kept that only an evaluation shows.
        excess: (P,) the largest optimistic excess of such a constraint in units of its spread; 0 without any.
    """

    mean: FloatArray
    sd: FloatArray
    kept: FloatArray
    excess: FloatArray

    def take(self, index: IntArray) -> Predictions:
        """Those of some candidates."""
        return Predictions(self.mean[index], self.sd[index], self.kept[index], self.excess[index])

    def plus(self, others: Predictions) -> Predictions:
        """Those of these candidates, then those of others."""
        pairs = [(getattr(self, name), getattr(others, name)) for name in self.__dataclass_fields__]
        return Predictions(*(np.concatenate(pair) for pair in pairs))


class Outcomes:
    """Models of what only an evaluation shows, fitted to what was told.

    Args:
        told: All evaluated rows.
        inputs: (N, F) their inputs.
        predicted: (M,) which objectives only an evaluation shows.
        blocks: (F,) block of each input.
        shapes: The forms of the last fit, by output.

    Attributes:
        points: (K, M) objectives of feasible rows. Predicted ones are what the models expect there, so that a lucky
            draw of a noisy evaluation is no point to beat.
        rows: (K,) which rows of `told` these are.
        shapes: The forms of this fit, by output.

    Raises:
        ValueError: An objective has fewer than two values to learn from.
    """

    def __init__(
        self,
        told: Told,
        inputs: FloatArray,
        predicted: BoolArray,
        blocks: IntArray,
        shapes: dict[str, Shape],
    ) -> None:
        use = _most_useful(told)
        self.shapes: dict[str, Shape] = {}
        self._objectives: dict[int, GaussianProcess] = {}
        self._limits: dict[str, tuple[GaussianProcess, float]] = {}
        total = len(told)
        self._predicted = predicted
        for column in np.flatnonzero(predicted).tolist():
            values = told.objectives[use, column]
            name = f"objective {column}"
            finite = np.isfinite(values)
            self._objectives[column] = self._fit(
                name, inputs[use][finite], values[finite], blocks, shapes, total
            )
        for name, rows, values in _limits(told, use):
            model = self._fit(name, inputs[rows], values, blocks, shapes, total)
            self._limits[name] = model, max(float(np.abs(values).mean()), 1e-12)
        self._believed = np.zeros((0, len(predicted)))
        feasible = use[told.feasible[use]]
        self.rows = feasible
        self.points = told.objectives[feasible].copy()
        for column, model in self._objectives.items():
            self.points[:, column] = model.predict(inputs[feasible])[0]

    def _fit(
        self,
        name: str,
        inputs: FloatArray,
        values: FloatArray,
        blocks: IntArray,
        shapes: dict[str, Shape],
        told: int,
    ) -> GaussianProcess:
        if len(values) < 2:
            raise ValueError(f"{name}: {len(values)} values are too few to learn from")
        shape = shapes.get(name)
        if shape is None or told >= shape.told * (1 + REFIT):
            start = first_hyper(int(blocks.max()) + 1) if shape is None else shape.hyper
            shape = Shape(climb(inputs, values, blocks, start, STEPS[shape is not None]), told)
        self.shapes[name] = shape
        return GaussianProcess(inputs, values, blocks, shape.hyper)

    def predict(self, inputs: FloatArray, known: FloatArray) -> Predictions:
        """Predictions for P candidates.

        Args:
            inputs: (P, F) inputs of the models.
            known: (P, M) objectives; predicted ones are ignored.
        """
        mean, sd = known.copy(), np.zeros(known.shape)
        for column, model in self._objectives.items():
            mean[:, column], sd[:, column] = model.predict(inputs)
        kept, excess = np.ones(len(inputs)), np.zeros(len(inputs))
        if self._limits:
            excess = np.full(len(inputs), -np.inf)
        for model, spread in self._limits.values():
            centre, width = model.predict(inputs)
            kept *= normal(-centre / width)[0]
            excess = np.maximum(excess, (centre - OPTIMISM * width) / spread)
        return Predictions(mean, sd, kept, excess)

    def believe(self, inputs: FloatArray, known: FloatArray) -> Outcomes:
        """The models that had seen (K, F) more inputs, each with the outcome that is expected of it.

        Args:
            inputs: (K, F) inputs of the models.
            known: (K, M) objectives; predicted ones are ignored.
        """
        wiser = copy.copy(self)
        wiser._objectives = {c: model.believe(inputs) for c, model in self._objectives.items()}
        wiser._limits = {n: (model.believe(inputs), s) for n, (model, s) in self._limits.items()}
        wiser._believed = np.concatenate([self._believed, self.predict(inputs, known).mean])
        return wiser

    def box(self, forecast: Predictions) -> tuple[FloatArray, FloatArray]:
        """(M,) near and (M,) far corner of what is seen and, in known objectives, of candidates."""
        seen = np.concatenate([self.points, self._believed])
        free = np.where(self._predicted, np.nan, forecast.mean)
        both = np.concatenate([seen, free])
        if not len(seen):
            both = forecast.mean
        low, high = np.nanmin(both, axis=0), np.nanmax(both, axis=0)
        margin = MARGIN * (high - low) + 1e-9
        return np.where(self._predicted, low - margin, low), high + margin

    def improvement(
        self, box: tuple[FloatArray, FloatArray], shares: FloatArray
    ) -> HypervolumeImprovement | None:
        """What candidates are judged by; None while nothing feasible is known."""
        if not len(self.points):
            return None
        seen = np.concatenate([self.points, self._believed])
        return HypervolumeImprovement(seen, *box, self._predicted, shares)


def _most_useful(told: Told) -> IntArray:
    """Rows to learn from, in order: those that are feasible by what was known, at most `MOST`.

    Where there are more, the front and the newest others are kept.
    """
    fair = told.known.violation == 0
    rows = np.flatnonzero(fair if fair.sum() > FEW else np.ones(len(fair), bool))
    if len(rows) <= MOST:
        return rows
    front = pareto_mask(np.where(told.feasible[:, None], told.objectives, np.inf))
    return np.sort(rows[np.lexsort((-rows, ~front[rows]))[:MOST]])


def _limits(told: Told, use: IntArray) -> list[tuple[str, IntArray, FloatArray]]:
    """Name, rows and signed values of all that an evaluation can turn out to break; <= 0 is kept."""
    found = []
    for column in range(told.excess.shape[1]):
        rows = use[np.isfinite(told.excess[use, column])]
        found.append((f"constraint {column}", rows, told.excess[rows, column]))
    failed = told.failed[use]
    surprise = np.where(told.known.violation[use] == 0, told.violation[use], 0.0)
    if not found and (surprise[~failed] > 0).any():
        # Nobody told by how much kept constraints are kept: as much as others are broken, in the middle.
        margin = float(np.median(surprise[~failed & (surprise > 0)]))
        values = np.where(surprise > 0, surprise, -margin)
        found.append(("violation", use[~failed], values[~failed]))
    if failed.any():
        found.append(("failure", use, np.where(failed, 1.0, -1.0)))
    return [entry for entry in found if len(entry[1]) >= 2]

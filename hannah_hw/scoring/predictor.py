"""A learned predictor of a figure that is expensive to obtain, and how well it orders what it has not seen."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hannah_hw.errors import require
from hannah_hw.rank_correlation import FloatArray, spearman

#: Parts that a cross-validation cuts the networks into.
FOLDS: Final = 5
#: Fewest networks that anything is learned from: two of each fold.
FEWEST: Final = 2 * FOLDS
#: Most networks that a Gaussian process is fitted to: it takes 0.1 s for 80, 0.5 s for 200 and 2.7 s for 400.
_PROCESS_LIMIT: Final = 250


class LearnedPredictor:
    """The better of two regressions, by the rank correlation of what each predicts of networks it was not given.

    They are a linear regression with a prior, which is cheap and hard to beat with few networks, and a Gaussian
    process, both of scikit-learn. (Extremely randomised trees took four times as long and were not better: .62 against
    .75 on 50 networks of NAS-Bench-201, .83 against .85 on 220.) Values are learned on the scale
    ``log(value - least + spread)``, with their median distance from the least as the spread: what is near the best
    counts, and a few networks that failed to learn do not decide.

    Args:
        seed: Of the folds and of what the regressions draw.

    Attributes:
        rank_correlation_: Spearman's correlation of the held-out predictions with the values; NaN where either is
            constant.
        model_: Name of the regression that was better: ``linear`` or ``process``.
    """

    rank_correlation_: float
    model_: str

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._model: Any = None
        self._scale = _Scale(0.0, 1.0)

    def fit(self, features: FloatArray, values: FloatArray) -> LearnedPredictor:
        """Learn, and measure how well.

        Args:
            features: (N, F) finite, N at least `FEWEST`.
            values: (N,) finite.

        Raises:
            ValueError: Too few networks, or numbers that are not finite.
            MissingExtraError: scikit-learn is not installed.
        """
        if len(values) < FEWEST:
            raise ValueError(f"{len(values)} networks are too few to learn from; {FEWEST} are needed")
        self._scale = _Scale.of(values)
        targets = self._scale.forward(values)
        parts = np.random.default_rng(self._seed).permutation(len(values)) % FOLDS
        found: dict[str, float] = {}
        for name, make in self._models(len(values)).items():
            held_out = np.empty(len(values))
            for part in range(FOLDS):
                inside = parts == part
                held_out[inside] = _trained(make(), features[~inside], targets[~inside]).predict(
                    features[inside]
                )
            found[name] = spearman(held_out, targets)
        self.model_ = max(found, key=lambda name: -math.inf if math.isnan(found[name]) else found[name])
        self.rank_correlation_ = found[self.model_]
        self._model = _trained(self._models(len(values))[self.model_](), features, targets)
        return self

    def predict(self, features: FloatArray) -> FloatArray:
        """(P,) values of (P, F) features."""
        return self._scale.backward(np.asarray(self._model.predict(features), float))

    def _models(self, count: int) -> Mapping[str, Callable[[], Any]]:
        """Name -> how to make a fresh regression, of those that `count` networks are not too many for."""
        require("sklearn", "predict")
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel
        from sklearn.linear_model import BayesianRidge
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        def process() -> Any:
            kernel = (
                ConstantKernel(1.0, (1e-3, 1e2)) * Matern(5.0, (1e-1, 1e3), nu=2.5)
                + ConstantKernel(0.1, (1e-6, 1e1)) * DotProduct(1.0, "fixed")
                + WhiteKernel(0.1, (1e-4, 1e1))
            )
            model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=self._seed)
            return make_pipeline(StandardScaler(), model)

        made: dict[str, Callable[[], Any]] = {
            "linear": lambda: make_pipeline(StandardScaler(), BayesianRidge()),
        }
        return {**made, "process": process} if count <= _PROCESS_LIMIT else made


def held_out(
    inputs: FloatArray, further: FloatArray, values: FloatArray, seed: int = 0
) -> tuple[float, float]:
    """What further inputs are worth: rank correlations of held-out predictions without them and with them.

    Args:
        inputs: (N, F).
        further: (N, G).
        values: (N,) what is predicted.
        seed: See `LearnedPredictor`.

    Returns:
        NaN twice where there are too few networks to learn from.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    if len(values) < FEWEST:
        return math.nan, math.nan
    alone = LearnedPredictor(seed).fit(inputs, values)
    both = LearnedPredictor(seed).fit(np.concatenate([inputs, further], axis=1), values)
    return alone.rank_correlation_, both.rank_correlation_


def _trained(model: Any, features: FloatArray, values: FloatArray) -> Any:
    """A regression, fitted without warnings of hyper-parameters at the ends of their ranges, which are meant."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, values)


@dataclass(frozen=True)
class _Scale:
    """A logarithmic scale that begins below the least value."""

    least: float
    spread: float

    @classmethod
    def of(cls, values: FloatArray) -> _Scale:
        least = float(values.min())
        return cls(least, (float(np.median(values)) - least) or (float(values.max()) - least) or 1.0)

    def forward(self, values: FloatArray) -> FloatArray:
        result: FloatArray = np.log(np.maximum(values - self.least, 0.0) / self.spread + 1.0)
        return result

    def backward(self, positions: FloatArray) -> FloatArray:
        # Whatever is predicted, it is no more than some multiples of what was seen.
        result: FloatArray = self.least + self.spread * (np.exp(np.minimum(positions, 50.0)) - 1.0)
        return result

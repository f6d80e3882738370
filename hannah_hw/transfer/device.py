"""The latency model of a device: a constant and a cost for every operation, known devices as the prior.

Latency is physical. How such costs are spread over known devices is the prior of those of the new one. A second model
stands beside it, for devices that run independent operations side by side: the sum plus the longest path, with costs
of its own for operations on that path. From `PATHS_FROM` samples on, they decide between the two, by Bayesian evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.transfer.linear import Prior, evidence, posterior

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Samples from which the model with paths is considered, and by how much the logarithm of its evidence has to be
#: larger for each sample beyond the first `UNCOUNTED`: 1 at 10 samples ("positive"), 3 at 20 ("strong"; Kass and
#: Raftery, "Bayes factors", 1995). It grows with samples as evidence does, that of mistaken outliers included:
#: measured latencies have more of those than the normal noise that the evidence is for.
PATHS_FROM: Final = 10
UNCOUNTED: Final = 5
MARGIN_PER_SAMPLE: Final = 0.2
#: Relative errors of the model that are tried, the one that is expected, and how far the truth may be from it
#: (standard deviation of the logarithm). A fit takes none above the expected one: the prior would win over samples.
NOISES: Final = (0.3, 0.15, 0.06, 0.03, 0.01, 1e-3, 1e-5)
EXPECTED_NOISE: Final = 0.06
NOISE_SPREAD: Final = 1.5
#: Standard deviations, in units of the device's geometric mean latency: of its scale against the known devices', and
#: of a path's cost per operation.
SCALE_DEVIATION: Final = 0.5
PATH_DEVIATION: Final = 0.3
#: Known devices are few: their covariance is widened by this factor and by a variance that is larger the fewer.
WIDENING: Final = 4.0
LEAST_VARIANCE: Final = 1e-3
FEW_VARIANCE: Final = 0.1
#: Most rounds of fitting costs, then looking which path is longest.
_ROUNDS: Final = 8


class Known:
    """What is known of N architectures before a device is measured.

    Args:
        features: (N, F) what latency is a sum of.
        latencies: (N, D) on known devices; NaN where unknown.
        paths: (N, P, O) how often each path has each operation; None: only sums.

    Attributes:
        unit: (F + 1,) root mean square of the constant and of each feature: the units of the fit.
        rows: (N, F + 1) the constant and the features in these units.
        prior: Of their costs, for a device of geometric mean latency 1.
        paths: As given; None where there is none.
        starts: Costs of path operations, (O,) each, that fits of the model with paths start from.
    """

    def __init__(self, features: FloatArray, latencies: FloatArray, paths: FloatArray | None) -> None:
        rows = np.concatenate([np.ones((len(features), 1)), features], axis=1)
        scale = np.sqrt((rows**2).mean(axis=0))
        self._features, self._latencies = features, latencies
        self.unit = np.where(scale > 0, scale, 1.0)
        self.rows = rows / self.unit
        logs = np.log(latencies)
        relative = np.exp(logs - np.nanmean(logs, axis=0))
        self.prior = _prior(self.rows, relative)
        measured = np.isfinite(latencies).any(axis=1)
        #: (N,) logarithm of the mean known device's latency; of what no known device has, by the prior's costs.
        self._typical = np.log(self.expected(np.arange(len(features))))
        self._typical[measured] = np.nanmean(np.log(relative[measured]), axis=1)
        self.paths = None if paths is None or not paths.size else np.asarray(paths, np.float64)
        self.starts = [] if self.paths is None else _first_costs(self.paths, np.exp(self._typical))

    def __len__(self) -> int:
        return len(self.rows)

    def without_each(self) -> list[Known]:
        """What is known without one of the devices, for each of two or more."""
        count = self._latencies.shape[1]
        return [
            Known(self._features, np.delete(self._latencies, device, axis=1), self.paths)
            for device in range(count if count > 1 else 0)
        ]

    def expected(self, rows: IntArray) -> FloatArray:
        """(K,) latencies of some rows by the costs that are expected, of a device of geometric mean latency 1."""
        latency: FloatArray = np.maximum(self.rows[rows] @ self.prior.mean, 0.05)
        return latency

    def fit(self, sampled: IntArray, seconds: FloatArray) -> Model:
        """Fit the model to samples: that with paths where there are enough of them and its evidence is strong.

        Args:
            sampled: (K,) rows.
            seconds: (K,) their latencies.
        """
        sums, paths = self.fits(sampled, seconds)
        if paths is None or len(sampled) < PATHS_FROM:
            return sums
        margin = MARGIN_PER_SAMPLE * (len(sampled) - UNCOUNTED)
        return paths if paths.evidence > sums.evidence + margin else sums

    def fits(self, sampled: IntArray, seconds: FloatArray) -> tuple[Model, Model | None]:
        """Both models of some samples: that of sums, and that with paths, if there are any; arguments as `fit`."""
        sums = self._fit(sampled, seconds, None)
        if self.paths is None:
            return sums, None
        return sums, max(
            (self._fit(sampled, seconds, start) for start in self.starts), key=lambda m: m.evidence
        )

    def _fit(self, sampled: IntArray, seconds: FloatArray, costs: FloatArray | None) -> Model:
        """Fit one of the two models; costs of path operations to start from choose that with paths."""
        scale = float(np.exp(np.mean(np.log(seconds) - self._typical[sampled])))
        mean = self.prior.mean
        # A scale that is wrong by some factor is wrong for all coefficients alike.
        spread = self.prior.covariance + SCALE_DEVIATION**2 * np.outer(mean, mean)
        prior, size = Prior(mean, spread), len(mean)
        if costs is not None:
            prior = prior.and_also(len(costs), PATH_DEVIATION)
        least = float(seconds.min()) / 2
        for _ in range(_ROUNDS):
            rows = self.design(sampled, costs) * (scale / seconds)[:, None]
            found, noise = evidence(rows, prior, NOISES, typical=EXPECTED_NOISE, spread=NOISE_SPREAD)
            noise = min(noise, EXPECTED_NOISE)
            coefficients = posterior(rows, prior, noise)
            model = Model(found, noise, scale, coefficients, costs, prior, least)
            after = np.maximum(coefficients[size:], 0.0)
            if costs is None or np.allclose(after, costs):
                break
            costs = after
        return model

    def design(self, rows: IntArray, costs: FloatArray | None) -> FloatArray:
        """Features of some rows, in the units of the fit, with those of the path that takes longest at some costs."""
        if costs is None or self.paths is None:
            return self.rows[rows]
        return np.concatenate([self.rows[rows], _longest(self.paths[rows], costs)], axis=1)


@dataclass(frozen=True)
class Model:
    """One fit to the samples of a device.

    Args:
        evidence: Its logarithm.
        noise: Standard deviation of the relative error.
        scale: Seconds: geometric mean latency of the device.
        coefficients: (F + 1,), with paths (F + 1 + O,), in units of the scale and of `Known.unit`.
        costs: (O,) costs of operations that say which path takes longest; None: the model without paths.
        prior: Of the coefficients.
        least: Seconds that no prediction is below.
    """

    evidence: float
    noise: float
    scale: float
    coefficients: FloatArray
    costs: FloatArray | None
    prior: Prior
    least: float

    def predict(self, known: Known, rows: IntArray) -> FloatArray:
        """Seconds; no less than half of the smallest sample, where a linear model may go below zero."""
        seconds: FloatArray = np.maximum(
            known.design(rows, self.costs) @ self.coefficients * self.scale, self.least
        )
        return seconds

    def left_out(self, known: Known, sampled: IntArray, seconds: FloatArray) -> FloatArray:
        """(K,) logarithm of each sample over the prediction of the same model fitted to the others."""
        rows = known.design(sampled, self.costs) * (self.scale / seconds)[:, None]
        errors = np.empty(len(sampled))
        for at in range(len(sampled)):
            others = posterior(np.delete(rows, at, axis=0), self.prior, self.noise)
            predicted = replace(self, coefficients=others).predict(known, sampled[[at]])
            errors[at] = np.log(seconds[at] / predicted[0])
        return errors


def _prior(rows: FloatArray, relative: FloatArray) -> Prior:
    """Costs of operations over known devices, each of geometric mean latency 1."""
    found = []
    for latency in relative.T:
        seen = np.isfinite(latency)
        scaled = rows[seen] / latency[seen, None]
        # Columns that say the same share their cost.
        gram = scaled.T @ scaled + 1e-6 * seen.sum() * np.eye(rows.shape[1])
        found.append(np.linalg.solve(gram, scaled.sum(axis=0)))
    costs = np.array(found)
    mean = costs.mean(axis=0)
    apart = costs - mean
    variance = LEAST_VARIANCE + FEW_VARIANCE / len(costs) ** 2
    covariance = WIDENING * apart.T @ apart / max(1, len(costs) - 1) + variance * np.eye(len(mean))
    return Prior(mean, covariance)


def _first_costs(paths: FloatArray, latency: FloatArray) -> list[FloatArray]:
    """Costs of path operations to start from: what explains known latencies by all paths together, and all alike."""
    total = paths.sum(axis=1) / latency[:, None]
    fitted = np.linalg.lstsq(total, np.ones(len(total)), rcond=None)[0]
    return [np.maximum(fitted, 0.0), np.ones(paths.shape[2])]


def _longest(paths: FloatArray, costs: FloatArray) -> FloatArray:
    """(N, O) operations of the path that takes longest; of several, the first."""
    best: FloatArray = paths[np.arange(len(paths)), (paths @ costs).argmax(axis=1)]
    return best

"""Few-shot transfer: a latency model of a new device from a few samples and what is known of other devices.

The model is physical: latency is a constant and a cost for every operation. How such costs are spread over known
devices is the prior of those of the new one. From `PATHS_FROM` samples on, a second model stands beside it, for
devices that run independent operations side by side: the sum plus the longest path, with costs of its own for
operations on that path. The samples decide between the two, by Bayesian evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError
from hannah_hw.transfer.design import d_optimal
from hannah_hw.transfer.linear import Prior, evidence, posterior

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Samples from which the model with paths is considered, and by how much the logarithm of its evidence has to be
#: larger: 3 is "strong" (Kass and Raftery, "Bayes factors", 1995).
PATHS_FROM: Final = 20
STRONG: Final = 3.0
#: Share of latencies that an interval is to hold.
COVERAGE: Final = 0.9
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
#: A quantile of left-out errors below this is taken for it: ratios to smaller ones say nothing.
LEAST_WIDTH: Final = 0.005
#: As how many samples the known devices count where intervals are drawn towards theirs.
BORROWED: Final = 5.0
#: Most rounds of fitting costs, then looking which path is longest.
_ROUNDS: Final = 8


class Prediction(NamedTuple):
    """Latencies of all N architectures in seconds, each with the interval that is to hold it.

    Args:
        values: (N,) the model's latency, of samples too.
        lower: (N,).
        upper: (N,).
    """

    values: FloatArray
    lower: FloatArray
    upper: FloatArray


@dataclass(frozen=True)
class Predictor:
    """A latency model of one device.

    Args:
        values_s: (N,) predicted latency of every architecture, seconds.
        half_width: Logarithm of upper end over value, and of value over lower end, of the interval: a quantile of
            `errors`, calibrated on known devices with the same samples.
        coverage: Share of latencies that the interval is to hold; 90 %, but for fewer than 9 samples and no second
            known device that it could be calibrated with.
        paths: Whether it has the longest path beside the sum.
        coefficients_s: (F + 1,) seconds: the constant, then each feature; of the path, (O,) more.
        errors: (K,) logarithm of sample over prediction, of a model that did not see the sample.
    """

    values_s: FloatArray
    half_width: float
    coverage: float
    paths: bool
    coefficients_s: FloatArray
    errors: FloatArray

    def predict(self) -> Prediction:
        """Latency of every architecture."""
        factor = np.exp(self.half_width)
        return Prediction(self.values_s, self.values_s / factor, self.values_s * factor)


class FewShot:
    """Everything that is known before the new device is measured.

    Args:
        features: (N, F) what latency is a sum of, such as how often each operation runs; not negative.
        known_latencies: (N, D) latencies on known devices, any unit, positive; NaN where unknown.
        paths: (N, P, O) how often each path has each operation; None: only sums.

    Raises:
        DataError: Shapes that do not fit, numbers that are not usable, or a known device with constant latency.
    """

    def __init__(
        self, features: FloatArray, known_latencies: FloatArray, *, paths: FloatArray | None = None
    ) -> None:
        features = np.asarray(features, np.float64)
        known = np.asarray(known_latencies, np.float64)
        _check(features, known, paths)
        rows = np.concatenate([np.ones((len(features), 1)), features], axis=1)
        scale = np.sqrt((rows**2).mean(axis=0))
        self._features, self._known = features, known
        self._unit = np.where(scale > 0, scale, 1.0)
        self._rows = rows / self._unit
        logs = np.log(known)
        relative = np.exp(logs - np.nanmean(logs, axis=0))
        self._prior = _prior(self._rows, relative)
        measured = np.isfinite(known).any(axis=1)
        #: (N,) logarithm of the mean known device's latency; of what no known device has, by the prior's costs.
        self._typical = np.log(np.maximum(self._rows @ self._prior.mean, 0.05))
        self._typical[measured] = np.nanmean(np.log(relative[measured]), axis=1)
        self._paths = None if paths is None or not paths.size else np.asarray(paths, np.float64)
        self._starts = [] if self._paths is None else _first_costs(self._paths, np.exp(self._typical))

    def __len__(self) -> int:
        return len(self._rows)

    def choose(self, count: int, *, candidates: IntArray | None = None) -> IntArray:
        """Choose the architectures to measure (Bayesian D-optimal under the model in relative error).

        Args:
            count: How many.
            candidates: (C,) rows to choose from; all.

        Returns:
            (count,) rows, in the order in which to measure.

        Raises:
            DataError: Fewer candidates than samples.
        """
        among = np.arange(len(self)) if candidates is None else np.asarray(candidates, np.int64)
        prior, rows = self._prior, self._rows[among]
        latency = np.maximum(rows @ prior.mean, 0.05)
        if self._paths is not None and count >= PATHS_FROM:
            rows = np.concatenate([rows, _longest(self._paths[among], self._starts[0])], axis=1)
            prior = prior.and_also(self._paths.shape[2], PATH_DEVIATION)
        precision = np.asarray(np.linalg.inv(prior.covariance) * EXPECTED_NOISE**2, np.float64)
        scaled: FloatArray = rows / latency[:, None]
        return among[d_optimal(scaled, count, precision)]

    def fit(self, indices: IntArray, latencies: FloatArray) -> Predictor:
        """Fit the model to the samples of the new device.

        Args:
            indices: (K,) rows of the samples, K of 2 or more; in any order.
            latencies: (K,) their latencies in seconds.

        Raises:
            DataError: Rows that do not exist or are there twice, latencies that are not usable or all the same.
        """
        sampled, seconds = np.asarray(indices, np.int64), np.asarray(latencies, np.float64)
        self._check_samples(sampled, seconds)
        model = self._choose_model(sampled, seconds)
        errors = model.left_out(self, sampled, seconds)
        half_width, coverage = self._interval(sampled, errors)
        units = np.append(self._unit, np.ones(len(model.coefficients) - len(self._unit)))
        return Predictor(
            values_s=model.predict(self, np.arange(len(self))),
            half_width=half_width,
            coverage=coverage,
            paths=model.costs is not None,
            coefficients_s=model.coefficients * model.scale / units,
            errors=errors,
        )

    @cached_property
    def _without_each(self) -> list[FewShot]:
        """What is known without one of the devices, for each of two or more."""
        count = self._known.shape[1]
        return [
            FewShot(self._features, np.delete(self._known, device, axis=1), paths=self._paths)
            for device in range(count if count > 1 else 0)
        ]

    def _interval(self, sampled: IntArray, errors: FloatArray) -> tuple[float, float]:
        """Half width of the interval, as a logarithm, and the share of latencies that it is to hold.

        Chosen samples are few and not drawn like the rest, so their errors alone do not tell. Each known device is
        taken for the new one, with the same samples: the quantile of the errors left out is drawn towards the median
        of the known devices' as by `BORROWED` samples, and multiplied by what it takes to hold `COVERAGE` of their
        other latencies, 1 or more, each device weighing the same.
        """
        width, coverage = _quantile(errors)
        widths, sizes = [], []
        for device, others in enumerate(self._without_each):
            latency = self._known[:, device]
            seen = np.isfinite(latency)
            if not seen[sampled].all() or latency[sampled].min() == latency[sampled].max():
                continue
            seen[sampled] = False
            model = others._choose_model(sampled, latency[sampled])
            widths.append(max(_quantile(model.left_out(others, sampled, latency[sampled]))[0], LEAST_WIDTH))
            rest = np.flatnonzero(seen)
            sizes.append(np.abs(np.log(model.predict(others, rest) / latency[rest])))
        usual = np.log(widths)
        if len(usual) < 2:
            return width, coverage
        weight = BORROWED / (BORROWED + len(sampled))
        ratios = []
        for device, error in enumerate(sizes):
            if len(error):
                drawn = (1 - weight) * usual[device] + weight * np.median(np.delete(usual, device))
                ratios.append(np.quantile(error, np.linspace(0.0, 1.0, 201)) / np.exp(drawn))
        inflation = float(np.quantile(np.concatenate(ratios), COVERAGE)) if ratios else 1.0
        drawn = (1 - weight) * np.log(max(width, LEAST_WIDTH)) + weight * np.median(usual)
        return float(np.exp(drawn)) * max(1.0, inflation), COVERAGE

    def _choose_model(self, sampled: IntArray, seconds: FloatArray) -> _Model:
        sums = self._fit(sampled, seconds, None)
        if self._paths is None or len(sampled) < PATHS_FROM:
            return sums
        best = max((self._fit(sampled, seconds, start) for start in self._starts), key=lambda m: m.evidence)
        return best if best.evidence > sums.evidence + STRONG else sums

    def _fit(self, sampled: IntArray, seconds: FloatArray, costs: FloatArray | None) -> _Model:
        """Fit one of the two models; costs of path operations to start from choose that with paths."""
        scale = float(np.exp(np.mean(np.log(seconds) - self._typical[sampled])))
        mean = self._prior.mean
        # A scale that is wrong by some factor is wrong for all coefficients alike.
        spread = self._prior.covariance + SCALE_DEVIATION**2 * np.outer(mean, mean)
        prior, size = Prior(mean, spread), len(mean)
        if costs is not None:
            prior = prior.and_also(len(costs), PATH_DEVIATION)
        least = float(seconds.min()) / 2
        for _ in range(_ROUNDS):
            rows = self.design(sampled, costs) * (scale / seconds)[:, None]
            found, noise = evidence(rows, prior, NOISES, typical=EXPECTED_NOISE, spread=NOISE_SPREAD)
            noise = min(noise, EXPECTED_NOISE)
            coefficients = posterior(rows, prior, noise)
            model = _Model(found, noise, scale, coefficients, costs, prior, least)
            after = np.maximum(coefficients[size:], 0.0)
            if costs is None or np.allclose(after, costs):
                break
            costs = after
        return model

    def design(self, rows: IntArray, costs: FloatArray | None) -> FloatArray:
        """Features of some rows, in the units of the fit, with those of the path that takes longest at some costs."""
        if costs is None or self._paths is None:
            return self._rows[rows]
        return np.concatenate([self._rows[rows], _longest(self._paths[rows], costs)], axis=1)

    def _check_samples(self, sampled: IntArray, seconds: FloatArray) -> None:
        if sampled.ndim != 1 or sampled.shape != seconds.shape or len(sampled) < 2:
            raise DataError(
                f"{sampled.shape} rows and {seconds.shape} latencies; as many of both are needed, 2 or more"
            )
        if len(np.unique(sampled)) < len(sampled) or sampled.min() < 0 or sampled.max() >= len(self):
            raise DataError(f"samples are distinct rows from 0 to {len(self) - 1}")
        if not (np.isfinite(seconds).all() and (seconds > 0).all()):
            raise DataError("latencies of samples are positive and finite; leave out those that failed")
        if seconds.min() == seconds.max():
            raise DataError(
                f"all {len(seconds)} samples have the same latency; nothing can be learned from them"
            )


@dataclass(frozen=True)
class _Model:
    """One fit: evidence, noise, and coefficients in units of a scale; with the costs that say which path is longest."""

    evidence: float
    noise: float
    scale: float
    coefficients: FloatArray
    costs: FloatArray | None
    prior: Prior
    least: float

    def predict(self, known: FewShot, rows: IntArray) -> FloatArray:
        """Seconds; no less than half of the smallest sample, where a linear model may go below zero."""
        seconds: FloatArray = np.maximum(
            known.design(rows, self.costs) @ self.coefficients * self.scale, self.least
        )
        return seconds

    def left_out(self, known: FewShot, sampled: IntArray, seconds: FloatArray) -> FloatArray:
        """(K,) logarithm of each sample over the prediction of the same model fitted to the others."""
        rows = known.design(sampled, self.costs) * (self.scale / seconds)[:, None]
        errors = np.empty(len(sampled))
        for at in range(len(sampled)):
            others = posterior(np.delete(rows, at, axis=0), self.prior, self.noise)
            predicted = replace(self, coefficients=others).predict(known, sampled[[at]])
            errors[at] = np.log(seconds[at] / predicted[0])
        return errors


def _quantile(errors: FloatArray) -> tuple[float, float]:
    """Size of error that the next one is not above, and in what share of cases, 90 % where there are enough errors.

    Of K + 1 exchangeable errors, the last is not above the r-th smallest of the others in r / (K + 1) of cases.
    """
    count = len(errors)
    rank = min(count, int(np.ceil(COVERAGE * (count + 1))))
    return float(np.sort(np.abs(errors))[rank - 1]), min(COVERAGE, rank / (count + 1))


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


def _check(features: FloatArray, known: FloatArray, paths: FloatArray | None) -> None:
    count = len(features) if features.ndim else 0
    if features.ndim != 2 or known.ndim != 2 or len(known) != count or not (count and known.shape[1]):
        raise DataError(
            f"features of shape {features.shape} and known latencies of shape {known.shape}; they are (N, F) and "
            "(N, D), with one architecture and one known device or more"
        )
    if paths is not None and (paths.ndim != 3 or len(paths) != count or not np.isfinite(paths).all()):
        raise DataError(f"paths of shape {paths.shape}; they are ({count}, P, O), finite")
    if not np.isfinite(features).all() or (features < 0).any():
        raise DataError("features are finite and not negative")
    seen = np.isfinite(known)
    if np.isinf(known).any() or (known[seen] <= 0).any():
        raise DataError("known latencies are positive, or NaN where there is none")
    for device in range(known.shape[1]):
        values = known[seen[:, device], device]
        if len(values) < 2 or values.min() == values.max():
            raise DataError(
                f"known device {device} has {len(values)} latencies, all the same; nothing can be learned from it, "
                "leave it out"
            )

"""Few-shot transfer: a latency model of a new device from a few samples and what is known of other devices.

The samples are chosen and predictions get intervals here; the model is that of `device`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError
from hannah_hw.transfer.design import d_optimal
from hannah_hw.transfer.device import EXPECTED_NOISE, PATH_DEVIATION, Known, Model
from hannah_hw.transfer.linear import Prior

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Samples from which some are chosen to tell costs on paths from the beginning.
PATHS_DESIGN_FROM: Final = 20
#: Samples from which there are two batches, and the fewest of the first.
BATCHES_FROM: Final = 8
LEAST_BATCH: Final = 6
#: Share of latencies that an interval is to hold.
COVERAGE: Final = 0.9
#: Errors below this are taken for it: ratios of smaller ones say nothing.
LEAST_WIDTH: Final = 0.005
#: As how many samples the known devices count where intervals are drawn towards theirs.
BORROWED: Final = 5.0


class Prediction(NamedTuple):
    """Latencies of all N architectures in seconds, each with the interval that is to hold it.

    Attributes:
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
        self._known, self._latencies = Known(features, known, paths), known

    def __len__(self) -> int:
        return len(self._known)

    def choose(self, count: int, *, total: int | None = None, candidates: IntArray | None = None) -> IntArray:
        """Choose the architectures to measure first (Bayesian D-optimal under the model in relative error).

        Args:
            count: How many.
            total: How many will be measured in the end, those of `choose_next` included; no more than these.
            candidates: (C,) rows to choose from; all.

        Returns:
            (count,) rows, in the order in which to measure.

        Raises:
            DataError: Fewer candidates than samples.
        """
        among = np.arange(len(self)) if candidates is None else np.asarray(candidates, np.int64)
        known, prior, costs = self._known, self._known.prior, None
        if known.paths is not None and max(count, total or 0) >= PATHS_DESIGN_FROM:
            costs, prior = known.starts[0], prior.and_also(known.paths.shape[2], PATH_DEVIATION)
        rows = known.design(among, costs) / known.expected(among)[:, None]
        return among[d_optimal(rows, count, _precision(prior))]

    def choose_next(
        self, indices: IntArray, latencies: FloatArray, count: int, *, candidates: IntArray | None = None
    ) -> IntArray:
        """Choose more architectures to measure: where what was measured leaves the fit uncertain.

        The design is D-optimal as that of `choose`, but for the more probable of the two models, at the costs that
        were fitted, after what the samples have told.

        Args:
            indices: (K,) rows of the samples, K of 2 or more.
            latencies: (K,) their latencies in seconds.
            count: How many more.
            candidates: (C,) rows to choose from, samples or not; all.

        Returns:
            (count,) rows that are no samples, in the order in which to measure.

        Raises:
            DataError: As of `fit`, or fewer candidates than are wanted.
        """
        sampled, seconds = np.asarray(indices, np.int64), np.asarray(latencies, np.float64)
        self._check_samples(sampled, seconds)
        known = self._known
        model, paths = known.fits(sampled, seconds)
        if paths is not None and paths.evidence > model.evidence:
            model = paths
        among = np.setdiff1d(np.arange(len(self)) if candidates is None else candidates, sampled)

        def scaled(rows: IntArray) -> FloatArray:
            latency = model.predict(known, rows)[:, None] / model.scale
            return np.asarray(known.design(rows, model.costs) / latency, np.float64)

        told = scaled(sampled)
        return among[d_optimal(scaled(among), count, _precision(model.prior) + told.T @ told)]

    def sample(
        self, count: int, measure: Callable[[IntArray], FloatArray], *, candidates: IntArray | None = None
    ) -> tuple[IntArray, FloatArray]:
        """Choose and measure in two batches, the second chosen by what the first told.

        Args:
            count: How many in all.
            measure: Latencies in seconds of some rows; called once or twice.
            candidates: (C,) rows to choose from; all.

        Returns:
            (count,) rows, and their latencies.

        Raises:
            DataError: As of `choose` and `choose_next`.
        """
        first = first_batch(count)
        sampled = self.choose(first, total=count, candidates=candidates)
        seconds = measure(sampled)
        if first < count:
            more = self.choose_next(sampled, seconds, count - first, candidates=candidates)
            sampled, seconds = np.append(sampled, more), np.append(seconds, measure(more))
        return sampled, seconds

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
        known = self._known
        model = known.fit(sampled, seconds)
        errors = model.left_out(known, sampled, seconds)
        half_width, coverage = self._interval(sampled, errors)
        units = np.append(known.unit, np.ones(len(model.coefficients) - len(known.unit)))
        return Predictor(
            values_s=model.predict(known, np.arange(len(self))),
            half_width=half_width,
            coverage=coverage,
            paths=model.costs is not None,
            coefficients_s=model.coefficients * model.scale / units,
            errors=errors,
        )

    def rehearse(self, indices: IntArray) -> dict[int, FloatArray]:
        """What the known devices would be predicted if each were new and had these samples.

        Args:
            indices: (K,) rows of the samples, K of 2 or more.

        Returns:
            Known device -> (N,) predicted latencies, in its unit, where it has all the samples and others are known.
        """
        everything = np.arange(len(self))
        return {
            device: model.predict(others, everything)
            for device, others, model in self._as_new(np.asarray(indices, np.int64))
        }

    def _as_new(self, sampled: IntArray) -> Iterator[tuple[int, Known, Model]]:
        """Known devices that have all the samples, what is known without each, and its model by the samples."""
        for device, others in enumerate(self._others):
            latency = self._latencies[sampled, device]
            if np.isfinite(latency).all() and latency.min() < latency.max():
                yield device, others, others.fit(sampled, latency)

    @cached_property
    def _others(self) -> list[Known]:
        """What is known without each of the known devices."""
        return self._known.without_each()

    def _interval(self, sampled: IntArray, errors: FloatArray) -> tuple[float, float]:
        """Half width of the interval, as a logarithm, and the share of latencies that it is to hold.

        Chosen samples are few and not drawn like the rest, so their errors alone do not tell. Each known device is
        taken for the new one, with the same samples: the quantile of the errors left out is drawn towards the median
        of the known devices' as by `BORROWED` samples, and multiplied by what it takes to hold `COVERAGE` of their
        other latencies, each device weighing the same.
        """
        width, coverage = _quantile(errors)
        widths, sizes = [], []
        for device, others, model in self._as_new(sampled):
            latency = self._latencies[:, device]
            widths.append(max(_quantile(model.left_out(others, sampled, latency[sampled]))[0], LEAST_WIDTH))
            rest = np.setdiff1d(np.flatnonzero(np.isfinite(latency)), sampled)
            sizes.append(np.abs(np.log(model.predict(others, rest) / latency[rest])))
        usual = np.log(widths)
        if len(usual) < 2:
            return width, coverage
        weight = BORROWED / (BORROWED + len(sampled))
        ratios = []
        for device, error in enumerate(sizes):
            if len(error):
                drawn = (1 - weight) * usual[device] + weight * np.median(np.delete(usual, device))
                large = np.maximum(np.quantile(error, np.linspace(0.0, 1.0, 201)), LEAST_WIDTH)
                ratios.append(large / np.exp(drawn))
        factor = float(np.quantile(np.concatenate(ratios), COVERAGE)) if ratios else 1.0
        drawn = (1 - weight) * np.log(max(width, LEAST_WIDTH)) + weight * np.median(usual)
        return float(np.exp(drawn)) * factor, COVERAGE

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


def first_batch(count: int) -> int:
    """How many of some samples to measure before the others are chosen; all, where there are few."""
    return count if count < BATCHES_FROM else max(LEAST_BATCH, count // 2)


def _precision(prior: Prior) -> FloatArray:
    """Of a prior, in units of the expected noise."""
    return np.asarray(np.linalg.inv(prior.covariance) * EXPECTED_NOISE**2, np.float64)


def _quantile(errors: FloatArray) -> tuple[float, float]:
    """Size of error that the next one is not above, and in what share of cases, 90 % where there are enough errors.

    Of K + 1 exchangeable errors, the last is not above the r-th smallest of the others in r / (K + 1) of cases.
    """
    count = len(errors)
    rank = min(count, int(np.ceil(COVERAGE * (count + 1))))
    return float(np.sort(np.abs(errors))[rank - 1]), min(COVERAGE, rank / (count + 1))


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

"""What few-shot transfer is compared with: models that know the samples alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import require
from hannah_hw.least_squares import nnls

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def operation_counts(features: FloatArray, sampled: IntArray, latency: FloatArray) -> FloatArray:
    """A constant and a non-negative cost for every feature, by least squares in relative error.

    Args:
        features: (N, F).
        sampled: (K,) rows of the samples.
        latency: (K,) their latencies.

    Returns:
        (N,) predicted latencies.
    """
    rows = np.concatenate([np.ones((len(features), 1)), features], axis=1)
    costs = nnls(rows[sampled] / latency[:, None], np.ones(len(latency)))
    return _positive(rows @ costs, latency)


def counts_of_all(features: FloatArray, latency: FloatArray) -> FloatArray:
    """The best sum of a constant and of a cost for every feature, by least squares in relative error to all latencies.

    Costs may be negative: it is no model, but what a sum could explain.

    Args:
        features: (N, F).
        latency: (N,).

    Returns:
        (N,) the sums.
    """
    rows = np.concatenate([np.ones((len(features), 1)), features], axis=1)
    costs = np.linalg.lstsq(rows / latency[:, None], np.ones(len(latency)), rcond=None)[0]
    return np.asarray(rows @ costs, np.float64)


def macs_line(macs: FloatArray, sampled: IntArray, latency: FloatArray) -> FloatArray:
    """A straight line over multiply-accumulate operations, by least squares; arguments as `operation_counts`."""
    rows = np.stack([np.ones(len(macs)), macs / np.abs(macs).max()], axis=1)
    return _positive(rows @ np.linalg.lstsq(rows[sampled], latency, rcond=None)[0], latency)


def random_forest(features: FloatArray, sampled: IntArray, latency: FloatArray, *, seed: int) -> FloatArray:
    """A random forest of 100 trees of the logarithm of latency; arguments as `operation_counts`.

    Raises:
        MissingExtraError: scikit-learn is not installed (extra ``predict``).
    """
    ensemble = require("sklearn.ensemble", "predict")
    forest = ensemble.RandomForestRegressor(100, random_state=seed, n_jobs=1)
    forest.fit(features[sampled], np.log(latency))
    return np.asarray(np.exp(forest.predict(features)), np.float64)


def _positive(predicted: FloatArray, latency: FloatArray) -> FloatArray:
    """Predictions no less than half of the smallest sample: a straight line may go below zero."""
    result: FloatArray = np.maximum(predicted, float(latency.min()) / 2)
    return result

"""Gaussian-process regression of one output, for a few hundred rows.

The covariance of two rows is ``s2 (matern(r) + b <x, x'> + v [same row])`` with the Matern-5/2 function of
``r2 = sum_j |x_j - x'_j|2 / l_j2`` over blocks j of features, each with a length scale of its own, a linear part b
and noise v (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, sections 2.2, 4.2 and 5.4). The
scale s2 has its best value in closed form; the other hyper-parameters climb the marginal likelihood times a prior.
"""

from __future__ import annotations

import copy
from typing import Final, NamedTuple

import numpy as np

from hannah_hw.search.protocols import FloatArray, IntArray

#: Centre of the prior of a length scale (features have a range of about 1), of the linear part and of the noise, and
#: the standard deviation of their logarithms. Wide: they only keep a dozen rows from choosing an extreme.
LENGTH: Final = 1.5
LINEAR: Final = 0.3
NOISE: Final = 0.02
SPREAD: Final = (1.0, 2.0, 2.0)
#: Bounds of the logarithms of length scales, linear part and noise.
LIMITS: Final = ((np.log(0.2), np.log(30.0)), (np.log(1e-3), np.log(10.0)), (np.log(1e-5), np.log(2.0)))
#: Rows that the prior of the scale counts as: it is 1, the variance of a standardised output.
PRIOR_ROWS: Final = 3.0
#: First step of a logarithm, its growth while the slope keeps its sign and its shrinkage when that changes (Rprop;
#: Riedmiller and Braun, 1993).
STEP: Final = 0.3
GROWTH: Final = 1.3
SHRINKAGE: Final = 0.5


def first_hyper(blocks: int) -> FloatArray:
    """(blocks + 2,) logarithms of the length scales, of the linear part and of the noise where a fit begins."""
    return np.asarray(np.log(np.r_[np.full(blocks, LENGTH), LINEAR, NOISE]))


def block_distances(features: FloatArray, blocks: IntArray) -> FloatArray:
    """(B, N, N) squared distances of (N, F) features in each block; `blocks` holds the block of each feature."""
    return np.stack(
        [_squared(part, part) for part in (features[:, blocks == b] for b in range(blocks.max() + 1))]
    )


class Posterior(NamedTuple):
    """How well hyper-parameters explain outputs.

    Attributes:
        loss: Minus the logarithm of the marginal likelihood at the best scale, without the prior of the
            hyper-parameters, up to a constant.
        slope: (B + 2,) its derivative by the logarithms of the hyper-parameters.
        scale: The best scale s2.
    """

    loss: float
    slope: FloatArray
    scale: float


def likelihood(distances: FloatArray, linear: FloatArray, y: FloatArray, hyper: FloatArray) -> Posterior:
    """How well hyper-parameters explain outputs.

    Args:
        distances: (B, N, N) squared distances of the rows in each block.
        linear: (N, N) inner products of the rows.
        y: (N,) outputs.
        hyper: (B + 2,) logarithms; see `first_hyper`.

    Raises:
        numpy.linalg.LinAlgError: The covariance is not positive definite.
    """
    count = len(y)
    shares = np.exp(-2 * hyper[:-2])
    root = np.sqrt(5 * np.tensordot(shares, distances, 1))
    decay = np.exp(-root)
    gram = (1 + root + root**2 / 3) * decay
    steep = (5 / 3) * (1 + root) * decay
    share, noise = np.exp(hyper[-2:])
    gram += share * linear
    gram[np.diag_indices(count)] += noise
    lower = np.linalg.cholesky(gram)
    inverse = np.linalg.inv(lower)
    white = inverse @ y
    rows = count + PRIOR_ROWS
    scale = float(white @ white + PRIOR_ROWS) / rows
    loss = 0.5 * rows * np.log(scale) + float(np.log(np.diag(lower)).sum())
    weight = inverse.T @ white
    pull = inverse.T @ inverse - np.outer(weight, weight / scale)
    slope = np.r_[
        0.5 * shares * np.tensordot(distances, pull * steep, 2),
        0.5 * share * (pull * linear).sum(),
        0.5 * noise * np.trace(pull),
    ]
    return Posterior(loss, slope, scale)


class GaussianProcess:
    """A fitted process. Features are centred and outputs standardised by the rows it was fitted to.

    Args:
        features: (N, F) rows, each column with a range of about 1.
        outputs: (N,) values, N >= 2.
        blocks: (F,) block of each feature, 0 to B - 1.
        hyper: (B + 2,) logarithms of the hyper-parameters; see `first_hyper` and `climb`.

    Attributes:
        hyper: The same.
        noise: Variance of the noise of an output, in its unit squared.
    """

    def __init__(
        self, features: FloatArray, outputs: FloatArray, blocks: IntArray, hyper: FloatArray
    ) -> None:
        self.hyper = hyper
        self._scales = np.exp(hyper[:-2])[blocks]
        self._centre = features.mean(axis=0)
        self._mean, self._unit = _standard(outputs)
        y = (outputs - self._mean) / self._unit
        self._rows = features - self._centre
        gram = self._covariance(self._rows, self._rows)
        gram[np.diag_indices(len(y))] += np.exp(hyper[-1])
        self._inverse = np.linalg.inv(np.linalg.cholesky(gram))
        white = self._inverse @ y
        self._scale = float(white @ white + PRIOR_ROWS) / (len(y) + PRIOR_ROWS)
        self._white = white
        self.noise = float(np.exp(hyper[-1])) * self._scale * self._unit**2

    def predict(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(P,) means and (P,) standard deviations of (P, F) rows without the noise, in the unit of the outputs."""
        rows = features - self._centre
        explained = self._covariance(rows, self._rows) @ self._inverse.T
        prior = 1 + np.exp(self.hyper[-2]) * (rows**2).sum(axis=1)
        variance = np.maximum(prior - (explained**2).sum(axis=1), 1e-10) * self._scale
        return self._mean + self._unit * (explained @ self._white), self._unit * np.sqrt(variance)

    def believe(self, features: FloatArray) -> GaussianProcess:
        """The process that had seen (K, F) more rows, each with the output that is expected of it.

        All means stay as they are; only what is uncertain changes (the "kriging believer" of Ginsbourger et al.,
        "Kriging is well-suited to parallelize optimization", 2010). The Cholesky factor grows by K rows.
        """
        rows = features - self._centre
        explained = self._covariance(rows, self._rows) @ self._inverse.T
        left = self._covariance(rows, rows) - explained @ explained.T
        left[np.diag_indices(len(rows))] += np.exp(self.hyper[-1]) + 1e-10
        corner = np.linalg.inv(np.linalg.cholesky(left))
        seen = len(self._rows)
        wiser = copy.copy(self)
        wiser._rows = np.concatenate([self._rows, rows])
        wiser._white = np.r_[self._white, np.zeros(len(rows))]
        wiser._inverse = np.zeros((seen + len(rows), seen + len(rows)))
        wiser._inverse[:seen, :seen] = self._inverse
        wiser._inverse[seen:, :seen] = -corner @ explained @ self._inverse
        wiser._inverse[seen:, seen:] = corner
        return wiser

    def _covariance(self, first: FloatArray, second: FloatArray) -> FloatArray:
        root = np.sqrt(5 * _squared(first / self._scales, second / self._scales))
        result = (1 + root + root**2 / 3) * np.exp(-root)
        return np.asarray(result + np.exp(self.hyper[-2]) * (first @ second.T))


def climb(
    features: FloatArray, outputs: FloatArray, blocks: IntArray, hyper: FloatArray, steps: int
) -> FloatArray:
    """Better hyper-parameters.

    Args:
        features: (N, F) rows.
        outputs: (N,) values, N >= 2.
        blocks: (F,) block of each feature.
        hyper: (B + 2,) where to begin.
        steps: Evaluations of the likelihood.

    Returns:
        The hyper-parameters of the largest posterior density on the way.
    """
    distances = block_distances(features, blocks)
    centred = features - features.mean(axis=0)
    linear = centred @ centred.T
    mean, unit = _standard(outputs)
    y = (outputs - mean) / unit
    kinds = np.r_[np.zeros(len(hyper) - 2, int), 1, 2]
    low, high = np.array(LIMITS)[kinds].T
    centre, spread = first_hyper(len(hyper) - 2), np.array(SPREAD)[kinds]
    here = np.clip(hyper, low, high)
    best, lowest = here, np.inf
    size, before = np.full(len(here), STEP), np.zeros(len(here))
    for _ in range(steps):
        try:
            found = likelihood(distances, linear, y, here)
        except np.linalg.LinAlgError:
            # Only too little noise can do this: rows are distinct, and all else is bounded.
            here = np.r_[here[:-1], min(here[-1] + np.log(10), high[-1])]
            continue
        loss = found.loss + float((((here - centre) / spread) ** 2).sum()) / 2
        if loss < lowest:
            best, lowest = here, loss
        slope = found.slope + (here - centre) / spread**2
        agree = np.sign(slope) * np.sign(before)
        size = np.clip(size * np.where(agree > 0, GROWTH, np.where(agree < 0, SHRINKAGE, 1.0)), 1e-3, 1.0)
        before = np.where(agree < 0, 0.0, slope)
        here = np.clip(here - np.sign(before) * size, low, high)
    return best


def _standard(outputs: FloatArray) -> tuple[float, float]:
    """Mean and standard deviation; 1 where all are equal."""
    unit = float(outputs.std())
    return float(outputs.mean()), unit if unit > 1e-12 * max(1.0, float(np.abs(outputs).max())) else 1.0


def _squared(first: FloatArray, second: FloatArray) -> FloatArray:
    """(P, Q) squared distances of (P, F) and (Q, F) rows."""
    cross = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    result: FloatArray = np.maximum(cross, 0.0)
    return result

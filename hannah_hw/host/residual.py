"""What physical terms leave of the logarithm of a time, as a Gaussian process over the kernels that were profiled.

Rasmussen and Williams, Gaussian Processes for Machine Learning (MIT Press, 2006), chapters 2 and 5, in NumPy: the
kernels of a class are few. Near profiled kernels it corrects, far from them it gives 0 and its full deviation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from hannah_hw.host.geometry import FloatArray

#: Fewer kernels than this show a common level, not where they differ.
LEAST_KERNELS: Final = 8
#: Lengths that are tried, in standard deviations of the features: those of a root mean square over them.
_LENGTHS: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
#: Shares of the variance that the process explains, the rest being noise. 0 is no process.
_SHARES: Final = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Residual:
    """A fitted process, or none where it explains nothing.

    Attributes:
        features: (N, F) of the profiled kernels.
        values: (N,) residuals there.
        length: Distance over which residuals change.
        share: Share of the variance that is explained; 0: no process.
        deviation: Standard deviation of a residual far from all profiled kernels, noise included.
    """

    features: FloatArray
    values: FloatArray
    length: float
    share: float
    deviation: float

    @classmethod
    def fit(cls, features: FloatArray, values: FloatArray) -> Residual:
        """The process under which the residuals are most likely.

        Args:
            features: (N, F), N at least 1.
            values: (N,).
        """
        spread = float(np.sqrt(np.mean(values**2)))
        none = cls(features, values, 1.0, 0.0, spread)
        if len(values) < LEAST_KERNELS or spread == 0:
            return none
        squared = _distances(none.scaled(features), none.scaled(features))
        best, likelihood = none, _likelihood(np.eye(len(values)), values)[0]
        for length in _LENGTHS:
            shape = np.exp(-0.5 * squared / length**2)
            for share in _SHARES[1:]:
                found, scale = _likelihood(share * shape + (1 - share) * np.eye(len(values)), values)
                if found > likelihood:
                    best, likelihood = cls(features, values, length, share, scale), found
        return best

    def predict(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of residuals of other kernels, each (M,).

        Args:
            features: (M, F).
        """
        if not self.share:
            return np.zeros(len(features)), np.full(len(features), self.deviation)
        near = self.share * np.exp(-0.5 * _distances(self.scaled(features), self._points) / self.length**2)
        mean: FloatArray = near @ (self._inverse @ self.values)
        explained = np.einsum("mn,nk,mk->m", near, self._inverse, near)
        return mean, self.deviation * np.sqrt(np.clip(1.0 - explained, 1.0 - self.share, 1.0))

    def scaled(self, features: FloatArray) -> FloatArray:
        """Features in standard deviations of the profiled kernels; what does not vary there counts nothing."""
        spread = self.features.std(0)
        varies = spread > 1e-9 * (1 + np.abs(self.features).max(0, initial=0.0))
        count = max(int(varies.sum()), 1)
        result: FloatArray = (features - self.features.mean(0))[:, varies] / spread[varies] / np.sqrt(count)
        return result

    @cached_property
    def _points(self) -> FloatArray:
        return self.scaled(self.features)

    @cached_property
    def _inverse(self) -> FloatArray:
        """Inverse of the covariance of the profiled kernels, in units of the variance: (N, N)."""
        shape = np.exp(-0.5 * _distances(self._points, self._points) / self.length**2)
        covariance = self.share * shape + (1 - self.share) * np.eye(len(self.values))
        inverse: FloatArray = np.linalg.inv(covariance).astype(np.float64)
        return inverse


def _distances(left: FloatArray, right: FloatArray) -> FloatArray:
    """Squared distances between rows: (M, N)."""
    squared: FloatArray = ((left**2).sum(1)[:, None] + (right**2).sum(1)[None, :] - 2 * left @ right.T).clip(
        0.0
    )
    return squared


def _likelihood(covariance: FloatArray, values: FloatArray) -> tuple[float, float]:
    """Logarithm of the likelihood of residuals, constants apart, and the deviation that makes it largest."""
    factor = np.linalg.cholesky(covariance)
    half = np.linalg.solve(factor, values)
    variance = max(float(half @ half) / len(values), 1e-12)
    return (
        -0.5 * len(values) * float(np.log(variance)) - float(np.log(np.diagonal(factor)).sum()),
        float(np.sqrt(variance)),
    )

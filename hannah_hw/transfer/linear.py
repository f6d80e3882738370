"""Bayesian linear regression in relative error: coefficients drawn towards a prior, and the evidence for a model.

Latency is X b; what is fitted is (X / latency) b = 1 with noise of standard deviation s, so s is a relative error.
The evidence is the density of the samples under the prior: of two models, the one with the larger evidence
explains the samples with less freedom (MacKay, "Bayesian interpolation", Neural Computation 4, 1992).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Prior:
    """A normal prior of coefficients.

    Args:
        mean: (F,).
        covariance: (F, F), positive definite.
    """

    mean: FloatArray
    covariance: FloatArray

    def and_also(self, width: int, deviation: float) -> Prior:
        """This prior with further independent coefficients about 0."""
        size = len(self.mean)
        covariance = np.eye(size + width) * deviation**2
        covariance[:size, :size] = self.covariance
        return Prior(np.append(self.mean, np.zeros(width)), covariance)


def posterior(rows: FloatArray, prior: Prior, noise: float) -> FloatArray:
    """The most probable coefficients.

    Args:
        rows: (K, F) features over latency.
        prior: Of the coefficients.
        noise: Standard deviation of the relative error.

    Returns:
        (F,).
    """
    root = np.linalg.inv(np.linalg.cholesky(prior.covariance))
    stacked = np.concatenate([rows / noise, root])
    target = np.append(np.full(len(rows), 1.0 / noise), root @ prior.mean)
    found: FloatArray = np.linalg.lstsq(stacked, target, rcond=None)[0]
    return found


def evidence(
    rows: FloatArray, prior: Prior, noises: Sequence[float], *, typical: float, spread: float
) -> tuple[float, float]:
    """Logarithm of the evidence, but for a constant, at the noise that is most probable.

    Args:
        rows: (K, F) features over latency.
        prior: Of the coefficients.
        noises: Standard deviations to try.
        typical: The noise that is expected: its logarithm is normal about this one's.
        spread: Standard deviation of that logarithm.

    Returns:
        The evidence and the noise.
    """
    residual = 1.0 - rows @ prior.mean
    common = rows @ prior.covariance @ rows.T
    found = []
    for noise in noises:
        lower = np.linalg.cholesky(common + noise**2 * np.eye(len(rows)))
        whitened = np.linalg.solve(lower, residual)
        likelihood = -0.5 * float(whitened @ whitened) - float(np.log(np.diag(lower)).sum())
        found.append((likelihood - 0.5 * (np.log(noise / typical) / spread) ** 2, noise))
    return max(found)

"""How much hypervolume candidates are expected to add, where some objectives are known and others predicted.

Everything is minimised. Let e be one of the predicted objectives and q a budget of all others, drawn uniformly from
the box of the hypervolume. What a candidate adds to the hypervolume is an average over q of what it improves on the
best e that is known within q, where it keeps q; objectives are predicted independently of each other, so

    EHVI(c) = V mean_q( prod_{j != e} P(f_j(c) <= q_j) EI(best e within q; mean_e(c), sd_e(c)) )

with V the volume of the budgets' box and P an indicator where f_j is known. With the expected improvement EI of Jones
et al., "Efficient global optimization of expensive black-box functions", Journal of Global Optimization 13, 1998, this
is exact up to the average (compare Emmerich et al., "Hypervolume-based expected improvement", CEC 2011). Far fewer
bests occur than budgets, so that EI is taken once a best, not once a budget.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from hannah_hw.search.protocols import BoolArray, FloatArray

#: Coefficients of the error function after Abramowitz and Stegun, Handbook of Mathematical Functions, 1964, 7.1.26;
#: absolute error below 1.5e-7.
ERF: Final = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
ERF_SCALE: Final = 0.3275911
#: Rows that are worked on at a time, so that what is in the works stays in the processor's cache.
CHUNK: Final = 128


def normal(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distribution function (absolute error below 1e-7) and density of the standard normal distribution."""
    bell = np.exp(-0.5 * z * z)
    t = 1 / (1 + ERF_SCALE / np.sqrt(2) * np.abs(z))
    tail = np.zeros_like(t)
    for coefficient in reversed(ERF):
        tail = (tail + coefficient) * t
    tail *= 0.5 * bell
    return np.where(z < 0, tail, 1 - tail), bell / np.sqrt(2 * np.pi)


def expected_improvement(best: FloatArray, mean: FloatArray, sd: FloatArray) -> FloatArray:
    """(P, U) expected amounts by which normal values fall below bests.

    Args:
        best: (U,) values to beat.
        mean: (P,) expected values.
        sd: (P,) their standard deviations, > 0.
    """
    z = (best - mean[:, None]) / sd[:, None]
    below, density = normal(z)
    return np.asarray(sd[:, None] * (z * below + density))


def budgets(count: int, dimensions: int, shift: FloatArray) -> FloatArray:
    """(count, dimensions) evenly spread points of the unit box.

    The additive sequence of the generalised golden ratio (M. Roberts, "The unreasonable effectiveness of
    quasirandom sequences", 2018): coordinate j of point i is the fraction of ``shift_j + i / phi^(j+1)``, where phi is
    the positive root of ``x^(dimensions+1) = x + 1``.
    """
    phi = 2.0
    for _ in range(40):
        phi = (1 + phi) ** (1 / (dimensions + 1))
    steps = phi ** -np.arange(1.0, dimensions + 1)
    return np.asarray((shift + np.arange(count)[:, None] * steps) % 1.0)


class HypervolumeImprovement:
    """Expected hypervolume that candidates add to what is there already.

    Args:
        points: (N, M) what is there; N may be 0.
        low: (M,) near corner of the box from which budgets are drawn; known values below it count as if on it.
        reference: (M,) far corner.
        predicted: (M,) which objectives of candidates are predicted; one at least.
        shares: (Q, M - 1) budgets as positions in that box, of all objectives but the first predicted one.
    """

    def __init__(
        self,
        points: FloatArray,
        low: FloatArray,
        reference: FloatArray,
        predicted: BoolArray,
        shares: FloatArray,
    ) -> None:
        self._target = int(predicted.argmax())
        others = np.flatnonzero(np.arange(len(low)) != self._target)
        self._known = [(at, column) for at, column in enumerate(others) if not predicted[column]]
        self._predicted = [(at, column) for at, column in enumerate(others) if predicted[column]]
        self._limit = low[others] + shares * (reference - low)[others]
        self._volume = float(np.prod((reference - low)[others]))
        self._best = np.full(len(shares), reference[self._target])
        self._others = others
        for start in range(0, len(points), CHUNK):
            self.add(points[start : start + CHUNK])

    def add(self, points: FloatArray) -> None:
        """Count (N, M) points, N >= 1, as there already."""
        kept = np.ones((len(points), len(self._limit)), bool)
        for at, column in enumerate(self._others):
            kept &= points[:, column : column + 1] <= self._limit[:, at]
        beaten = np.where(kept, points[:, self._target : self._target + 1], np.inf).min(axis=0)
        self._best = np.minimum(self._best, beaten)

    def of(self, mean: FloatArray, sd: FloatArray) -> FloatArray:
        """(P,) expected hypervolume that each candidate alone adds.

        Args:
            mean: (P, M) values of the candidates, expected ones where they are predicted.
            sd: (P, M) standard deviations, > 0 where they are predicted.
        """
        steps, which = np.unique(self._best, return_inverse=True)
        member = np.zeros((len(which), len(steps)))
        member[np.arange(len(which)), which] = 1 / len(which)
        total = np.zeros(len(mean))
        for start in range(0, len(mean), CHUNK):
            part = slice(start, start + CHUNK)
            share = self._within(mean[part], sd[part]) @ member
            gain = expected_improvement(steps, mean[part, self._target], sd[part, self._target])
            total[part] = (share * gain).sum(axis=1)
        return total * self._volume

    def _within(self, mean: FloatArray, sd: FloatArray) -> FloatArray:
        """(P, Q) probability that a candidate keeps a budget."""
        keeps = np.ones((len(mean), len(self._limit)), bool)
        for at, column in self._known:
            keeps &= mean[:, column : column + 1] <= self._limit[:, at]
        weight = keeps.astype(float)
        for at, column in self._predicted:
            z = (self._limit[:, at] - mean[:, column : column + 1]) / sd[:, column : column + 1]
            weight *= normal(z)[0]
        return weight

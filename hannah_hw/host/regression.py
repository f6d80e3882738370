"""The law of one class of kernels: seconds for each unit of its physical terms, and a correction near profiled kernels.

The coefficients minimise relative errors and are not negative, so that a law stays a sum of work also where terms go
together. Relative to what: to the time plus a floor, below which differences are those of the clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from hannah_hw.errors import TargetError
from hannah_hw.host.geometry import FloatArray
from hannah_hw.host.kernels import HostKernel
from hannah_hw.host.residual import Residual
from hannah_hw.host.terms import Terms, terms
from hannah_hw.least_squares import nnls

#: Seconds that are added to times before relative errors are taken of them.
FLOOR_SECONDS: Final = 2.5e-7
#: Weight of the pull that makes terms which kernels cannot tell apart share what they explain.
_RIDGE: Final = 0.02
#: Kernels whose work takes this many times as long as that of the longest profiled one, or this part of the
#: shortest one's, are refused, but for those of at most so many seconds: they hardly matter to any network, and the law
#: prices them with a standard deviation of all that they take and of the floor.
RANGE: Final = 8.0
NEGLIGIBLE_SECONDS: Final = 1e-6
#: Kinds of work that a kernel has or has not, whatever its size.
_OPTIONAL: Final = frozenset({"add", "clip"})
#: Share of left-out errors that intervals are to hold, and standard deviations on both sides of a mean that hold as
#: much of a normal distribution.
_MOST: Final = 0.9
SIGMAS: Final = 1.645
#: Relative standard deviation of a law that rests on one kernel.
_LONELY: Final = 0.3


@dataclass(frozen=True)
class Law:
    """What kernels of a class take.

    Attributes:
        block: Channels of a block of the NCHWc layout.
        names: Names of T terms.
        rates: (T,) seconds of a unit of each.
        work: (N, T) of the profiled kernels.
        seconds: (N,) they took.
        residual: What the terms leave of them.
        calibration: How many times as large as the process says errors of kernels are that are left out; at least 1.
    """

    block: int
    names: tuple[str, ...]
    rates: FloatArray
    work: FloatArray
    seconds: FloatArray
    residual: Residual
    calibration: float

    @classmethod
    def fit(cls, kernels: Sequence[HostKernel], seconds: FloatArray, block: int) -> Law:
        """The law of profiled kernels.

        Args:
            kernels: N of one class, at least 1.
            seconds: (N,), positive.
            block: Channels of a block of the NCHWc layout.
        """
        found = terms(kernels, block)
        rates = _rates(found.work, seconds)
        residual = Residual.fit(np.log1p(found.work), _logarithms(seconds, found.work @ rates))
        law = cls(block, found.names, rates, found.work, seconds, residual, 1.0)
        errors, deviations = law.left_out
        # One kernel at the edge of the others can be far off: what most errors ask for, not their mean square.
        worse = float(np.quantile(np.abs(errors) / deviations, _MOST)) / SIGMAS
        return replace(law, calibration=max(1.0, worse))

    @classmethod
    def restored(
        cls,
        block: int,
        rates: Mapping[str, float],
        work: FloatArray,
        seconds: FloatArray,
        *,
        length: float,
        share: float,
        deviation: float,
        calibration: float,
    ) -> Law:
        """A law from what was stored of it; see the attributes here and of `Residual`."""
        values = np.array(list(rates.values()))
        rest = _logarithms(seconds, work @ values)
        residual = Residual(np.log1p(work), rest, length, share, deviation)
        return cls(block, tuple(rates), values, work, seconds, residual, calibration)

    def predict(self, kernels: Sequence[HostKernel]) -> tuple[FloatArray, FloatArray]:
        """Seconds and their relative standard deviation, each (M,), wider beyond the work of the profiled kernels.

        Args:
            kernels: M of the class.

        Raises:
            TargetError: The law was fitted to other terms than this version has.
        """
        found = self._terms(kernels)
        mean, deviation = self.residual.predict(np.log1p(found.work))
        physical = found.work @ self.rates
        seconds = np.maximum((physical + FLOOR_SECONDS) * np.exp(mean) - FLOOR_SECONDS, 0.1 * physical)
        profiled = self.work @ self.rates
        beyond = np.log(np.maximum(physical / profiled.max(), profiled.min() / np.maximum(physical, 1e-12)))
        relative = self._deviation(deviation) * (1 + np.maximum(beyond, 0.0))
        relative = np.where(physical < profiled.min() / RANGE, np.maximum(relative, 1.0), relative)
        spread = relative * (seconds + FLOOR_SECONDS)
        return seconds, spread / np.maximum(seconds, 1e-12)

    def outside(self, kernels: Sequence[HostKernel]) -> dict[int, str]:
        """Kernels about which the profiled ones say nothing: index -> why.

        Args:
            kernels: M of the class.

        Raises:
            TargetError: See `predict`.
        """
        found = self._terms(kernels)
        physical = found.work @ self.rates
        profiled = self.work @ self.rates
        low, high = profiled.min() / RANGE, profiled.max() * RANGE
        optional = np.array([name in _OPTIONAL for name in self.names])
        never = (found.work > 0) & ~(self.work > 0).any(0) & optional
        problems = {}
        for index in np.flatnonzero(never.any(1)):
            kinds = ", ".join(np.array(self.names)[never[index]])
            problems[int(index)] = f"no profiled kernel of its class has work of the kind {kinds}"
        short = (physical < low) & ((physical > NEGLIGIBLE_SECONDS) | (physical <= 0))
        for index in np.flatnonzero(short | (physical > high)):
            problems[int(index)] = (
                f"its work of about {physical[index]:.3g} s is beyond that of the profiled kernels of its class, "
                f"{profiled.min():.3g} to {profiled.max():.3g} s, by more than {RANGE:g} times"
            )
        return problems

    def _terms(self, kernels: Sequence[HostKernel]) -> Terms:
        found = terms(kernels, self.block)
        if found.names != self.names:
            raise TargetError(
                f"a law of kernels of the class {kernels[0].kernel_class} has other terms than this version; run "
                "hannah-hw calibrate host again, which uses the measurements that there are",
                allowed=found.names,
                given=", ".join(self.names),
            )
        return found

    @cached_property
    def left_out(self) -> tuple[FloatArray, FloatArray]:
        """Errors of each profiled kernel in a law of the others, and the deviations stated there, each (N,).

        Errors are logarithms of predicted over measured time; hyperparameters of the process stay those of all.
        """
        count = len(self.seconds)
        if count < 2:
            return np.zeros(count), np.full(count, _LONELY)
        errors, deviations = np.zeros(count), np.zeros(count)
        features = self.residual.features
        for index in range(count):
            others = np.arange(count) != index
            rates = _rates(self.work[others], self.seconds[others])
            rest = _logarithms(self.seconds[others], self.work[others] @ rates)
            process = Residual(
                features[others], rest, self.residual.length, self.residual.share, self.residual.deviation
            )
            mean, deviation = process.predict(features[index : index + 1])
            own = _logarithms(self.seconds[index : index + 1], self.work[index : index + 1] @ rates)
            errors[index], deviations[index] = mean[0] - own[0], deviation[0]
        return errors, np.maximum(deviations, 1e-3)

    def _deviation(self, deviation: FloatArray) -> FloatArray:
        """Deviations as errors of left-out kernels have them; of few kernels wider, as Student's t would be."""
        count = len(self.seconds)
        if count < 2:
            return np.full(len(deviation), _LONELY)
        result: FloatArray = (
            self.calibration * np.maximum(deviation, 1e-3) * np.sqrt((count + 1) / (count - 1))
        )
        return result


def _rates(work: FloatArray, seconds: FloatArray) -> FloatArray:
    """(T,) seconds of a unit of each term, at least 0.

    Args:
        work: (N, T), at least 0.
        seconds: (N,), positive.
    """
    relative = work / (seconds + FLOOR_SECONDS)[:, None]
    scale = relative.mean(0)
    scale[scale == 0] = 1.0
    pull = _RIDGE * np.eye(work.shape[1])
    target = np.concatenate([seconds / (seconds + FLOOR_SECONDS), np.zeros(len(pull))])
    rates: FloatArray = nnls(np.concatenate([relative / scale, pull]), target) / scale
    return rates


def _logarithms(seconds: FloatArray, predicted: FloatArray) -> FloatArray:
    """Logarithm of time over prediction, both above the floor."""
    result: FloatArray = np.log((seconds + FLOOR_SECONDS) / (predicted + FLOOR_SECONDS))
    return result

"""Fitting the device layer of a microcontroller target to whole networks, with one network left out at a time.

The device layer is what the kernels' cycles do not know: how long the flash makes the core wait, and what power the
chip draws. One parameter is fitted for the latency: the wait cycles per flash read. Where the board is faster than the
kernels' cycles without any wait, which a core with caches or two pipelines can be, the scale of the cycles is fitted
instead, and the flash waits are 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost import price
from hannah_hw.errors import DataError
from hannah_hw.least_squares import nnls
from hannah_hw.measure.references import Reference
from hannah_hw.targets import Microcontroller, SourcedNumber
from hannah_hw.workload import Workload

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FitErrors:
    """How far off networks are.

    Attributes:
        seen: Network -> relative error under the fit to all networks.
        held_out: Network -> relative error under the fit to the other networks; empty where there is only one.
    """

    seen: dict[str, float]
    held_out: dict[str, float]

    @property
    def largest(self) -> float | None:
        """The largest absolute error of a network that the fit did not see."""
        return max(map(abs, self.held_out.values()), default=None)


@dataclass(frozen=True)
class DeviceFit:
    """The device layer of a board.

    Attributes:
        cycle_scale: Factor on the cycles of the kernels.
        flash_wait_cycles: Cycles lost per flash read.
        latency: Errors of the latency under these two.
        active_w: Mean power; None where no network has both a latency and an energy.
        energy: Errors of the power, so of an energy at the measured latency; None without a power.
    """

    cycle_scale: float
    flash_wait_cycles: float
    latency: FitErrors
    active_w: float | None
    energy: FitErrors | None


def fit_device(
    target: Microcontroller, references: Sequence[Reference], networks: Mapping[str, Workload]
) -> DeviceFit:
    """Fit the device layer of a microcontroller target to whole networks, by relative error.

    Args:
        target: The target; its own wait cycles and power are not used, nor is its scale where one is fitted.
        references: At least two networks with a latency.
        networks: Network name -> Workload of one candidate.

    Raises:
        DataError: Fewer than two networks with a latency, or one that the target cannot run.
    """
    timed = [entry for entry in references if entry.latency_s is not None]
    if len(timed) < 2:
        raise DataError(f"fitting and holding out needs two networks with a latency; given: {len(timed)}")
    names = [entry.network for entry in timed]
    stated = np.array([entry.latency_s or 0.0 for entry in timed]) * target.clock_hz
    scale = target.model.cycle_scale.value
    free = np.array([_cycles(name, networks[name], _waiting(target, 0.0)) for name in names]) / scale
    reads = np.array([_cycles(name, networks[name], _waiting(target, 1.0)) for name in names]) - free * scale

    def fit(rows: NDArray[Any]) -> tuple[float, float]:
        wait = float(nnls((reads / stated)[rows, None], (1.0 - scale * free / stated)[rows])[0])
        return (scale, wait) if wait > 0 else (_factor(free[rows], stated[rows]), 0.0)

    def errors(fitted: tuple[float, float]) -> _Floats:
        found: _Floats = (fitted[0] * free + fitted[1] * reads) / stated - 1.0
        return found

    (found, wait), latency = _with_held_out(names, fit, errors)
    powered = [entry for entry in timed if entry.energy_j is not None]
    if not powered:
        return DeviceFit(found, wait, latency, None, None)
    seconds = np.array([entry.latency_s or 0.0 for entry in powered])
    joules = np.array([entry.energy_j or 0.0 for entry in powered])
    watts, energy = _with_held_out(
        [entry.network for entry in powered],
        lambda rows: _factor(seconds[rows], joules[rows]),
        lambda power: np.asarray(power * seconds / joules - 1.0),
    )
    return DeviceFit(found, wait, latency, watts, energy)


def _with_held_out(
    names: Sequence[str], fit: Callable[[NDArray[Any]], Any], errors: Callable[[Any], _Floats]
) -> tuple[Any, FitErrors]:
    """A fit to all rows, its errors, and those of each row under the fit to the others."""
    everyone = np.arange(len(names))
    found = fit(everyone)
    seen = dict(zip(names, map(float, errors(found)), strict=True))
    held = {}
    for index, name in enumerate(names if len(names) > 1 else ()):
        held[name] = float(errors(fit(np.delete(everyone, index)))[index])
    return found, FitErrors(seen, held)


def _factor(values: _Floats, stated: _Floats) -> float:
    """The factor on values that is nearest to what is stated, by least squares of the relative error."""
    shares = values / stated
    return float(shares.sum() / (shares**2).sum())


def _waiting(target: Microcontroller, cycles: float) -> Microcontroller:
    figure = SourcedNumber(value=cycles, source="assumed", reference="a step of the fit")
    return target.model_copy(update={"model": target.model.model_copy(update={"flash_wait_cycles": figure})})


def _cycles(name: str, workload: Workload, target: Microcontroller) -> float:
    costs = price(workload, target)
    if not costs.supported[0]:
        row = costs.report(0).unsupported[0]
        raise DataError(f"{target.name} cannot run {name}: {row.kernel}: {row.rule}")
    return float(costs.cycles[0])

"""Fitting the device layer of a microcontroller target to whole networks, with one network left out at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hannah_hw.cost import price
from hannah_hw.errors import DataError
from hannah_hw.measure.least_squares import nnls
from hannah_hw.measure.references import Reference
from hannah_hw.targets import SourcedNumber, Target
from hannah_hw.workload import Workload


@dataclass(frozen=True)
class DeviceFit:
    """Wait cycles per flash read that fit a device, and how far off a network is that the fit did not see.

    Attributes:
        flash_wait_cycles: The fit to all networks.
        errors: Network -> relative error of its latency under that fit.
        held_out: Network -> relative error under the fit to the other networks.
    """

    flash_wait_cycles: float
    errors: dict[str, float]
    held_out: dict[str, float]


def fit_wait_cycles(
    target: Target, references: Sequence[Reference], networks: Mapping[str, Workload]
) -> DeviceFit:
    """Fit the one device parameter of a microcontroller target to whole networks, in relative error.

    Args:
        target: The target; its own wait cycles are not used.
        references: At least two networks with a latency.
        networks: Network name -> Workload of one candidate.

    Raises:
        DataError: Fewer than two networks with a latency.
    """
    used = [entry for entry in references if entry.latency_s is not None]
    if len(used) < 2:
        raise DataError(f"fitting and holding out needs two networks with a latency; given: {len(used)}")
    stated = np.array([(entry.latency_s or 0.0) * target.clock_hz for entry in used])
    free = np.array([_cycles(networks[e.network], _waiting(target, 0.0)) for e in used])
    reads = np.array([_cycles(networks[e.network], _waiting(target, 1.0)) for e in used]) - free

    def fit(rows: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
        return float(nnls((reads / stated)[rows, None], (1.0 - free / stated)[rows])[0])

    everyone = np.ones(len(used), np.bool_)
    wait = fit(everyone)
    held = {}
    for index, entry in enumerate(used):
        others = everyone.copy()
        others[index] = False
        held[entry.network] = float((free + fit(others) * reads)[index] / stated[index] - 1.0)
    errors = (free + wait * reads) / stated - 1.0
    return DeviceFit(wait, {e.network: float(x) for e, x in zip(used, errors, strict=True)}, held)


def _waiting(target: Target, cycles: float) -> Target:
    figure = SourcedNumber(value=cycles, source="assumed", reference="a step of the fit")
    return target.model_copy(update={"model": target.model.model_copy(update={"flash_wait_cycles": figure})})


def _cycles(workload: Workload, target: Target) -> float:
    return float(price(workload, target).cycles[0])

"""Pricing a population on an accelerator: distinct layers are priced once, whoever has them and whenever.

First every distinct kernel is given to a unit (`units`); then each candidate's buffers and weights are placed
(`residence`); then every distinct layer, a kernel with where its values lie, is priced by the target's cost model, on
the vector unit or on the processor beside (`beside`). What was priced before is in the `book`.

Latency is the sum of the cycles of all kernels over the clock; energy that of the kernels and static power x latency.
A candidate with a layer that the array has no mapping for beside what stays on chip keeps nothing there. Where a layer
depends on those around it, the cost model prices the networks as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.beside import price_processor, price_vector
from hannah_hw.cost.accelerators.book import SHELF, Book
from hannah_hw.cost.accelerators.layers import LayerCosts, Layers
from hannah_hw.cost.accelerators.limits import exceeded
from hannah_hw.cost.accelerators.models import MODELS, NETWORKS, LayerModel
from hannah_hw.cost.accelerators.residence import (
    CODES,
    INPUT,
    OUTPUT,
    RESERVED,
    WEIGHTS,
    Placement,
    place,
    residence,
)
from hannah_hw.cost.accelerators.units import ARRAY, CPU, UNITS, VECTOR, settle
from hannah_hw.cost.costs import WorkloadCosts
from hannah_hw.cost.report import CostReport
from hannah_hw.errors import TargetError
from hannah_hw.targets import Accelerator, Target
from hannah_hw.targets.area import area_mm2
from hannah_hw.workload.arena import liveness_bound
from hannah_hw.workload.table import Workload

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_PICO: Final = 1e-12


@dataclass(frozen=True, kw_only=True)
class AcceleratorCosts(WorkloadCosts):
    """Prices on an accelerator.

    Attributes:
        target: The target.
        kernel_energy_j: (P, K) joules, 0 for an inactive kernel, NaN where they are not known.
        kernel_units: (P, K) index into `hannah_hw.cost.accelerators.units.UNITS`; -1 where nothing runs the kernel or
            it is inactive.
        refused: (P, K) index into ``rules`` of what kept a kernel off the accelerator, also where another processor
            runs it; -1 where nothing did.
        placements: (P, K) where the values of each kernel lie; see `hannah_hw.cost.accelerators.residence`.
        on_chip: (P, B) whether a buffer stays on chip.
        weights_on_chip: (P,) whether the weights do.
        weight_bytes: (P,) weights and biases as they are stored.
        failed_limits: (P,) index into ``rules`` of the first limit that the whole network fails, or -1.
    """

    target: Accelerator
    kernel_energy_j: FloatArray
    kernel_units: NDArray[np.int8]
    refused: NDArray[np.int32]
    placements: NDArray[np.int16]
    on_chip: BoolArray
    weights_on_chip: BoolArray
    weight_bytes: FloatArray
    failed_limits: NDArray[np.int32]

    def over_kernels(self, metric: str) -> FloatArray:
        """(P,) sum over kernels that a figure is proportional to: energy has a part of its own in every kernel."""
        cycles = super().over_kernels(metric)
        if metric != "energy_j":
            return cycles
        total: FloatArray = (
            self.kernel_energy_j.sum(axis=1) + _static(self.target) * cycles / self.target.clock_hz
        )
        return total

    def report(self, index: int = 0) -> CostReport:
        """Everything about one candidate, by kernel and buffer."""
        from hannah_hw.cost.accelerators.explain import explain

        return explain(self, index)


def price_accelerator(workload: Workload, target: Target) -> AcceleratorCosts:
    """Price a population on an accelerator.

    Raises:
        TargetError: The target is none, or its model cannot be used.
    """
    if not isinstance(target, Accelerator):
        raise TargetError(f"{target.name} is a {target.family}, and this cost model is of accelerators")
    book = SHELF.book((target.fingerprint, _model(target)))
    found = _Found(workload, target, book)
    cycles, energy = found.table("cycles"), found.table("energy")
    failed = found.failed()
    ram, stored = liveness_bound(workload.buffers), found.weights.sum(axis=0)
    network = NETWORKS.get(target.kind)
    if network is not None:
        whole = network(workload, target)
        own = (found.units == ARRAY) & (failed < 0)
        cycles = np.where(own, whole.kernel_cycles.T, cycles)
        ram, stored = whole.ram_bytes, whole.flash_bytes
    limits = exceeded(workload, target, found.units, ram, book)
    supported: BoolArray = np.all(failed < 0, axis=0) & (limits < 0)
    if workload.exists is not None:
        supported &= workload.exists
    total = np.where(supported, _over_rows(cycles), np.nan)
    latency = total / target.clock_hz
    return AcceleratorCosts(
        target=target,
        workload=workload,
        latency_s=latency,
        energy_j=np.where(supported, _over_rows(energy) + _static(target) * latency, np.nan),
        ram_bytes=np.where(supported, ram, np.nan),
        flash_bytes=np.where(supported, stored, np.nan),
        area_mm2=area_mm2(target)[0],
        cycles=total,
        supported=supported,
        kernel_cycles=cycles.T,
        kernel_energy_j=energy.T,
        kernel_units=found.units.T,
        refused=found.refused.T,
        placements=found.codes.T,
        on_chip=found.placement.buffers,
        weights_on_chip=found.placement.weights,
        failed_rules=failed.T,
        failed_limits=limits,
        rules=tuple(book.rules),
        weight_bytes=stored.astype(np.float64),
    )


def _over_rows(table: FloatArray) -> FloatArray:
    """(P,) sums over the K rows of a table, one after the other.

    NumPy adds a single column in another order than several, so that a candidate would differ in the last bits from
    itself among others.
    """
    total = np.zeros(table.shape[1])
    for row in table:
        total += row
    return total


def _static(target: Accelerator) -> float:
    """Watts that flow whatever is computed."""
    return 0.0 if target.static_w is None else target.static_w.value


class _Found:
    """The kernels of P candidates with their units, places and prices; tables are (K, P).

    Args:
        workload: The candidates.
        target: The target.
        book: What is known of its layers; it learns what is not.
    """

    def __init__(self, workload: Workload, target: Accelerator, book: Book) -> None:
        self._book, self._target = book, target
        self._shape = workload.kernels.active.shape[::-1]
        self._where, self._rows = book.find(workload.kernels, self._settle)
        self.units = self._spread(book.kernels["unit"][self._rows], -1, np.int8)
        self.refused = self._spread(book.kernels["refused"][self._rows], -1, np.int32)
        self.weights: IntArray = self._spread(book.kernels["bytes"][self._rows], 0, np.int64)
        placement = place(workload, target, self.weights, self.units == CPU)
        prices = self._priced(placement)
        unmapped = (self._failures(prices) >= 0) & (placement.codes.reshape(-1)[self._where] != 0)
        if unmapped.any():
            candidates = np.zeros(workload.size, np.bool_)
            candidates[self._where[unmapped] % workload.size] = True
            placement = placement.without(candidates)
            prices = self._priced(placement)
        self.placement, self._prices = placement, prices
        self.codes = self._codes(placement)

    def _spread(self, values: NDArray[Any], default: int, dtype: Any) -> NDArray[Any]:
        """(K, P) values of active kernels, and a default for the others."""
        table = np.full(self._shape, default, dtype)
        table.reshape(-1)[self._where] = values
        return table

    def _settle(self, book: Book, rows: IntArray) -> None:
        """Give new kernels to units; what the array has no mapping for, to the processor that takes what it cannot."""
        settle(book, rows, self._target)
        tried = rows[book.kernels["unit"][rows] == ARRAY]
        if self._target.unsupported == "cpu_fallback" and len(tried):
            prices = book.price(_number(tried, np.full(len(tried), ARRAY), np.zeros(len(tried))), self._pay)
            failed = book.prices["failed"][prices]
            book.kernels["refused"][tried[failed >= 0]] = failed[failed >= 0]
            book.kernels["unit"][tried[failed >= 0]] = CPU

    def _priced(self, placement: Placement) -> IntArray:
        """(N,) rows of the prices of the active kernels, -1 of those that nothing runs."""
        units = self.units.reshape(-1)[self._where]
        codes = self._codes(placement).reshape(-1)[self._where]
        prices = np.full(len(units), -1)
        runs = units >= 0
        prices[runs] = self._book.price(_number(self._rows[runs], units[runs], codes[runs]), self._pay)
        return prices

    def _codes(self, placement: Placement) -> NDArray[np.int16]:
        """(K, P) what matters of the placement to the unit that runs a kernel.

        Only the array makes something of the memory that is left, and the processor reaches the outermost one alone.
        """
        codes = placement.codes
        used: NDArray[np.int16] = np.where(self.units == ARRAY, codes, codes % RESERVED) * (self.units != CPU)
        return used

    def _failures(self, prices: IntArray) -> IntArray:
        """(N,) rules that kernels fail, or -1."""
        known = self._book.prices["failed"]
        refused = self._book.kernels["refused"][self._rows]
        if not len(known):
            return refused
        failures: IntArray = np.where(prices < 0, refused, known[prices])
        return failures

    def failed(self) -> NDArray[np.int32]:
        """(K, P) rules that kernels fail, or -1."""
        return self._spread(self._failures(self._prices), -1, np.int32)

    def table(self, column: str) -> FloatArray:
        """(K, P) a column of the prices: 0 of inactive kernels, NaN of those that cannot run."""
        values = np.full(len(self._prices), np.nan)
        runs = self._prices >= 0
        values[runs] = self._book.prices[column][self._prices[runs]]
        return self._spread(values, 0, np.float64)

    def _pay(self, book: Book, numbers: IntArray) -> dict[str, NDArray[Any]]:
        """Prices of distinct layers."""
        codes, owners = numbers % CODES, numbers // CODES
        units, rows = owners % len(UNITS), owners // len(UNITS)
        layers = placed(book.layers(rows), codes, self._target)
        columns: dict[str, NDArray[Any]] = {
            "cycles": np.full(len(numbers), np.nan),
            "energy": np.full(len(numbers), np.nan),
            "failed": np.full(len(numbers), -1, np.int32),
        }
        for mine, costs in by_unit(layers, units, self._target):
            columns["cycles"][mine] = costs.cycles
            columns["energy"][mine] = costs.energy_pj * _PICO
            texts = np.array([-1, *(book.rule(text) for text in costs.rules)], np.int32)
            columns["failed"][mine] = texts[costs.failed + 1]
        away = columns["failed"] >= 0
        columns["cycles"][away] = columns["energy"][away] = np.nan
        return columns


def _number(rows: IntArray, units: NDArray[Any], codes: NDArray[Any]) -> IntArray:
    """(M,) numbers of layers from rows of kernels, what runs them and where their values lie."""
    return (rows * len(UNITS) + units.astype(np.int64)) * CODES + codes.astype(np.int64)


def placed(layers: Layers, codes: NDArray[Any], target: Accelerator) -> Layers:
    """Layers whose values lie where placement codes (M,) say."""
    granule, bits = residence(target).granule, codes.astype(np.int64)
    columns = {
        "input_on_chip": bits // INPUT % 2,
        "output_on_chip": bits // OUTPUT % 2,
        "weights_on_chip": bits // WEIGHTS % 2,
        "reserved_bytes": bits // RESERVED * granule,
    }
    return Layers(layers.kinds, {**layers.columns, **columns})


def by_unit(layers: Layers, units: NDArray[Any], target: Accelerator) -> list[tuple[IntArray, LayerCosts]]:
    """Price layers, each on its unit.

    Args:
        layers: M layers.
        units: (M,) index into `UNITS`.
        target: The target.

    Returns:
        For each unit that runs some of them: which, and what they cost.
    """
    models = {ARRAY: _model(target), VECTOR: price_vector, CPU: price_processor}
    priced = []
    for unit, model in models.items():
        mine = np.flatnonzero(units == unit)
        if len(mine):
            priced.append((mine, model(layers.at(mine), target)))
    return priced


def _model(target: Accelerator) -> LayerModel:
    model = MODELS.get(target.kind)
    if model is None:
        raise TargetError(
            f"no cost model of the kind {target.kind} prices layers", where="model.kind", allowed=MODELS
        )
    return model

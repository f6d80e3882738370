"""Pricing a population on an accelerator: distinct layers are priced once, whoever has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import PLACEMENT_COLUMNS, Layers
from hannah_hw.cost.accelerators.models import MODELS
from hannah_hw.cost.costs import Costs
from hannah_hw.cost.distinct import Distinct, distinct
from hannah_hw.cost.entries import WholeColumns
from hannah_hw.cost.report import CostReport
from hannah_hw.errors import TargetError
from hannah_hw.targets import Accelerator, Target
from hannah_hw.targets.load import legality
from hannah_hw.workload.arena import plan_memory
from hannah_hw.workload.table import KERNEL_COLUMNS, KERNEL_KINDS, Workload

FloatArray = NDArray[np.float64]
_NO_RULE: Final = "{kind}: the target has no rule for this operator"


@dataclass(frozen=True, kw_only=True)
class AcceleratorCosts(Costs):
    """Prices on an accelerator.

    Attributes:
        target: The target.
        kernel_energy_j: (P, K) joules, 0 for an inactive kernel, NaN where they are not known.
        weight_bytes: (P,) weights and biases.
    """

    target: Accelerator
    kernel_energy_j: FloatArray
    weight_bytes: FloatArray

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
    kernels = workload.kernels
    count, slots = kernels.active.shape
    cycles, energy = np.zeros((2, slots, count))
    failed = np.full((slots, count), -1, np.int16)
    weights = np.zeros(count)
    rules = list(legality(target.ops).rules)
    for kind in dict.fromkeys(kernels.kinds):
        found = distinct(kernels, kind)
        if not len(found.where):
            continue
        took, used, refused = _price(kind, found, target, rules)
        cycles.reshape(-1)[found.where] = took[found.which]
        energy.reshape(-1)[found.where] = used[found.which]
        failed.reshape(-1)[found.where] = refused[found.which]
        size = (found.entries.whole("weights") * found.entries.whole("weight_bits") + 7) // 8
        size = size + 4 * found.entries.whole("bias")
        weights += np.bincount(found.candidates, size[found.which], count)
    supported: NDArray[np.bool_] = np.all(failed < 0, axis=0)
    if workload.exists is not None:
        supported &= workload.exists
    total = np.where(supported, cycles.sum(axis=0), np.nan)
    latency = total / target.clock_hz
    static = target.static_w.value if target.static_w is not None else 0.0
    arena = plan_memory(workload.buffers, "greedy_best_fit", alignment=1, offsets=False).arena_bytes
    return AcceleratorCosts(
        target=target,
        workload=workload,
        latency_s=latency,
        energy_j=np.where(supported, energy.sum(axis=0) + static * latency, np.nan),
        ram_bytes=np.where(supported, arena, np.nan),
        flash_bytes=np.where(supported, weights, np.nan),
        cycles=total,
        supported=supported,
        kernel_cycles=cycles.T,
        kernel_energy_j=energy.T,
        failed_rules=failed.T,
        rules=tuple(rules),
        weight_bytes=weights,
    )


def _price(
    kind: str, found: Distinct, target: Accelerator, rules: list[str]
) -> tuple[FloatArray, FloatArray, NDArray[np.int16]]:
    """Cycles, joules and failed rules of distinct kernels of one kind."""
    entries = found.entries
    cycles, energy = np.full((2, len(entries)), np.nan)
    failed = np.full(len(entries), -1, np.int16)
    compiled = legality(target.ops)
    if kind not in KERNEL_KINDS or not compiled.covers(kind):
        failed[:] = _rule(rules, _NO_RULE.format(kind=kind))
        return cycles, energy, failed
    refused = compiled.failed(kind, WholeColumns(entries))
    if refused is not None:
        failed[:] = refused
    legal = np.flatnonzero(failed < 0)
    columns = {name: entries.whole(name)[legal] for name in KERNEL_COLUMNS}
    columns |= {name: np.full(len(legal), value, np.int64) for name, value in PLACEMENT_COLUMNS.items()}
    layers = Layers(np.full(len(legal), KERNEL_KINDS.index(kind), np.int16), columns)
    costs = MODELS[target.kind](layers, target)
    cycles[legal], energy[legal] = costs.cycles, costs.energy_pj * 1e-12
    for number, text in enumerate(costs.rules):
        failed[legal[costs.failed == number]] = _rule(rules, text)
    return cycles, energy, failed


def _rule(rules: list[str], text: str) -> int:
    if text not in rules:
        rules.append(text)
    return rules.index(text)

"""From arrays over a population to the report on one candidate on an accelerator."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hannah_hw.cost.explain import NO_NETWORK
from hannah_hw.cost.report import BufferRow, CostReport, Figure, Flash, KernelRow, Memory, UnsupportedRow
from hannah_hw.workload.arena import liveness_bound, plan_memory
from hannah_hw.workload.table import BIT_COLUMNS, Workload

if TYPE_CHECKING:
    from hannah_hw.cost.accelerators.pricing import AcceleratorCosts


def explain(costs: AcceleratorCosts, index: int) -> CostReport:
    """The report on candidate ``index``.

    Raises:
        IndexError: There is no such candidate.
    """
    if not 0 <= index < len(costs):
        raise IndexError(f"candidate {index} of {len(costs)}")
    kernels = costs.workload.kernels
    slots = np.flatnonzero(kernels.active[index])
    supported = bool(costs.supported[index])
    candidate = costs.workload.candidate(index)
    weights = candidate.weight_bytes[0]
    rows = [_row(costs, index, int(k), int(weights[position])) for position, k in enumerate(slots)]
    unsupported = [
        UnsupportedRow(kernels.names[k], kernels.kinds[k], costs.rules[costs.failed_rules[index, k]])
        for k in slots
        if costs.failed_rules[index, k] >= 0
    ]
    exists = costs.workload.exists
    if exists is not None and not exists[index]:
        unsupported.append(UnsupportedRow("network", "shape", NO_NETWORK))
    energy = _known(costs.energy_j[index])
    return CostReport(
        target=costs.target.label,
        latency_s=_known(costs.latency_s[index]),
        energy_j=energy,
        ram_bytes=int(costs.ram_bytes[index]) if supported else None,
        flash_bytes=int(costs.flash_bytes[index]) if supported else None,
        cycles=_known(costs.cycles[index]),
        macs=int(kernels["macs"][index, slots].sum()),
        parameters=int((kernels["weights"] + kernels["bias"])[index, slots].sum()),
        figures=_figures(costs, index) if supported else {},
        kernels=tuple(rows),
        memory=_memory(costs, index, candidate),
        flash=Flash(
            weights=int(costs.weight_bytes[index]),
            requantisation=0,
            code=0 if supported else None,
            total=int(costs.flash_bytes[index]) if supported else None,
        ),
        unsupported=tuple(unsupported),
        limits={name: size for name, size in costs.target.capacities.items() if size is not None},
        area_mm2=_known(costs.area_mm2),
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _row(costs: AcceleratorCosts, index: int, slot: int, weight_bytes: int) -> KernelRow:
    kernels = costs.workload.kernels
    cycles = _known(costs.kernel_cycles[index, slot])
    bits: dict[str, Any] = {column: int(kernels[column][index, slot]) for column in BIT_COLUMNS}
    return KernelRow(
        name=kernels.names[slot],
        kind=kernels.kinds[slot],
        kernel_class=None if cycles is None else "array",
        macs=int(kernels["macs"][index, slot]),
        cycles=cycles,
        latency_s=None if cycles is None else cycles / costs.target.clock_hz,
        weight_bytes=weight_bytes,
        scratch_bytes=None if cycles is None else 0,
        source="unsupported" if cycles is None else "estimated",
        error=None,
        energy_j=_known(costs.kernel_energy_j[index, slot]),
        **bits,
    )


def _memory(costs: AcceleratorCosts, index: int, workload: Workload) -> Memory:
    buffers = workload.buffers
    plan = plan_memory(buffers, "greedy_best_fit", alignment=1)
    return Memory(
        arena=int(plan.arena_bytes[0]),
        liveness_bound=int(liveness_bound(buffers)[0]),
        scratch=0,
        stack=0,
        runtime=0,
        total=int(costs.ram_bytes[index]) if costs.supported[index] else None,
        planner="greedy_best_fit",
        buffers=tuple(
            BufferRow(
                buffers.names[b],
                buffers.kinds[b],
                int(buffers.bytes[0, b]),
                int(plan.offsets[0, b]),
                int(buffers.first[0, b]),
                int(buffers.last[0, b]),
            )
            for b in range(len(buffers))
        ),
    )


def _figures(costs: AcceleratorCosts, index: int) -> dict[str, Figure]:
    target = costs.target
    error = target.error.value if target.error is not None else None
    basis = f"{target.kind} model of {target.title}"
    if target.error is not None:
        basis += f"; error {target.error.source}: {target.error.reference}"
    values = {
        "latency_s": (costs.latency_s[index], "s", error, basis),
        "energy_j": (costs.energy_j[index], "J", None, f"energy per access and operation; {basis}"),
        "cycles": (costs.cycles[index], "cycles", error, basis),
        "ram_bytes": (costs.ram_bytes[index], "bytes", None, "peak of live activations"),
        "flash_bytes": (costs.flash_bytes[index], "bytes", None, "weights + biases"),
        "area_mm2": (costs.area_mm2, "mm2", None, "array and memories"),
    }
    return {
        key: Figure(float(value), unit, "estimated", band, note)
        for key, (value, unit, band, note) in values.items()
        if not math.isnan(value)
    }

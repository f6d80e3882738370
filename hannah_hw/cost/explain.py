"""From arrays over a population to the report on one candidate.

Error bands. The band of a kernel's cycles is that of its class: its largest held-out error, or a stated
assumption; and what the class leaves open about this kernel. Kernels of one network err together (the same class,
the same features), so their bands add up linearly, weighted by cycles. The device layer (clock, wait states) errs
independently of that: the band of the latency is the root of the sum of squares. The energy adds the band of the
power in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.entries import Entries, FloatArray
from hannah_hw.cost.report import (
    BufferRow,
    CostReport,
    Figure,
    Flash,
    KernelRow,
    Memory,
    UnsupportedRow,
)
from hannah_hw.workload.arena import liveness_bound, plan_arena, plan_memory
from hannah_hw.workload.table import BIT_COLUMNS

if TYPE_CHECKING:
    from hannah_hw.cost.costs import KernelCosts
    from hannah_hw.workload.table import Workload


#: Why a candidate has no figures that has no kernels either.
NO_NETWORK: Final = (
    "its parameters describe no network: a window is larger than its input, shapes do not fit, or a size "
    "is not positive"
)


def explain(costs: KernelCosts, index: int) -> CostReport:
    """The report on candidate ``index``.

    Raises:
        IndexError: There is no such candidate.
    """
    if not 0 <= index < len(costs):
        raise IndexError(f"candidate {index} of {len(costs)}")
    kernels = costs.workload.kernels
    slots = np.flatnonzero(kernels.active[index])
    supported = bool(costs.supported[index])
    rows, unsupported = [], []
    candidate = costs.workload.candidate(index)
    weights = candidate.weight_bytes[0]
    bands = _bands(costs, index, candidate)
    for position, k in enumerate(slots):
        rows.append(_kernel_row(costs, index, int(k), int(weights[position]), float(bands[position])))
        rule = int(costs.failed_rules[index, k])
        if rule >= 0:
            unsupported.append(UnsupportedRow(kernels.names[k], kernels.kinds[k], costs.rules[rule]))
    exists = costs.workload.exists
    if exists is not None and not exists[index]:
        unsupported.append(UnsupportedRow("network", "shape", NO_NETWORK))
    memory = _memory(costs, index, candidate)
    code = int(costs.code_bytes[index]) if supported else None
    flash = Flash(
        weights=int(costs.weight_bytes[index]),
        requantisation=int(costs.requantisation_bytes[index]),
        code=code,
        total=int(costs.flash_bytes[index]) if supported else None,
    )
    total = memory.total
    return CostReport(
        target=costs.target.label,
        latency_s=float(costs.latency_s[index]) if supported else None,
        energy_j=float(costs.energy_j[index]) if supported else None,
        ram_bytes=total,
        flash_bytes=flash.total,
        cycles=float(costs.cycles[index]) if supported else None,
        macs=int(kernels["macs"][index, slots].sum()),
        parameters=int((kernels["weights"] + kernels["bias"])[index, slots].sum()),
        figures=_figures(costs, index, bands) if supported else {},
        kernels=tuple(rows),
        memory=memory,
        flash=flash,
        unsupported=tuple(unsupported),
        limits={name: size for name, size in costs.target.capacities.items() if size is not None},
    )


def _kernel_row(costs: KernelCosts, index: int, slot: int, weight_bytes: int, band: float) -> KernelRow:
    kernels = costs.workload.kernels
    name, kind, macs = kernels.names[slot], kernels.kinds[slot], int(kernels["macs"][index, slot])
    number = int(costs.kernel_classes[index, slot])
    bits: dict[str, Any] = {column: int(kernels[column][index, slot]) for column in BIT_COLUMNS}
    if number < 0:
        return KernelRow(name, kind, None, macs, None, None, weight_bytes, None, "unsupported", None, **bits)
    entry = costs.cost_model.kernels.classes[number]
    cycles = float(costs.kernel_cycles[index, slot])
    return KernelRow(
        name=name,
        kind=kind,
        kernel_class=entry.name,
        macs=macs,
        cycles=cycles,
        latency_s=cycles / costs.target.clock_hz,
        weight_bytes=weight_bytes,
        scratch_bytes=int(costs.kernel_scratch[index, slot]),
        source="estimated",
        error=band,
        **bits,
    )


def _memory(costs: KernelCosts, index: int, workload: Workload) -> Memory:
    arena, candidate = costs.target.model.arena, workload.buffers
    offsets = _offsets(costs, index, workload)
    supported = bool(costs.supported[index])
    return Memory(
        arena=int(costs.arena_bytes[index]),
        liveness_bound=int(liveness_bound(candidate)[0]),
        scratch=int(costs.scratch_bytes[index]) if supported else None,
        stack=int(costs.stack_bytes[index]),
        runtime=costs.runtime_ram_bytes,
        total=int(costs.ram_bytes[index]) if supported else None,
        planner=arena.planner,
        buffers=tuple(
            BufferRow(
                candidate.names[b],
                candidate.kinds[b],
                int(candidate.bytes[0, b]),
                int(offsets[b]),
                int(candidate.first[0, b]),
                int(candidate.last[0, b]),
            )
            for b in range(len(candidate))
        ),
    )


def _offsets(costs: KernelCosts, index: int, workload: Workload) -> NDArray[np.int64]:
    """(B,) offsets of the buffers of one candidate."""
    arena, library = costs.target.model.arena, costs.cost_model.kernels
    offsets: NDArray[np.int64]
    if not library.scratch_in_arena:
        offsets = plan_memory(workload.buffers, arena.planner, alignment=arena.alignment).offsets[0]
        return offsets
    in_place, scratch = library.memory(workload.kernels)
    runs = (costs.kernel_classes[index, costs.workload.kernels.active[index]] >= 0)[None]
    offsets = plan_arena(workload, in_place & runs, scratch * runs, arena.planner, arena.alignment).offsets[0]
    return offsets


def _figures(costs: KernelCosts, index: int, bands: FloatArray) -> dict[str, Figure]:
    target, model = costs.target, costs.cost_model
    cycles = costs.kernel_cycles[index, costs.workload.kernels.active[index]]
    kernel_band = float((cycles * bands).sum() / max(float(costs.cycles[index]), 1.0))
    device, power = target.model.device_error, target.power.active_w
    timed = None if device is None else float(np.hypot(kernel_band, device))
    powered = None if timed is None or power.error is None else float(np.hypot(timed, power.error))
    wait = target.model.flash_wait_cycles
    basis = (
        f"{model.title}; {wait.value:g} cycles per flash read ({wait.source}); kernels ±{kernel_band:.1%}, "
        f"device {'unknown' if device is None else f'±{device:.1%}'}"
    )
    scratch = (
        "kernel scratch above live buffers" if model.kernels.scratch_in_arena else "largest kernel scratch"
    )
    ram = f"arena by {target.model.arena.planner} + {scratch} + stack + runtime data"
    flash = f"weights + biases + requantisation + code ({model.runtime.code.source})"
    return {
        "latency_s": Figure(float(costs.latency_s[index]), "s", "estimated", timed, basis),
        "energy_j": Figure(
            float(costs.energy_j[index]),
            "J",
            "estimated",
            powered,
            f"latency x {power.value * 1e3:.1f} mW active power ({power.source})",
        ),
        "cycles": Figure(float(costs.cycles[index]), "cycles", "estimated", timed, basis),
        "ram_bytes": Figure(
            float(costs.ram_bytes[index]), "bytes", "estimated", model.runtime.ram_error, ram
        ),
        "flash_bytes": Figure(
            float(costs.flash_bytes[index]), "bytes", "estimated", model.runtime.flash_error, flash
        ),
    }


def _bands(costs: KernelCosts, index: int, candidate: Workload) -> FloatArray:
    """(K,) relative half width of the cycles of the kernels of one candidate; 0 of those that cannot run."""
    classes = costs.kernel_classes[index, costs.workload.kernels.active[index]]
    bands = np.zeros(len(classes))
    for number in set(classes[classes >= 0].tolist()):
        entry, places = costs.cost_model.kernels.classes[number], np.flatnonzero(classes == number)
        bands[places] = costs.cost_model.classes[entry.name].error.band
        if entry.doubt is not None:
            bands[places] += entry.doubt(Entries(candidate.kernels, places, places))
    return bands

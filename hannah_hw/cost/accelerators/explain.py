"""From arrays over a population to the report on one candidate on an accelerator.

What the population's prices do not keep, such as mappings and parts of cycles and energy, is asked of the cost model
again, for the layers of this candidate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hannah_hw.cost.accelerators.energy import unknown_energies
from hannah_hw.cost.accelerators.layers import PLACEMENT_COLUMNS, FloatArray, LayerCosts, Layers
from hannah_hw.cost.accelerators.models import NETWORKS
from hannah_hw.cost.accelerators.pricing import by_unit, placed
from hannah_hw.cost.accelerators.residence import residence
from hannah_hw.cost.accelerators.streams import outermost
from hannah_hw.cost.accelerators.units import TITLES, UNITS
from hannah_hw.cost.explain import NO_NETWORK
from hannah_hw.cost.report import BufferRow, CostReport, Figure, Flash, KernelRow, Memory, UnsupportedRow
from hannah_hw.quantities import format_si
from hannah_hw.targets.area import area_mm2
from hannah_hw.workload.arena import liveness_bound, plan_memory
from hannah_hw.workload.table import BIT_COLUMNS, KERNEL_COLUMNS, KERNEL_KINDS

if TYPE_CHECKING:
    from hannah_hw.cost.accelerators.pricing import AcceleratorCosts
    from hannah_hw.targets import Accelerator

_PICO: Final = 1e-12
#: Where values lie of which the target does not say more.
_OUTSIDE: Final = "outside"
#: What a report says of a kernel that takes time and to which the target's figures give no energy of its own.
_ELSEWHERE: Final = "none of its own: the target's figures count it with other kernels"


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
        kernels=tuple(_rows(costs, index)),
        memory=_memory(costs, index),
        flash=Flash(
            weights=int(costs.weight_bytes[index]),
            requantisation=0,
            code=0 if supported else None,
            total=int(costs.flash_bytes[index]) if supported else None,
        ),
        unsupported=tuple(_unsupported(costs, index)),
        limits={name: size for name, size in costs.target.capacities.items() if size is not None},
        area_mm2=_known(costs.area_mm2),
        notes=tuple(_notes(costs, index)),
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _unsupported(costs: AcceleratorCosts, index: int) -> list[UnsupportedRow]:
    kernels, failed = costs.workload.kernels, costs.failed_rules[index]
    rows = [
        UnsupportedRow(kernels.names[k], kernels.kinds[k], costs.rules[failed[k]])
        for k in np.flatnonzero(failed >= 0)
    ]
    if costs.failed_limits[index] >= 0:
        rows.append(UnsupportedRow("network", "limits", costs.rules[costs.failed_limits[index]]))
    exists = costs.workload.exists
    if exists is not None and not exists[index]:
        rows.append(UnsupportedRow("network", "shape", NO_NETWORK))
    return rows


def _rows(costs: AcceleratorCosts, index: int) -> list[KernelRow]:
    kernels, target = costs.workload.kernels, costs.target
    slots = np.flatnonzero(kernels.active[index])
    weights = costs.workload.weight_bytes[index]
    runs = slots[costs.kernel_units[index, slots] >= 0]
    layers = _layers(costs, index, runs)
    units = costs.kernel_units[index, runs]
    parts: dict[int, tuple[LayerCosts, int]] = {}
    for mine, priced in by_unit(layers, units, target):
        parts |= {int(runs[position]): (priced, row) for row, position in enumerate(mine.tolist())}
    rows = []
    for k in slots.tolist():
        cycles, unit = _known(costs.kernel_cycles[index, k]), int(costs.kernel_units[index, k])
        bits: dict[str, Any] = {column: int(kernels[column][index, k]) for column in BIT_COLUMNS}
        refused = int(costs.refused[index, k])
        extra: dict[str, Any] = {}
        if cycles is not None:
            priced, row = parts[k]
            extra = _detail(priced, row)
            moved = cycles - float(priced.cycles[row])
            if moved:
                extra["cycle_parts"]["neighbours"] = moved
                if extra["utilisation"] is not None and cycles:
                    extra["utilisation"] *= float(priced.cycles[row]) / cycles
            if refused >= 0:
                extra["detail"]["not on the accelerator"] = costs.rules[refused]
        energy = _known(costs.kernel_energy_j[index, k])
        if energy == 0 and cycles and "free" not in extra["detail"]:
            energy, extra["detail"]["energy"] = None, _ELSEWHERE
        rows.append(
            KernelRow(
                name=kernels.names[k],
                kind=kernels.kinds[k],
                kernel_class=None if cycles is None else TITLES[UNITS[unit]],
                macs=int(kernels["macs"][index, k]),
                cycles=cycles,
                latency_s=None if cycles is None else cycles / target.clock_hz,
                weight_bytes=int(weights[k]),
                scratch_bytes=None if cycles is None else 0,
                source="unsupported" if cycles is None else "estimated",
                error=None,
                energy_j=energy,
                **bits,
                **extra,
            )
        )
    return rows


def _layers(costs: AcceleratorCosts, index: int, slots: Any) -> Layers:
    """The kernels of one candidate as layers whose values lie where they were placed."""
    kernels = costs.workload.kernels
    columns = {name: kernels[name][index, slots] for name in KERNEL_COLUMNS}
    columns |= {name: np.zeros(len(slots), np.int64) for name in PLACEMENT_COLUMNS}
    kinds = np.array([KERNEL_KINDS.index(kernels.kinds[k]) for k in slots], np.int16)
    codes = costs.placements[index, slots]
    return placed(Layers(kinds, columns), codes, costs.target)


def _detail(costs: LayerCosts, row: int) -> dict[str, Any]:
    utilisation = None if costs.utilisation is None else _known(costs.utilisation[row])
    return {
        "utilisation": utilisation,
        "cycle_parts": _parts(costs.cycle_parts, row, 1.0),
        "energy_parts_j": _parts(costs.energy_parts, row, _PICO),
        "detail": dict(costs.detail(row)) if costs.detail is not None else {},
    }


def _parts(parts: Mapping[str, FloatArray], row: int, unit: float) -> dict[str, float]:
    """Parts that are not 0; those that are not known are left out."""
    found = {name: float(values[row]) * unit for name, values in parts.items()}
    return {name: value for name, value in found.items() if value and not math.isnan(value)}


def _memory(costs: AcceleratorCosts, index: int) -> Memory:
    buffers = costs.workload.buffers
    candidate = costs.workload.candidate(index).buffers
    where, outside = residence(costs.target).activations, outermost(costs.target, "I") or _OUTSIDE
    stays = dict(zip(buffers.names, costs.on_chip[index].tolist(), strict=True))
    plan = plan_memory(candidate, "greedy_best_fit", alignment=1)
    return Memory(
        arena=int(plan.arena_bytes[0]),
        liveness_bound=int(liveness_bound(candidate)[0]),
        scratch=0,
        stack=0,
        runtime=0,
        total=int(costs.ram_bytes[index]) if costs.supported[index] else None,
        planner="greedy_best_fit",
        buffers=tuple(
            BufferRow(
                name,
                candidate.kinds[b],
                int(candidate.bytes[0, b]),
                int(plan.offsets[0, b]),
                int(candidate.first[0, b]),
                int(candidate.last[0, b]),
                where if where is not None and stays[name] else outside,
            )
            for b, name in enumerate(candidate.names)
        ),
        weights_in=_weights_in(costs, index),
    )


def _weights_in(costs: AcceleratorCosts, index: int) -> str:
    inside = residence(costs.target).weights
    if inside is not None and costs.weights_on_chip[index]:
        return inside
    return outermost(costs.target, "W") or _OUTSIDE


def _notes(costs: AcceleratorCosts, index: int) -> list[str]:
    """Why figures are missing, and what they leave out."""
    notes = []
    if costs.supported[index] and math.isnan(costs.energy_j[index]):
        missing = unknown_energies(costs.target)
        notes.append(
            f"no energy: {costs.target.label} does not give " + ", ".join(missing)
            if missing
            else f"no energy: the {costs.target.kind} model of {costs.target.label} has no figure for some kernels"
        )
    return [*notes, *area_mm2(costs.target)[1]]


def _held(target: Accelerator, what: str) -> str:
    """What the memory of a network is made of."""
    if target.kind in NETWORKS:
        return {
            "ram": "peak of what the model places in the memory of activations",
            "flash": "weights as stored",
        }[what]
    return {
        "ram": "activations live at once, in all memories together",
        "flash": "weights + 4 bytes a bias, wherever they are kept",
    }[what]


def _figures(costs: AcceleratorCosts, index: int) -> dict[str, Figure]:
    target = costs.target
    error = target.error.value if target.error is not None else None
    basis = f"{target.kind} model of {target.title}"
    if target.error is not None:
        basis += f"; error {target.error.source}: {target.error.reference}"
    static = "" if target.static_w is None else f" + {format_si(target.static_w.value, 'W')} x latency"
    values = {
        "latency_s": (costs.latency_s[index], "s", error, basis),
        "energy_j": (costs.energy_j[index], "J", None, f"operations and accesses of all kernels{static}"),
        "cycles": (costs.cycles[index], "cycles", error, basis),
        "ram_bytes": (
            costs.ram_bytes[index],
            "bytes",
            None,
            _held(target, "ram"),
        ),
        "flash_bytes": (
            costs.flash_bytes[index],
            "bytes",
            None,
            _held(target, "flash"),
        ),
        "area_mm2": (costs.area_mm2, "mm2", None, "array and memories"),
    }
    return {
        key: Figure(float(value), unit, "estimated", band, note)
        for key, (value, unit, band, note) in values.items()
        if not math.isnan(value)
    }

"""Pricing model kind ``kernels``: a microcontroller that runs one kernel after the other.

cycles of a kernel = scale × Σ coefficient × feature + wait cycles × flash reads; latency = cycles / clock;
energy = active power × latency. RAM = arena + largest kernel scratch + stack + runtime data; flash = weights +
4 bytes a bias + 8 bytes a channel for requantisation + code of the runtime, of each call and of each kernel
class that occurs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.classes import KERNEL_CLASSES, KernelClass, Slots, classes_of
from hannah_hw.cost.coefficients import CostModel, load_cost_model
from hannah_hw.cost.costs import Costs
from hannah_hw.targets.load import legality
from hannah_hw.targets.schema import Target
from hannah_hw.workload.arena import liveness_bound, plan_memory
from hannah_hw.workload.table import Kernels, Workload

#: Candidates at a time: small enough that arrays are reused memory, not fresh pages, and stay in the cache.
_CHUNK: Final = 512
_UNPRICED: Final = "{kind}: the cost model {model} has no coefficients for the kernel class {name}"


@dataclass(frozen=True)
class _Kernels:
    """What the kernels of C candidates cost; see `Costs` for the shapes."""

    cycles: NDArray[np.float64]
    classes: NDArray[np.int8]
    scratch: NDArray[np.float64]
    failed: NDArray[np.int16]


def price_kernels(workload: Workload, target: Target) -> Costs:
    """Price a population on a target whose model kind is ``kernels``."""
    near: Path | None = target.origin.parent if target.origin is not None else None
    model = load_cost_model(target.model.coefficients, near=near)
    count, slots = workload.kernels.active.shape
    kernel_cycles = np.zeros((count, slots))
    kernel_classes = np.full((count, slots), -1, np.int8)
    kernel_scratch = np.zeros((count, slots))
    failed = np.full((count, slots), -1, np.int16)
    rules: list[str] = []
    figures = np.zeros((6, count))
    cycles, scratch, weights, requantisation, code, bad = figures
    for start in range(0, count, _CHUNK):
        rows = slice(start, min(start + _CHUNK, count))
        part = _price_chunk(workload.kernels, rows, target, model, rules)
        kernel_cycles[rows], kernel_classes[rows] = part.cycles, part.classes
        kernel_scratch[rows], failed[rows] = part.scratch, part.failed
        cycles[rows] = part.cycles.sum(axis=1)
        scratch[rows] = part.scratch.max(axis=1, initial=0.0)
        bad[rows] = (part.failed >= 0).any(axis=1)
        weights[rows], requantisation[rows], code[rows] = _flash(workload.kernels, rows, part, model)
    choice = target.model.arena
    arena = plan_memory(
        workload.buffers, choice.planner, alignment=choice.alignment, offsets=False
    ).arena_bytes
    live = liveness_bound(workload.buffers)
    supported = bad == 0
    cycles[~supported] = np.nan
    stack, static = model.runtime.stack.bytes, model.runtime.ram.bytes
    latency = cycles / target.clock_hz
    return Costs(
        target=target,
        workload=workload,
        cost_model=model,
        latency_s=latency,
        energy_j=latency * target.power.active_w.value,
        ram_bytes=np.where(supported, arena + scratch + (stack + static), np.nan),
        flash_bytes=np.where(supported, weights + requantisation + code, np.nan),
        cycles=cycles,
        supported=supported,
        kernel_cycles=kernel_cycles,
        kernel_classes=kernel_classes,
        kernel_scratch=kernel_scratch,
        failed_rules=failed,
        rules=tuple(rules),
        arena_bytes=arena,
        liveness_bytes=live,
        scratch_bytes=scratch,
        stack_bytes=stack,
        runtime_ram_bytes=static,
        weight_bytes=weights,
        requantisation_bytes=requantisation,
        code_bytes=code,
    )


def _compact(slots: list[int]) -> slice | list[int]:
    """A slice where the slots are neighbours: a view instead of a copy."""
    return slice(slots[0], slots[-1] + 1) if slots[-1] - slots[0] + 1 == len(slots) else slots


def _rule(rules: list[str], text: str) -> int:
    """Index of a rule's text, which is appended when new."""
    if text not in rules:
        rules.append(text)
    return rules.index(text)


def _price_chunk(
    kernels: Kernels, rows: slice, target: Target, model: CostModel, rules: list[str]
) -> _Kernels:
    failed, texts = legality(target.ops).check(kernels, rows)
    rules.extend(texts[len(rules) :])
    active = kernels.active[rows]
    cycles = np.zeros(active.shape)
    scratch = np.zeros(active.shape)
    classes = np.full(active.shape, -1, np.int8)
    by_kind: dict[str, list[int]] = {}
    for slot, kind in enumerate(kernels.kinds):
        by_kind.setdefault(kind, []).append(slot)
    runs = active & (failed < 0)
    for kind, slots in by_kind.items():
        where = _compact(slots)
        left = runs[:, where].copy()
        table = Slots(kernels, rows, where)
        for number, entry in classes_of(kind):
            chosen = left if entry.selects is None else left & entry.selects(table)
            used = [slots[i] for i in np.flatnonzero(chosen.any(axis=0))]
            if not used:
                continue
            left = left & ~chosen
            mask = chosen if len(used) == len(slots) else chosen[:, [slots.index(k) for k in used]]
            position = _compact(used)
            if entry.name not in model.classes:
                rule = _rule(rules, _UNPRICED.format(kind=kind, model=model.name, name=entry.name))
                failed[:, position] = np.where(mask, np.int16(rule), failed[:, position])
                continue
            part = table if len(used) == len(slots) else Slots(kernels, rows, position)
            _add(cycles, position, _cycles(entry, part, target, model), mask)
            if entry.scratch is not None:
                _add(scratch, position, entry.scratch(part), mask)
            classes[:, position] += mask * np.int8(number + 1)
        if left.any():
            rule = _rule(rules, f"{kind}: the kernel library has no kernel for this operator")
            failed[:, where] = np.where(left, np.int16(rule), failed[:, where])
    if (failed >= 0).any():
        cycles[failed >= 0] = np.nan
    return _Kernels(cycles, classes, scratch, failed)


def _add(
    total: NDArray[np.float64], where: slice | list[int], value: NDArray[np.float64], mask: NDArray[np.bool_]
) -> None:
    """Add a fresh array to some slots, where the mask holds; columns of other kernels hold no infinities."""
    value = value * mask
    total[:, where] += value


def _cycles(entry: KernelClass, slots: Slots, target: Target, model: CostModel) -> NDArray[np.float64]:
    """(C, k) cycles with wait states."""
    scale, wait = target.model.cycle_scale.value, target.model.flash_wait_cycles.value
    total: NDArray[np.float64] | None = None
    for coefficient, feature in zip(
        model.classes[entry.name].coefficients, entry.features.values(), strict=True
    ):
        if coefficient:
            term = feature(slots) * (coefficient * scale)
            total = term if total is None else np.add(total, term, out=total)
    if entry.flash_reads is not None and wait:
        term = entry.flash_reads(slots) * wait
        total = term if total is None else np.add(total, term, out=total)
    return total if total is not None else np.zeros_like(slots["outputs"])


def _flash(
    kernels: Kernels, rows: slice, part: _Kernels, model: CostModel
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(C,) bytes of weights and biases, of requantisation constants, and of code."""
    runtime = model.runtime
    active = kernels.active[rows]
    weighted = [k for k, kind in enumerate(kernels.kinds) if kind in {"conv", "linear"}] or [0]
    where = _compact(weighted)
    use = active[:, where]
    bits = kernels["weights"][rows][:, where] * kernels["weight_bits"][rows][:, where]
    size = ((bits + 7) >> 3) + kernels["bias"][rows][:, where] * runtime.bias_bytes
    weights = (size * use).sum(axis=1).astype(np.float64)
    has_weights = use & (kernels["weights"][rows][:, where] > 0)
    channels = (kernels["out_channels"][rows][:, where] * has_weights).sum(axis=1)
    code = runtime.code.bytes + np.count_nonzero(active, axis=1) * float(runtime.code_per_kernel.bytes)
    for number, entry in enumerate(KERNEL_CLASSES):
        size_of = runtime.code_by_class.get(entry.name)
        if size_of is not None and size_of.bytes:
            slots = [k for k, kind in enumerate(kernels.kinds) if kind == entry.kind]
            if slots:
                code += (part.classes[:, _compact(slots)] == number).any(axis=1) * float(size_of.bytes)
    return weights, (channels * runtime.requantisation_bytes).astype(np.float64), code

"""Pricing model kind ``kernels``: a microcontroller that runs one kernel after the other.

cycles of a kernel = scale × Σ coefficient × feature + wait cycles × flash reads; latency = cycles / clock;
energy = active power × latency. RAM = arena + scratch + stack + runtime data, where the library says whether the
scratch memory of kernels lies in the arena above the live buffers or apart from it. Flash = constants of the kernels
+ code of the runtime, of each call and of each kernel class that occurs. Constants are what the class says, else
weights + 4 bytes a bias + 8 bytes a channel for requantisation. The kernel classes are those of 8 bits: a kernel of
another width is refused, also by a target whose own rules let it pass.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.classes import KernelClass
from hannah_hw.cost.coefficients import CostModel, load_cost_model
from hannah_hw.cost.costs import Costs
from hannah_hw.cost.entries import Entries, WholeColumns
from hannah_hw.targets.load import legality
from hannah_hw.targets.schema import Target
from hannah_hw.workload.arena import plan_arena, plan_memory
from hannah_hw.workload.table import BIT_COLUMNS, Kernels, Workload

#: Kernels at a time: small enough that arrays are reused memory, not fresh pages, and stay in the cache.
_BLOCK: Final = 8192
_UNPRICED: Final = "{kind}: the cost model {model} has no coefficients for the kernel class {name}"
_NO_RULE: Final = "{kind}: the target has no rule for this operator"
_WIDTH: Final = "{kind}: the kernels of the cost model {model} have {column} == 8"
_NO_KERNEL: Final = "{kind}: the kernel library has no kernel for this operator of this shape"


def price_kernels(workload: Workload, target: Target) -> Costs:
    """Price a population on a target whose model kind is ``kernels``."""
    near: Path | None = target.origin.parent if target.origin is not None else None
    model = load_cost_model(target.model.coefficients, near=near)
    priced = _Pricing(workload.kernels, target, model)
    arena, scratch = _memory(workload, priced, target, model)
    supported: NDArray[np.bool_] = np.all(priced.failed < 0, axis=0)
    if workload.exists is not None:
        supported &= workload.exists
    cycles = np.where(supported, priced.cycles.sum(axis=0), np.nan)
    stack, static = model.runtime.stack.bytes, model.runtime.ram.bytes
    latency = cycles / target.clock_hz
    flash = priced.weights + priced.requantisation + priced.code
    return Costs(
        target=target,
        workload=workload,
        cost_model=model,
        latency_s=latency,
        energy_j=latency * target.power.active_w.value,
        ram_bytes=np.where(supported, arena + scratch + (stack + static), np.nan),
        flash_bytes=np.where(supported, flash, np.nan),
        cycles=cycles,
        supported=supported,
        kernel_cycles=priced.cycles.T,
        kernel_classes=priced.classes.T,
        kernel_scratch=priced.scratch.T,
        failed_rules=priced.failed.T,
        rules=tuple(priced.rules),
        arena_bytes=arena,
        scratch_bytes=scratch,
        stack_bytes=stack,
        runtime_ram_bytes=static,
        weight_bytes=priced.weights,
        requantisation_bytes=priced.requantisation,
        code_bytes=priced.code,
    )


def _memory(
    workload: Workload, priced: _Pricing, target: Target, model: CostModel
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(P,) bytes of the arena of the buffers, and (P,) bytes that scratch memory takes beyond it."""
    choice = target.model.arena
    if not model.kernels.scratch_in_arena:
        plan = plan_memory(workload.buffers, choice.planner, alignment=choice.alignment, offsets=False)
        return plan.arena_bytes, priced.scratch.max(axis=0, initial=0).astype(np.float64)
    shared = plan_arena(
        workload, priced.in_place.T, priced.scratch.T, choice.planner, choice.alignment, offsets=False
    )
    return shared.buffer_bytes, (shared.arena_bytes - shared.buffer_bytes).astype(np.float64)


class _Pricing:
    """The kernels of P candidates, priced.

    Work goes by kernel kind over the kernels that are active, wherever in the table they are: most slots of a
    search space are inactive in most candidates. Tables are (K, P); see `Costs` for what they hold.
    """

    def __init__(self, kernels: Kernels, target: Target, model: CostModel) -> None:
        self._target, self._model, self._library = target, model, model.kernels
        active = np.ascontiguousarray(kernels.active.T)
        shape = slots, self._count = active.shape
        self.cycles = np.zeros(shape)
        self.scratch = np.zeros(shape, np.int64)
        self.in_place = np.zeros(shape, np.bool_)
        self.weights, self.requantisation = np.zeros((2, self._count))
        self.classes = np.full(shape, -1, np.int8)
        self.failed = np.full(shape, -1, np.int16)
        self._legality = legality(target.ops)
        self.rules = list(self._legality.rules)
        self._widths = [column for column in BIT_COLUMNS if not kernels.always(column, 8)]
        self._seen = np.zeros((len(self._library.classes), self._count), np.bool_)
        for kind in dict.fromkeys(kernels.kinds):
            mine = [k for k in range(slots) if kernels.kinds[k] == kind]
            places = [np.flatnonzero(active[k]) + k * self._count for k in mine]
            where = np.concatenate(places)
            slot = np.repeat(mine, [len(p) for p in places])
            for start in range(0, len(where), _BLOCK):
                block = slice(start, start + _BLOCK)
                self._price(kind, Entries(kernels, where[block], slot[block]))
        calls = active.sum(axis=0) * float(model.runtime.code_per_kernel.bytes)
        self.code = calls + float(model.runtime.code.bytes)
        for entry, seen in zip(self._library.classes, self._seen, strict=True):
            size = model.runtime.code_by_class.get(entry.name)
            if size is not None:
                self.code += seen * float(size.bytes)
        names = [entry.name for entry in self._library.classes]
        for part in model.runtime.code_shared:
            needed = self._seen[[names.index(name) for name in part.classes]].any(axis=0)
            self.code += needed * float(part.bytes)

    def _price(self, kind: str, entries: Entries) -> None:
        """Price kernels of one kind."""
        self._store_weights(entries)
        if not self._legality.covers(kind):
            self._refuse(entries, _NO_RULE.format(kind=kind))
            return
        failed = self._legality.failed(kind, WholeColumns(entries))
        if failed is not None:
            self.failed.reshape(-1)[entries.where] = failed
            self.cycles.reshape(-1)[entries.where[failed >= 0]] = np.nan
            entries = entries.select(failed < 0)
        for column in self._widths:
            other = entries.whole(column) != 8
            if other.any():
                self._refuse(
                    entries.select(other), _WIDTH.format(kind=kind, model=self._model.name, column=column)
                )
                entries = entries.select(~other)
        for number, entry, chosen in self._library.selected(kind, entries):
            if entry is None:
                self._refuse(chosen, _NO_KERNEL.format(kind=kind))
            else:
                self._price_class(kind, number, entry, chosen)

    def _price_class(self, kind: str, number: int, entry: KernelClass, entries: Entries) -> None:
        if entry.name not in self._model.classes:
            self._refuse(entries, _UNPRICED.format(kind=kind, model=self._model.name, name=entry.name))
            return
        self.cycles.reshape(-1)[entries.where] = self._cycles(entry, entries)
        self.classes.reshape(-1)[entries.where] = number
        if entry.scratch is not None:
            self.scratch.reshape(-1)[entries.where] = entry.scratch(entries)
        if entry.in_place is not None:
            self.in_place.reshape(-1)[entries.where] = entry.in_place(entries)
        self._store_requantisation(entry, entries)
        self._seen[number][entries.candidates] = True

    def _refuse(self, entries: Entries, rule: str) -> None:
        if rule not in self.rules:
            self.rules.append(rule)
        self.failed.reshape(-1)[entries.where] = self.rules.index(rule)
        self.cycles.reshape(-1)[entries.where] = np.nan

    def _cycles(self, entry: KernelClass, entries: Entries) -> NDArray[np.float64]:
        """(N,) cycles with wait states."""
        scale, wait = self._target.model.cycle_scale.value, self._target.model.flash_wait_cycles.value
        total = np.zeros(len(entries))
        fitted = self._model.classes[entry.name]
        for name, feature in entry.features.items():
            coefficient = fitted.cycles[name] * scale + fitted.flash_reads.get(name, 0.0) * wait
            if coefficient:
                total += feature(entries) * coefficient
        if entry.flash_reads is not None and wait and not fitted.flash_reads:
            total += entry.flash_reads(entries) * wait
        return total

    def _store_weights(self, entries: Entries) -> None:
        """Bytes of weights and biases."""
        if entries.whole("weights").any():
            self.weights += np.bincount(entries.candidates, self._weight_bytes(entries), self._count)

    def _store_requantisation(self, entry: KernelClass, entries: Entries) -> None:
        """Bytes of constants beyond weights and biases: multipliers, shifts, padding, tables."""
        if entry.constants is not None:
            size: NDArray[Any] = entry.constants(entries) - self._weight_bytes(entries)
        else:
            weights = entries.whole("weights")
            if not weights.any():
                return
            size = entries.whole("out_channels") * (weights > 0) * self._model.runtime.requantisation_bytes
        self.requantisation += np.bincount(entries.candidates, size, self._count)

    def _weight_bytes(self, entries: Entries) -> NDArray[np.int64]:
        """(N,) bytes of weights and biases."""
        size: NDArray[np.int64] = (entries.whole("weights") * entries.whole("weight_bits") + 7) >> 3
        return size + entries.whole("bias") * self._model.runtime.bias_bytes

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
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.classes import KernelClass
from hannah_hw.cost.coefficients import CostModel, load_cost_model
from hannah_hw.cost.costs import KernelCosts
from hannah_hw.cost.distinct import distinct
from hannah_hw.cost.entries import Entries, WholeColumns
from hannah_hw.targets.load import legality
from hannah_hw.targets.microcontroller import Microcontroller, microcontroller
from hannah_hw.targets.schema import Target
from hannah_hw.workload.arena import plan_arena, plan_memory
from hannah_hw.workload.table import BIT_COLUMNS, Kernels, Workload

_UNPRICED: Final = "{kind}: the cost model {model} has no coefficients for the kernel class {name}"
_NO_RULE: Final = "{kind}: the target has no rule for this operator"
_WIDTH: Final = "{kind}: the kernels of the cost model {model} have {column} == 8"
_NO_KERNEL: Final = "{kind}: the kernel library has no kernel for this operator of this shape"


def price_kernels(workload: Workload, chip: Target) -> KernelCosts:
    """Price a population on a target whose model kind is ``kernels``."""
    target = microcontroller(chip, "this cost model")
    near: Path | None = target.origin.parent if target.origin is not None else None
    model = load_cost_model(target.model.coefficients, near=near)
    priced = _Pricing(workload.kernels, target, model)
    arena, scratch = _memory(workload, priced, target, model)
    supported: NDArray[np.bool_] = np.all(priced.failed < 0, axis=0)
    if workload.exists is not None:
        supported &= workload.exists
    cycles = np.where(supported, priced.cycles.sum(axis=0), np.nan)
    static = model.runtime.ram.bytes
    latency = cycles / target.clock_hz
    flash = priced.weights + priced.requantisation + priced.code
    return KernelCosts(
        target=target,
        workload=workload,
        cost_model=model,
        latency_s=latency,
        energy_j=latency * target.power.active_w.value,
        ram_bytes=np.where(supported, arena + scratch + (priced.stack + static), np.nan),
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
        stack_bytes=priced.stack,
        runtime_ram_bytes=static,
        weight_bytes=priced.weights,
        requantisation_bytes=priced.requantisation,
        code_bytes=priced.code,
    )


def _memory(
    workload: Workload, priced: _Pricing, target: Microcontroller, model: CostModel
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

    Work goes by kernel kind over the distinct kernels that are active, wherever in the table they are. Tables are
    (K, P); see `Costs` for what they hold.
    """

    def __init__(self, kernels: Kernels, target: Microcontroller, model: CostModel) -> None:
        self._target, self._model, self._library = target, model, model.kernels
        count = len(kernels.active)
        shape = (len(kernels), count)
        self.cycles = np.zeros(shape)
        self.scratch = np.zeros(shape, np.int64)
        self.in_place = np.zeros(shape, np.bool_)
        self.weights, self.requantisation = np.zeros((2, count))
        self.classes = np.full(shape, -1, np.int8)
        self.failed = np.full(shape, -1, np.int16)
        self._legality = legality(target.ops)
        self.rules = list(self._legality.rules)
        self._widths = [column for column in BIT_COLUMNS if not kernels.always(column, 8)]
        seen = np.zeros((len(self._library.classes), count), np.bool_)
        for kind in dict.fromkeys(kernels.kinds):
            found = distinct(kernels, kind)
            if not len(found.where):
                continue
            prices = self._price(kind, found.entries)
            for table, column in (
                (self.cycles, prices.cycles),
                (self.scratch, prices.scratch),
                (self.in_place, prices.in_place),
                (self.classes, prices.classes),
                (self.failed, prices.failed),
            ):
                table.reshape(-1)[found.where] = column[found.which]
            for total, column in (
                (self.weights, prices.weights),
                (self.requantisation, prices.requantisation),
            ):
                if column.any():
                    np.add(total, np.bincount(found.candidates, column[found.which], count), out=total)
            for number, _ in self._library.of_kind(kind):
                mine = prices.classes == number
                if mine.any():
                    seen[number][found.candidates[mine[found.which]]] = True
        calls = kernels.active.sum(axis=1) * float(model.runtime.code_per_kernel.bytes)
        self.code = calls + float(model.runtime.code.bytes)
        for entry, used in zip(self._library.classes, seen, strict=True):
            size = model.runtime.code_by_class.get(entry.name)
            if size is not None:
                self.code += used * float(size.bytes)
        self.stack = np.zeros(count, np.int64)
        for entry, used in zip(self._library.classes, seen, strict=True):
            np.maximum(self.stack, used * model.runtime.stack_by_class.get(entry.name, 0), out=self.stack)
        self.stack += model.runtime.stack.bytes
        names = [entry.name for entry in self._library.classes]
        for part in model.runtime.code_shared:
            needed = seen[[names.index(name) for name in part.classes]].any(axis=0)
            self.code += needed * float(part.bytes)

    def _price(self, kind: str, entries: Entries) -> _Prices:
        """Price distinct kernels of one kind."""
        prices = _Prices(entries, self._weight_bytes(entries))
        places = np.arange(len(entries))
        if not self._legality.covers(kind):
            self._refuse(prices, places, _NO_RULE.format(kind=kind))
            return prices
        failed = self._legality.failed(kind, WholeColumns(entries))
        if failed is not None:
            prices.failed[:] = failed
            prices.cycles[failed >= 0] = np.nan
            places = places[failed < 0]
        for column in self._widths:
            other = entries.whole(column)[places] != 8
            if other.any():
                text = _WIDTH.format(kind=kind, model=self._model.name, column=column)
                self._refuse(prices, places[other], text)
                places = places[~other]
        legal = entries if len(places) == len(entries) else entries.at(places)
        for number, entry, chosen in self._library.selected(kind, legal):
            # Places ascend, so where kernels lie tells which they are.
            mine = np.searchsorted(entries.where, chosen.where)
            if entry is None:
                self._refuse(prices, mine, _NO_KERNEL.format(kind=kind))
            elif entry.name not in self._model.classes:
                text = _UNPRICED.format(kind=kind, model=self._model.name, name=entry.name)
                self._refuse(prices, mine, text)
            else:
                self._price_class(prices, mine, number, entry, chosen)
        return prices

    def _price_class(
        self, prices: _Prices, places: NDArray[np.int64], number: int, entry: KernelClass, entries: Entries
    ) -> None:
        prices.cycles[places] = self._cycles(entry, entries)
        prices.classes[places] = number
        if entry.scratch is not None:
            prices.scratch[places] = entry.scratch(entries)
        if entry.in_place is not None:
            prices.in_place[places] = entry.in_place(entries)
        if entry.constants is not None:
            prices.requantisation[places] = entry.constants(entries) - prices.weights[places]
        else:
            channels = entries.whole("out_channels") * (entries.whole("weights") > 0)
            prices.requantisation[places] = channels * self._model.runtime.requantisation_bytes

    def _refuse(self, prices: _Prices, places: NDArray[np.int64], rule: str) -> None:
        if rule not in self.rules:
            self.rules.append(rule)
        prices.failed[places] = self.rules.index(rule)
        prices.cycles[places] = np.nan

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

    def _weight_bytes(self, entries: Entries) -> NDArray[np.int64]:
        """(N,) bytes of weights and biases."""
        size: NDArray[np.int64] = (entries.whole("weights") * entries.whole("weight_bits") + 7) >> 3
        return size + np.where(size > 0, entries.whole("bias") * self._model.runtime.bias_bytes, 0)


class _Prices:
    """What N kernels of one kind cost.

    Args:
        entries: The kernels.
        weights: (N,) bytes of weights and biases.

    Attributes:
        weights: The same.
        requantisation: (N,) bytes of constants beyond them: multipliers, shifts, padding, tables.
        cycles: (N,) with wait states; NaN for one that cannot run.
        scratch: (N,) bytes.
        in_place: (N,) whether the result may lie on an operand.
        classes: (N,) index of the class that runs it, or -1.
        failed: (N,) index of the rule that it fails, or -1.
    """

    def __init__(self, entries: Entries, weights: NDArray[np.int64]) -> None:
        count = len(entries)
        self.weights = weights
        self.requantisation, self.cycles = np.zeros((2, count))
        self.scratch = np.zeros(count, np.int64)
        self.in_place = np.zeros(count, np.bool_)
        self.classes = np.full(count, -1, np.int8)
        self.failed = np.full(count, -1, np.int16)

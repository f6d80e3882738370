"""Pricing layers by closed forms."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from typing import Final

import numpy as np

from hannah_hw.cost.accelerators.layers import MAC_KINDS, LayerCosts, Layers
from hannah_hw.cost.closed_form.channel_array import channel_array
from hannah_hw.cost.closed_form.machine import Counts, Machine
from hannah_hw.cost.closed_form.max78000 import max78000
from hannah_hw.cost.closed_form.ne16 import gap9
from hannah_hw.cost.closed_form.systolic import input_stationary, output_stationary, weight_stationary
from hannah_hw.cost.closed_form.traffic import energy_parts
from hannah_hw.cost.closed_form.written import WrittenForm
from hannah_hw.errors import TargetError
from hannah_hw.targets import Accelerator
from hannah_hw.targets.models.closed_form import ClosedFormModel
from hannah_hw.workload.table import KERNEL_KINDS

Form = Callable[[Layers, Machine], Counts]

#: Registered form -> its function and the kernel kinds that it prices.
REGISTERED: Final[Mapping[str, tuple[Form, tuple[str, ...]]]] = {
    "weight_stationary": (weight_stationary, MAC_KINDS),
    "output_stationary": (output_stationary, MAC_KINDS),
    "input_stationary": (input_stationary, MAC_KINDS),
    "channel_array": (channel_array, MAC_KINDS),
    "max78000": (
        max78000,
        ("conv", "conv_transpose", "linear", "add", "avg_pool", "max_pool", "concat", "activation"),
    ),
    "gap9": (gap9, KERNEL_KINDS),
}

_NO_PRICE: Final = "{kind}: the closed form {form!r} has no price for this operator"


def priced_kinds(target: Accelerator) -> Collection[str]:
    """Kernel kinds that the closed form of a target prices."""
    model = _model(target)
    if model.form is not None:
        return REGISTERED[model.form][1]
    return tuple(dict.fromkeys(kind for formulas in model.layers for kind in formulas.kinds))


def price_closed_form(layers: Layers, target: Accelerator) -> LayerCosts:
    """Price layers by the closed form of a target.

    Energy is that of the form where it knows one, otherwise multiply-accumulates and accesses to the memories, each
    at the target's figures; NaN where one of these is missing.

    Args:
        layers: M layers of any kinds; kinds without a price fail a rule that says so.
        target: The target.

    Raises:
        TargetError: The target is priced in another way, or its figures do not suffice.
    """
    model = _model(target)
    machine, written = _prepared(target)
    if model.form is None:
        counts = written(layers) if written is not None else Counts({})
    else:
        counts = _registered(model.form, layers, machine)
    return _costs(layers, counts, machine)


def _model(target: Accelerator) -> ClosedFormModel:
    if not isinstance(target.model, ClosedFormModel):
        raise TargetError(f"{target.name} is priced by {target.kind}, not by a closed form")
    return target.model


@functools.lru_cache(maxsize=256)
def _prepared(target: Accelerator) -> tuple[Machine, WrittenForm | None]:
    """What forms read of a target, and its written formulas; compiled once a target."""
    model = _model(target)
    machine = Machine.of(target, {name: figure.value for name, figure in model.settings.items()})
    return machine, WrittenForm(target, model) if model.layers else None


def _registered(name: str, layers: Layers, machine: Machine) -> Counts:
    form, kinds = REGISTERED[name]
    counts = form(layers, machine)
    unpriced = np.flatnonzero(~layers.is_kind(*kinds))
    if not len(unpriced):
        return counts
    failed = np.full(len(layers), -1, np.int32) if counts.failed is None else counts.failed
    rules = list(counts.rules)
    for kind in dict.fromkeys(layers.kind(int(i)) for i in unpriced):
        failed[layers.is_kind(kind)] = len(rules)
        rules.append(_NO_PRICE.format(kind=kind, form=name))
    return Counts(counts.cycles, counts.near, counts.far, counts.energy, failed, tuple(rules))


def _costs(layers: Layers, counts: Counts, machine: Machine) -> LayerCosts:
    count = len(layers)
    failed = np.full(count, -1, np.int32) if counts.failed is None else counts.failed
    runs = failed < 0
    energy = counts.energy if counts.energy is not None else energy_parts(layers, counts, machine)
    cycles = np.where(runs, sum(counts.cycles.values(), np.zeros(count)), np.nan)
    utilisation = None
    if machine.multipliers:
        works = runs & layers.is_kind(*MAC_KINDS) & (cycles > 0)
        most = np.where(works, cycles * machine.multipliers, 1.0)
        utilisation = np.where(works, layers["macs"] / most, np.nan)
    return LayerCosts(
        cycles=cycles,
        energy_pj=np.where(runs, sum(energy.values(), np.zeros(count)), np.nan),
        failed=failed,
        rules=counts.rules,
        cycle_parts=counts.cycles,
        energy_parts=energy,
        utilisation=utilisation,
    )

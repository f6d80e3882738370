"""The model kinds of accelerators: each prices distinct layers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from hannah_hw.cost.accelerators.layers import MAC_KINDS, LayerCosts, Layers
from hannah_hw.cost.block import model as block
from hannah_hw.cost.closed_form import model as closed_form
from hannah_hw.cost.loop_nest.model import cost_layers
from hannah_hw.targets import Accelerator

LayerModel = Callable[[Layers, Accelerator], LayerCosts]

#: Kind of a cost model -> what prices layers with it.
MODELS: Final[Mapping[str, LayerModel]] = {
    "block": block.price_block,
    "closed_form": closed_form.price_closed_form,
    "loop_nest": cost_layers,
}

#: Kind of a cost model -> which kernel kinds it prices on a target, where these are more than `MAC_KINDS`.
PRICED: Final[Mapping[str, Callable[[Accelerator], Collection[str]]]] = {
    "block": block.priced_kinds,
    "closed_form": closed_form.priced_kinds,
}


def priced_kinds(target: Accelerator) -> Collection[str]:
    """Kernel kinds that the target's cost model prices; others need a vector unit or another processor."""
    found = PRICED.get(target.kind)
    return MAC_KINDS if found is None else found(target)

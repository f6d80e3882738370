"""The model kinds of accelerators: each prices distinct layers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from hannah_hw.cost.accelerators.layers import MAC_KINDS, FloatArray, IntArray, LayerCosts, Layers
from hannah_hw.cost.block import model as block
from hannah_hw.cost.block import network
from hannah_hw.cost.closed_form import model as closed_form
from hannah_hw.cost.loop_nest.model import cost_layers
from hannah_hw.targets import Accelerator
from hannah_hw.workload.table import Workload

LayerModel = Callable[[Layers, Accelerator], LayerCosts]


class NetworkPrices(Protocol):
    """What networks take of which the layers depend on their neighbours; see `NETWORKS`.

    Attributes:
        kernel_cycles: (P, K) cycles of the kernels that the model prices.
        ram_bytes: (P,) peak of the memory that activations, and whatever else is copied there, take.
        flash_bytes: (P,) weights and biases as they are stored.
    """

    @property
    def kernel_cycles(self) -> FloatArray: ...  # noqa: D102
    @property
    def ram_bytes(self) -> IntArray: ...  # noqa: D102
    @property
    def flash_bytes(self) -> IntArray: ...  # noqa: D102


NetworkModel = Callable[[Workload, Accelerator], NetworkPrices]

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

#: Kind of a cost model -> what prices whole networks with it, where cycles of a layer depend on those around it and
#: memory is more than live activations. The layers of `MODELS` then say which can run and what their parts are.
NETWORKS: Final[Mapping[str, NetworkModel]] = {"block": network.price_networks}


def priced_kinds(target: Accelerator) -> Collection[str]:
    """Kernel kinds that the target's cost model prices; others need a vector unit or another processor."""
    found = PRICED.get(target.kind)
    return MAC_KINDS if found is None else found(target)

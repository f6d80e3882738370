"""The model kinds of accelerators: each prices distinct layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from hannah_hw.cost.accelerators.layers import LayerCosts, Layers
from hannah_hw.targets import Accelerator

LayerModel = Callable[[Layers, Accelerator], LayerCosts]

#: Kind of a cost model -> what prices layers with it.
MODELS: Final[Mapping[str, LayerModel]] = {}

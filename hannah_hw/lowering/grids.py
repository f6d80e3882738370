"""Where the int8 form of a model rounds, for training that rounds in the same places.

The form itself is asked: it is made with ranges of which no two are equal, so that the scale of a pair of quantise and
dequantise nodes says whose range it has. What passes values on has the range of what it passes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hannah_hw.lowering.nodes import array_of
from hannah_hw.lowering.quantise import quantise_with_ranges
from hannah_hw.lowering.ranges import Ranges, float_values

if TYPE_CHECKING:
    from onnx import ModelProto

#: Steps of an int8 grid.
_STEPS: Final = 255.0
#: What the two quantisers call a value before it is rounded.
_UNROUNDED: Final = ("/float", "_QuantizeLinear_Input")


@dataclass(frozen=True)
class Grids:
    """Where an int8 model rounds.

    Attributes:
        values: Name of a value that is rounded -> the value whose range its grid has.
        weights: Name of a node whose weight is rounded -> whether every output channel has a scale of its own.
    """

    values: Mapping[str, str]
    weights: Mapping[str, bool]


def grids_of(float_model: ModelProto) -> Grids:
    """Where `hannah_hw.lowering.quantise.quantise_with_ranges` rounds the values of a model.

    Args:
        float_model: A float32 model; it is not changed.

    Raises:
        ModelError: It is not valid.
    """
    names = float_values(float_model)
    # From 0 to a whole number each: the number is the place of the name.
    ranges: Ranges = {name: (np.float32(0), np.float32(1 + i)) for i, name in enumerate(names)}
    graph = quantise_with_ranges(float_model, ranges).graph
    constants: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
    values: dict[str, str] = {}
    scales: dict[str, Any] = {}
    weights: dict[str, bool] = {}
    for node in graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] not in constants:
            place = round(float(array_of(constants[node.input[1]])) * _STEPS) - 1
            values[_plain(node.input[0])] = names[place]
        elif node.op_type == "DequantizeLinear" and node.input[0] in constants:
            scales[node.output[0]] = array_of(constants[node.input[1]])
        elif len(node.input) > 1 and node.input[1] in scales:
            weights[node.name] = scales[node.input[1]].size > 1
    return Grids(values, weights)


def _plain(name: str) -> str:
    """The name that a value had before it was rounded."""
    for suffix in _UNROUNDED:
        name = name.removesuffix(suffix)
    return name

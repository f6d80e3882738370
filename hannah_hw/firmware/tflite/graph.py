"""The graph that a network becomes: its values as tensors, and what lies between two grids, shapes or ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.firmware.arithmetic import to_steps
from hannah_hw.firmware.layers import Layer, Network, Value
from hannah_hw.firmware.tflite.file import Quantisation, TfliteFile
from hannah_hw.firmware.tflite.grids import CLAMPING
from hannah_hw.workload.table import ACTIVATIONS

Shape = tuple[int, ...]

#: Fused activation of the schema -> its range in real values; its place here is its number there.
_FUSED: Final = {
    "NONE": (-np.inf, np.inf),
    "RELU": (0.0, np.inf),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU6": (0.0, 6.0),
}
_ORDER: Final = tuple(_FUSED)
#: The same as operators.
_OPERATORS: Final = ("RELU", "RELU6")
_ALL: Final = (-128, 127)
_NONE: Final[Mapping[str, Any]] = {}


@dataclass
class Graph:
    """A graph that is being written.

    Attributes:
        network: What it is the graph of.
        file: Where it is written.
        tensors: Index of a value of the network -> its tensor.
    """

    network: Network
    file: TfliteFile
    tensors: dict[int, int] = field(default_factory=dict)
    _views: dict[tuple[int, Shape], int] = field(default_factory=dict)

    def value(self, index: int) -> Value:
        """A value of the network."""
        return self.network.values[index]

    def grid(self, index: int) -> Quantisation:
        """The grid of a value."""
        return grid_of(self.value(index))

    def read(self, index: int, shape: Shape | None = None) -> int:
        """The tensor of a value.

        Args:
            index: The value.
            shape: What the tensor must have; by default (1, height, width, channels).
        """
        shape = shape if shape is not None else (1, *self.value(index).shape)
        return self.viewed(self.tensors[index], shape)

    def viewed(self, tensor: int, shape: Shape) -> int:
        """A tensor with another shape, the order of its values kept."""
        given = self.file.tensors[tensor]
        if given.shape == shape:
            return tensor
        if (tensor, shape) not in self._views:
            result = self.file.tensor(f"{given.name}/reshape", shape, given.quantisation)
            inputs = [tensor, self.integers(f"{given.name}/shape", shape)]
            self._views[tensor, shape] = self.file.call("RESHAPE", 1, inputs, result)
        return self._views[tensor, shape]

    def integers(self, name: str, values: Any) -> int:
        """A constant of whole numbers."""
        data = np.asarray(values, np.int32)
        return self.file.tensor(name, data.shape, None, data)

    def number(self, name: str, real: float) -> int:
        """A constant of one real number, as exact as a step of int8 can be."""
        grid = Quantisation((abs(real) / 127.0 if real else 1.0,), 0)
        return self.file.tensor(name, (1, 1, 1, 1), grid, np.full((1, 1, 1, 1), 127 * np.sign(real), np.int8))

    def between(self, name: str, shape: Sequence[int], grid: Quantisation) -> int:
        """A tensor that no value of the network is."""
        return self.file.tensor(name, shape, grid)

    def requantised(self, tensor: int, grid: Quantisation, name: str) -> int:
        """A tensor on a grid; itself where it is on that."""
        given = self.file.tensors[tensor]
        if given.quantisation is None or given.quantisation.same(grid):
            return tensor
        result = self.file.tensor(name, given.shape, grid)
        return self.file.call("QUANTIZE", 2, [tensor], result, "QuantizeOptions")

    def write(
        self,
        layer: Layer,
        code: str,
        version: int,
        inputs: Sequence[int],
        options: str = "",
        fields: Mapping[str, Any] = _NONE,
        *,
        shape: Shape | None = None,
        fuses: bool = False,
    ) -> None:
        """The operator whose result is that of a layer, and those that keep it within the layer's range.

        Args:
            layer: The layer.
            code: See `TfliteFile.call`.
            version: See `TfliteFile.call`.
            inputs: See `TfliteFile.call`.
            options: See `TfliteFile.call`.
            fields: See `TfliteFile.call`.
            shape: Of the result; by default (1, height, width, channels).
            fuses: Whether the operator applies an activation.
        """
        value = self.value(layer.output)
        steps = self._clamps(layer, value)
        if fuses:
            name = activation(layer, value)
            steps = [] if name is not None else steps
            fields = {**fields, "FusedActivationFunction": _ORDER.index(name or "NONE")}
        names = [*(f"{value.name}/before_{step.lower()}" for step in steps), value.name]
        result = self.between(names[0], shape or (1, *value.shape), grid_of(value))
        tensor = self.file.call(code, version, inputs, result, options, **fields)
        for step, name in zip(steps, names[1:], strict=True):
            tensor = self._clamped(tensor, step, layer, name)
        self.tensors[layer.output] = tensor

    def _clamps(self, layer: Layer, value: Value) -> list[str]:
        """Operators that keep a result within a layer's range; none where saturation does."""
        if (layer.low, layer.high) == _ALL or layer.kind not in CLAMPING:
            return []
        name = activation(layer, value)
        if name in _OPERATORS:
            return [name]
        return ["MAXIMUM"] * (layer.low > _ALL[0]) + ["MINIMUM"] * (layer.high < _ALL[1])

    def _clamped(self, tensor: int, code: str, layer: Layer, name: str) -> int:
        given = self.file.tensors[tensor]
        result = self.file.tensor(name, given.shape, given.quantisation)
        if code in _OPERATORS:
            return self.file.call(code, 2, [tensor], result)
        bound = np.full((1,) * len(given.shape), layer.low if code == "MAXIMUM" else layer.high, np.int8)
        constant = self.file.tensor(f"{name}/bound", bound.shape, given.quantisation, bound)
        return self.file.call(code, 2, [tensor, constant], result, "MaximumMinimumOptions")


def grid_of(value: Value) -> Quantisation:
    """The grid of a value."""
    return Quantisation((value.scale,), value.zero_point)


def activation(layer: Layer, value: Value) -> str | None:
    """The activation with the range of a layer; None where there is none.

    Where saturation does the same, it is the activation that the network names, as a converter would write it.
    """
    named = {"none": "NONE", "relu": "RELU", "relu6": "RELU6"}[ACTIVATIONS[layer.columns["activation"]]]
    for name in dict.fromkeys((named, *_FUSED)):
        bounds = to_steps(np.array(_FUSED[name]), value.scale, value.zero_point)
        if (int(bounds[0]), int(bounds[1])) == (layer.low, layer.high):
            return name
    return None


def constants(array: NDArray[Any] | None) -> NDArray[Any]:
    """What a layer with weights has."""
    if array is None:
        raise ValueError("a layer with weights has weights and a bias")
    return array

"""Scales, zero points, integer weights and biases of a QDQ file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import ModelError, UnsupportedError
from hannah_hw.graph.bits import LEAST_SCALE
from hannah_hw.lowering.nodes import array_of

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from hannah_hw.graph import Node

#: Element types of 8-bit values -> what is subtracted to make them int8.
_SHIFTS: Final = {"int8": 0, "uint8": 128}

_QUANTISE: Final = "QuantizeLinear"
_DEQUANTISE: Final = "DequantizeLinear"


@dataclass(frozen=True)
class Grid:
    """What an int8 value stands for: ``scale * (q - zero_point)``."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Levels:
    """A quantised constant: ``scale * level``, with one scale, or one for each index of an axis.

    Attributes:
        values: Whole numbers, the zero point subtracted.
        scales: (1,) or (size of the axis,), float64.
        axis: The axis; meaningless with one scale.
    """

    values: NDArray[Any]
    scales: NDArray[np.float64]
    axis: int


class Constants:
    """The constants of a file and its quantise and dequantise nodes.

    Args:
        model: The file's content.
        where: Its name, for messages.
    """

    def __init__(self, model: ModelProto, where: str) -> None:
        from onnx import helper

        self.where = where
        self._tensors: dict[str, Any] = {tensor.name: tensor for tensor in model.graph.initializer}
        self._producers: dict[str, NodeProto] = {}
        self.pairs: list[NodeProto] = []
        self._inputs = {
            value.name: np.dtype(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
            for value in model.graph.input
        }
        for node in model.graph.node:
            self._producers.update((output, node) for output in node.output)
            if node.op_type in (_QUANTISE, _DEQUANTISE):
                self.pairs.append(node)

    def array(self, name: str) -> NDArray[Any] | None:
        """The values of a constant as the file has them; None where it is none."""
        node = self._producers.get(name)
        while node is not None and node.op_type == "Identity" and node.input[0]:
            name = node.input[0]
            node = self._producers.get(name)
        if name in self._tensors:
            return array_of(self._tensors[name])
        if node is None or node.op_type != "Constant":
            return None
        from onnx import helper

        value = helper.get_attribute_value(node.attribute[0])
        return array_of(value) if node.attribute[0].name == "value" else np.asarray(value)

    def _grid_arrays(self, node: NodeProto) -> tuple[NDArray[np.float64], NDArray[Any], int]:
        """Scales, zero points of the file's type, and the axis of a quantise or dequantise node."""
        scale = self.array(node.input[1])
        zero = self.array(node.input[2]) if _has_zero(node) else np.zeros(1, self._type(node))
        if scale is None or zero is None:
            raise ModelError(f"the scale or the zero point of {node.name!r} is computed", where=self.where)
        scales = scale.astype(np.float64).ravel()
        if not scales.size or zero.size not in (1, scales.size):
            raise ModelError(
                f"{node.name!r} has {scales.size} scales and {zero.size} zero points", where=self.where
            )
        if not ((scales >= LEAST_SCALE) & (scales <= 1.0 / LEAST_SCALE)).all():
            raise ModelError(
                f"the scale of {node.name!r} is not a positive number; quantise the model again",
                where=self.where,
            )
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        return scales, zero.ravel(), axis

    def _type(self, node: NodeProto) -> np.dtype[Any]:
        """The integer type of a quantise or dequantise node without a zero point."""
        from onnx import TensorProto, helper

        if node.op_type == _QUANTISE:
            wanted = next(
                (a.i for a in node.attribute if a.name == "output_dtype" and a.i), TensorProto.UINT8
            )
            return np.dtype(helper.tensor_dtype_to_np_dtype(wanted))
        source = self._producers.get(node.input[0])
        if source is None or source.op_type != _QUANTISE:
            return self._inputs.get(node.input[0], np.dtype(np.uint8))
        zero = self.array(source.input[2]) if _has_zero(source) else None
        return self._type(source) if zero is None else zero.dtype

    def grids(self, values: Mapping[str, Node]) -> dict[int, Grid]:
        """For the id() of each node of the graph whose value is kept as int8, what its numbers stand for.

        Args:
            values: Name of a value of the file -> node of the graph.

        Raises:
            ModelError: A value is quantised in two ways.
            UnsupportedError: A value has other than 8 bits, or a scale for each channel.
        """
        result: dict[int, Grid] = {}
        for pair in self.pairs:
            node = values.get(pair.input[0])
            if node is None:
                continue
            scales, zeros, _ = self._grid_arrays(pair)
            kind = zeros.dtype.name
            if kind not in _SHIFTS or len(scales) != 1:
                what = f"{kind} values" if kind not in _SHIFTS else "a scale for each channel"
                raise UnsupportedError(
                    f"{self.where}: {node.id!r} has {what} ({pair.name!r}); kernels read and write int8 with one scale"
                )
            grid = Grid(float(np.float32(scales[0])), int(zeros[0]) - _SHIFTS[kind])
            if result.setdefault(id(node), grid) != grid:
                raise ModelError(
                    f"the value of {node.id!r} is quantised in two ways, with the scales {result[id(node)].scale:g} "
                    f"and {grid.scale:g}; quantise each value once",
                    where=self.where,
                )
        return result

    def levels(self, name: str) -> Levels | None:
        """A constant behind a dequantise node as whole numbers; None where nothing quantises it.

        Raises:
            ModelError: Its zero point is not in the middle, or it does not fit its scales.
        """
        node = self._producers.get(name)
        while node is not None and node.op_type == "Identity":
            node = self._producers.get(node.input[0])
        if node is None or node.op_type != _DEQUANTISE:
            return None
        scales, zeros, axis = self._grid_arrays(node)
        values = self.array(node.input[0])
        if values is None:
            values = self._rounded(node.input[0])
        if not _has_zero(node):
            zeros = np.zeros(1, values.dtype)
        if len(scales) > 1 and (not -values.ndim <= axis < values.ndim or values.shape[axis] != len(scales)):
            raise ModelError(
                f"the constant {name!r} of shape {values.shape} has {len(scales)} scales along axis {axis}",
                where=self.where,
            )
        middle = 128 if values.dtype == np.uint8 else 0
        if (zeros.astype(np.int64) != middle).any():
            raise ModelError(
                f"the zero point of the constant {name!r} is not {middle}; quantise weights symmetrically",
                where=self.where,
            )
        whole = values.astype(np.int64) - middle
        return Levels(whole, scales.astype(np.float32).astype(np.float64), axis % max(values.ndim, 1))

    def real(self, name: str) -> NDArray[np.float64] | None:
        """The values of a constant, quantised or not; None where it is none."""
        array = self.array(name)
        if array is not None:
            return array.astype(np.float64)
        levels = self.levels(name)
        if levels is None:
            return None
        shape = [1] * levels.values.ndim
        if len(levels.scales) > 1:
            shape[levels.axis] = -1
        result: NDArray[np.float64] = levels.values * levels.scales.reshape(shape)
        return result

    def _rounded(self, name: str) -> NDArray[Any]:
        """A float constant behind a quantise node, as ONNX rounds it."""
        node = self._producers.get(name)
        source = self.array(node.input[0]) if node is not None and node.op_type == _QUANTISE else None
        if node is None or source is None:
            raise ModelError(f"the constant {name!r} is computed", where=self.where)
        scales, zeros, axis = self._grid_arrays(node)
        if zeros.dtype.name not in _SHIFTS:
            raise UnsupportedError(
                f"{self.where}: the constant {name!r} is quantised to {zeros.dtype.name}, not int8"
            )
        shape = [1] * source.ndim
        if len(scales) > 1:
            shape[axis] = -1
        limits = np.iinfo(zeros.dtype)
        steps = np.rint(source.astype(np.float32) / scales.astype(np.float32).reshape(shape))
        offset = zeros.reshape(shape if len(zeros) > 1 else [1] * source.ndim).astype(np.float32)
        result: NDArray[Any] = np.clip(steps + offset, limits.min, limits.max).astype(zeros.dtype)
        return result


def _has_zero(node: NodeProto) -> bool:
    """Whether a quantise or dequantise node names a zero point."""
    return len(node.input) > 2 and bool(node.input[2])

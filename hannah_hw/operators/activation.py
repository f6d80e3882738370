"""Elementwise activations."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hannah_hw.errors import ModelError, SpaceError
from hannah_hw.expressions import Scalar
from hannah_hw.graph import Node, Op, Shape
from hannah_hw.workload.rows import Row
from hannah_hw.workload.table import ACTIVATIONS

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


def elementwise_columns(shape: Shape) -> dict[str, Scalar]:
    """Workload columns of an operator whose output has its input's shape (N, C), (N, C, W) or (N, C, H, W).

    Raises:
        SpaceError: Another number of dimensions.
    """
    if not 2 <= len(shape) <= 4:
        raise SpaceError(f"the shape {shape} is none of (N, C), (N, C, W) and (N, C, H, W)")
    columns: dict[str, Scalar] = {"in_channels": shape[1], "out_channels": shape[1]}
    spatial = shape[2:]
    for name, size in zip(("h", "w")[2 - len(spatial) :], spatial, strict=True):
        columns[f"in_{name}"] = columns[f"out_{name}"] = size
    return columns


class _Activation(Op):
    inputs = 1
    clamp: ClassVar[str]

    def row(self) -> Row:
        """Applied by the producer where that can clamp, else an ``activation`` kernel."""
        columns = elementwise_columns(self.operands[0].shape())
        return Row("activation", "activation", columns, ACTIVATIONS.index(self.clamp))


class Relu(_Activation):
    """``max(x, 0)``."""

    clamp = "relu"
    onnx_types = ("Relu",)

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        return args[0].relu()

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """A ``Relu``."""
        return emitter.node("Relu", inputs)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Relu``."""
        result: Node = cls()(node.operands[0])
        return result


class Relu6(_Activation):
    """``min(max(x, 0), 6)``."""

    clamp = "relu6"
    onnx_types = ("Clip",)

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        return args[0].clamp(0.0, 6.0)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """A ``Clip`` from 0 to 6."""
        low = emitter.constant("min", np.array(0.0, np.float32))
        high = emitter.constant("max", np.array(6.0, np.float32))
        return emitter.node("Clip", [*inputs, low, high])

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Clip`` from 0 to 6, or from 0 upwards."""
        low, high = (
            float(values.item())
            if (values := node.values(position)) is not None and values.size == 1
            else node.attributes.get(name)
            for position, name in ((1, "min"), (2, "max"))
        )
        if low != 0.0 or high not in (6.0, None):
            raise ModelError(f"a Clip from {low} to {high} is neither ReLU nor ReLU6")
        result: Node = (cls if high == 6.0 else Relu)()(node.operands[0])
        return result

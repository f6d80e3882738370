"""Operators that compute nothing: they pass a value on, under another name or shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hannah_hw.errors import ModelError
from hannah_hw.expressions import Scalar
from hannah_hw.graph import Node, Op, Shape
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


class Identity(Op):
    """The value itself."""

    inputs = 1
    onnx_types = ("Identity", "Dropout")

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        return args[0]

    def row(self) -> Row:
        """Another name for its operand's buffer."""
        return Row("view", "identity")

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """Nothing: the operand's name stands for it."""
        return inputs[0]

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read an ``Identity``, or a ``Dropout``, which is one at inference."""
        result: Node = cls()(node.operands[0])
        return result


class Flatten(Op):
    """(N, ...) as (N, features)."""

    inputs = 1
    onnx_types = ("Flatten", "Reshape", "Squeeze")

    def shape_fun(self) -> Shape:
        """(N, product of the other sizes)."""
        batch, *sizes = self.operands[0].shape()
        features: Scalar = 1
        for size in sizes:
            features = features * size
        return (batch, features)

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        return args[0].flatten(1)

    def row(self) -> Row:
        """Another name for its operand's buffer."""
        return Row("view", "flatten")

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """A ``Flatten``."""
        return emitter.node("Flatten", inputs, axis=1)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Flatten``, or a ``Reshape`` or ``Squeeze`` to (N, features)."""
        result: Node = cls()(node.operands[0])
        if result.shape() != node.shape:
            raise ModelError(
                f"it reshapes {node.operands[0].shape()} to {node.shape}; only (N, features) is supported"
            )
        return result

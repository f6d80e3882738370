"""Softmax over the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hannah_hw.errors import ModelError
from hannah_hw.graph import Node, Op
from hannah_hw.operators.activation import elementwise_columns
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


class Softmax(Op):
    """``exp(x) / sum(exp(x))`` over the last dimension of (N, classes)."""

    inputs = 1
    onnx_types = ("Softmax",)

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        return args[0].softmax(-1)

    def row(self) -> Row:
        """A ``softmax`` kernel; the classes are channels."""
        return Row("kernel", "softmax", elementwise_columns(self.operands[0].shape()))

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """A ``Softmax`` over the last dimension."""
        return emitter.node("Softmax", inputs, axis=-1)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Softmax`` over the last dimension of (N, classes)."""
        if len(node.shape) != 2 or node.attributes.get("axis", -1) not in (-1, 1):
            raise ModelError("a softmax that is not over the last dimension of (N, classes) is not supported")
        result: Node = cls()(node.operands[0])
        return result

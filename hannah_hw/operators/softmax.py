"""Softmax over the last dimension: the classes of a classifier, the keys of an attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hannah_hw.errors import ModelError
from hannah_hw.graph import Node, Op
from hannah_hw.operators.dimensions import row_columns
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


class Softmax(Op):
    """``exp(x) / sum(exp(x))`` over the last dimension of (N, ..., classes)."""

    inputs = 1
    arity = (1, 1)
    onnx_types = ("Softmax",)

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        return args[0].softmax(-1)

    def row(self) -> Row:
        """A ``softmax`` kernel; the classes are channels, the other dimensions positions."""
        shape = self.operands[0].shape()
        return Row("kernel", "softmax", row_columns(shape, len(shape) - 1))

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """A ``Softmax`` over the last dimension."""
        return emitter.node("Softmax", inputs, axis=-1)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Softmax`` over the last dimension; the default axis depends on the operator set."""
        rank = len(node.shape)
        if node.attributes.get("axis", -1 if rank == 2 else None) not in (-1, rank - 1):
            raise ModelError("a softmax that is not over the last dimension is not supported")
        result: Node = cls()(node.operands[0])
        return result

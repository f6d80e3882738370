"""Operators that combine values element by element."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hannah_hw.errors import ModelError, SpaceError
from hannah_hw.expressions import Expression
from hannah_hw.graph import Node, Op
from hannah_hw.operators.activation import elementwise_columns
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


class Add(Op):
    """The sum of two or more values of the same shape."""

    onnx_types = ("Add",)

    def __call__(self, *operands: Node) -> Any:
        """A sum.

        Raises:
            SpaceError: Fewer than two operands, or plain shapes that differ.
        """
        if len(operands) < 2:
            raise SpaceError(f"Add takes at least two operands; it was given {len(operands)}")
        first = operands[0].shape()
        for other in operands[1:]:
            shape = other.shape()
            clash = len(shape) != len(first) or any(
                not isinstance(a, Expression) and not isinstance(b, Expression) and a != b
                for a, b in zip(first, shape, strict=True)
            )
            if clash:
                raise SpaceError(
                    f"Add takes values of one shape; {operands[0].id} has {first} and {other.id} has {shape}"
                )
        return super().__call__(*operands)

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        total = args[0]
        for value in args[1:]:
            if value.shape != total.shape:
                raise SpaceError(f"{self.id} adds {tuple(total.shape)} and {tuple(value.shape)}")
            total = total + value
        return total

    def row(self) -> Row:
        """An ``add`` kernel with a column of how many values it adds."""
        columns = elementwise_columns(self.operands[0].shape())
        columns["operands"] = len(self.operands)
        return Row("kernel", "add", columns)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """A chain of ``Add``."""
        total = inputs[0]
        for value in inputs[1:]:
            total = emitter.node("Add", [total, value])
        return total

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read an ``Add`` of two computed values of the same shape."""
        if len(node.operands) != 2:
            raise ModelError("adding a constant that is no bias is not supported")
        result: Node = cls()(*node.operands)
        return result

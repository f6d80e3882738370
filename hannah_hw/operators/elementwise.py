"""Operators that combine values element by element."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hannah_hw.errors import ModelError, SpaceError
from hannah_hw.expressions import Scalar
from hannah_hw.graph import Node, Op, Shape
from hannah_hw.operators.activation import elementwise_columns
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


class Add(Op):
    """The sum of two values of the same shape; of more, a chain of sums, as kernels add two at a time."""

    onnx_types = ("Add",)

    def __call__(self, *operands: Node) -> Any:
        """A sum.

        Raises:
            SpaceError: Fewer than two operands, or shapes that differ.
        """
        if len(operands) < 2:
            raise SpaceError(f"Add takes at least two operands; it was given {len(operands)}")
        total = operands[0]
        for other in operands[1:]:
            total = super().__call__(total, other)
            total.shape()
        return total

    def shape_fun(self) -> Shape:
        """The shape of either operand."""
        return self.operands[0].shape()

    def requirements(self) -> list[tuple[Scalar, str]]:
        """Both operands have the same shape."""
        first, second = (operand.shape() for operand in self.operands)
        text = "it adds values of one shape, but " + " and ".join(
            f"{o.id} has {o.shape()}" for o in self.operands
        )
        if len(first) != len(second):
            return [(False, text)]
        return [(a == b, text) for a, b in zip(first, second, strict=True)]

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        return args[0] + args[1]

    def row(self) -> Row:
        """An ``add`` kernel with a column of how many values it adds."""
        columns = elementwise_columns(self.operands[0].shape())
        columns["operands"] = len(self.operands)
        return Row("kernel", "add", columns)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """An ONNX ``Add``."""
        return emitter.node("Add", inputs)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read an ``Add`` of two computed values of the same shape."""
        if len(node.operands) != 2:
            raise ModelError("adding a constant is not supported; make a bias part of its layer")
        result: Node = cls()(*node.operands)
        return result

"""The matrix product of two computed values, as attention has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hannah_hw.errors import ModelError, SpaceError
from hannah_hw.expressions import Scalar
from hannah_hw.graph import Node, Op, Shape
from hannah_hw.graph.numbers import required
from hannah_hw.operators.dimensions import product
from hannah_hw.operators.linear import Linear
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


class MatMul(Op):
    """(N, ..., rows, inner) times (N, ..., inner, columns): one product for each value of the other dimensions."""

    inputs = 2
    arity = (2, 2)
    takes = "two values (N, ..., rows, inner) and (N, ..., inner, columns)"
    onnx_types = ("MatMul",)

    def __call__(self, *operands: Node) -> Any:
        """A matrix product.

        Raises:
            SpaceError: Not two operands of one number of dimensions, at least three, or sizes that do not fit.
        """
        result = super().__call__(*operands)
        result.shape()
        return result

    def _check_operands(self, operands: tuple[Node, ...]) -> None:
        super()._check_operands(operands)
        ranks = [len(operand.shape()) for operand in operands]
        if ranks[0] != ranks[1] or ranks[0] < 3:
            shapes = " and ".join(f"{operand.id} of shape {operand.shape()}" for operand in operands)
            raise SpaceError(f"MatMul takes {self.takes}; it was given {shapes}")

    def shape_fun(self) -> Shape:
        """(N, ..., rows, columns)."""
        return (*self.operands[0].shape()[:-1], self.operands[1].shape()[-1])

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The inner sizes and those of the other dimensions agree."""
        first, second = (operand.shape() for operand in self.operands)
        a, b = (operand.id for operand in self.operands)
        pairs = [*zip(first[:-2], second[:-2], strict=True), (first[-1], second[-2])]
        return required(
            [one == other for one, other in pairs],
            lambda: f"a matrix product of {a} {first} and {b} {second} does not fit",
        )

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        return args[0] @ args[1]

    def row(self) -> Row:
        """A ``matmul`` kernel, in the terms of a grouped 1x1 convolution whose weights are data.

        Each matrix is a group, its rows are positions, and the columns of all matrices are the channels.
        """
        *dims, rows, inner = self.operands[0].shape()
        matrices = product(tuple(dims[1:]))
        outputs = matrices * self.shape()[-1]
        columns: dict[str, Scalar] = {
            "groups": matrices,
            "in_channels": matrices * inner,
            "out_channels": outputs,
            "in_w": rows,
            "out_w": rows,
            "operands": 2,
            "macs": outputs * rows * inner,
        }
        return Row("kernel", "matmul", columns)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """An ONNX ``MatMul``."""
        return emitter.node("MatMul", inputs)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``MatMul`` of two computed values; with a constant matrix it is a `Linear`."""
        if len(node.operands) == 1:
            return Linear.from_onnx(node)
        if len(node.operands[0].shape()) != len(node.operands[1].shape()):
            raise ModelError("a product of values with different numbers of dimensions is not supported")
        result: Node = cls()(*node.operands)
        return result

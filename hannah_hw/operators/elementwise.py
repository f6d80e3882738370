"""Operators that combine values element by element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import ModelError, SpaceError
from hannah_hw.expressions import And, If, Or, Scalar
from hannah_hw.graph import Node, Op, Shape
from hannah_hw.graph.numbers import real, required
from hannah_hw.operators.dimensions import elementwise_columns
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


class Add(Op):
    """The sum of two values of the same shape; of more, a chain of sums, as kernels add two at a time."""

    inputs = 2
    arity = (2, 2)
    onnx_types = ("Add",)
    associates = True

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
        alike = len(first) == len(second)
        return required(
            [a == b for a, b in zip(first, second, strict=True)] if alike else [False],
            lambda: (
                "it adds values of one shape, but "
                + " and ".join(f"{operand.id} has {operand.shape()}" for operand in self.operands)
            ),
        )

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


class Mul(Op):
    """The product of data and a second value: of the same shape, or one number a channel.

    One number a channel is (N, C), or C followed by sizes of 1: what squeeze-and-excite computes.
    """

    inputs = 2
    arity = (2, 2)
    takes = "data and what it is multiplied with"
    onnx_types = ("Mul",)

    def __call__(self, *operands: Node) -> Any:
        """A product.

        Raises:
            SpaceError: Not two operands, or shapes that do not fit.
        """
        result = super().__call__(*operands)
        result.shape()
        return result

    def shape_fun(self) -> Shape:
        """The shape of the data."""
        return self.operands[0].shape()

    @property
    def commutes(self) -> bool:
        """Of values of one shape, it does."""
        first, second = (operand.shape() for operand in self.operands)
        return first == second

    def _a_channel(self) -> tuple[Scalar, Scalar]:
        """Whether the second operand has the shape of the data, and whether it has one number a channel."""
        data, other = (operand.shape()[2:] for operand in self.operands)
        if not other:
            return not data, bool(data)
        if len(data) != len(other):
            return False, False
        same = And(*(a == b for a, b in zip(data, other, strict=True)))
        return same, And(*(size == 1 for size in other))

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The second operand has the data's channels, and its sizes or none."""
        data, other = (operand.shape() for operand in self.operands)
        a, b = (operand.id for operand in self.operands)
        return required(
            [*(one == two for one, two in zip(data[:2], other[:2], strict=True)), Or(*self._a_channel())],
            lambda: (
                f"it multiplies {a} of shape {data} with {b} of shape {other}; the second must have the same shape "
                "or one number a channel"
            ),
        )

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        data, other = args
        return (
            data * other.reshape(*other.shape[:2], *[1] * (data.ndim - 2))
            if other.ndim == 2
            else data * other
        )

    def row(self) -> Row:
        """A ``mul`` kernel; with one number a channel every channel is a group of its own."""
        columns = elementwise_columns(self.operands[0].shape())
        columns["operands"] = 2
        columns["groups"] = If(self._a_channel()[1], columns["in_channels"], 1)
        return Row("kernel", "mul", columns)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """An ONNX ``Mul``, after a ``Reshape`` where the second operand is (N, C) and the data is not."""
        data, other = inputs
        rank = len(self.operands[0].shape())
        if len(self.operands[1].shape()) < rank:
            shape = emitter.constant("shape", np.array([0, -1, *[1] * (rank - 2)], np.int64))
            other = emitter.node("Reshape", [other, shape])
        return emitter.node("Mul", [data, other])

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Mul`` of two computed values, or of one with a constant number (`Scale`)."""
        if len(node.operands) == 1:
            return Scale.from_onnx(node)
        data, other = node.operands
        if len(data.shape()) != len(other.shape()):
            raise ModelError(f"it multiplies values of the shapes {data.shape()} and {other.shape()}")
        if data.shape() != node.shape:
            data, other = other, data
        result: Node = cls()(data, other)
        return result


class Scale(Op):
    """``x * factor ** power``.

    The scores of attention heads of size d are scaled by ``Scale(d, -0.5)``, where d may be a parameter.

    Args:
        factor: A positive number.
        power: A number.
    """

    inputs = 1
    arity = (1, 1)
    onnx_types = ("Div",)

    def __init__(self, factor: Scalar, power: Scalar = 1.0) -> None:
        super().__init__()
        self.factor: Any = real(factor, "the factor of Scale")
        self.power: Any = real(power, "the power of Scale")

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The factor is positive: other powers of it need not be real numbers."""
        return required([self.factor > 0], lambda: f"its factor is {self.factor}; it must be positive")

    @property
    def _number(self) -> float:
        return float(np.float64(self.factor) ** np.float64(self.power))

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        return args[0] * self._number

    def affine(self, weights: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.float64], None]:
        """The same number for every channel, and no offset."""
        channels = int(self.operands[0].shape()[1])  # type: ignore[arg-type]
        return np.full(channels, self._number), None

    def row(self) -> Row:
        """Folds into a convolution or a fully connected layer, else a ``scale`` kernel."""
        return Row("affine", "scale", elementwise_columns(self.operands[0].shape()))

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """A ``Mul`` with a constant."""
        number = emitter.constant("factor", np.array(self._number, np.float32))
        return emitter.node("Mul", [*inputs, number])

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Mul`` with, or a ``Div`` by, a constant positive number."""
        divides = node.type == "Div"
        constants = [node.values(position) for position in ((1,) if divides else (0, 1))]
        numbers = [values for values in constants if values is not None]
        if len(node.operands) != 1 or len(numbers) != 1 or numbers[0].size != 1:
            raise ModelError(f"a {node.type} with a constant is read where that is one number")
        number = float(numbers[0].item())
        if not number > 0.0 or not np.isfinite(number):
            raise ModelError(
                f"a {node.type} with the number {number:g}, which is not positive, is not supported"
            )
        result: Node = cls(number, -1.0 if divides else 1.0)(node.operands[0])
        return result

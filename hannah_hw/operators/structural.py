"""Operators that compute nothing: they pass a value on, under another name or shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hannah_hw.errors import ModelError, SpaceError
from hannah_hw.expressions import Max, Scalar
from hannah_hw.graph import Node, Op, Shape
from hannah_hw.graph.numbers import real, required, whole
from hannah_hw.operators.dimensions import product
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


class _View(Op):
    inputs = 1
    arity = (1, 1)

    def row(self) -> Row:
        """Another name for its operand's buffer."""
        return Row("view", type(self).__name__.lower())


class Identity(_View):
    """The value itself."""

    onnx_types = ("Identity",)
    is_identity = True

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        return args[0]

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """Nothing: the operand's name stands for it."""
        return inputs[0]

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read an ``Identity``."""
        result: Node = cls()(node.operands[0])
        return result


class Dropout(_View):
    """While training each value is 0 with probability p, and else 1 / (1 - p) of itself; later the value itself.

    Args:
        p: The probability, from 0 to 1.
    """

    onnx_types = ("Dropout",)
    is_random = True

    def __init__(self, p: Scalar = 0.5) -> None:
        super().__init__()
        self.p = real(p, "the p of Dropout")

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The probability is one."""
        return required(
            [self.p >= 0, self.p <= 1], lambda: f"the probability p is {self.p}; it must be from 0 to 1"
        )

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        import torch.nn.functional as functional

        return functional.dropout(args[0], float(self.p), self._training)  # type: ignore[arg-type]

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """Nothing: files are for inference."""
        return inputs[0]

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Dropout`` for inference."""
        training = node.values(2)
        if training is not None and training.any():
            raise ModelError("it drops values at inference (training_mode)")
        ratio = node.values(1)
        p = float(ratio.item()) if ratio is not None else node.attributes.get("ratio", 0.5)
        result: Node = cls(p)(node.operands[0])
        return result


class Flatten(_View):
    """(N, ...) as (N, features)."""

    onnx_types = ("Flatten",)

    def shape_fun(self) -> Shape:
        """(N, product of the other sizes)."""
        batch, *sizes = self.operands[0].shape()
        return (batch, product(tuple(sizes)))

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        return args[0].flatten(1)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """A ``Flatten``."""
        return emitter.node("Flatten", inputs, axis=1)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Flatten`` to (N, features)."""
        result: Node = cls()(node.operands[0])
        if result.shape() != node.shape:
            raise ModelError(f"it flattens {node.operands[0].shape()} to {node.shape}, not to (N, features)")
        return result


class Reshape(_View):
    """The same values in the same order under other sizes; the batch stays.

    Args:
        sizes: Of the result without the batch. One may be -1: it is what the others leave.
    """

    onnx_types = ("Reshape", "Squeeze", "Unsqueeze")

    def __init__(self, sizes: Sequence[Scalar]) -> None:
        super().__init__()
        if not isinstance(sizes, tuple | list) or not sizes:
            raise SpaceError(f"the sizes of Reshape are {sizes!r}; give those behind the batch")
        left = [position for position, size in enumerate(sizes) if isinstance(size, int) and size == -1]
        if len(left) > 1:
            raise SpaceError(f"the sizes of Reshape are {sizes!r}; only one may be -1")
        #: Which size is what the others leave; a parameter never is, whatever its value.
        self._left = left[0] if left else None
        self.sizes = tuple(
            size if i in left else whole(size, "a size of Reshape", 1) for i, size in enumerate(sizes)
        )

    def shape_fun(self) -> Shape:
        """(N, sizes...)."""
        batch, *data = self.operands[0].shape()
        sizes = [
            1 if i == self._left else whole(size, "a size of Reshape", 1) for i, size in enumerate(self.sizes)
        ]
        if self._left is not None:
            sizes[self._left] = product(tuple(data)) // Max(product(tuple(sizes)), 1)
        return (batch, *sizes)

    def requirements(self) -> list[tuple[Scalar, str]]:
        """As many values as the data has."""
        data = self.operands[0].shape()
        return required(
            [product(self.shape()[1:]) == product(data[1:])],
            lambda: f"{self.operands[0].id} of shape {data} cannot be read as {self.sizes} behind the batch",
        )

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        sizes: Any = self.shape()[1:]
        return args[0].reshape(args[0].shape[0], *sizes)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """A ``Reshape`` that keeps the batch, whatever it is."""
        shape = emitter.constant("shape", np.array([0, *self.shape()[1:]], np.int64))
        return emitter.node("Reshape", [*inputs, shape])

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Reshape``, ``Squeeze`` or ``Unsqueeze`` that keeps the batch."""
        data = node.operands[0].shape()
        if len(node.shape) < 2 or node.shape[:1] != data[:1]:
            raise ModelError(f"it reshapes {data} to {node.shape}, which does not keep the batch")
        result: Node = cls(node.shape[1:])(node.operands[0])
        return result

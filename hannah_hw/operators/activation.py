"""Elementwise activations: the clamps that fuse into the kernel before them, and those that are kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hannah_hw.errors import ModelError
from hannah_hw.graph import Node, Op
from hannah_hw.operators.dimensions import elementwise_columns
from hannah_hw.workload.rows import Row
from hannah_hw.workload.table import ACTIVATIONS

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


class _Clamp(Op):
    inputs = 1
    arity = (1, 1)
    clamp: ClassVar[str]

    def row(self) -> Row:
        """Applied by the producer where that can clamp, else an ``activation`` kernel."""
        columns = elementwise_columns(self.operands[0].shape())
        return Row("activation", "activation", columns, ACTIVATIONS.index(self.clamp))


class Relu(_Clamp):
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


class Relu6(_Clamp):
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


class _Curve(Op):
    """An activation that is no clamp: integer kernels look it up or compute it, so it is a kernel of its own."""

    inputs = 1
    arity = (1, 1)
    kind: ClassVar[str]

    def row(self) -> Row:
        """A kernel of a kind of its own, for no two of them take the same time."""
        return Row("kernel", self.kind, elementwise_columns(self.operands[0].shape()))

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """The ONNX operator of this name."""
        return emitter.node(self.onnx_types[0], inputs)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read the ONNX operator of this name."""
        result: Node = cls()(node.operands[0])
        return result


class Sigmoid(_Curve):
    """``1 / (1 + exp(-x))``."""

    kind = "sigmoid"
    onnx_types = ("Sigmoid",)

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        return args[0].sigmoid()


class HardSigmoid(_Curve):
    """``min(max(x / 6 + 1 / 2, 0), 1)``: that of MobileNetV3 and PyTorch."""

    kind = "hard_sigmoid"
    onnx_types = ("HardSigmoid",)

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        import torch.nn.functional as functional

        return functional.hardsigmoid(args[0])

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """A ``HardSigmoid`` with a slope of 1/6, where ONNX's default is 0.2."""
        return emitter.node("HardSigmoid", inputs, alpha=1.0 / 6.0, beta=0.5)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``HardSigmoid`` with a slope of 1/6 and an offset of 1/2."""
        alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
        if abs(alpha - 1.0 / 6.0) > 1e-4 or abs(beta - 0.5) > 1e-4:
            raise ModelError(
                f"a HardSigmoid with alpha {alpha:g} and beta {beta:g} is not that of 1/6 and 1/2"
            )
        return super().from_onnx(node)


class HardSwish(_Curve):
    """``x * hard_sigmoid(x)``; see `HardSigmoid`."""

    kind = "hard_swish"
    onnx_types = ("HardSwish",)

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        import torch.nn.functional as functional

        return functional.hardswish(args[0])

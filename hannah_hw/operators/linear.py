"""Fully connected layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hannah_hw.errors import ModelError, SpaceError
from hannah_hw.expressions import Scalar
from hannah_hw.graph import Node, Op, Shape, Tensor
from hannah_hw.graph.numbers import required
from hannah_hw.operators.dimensions import product, vector_requirements
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


class Linear(Op):
    """Operands: data, flattened to (N, in); weight (in, out); optionally bias (out,)."""

    inputs = 1
    arity = (2, 3)
    takes = "data, a weight and optionally a bias"
    output_axis = 1
    onnx_types = ("Gemm",)

    def __call__(self, *operands: Node) -> Any:
        """A fully connected layer.

        Raises:
            SpaceError: Not two or three operands, or weights that do not fit the data.
        """
        result = super().__call__(*operands)
        result.shape()
        return result

    def _check_operands(self, operands: tuple[Node, ...]) -> None:
        super()._check_operands(operands)
        if len(operands[1].shape()) != 2:
            raise SpaceError(
                f"the weight of Linear must be (in, out); {operands[1].id} has shape {operands[1].shape()}"
            )

    def shape_fun(self) -> Shape:
        """(N, out)."""
        return (self.operands[0].shape()[0], self.operands[1].shape()[1])

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The weight takes as many features as the data has, and a bias has one value an output."""
        features, weight = product(self.operands[0].shape()[1:]), self.operands[1].shape()
        fits = required(
            [weight[0] == features],
            lambda: f"the weight takes {weight[0]} features, but {self.operands[0].id} has {features}",
        )
        return [*fits, *vector_requirements(self.operands[2:], weight[1])]

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        result = args[0].flatten(1) @ args[1]
        return result + args[2] if len(args) > 2 else result

    def row(self) -> Row:
        """A ``linear`` kernel: features are channels, sizes are 1."""
        inputs, outputs = self.operands[1].shape()
        columns: dict[str, Scalar] = {
            "in_channels": inputs,
            "out_channels": outputs,
            "weights": inputs * outputs,
            "bias": outputs if len(self.operands) > 2 else 0,
            "macs": inputs * outputs,
        }
        return Row("kernel", "linear", columns)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """A ``Gemm`` with the weight as (out, in), after a ``Flatten`` where there is something to flatten."""
        data = inputs[0]
        if len(self.operands[0].shape()) != 2:
            data = emitter.node("Flatten", [data], axis=1)
        return emitter.node("Gemm", [data, emitter.transposed(inputs[1]), *inputs[2:]], transB=1)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Gemm``, or a ``MatMul`` of data with a constant matrix."""
        attributes = node.attributes
        if (
            attributes.get("transA", 0)
            or attributes.get("alpha", 1.0) != 1.0
            or attributes.get("beta", 1.0) != 1.0
        ):
            raise ModelError("a Gemm with transA, alpha or beta is not a fully connected layer")
        weight = node.weight(1, "weight")
        if weight is None or len(weight.shape()) != 2 or len(node.operands[0].shape()) != 2:
            raise ModelError("only a (N, in) by constant (in, out) product is a fully connected layer")
        if attributes.get("transB", 0):
            weight = Tensor("weight", tuple(reversed(weight.shape())), grad=True, bits=weight.bits)
        if len(node.operands) != 1:
            raise ModelError("its bias is computed; only a constant one can be priced")
        bias = node.weight(2, "bias")
        result: Node = cls()(node.operands[0], weight, *([bias] if bias is not None else []))
        return result

"""Nodes of an ONNX file as operators see them, and those that no operator reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.graph import Node, Op, Shape, Tensor
from hannah_hw.workload import Row


class ForeignOp(Op):
    """An ONNX node that no operator reads.

    Args:
        kind: Its ONNX operator type, with its domain where that is not ONNX's own.
        output: Its output shape.
    """

    def __init__(self, kind: str, output: tuple[int, ...]) -> None:
        super().__init__()
        self.kind = kind
        self.output = output

    def shape_fun(self) -> Shape:
        """The shape that ONNX infers."""
        return self.output

    def row(self) -> Row:
        """A kernel of a kind that no cost model knows."""
        return Row("kernel", self.kind)


class NodeView:
    """One node; see `hannah_hw.graph.protocols.OnnxNode` for what operators see of it.

    Args:
        op_type: ONNX operator type, with its domain where that is not ONNX's own.
        name: Name of the node.
        operands: Graph nodes of its computed inputs, in order.
        attributes: Its attributes; see `plain`.
        shape: Output shape.
        constants: For each input the `onnx.TensorProto`, or None where it is absent or computed.
        bits: For each input how many bits it is kept with, where it is a weight that says so.
        to_array: `onnx.numpy_helper.to_array`.
    """

    def __init__(
        self,
        op_type: str,
        name: str,
        operands: list[Node],
        attributes: dict[str, Any],
        shape: tuple[int, ...],
        constants: list[Any],
        bits: list[int | None],
        to_array: Any,
    ) -> None:
        self.type = op_type
        self.name = name
        self.operands = operands
        self.attributes = attributes
        self.shape = shape
        self._constants = constants
        self._bits = bits
        self._to_array = to_array

    def weight(self, position: int, name: str) -> Tensor | None:
        """The weight tensor at an input position, or None."""
        constant = self._constants[position] if position < len(self._constants) else None
        if constant is None:
            return None
        return Tensor(name, tuple(constant.dims), grad=True, bits=self._bits[position])

    def values(self, position: int) -> NDArray[Any] | None:
        """The values of a constant input, or None."""
        constant = self._constants[position] if position < len(self._constants) else None
        return np.asarray(self._to_array(constant)) if constant is not None else None


def plain(value: Any) -> Any:
    """An attribute of a node as Python has it."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return tuple(value) if isinstance(value, list) else value

"""Nodes of an ONNX file as operators see them, and those that no operator reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import ModelError
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


class ForeignPart(Op):
    """One of several values that an ONNX node which no operator reads computes: a part of its buffer.

    Args:
        output: Its shape.
    """

    def __init__(self, output: tuple[int, ...]) -> None:
        super().__init__()
        self.output = output

    def shape_fun(self) -> Shape:
        """The shape that ONNX infers."""
        return self.output

    def row(self) -> Row:
        """Another name for a part of the buffer of the node."""
        return Row("view", "part")


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
    ) -> None:
        self.type = op_type
        self.name = name
        self.operands = operands
        self.attributes = attributes
        self.shape = shape
        self._constants = constants
        self._bits = bits

    def weight(self, position: int, name: str) -> Tensor | None:
        """The weight tensor at an input position, or None."""
        constant = self._constants[position] if position < len(self._constants) else None
        if constant is None:
            return None
        return Tensor(name, tuple(constant.dims), grad=True, bits=self._bits[position])

    def values(self, position: int) -> NDArray[Any] | None:
        """The values of a constant input, or None.

        Raises:
            ModelError: It holds other data than it says.
        """
        constant = self._constants[position] if position < len(self._constants) else None
        return array_of(constant) if constant is not None else None


def is_standard(node: Any, *types: str) -> bool:
    """Whether a node computes an operator of ONNX's own.

    Args:
        node: An `onnx.NodeProto`.
        types: Operator types; any without.
    """
    return node.domain in ("", "ai.onnx") and (not types or node.op_type in types)


def array_of(constant: Any) -> NDArray[Any]:
    """The values of an `onnx.TensorProto`.

    Raises:
        ModelError: It holds other data than it says.
    """
    from onnx import numpy_helper

    try:
        return np.asarray(numpy_helper.to_array(constant))
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"the constant {constant.name!r} of shape {tuple(constant.dims)} cannot be read"
        ) from error


def plain(value: Any) -> Any:
    """An attribute of a node as Python has it."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return tuple(value) if isinstance(value, list) else value

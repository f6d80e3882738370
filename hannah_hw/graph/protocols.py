"""What operators need of the ONNX writer and reader, which live above them in `hannah_hw.lowering`.

Operators hold their own ONNX form, but must not import the packages that lowering needs; these protocols are
the seam.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hannah_hw.graph.node import Node, Tensor


class OnnxEmitter(Protocol):
    """Takes the ONNX nodes of one operator."""

    def node(self, op_type: str, inputs: list[str], **attributes: Any) -> str:
        """Add a node with one output; returns the output's name.

        The operator type of another domain than ONNX's own is ``domain.type``.
        """

    def weight(self, name: str) -> NDArray[np.float32]:
        """The values of a weight by its ONNX name."""

    def constant(self, suffix: str, values: NDArray[Any]) -> str:
        """Add an initialiser; returns its name."""

    def transposed(self, name: str) -> str:
        """Add an initialiser of a weight that is a matrix, the other way round; returns its name."""


class OnnxNode(Protocol):
    """One ONNX node, as `Op.from_onnx` sees it.

    Attributes:
        type: ONNX operator type, with its domain where that is not ONNX's own.
        name: Name of the node, unique in the file.
        operands: Graph nodes of the data inputs, in order.
        attributes: ONNX attributes, decoded to plain values.
        shape: Output shape.
    """

    type: str
    name: str
    operands: list[Node]
    attributes: dict[str, Any]
    shape: tuple[int, ...]

    def weight(self, position: int, name: str) -> Tensor | None:
        """The weight tensor at an input position, or None if the input is absent or is data."""

    def values(self, position: int) -> NDArray[Any] | None:
        """The values of a constant input, or None if it is absent or computed."""

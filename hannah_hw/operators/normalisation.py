"""Batch normalisation, which folds into the convolution before it, and layer normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import ModelError, SpaceError
from hannah_hw.expressions import Scalar
from hannah_hw.graph import Node, Op
from hannah_hw.graph.numbers import real, required
from hannah_hw.operators.dimensions import (
    axis_of,
    elementwise_columns,
    row_columns,
    same_shape,
    vector_requirements,
)
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


class BatchNorm(Op):
    """Operands: data (N, C, ...), running mean (C,), running variance (C,), and optionally scale and offset (C,).

    Args:
        epsilon: Added to the variance.
        momentum: Weight of a batch in the running statistics while training.
    """

    inputs = 1
    arity = (3, 5)
    takes = "data, running mean, running variance, and optionally both scale and offset"
    onnx_types = ("BatchNormalization",)

    def __init__(self, epsilon: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.epsilon: Any = real(epsilon, "the epsilon of BatchNorm", 0.0)
        self.momentum: Any = real(momentum, "the momentum of BatchNorm", 0.0)

    def _check_operands(self, operands: tuple[Node, ...]) -> None:
        super()._check_operands(operands)
        if len(operands) == 4:
            raise SpaceError(f"BatchNorm takes {self.takes}; it was given 4 operands")

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The statistics, scale and offset have one value a channel; no variance is negative."""
        fits = vector_requirements(self.operands[1:], self.operands[0].shape()[1])
        return fits + required(
            [self.epsilon >= 0], lambda: f"its epsilon is {self.epsilon}; it must be at least 0"
        )

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        import torch.nn.functional as functional

        scale, offset = (args[3], args[4]) if len(args) > 3 else (None, None)
        return functional.batch_norm(
            args[0], args[1], args[2], scale, offset, self._training, self.momentum, self.epsilon
        )

    def affine(
        self, weights: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """``scale / sqrt(variance + epsilon)`` and ``offset - mean * that``."""
        mean, variance, *affine = (np.asarray(w, np.float64) for w in weights)
        scale, offset = affine or (np.ones_like(mean), np.zeros_like(mean))
        factor = scale / np.sqrt(variance + self.epsilon)
        return factor, offset - mean * factor

    def row(self) -> Row:
        """Folds into a convolution or a fully connected layer, else a ``batch_norm`` kernel."""
        columns = elementwise_columns(self.operands[0].shape())
        columns["weights"] = columns["bias"] = columns["in_channels"]
        return Row("affine", "batch_norm", columns)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """A ``BatchNormalization``; scale 1 and offset 0 where there are none."""
        data, mean, variance, *affine = inputs
        if not affine:
            channels = emitter.weight(mean).shape[0]
            affine = [
                emitter.constant("scale", np.ones(channels, np.float32)),
                emitter.constant("offset", np.zeros(channels, np.float32)),
            ]
        return emitter.node(
            "BatchNormalization", [data, *affine, mean, variance], epsilon=float(self.epsilon)
        )

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``BatchNormalization``."""
        names = {3: "running_mean", 4: "running_var", 1: "weight", 2: "bias"}
        operands = [node.weight(position, name) for position, name in names.items()]
        if any(operand is None for operand in operands):
            raise ModelError("its statistics are computed; only constant ones can be read")
        result: Node = cls(epsilon=node.attributes.get("epsilon", 1e-5))(node.operands[0], *operands)  # type: ignore[arg-type]
        return result


class LayerNorm(Op):
    """Mean 0 and variance 1 over the dimensions from `axis` on, then a trained scale and offset for each value.

    Operands: data (N, ...), scale, and optionally offset, both of the shape of the normalised dimensions.

    Args:
        axis: The first dimension that is normalised; negative ones count from the end.
        epsilon: Added to the variance.
    """

    inputs = 1
    arity = (2, 3)
    takes = "data, scale and optionally offset"
    onnx_types = ("LayerNormalization",)

    def __init__(self, axis: int = -1, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.axis = axis
        self.epsilon: Any = real(epsilon, "the epsilon of LayerNorm", 0.0)

    def __call__(self, *operands: Node) -> Any:
        """A layer normalisation.

        Raises:
            SpaceError: Not two or three operands, or weights that do not fit.
        """
        result = super().__call__(*operands)
        result.shape()
        return result

    def _axis(self) -> int:
        return axis_of(self.axis, self.operands[0].shape(), "LayerNorm")

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The weights have the shape of the normalised dimensions."""
        normalised = self.operands[0].shape()[self._axis() :]
        return [entry for weight in self.operands[1:] for entry in same_shape(weight, normalised)]

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        import torch.nn.functional as functional

        offset = args[2] if len(args) > 2 else None
        return functional.layer_norm(args[0], list(args[1].shape), args[1], offset, self.epsilon)

    def row(self) -> Row:
        """A ``layer_norm`` kernel; the normalised values are channels, the other dimensions positions."""
        columns = row_columns(self.operands[0].shape(), self._axis())
        columns["weights"] = columns["in_channels"]
        columns["bias"] = columns["in_channels"] if len(self.operands) > 2 else 0
        return Row("kernel", "layer_norm", columns)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """A ``LayerNormalization``."""
        return emitter.node("LayerNormalization", inputs, axis=self._axis(), epsilon=float(self.epsilon))

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``LayerNormalization`` with constant weights of the normalised shape."""
        scale, offset = node.weight(1, "scale"), node.weight(2, "offset")
        if scale is None or len(node.operands) != 1:
            raise ModelError("its weights are computed; only constant ones can be read")
        op = cls(node.attributes.get("axis", -1), node.attributes.get("epsilon", 1e-5))
        result: Node = op(node.operands[0], scale, *([offset] if offset is not None else []))
        return result

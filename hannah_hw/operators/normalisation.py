"""Batch normalisation, which folds into the convolution before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import ModelError, SpaceError
from hannah_hw.graph import Node, Op
from hannah_hw.operators.activation import elementwise_columns
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
    onnx_types = ("BatchNormalization",)

    def __init__(self, epsilon: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.momentum = momentum

    def __call__(self, *operands: Node) -> Any:
        """A batch normalisation.

        Raises:
            SpaceError: Not three or five operands.
        """
        if len(operands) not in (3, 5):
            raise SpaceError(
                "BatchNorm takes data, running mean, running variance, and optionally both scale and offset; "
                f"it was given {len(operands)} operands"
            )
        return super().__call__(*operands)

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

"""Upsampling by whole factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hannah_hw.errors import ModelError, SpaceError
from hannah_hw.expressions import Scalar
from hannah_hw.graph import Node, Op, Shape
from hannah_hw.graph.numbers import required, whole_conditions
from hannah_hw.operators.windows import per_dimension, window_columns
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode

#: Mode -> how ONNX calls it: the attributes of a ``Resize``.
_RESIZE: Final = {
    "nearest": {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    },
    "bilinear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
}
#: Coordinates and roundings that give the same values where the factor is whole.
_NEAREST: Final = (
    ("asymmetric", "floor"),
    ("half_pixel", "round_prefer_floor"),
    ("half_pixel", "round_prefer_ceil"),
)
_LINEAR: Final = ("half_pixel", "pytorch_half_pixel")


class Upsample(Op):
    """(N, C, L) or (N, C, H, W) data with each spatial size a whole multiple.

    Args:
        scale: The factor, or one a dimension.
        mode: ``"nearest"`` repeats values; ``"bilinear"`` interpolates between the centres of two neighbours a
            dimension, and repeats values beyond the outermost centres (``align_corners=False`` in PyTorch).
    """

    inputs = 1
    arity = (1, 1)
    onnx_types = ("Resize",)

    def __init__(self, scale: Any, mode: str = "nearest") -> None:
        super().__init__()
        if not isinstance(mode, str) or mode not in _RESIZE:
            raise SpaceError(f"the mode of Upsample is {mode!r}", allowed=_RESIZE, given=str(mode))
        self.scale = scale
        self.mode = mode

    def _scales(self) -> tuple[Scalar, ...]:
        sizes = self.operands[0].shape()[2:]
        if len(sizes) not in (1, 2):
            raise SpaceError(f"Upsample takes (N, C, L) or (N, C, H, W), not {self.operands[0].shape()}")
        return per_dimension(self.scale, len(sizes), "scale")

    def shape_fun(self) -> Shape:
        """(N, C, multiplied sizes...)."""
        batch, channels, *sizes = self.operands[0].shape()
        return (batch, channels, *(size * scale for size, scale in zip(sizes, self._scales(), strict=True)))

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The factors are whole numbers."""
        return required(
            whole_conditions(self._scales(), 1),
            lambda: f"its scale is {self.scale}; it must be a whole number, at least 1",
        )

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        import torch.nn.functional as functional

        scales: Any = tuple(float(scale) for scale in self._scales())  # type: ignore[arg-type]
        if self.mode == "nearest":
            return functional.interpolate(args[0], scale_factor=scales, mode="nearest")
        mode = "bilinear" if len(scales) == 2 else "linear"
        return functional.interpolate(args[0], scale_factor=scales, mode=mode, align_corners=False)

    def row(self) -> Row:
        """An ``upsample`` kernel; its window, 1 or 2 a dimension, is how many values an output is made of."""
        sizes = self.operands[0].shape()
        rank = len(sizes) - 2
        window = (1 if self.mode == "nearest" else 2,) * rank
        ones, none = (1,) * rank, (0,) * rank
        columns = window_columns(sizes[2:], self.shape()[2:], window, ones, ones, none, none)
        columns.update(groups=sizes[1], in_channels=sizes[1], out_channels=sizes[1])
        return Row("kernel", "upsample", columns)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """An ONNX ``Resize`` by scales."""
        scales = emitter.constant("scales", np.array([1, 1, *self._scales()], np.float32))
        return emitter.node("Resize", [*inputs, "", scales], **_RESIZE[self.mode])

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Resize`` (operator set 11 and later) by whole factors."""
        if len(node.operands) != 1 or (node.values(2) is None and node.values(3) is None):
            raise ModelError(
                "a Resize is read where its scales or sizes are constant inputs of operator set 11 or later"
            )
        attributes = node.attributes
        before, after = node.operands[0].shape()[2:], node.shape[2:]
        if node.operands[0].shape()[:2] != node.shape[:2] or any(
            a % b for a, b in zip(after, before, strict=True)
        ):
            raise ModelError(
                f"it resizes {node.operands[0].shape()} to {node.shape}, which are no whole factors"
            )
        mode = attributes.get("mode", "nearest")
        coordinates = attributes.get("coordinate_transformation_mode", "half_pixel")
        rounding = attributes.get("nearest_mode", "round_prefer_floor")
        known = (
            (coordinates, rounding) in _NEAREST
            if mode == "nearest"
            else mode == "linear" and coordinates in _LINEAR
        )
        if (
            not known
            or attributes.get("antialias", 0)
            or attributes.get("exclude_outside", 0)
            or "axes" in attributes
        ):
            raise ModelError(
                f"a Resize of mode {mode!r} with coordinates {coordinates!r} ({rounding}) is not supported"
            )
        scale = tuple(a // b for a, b in zip(after, before, strict=True))
        result: Node = cls(scale, "nearest" if mode == "nearest" else "bilinear")(node.operands[0])
        return result

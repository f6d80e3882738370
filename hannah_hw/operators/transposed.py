"""Transposed convolution, which enlarges: the gradient of a convolution with respect to its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import ModelError, SpaceError
from hannah_hw.expressions import Scalar
from hannah_hw.graph import Node, Shape
from hannah_hw.graph.numbers import required, whole_conditions
from hannah_hw.operators.convolution import ConvolutionOp
from hannah_hw.operators.dimensions import product
from hannah_hw.operators.windows import Padding, onnx_window, per_dimension, window_columns
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


class _TransposedConvolution(ConvolutionOp):
    """Operands: data (N, I, spatial...), weight (I, O / groups, kernel...), and optionally bias (O,).

    Args:
        stride: One number, or one a dimension.
        padding: How much of the full result is cut off: one number for all sides, one a dimension, or
            (begin, ..., end, ...) as ONNX orders them.
        output_padding: How much more of the end is kept, less than the stride: one number, or one a dimension.
        dilation: One number, or one a dimension.
        groups: Number of groups.
    """

    output_axis = 1

    def __init__(
        self,
        stride: Any = 1,
        padding: Padding = 0,
        output_padding: Any = 0,
        dilation: Any = 1,
        groups: Scalar = 1,
    ) -> None:
        super().__init__(stride, dilation, groups, padding)
        if padding is None or isinstance(padding, str):
            raise SpaceError(
                f"the padding of {type(self).__name__} is {padding!r}; give one number or a tuple of numbers"
            )
        self.output_padding = output_padding

    def _extra(self) -> tuple[Scalar, ...]:
        return per_dimension(self.output_padding, self.rank, "output_padding", 0)

    def _outputs(self, *window: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        """``(size - 1) s + d (k - 1) + 1 - padding + output padding`` for each dimension."""
        return tuple(
            (size - 1) * s + d * (k - 1) + 1 - b - e + extra
            for size, k, s, d, b, e, extra in zip(*window, self._extra(), strict=True)
        )

    def shape_fun(self) -> Shape:
        """(N, O, output sizes...)."""
        channels = self.operands[1].shape()[1] * self._groups
        return (self.operands[0].shape()[0], channels, *self._window()[1])

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The weight fits the channels, the groups divide them, and less is kept beyond the end than a step."""
        data, weight, groups = self.operands[0].shape(), self.operands[1].shape(), self._groups
        fits = required(
            [weight[0] == data[1], data[1] % groups == 0],
            lambda: (
                f"the weight has shape {weight} in {groups} groups, but {self.operands[0].id} has {data[1]} "
                "channels; a weight is (channels, O / groups, kernel...) and the groups divide the channels"
            ),
        )
        stride, extra = self._window()[3], self._extra()
        below: list[Scalar] = [e < s for e, s in zip(extra, stride, strict=True)]
        steps = required(
            below + whole_conditions(extra, 0),
            lambda: f"the output padding {extra} must be below the stride {stride}, and not negative",
        )
        return [*fits, *steps, *super().requirements()]

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        import torch.nn.functional as functional

        _, outputs, _, stride, dilation, begin, end = self._window()
        transpose: Any = functional.conv_transpose1d if self.rank == 1 else functional.conv_transpose2d
        bias = args[2] if len(args) > 2 else None
        extra: Any = self._extra()
        result: TorchTensor
        if begin == end:
            result = transpose(args[0], args[1], bias, stride, begin, extra, self._groups, dilation)
            return result
        # What is kept beyond the end of the full result is more than the padding cuts off.
        beyond = tuple(max(e - cut, 0) for e, cut in zip(extra, end, strict=True))
        result = transpose(args[0], args[1], bias, stride, 0, beyond, self._groups, dilation)
        for dim, (first, size) in enumerate(zip(begin, outputs, strict=True), start=2):
            result = result.narrow(dim, first, size)  # type: ignore[arg-type]
        return result

    def scaled(self, weight: NDArray[Any], factors: NDArray[Any]) -> NDArray[Any]:
        """The weight with every output channel multiplied; those of a group belong to its input channels."""
        groups, channels = int(self._groups), len(weight)  # type: ignore[arg-type]
        rows = np.repeat(factors.reshape(groups, -1), channels // groups, axis=0)
        result: NDArray[Any] = weight * rows.reshape(*rows.shape, *[1] * self.rank)
        return result

    def row(self) -> Row:
        """A ``conv_transpose`` kernel; every input value is multiplied with its channel's whole weight."""
        weight = self.operands[1].shape()
        window = self._window()
        columns = window_columns(*window)
        columns.update(
            groups=self._groups,
            in_channels=weight[0],
            out_channels=self.shape()[1],
            weights=product(weight),
            bias=self.shape()[1] if len(self.operands) > 2 else 0,
            macs=product(weight) * product(window[0]),
        )
        return Row("kernel", "conv_transpose", columns)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """An ONNX ``ConvTranspose``; attributes that have their default are left out."""
        _, _, kernel, stride, dilation, begin, end = self._window()
        rare: dict[str, Any] = {}
        if any(d != 1 for d in dilation):
            rare["dilations"] = dilation
        if self._groups != 1:
            rare["group"] = self._groups
        if any(self._extra()):
            rare["output_padding"] = self._extra()
        return emitter.node(
            "ConvTranspose", inputs, kernel_shape=kernel, strides=stride, pads=[*begin, *end], **rare
        )


class ConvTranspose1d(_TransposedConvolution):
    """Transposed convolution of (N, C, L) data; see `ConvTranspose2d` for the arguments."""

    rank = 1


class ConvTranspose2d(_TransposedConvolution):
    """Transposed convolution of (N, I, H, W) data with a weight (I, O / groups, kH, kW) and optionally a bias (O,).

    Sizes, channels and groups are those of PyTorch's operator of this name.

    Args:
        stride: One number, or (vertical, horizontal).
        padding: How much of the full result is cut off: one number for all sides, (vertical, horizontal), or
            (top, left, bottom, right).
        output_padding: How much more of the bottom and the right end is kept; less than the stride.
        dilation: One number, or (vertical, horizontal).
        groups: Number of groups.
    """

    rank = 2
    onnx_types = ("ConvTranspose",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``ConvTranspose`` of one or two dimensions."""
        weight = node.weight(1, "weight")
        if weight is None or len(node.operands) != 1:
            raise ModelError(
                "its weights are computed; only convolutions with constant weights can be priced"
            )
        rank = len(weight.shape()) - 2
        kinds = {1: ConvTranspose1d, 2: ConvTranspose2d}
        if rank not in kinds:
            raise ModelError(f"it has {rank} spatial dimensions; 1 and 2 are supported")
        attributes = node.attributes
        if attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "") or "output_shape" in attributes:
            raise ModelError("it has auto_pad or output_shape; write explicit pads instead")
        op = kinds[rank](
            groups=attributes.get("group", 1),
            output_padding=tuple(attributes.get("output_padding", (0,) * rank)),
            **onnx_window(attributes, rank),
        )
        bias = node.weight(2, "bias")
        result: Node = op(node.operands[0], weight, *([bias] if bias is not None else []))
        return result

"""Convolution in one and two dimensions: grouped, depthwise, dilated, any kernel and any padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from hannah_hw.errors import ModelError, SpaceError
from hannah_hw.expressions import Scalar
from hannah_hw.graph import Node, Shape, Tensor
from hannah_hw.graph.numbers import required, whole, whole_conditions
from hannah_hw.operators.dimensions import product, vector_requirements
from hannah_hw.operators.windows import Padding, WindowOp, onnx_window, torch_pads, window_columns
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


class ConvolutionOp(WindowOp):
    """Base of the operators with data, a weight of which the last dimensions are a window, and optionally a bias.

    Args:
        stride: One number, or one a dimension.
        dilation: One number, or one a dimension.
        groups: Number of groups.
        padding: See `hannah_hw.operators.windows.Padding`.

    Attributes:
        rank: Number of spatial dimensions.
    """

    arity = (2, 3)
    takes = "data, a weight and optionally a bias"
    rank: ClassVar[int]

    def __init__(self, stride: Any, dilation: Any, groups: Scalar, padding: Padding) -> None:
        super().__init__(stride, dilation, padding)
        self.groups = whole(groups, "groups", 1)

    def _check_operands(self, operands: tuple[Node, ...]) -> None:
        super()._check_operands(operands)
        for node, what in zip(operands, ("data", "weight"), strict=False):
            if len(node.shape()) != self.rank + 2:
                raise SpaceError(
                    f"the {what} of {type(self).__name__} must have {self.rank + 2} dimensions; {node.id} has "
                    f"shape {node.shape()}"
                )

    @property
    def _groups(self) -> Scalar:
        return whole(self.groups, "groups", 1)

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The window fits the data, there are groups, and a bias has one value an output channel."""
        groups = required(
            whole_conditions([self.groups], 1),
            lambda: f"it has {self.groups} groups; they must be a whole number of at least 1",
        )
        return [*groups, *vector_requirements(self.operands[2:], self.shape()[1]), *super().requirements()]

    def _kernel(self, rank: int) -> tuple[Scalar, ...]:
        return self.operands[1].shape()[2:]


class _Convolution(ConvolutionOp):
    """Operands: data (N, C, spatial...), weight (O, C / groups, kernel...), and optionally bias (O,).

    Args:
        stride: One number, or one a dimension.
        dilation: One number, or one a dimension.
        groups: Number of groups; the number of channels for a depthwise convolution.
        padding: See `hannah_hw.operators.windows.Padding`.
    """

    output_axis = 0

    def __init__(
        self,
        stride: Any = 1,
        dilation: Any = 1,
        groups: Scalar = 1,
        padding: Padding = None,
    ) -> None:
        super().__init__(stride, dilation, groups, padding)

    def shape_fun(self) -> Shape:
        """(N, O, output sizes...)."""
        return (self.operands[0].shape()[0], self.operands[1].shape()[0], *self._window()[1])

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The weight fits the channels, the groups divide them, and the window fits the data."""
        data, weight, groups = self.operands[0].shape(), self.operands[1].shape(), self._groups
        fits = required(
            [weight[1] * groups == data[1], weight[0] % groups == 0],
            lambda: (
                f"the weight has shape {weight} in {groups} groups, but {self.operands[0].id} has {data[1]} "
                "channels; a weight is (O, channels / groups, kernel...) and the groups divide O"
            ),
        )
        return [*fits, *super().requirements()]

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        import torch.nn.functional as functional

        data, weight = args[0], args[1]
        bias = args[2] if len(args) > 2 else None
        _, _, _, stride, dilation, begin, end = self._window()
        padding: Any = begin
        if begin != end:
            data = functional.pad(data, torch_pads(begin, end))
            padding = 0
        convolve: Any = functional.conv1d if self.rank == 1 else functional.conv2d
        result: TorchTensor = convolve(data, weight, bias, stride, padding, dilation, self._groups)
        return result

    def row(self) -> Row:
        """A ``conv`` kernel; ``groups == in_channels == out_channels`` is a depthwise one."""
        weight = self.operands[1].shape()
        sizes, outputs, kernel, stride, dilation, begin, end = self._window()
        weights = product((*weight[:2], *kernel))
        columns = window_columns(sizes, outputs, kernel, stride, dilation, begin, end)
        columns.update(
            groups=self._groups,
            in_channels=self.operands[0].shape()[1],
            out_channels=weight[0],
            weights=weights,
            bias=weight[0] if len(self.operands) > 2 else 0,
            macs=weights * product(outputs),
        )
        return Row("kernel", "conv", columns)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """An ONNX ``Conv``; attributes that have their default are left out."""
        _, _, kernel, stride, dilation, begin, end = self._window()
        rare: dict[str, Any] = {}
        if any(d != 1 for d in dilation):
            rare["dilations"] = dilation
        if self._groups != 1:
            rare["group"] = self._groups
        return emitter.node("Conv", inputs, kernel_shape=kernel, strides=stride, pads=[*begin, *end], **rare)


class Conv1d(_Convolution):
    """Convolution of (N, C, L) data; see `Conv2d` for the arguments."""

    rank = 1


class Conv2d(_Convolution):
    """Convolution of (N, C, H, W) data with a weight (O, C / groups, kH, kW) and optionally a bias (O,).

    Args:
        stride: One number, or (vertical, horizontal).
        dilation: One number, or (vertical, horizontal).
        groups: Number of groups; the number of channels for a depthwise convolution.
        padding: See `hannah_hw.operators.windows.Padding`.
    """

    rank = 2
    onnx_types = ("Conv",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Conv`` of one or two dimensions."""
        weight = node.weight(1, "weight")
        if weight is None:
            raise ModelError("its weight is computed; only convolutions with constant weights can be priced")
        rank = len(weight.shape()) - 2
        kinds = {1: Conv1d, 2: Conv2d}
        if rank not in kinds:
            raise ModelError(f"it has {rank} spatial dimensions; 1 and 2 are supported")
        op = kinds[rank](groups=node.attributes.get("group", 1), **onnx_window(node.attributes, rank))
        bias = node.weight(2, "bias")
        result: Node = op(node.operands[0], weight, *([bias] if isinstance(bias, Tensor) else []))
        return result

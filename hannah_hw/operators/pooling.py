"""Pooling in one and two dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from hannah_hw.errors import ModelError, SpaceError, UnsupportedError
from hannah_hw.expressions import Or, Scalar
from hannah_hw.graph import Node, Op, Shape
from hannah_hw.graph.numbers import required, whole_conditions
from hannah_hw.operators.windows import (
    Padding,
    WindowOp,
    onnx_window,
    per_dimension,
    torch_pads,
    window_columns,
)
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


#: What is pooled.
_DATA: Final = "one operand of shape (N, C, L) or (N, C, H, W)"


def _check_rank(name: str, data: Node) -> None:
    if len(data.shape()) not in (3, 4):
        raise SpaceError(f"{name} takes {_DATA}, not {data.shape()}")


class _Pooling(WindowOp):
    """Operand: data (N, C, L) or (N, C, H, W).

    Args:
        kernel_size: One number, or one a dimension.
        stride: One number, or one a dimension.
        dilation: One number, or one a dimension.
        padding: See `hannah_hw.operators.windows.Padding`.
    """

    arity = (1, 1)
    takes = _DATA
    kind: ClassVar[str]
    onnx_type: ClassVar[str]

    def __init__(self, kernel_size: Any, stride: Any = 1, dilation: Any = 1, padding: Padding = None) -> None:
        super().__init__(stride, dilation, padding)
        self.kernel_size = kernel_size

    def _check_operands(self, operands: tuple[Node, ...]) -> None:
        super()._check_operands(operands)
        _check_rank(type(self).__name__, operands[0])

    def _kernel(self, rank: int) -> tuple[Scalar, ...]:
        return per_dimension(self.kernel_size, rank, "kernel_size")

    def shape_fun(self) -> Shape:
        """(N, C, output sizes...)."""
        return (*self.operands[0].shape()[:2], *self._window()[1])

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The window fits the data, and no window is in the padding only, for it would pool nothing."""
        sizes, _, kernel, _, dilation, begin, end = self._window()
        reaches: list[Scalar] = []
        for size, k, d, *sides in zip(sizes, kernel, dilation, begin, end, strict=True):
            if all(isinstance(side, int) and side == 0 for side in sides):
                continue
            if not (self.padding is None or self.padding == "same"):  # whose sides are at most half a window
                reaches += [side <= d * (k - 1) for side in sides]
            if not isinstance(d, int) or d > 1:
                reaches.append(Or(size >= d, k <= 1))
        missed = required(
            reaches,
            lambda: (
                f"windows of {kernel} with dilation {dilation} and padding {(*begin, *end)} reach no value of {sizes}"
            ),
        )
        return [*super().requirements(), *missed]

    def row(self) -> Row:
        """A pooling kernel; every channel is a group of its own."""
        channels = self.operands[0].shape()[1]
        columns = window_columns(*self._window())
        columns.update(groups=channels, in_channels=channels, out_channels=channels)
        return Row("kernel", self.kind, columns)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """An ONNX pooling node.

        Raises:
            UnsupportedError: Padding as large as a dilated kernel, which ONNX Runtime refuses.
        """
        _, _, kernel, stride, dilation, begin, end = self._window()
        if any(max(sides) >= size for *sides, size in zip(begin, end, kernel, strict=True)):
            raise UnsupportedError(
                f"{self.id} pools windows of {kernel} with padding {(*begin, *end)}; ONNX Runtime takes only padding "
                "smaller than the window"
            )
        return emitter.node(
            self.onnx_type,
            inputs,
            kernel_shape=kernel,
            strides=stride,
            pads=[*begin, *end],
            **({"dilations": dilation} if any(d != 1 for d in dilation) else {}),
        )

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a pooling node."""
        attributes = node.attributes
        rank = len(attributes["kernel_shape"])
        window = onnx_window(attributes, rank)
        if attributes.get("ceil_mode", 0):
            raise ModelError("ceil_mode is not supported; write explicit pads instead")
        if attributes.get("count_include_pad", 0) and window["padding"] not in ("valid", (0,) * (2 * rank)):
            raise ModelError("an average that counts its padding is not supported")
        result: Node = cls(tuple(attributes["kernel_shape"]), **window)(node.operands[0])
        return result


class MaxPooling(_Pooling):
    """The largest value of each window."""

    kind = "max_pool"
    onnx_type = "MaxPool"
    onnx_types = ("MaxPool",)

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        import torch.nn.functional as functional

        _, _, kernel, stride, dilation, begin, end = self._window()
        data = functional.pad(args[0], torch_pads(begin, end), value=float("-inf"))
        pool: Any = functional.max_pool1d if len(kernel) == 1 else functional.max_pool2d
        result: TorchTensor = pool(data, kernel, stride, 0, dilation)
        return result


class AvgPooling(_Pooling):
    """The mean of each window; padding does not count."""

    kind = "avg_pool"
    onnx_type = "AveragePool"
    onnx_types = ("AveragePool",)

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The window fits the data and has no gaps."""
        dilation = self._window()[4]
        gaps = required(
            [d == 1 for d in dilation], lambda: f"average pooling has no dilation; it is {dilation}"
        )
        return [*gaps, *super().requirements()]

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        import torch
        import torch.nn.functional as functional

        _, _, kernel, stride, _, begin, end = self._window()
        pool: Any = functional.avg_pool1d if len(kernel) == 1 else functional.avg_pool2d
        if not any(begin) and not any(end):
            unpadded: TorchTensor = pool(args[0], kernel, stride)
            return unpadded
        pads = torch_pads(begin, end)
        total = pool(functional.pad(args[0], pads), kernel, stride)
        share = pool(functional.pad(torch.ones_like(args[0][:1, :1]), pads), kernel, stride)
        result: TorchTensor = total / share
        return result


class AdaptiveAvgPooling(Op):
    """The mean of equal windows, as many as asked for; each dimension must be a multiple of its outputs.

    Args:
        output_size: One number, or one a dimension.
    """

    inputs = 1
    arity = (1, 1)
    takes = _DATA
    onnx_types = ("GlobalAveragePool",)

    def __init__(self, output_size: Any = 1) -> None:
        super().__init__()
        self.output_size = output_size

    def _check_operands(self, operands: tuple[Node, ...]) -> None:
        super()._check_operands(operands)
        _check_rank("AdaptiveAvgPooling", operands[0])

    def _sizes(self) -> tuple[tuple[Scalar, ...], tuple[Scalar, ...]]:
        sizes = self.operands[0].shape()[2:]
        return sizes, per_dimension(self.output_size, len(sizes), "output_size")

    def shape_fun(self) -> Shape:
        """(N, C, output sizes...)."""
        return (*self.operands[0].shape()[:2], *self._sizes()[1])

    def requirements(self) -> list[tuple[Scalar, str]]:
        """Every size is a multiple of its outputs."""
        sizes, outputs = self._sizes()
        return required(
            [
                *whole_conditions(outputs, 1),
                *(size % output == 0 for size, output in zip(sizes, outputs, strict=True)),
            ],
            lambda: f"the sizes {sizes} are no multiples of the outputs {outputs}",
        )

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        import torch.nn.functional as functional

        outputs: Any = self._sizes()[1]
        if len(outputs) == 1:
            return functional.adaptive_avg_pool1d(args[0], outputs)
        return functional.adaptive_avg_pool2d(args[0], outputs)

    def row(self) -> Row:
        """An ``avg_pool`` kernel whose window and stride are input size by output size."""
        sizes, outputs = self._sizes()
        window = tuple(size // output for size, output in zip(sizes, outputs, strict=True))
        none: tuple[Scalar, ...] = (0,) * len(sizes)
        channels = self.operands[0].shape()[1]
        columns = window_columns(sizes, outputs, window, window, (1,) * len(sizes), none, none)
        columns.update(groups=channels, in_channels=channels, out_channels=channels)
        return Row("kernel", "avg_pool", columns)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """A ``GlobalAveragePool`` to one output, else an ``AveragePool``."""
        sizes, outputs = self._sizes()
        if all(output == 1 for output in outputs):
            return emitter.node("GlobalAveragePool", inputs)
        window = [size // output for size, output in zip(sizes, outputs, strict=True)]
        return emitter.node("AveragePool", inputs, kernel_shape=window, strides=window)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``GlobalAveragePool``."""
        result: Node = cls(1)(node.operands[0])
        return result

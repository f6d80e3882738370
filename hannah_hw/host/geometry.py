"""Sizes of many convolutions as arrays, however their layouts order them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd, prod

import numpy as np
from numpy.typing import NDArray

from hannah_hw.host.kernels import NCHWC, HostKernel

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Convolutions of ONNX Runtime whose tensors have their channels last, without an attribute that says so.
_CHANNELS_LAST = frozenset({"NhwcFusedConv"})
#: Widest block of channels in use: 16 floats fill a register of AVX-512.
_WIDEST = 16


def block_width(kernels: Sequence[HostKernel]) -> int:
    """Channels of a block of the NCHWc layout, as the shapes of blocked convolutions show it.

    The widest block that divides all their channels; 1 without any. A single kernel may have too regular a shape to
    tell, so it is asked of all kernels of a calibration at once.
    """
    widths = [k.outputs[0].shape[1] for k in kernels if k.domain == NCHWC and k.op_type == "Conv"]
    return gcd(_WIDEST, *widths) if widths else 1


@dataclass(frozen=True)
class Convolutions:
    """Sizes of N convolutions, each array (N,), int64. Axes before the last spatial one are merged into one.

    Attributes:
        batch: Images.
        groups: Groups.
        inputs: Channels of the input.
        channels: Channels of the output.
        height: Input rows.
        width: Input columns.
        out_height: Output rows.
        out_width: Output columns.
        kernel_height: Rows of the filter.
        kernel_width: Columns of the filter.
        stride_height: Rows between outputs.
        stride_width: Columns between outputs.
        top: Rows of padding before the input.
        left: Columns of padding before the input.
        span_height: Rows that the filter covers, dilation included.
        span_width: Columns that the filter covers, dilation included.
        clipped: 1 where the activation is a pass of its own over the output, which all but a ReLU are.
        added: 1 where another kernel's output is added.
        weight_bytes: Of all constants.
    """

    batch: IntArray
    groups: IntArray
    inputs: IntArray
    channels: IntArray
    height: IntArray
    width: IntArray
    out_height: IntArray
    out_width: IntArray
    kernel_height: IntArray
    kernel_width: IntArray
    stride_height: IntArray
    stride_width: IntArray
    top: IntArray
    left: IntArray
    span_height: IntArray
    span_width: IntArray
    clipped: IntArray
    added: IntArray
    weight_bytes: IntArray

    @classmethod
    def of(cls, kernels: Sequence[HostKernel]) -> Convolutions:
        """The sizes of convolutions, of any of ONNX Runtime's layouts.

        Raises:
            IndexError: A kernel is no convolution with a weight.
        """
        rows = np.array([_sizes(kernel) for kernel in kernels], np.int64).reshape(len(kernels), 19)
        return cls(*rows.T)

    @cached_property
    def area(self) -> IntArray:
        """Taps of the filter."""
        return self.kernel_height * self.kernel_width

    @cached_property
    def outputs(self) -> IntArray:
        """Positions of the output, of all images."""
        return self.batch * self.out_height * self.out_width

    @cached_property
    def depth(self) -> IntArray:
        """Products that are summed for one output: taps times input channels of a group."""
        return self.area * self.inputs // self.groups

    @cached_property
    def macs(self) -> IntArray:
        """Multiply-accumulate operations, those on padding among them."""
        return self.outputs * self.channels * self.depth

    @cached_property
    def valid_rows(self) -> IntArray:
        """Rows of the filter that lie inside of the input, summed over output rows of all images."""
        return self.batch * _inside(
            self.out_height,
            self.stride_height,
            self.top,
            self.height,
            self.kernel_height,
            self.span_height,
        )

    @cached_property
    def valid_columns(self) -> IntArray:
        """Columns of the filter that lie inside of the input, summed over output columns."""
        return _inside(
            self.out_width, self.stride_width, self.left, self.width, self.kernel_width, self.span_width
        )

    @cached_property
    def inner(self) -> IntArray:
        """Output columns whose filter lies inside of the input as a whole."""
        first = -(-self.left // self.stride_width)
        last = (self.width + self.left - self.span_width) // self.stride_width
        count: IntArray = np.clip(np.minimum(last, self.out_width - 1) - first + 1, 0, self.out_width)
        return count


def _inside(
    outputs: IntArray, stride: IntArray, pad: IntArray, size: IntArray, taps: IntArray, span: IntArray
) -> IntArray:
    """Taps inside of the input along an axis, summed over outputs: (N,).

    Args:
        outputs: Outputs along the axis.
        stride: Positions between outputs.
        pad: Padding before the input.
        size: Positions of the input.
        taps: Taps of the filter.
        span: Positions that it covers.
    """
    if not len(outputs):
        return outputs
    dilation = np.where(taps > 1, (span - 1) // np.maximum(taps - 1, 1), 1)
    tap = np.arange(taps.max())
    # Output i reads position i * stride - start of the input with a tap: outputs from first to last lie inside.
    start = pad[:, None] - tap * dilation[:, None]
    step = stride[:, None]
    first = np.maximum(-(-start // step), 0)
    last = np.minimum((size[:, None] - 1 + start) // step, outputs[:, None] - 1)
    inside = np.where(tap < taps[:, None], np.maximum(last - first + 1, 0), 0)
    total: IntArray = inside.sum(1)
    return total


def _sizes(kernel: HostKernel) -> list[int]:
    """The fields of `Convolutions` of one kernel, in their order."""
    attribute = kernel.attribute
    weight = kernel.inputs[3 if kernel.op_type == "QLinearConv" else 1]
    source, result = kernel.inputs[0].shape, kernel.outputs[0].shape
    if attribute.get("channels_last") or kernel.op_type in _CHANNELS_LAST:
        source, result = (shape[:1] + shape[-1:] + shape[1:-1] for shape in (source, result))
    rank = len(source) - 2
    taps = tuple(attribute.get("kernel_shape") or weight.shape[2:])
    strides = tuple(attribute.get("strides") or (1,) * rank)
    dilations = tuple(attribute.get("dilations") or (1,) * rank)
    pads = tuple(attribute.get("pads") or (0,) * 2 * rank)
    spans = [(size - 1) * apart + 1 for size, apart in zip(taps, dilations, strict=True)]
    # An axis that is merged is that before the last one where there are two, and the product of its parts otherwise.
    top = pads[rank - 2] if rank == 2 else 0
    # Float convolutions take what is added as their fourth input; that of quantised ones is the weight.
    added = kernel.op_type != "QLinearConv" and len(kernel.inputs) > 3 and kernel.inputs[3].dtype != ""
    return [
        source[0],
        attribute.get("group", 1),
        source[1],
        result[1],
        prod(source[2:-1]),
        source[-1],
        prod(result[2:-1]),
        result[-1],
        prod(taps[:-1]),
        taps[-1],
        prod(strides[:-1]),
        strides[-1],
        top,
        pads[rank - 1],
        prod(spans[:-1]),
        spans[-1],
        int(attribute.get("activation", "Relu") != "Relu"),
        int(added),
        sum(tensor.bytes for tensor in kernel.inputs if tensor.constant),
    ]

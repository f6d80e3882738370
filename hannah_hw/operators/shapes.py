"""Output shapes of operators without a graph: of plain numbers or of expressions."""

from __future__ import annotations

from typing import Any

from hannah_hw.errors import SpaceError
from hannah_hw.graph import Shape
from hannah_hw.operators.windows import Padding, output_sizes, per_dimension, resolve_padding

__all__ = ["conv_shape"]


def conv_shape(
    input_shape: Shape,
    weight_shape: Shape,
    stride: Any = 1,
    padding: Padding = None,
    dilation: Any = 1,
) -> Shape:
    """The shape of a convolution's result, (N, O, sizes...).

    Args:
        input_shape: (N, C, sizes...).
        weight_shape: (O, C / groups, kernel...).
        stride: One number, or one a dimension.
        padding: See `hannah_hw.operators.windows.Padding`.
        dilation: One number, or one a dimension.

    Raises:
        SpaceError: The shapes have different numbers of dimensions, or none that are spatial.
    """
    rank = len(input_shape) - 2
    if rank < 1 or len(weight_shape) != rank + 2:
        raise SpaceError(
            f"data of shape {input_shape} has no convolution with a weight of shape {weight_shape}; "
            "give (N, C, sizes...) and (O, C / groups, kernel...)"
        )
    sizes, kernel = tuple(input_shape[2:]), tuple(weight_shape[2:])
    strides = per_dimension(stride, rank, "stride")
    dilations = per_dimension(dilation, rank, "dilation")
    begin, end = resolve_padding(padding, sizes, kernel, strides, dilations)
    outputs = output_sizes(sizes, kernel, strides, dilations, begin, end)
    return (input_shape[0], weight_shape[0], *outputs)

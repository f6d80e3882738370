"""Layers with their weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Scalar
from hannah_hw.graph import Node, Tensor
from hannah_hw.operators import BatchNorm, Conv1d, Conv2d, ConvTranspose2d, LayerNorm, Linear, Quantize
from hannah_hw.operators.windows import Padding, per_dimension

#: Makes a convolution of data, with a weight of so many bits a value (None: as the deployment has it).
MakeConvolution: TypeAlias = Callable[[Node, Scalar | None], Node]

#: Builds a convolution of data: calls what makes it once, or with something before or behind it.
BuildConvolution: TypeAlias = Callable[[Node, MakeConvolution], Node]

#: What builds convolutions, the innermost context last.
_builders: ContextVar[tuple[BuildConvolution, ...]] = ContextVar("hannah_hw_build_convolution", default=())


@contextmanager
def convolutions_by(build: BuildConvolution) -> Iterator[None]:
    """Inside, `conv1d` and `conv2d` leave it to a function how their convolution is built.

    So a network can be quantised, or its convolutions be listed, whatever blocks it consists of. A convolution with
    ``weight_bits`` of its own is built as it says. Where contexts are nested, all functions take part: what one of
    them makes convolutions with is the next inner one. Other convolutions that they make are built plainly.
    """
    token = _builders.set((*_builders.get(), build))
    try:
        yield
    finally:
        _builders.reset(token)


def _built(x: Node, make: MakeConvolution, bits: Scalar | None) -> Node:
    if bits is not None:
        return make(x, bits)
    for build in reversed(_builders.get()):
        make = functools.partial(_built_by, build, make)
    token = _builders.set(())
    try:
        return make(x, None)
    finally:
        _builders.reset(token)


def _built_by(build: BuildConvolution, make: MakeConvolution, x: Node, bits: Scalar | None) -> Node:
    """A convolution as a function builds it, with the bits that an outer one gives it.

    Raises:
        SpaceError: Both give it bits.
    """

    def with_bits(data: Node, own: Scalar | None) -> Node:
        if own is not None and bits is not None:
            raise SpaceError(
                f"a convolution gets {own} bits, and {bits} bits once more; it can have bits only once"
            )
        return make(data, bits if own is None else own)

    return build(x, with_bits)


def conv1d(
    x: Node,
    out_channels: Scalar,
    kernel_size: Scalar = 1,
    stride: Any = 1,
    dilation: Any = 1,
    groups: Scalar = 1,
    padding: Padding = None,
    bias: bool = False,
    weight_bits: Scalar | None = None,
) -> Node:
    """A convolution of (N, C, W) data; see `conv2d` for the arguments."""
    template = Conv1d(stride=stride, dilation=dilation, groups=groups, padding=padding)

    def make(data: Node, bits: Scalar | None) -> Node:
        weights = _kernel(x, out_channels, (kernel_size,), groups, bias, ("O", "I", "kW"), bits)
        node: Node = template(data, *weights)
        return node

    return _built(x, make, weight_bits)


def conv2d(
    x: Node,
    out_channels: Scalar,
    kernel_size: Any = 1,
    stride: Any = 1,
    dilation: Any = 1,
    groups: Scalar = 1,
    padding: Padding = None,
    bias: bool = False,
    weight_bits: Scalar | None = None,
) -> Node:
    """A convolution of (N, C, H, W) data.

    Args:
        x: The data.
        out_channels: Channels of the result.
        kernel_size: One number, or (vertical, horizontal).
        stride: One number, or (vertical, horizontal).
        dilation: One number, or (vertical, horizontal).
        groups: ``x.shape()[1]`` for a depthwise convolution.
        padding: See `hannah_hw.operators.windows.Padding`.
        bias: Whether an offset a channel is added.
        weight_bits: With how many bits a weight is kept; see `hannah_hw.Tensor`.
    """
    kernel = per_dimension(kernel_size, 2, "kernel_size")
    template = Conv2d(stride=stride, dilation=dilation, groups=groups, padding=padding)

    def make(data: Node, bits: Scalar | None) -> Node:
        weights = _kernel(x, out_channels, kernel, groups, bias, ("O", "I", "kH", "kW"), bits)
        node: Node = template(data, *weights)
        return node

    return _built(x, make, weight_bits)


def _kernel(
    x: Node,
    out_channels: Scalar,
    kernel: tuple[Scalar, ...],
    groups: Scalar,
    bias: bool,
    axis: tuple[str, ...],
    bits: Scalar | None,
) -> list[Tensor]:
    in_channels = x.shape()[1]
    # Equal expressions are one object: a depthwise weight has one input channel whatever the width.
    per_group = 1 if groups is in_channels else in_channels // groups
    weights = [Tensor("weight", (out_channels, per_group, *kernel), axis=axis, grad=True, bits=bits)]
    if bias:
        weights.append(Tensor("bias", (out_channels,), axis=("O",), grad=True))
    return weights


def conv_transpose2d(
    x: Node,
    out_channels: Scalar,
    kernel_size: Any = 2,
    stride: Any = 2,
    padding: Padding = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: Scalar = 1,
    bias: bool = False,
    weight_bits: Scalar | None = None,
) -> Node:
    """A transposed convolution of (N, C, H, W) data; with the defaults each size doubles.

    Args:
        x: The data.
        out_channels: Channels of the result; the groups divide them.
        kernel_size: One number, or (vertical, horizontal).
        stride: One number, or (vertical, horizontal).
        padding: How much of the full result is cut off; see `hannah_hw.operators.ConvTranspose2d`.
        output_padding: How much more of the bottom and the right end is kept.
        dilation: One number, or (vertical, horizontal).
        groups: Number of groups.
        bias: Whether an offset a channel is added.
        weight_bits: With how many bits a weight is kept; see `hannah_hw.Tensor`.
    """
    kernel = per_dimension(kernel_size, 2, "kernel_size")
    shape = (x.shape()[1], out_channels // groups, *kernel)
    weights = [Tensor("weight", shape, axis=("I", "O", "kH", "kW"), grad=True, bits=weight_bits)]
    if bias:
        weights.append(Tensor("bias", (out_channels,), axis=("O",), grad=True))
    node: Node = ConvTranspose2d(stride, padding, output_padding, dilation, groups)(x, *weights)
    return node


def batch_norm(x: Node) -> Node:
    """A batch normalisation with a trained scale and offset a channel."""
    channels = x.shape()[1]
    statistics = [Tensor(name, (channels,), axis=("C",)) for name in ("running_mean", "running_var")]
    affine = [Tensor(name, (channels,), axis=("C",), grad=True) for name in ("weight", "bias")]
    node: Node = BatchNorm()(x, *statistics, *affine)
    return node


def layer_norm(x: Node, axis: int = -1) -> Node:
    """A layer normalisation with a trained scale and offset for each normalised value.

    Args:
        x: The data, (N, ...).
        axis: The first dimension that is normalised, together with all behind it.
    """
    shape = x.shape()[axis:]
    weights = [Tensor(name, shape, grad=True) for name in ("scale", "offset")]
    node: Node = LayerNorm(axis)(x, *weights)
    return node


def linear(x: Node, out_features: Scalar, bias: bool = True, weight_bits: Scalar | None = None) -> Node:
    """A fully connected layer over all values of a sample.

    Args:
        x: The data, (N, ...).
        out_features: Values of the result.
        bias: Whether an offset a value is added.
        weight_bits: With how many bits a weight is kept; see `hannah_hw.Tensor`.
    """
    in_features: Scalar = 1
    for size in x.shape()[1:]:
        in_features = in_features * size
    axis = ("in_features", "out_features")
    weights = [Tensor("weight", (in_features, out_features), axis=axis, grad=True, bits=weight_bits)]
    if bias:
        weights.append(Tensor("bias", (out_features,), axis=("out_features",), grad=True))
    node: Node = Linear()(x, *weights)
    return node


def quantize(x: Node, bits: Scalar, signed: bool = True) -> Node:
    """A value that is kept with a number of bits.

    Args:
        x: The data.
        bits: 2 to 16, or 1 to 16 without a sign; 32 for no quantisation.
        signed: False for values that are never negative, such as those behind a ReLU: their grid has no negative
            half.
    """
    node: Node = Quantize(bits, signed)(x, Tensor("running_max", (1,)))
    return node

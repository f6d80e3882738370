"""Depthwise-separable CNN for small images: depth, widths, kernels, strides and the kind of each block.

A stem, up to six blocks, global average pooling and a classifier. A block is a plain convolution, a
depthwise-separable one, or a depthwise-separable one with a residual connection where shapes allow it.
"""

from functools import partial

from hannah_hw import (
    CategoricalParameter,
    ChoiceOp,
    IntScalarParameter,
    Tensor,
    dynamic_depth,
    scope,
    search_space,
)
from hannah_hw.operators import AdaptiveAvgPooling, Add, BatchNorm, Conv2d, Linear, Relu


def batch_norm(x):
    channels = x.shape()[1]
    mean = Tensor("running_mean", (channels,), axis=("C",))
    variance = Tensor("running_var", (channels,), axis=("C",))
    scale = Tensor("weight", (channels,), axis=("C",), grad=True)
    offset = Tensor("bias", (channels,), axis=("C",), grad=True)
    return BatchNorm()(x, mean, variance, scale, offset)


def conv_bn_relu(x, out_channels, kernel_size, stride=1, depthwise=False):
    in_channels = x.shape()[1]
    per_group = 1 if depthwise else in_channels
    weight = Tensor(
        "weight",
        (out_channels, per_group, kernel_size, kernel_size),
        axis=("O", "I", "kH", "kW"),
        grad=True,
    )
    conv = Conv2d(stride=stride, groups=in_channels if depthwise else 1)(x, weight)
    return Relu()(batch_norm(conv))


@scope
def plain(x, out_channels, kernel_size, stride):
    return conv_bn_relu(x, out_channels, kernel_size, stride)


@scope
def separable(x, out_channels, kernel_size, stride):
    x = conv_bn_relu(x, x.shape()[1], kernel_size, stride, depthwise=True)
    return conv_bn_relu(x, out_channels, 1)


@scope
def residual(x, out_channels, kernel_size, stride):
    x = separable(x, out_channels, kernel_size, stride)
    return Add()(x, separable(x, out_channels, kernel_size, 1))


@scope
def block(x, max_stride):
    out_channels = IntScalarParameter(8, 64, step_size=8, name="out_channels")
    kernel_size = CategoricalParameter([3, 5, 7], name="kernel_size")
    stride = IntScalarParameter(1, max_stride, name="stride")
    kinds = [partial(k, out_channels=out_channels, kernel_size=kernel_size, stride=stride) for k in KINDS]
    return ChoiceOp(*kinds)(x)


KINDS = (separable, plain, residual)


@search_space
def ds_cnn(input_shape=(1, 28, 28), classes=10, max_blocks=6):
    x = Tensor("input", (1, *input_shape), axis=("N", "C", "H", "W"))
    width = IntScalarParameter(8, 32, step_size=8, name="out_channels")
    kernel_size = CategoricalParameter([3, 5], name="kernel_size")
    stride = IntScalarParameter(1, 2, name="stride", default=2)
    x = conv_bn_relu(x, width, kernel_size, stride)
    exits = []
    for index in range(max_blocks):
        x = block(x, max_stride=2 if index < 3 else 1)
        exits.append(x)
    x = dynamic_depth(*exits, switch=IntScalarParameter(0, max_blocks - 1, name="depth", default=2))
    x = AdaptiveAvgPooling(1)(x)
    weight = Tensor("weight", (x.shape()[1], classes), axis=("in_features", "out_features"), grad=True)
    bias = Tensor("bias", (classes,), axis=("out_features",), grad=True)
    return Linear()(x, weight, bias)

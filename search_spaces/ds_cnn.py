"""Depthwise-separable CNN for small images: depth, widths, kernels, strides and the kind of each block.

A stem, up to six blocks, global average pooling and a classifier. A block is a depthwise-separable convolution, a
plain one, or two separable ones around which a residual connection goes.
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
from hannah_hw.blocks import batch_norm, conv2d, linear
from hannah_hw.operators import AdaptiveAvgPooling, Add, Relu


def conv_bn_relu(x, out_channels, kernel_size=1, stride=1, groups=1):
    """Convolution, batch normalisation, ReLU: one kernel on a microcontroller."""
    return Relu()(batch_norm(conv2d(x, out_channels, kernel_size, stride, groups=groups)))


@scope
def plain(x, out_channels, kernel_size, stride):
    """One convolution over all channels."""
    return conv_bn_relu(x, out_channels, kernel_size, stride)


@scope
def separable(x, out_channels, kernel_size, stride):
    """A convolution of each channel, then one across channels."""
    channels = x.shape()[1]
    x = conv_bn_relu(x, channels, kernel_size, stride, groups=channels)
    return conv_bn_relu(x, out_channels)


@scope
def residual(x, out_channels, kernel_size, stride):
    """A separable convolution, and a second one that is added to it."""
    x = separable(x, out_channels, kernel_size, stride)
    return Add()(x, separable(x, out_channels, kernel_size, 1))


@scope
def block(x, max_stride):
    """One of the three kinds, with parameters of its own."""
    arguments = {
        "out_channels": IntScalarParameter(8, 64, step_size=8, name="out_channels"),
        "kernel_size": CategoricalParameter([3, 5, 7], name="kernel_size"),
        "stride": IntScalarParameter(1, max_stride, name="stride"),
    }
    return ChoiceOp(*[partial(kind, **arguments) for kind in (separable, plain, residual)])(x)


@search_space
def ds_cnn(input_shape=(1, 28, 28), classes=10, max_blocks=6):
    """The space; strides of 2 are searched in the stem and in the first three blocks."""
    x = Tensor("input", (1, *input_shape), axis=("N", "C", "H", "W"))
    width = IntScalarParameter(8, 32, step_size=8, name="out_channels")
    kernel_size = CategoricalParameter([3, 5], name="kernel_size")
    stride = IntScalarParameter(1, 2, name="stride", default=2)
    x = conv_bn_relu(x, width, kernel_size, stride)
    exits = []
    for index in range(max_blocks):
        x = block(x, max_stride=2 if index < 3 else 1)
        exits.append(x)
    x = dynamic_depth(
        *exits, switch=IntScalarParameter(0, max_blocks - 1, name="depth", default=min(2, max_blocks - 1))
    )
    return linear(AdaptiveAvgPooling(1)(x), classes)

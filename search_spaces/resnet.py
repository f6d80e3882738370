"""Residual networks: kind, widths, kernels and strides of the blocks, and how many of them a stage has.

He et al., Deep Residual Learning for Image Recognition, CVPR 2016. A basic block is two convolutions, a bottleneck
one between two of 1x1 that lead to fewer channels and back. Both have a first and a second convolution, so they
are one graph whose sizes depend on the kind; a bottleneck has a third. Small images keep their resolution in the
stem by default, images from 64 pixels on are halved twice, as in the paper.
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
from hannah_hw.expressions import If
from hannah_hw.operators import AdaptiveAvgPooling, Add, Identity, MaxPooling, Relu


def conv_bn(x, out_channels, kernel_size=1, stride=1):
    """Convolution and batch normalisation."""
    return batch_norm(conv2d(x, out_channels, kernel_size, stride))


@scope
def expand(x, out_channels):
    """The third convolution of a bottleneck."""
    return conv_bn(Relu()(x), out_channels)


@scope
def shortcut(x, out_channels, stride):
    """Brings the input to the size and width of the block's output."""
    return conv_bn(x, out_channels, stride=stride)


@scope
def block(x, channels, max_stride):
    """A basic block or a bottleneck, and a connection around it."""
    in_channels = x.shape()[1]
    out_channels = IntScalarParameter(
        channels // 2, 2 * channels, step_size=8, name="out_channels", default=channels
    )
    stride = IntScalarParameter(1, max_stride, name="stride", default=max_stride) if max_stride > 1 else 1
    bottleneck = IntScalarParameter(0, 1, name="bottleneck")
    first = CategoricalParameter([3, 5, 7], name="first_kernel")
    second = CategoricalParameter([3, 5, 7], name="second_kernel")
    middle = CategoricalParameter([4, 6, 8], name="eighths", default=8)
    reduction = CategoricalParameter([2, 4], name="reduction", default=4)

    def kind(in_basic, in_bottleneck):
        return If(bottleneck == 1, in_bottleneck, in_basic)

    narrow = out_channels // reduction
    main = conv_bn(x, kind(out_channels // 8 * middle, narrow), kind(first, 1), kind(stride, 1))
    main = conv_bn(Relu()(main), kind(out_channels, narrow), second, kind(1, stride))
    main = ChoiceOp(Identity(), partial(expand, out_channels=out_channels), switch=bottleneck)(main)
    # The identity fits only where neither the size nor the width changes.
    changes = (stride != 1) | (in_channels != out_channels)
    skip = ChoiceOp(Identity(), partial(shortcut, out_channels=out_channels, stride=stride), switch=changes)(
        x
    )
    return Relu()(Add()(main, skip))


@scope
def stage(x, channels, max_stride, max_blocks):
    """Blocks of similar width, of which the first may halve the resolution."""
    exits = []
    for index in range(max_blocks):
        x = block(x, channels, 1 if index else max_stride)
        exits.append(x)
    blocks = IntScalarParameter(1, max_blocks, name="blocks", default=max_blocks)
    return dynamic_depth(*exits, switch=blocks - 1)


@search_space
def resnet(input_shape=(3, 32, 32), classes=10, channels=16, stages=3, max_blocks=2):
    """The space; a stage has about twice the channels of the one before it."""
    x = Tensor("input", (1, *input_shape), axis=("N", "C", "H", "W"))
    large = int(min(input_shape[1:]) >= 64)
    width = IntScalarParameter(
        channels // 2, 2 * channels, step_size=8, name="out_channels", default=channels
    )
    kernel_size = CategoricalParameter([3, 5, 7], name="kernel_size", default=7 if large else 3)
    stride = IntScalarParameter(1, 2, name="stride", default=1 + large)
    x = Relu()(conv_bn(x, width, kernel_size, stride))
    pooled = IntScalarParameter(0, 1, name="pooled", default=large)
    x = ChoiceOp(Identity(), MaxPooling(3, stride=2), switch=pooled)(x)
    for index in range(stages):
        x = stage(x, channels << index, 2 if index else 1, max_blocks)
    return linear(AdaptiveAvgPooling(1)(x), classes)

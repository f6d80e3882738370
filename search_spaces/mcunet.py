"""MobileNetV2-like inverted residuals in the space of MCUNet: resolution, widths, expansions, kernels and depths.

Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, for the blocks and their strides;
Lin et al., MCUNet: Tiny Deep Learning on IoT Devices, NeurIPS 2020, for what is searched: kernels of 3, 5 and 7,
expansions of 3, 4 and 6, the blocks of a stage, widths, and the resolution.

The network's input always is the data's. A lower resolution is an average over squares of pixels in front of the
stem, which the microcontroller computes too: factors of 1 to ``max_reduction`` (96 to 48 pixels by default).
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
from hannah_hw.operators import AdaptiveAvgPooling, Add, AvgPooling, Identity, Relu6

#: Channels and stride of the first block of each stage, after MobileNetV2 of half its width.
STAGES = [(16, 2), (24, 2), (40, 2), (48, 1), (80, 2)]


def conv_bn_relu6(x, out_channels, kernel_size=1, stride=1, groups=1):
    """Convolution, batch normalisation, ReLU6."""
    return Relu6()(batch_norm(conv2d(x, out_channels, kernel_size, stride, groups=groups)))


@scope
def inverted_residual(x, out_channels, stride, expands=True):
    """A wide convolution of each channel between two across channels, and a connection around them."""
    in_channels = x.shape()[1]
    kernel_size = CategoricalParameter([3, 5, 7], name="kernel_size")
    main, wide = x, in_channels
    if expands:
        wide = in_channels * CategoricalParameter([3, 4, 6], name="expansion", default=4)
        main = conv_bn_relu6(main, wide)
    main = conv_bn_relu6(main, wide, kernel_size, stride, groups=wide)
    main = batch_norm(conv2d(main, out_channels))
    if stride != 1:
        return main
    if out_channels is in_channels:
        return Add()(x, main)
    # The connection fits only where the width does not change.
    return ChoiceOp(Identity(), partial(Add(), x), switch=in_channels == out_channels)(main)


@scope
def stage(x, channels, stride, max_depth):
    """Blocks of one width; the first may halve the resolution."""
    out_channels = IntScalarParameter(
        channels // 2, channels * 3 // 2, step_size=4, name="out_channels", default=channels
    )
    exits = []
    for index in range(max_depth):
        x = inverted_residual(x, out_channels, 1 if index else stride)
        exits.append(x)
    depth = IntScalarParameter(1, max_depth, name="depth", default=min(2, max_depth))
    return dynamic_depth(*exits, switch=depth - 1)


@search_space
def mcunet(input_shape=(3, 96, 96), classes=2, max_depth=4, max_reduction=2):
    """The space; a stage has up to ``max_depth`` blocks."""
    x = Tensor("input", (1, *input_shape), axis=("N", "C", "H", "W"))
    factors = [AvgPooling(factor, stride=factor) for factor in range(2, max_reduction + 1)]
    x = ChoiceOp(Identity(), *factors, switch=IntScalarParameter(0, max_reduction - 1, name="reduction"))(x)
    x = conv_bn_relu6(x, IntScalarParameter(8, 32, step_size=4, name="out_channels", default=16), 3, 2)
    x = inverted_residual(x, 8, 1, expands=False)
    for channels, stride in STAGES:
        x = stage(x, channels, stride, max_depth)
    return linear(AdaptiveAvgPooling(1)(x), classes)

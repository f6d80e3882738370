"""Temporal-convolution ResNet for audio features and sensor windows: one dimension, residual blocks.

Input is (channels, time): 40 mel bands by 101 frames for keyword spotting, or sensor axes by samples. A wide
first convolution, up to four residual blocks whose shortcut follows the stride and the width, pooling over time
and a classifier.
"""

from hannah_hw import (
    CategoricalParameter,
    ChoiceOp,
    IntScalarParameter,
    Tensor,
    dynamic_depth,
    scope,
    search_space,
)
from hannah_hw.blocks import batch_norm, conv1d, linear
from hannah_hw.operators import AdaptiveAvgPooling, Add, Identity, Relu


def conv_bn(x, out_channels, kernel_size=1, stride=1):
    """Convolution and batch normalisation."""
    return batch_norm(conv1d(x, out_channels, kernel_size, stride))


@scope
def shortcut(x, out_channels, stride):
    """Brings the input to the size and width of the block's output."""
    return Relu()(conv_bn(x, out_channels, stride=stride))


@scope
def residual_block(x):
    """Two convolutions in time and a connection around them."""
    in_channels = x.shape()[1]
    out_channels = IntScalarParameter(8, 48, step_size=8, name="out_channels", default=24)
    kernel_size = CategoricalParameter([3, 5, 7, 9], name="kernel_size", default=9)
    stride = IntScalarParameter(1, 2, name="stride", default=2)
    main = Relu()(conv_bn(x, out_channels, kernel_size, stride))
    main = conv_bn(main, out_channels, kernel_size)
    # The identity fits only where neither the size nor the width changes.
    changes = (stride != 1) | (in_channels != out_channels)
    skip = ChoiceOp(Identity(), lambda node: shortcut(node, out_channels, stride), switch=changes)(x)
    return Relu()(Add()(main, skip))


@search_space
def tc_resnet(input_shape=(40, 101), classes=12, max_blocks=4):
    """The space; after TC-ResNet (Choi et al., Interspeech 2019)."""
    x = Tensor("input", (1, *input_shape), axis=("N", "C", "W"))
    width = IntScalarParameter(8, 32, step_size=8, name="out_channels", default=16)
    kernel_size = CategoricalParameter([3, 5], name="kernel_size")
    x = Relu()(conv_bn(x, width, kernel_size))
    exits = []
    for _ in range(max_blocks):
        x = residual_block(x)
        exits.append(x)
    x = dynamic_depth(
        *exits, switch=IntScalarParameter(0, max_blocks - 1, name="depth", default=min(2, max_blocks - 1))
    )
    return linear(AdaptiveAvgPooling(1)(x), classes)

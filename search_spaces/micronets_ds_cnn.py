"""MicroNets-like DS-CNN for keyword spotting, anomaly detection and visual wake words on microcontrollers.

Banbury et al., MicroNets: Neural Network Architectures for Deploying TinyML Applications on Commodity
Microcontrollers, MLSys 2021. A convolution over all channels, then depthwise-separable blocks; widths, strides and
the number of blocks are searched. The published networks MicroNet-KWS-S, -M and -L are in the space of the default
options; those for anomaly detection are with ``input_shape=(1, 32, 32), stem_kernel=(3, 3), classes=4``.
"""

from hannah_hw import IntScalarParameter, Tensor, dynamic_depth, scope, search_space
from hannah_hw.blocks import batch_norm, conv2d, linear
from hannah_hw.operators import AdaptiveAvgPooling, Relu


def conv_bn_relu(x, out_channels, kernel_size=1, stride=1, groups=1):
    """Convolution, batch normalisation, ReLU; padding is TensorFlow's."""
    return Relu()(batch_norm(conv2d(x, out_channels, kernel_size, stride, groups=groups, padding="same")))


def width(default):
    """Channels in steps that the kernels of microcontrollers like, up to the 276 of the paper."""
    return IntScalarParameter(8, 276, step_size=4, name="out_channels", default=default)


@scope
def separable(x, default_stride):
    """A convolution of each channel, which may halve the resolution, then one across channels."""
    channels = x.shape()[1]
    stride = IntScalarParameter(1, 2, name="stride", default=default_stride)
    x = conv_bn_relu(x, channels, 3, stride, groups=channels)
    return conv_bn_relu(x, width(default=112))


@search_space
def micronets_ds_cnn(input_shape=(1, 49, 10), classes=12, stem_kernel=(10, 4), stem_stride=1, max_blocks=7):
    """The space; images of visual wake words, (1, 96, 96), want ``stem_kernel=(3, 3), stem_stride=2``."""
    x = Tensor("input", (1, *input_shape), axis=("N", "C", "H", "W"))
    x = conv_bn_relu(x, width(default=84), tuple(stem_kernel), stem_stride)
    exits = []
    for index in range(max_blocks):
        x = separable(x, default_stride=1 if index else 2)
        exits.append(x)
    blocks = IntScalarParameter(1, max_blocks, name="blocks", default=min(5, max_blocks))
    return linear(AdaptiveAvgPooling(1)(dynamic_depth(*exits, switch=blocks - 1)), classes)

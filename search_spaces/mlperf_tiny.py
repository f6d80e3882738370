"""The four MLPerf Tiny reference networks, as graphs without parameters.

Architectures: Banbury et al., MLPerf Tiny Benchmark, 2021 (github.com/mlcommons/tiny, training scripts): ResNet-8
on CIFAR-10 (ic), DS-CNN on Speech Commands (kws), MobileNetV1-0.25 on Visual Wake Words (vww), and the fully
connected autoencoder on ToyCar (ad). Padding is TensorFlow's ``same``.
"""

from hannah_hw import Tensor, scope, search_space
from hannah_hw.blocks import batch_norm, conv2d, linear
from hannah_hw.operators import AdaptiveAvgPooling, Add, Relu, Softmax


def conv_bn(x, out_channels, kernel_size=1, stride=1, groups=1):
    """Convolution and batch normalisation."""
    return batch_norm(conv2d(x, out_channels, kernel_size, stride, groups=groups, padding="same"))


@scope
def residual(x, out_channels, stride):
    """Two convolutions and a connection around them."""
    main = Relu()(conv_bn(x, out_channels, 3, stride))
    main = conv_bn(main, out_channels, 3)
    skip = conv_bn(x, out_channels, stride=stride) if stride != 1 else x
    return Relu()(Add()(main, skip))


@search_space
def resnet8():
    """ResNet-8 on CIFAR-10: 12.5 million MACs."""
    x = Tensor("input", (1, 3, 32, 32), axis=("N", "C", "H", "W"))
    x = Relu()(conv_bn(x, 16, 3))
    x = residual(x, 16, 1)
    x = residual(x, 32, 2)
    x = residual(x, 64, 2)
    return Softmax()(linear(AdaptiveAvgPooling(1)(x), 10))


@scope
def separable(x, out_channels, stride=1):
    """A convolution of each channel, then one across channels."""
    channels = x.shape()[1]
    x = Relu()(conv_bn(x, channels, 3, stride, groups=channels))
    return Relu()(conv_bn(x, out_channels))


@search_space
def ds_cnn_kws():
    """DS-CNN on Speech Commands: 2.7 million MACs."""
    x = Tensor("input", (1, 1, 49, 10), axis=("N", "C", "H", "W"))
    x = Relu()(conv_bn(x, 64, (10, 4), 2))
    for _ in range(4):
        x = separable(x, 64)
    return Softmax()(linear(AdaptiveAvgPooling(1)(x), 12))


@search_space
def mobilenet_v1_025():
    """MobileNetV1 of width 0.25 on Visual Wake Words: 7.5 million MACs."""
    x = Tensor("input", (1, 3, 96, 96), axis=("N", "C", "H", "W"))
    x = Relu()(conv_bn(x, 8, 3, 2))
    for out_channels, stride in (
        (16, 1),
        (32, 2),
        (32, 1),
        (64, 2),
        (64, 1),
        (128, 2),
        *((128, 1),) * 5,
        (256, 2),
        (256, 1),
    ):
        x = separable(x, out_channels, stride)
    return Softmax()(linear(AdaptiveAvgPooling(1)(x), 2))


@search_space
def fc_autoencoder():
    """Autoencoder of fully connected layers on ToyCar: 0.26 million MACs."""
    x = Tensor("input", (1, 640), axis=("N", "C"))
    for out_features in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = Relu()(batch_norm(linear(x, out_features)))
    return linear(x, 640)

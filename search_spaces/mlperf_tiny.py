"""The four MLPerf Tiny reference networks, as graphs without parameters.

Architectures: Banbury et al., MLPerf Tiny Benchmark, 2021 (github.com/mlcommons/tiny, training scripts): ResNet-8
on CIFAR-10 (ic), DS-CNN on Speech Commands (kws), MobileNetV1-0.25 on Visual Wake Words (vww), and the fully
connected autoencoder on ToyCar (ad). Padding is TensorFlow's ``same``.
"""

from hannah_hw import Tensor, scope, search_space
from hannah_hw.operators import (
    AdaptiveAvgPooling,
    Add,
    BatchNorm,
    Conv2d,
    Linear,
    Relu,
    Softmax,
)


def batch_norm(x):
    channels = x.shape()[1]
    mean = Tensor("running_mean", (channels,), axis=("C",))
    variance = Tensor("running_var", (channels,), axis=("C",))
    scale = Tensor("weight", (channels,), axis=("C",), grad=True)
    offset = Tensor("bias", (channels,), axis=("C",), grad=True)
    return BatchNorm()(x, mean, variance, scale, offset)


def conv_bn(x, out_channels, kernel_size, stride=1, depthwise=False):
    in_channels = x.shape()[1]
    size = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
    shape = (out_channels, 1 if depthwise else in_channels, *size)
    weight = Tensor("weight", shape, axis=("O", "I", "kH", "kW"), grad=True)
    conv = Conv2d(stride=stride, groups=in_channels if depthwise else 1, padding="same")(x, weight)
    return batch_norm(conv)


def linear(x, out_features):
    features = 1
    for size in x.shape()[1:]:
        features = features * size
    weight = Tensor("weight", (features, out_features), axis=("in_features", "out_features"), grad=True)
    bias = Tensor("bias", (out_features,), axis=("out_features",), grad=True)
    return Linear()(x, weight, bias)


@scope
def residual(x, out_channels, stride):
    main = Relu()(conv_bn(x, out_channels, 3, stride))
    main = conv_bn(main, out_channels, 3)
    skip = conv_bn(x, out_channels, 1, stride) if stride != 1 else x
    return Relu()(Add()(main, skip))


@search_space
def resnet8():
    x = Tensor("input", (1, 3, 32, 32), axis=("N", "C", "H", "W"))
    x = Relu()(conv_bn(x, 16, 3))
    x = residual(x, 16, 1)
    x = residual(x, 32, 2)
    x = residual(x, 64, 2)
    return Softmax()(linear(AdaptiveAvgPooling(1)(x), 10))


@scope
def separable(x, out_channels, stride=1):
    x = Relu()(conv_bn(x, x.shape()[1], 3, stride, depthwise=True))
    return Relu()(conv_bn(x, out_channels, 1))


@search_space
def ds_cnn_kws():
    x = Tensor("input", (1, 1, 49, 10), axis=("N", "C", "H", "W"))
    x = Relu()(conv_bn(x, 64, (10, 4), 2))
    for _ in range(4):
        x = separable(x, 64)
    return Softmax()(linear(AdaptiveAvgPooling(1)(x), 12))


@search_space
def mobilenet_v1_025():
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
    x = Tensor("input", (1, 640), axis=("N", "C"))
    for out_features in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = Relu()(batch_norm(linear(x, out_features)))
    return linear(x, 640)

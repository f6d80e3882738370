"""The first and the last layers of the declarative form: stems, pooling and classifiers."""

from __future__ import annotations

from hannah_hw.blocks import linear
from hannah_hw.graph import Node
from hannah_hw.operators import AdaptiveAvgPooling, Flatten, MaxPooling, Relu
from hannah_hw.spaces.declarative.channels import kept_stem
from hannah_hw.spaces.declarative.checks import expect
from hannah_hw.spaces.declarative.registry import Positive, Value, block
from hannah_hw.spaces.declarative.residual import conv_bn


@block("InitialBlock")
def initial_block(x: Node, *, init_plane: Value[Positive]) -> Node:
    """A stem for large images: a 7x7 convolution of stride 2 and 3x3 pooling of stride 2, a fourth of the size.

    Args:
        x: (N, C, H, W) data.
        init_plane: Channels of the result.
    """
    x = Relu()(conv_bn(x, kept_stem(init_plane), 7, 2))
    node: Node = MaxPooling(3, stride=2, padding=1)(x)
    return node


@block("SmallInputInitialBlock")
def small_input_initial_block(x: Node, *, init_plane: Value[Positive]) -> Node:
    """A stem for small images: a 3x3 convolution that keeps the size.

    Args:
        x: (N, C, H, W) data.
        init_plane: Channels of the result.
    """
    node: Node = Relu()(conv_bn(x, kept_stem(init_plane), 3))
    return node


@block("AdaptiveAvgPool2d")
def adaptive_avg_pool_2d(x: Node, *, output_size: Value[Positive] | list[Value[Positive]] = 1) -> Node:
    """The mean of equal windows.

    Args:
        x: (N, C, H, W) data.
        output_size: One number for both dimensions, or [vertical, horizontal].
    """
    node: Node = AdaptiveAvgPooling(output_size)(x)
    return node


@block("View")
def view(x: Node) -> Node:
    """(N, ...) as (N, features)."""
    node: Node = Flatten()(x)
    return node


@block("Linear", classes="out_features")
def fully_connected(x: Node, *, out_features: Value[Positive], in_features: Positive | None = None) -> Node:
    """A fully connected layer with an offset, over all values of a sample.

    Args:
        x: (N, ...) data.
        out_features: Values of the result.
        in_features: Values of the data, checked.
    """
    result = linear(x, out_features)
    actual = result.operands[1].shape()[0]
    expect("E_WIDTH", "in_features", in_features, actual, "its input has {} values")
    return result


@block("LinearClassificationHead", classes="num_class")
def linear_classification_head(
    x: Node, *, num_class: Value[Positive], base_channel: Positive | None = None
) -> Node:
    """The mean of each channel, and a fully connected layer.

    Args:
        x: (N, C, H, W) data.
        num_class: Values of the result.
        base_channel: Channels of the data, checked.
    """
    expect("E_WIDTH", "base_channel", base_channel, x.shape()[1], "its input has {} channels")
    return linear(AdaptiveAvgPooling(1)(x), num_class)

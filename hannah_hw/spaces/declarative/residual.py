"""The residual blocks of the declarative form.

A block's width and stride may depend on parameters. Its shortcut is the identity where neither the size nor the
width changes, and it is always added; elsewhere it is a 1x1 convolution. Which of the two is an expression of the
candidate, not a parameter, so that every candidate is a network. He et al., Deep Residual Learning for Image
Recognition, CVPR 2016.
"""

from __future__ import annotations

from functools import partial

from hannah_hw.blocks import batch_norm, conv2d
from hannah_hw.expressions import Expression, Scalar
from hannah_hw.graph import ChoiceOp, Node, scope
from hannah_hw.operators import Add, Identity, Relu
from hannah_hw.spaces.declarative.channels import kept_inner, kept_node
from hannah_hw.spaces.declarative.checks import expect_channels, values_of
from hannah_hw.spaces.declarative.registry import Positive, Value, block, fail


def conv_bn(
    x: Node, out_channels: Scalar, kernel_size: int = 1, stride: Scalar = 1, groups: Scalar = 1
) -> Node:
    """A convolution that keeps the size but for its stride, and a batch normalisation."""
    return batch_norm(conv2d(x, out_channels, kernel_size, stride, groups=groups, padding=kernel_size // 2))


@block("ShortCut")
def shortcut(
    x: Node,
    *,
    outchannel: Value[Positive],
    expansion: Value[Positive] = 1,
    stride: Value[Positive] = 1,
    inchannel: Positive | None = None,
) -> Node:
    """What a residual block adds: its input, brought to the width and the size of its output.

    Args:
        x: (N, C, H, W) data.
        outchannel: Width of the result divided by the expansion.
        expansion: Channels of the result for each of outchannel.
        stride: Stride of the 1x1 convolution.
        inchannel: Channels of the data, checked.
    """
    expect_channels(x, inchannel, "inchannel")
    return _shortcut(x, outchannel * expansion, stride)


@scope
def projection(x: Node, out_channels: Scalar, stride: Scalar) -> Node:
    """A 1x1 convolution and a batch normalisation."""
    return conv_bn(x, out_channels, 1, stride)


def is_projection(identifier: str) -> bool:
    """Whether a node of this id is part of a shortcut's `projection`."""
    return any(part.startswith(f"{projection.__name__}_") for part in identifier.split("."))


def _shortcut(x: Node, out_channels: Scalar, stride: Scalar) -> Node:
    changes = (stride != 1) | (x.shape()[1] != out_channels)
    if isinstance(changes, Expression):
        changed = partial(projection, out_channels=out_channels, stride=stride)
        node: Node = ChoiceOp(Identity(), changed, switch=changes)(x)
        return node
    return projection(x, out_channels, stride) if changes else x


def _joined(x: Node, main: Node, stride: Scalar) -> Node:
    node: Node = Relu()(Add()(main, _shortcut(x, main.shape()[1], stride)))
    return node


@block("BasicBlock", expansion=1)
def basic_block(
    x: Node,
    *,
    outchannel: Value[Positive],
    stride: Value[Positive] = 1,
    inner_plane: Value[Positive] | None = None,
    inchannel: Positive | None = None,
    groups: Positive = 1,
    base_width: Positive = 64,
) -> Node:
    """Two 3x3 convolutions and a shortcut; no activation before the sum, a ReLU behind it. Expansion 1.

    Args:
        x: (N, C, H, W) data.
        outchannel: Width of the result.
        stride: Stride of the first convolution and of the shortcut.
        inner_plane: Channels between the two convolutions; outchannel otherwise.
        inchannel: Channels of the data, checked.
        groups: 1.
        base_width: 64.
    """
    expect_channels(x, inchannel, "inchannel")
    for field, given, only in (("groups", groups, 1), ("base_width", base_width, 64)):
        if values_of(given, field) != {only}:
            fail("E_BLOCK", field, f"is {given}; a BasicBlock has {only}, use a BottleneckBlock for others")
    main = Relu()(conv_bn(x, kept_inner(outchannel if inner_plane is None else inner_plane), 3, stride))
    main = conv_bn(main, kept_node(outchannel, stride), 3)
    return _joined(x, main, stride)


@block("BottleneckBlock", expansion=4)
def bottleneck_block(
    x: Node,
    *,
    outchannel: Value[Positive],
    stride: Value[Positive] = 1,
    inchannel: Positive | None = None,
    groups: Value[Positive] = 1,
    base_width: Value[Positive] = 64,
) -> Node:
    """A 3x3 convolution between two of 1x1, and a shortcut. Expansion 4.

    A ReLU is behind the first two batch normalisations and behind the sum, none before it.

    Args:
        x: (N, C, H, W) data.
        outchannel: A fourth of the width of the result.
        stride: Stride of the 3x3 convolution and of the shortcut.
        inchannel: Channels of the data, checked.
        groups: Groups of the 3x3 convolution.
        base_width: The 3x3 convolution has ``outchannel * base_width // 64 * groups`` channels
            (Xie et al., Aggregated Residual Transformations, CVPR 2017).
    """
    expect_channels(x, inchannel, "inchannel")
    width = outchannel * base_width // 64 * groups
    grouped = isinstance(groups, Expression) or groups != 1
    first, second = (width, width) if grouped else (kept_inner(width), kept_inner(width))
    main = Relu()(conv_bn(x, first))
    main = Relu()(conv_bn(main, second, 3, stride, groups))
    main = conv_bn(main, kept_node(outchannel * 4, stride))
    return _joined(x, main, stride)

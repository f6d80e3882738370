"""Blocks of several operators: gates, shuffles and attention."""

from __future__ import annotations

from typing import Any

from hannah_hw.blocks.layers import conv1d, conv2d
from hannah_hw.expressions import Scalar
from hannah_hw.graph import Node, Op
from hannah_hw.operators import (
    AdaptiveAvgPooling,
    HardSigmoid,
    MatMul,
    Mul,
    Permute,
    Relu,
    Reshape,
    Scale,
    Slice,
    Softmax,
)
from hannah_hw.operators.dimensions import product


def squeeze_excite(x: Node, squeezed: Scalar, gate: Op | None = None) -> Node:
    """Data whose channels are weighted by what their means say (Hu et al., arXiv 1709.01507).

    Args:
        x: (N, C, L) or (N, C, H, W).
        squeezed: Channels between the two layers that compute the weights.
        gate: What turns the second layer's values into weights; a `HardSigmoid` without, as in MobileNetV3.
    """
    convolution: Any = conv1d if len(x.shape()) == 3 else conv2d
    weights = Relu()(convolution(AdaptiveAvgPooling(1)(x), squeezed, bias=True))
    weights = (gate or HardSigmoid())(convolution(weights, x.shape()[1], bias=True))
    node: Node = Mul()(x, weights)
    return node


def channel_split(x: Node, *channels: Scalar) -> tuple[Node, ...]:
    """Consecutive parts of the channels.

    Args:
        x: (N, C, ...).
        channels: Channels of each part but the last, which has what is left.
    """
    parts: list[Node] = []
    begin: Scalar = 0
    for size in (*channels, x.shape()[1] - sum(channels)):
        parts.append(Slice(1, begin, size)(x))
        begin = begin + size
    return tuple(parts)


def channel_shuffle(x: Node, groups: Scalar) -> Node:
    """The first channel of each group, then the second of each, and so on (Zhang et al., arXiv 1707.01083).

    Args:
        x: (N, C, L) or (N, C, H, W).
        groups: Number of groups; they divide C.
    """
    _, channels, *sizes = x.shape()
    grouped = Reshape((groups, channels // groups, product(tuple(sizes))))(x)
    node: Node = Reshape((channels, *sizes))(Permute((0, 2, 1, 3))(grouped))
    return node


def multi_head_attention(
    x: Node,
    heads: Scalar,
    head_channels: Scalar | None = None,
    memory: Node | None = None,
    bias: bool = True,
) -> Node:
    """Every position as a mean over positions, weighted by how keys fit its query (Vaswani et al., arXiv 1706.03762).

    The projections are convolutions with kernel 1: of the queries, the keys, the values, and of the result. The
    scale of the scores folds into the projection of the queries.

    Args:
        x: What asks, (N, C, L) or (N, C, H, W); the result has its shape.
        heads: Number of heads.
        head_channels: Channels of a head; C / heads without.
        memory: What is asked, with any number of positions; x itself without.
        bias: Whether projections add an offset a channel.
    """
    _, channels, *sizes = x.shape()
    size = channels // heads if head_channels is None else head_channels
    queries = Scale(size, -0.5)(conv1d(_sequence(x), heads * size, bias=bias))
    keys, values = (conv1d(_sequence(memory or x), heads * size, bias=bias) for _ in range(2))
    scores = MatMul()(_transposed(_heads(queries, heads, size)), _heads(keys, heads, size))
    mixed = MatMul()(Softmax()(scores), _transposed(_heads(values, heads, size)))
    joined = Reshape((heads * size, -1))(_transposed(mixed))
    node = conv1d(joined, channels, bias=bias)
    return node if len(sizes) == 1 else Reshape((channels, *sizes))(node)


def _sequence(x: Node) -> Node:
    """(N, C, ...) as (N, C, positions)."""
    node: Node = x if len(x.shape()) == 3 else Reshape((x.shape()[1], -1))(x)
    return node


def _heads(x: Node, heads: Scalar, size: Scalar) -> Node:
    """(N, heads · size, positions) as (N, heads, size, positions)."""
    node: Node = Reshape((heads, size, -1))(x)
    return node


def _transposed(x: Node) -> Node:
    node: Node = Permute((0, 1, 3, 2))(x)
    return node

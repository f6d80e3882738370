"""Where the values of a tensor lie: channels last in memory, channels first in ONNX.

A reshape in ONNX keeps the order of a tensor with its channels first. It is a view in memory, where the channels are
last, only where both orders agree, as they do for one pixel or one channel.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Sizes = tuple[int, ...]


def memory_shape(shape: Sizes) -> tuple[int, int, int]:
    """(height, width, channels) of a tensor of shape (1, C), (1, C, L) or (1, C, ..., W)."""
    channels, *spatial = shape[1:]
    width = spatial[-1] if spatial else 1
    return (math.prod(spatial[:-1]), width, channels)


def memory_order(shape: Sizes) -> NDArray[np.int64]:
    """For each place in memory the position of its value in the file's order, both counted from 0."""
    places = np.arange(math.prod(shape[1:]), dtype=np.int64).reshape(shape[1:])
    return np.moveaxis(places, 0, -1).ravel()


def same_order(first: Sizes, second: Sizes) -> bool:
    """Whether two shapes of the same values have the same order in memory."""
    if first == second or (_is_flat(first) and _is_flat(second)):
        return True
    return bool(np.array_equal(memory_order(first), memory_order(second)))


def _is_flat(shape: Sizes) -> bool:
    """Whether memory has the file's order, since there is one channel or one pixel."""
    return shape[1] == 1 or math.prod(shape[2:]) == 1


def memory_axis(axis: int, rank: int) -> int:
    """Axis of (height, width, channels) that an axis of the file's tensor is.

    Args:
        axis: From 1 to rank - 1.
        rank: Of the file's tensor with its batch, at most 4.
    """
    if axis == 1:
        return 2
    return 1 if axis == rank - 1 else 0


def loops(places: NDArray[np.int64]) -> tuple[Sizes, Sizes] | None:
    """Nested loops that visit places in memory in some order.

    Args:
        places: The places, from 0 on; each once.

    Returns:
        Sizes of the loops, outermost first, and how far each goes in a step; None where there are no such loops.
    """
    sizes: list[int] = []
    steps: list[int] = []
    rest = places
    while len(rest) > 1:
        step = int(rest[1] - rest[0])
        steady = np.flatnonzero(np.diff(rest) != step)
        size = int(steady[0]) + 1 if len(steady) else len(rest)
        if len(rest) % size:
            return None
        blocks = rest.reshape(-1, size)
        if not np.array_equal(blocks, blocks[:, :1] + step * np.arange(size)):
            return None
        sizes.insert(0, size)
        steps.insert(0, step)
        rest = blocks[:, 0]
    return (tuple(sizes), tuple(steps)) if places[0] == 0 else None

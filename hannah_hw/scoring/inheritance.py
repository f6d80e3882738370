"""First weights of a candidate from those of another that was trained: what both have is taken over.

Weights belong together by their ids. Of each axis, the beginning is taken, of kernels the middle, as a weight-sharing
supernet does (`hannah_hw.executors.sharing`). What the candidate has beyond its parent is made so that it computes the
same as the parent, where that can be said of a weight alone (after Net2Net: Chen et al., ICLR 2016): inputs from new
channels and the rims of larger kernels begin at zero, new output channels at random, so that they are told apart; a
convolution that the parent does not have passes on what it is given, where it has as many channels behind as before.
So a candidate that is wider, has larger kernels, or is deeper by such convolutions behind a ReLU computes the function
of its parent in evaluation mode, but for the small constant of a new batch normalisation. A narrower one does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hannah_hw.errors import require
from hannah_hw.scoring.weights import State

if TYPE_CHECKING:
    from torch import Tensor, nn

Shapes = Mapping[str, tuple[int, ...]]


def inherit(module: nn.Module, parent: State) -> float:
    """Give a module the weights of a parent, in place.

    Args:
        module: With fresh weights, which remain where the parent has nothing to give.
        parent: Weights by id; see `hannah_hw.scoring.weights.load_weights`.

    Returns:
        Share of the module's trained values that are the parent's.
    """
    torch = require("torch", "train")
    trained = dict(module.named_parameters())
    taken = 0
    with torch.no_grad():
        for name, values in module.state_dict().items():
            if name not in parent:
                _pass_on(values)
                continue
            if parent[name].ndim != values.ndim:
                continue
            here, there = _common(tuple(values.shape), parent[name].shape)
            _silence(values, parent[name].shape)
            piece = torch.from_numpy(np.array(parent[name][there]))
            values[here] = piece.to(values.dtype)
            taken += piece.numel() if name in trained else 0
    return taken / max(1, sum(value.numel() for value in trained.values()))


def common_share(child: Shapes, parent: Shapes) -> float:
    """Share of the values of a candidate's weights that a parent can give; see `inherit`."""
    common = (
        math.prod(min(a, b) for a, b in zip(shape, parent[name], strict=True))
        for name, shape in child.items()
        if name in parent and len(parent[name]) == len(shape)
    )
    return sum(common) / max(1, sum(map(math.prod, child.values())))


def _kernel(axis: int, rank: int) -> bool:
    """Whether an axis runs over the positions of a kernel; weights of convolutions are (out, in, ...)."""
    return rank > 2 and axis > 1


def _common(child: tuple[int, ...], parent: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """What a weight and its parent's have in common: where it is in the one and in the other."""
    here: list[slice] = []
    there: list[slice] = []
    for axis, (mine, theirs) in enumerate(zip(child, parent, strict=True)):
        size = min(mine, theirs)
        middle = _kernel(axis, len(child))
        for slices, whole in ((here, mine), (there, theirs)):
            start = (whole - size) // 2 if middle else 0
            slices.append(slice(start, start + size))
    return tuple(here), tuple(there)


def _silence(values: Tensor, parent: tuple[int, ...]) -> None:
    """Zeros where a weight has inputs or a rim that its parent's has not."""
    rank = values.ndim
    if rank < 2:
        return
    # A fully connected weight is (in, out), that of a convolution (out, in, ...).
    outputs = 1 if rank == 2 else 0
    old = [slice(None)] * rank
    old[outputs] = slice(0, parent[outputs])
    kept = values[tuple(old)]
    for axis in range(rank):
        if axis == outputs or values.shape[axis] <= parent[axis]:
            continue
        start = (values.shape[axis] - parent[axis]) // 2 if _kernel(axis, rank) else 0
        kept.narrow(axis, 0, start).zero_()
        kept.narrow(axis, start + parent[axis], values.shape[axis] - start - parent[axis]).zero_()


def _pass_on(values: Tensor) -> None:
    """Make a new convolution pass on what it is given, where it has as many channels behind as before."""
    depthwise = values.ndim > 2 and values.shape[1] == 1
    if values.ndim <= 2 or not (depthwise or values.shape[0] == values.shape[1]):
        return
    middle = tuple(size // 2 for size in values.shape[2:])
    values.zero_()
    for channel in range(values.shape[0]):
        values[(channel, 0 if depthwise else channel, *middle)] = 1.0

"""The weights of a network without some of its channels, as slices of those of the unpruned network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import SpaceError
from hannah_hw.graph import Plan, PlanStep
from hannah_hw.operators import BatchNorm, Conv1d, Conv2d, Linear
from hannah_hw.spaces.declarative.problems import fail
from hannah_hw.spaces.declarative.residual import is_projection
from hannah_hw.spaces.declarative.rows import writes_channels

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Kept:
    """Which channels, or features, of a value are kept.

    Attributes:
        positions: Their positions in the unpruned network, ascending.
        full: How many the unpruned network has.
    """

    positions: Indices
    full: int

    @classmethod
    def whole(cls, full: int) -> Kept:
        """All of so many."""
        return cls(np.arange(full), full)

    def spread(self, size: int) -> Kept:
        """The features of channels that have so many values each."""
        return Kept((self.positions[:, None] * size + np.arange(size)).ravel(), self.full * size)


class Checkpoint:
    """The weights of the unpruned network, by the ids that the small network has.

    The ids of a space begin with its name; weights of a space with another name are taken for those of the same
    modules.

    Args:
        state: Id -> tensor.
        plan: The small network.
    """

    def __init__(self, state: Mapping[str, TorchTensor], plan: Plan) -> None:
        self._state = state
        self._used: set[str] = set()
        own, theirs = _root(plan.weights), _root(state)
        self._renamed = bool(own and theirs) and not any(name in state for name in plan.weights)
        self._roots = own, theirs

    def _find(self, weight: str) -> TorchTensor | None:
        own, theirs = self._roots
        return self._state.get(theirs + weight.removeprefix(own) if self._renamed else weight)

    def __contains__(self, weight: str) -> bool:
        return self._find(weight) is not None

    def width(self, convolutions: Sequence[str]) -> int:
        """The number of channels that some convolutions write in the unpruned network.

        Raises:
            SpaceError: They have no weights there, or do not agree (E_CHECKPOINT).
        """
        weights = [self._find(f"{name}.weight") for name in convolutions]
        widths = {weight.shape[0] if weight.ndim else 0 for weight in weights if weight is not None}
        if len(widths) != 1:
            raise _refused(
                f"it has {sorted(widths) or 'no weights'} for the output channels of {', '.join(convolutions)}; "
                "it must be that of the unpruned network"
            )
        return widths.pop()

    def taken(self, weight: str, axes: Sequence[Kept], shape: tuple[int, ...]) -> TorchTensor:
        """What the small network keeps of a weight.

        Args:
            weight: Its id.
            axes: What is kept along the first dimensions; of all others everything is.
            shape: In the small network.

        Raises:
            SpaceError: There is none, it has another shape, or a value that is no finite number (E_CHECKPOINT).
        """
        import torch

        value = self._find(weight)
        if value is None:
            raise _refused(f"it has no {weight}")
        if value.is_nested or value.is_meta or value.layout != torch.strided or not value.is_floating_point():
            raise _refused(f"{weight} is no plain tensor of real numbers but {value.dtype}, {value.layout}")
        expected = (*(axis.full for axis in axes), *shape[len(axes) :])
        if tuple(value.shape) != expected:
            raise _refused(f"{weight} is {tuple(value.shape)}, that of the unpruned network is {expected}")
        for axis, kept in enumerate(axes):
            value = value.index_select(axis, torch.from_numpy(kept.positions).to(value.device))
        if tuple(value.shape) != shape:
            raise _refused(f"{weight} becomes {tuple(value.shape)}, the network has {shape}")
        if not bool(value.isfinite().all()):
            raise _refused(f"{weight} has values that are no finite numbers")
        self._used.add(weight)
        return value.detach().clone()

    def check_all_used(self) -> None:
        """Refuse weights that the small network has no place for.

        Raises:
            SpaceError: There are some (E_CHECKPOINT).
        """
        own, theirs = self._roots
        used = {theirs + name.removeprefix(own) if self._renamed else name for name in self._used}
        rest = [name for name in self._state if name not in used]
        if rest:
            raise _refused(
                f"it has {len(rest)} weights that the small network has no place for: "
                f"{', '.join(rest[:4])}{', ...' if len(rest) > 4 else ''}"
            )


def _refused(text: str) -> SpaceError:
    return SpaceError(f"the checkpoint does not fit: {text}", code="E_CHECKPOINT")


def _root(names: Mapping[str, object]) -> str:
    """The first part of ids, dot included, if it is common to all."""
    roots = {name.partition(".")[0] for name in names}
    return f"{roots.pop()}." if len(roots) == 1 else ""


def sliced(plan: Plan, kept: Mapping[str, Indices], checkpoint: Checkpoint) -> dict[str, TorchTensor]:
    """The weights of the small network.

    Args:
        plan: The small network.
        kept: Convolution -> the positions of its output channels that are kept, ascending.
        checkpoint: The weights of the unpruned network.

    Raises:
        SpaceError: Channels that are added differ (E_MASK_NODE), or the checkpoint is not that of the unpruned
            network (E_CHECKPOINT).
    """
    channels = {data.id: Kept.whole(data.shape()[1]) for data in plan.inputs}
    shapes = {data.id: data.shape() for data in plan.inputs}
    #: Convolutions that stand for an identity of the unpruned network.
    picking: set[str] = set()
    result: dict[str, TorchTensor] = {}
    for step in plan.steps:
        name, source = step.op.id, step.data[0]
        for other in step.data[1:]:
            if not np.array_equal(channels[other].positions, channels[source].positions):
                text = f"keeps as many, but not the same channels of {source} and {other}, which are added"
                fail("E_MASK_NODE", "chn_node_mask", text)
        reads = channels[source]
        if len(step.shape) < len(shapes[source]) or isinstance(step.op, Linear):
            reads = reads.spread(int(np.prod(shapes[source][2:])))
        weights = {weight: plan.weights[weight].shape() for weight in step.operands if weight in plan.weights}
        absent = bool(weights) and not any(weight in checkpoint for weight in weights)
        if writes_channels(step):
            writes = Kept(kept[name], reads.full if absent else checkpoint.width([name]))
        else:
            writes = Kept.whole(step.shape[1]) if isinstance(step.op, Linear) else reads
        if absent and _is_picking(step, shapes[source]):
            result |= _picks(weights, reads, writes)
            picking.add(name)
        elif absent and source in picking and isinstance(step.op, BatchNorm):
            result |= _neutral(step.op, weights)
        else:
            for position, (weight, shape) in enumerate(weights.items()):
                result[weight] = checkpoint.taken(weight, _axes(step, position, reads, writes), shape)
        channels[name], shapes[name] = writes, step.shape
    checkpoint.check_all_used()
    return result


def _axes(step: PlanStep, position: int, reads: Kept, writes: Kept) -> tuple[Kept, ...]:
    """What is kept along the first dimensions of a weight of a step, counted from 0."""
    if isinstance(step.op, Linear):
        return (reads,) if position == 0 else ()
    if position == 0 and writes_channels(step):
        return writes, reads
    # Any other operator has one number for all channels, such as the range of a quantisation.
    return (writes,) if isinstance(step.op, BatchNorm | Conv1d | Conv2d) else ()


def _is_picking(step: PlanStep, read: tuple[int, ...]) -> bool:
    """Whether a step can stand for an identity of the unpruned network: a 1x1 convolution of a shortcut."""
    return is_projection(step.op.id) and writes_channels(step) and step.shape[2:] == read[2:]


def _picks(weights: Mapping[str, tuple[int, ...]], reads: Kept, writes: Kept) -> dict[str, TorchTensor]:
    """The weight of a 1x1 convolution that picks channels."""
    import torch

    ((name, shape),) = weights.items()
    picks = (writes.positions[:, None] == reads.positions).astype(np.float32)
    return {name: torch.from_numpy(picks.reshape(shape))}


def _neutral(op: BatchNorm, weights: Mapping[str, tuple[int, ...]]) -> dict[str, TorchTensor]:
    """The weights of a batch normalisation that changes nothing."""
    import torch

    values = (0.0, 1.0 - op.epsilon, 1.0, 0.0)
    return {
        name: torch.full(shape, value) for (name, shape), value in zip(weights.items(), values, strict=False)
    }

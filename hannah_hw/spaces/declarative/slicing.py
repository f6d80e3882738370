"""The weights of a network without some of its channels, as slices of those of the unpruned network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import SpaceError
from hannah_hw.graph import Plan, PlanStep
from hannah_hw.operators import BatchNorm, Conv1d, Conv2d, Linear
from hannah_hw.spaces.declarative.registry import fail
from hannah_hw.spaces.declarative.rows import writes_channels

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

Indices = NDArray[np.int64]


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

    def _name(self, weight: str) -> str:
        own, theirs = self._roots
        return theirs + weight.removeprefix(own) if self._renamed else weight

    def find(self, weight: str) -> TorchTensor | None:
        """A tensor, if there is one."""
        name = self._name(weight)
        self._used.add(name)
        return self._state.get(name)

    def width(self, convolutions: Sequence[str]) -> int:
        """The number of channels that some convolutions write in the unpruned network.

        Raises:
            SpaceError: They have no weights there, or do not agree (E_CHECKPOINT).
        """
        weights = [self._state.get(self._name(f"{name}.weight")) for name in convolutions]
        widths = {len(weight) for weight in weights if weight is not None}
        if len(widths) != 1:
            raise SpaceError(
                f"the checkpoint has {sorted(widths) or 'no weights'} for the output channels of "
                f"{', '.join(convolutions)}; it must be that of the unpruned network",
                code="E_CHECKPOINT",
            )
        return widths.pop()

    def check_all_used(self) -> None:
        """Refuse weights that the small network has no place for.

        Raises:
            SpaceError: There are some (E_CHECKPOINT).
        """
        rest = [name for name in self._state if name not in self._used]
        if rest:
            raise SpaceError(
                f"the checkpoint has {len(rest)} weights that the small network has no place for: "
                f"{', '.join(rest[:4])}{', ...' if len(rest) > 4 else ''}",
                code="E_CHECKPOINT",
            )


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
    channels: dict[str, Indices] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for data in plan.inputs:
        shapes[data.id] = data.shape()
        channels[data.id] = np.arange(data.shape()[1])
    result: dict[str, TorchTensor] = {}
    for step in plan.steps:
        source = step.data[0]
        for other in step.data[1:]:
            if not np.array_equal(channels[other], channels[source]):
                text = f"keeps as many, but not the same channels of {source} and {other}, which are added"
                fail("E_MASK_NODE", "chn_node_mask", text)
        reads = channels[source]
        if len(step.shape) < len(shapes[source]) or isinstance(step.op, Linear):
            size = int(np.prod(shapes[source][2:]))
            reads = (reads[:, None] * size + np.arange(size)).ravel()
        writes = kept[step.op.id] if writes_channels(step) else reads
        result |= _weights(step, reads, writes, checkpoint)
        channels[step.op.id] = np.arange(step.shape[1]) if isinstance(step.op, Linear) else writes
        shapes[step.op.id] = step.shape
    for name, value in result.items():
        if tuple(value.shape) != plan.weights[name].shape():
            raise SpaceError(
                f"{name} of the checkpoint becomes {tuple(value.shape)}, the network has {plan.weights[name].shape()}",
                code="E_CHECKPOINT",
            )
    checkpoint.check_all_used()
    return result


def _weights(
    step: PlanStep, reads: Indices, writes: Indices, checkpoint: Checkpoint
) -> dict[str, TorchTensor]:
    """The weights of one step.

    Args:
        step: The step.
        reads: Positions of the channels that it reads, or of the features.
        writes: Positions of the channels that it writes.
        checkpoint: The weights of the unpruned network.
    """
    names = [name for name in step.operands if name not in step.data]
    found = {name: checkpoint.find(name) for name in names}
    given = {name: value for name, value in found.items() if value is not None}
    if not given and names:
        return _neutral(step, names, reads, writes)
    if len(given) < len(names):
        missing = next(name for name in names if name not in given)
        raise SpaceError(f"the checkpoint has no {missing}", code="E_CHECKPOINT")
    result: dict[str, TorchTensor] = {}
    for position, (name, value) in enumerate(given.items()):
        if isinstance(step.op, Linear):
            result[name] = value[reads] if position == 0 else value.clone()
        elif value.ndim > 1:
            result[name] = value[writes][:, reads] if writes_channels(step) else value[writes]
        else:
            # One number for all channels, such as the range of a quantisation, stays.
            result[name] = value[writes] if len(value) > 1 else value.clone()
    return result


def _neutral(step: PlanStep, names: Sequence[str], reads: Indices, writes: Indices) -> dict[str, TorchTensor]:
    """The weights that stand for the identity of the unpruned network: channels are picked, and nothing is scaled."""
    import torch

    if isinstance(step.op, BatchNorm):
        mean, variance, *affine = names
        values = {mean: torch.zeros(len(writes)), variance: torch.full((len(writes),), 1.0 - step.op.epsilon)}
        return values | {name: torch.full((len(writes),), float(i == 0)) for i, name in enumerate(affine)}
    if (
        isinstance(step.op, Conv1d | Conv2d)
        and len(names) == 1
        and step.shape[2:] == step.op.operands[0].shape()[2:]
    ):
        kernel = step.op.operands[1].shape()[2:]
        if all(size == 1 for size in kernel):
            picks = torch.from_numpy((writes[:, None] == reads).astype(np.float32))
            return {names[0]: picks.reshape(*picks.shape, *(1 for _ in kernel))}
    raise SpaceError(f"the checkpoint has no weights of {step.op.id}", code="E_CHECKPOINT")

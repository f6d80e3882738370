"""The channels of a candidate that can be removed: which convolutions write them together.

A *node* row is for channels that several convolutions write: the first row is that of the first convolution, then
follows one for each group of convolutions that sums join. An *inner* row is for a convolution that no sum joins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hannah_hw import operators as ops
from hannah_hw.errors import SpaceError
from hannah_hw.graph import Plan, PlanStep
from hannah_hw.operators import Add, Conv1d, Conv2d, Linear, Mul

#: Operators that write each channel from the same channel of what they read.
_KEEPING: Final = (
    *(Add, Mul, Conv1d, Conv2d, Linear),
    *(ops.AdaptiveAvgPooling, ops.AvgPooling, ops.BatchNorm, ops.Dropout, ops.Flatten, ops.Identity),
    *(ops.MaxPooling, ops.Quantize, ops.Relu, ops.Relu6, ops.Sigmoid, ops.HardSigmoid, ops.HardSwish),
)


@dataclass(frozen=True)
class ChannelRows:
    """Ids of the convolutions that write the channels of each row, in order of execution.

    Attributes:
        node: Of channels between blocks.
        inner: Of channels inside of blocks.
    """

    node: Sequence[Sequence[str]]
    inner: Sequence[Sequence[str]]


def writes_channels(step: PlanStep) -> bool:
    """Whether a step is a convolution with channels of its own: not a depthwise one, which keeps those it reads.

    Raises:
        SpaceError: A convolution in groups that is not depthwise (E_PRUNE).
    """
    if not isinstance(step.op, Conv1d | Conv2d):
        return False
    groups, channels = step.op.groups, step.op.operands[0].shape()[1]
    if groups not in (1, channels):
        raise SpaceError(
            f"{step.op.id} has {groups} groups; channels are removed from ungrouped and depthwise convolutions only",
            code="E_PRUNE",
        )
    return bool(groups == 1)


def channel_rows(plan: Plan) -> ChannelRows:
    """The rows of a candidate.

    Raises:
        SpaceError: An operator that changes channels otherwise than by convolutions, or joins values otherwise than
            by sums and products (E_PRUNE).
    """
    writer: dict[str, str | None] = {value.id: None for value in plan.inputs}
    groups: dict[str, list[str]] = {}
    for step in plan.steps:
        name = step.op.id
        if writes_channels(step):
            groups[name] = [name]
            writer[name] = name
            continue
        sources = [source for operand in step.data if (source := writer[operand]) is not None]
        if sources and not isinstance(step.op, _KEEPING):
            raise SpaceError(
                f"{name} is a {type(step.op).__name__}; masks are for networks of convolutions whose values are joined "
                "by sums and products",
                code="E_PRUNE",
            )
        for other in sources[1:]:
            _join(groups, sources[0], other)
        writer[name] = None if isinstance(step.op, Linear) or not sources else sources[0]
    order = list(groups)
    first = order[:1]
    distinct = list({id(group): sorted(group, key=order.index) for group in groups.values()}.values())
    nodes = [group for group in distinct if len(group) > 1]
    inner = [group for group in distinct if len(group) == 1 and group != first]
    return ChannelRows([first, *([n for n in group if n not in first] for group in nodes)], inner)


def _join(groups: dict[str, list[str]], one: str, other: str) -> None:
    if groups[one] is not groups[other]:
        groups[one].extend(groups[other])
        for name in list(groups[other]):
            groups[name] = groups[one]

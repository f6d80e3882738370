"""Which buffer each value of a graph lies in, on which grid, and which clamp the kernel before it applies.

A kernel writes one buffer. Activations and scales that fold into it, and views, are later names of that buffer; the
grid that the buffer has is the one behind the last of those that compute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hannah_hw.errors import ModelError, UnsupportedError
from hannah_hw.firmware.arithmetic import to_steps
from hannah_hw.firmware.network.constants import Grid
from hannah_hw.graph import Node, Op
from hannah_hw.operators import Relu, Relu6, Scale
from hannah_hw.workload.rows import Row

#: Activation -> its range in real values.
RANGES: Final[Mapping[type[Op], tuple[float, float]]] = {Relu: (0.0, np.inf), Relu6: (0.0, 6.0)}


@dataclass
class Stored:
    """A buffer.

    Attributes:
        owner: The graph input or the operator whose kernel writes it.
        folded: Operators that the kernel computes as well, in their order.
        views: Later names of the same values.
    """

    owner: Node
    folded: list[Op] = field(default_factory=list)
    views: list[Op] = field(default_factory=list)

    @property
    def last(self) -> Node:
        """The node whose value the buffer holds."""
        return self.folded[-1] if self.folded else self.owner

    @property
    def factor(self) -> float:
        """The product of the scales that fold into the kernel."""
        return float(np.prod([number(op) for op in self.folded if isinstance(op, Scale)]))


def number(scale: Scale) -> float:
    """The number that a `Scale` multiplies with."""
    return float(np.float64(scale.factor) ** np.float64(scale.power))


def stored_values(order: Sequence[Node], kernels: frozenset[str], where: str) -> dict[int, Stored]:
    """For the id() of each node its buffer.

    Args:
        order: The graph in execution order.
        kernels: Ids of the operators that are kernels.
        where: Name of the file, for messages.

    Raises:
        UnsupportedError: An operator folds into a kernel in a way that integer kernels do not compute.
    """
    result: dict[int, Stored] = {}
    for node in order:
        if not isinstance(node, Op) or node.id in kernels:
            result[id(node)] = Stored(node)
            continue
        buffer = result[id(node)] = result[id(node.data_operands()[0])]
        row: Row = node.row()
        if row.part == "view":
            buffer.views.append(node)
        elif isinstance(node, Scale | Relu | Relu6):
            buffer.folded.append(node)
        elif row.part == "quantize":
            raise UnsupportedError(
                f"{where}: {node.id!r} keeps its value with bits of its own; firmware reads models whose values are "
                "quantised by QuantizeLinear, all to int8"
            )
        else:
            raise UnsupportedError(
                f"{where}: {node.id!r} ({row.kind}) stands by itself behind {buffer.owner.id!r}; fold it into the "
                "weights before the model is quantised"
            )
    return result


def grid_of(buffer: Stored, grids: Mapping[int, Grid], where: str) -> Grid | None:
    """The grid of a buffer, or None where no quantisation names one.

    Raises:
        ModelError: Its names have different ones.
    """
    found = {grids[id(node)] for node in (buffer.last, *buffer.views) if id(node) in grids}
    if len(found) > 1:
        raise ModelError(
            f"the value of {buffer.last.id!r} is quantised in two ways, before and behind a reshape; quantise it once",
            where=where,
        )
    if found:
        return found.pop()
    # A clamp behind a quantised value stays on that value's grid.
    if not any(isinstance(op, Scale) for op in buffer.folded):
        return grids.get(id(buffer.owner))
    return None


def clamp_of(buffer: Stored, grid: Grid, grids: Mapping[int, Grid]) -> tuple[int, int]:
    """Smallest and largest int8 value that a buffer's kernel writes.

    Args:
        buffer: The buffer.
        grid: Its grid.
        grids: Grids of the nodes.
    """
    ends = np.array([-np.inf, np.inf])
    for node in (buffer.owner, *buffer.folded):
        if isinstance(node, Scale):
            ends = ends * number(node)
        elif isinstance(node, Relu | Relu6):
            ends = ends.clip(*RANGES[type(node)])
        between = grids.get(id(node))
        if between is not None and node is not buffer.last:
            lowest, highest = (between.scale * (steps - between.zero_point) for steps in (-128, 127))
            ends = ends.clip(lowest, highest)
    low, high = to_steps(ends, grid.scale, grid.zero_point)
    return int(low), int(high)

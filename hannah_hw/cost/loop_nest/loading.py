"""Cycles before the first and after the last multiply-accumulate: on-loading and off-loading.

Partial sums take no part. Per port, a transfer that happens once takes its cycles, which may shrink down to those of
the innermost memory's tile: the rest hides in cycles that the computation leaves the port, the longest transfer first.
Those are (width - average bits a cycle of the transfers that happen more than once) / width of the computation. A
transfer between two memories takes as long as the slower of its two ports. A port that stalls less therefore leaves
less to hide behind, on every port: a faster memory may load a few cycles longer.

On-loading: for each of inputs and weights let a be the sum of transfers between ports that the other does not use,
s of those between ports that both use, h the outermost of the others. It is the shorter of the two orders,
s1 + max(s2 + h2 + a2, h1 + a1). Off-loading: the sum of the transfers of outputs.
"""

from __future__ import annotations

import numpy as np

from hannah_hw.cost.accelerators.layers import FloatArray
from hannah_hw.cost.loop_nest.boundaries import Boundaries
from hannah_hw.cost.loop_nest.levels import Levels, PortUse
from hannah_hw.cost.loop_nest.ports import Transfers

#: (level, outer boundary or not) -> (B,) cycles of the transfer that does not hide, and whether its port is mixed.
Loads = dict[tuple[int, bool], tuple[FloatArray, bool]]


def load_of_port(
    port: PortUse, uses: list[Transfers], boundaries: Boundaries, computing: FloatArray, loads: Loads
) -> None:
    """Add the transfers of one port.

    Args:
        port: The port.
        uses: What passes it.
        boundaries: Of the rows.
        computing: (B,) cycles of the temporal loops and their stalls.
        loads: Extended.
    """
    if not port.loads:
        return
    tables = boundaries.walk.tables
    busy: FloatArray | float = 0.0
    hidden: list[FloatArray | None] = []
    uses = [use for use in uses if use.stream.first]
    for use in uses:
        link, boundary = use.stream.link, use.boundary
        shrink: FloatArray | None = None
        if boundary.once_anywhere:
            least = tables.least_cycles(link.operand, port.max_bits)
            shrink = use.cycles - least.take(boundaries.index(link.operand, 1, moved=True))
            np.maximum(shrink, 0.0, out=shrink)
            if not boundary.once_everywhere:
                shrink *= boundary.once
        hidden.append(shrink)
        if not boundary.once_everywhere:
            bits = tables.crossing(link, True).take(boundaries.index(link.operand, link.boundary, moved=True))
            busy = busy + np.floor(bits / boundary.period) * ~boundary.once
    if any(shrink is not None for shrink in hidden):
        _limit(uses, hidden, np.maximum((port.max_bits - busy) / port.max_bits * computing, 0.0))
    for use, shrink in zip(uses, hidden, strict=True):
        shown = use.cycles if shrink is None else use.cycles - shrink
        loads[use.stream.link.level, use.stream.link.outer] = (shown, port.mixed)


def _limit(uses: list[Transfers], hidden: list[FloatArray | None], idle: FloatArray) -> None:
    """Cut what hides to the idle cycles, granting them to the longest transfer first, of equals to the earlier."""
    wanted = [(use, shrink) for use, shrink in zip(uses, hidden, strict=True) if shrink is not None]
    rows = np.flatnonzero(sum(shrink for _, shrink in wanted) > idle)
    if not len(rows):
        return
    left = idle[rows]
    lengths = np.stack([np.where(use.boundary.once[rows], use.cycles[rows], -1.0) for use, _ in wanted])
    parts = np.stack([shrink[rows] for _, shrink in wanted])
    numbers = np.arange(len(rows))
    for turn in np.argsort(-lengths, axis=0, kind="stable"):
        granted = np.minimum(parts[turn, numbers], left)
        parts[turn, numbers] = granted
        left -= granted
    for (_, shrink), part in zip(wanted, parts, strict=True):
        shrink[rows] = part


def onload(shape: Levels, loads: Loads) -> FloatArray:
    """(B,) cycles of on-loading."""
    both = []
    for operand in range(2):
        start = shape.starts[operand]
        separate: FloatArray | float = 0.0
        half: FloatArray | float = 0.0
        shared: FloatArray | float = 0.0
        for level in range(start, start + shape.depths[operand] - 1):
            (filled, inner), (read, outer) = loads[level, True], loads[level + 1, False]
            cycles = np.maximum(filled, read)
            if inner and outer:
                shared = shared + cycles
            elif not inner and not outer:
                separate = separate + cycles
            else:
                half = cycles
        both.append((shared, half + separate))
    (first, rest), (second, other) = both
    least: FloatArray = np.minimum(
        second + np.maximum(first + rest, other), first + np.maximum(second + other, rest)
    )
    return least


def offload(shape: Levels, loads: Loads) -> FloatArray | float:
    """(B,) cycles of off-loading."""
    start = shape.starts[2]
    total: FloatArray | float = 0.0
    for level in range(start, start + shape.depths[2] - 1):
        total = total + np.maximum(loads[level, True][0], loads[level + 1, False][0])
    return total

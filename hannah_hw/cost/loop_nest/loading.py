"""Cycles before the first and after the last multiply-accumulate: on-loading and off-loading.

Partial sums take no part. Per port, a transfer that happens once takes its cycles, which may shrink down to those of
the innermost memory's tile: the rest hides in cycles that the computation leaves the port, the longest transfer first.
Those are (width - average bits a cycle of the transfers that happen more than once) / width of the computation. A
transfer between two memories takes as long as the slower of its two ports.

On-loading: for each of inputs and weights let a be the sum of transfers between ports that the other does not use,
s of those between ports that both use, h the outermost of the others. It is the shorter of the two orders,
s1 + max(s2 + h2 + a2, h1 + a1). Off-loading: the sum of the transfers of outputs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    tables = boundaries.walk.tables
    shape = tables.shape
    busy = np.zeros_like(computing)
    shrink: list[FloatArray | None] = []
    once: list[NDArray[np.bool_]] = []
    uses = [use for use in uses if use.first]
    for use in uses:
        link = use.link
        single = use.count == 1
        once.append(single)
        if single.any():
            lowest = boundaries.above(shape.starts[link.operand]).state
            least = tables.least_cycles(link.operand, port.max_bits).take(
                boundaries.width(link.operand, 1, lowest, moved=True)
            )
            shrink.append(np.where(single, np.maximum(use.cycles - least, 0.0), 0.0))
        else:
            shrink.append(None)
        if not single.all():
            bits = tables.transfer(link).take(boundaries.index(link, moved=True))
            busy += np.where(single, 0.0, np.floor(bits / use.period))
    idle = np.maximum((port.max_bits - busy) / port.max_bits * computing, 0.0)
    _limit(uses, once, shrink, idle)
    for use, hidden in zip(uses, shrink, strict=True):
        shown = use.cycles if hidden is None else use.cycles - hidden
        loads[use.link.level, use.link.outer] = (shown, port.mixed)


def _limit(
    uses: list[Transfers],
    once: list[NDArray[np.bool_]],
    shrink: list[FloatArray | None],
    idle: FloatArray,
) -> None:
    """Cut what hides to the idle cycles, granting them to the longest transfer first, of equals to the earlier."""
    wanted = [(place, hidden) for place, hidden in enumerate(shrink) if hidden is not None]
    if not wanted:
        return
    rows = np.flatnonzero(sum(hidden for _, hidden in wanted) > idle)
    if not len(rows):
        return
    left = idle[rows].copy()
    lengths = np.stack([np.where(once[place][rows], uses[place].cycles[rows], -1.0) for place, _ in wanted])
    hidden = np.stack([hidden[rows] for _, hidden in wanted])
    order = np.argsort(-lengths, axis=0, kind="stable")
    numbers = np.arange(len(rows))
    for turn in order:
        granted = np.minimum(hidden[turn, numbers], left)
        hidden[turn, numbers] = granted
        left -= granted
    for (_, whole), part in zip(wanted, hidden, strict=True):
        whole[rows] = part


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

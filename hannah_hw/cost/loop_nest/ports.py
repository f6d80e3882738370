"""What passes each physical port: transfers that share its cycles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hannah_hw.cost.accelerators.layers import BoolArray, FloatArray
from hannah_hw.cost.loop_nest.boundaries import Boundaries, Boundary
from hannah_hw.cost.loop_nest.levels import PortUse, Stream


@dataclass(frozen=True)
class Transfers:
    """Periodic transfers of one operand at one boundary through one port, on B rows.

    Attributes:
        stream: The links.
        boundary: What they cross: when and how often.
        cycles: (B,) cycles that one takes.
        window: (B,) cycles in which it may happen.
        times: (B,) how often they happen: 2 where partial sums come back through the same port, 0 where there are
            none; None: once.
    """

    stream: Stream
    boundary: Boundary
    cycles: FloatArray
    window: FloatArray
    times: FloatArray | None


def transfers(port: PortUse, boundaries: Boundaries, ahead: dict[int, BoolArray]) -> list[Transfers]:
    """What passes a port.

    Args:
        port: The port.
        boundaries: Of the rows.
        ahead: Level -> whether it is loaded ahead, as from `buffering.loaded_ahead`.
    """
    tables = boundaries.walk.tables
    found = []
    for stream in port.streams:
        link = stream.link
        boundary = boundaries.at(link.operand, link.boundary)
        below = link.level if link.outer else link.level - 1
        window = boundary.period
        if link.boundary > 0 and below in ahead and not ahead[below].all():
            window = np.where(ahead[below], boundary.period, boundary.window)
        times: FloatArray | None = None
        if stream.returning:
            times = boundaries.partial_moved[link.boundary].astype(np.float64) + stream.first
        index = boundaries.index(link.operand, link.boundary, moved=True)
        found.append(Transfers(stream, boundary, tables.transfer_cycles(link).take(index), window, times))
    return found

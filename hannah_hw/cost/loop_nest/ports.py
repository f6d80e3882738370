"""What passes each physical port: transfers that share its cycles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hannah_hw.cost.accelerators.layers import BoolArray, FloatArray
from hannah_hw.cost.loop_nest.boundaries import Boundaries
from hannah_hw.cost.loop_nest.levels import Link, PortUse


@dataclass(frozen=True)
class Transfers:
    """Periodic transfers of one operand at one boundary through one port, on B rows.

    Attributes:
        link: Finished data or, where ``first`` is False, returning partial sums.
        cycles: (B,) cycles that one takes.
        window: (B,) cycles in which it may happen.
        period: (B,) cycles between two.
        count: (B,) of them over the layer.
        times: (B,) how often they happen: 2 where partial sums come back through the same port, 0 where there are
            none; None: once.
        first: Whether there are transfers other than returning partial sums.
    """

    link: Link
    cycles: FloatArray
    window: FloatArray
    period: FloatArray
    count: FloatArray
    times: FloatArray | None
    first: bool


def transfers(port: PortUse, boundaries: Boundaries, ahead: dict[int, BoolArray]) -> list[Transfers]:
    """What passes a port.

    Args:
        port: The port.
        boundaries: Of the rows.
        ahead: Level -> whether it is loaded ahead, as from `buffering.loaded_ahead`.
    """
    tables = boundaries.walk.tables
    groups: dict[tuple[int, bool], list[Link]] = {}
    for link in port.links:
        groups.setdefault((link.level, link.outer), []).append(link)
    found = []
    for links in groups.values():
        link = links[0]
        returning = any(other.partial for other in links)
        first = not all(other.partial for other in links)
        boundary = boundaries.of(link)
        below = link.level if link.outer else link.level - 1
        window = boundary.period
        if link.boundary > 0 and below in ahead:
            window = np.where(ahead[below], boundary.period, boundary.window)
        times = first + boundaries.partial_moved[link.boundary].astype(np.float64) if returning else None
        cycles = tables.transfer_cycles(link).take(boundaries.index(link, moved=True))
        found.append(Transfers(link, cycles, window, boundary.period, boundary.count, times, first))
    return found

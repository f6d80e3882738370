"""Cycles in which the array waits for a port during computation.

A transfer that takes longer than its window stalls the array each time. What the transfers of a port take within their
windows stalls it where it exceeds the union of the windows. With late = max(0, cycles - window)·(count - 1), stall =
sum of late + max(0, sum of (cycles·(count - 1) - late) - union of windows). Ports work side by side, the worst one
counts (the uniform latency model of Mei et al., DATE 2022).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hannah_hw.cost.accelerators.layers import FloatArray, IntArray
from hannah_hw.cost.loop_nest.ports import Transfers


def stall_of_port(uses: Sequence[Transfers], total: FloatArray) -> FloatArray:
    """(B,) stalls of one port.

    Args:
        uses: What passes it, at least one.
        total: (B,) cycles of the temporal loops.
    """
    if len(uses) == 1 and uses[0].times is None:
        only = uses[0]
        alone: FloatArray = np.maximum((only.cycles - only.window) * (only.boundary.count - 1), 0.0)
        return alone
    late = np.zeros_like(total)
    punctual = np.zeros_like(total)
    covered = np.zeros_like(total)
    for use in uses:
        again = use.boundary.count - 1
        busy = use.cycles * again
        windows = use.window * again
        happens = use.window * use.boundary.count
        if use.times is not None:
            busy *= use.times
            windows *= use.times
            happens *= use.times > 0
        windows = np.maximum(busy - windows, 0.0, out=windows)
        late += windows
        busy -= windows
        punctual += busy
        np.maximum(covered, happens, out=covered)
    # The union is at least the longest windows; where these fill their periods it is everything.
    extra = punctual - covered
    unsure = np.flatnonzero((extra > 0) & (covered < total))
    if len(unsure):
        extra[unsure] = punctual[unsure] - union_of_windows(uses, total, unsure)
    stall: FloatArray = late + np.maximum(extra, 0.0)
    return stall


def union_of_windows(uses: Sequence[Transfers], total: FloatArray, rows: IntArray) -> FloatArray:
    """Cycles in which at least one of some transfers may happen.

    A transfer may happen in the first ``window`` cycles of each period. Periods are products of inner loops of one
    ordering, so each divides the longer ones, and the cycles outside of all windows repeat with the longest.

    Args:
        uses: Transfers.
        total: (B,) cycles of the temporal loops.
        rows: Rows to look at, by position.
    """
    periods, windows = [], []
    for use in uses:
        happens = True if use.times is None else use.times[rows] > 0
        periods.append(np.where(happens, use.boundary.period[rows], 1.0))
        windows.append(np.where(happens, use.window[rows], 0.0))
    order = np.argsort(np.stack(periods), axis=0, kind="stable")
    period = np.take_along_axis(np.stack(periods), order, axis=0)
    window = np.take_along_axis(np.stack(windows), order, axis=0)
    free: list[FloatArray] = []
    within: list[FloatArray] = []

    def outside(depth: int, cycles: FloatArray) -> FloatArray:
        """Of the first some cycles, those outside of the windows of the ``depth`` shortest periods."""
        if depth == 0:
            return cycles
        inner = depth - 1
        periods_passed = np.floor(cycles / period[inner])
        rest = cycles - periods_passed * period[inner]
        started: FloatArray = np.where(rest > window[inner], outside(inner, rest) - within[inner], 0.0)
        found: FloatArray = periods_passed * free[inner] + started
        return found

    for depth in range(len(uses)):
        within.append(outside(depth, window[depth]))
        free.append(outside(depth, period[depth]) - within[depth])
    longest: FloatArray = period[-1]
    union: FloatArray = (longest - free[-1]) * (total[rows] / longest)
    return union

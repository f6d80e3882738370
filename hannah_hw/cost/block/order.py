"""The order in which the compiler runs the kernels of a network.

It goes from the outputs to the inputs and runs what leads to the last operand of an operation first (ethos-u-vela
5.2.0, found by compiling networks with branches). Kernels of this package's files have their operands in the order in
which they are written, so the branch that is written last runs first. A sum of sums is one from the left: the sum
within is the first operand, whenever it is written.
"""

from __future__ import annotations

import numpy as np

from hannah_hw.cost.block.operations import IntArray
from hannah_hw.workload.table import Buffers, Kernels, Workload


def execution_order(workload: Workload) -> IntArray:
    """(K,) kernel slots in the order in which the compiler runs them, for all candidates."""
    names = {name: k for k, name in enumerate(workload.kernels.names)}
    writers = [names.get(name, -1) for name in workload.buffers.names]
    kinds = workload.kernels.kinds
    operands: list[list[int]] = [[] for _ in workload.kernels.names]
    for k, row in enumerate(workload.reads):
        found = {writers[b] for b in np.flatnonzero(row)} - {k, -1}
        # The last operand's branch comes first.
        sums = {writer for writer in found if kinds[k] == kinds[writer] == "add"}
        operands[k] = sorted(found - sums, reverse=True) + sorted(sums, reverse=True)
    read = {writer for sources in operands for writer in sources}
    order: list[int] = []
    done = [False] * len(operands)
    for last in [k for k in range(len(operands)) if k not in read]:
        waiting = [(last, False)]
        while waiting:
            k, ready = waiting.pop()
            if ready:
                order.append(k)
            elif not done[k]:
                done[k] = True
                waiting.append((k, True))
                waiting += [(source, False) for source in reversed(operands[k]) if not done[source]]
    return np.array(order, np.int64)


def reordered(workload: Workload, order: IntArray) -> Workload:
    """The same candidates with their kernels in another order, and the lives of their buffers in that.

    Args:
        workload: P candidates with K kernels.
        order: (K,) slots; every kernel comes after those whose results it reads.
    """
    kernels, buffers = workload.kernels, workload.buffers
    active = kernels.active[:, order]
    reads = workload.reads[order]
    names = tuple(kernels.names[k] for k in order)
    slots = {name: k for k, name in enumerate(names)}
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    # A kernel reads a buffer of a candidate if it may, is active, and ran while the buffer was live.
    first, last = buffers.first.copy(), buffers.last.copy()
    for b, name in enumerate(buffers.names):
        writer = slots.get(name, -1)
        begin = np.full(workload.size, max(writer, 0))
        end = begin.copy()
        for k in np.flatnonzero(reads[:, b]):
            before = order[k]
            there = active[:, k] & (buffers.first[:, b] <= before) & (before <= buffers.last[:, b])
            end = np.where(there, np.maximum(end, k), end)
        end = np.where(buffers.output[:, b], len(order) - 1, end)
        first[:, b], last[:, b] = begin, np.maximum(end, begin)
    return Workload(
        Kernels(
            names,
            tuple(kernels.kinds[k] for k in order),
            active,
            {
                name: np.broadcast_to(column, kernels.active.shape)[:, order]
                for name, column in kernels.columns.items()
            },
        ),
        Buffers(buffers.names, buffers.kinds, buffers.bytes, first, last, buffers.output),
        reads,
        workload.exists,
    )

"""Results that take the memory of an operand: which kernels can, and what their buffers become.

Kernel k of a candidate writes over a buffer that it reads where the kernel allows it, the buffer's last use is k, it
is no output of the network, and both are of the same size. That k reads a buffer follows from the lifetimes: the last
use of a buffer other than k's own is k only if k reads it. The network's input may be overwritten. Where both operands
qualify, the one written first is taken. Chains are one buffer: its lifetime is that of all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hannah_hw.workload.table import Buffers, Workload

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Merged:
    """Buffers after merging.

    Attributes:
        buffers: Those that begin a chain live as long as it; the others have no bytes.
        roots: (P, B) index of the buffer that begins each buffer's chain: its own where it is no part of one.
        in_place: (P, K) whether the kernel writes over an operand.
    """

    buffers: Buffers
    roots: IntArray
    in_place: BoolArray


def merge(workload: Workload, allowed: BoolArray) -> Merged:
    """Let results take the memory of operands.

    Args:
        workload: P candidates with K kernels and B buffers.
        allowed: (P, K) whether the kernel may write over an operand.
    """
    buffers, active = workload.buffers, workload.kernels.active
    owners = {name: index for index, name in enumerate(buffers.names)}
    sizes, lasts = buffers.bytes.copy(order="K"), buffers.last.copy(order="K")
    roots = np.empty(sizes.shape[::-1], np.int64).T
    roots[:] = np.arange(len(buffers))
    in_place = np.zeros(active.shape[::-1], np.bool_).T
    for k, name in enumerate(workload.kernels.names):
        own = owners.get(name)
        if own is None:
            continue
        free = allowed[:, k] & active[:, k]
        if not free.any():
            continue
        bytes_ = buffers.bytes[:, own]
        for operand in np.flatnonzero(workload.reads[k]):
            takes = free & (buffers.last[:, operand] == k) & (buffers.bytes[:, operand] == bytes_)
            takes &= ~buffers.output[:, operand]
            takes &= bytes_ > 0
            rows = np.flatnonzero(takes)
            if operand == own or not len(rows):
                continue
            root = roots[rows, operand]
            roots[rows, own] = root
            lasts[rows, root] = np.maximum(lasts[rows, root], buffers.last[rows, own])
            sizes[rows, own] = 0
            in_place[rows, k] = True
            free &= ~takes
    merged = Buffers(buffers.names, buffers.kinds, sizes, buffers.first, lasts, buffers.output)
    return Merged(merged, roots, in_place)

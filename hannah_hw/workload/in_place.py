"""Results that take the memory of an operand: which kernels can, and what their buffers become.

Kernel k of a candidate writes over a buffer that it reads where the kernel allows it, the buffer's last use is k, it
is no output of the network, and both are of the same size. That k reads a buffer follows from the lifetimes: the last
use of a buffer other than k's own is k only if k reads it. The network's input may be overwritten. Where both operands
qualify, the one written first is taken, but for one that lies on an operand itself: then the one written last, so that
chains do not grow through whole networks, which leaves the planner more freedom. Chains are one buffer: its lifetime is
that of all of them together.
"""

from __future__ import annotations

from collections.abc import Mapping
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
        in_place: (P, K) whether the kernel writes over an operand.
    """

    buffers: Buffers
    in_place: BoolArray
    _roots: Mapping[int, NDArray[np.int16]]

    @property
    def roots(self) -> IntArray:
        """(P, B) index of the buffer that begins each buffer's chain: its own where it is no part of one."""
        roots = np.empty(self.buffers.bytes.shape, np.int64)
        roots[:] = np.arange(len(self.buffers))
        for buffer, root in self._roots.items():
            roots[:, buffer] = root
        return roots


def merge(workload: Workload, allowed: BoolArray) -> Merged:
    """Let results take the memory of operands.

    Args:
        workload: P candidates with K kernels and B buffers.
        allowed: (P, K) whether the kernel may write over an operand.
    """
    buffers, active = workload.buffers, workload.kernels.active
    owners = {name: index for index, name in enumerate(buffers.names)}
    count = len(buffers.bytes)
    # Tables are (B, P) here: each step treats one buffer of all candidates.
    bytes_, before = buffers.bytes.T, buffers.last.T
    sizes, lasts = np.array(bytes_, order="C"), np.array(before, order="C")
    in_place = np.zeros(active.shape[::-1], np.bool_)
    roots: dict[int, NDArray[np.int16]] = {}
    for k, name in enumerate(workload.kernels.names):
        own = owners.get(name)
        free = allowed[:, k] & active[:, k]
        if own is None or not free.any():
            continue
        operands = [b for b in np.flatnonzero(workload.reads[k]).tolist() if b != own]
        for operand, alone in [*((b, True) for b in operands), *((b, False) for b in operands[::-1])]:
            takes = before[operand] == k
            takes &= free
            if operand in roots and alone:
                takes &= roots[operand] == operand
            if not takes.any():
                continue
            takes &= (bytes_[operand] == bytes_[own]) & ~buffers.output[:, operand]
            rows = np.flatnonzero(takes)
            if own not in roots:
                roots[own] = np.full(count, own, np.int16)
            root = roots[operand][rows] if operand in roots else operand
            roots[own][rows] = root
            lasts[root, rows] = np.maximum(lasts[root, rows], before[own][rows])
            sizes[own][rows] = 0
            in_place[k] |= takes
            free &= ~takes
    merged = Buffers(buffers.names, buffers.kinds, sizes.T, buffers.first, lasts.T, buffers.output)
    return Merged(merged, in_place.T, roots)

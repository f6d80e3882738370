"""Sizes of arenas that hold buffers, results over operands and scratch memory, for whole populations at once.

The definition is `hannah_hw.workload.arena.plan_arena`; here only sizes are computed, moment by moment: a kernel runs
when the buffer that it writes begins to live.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hannah_hw.workload import packing
from hannah_hw.workload.in_place import merge
from hannah_hw.workload.moments import moments
from hannah_hw.workload.table import Buffers, Workload

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class ArenaSizes:
    """Sizes of the arenas of P candidates.

    Attributes:
        buffer_bytes: (P,) without scratch memory.
        arena_bytes: (P,) with it.
    """

    buffer_bytes: IntArray
    arena_bytes: IntArray


def arena_sizes(
    workload: Workload, in_place: BoolArray, scratch: IntArray, alignment: int, *, best: bool
) -> ArenaSizes | None:
    """Sizes of the arenas of `plan_arena`, or None where buffers do not fit words or their order is unusual.

    Args:
        workload: P candidates with K kernels.
        in_place: (P, K) whether a kernel may write over an operand.
        scratch: (P, K) bytes of scratch memory.
        alignment: Bytes, a power of two.
        best: Best fit, else first fit.
    """
    buffers = workload.buffers
    if not _usual(workload) or not packing.fits(buffers.bytes, buffers.last, alignment):
        return None
    merged = merge(workload, in_place)
    shared, least = _sizes(workload, merged.buffers, scratch, merged.in_place, alignment, best=best)
    # Fewer buffers may be placed worse, but never worse than to be larger than every plan without merging.
    again = np.flatnonzero(shared.arena_bytes > least)
    if len(again) and merged.in_place.any():
        some = _rows(workload, again)
        apart, _ = _sizes(some, some.buffers, scratch[again], None, alignment, best=best)
        worse = shared.arena_bytes[again] > apart.arena_bytes
        shared.buffer_bytes[again[worse]] = apart.buffer_bytes[worse]
        shared.arena_bytes[again[worse]] = apart.arena_bytes[worse]
    return shared


def _usual(workload: Workload) -> bool:
    """Whether every active kernel begins to write a buffer of its own, and inputs come first."""
    buffers, kernels = workload.buffers, workload.kernels
    if not len(buffers) or not len(kernels) or not workload.size:
        return False
    inputs = len(buffers) - len(kernels)
    if inputs < 0 or buffers.names[inputs:] != kernels.names:
        return False
    first = buffers.first[:1] if buffers.first.strides[0] == 0 else buffers.first
    slots = np.concatenate([np.zeros(inputs, np.int64), np.arange(len(kernels))])
    return bool((first == slots).all() and ((buffers.bytes[:, inputs:] > 0) == kernels.active).all())


def _rows(workload: Workload, rows: IntArray) -> Workload:
    """Buffers and activity of some candidates; the columns of the kernels are left as they are."""
    buffers = workload.buffers

    def take(table: NDArray[np.generic]) -> NDArray[np.generic]:
        return np.ascontiguousarray(table.T[:, rows]).T

    return Workload(
        workload.kernels,
        Buffers(
            buffers.names,
            buffers.kinds,
            take(buffers.bytes),  # type: ignore[arg-type]
            take(buffers.first),  # type: ignore[arg-type]
            take(buffers.last),  # type: ignore[arg-type]
            take(buffers.output),  # type: ignore[arg-type]
        ),
        workload.reads,
    )


def _sizes(
    workload: Workload,
    merged: Buffers,
    scratch: IntArray,
    in_place: BoolArray | None,
    alignment: int,
    *,
    best: bool,
) -> tuple[ArenaSizes, IntArray]:
    """Sizes with merged buffers, and (P,) bytes that no plan without merging can go below; 0 without."""
    buffers = workload.buffers
    count, inputs = len(merged.bytes), len(buffers) - scratch.shape[1]
    shift = alignment.bit_length() - 1
    arena, total, least = np.zeros((3, count), np.int64)
    asked, sizes = (np.ascontiguousarray(table.T).reshape(-1) for table in (scratch, buffers.bytes))
    over = None if in_place is None else np.ascontiguousarray(in_place.T).reshape(-1)
    present = buffers.bytes > 0
    for part in moments(
        merged.bytes, merged.first, merged.last, shift, present, best=best, sums=over is not None
    ):
        # What begins is the buffer of a kernel, which asks for scratch memory, or an input, which does not.
        kernel = (part.index >= inputs) & ~part.absent
        place = part.index * count + part.lanes
        slot = place - inputs * count
        wanted = asked.take(slot, mode="clip") * kernel
        held = part.arena << shift
        reached = (part.tops << shift) + wanted
        arena[part.lanes] = held
        total[part.lanes] = np.maximum(held, (reached * (wanted > 0)).max(axis=0))
        if over is None:
            continue
        # Without merging, both the operand and the result are live at a kernel that writes over its operand.
        live = (part.live << shift) + wanted
        twice = np.flatnonzero(over.take(slot, mode="clip") & kernel)
        live.reshape(-1)[twice] += (sizes[place.reshape(-1)[twice]] + (alignment - 1)) & -alignment
        least[part.lanes] = live.max(axis=0)
    return ArenaSizes(arena, total), least

"""Intervals of kernels during which buffers take memory, for many candidates at once.

Tables are (B, P) or (K, P): B buffers or K kernels of P candidates. Loops go over buffers, never over candidates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def raised(sizes: IntArray, first: IntArray, last: IntArray, moments: int) -> IntArray:
    """(K, P) sum of the sizes of the buffers that are live at each moment.

    Args:
        sizes: (B, P).
        first: (B, P) first moment of each buffer.
        last: (B, P) last one.
        moments: K.
    """
    count = sizes.shape[1]
    columns, places = np.arange(count), (moments + 1) * count
    weights = sizes.reshape(-1)
    begun = np.bincount((first * count + columns).reshape(-1), weights, places)
    ended = np.bincount(((last + 1) * count + columns).reshape(-1), weights, places)
    change: IntArray = (begun - ended).astype(np.int64).reshape(moments + 1, count)
    return change.cumsum(axis=0)[:-1]


def peaks(taken: IntArray) -> IntArray:
    """(P,) the most that is taken at any moment."""
    most: IntArray = taken.max(axis=0, initial=0)
    return most


def resident(
    sizes: IntArray,
    first: IntArray,
    last: IntArray,
    allowed: BoolArray,
    saved: IntArray,
    capacity: IntArray,
) -> BoolArray:
    """(B, P) which buffers are kept, so that no moment has more than the capacity.

    Args:
        sizes: (B, P) what a buffer takes.
        first: (B, P) first moment of each buffer.
        last: (B, P) last one.
        allowed: (B, P) whether it may be kept at all.
        saved: (B, P) what it saves to keep it.
        capacity: (P,) what there is.
    """
    moments = int(last.max(initial=0)) + 1
    kept = allowed.copy()
    everything = peaks(raised(np.where(allowed, sizes, 0), first, last, moments))
    rows = np.flatnonzero(everything > capacity)
    if len(rows):
        kept[:, rows] = _chosen(
            sizes[:, rows],
            first[:, rows],
            last[:, rows],
            allowed[:, rows],
            saved[:, rows],
            capacity[rows],
            moments,
        )
    return kept


def _chosen(
    sizes: IntArray,
    first: IntArray,
    last: IntArray,
    allowed: BoolArray,
    saved: IntArray,
    capacity: IntArray,
    moments: int,
) -> BoolArray:
    """The same, where not all that is allowed fits: in the order of what each saves."""
    order = np.argsort(np.where(allowed, -saved, 1), axis=0, kind="stable")
    count = sizes.shape[1]
    columns, time = np.arange(count), np.arange(moments)[:, None]
    kept = np.zeros_like(allowed)
    taken = np.zeros((moments, count), np.int64)
    for index in order:
        size = sizes[index, columns]
        during = (first[index, columns] <= time) & (time <= last[index, columns])
        most = np.where(during, taken, 0).max(axis=0)
        fits = allowed[index, columns] & (most + size <= capacity)
        kept[index, columns] = fits
        taken += during * (size * fits)
    return kept

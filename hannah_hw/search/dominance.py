"""Constrained Pareto dominance and crowding, on whole arrays.

After Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE Transactions on
Evolutionary Computation 6(2), 2002.

Everything is minimised. A candidate without violation dominates any candidate with one; of two with a
violation the smaller dominates; of two without, the usual Pareto order decides.
"""

from __future__ import annotations

import numpy as np

from hannah_hw.search.protocols import BoolArray, FloatArray, IntArray


def dominates(objectives: FloatArray, violation: FloatArray | None = None) -> BoolArray:
    """The dominance matrix.

    Args:
        objectives: (N, M) values, minimised.
        violation: (N,) total constraint violation, 0 where feasible; None: all feasible.

    Returns:
        (N, N); entry [i, j] says that i dominates j.
    """
    count = len(objectives)
    no_worse = np.ones((count, count), bool)
    better = np.zeros((count, count), bool)
    for column in objectives.T:
        no_worse &= column[:, None] <= column
        better |= column[:, None] < column
    matrix: BoolArray = no_worse & better
    if violation is not None and violation.any():
        free = violation == 0
        matrix &= free[:, None] & free
        matrix |= violation[:, None] < violation
    return matrix


def sort_fronts(objectives: FloatArray, violation: FloatArray | None = None) -> IntArray:
    """(N,) constrained non-dominated rank of every row; 0 is the front. See `dominates` for the arguments."""
    matrix = dominates(objectives, violation)
    above = matrix.sum(axis=0)
    rank = np.full(len(objectives), -1, np.int64)
    level = 0
    while True:
        front = (rank < 0) & (above == 0)
        if not front.any():
            return rank
        rank[front] = level
        above = above - matrix[front].sum(axis=0)
        level += 1


def crowding(objectives: FloatArray, rank: IntArray) -> FloatArray:
    """(N,) crowding distance inside each rank; infinite at the ends of every objective.

    Distances are divided by the extent of the objective within the rank (section III-B of the paper). Rows
    that hold a non-finite objective get 0: they are failures, and no neighbourhood of theirs is worth keeping.

    Args:
        objectives: (N, M) values.
        rank: (N,) result of `sort_fronts`.
    """
    distance = np.zeros(len(objectives))
    finite = np.isfinite(objectives).all(axis=1)
    rows = np.flatnonzero(finite)
    if not len(rows):
        return distance
    ranks = rank[rows]
    inside = np.zeros(len(rows))
    # Sorted by rank first, every rank lies in the same places whatever the objective.
    level = np.sort(ranks)
    starts = np.flatnonzero(np.concatenate([[True], level[1:] != level[:-1]]))
    ends = np.concatenate([starts[1:], [len(level)]]) - 1
    middle = np.ones(len(rows), bool)
    middle[starts] = middle[ends] = False
    at = np.flatnonzero(middle)
    for column in objectives[rows].T:
        order = np.lexsort((column, ranks))
        value = column[order]
        extent = np.repeat(value[ends] - value[starts], ends - starts + 1)[at]
        gap = np.full(len(rows), np.inf)
        with np.errstate(invalid="ignore", divide="ignore"):
            gap[at] = np.where(extent > 0, (value[at + 1] - value[at - 1]) / extent, 0.0)
        inside[order] += gap
    distance[rows] = inside
    return distance


def pareto_mask(objectives: FloatArray) -> BoolArray:
    """(N,) which rows no other row dominates. Equal rows are kept together; rows with a NaN or inf are not kept.

    Rows are visited in order of their sum, so that each survivor removes as many as possible; the cost is
    about the size of the front times N, without the N x N matrix of `sort_fronts`.
    """
    mask: BoolArray = np.asarray(np.isfinite(objectives).all(axis=1))
    alive = np.flatnonzero(mask)
    if not len(alive):
        return mask
    alive = alive[np.lexsort((*objectives[alive].T, objectives[alive].sum(axis=1)))]
    position = 0
    while position < len(alive):
        values, pivot = objectives[alive], objectives[alive[position]]
        keep = (values < pivot).any(axis=1) | (values == pivot).all(axis=1)
        position = int(keep[:position].sum()) + 1
        alive = alive[keep]
    mask[:] = False
    mask[alive] = True
    return mask

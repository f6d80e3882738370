"""Exact hypervolume: the volume that a set of points dominates inside the box below a reference point.

Everything is minimised. One to three objectives are swept directly; four and more use the recursion of
While, Bradstreet and Barone, "A fast way of calculating exact hypervolumes", IEEE Transactions on Evolutionary
Computation 16(1), 2012 (WFG), with the three-objective sweep as its base case.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np

from hannah_hw.search.dominance import pareto_mask
from hannah_hw.search.protocols import FloatArray

#: How far beyond the worst point the reference lies, as a share of that point's magnitude.
REFERENCE_MARGIN = 0.1


def hypervolume(points: FloatArray, reference: FloatArray) -> float:
    """Volume dominated by the points.

    Args:
        points: (N, M) objectives, minimised, M >= 1. Points that do not beat the reference in every objective
            add nothing; neither do dominated or non-finite ones.
        reference: (M,) the far corner of the box.
    """
    points = np.asarray(points, float).reshape(-1, len(reference))
    inside = np.isfinite(points).all(axis=1) & (points < reference).all(axis=1)
    points = points[inside]
    points = np.unique(points[pareto_mask(points)], axis=0)
    return _volume(points, np.asarray(reference, float))


def reference_point(points: FloatArray) -> FloatArray:
    """The reference that a run fixes once, from the first results it has.

    It is the worst value of each objective plus `REFERENCE_MARGIN` of that value's magnitude (or of 1 where the
    value is 0), so that the ends of the front count. It must not move during a run, or the history would not
    grow.

    Args:
        points: (N, M) objectives of feasible candidates, N >= 1, minimised.
    """
    worst = points.max(axis=0)
    magnitude = np.where(worst == 0, 1.0, np.abs(worst))
    reference: FloatArray = worst + REFERENCE_MARGIN * magnitude
    return reference


def relative_hypervolume(points: FloatArray, reference: FloatArray) -> float:
    """Hypervolume in units of the reference: each objective is divided by the reference's magnitude.

    With objectives that cannot be negative this is the dominated share of the box between 0 and the reference.
    """
    scale = np.where(reference == 0, 1.0, np.abs(reference))
    return hypervolume(np.asarray(points, float).reshape(-1, len(reference)) / scale, reference / scale)


def _volume(points: FloatArray, reference: FloatArray) -> float:
    """Volume of mutually non-dominated, distinct points inside the box."""
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(reference[0] - points.min())
    if points.shape[1] == 2:
        return _sweep2(points, reference)
    if points.shape[1] == 3:
        return _sweep3(points, reference)
    return _recurse(points, reference)


def _sweep2(points: FloatArray, reference: FloatArray) -> float:
    order = np.argsort(points[:, 0], kind="stable")
    x, y = points[order].T
    ceiling = np.r_[reference[1], np.minimum.accumulate(y)[:-1]]
    return float(((reference[0] - x) * np.maximum(ceiling - y, 0.0)).sum())


def _sweep3(points: FloatArray, reference: FloatArray) -> float:
    """Slices along the third objective; the staircase of the first two is kept sorted, y negated."""
    top_x, top_y, top_z = (float(v) for v in reference)
    xs, lows = [-np.inf, top_x], [-top_y, np.inf]
    area = total = 0.0
    previous = 0.0
    for x, y, z in points[np.argsort(points[:, 2], kind="stable")].tolist():
        total += area * (z - previous)
        previous = z
        i = bisect_right(xs, x)
        if lows[i - 1] >= -y:
            continue
        if xs[i - 1] == x:
            i -= 1
        # Steps [i, j) lie right of and above the new point: it replaces them.
        j = bisect_left(lows, -y, lo=i)
        edge, height = x, -lows[i - 1]
        for k in range(i, j):
            area += (xs[k] - edge) * (height - y)
            edge, height = xs[k], -lows[k]
        area += (xs[j] - edge) * (height - y)
        xs[i:j], lows[i:j] = [x], [-y]
    return total + area * (top_z - previous)


def _recurse(points: FloatArray, reference: FloatArray) -> float:
    """WFG: a point's box minus what the later points take of it, summed over the points."""
    points = points[np.argsort(points[:, -1], kind="stable")[::-1]]
    boxes = np.prod(reference - points, axis=1)
    total = 0.0
    for index, (point, box) in enumerate(zip(points, boxes, strict=True)):
        limited = np.maximum(points[index + 1 :], point)
        # The later points are no worse in the last objective, so the limit is flat there: one dimension less.
        flat = np.unique(limited[:, :-1], axis=0)
        shared = _volume(flat[pareto_mask(flat)], reference[:-1]) * (reference[-1] - point[-1])
        total += float(box) - shared
    return total

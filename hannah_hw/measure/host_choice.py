"""Which kernels are profiled, where there are too many: few that stand for all.

Kernels that one law predicts are one class here: a law none of whose kernels is profiled predicts nothing. The first
ones of a class are those in the middle of clusters of its kernels, by their physical terms; each kind of work that a
kernel can do is among them, and the least and the most work. Later ones are where what was fitted so far is least sure
of the networks' latencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.host.kernels import HostKernel
from hannah_hw.host.model import HostModel, law_name
from hannah_hw.host.table import KernelTable
from hannah_hw.host.terms import terms

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Fewest kernels of a class, if there are so many.
LEAST: Final = 3
#: Steps of Lloyd's algorithm.
_STEPS: Final = 25


def choose(
    kernels: Sequence[HostKernel],
    count: int,
    *,
    taken: NDArray[np.bool_],
    weights: FloatArray | None = None,
    seed: int = 0,
) -> list[int]:
    """Kernels to profile next.

    Args:
        kernels: N different kernels of any classes.
        count: How many at most.
        taken: (N,) which are profiled already.
        weights: (N,) the variance that each brings, not negative. A class gets kernels by the root of its sum (Neyman's
            allocation). None: by the root of its number of kernels, and those in the middle of clusters.
        seed: Of the clusters.

    Returns:
        Ascending indices of kernels that are not taken.
    """
    by_class: dict[str, list[int]] = {}
    for index, kernel in enumerate(kernels):
        by_class.setdefault(law_name(kernel), []).append(index)
    members = [np.array(found, np.int64) for _, found in sorted(by_class.items())]
    free = np.array([int((~taken[found]).sum()) for found in members])
    if weights is None:
        importance = np.sqrt([len(found) for found in members])
    else:
        importance = np.sqrt([float(weights[found][~taken[found]].sum()) for found in members])
    least = np.array([max(0, LEAST - int(taken[found].sum())) for found in members])
    shares = allocate(free, importance, min(count, int(free.sum())), least)
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for found, share in zip(members, shares.tolist(), strict=True):
        if share:
            mine = None if weights is None else weights[found]
            picked = _pick(terms([kernels[i] for i in found]).work, share, taken[found], mine, rng)
            chosen.extend(found[picked].tolist())
    return sorted(chosen)


def weights_of(table: KernelTable, model: HostModel) -> FloatArray:
    """(M,) how much of the relative variance of all networks each kernel brings.

    Squares let a kernel that few networks have, but hang on, count more than one that hardly matters to many. A kernel
    without a prediction brings as much as the worst of the others.
    """
    found = model.predict(table.kernels)
    spread = found.seconds * found.deviation
    total = np.maximum(model.run_seconds + table.sums(np.nan_to_num(found.seconds)), 1e-9)
    shares = spread[table.which] / total[table.network]
    weights = np.bincount(table.which, shares**2, len(table.kernels))
    worst = float(np.nanmax(weights, initial=1e-9))
    known: FloatArray = np.nan_to_num(weights, nan=worst)
    return known


def allocate(sizes: IntArray, importance: FloatArray, total: int, least: IntArray) -> IntArray:
    """How many of each of C classes are taken.

    Args:
        sizes: (C,) how many there are.
        importance: (C,) in proportion to which they are shared, not negative.
        total: How many are taken, at most the sum of `sizes`.
        least: (C,) how many each class gets first, the most important class first.

    Returns:
        (C,), at most `sizes`, with the sum `total`.
    """
    shares = np.zeros(len(sizes), np.int64)
    first = np.argsort(-importance, kind="stable")
    for index in first:
        shares[index] = min(sizes[index], least[index], total - shares.sum())
    # One after another to the class that has least of what is due to it (Webster's method of dividing seats).
    while shares.sum() < total:
        quotient = np.where(shares < sizes, (importance + 1e-12) / (2 * shares + 1), -1.0)
        shares[int(quotient.argmax())] += 1
    return shares


def _pick(
    work: FloatArray,
    count: int,
    taken: NDArray[np.bool_],
    weights: FloatArray | None,
    rng: np.random.Generator,
) -> IntArray:
    """Kernels of one class.

    Args:
        work: (N, T) of terms.
        count: How many, at most as many as are not taken.
        taken: (N,) which are profiled already.
        weights: (N,) by how much each matters; None: clusters decide alone.
        rng: Of the clusters.

    Returns:
        (count,) indices.
    """
    features = _standardised(np.log1p(work))
    matters = np.ones(len(work)) if weights is None else weights
    chosen: list[int] = []
    known = taken.copy()

    def take(candidates: IntArray, score: FloatArray) -> None:
        if len(candidates) and len(chosen) < count:
            chosen.append(int(candidates[score[candidates].argmax()]))
            known[chosen[-1]] = True

    size = features.sum(axis=1)
    if not taken.any():
        take(np.flatnonzero(~known), size)
        take(np.flatnonzero(~known), -size)
    for kind in work.T > 0:
        if kind.any() and not kind[known].any():
            take(np.flatnonzero(kind & ~known), matters)
    rest = np.flatnonzero(~known)
    clusters = min(count - len(chosen), len(rest))
    if clusters:
        centres, nearest = _clusters(features[rest], matters[rest], clusters, rng)
        distance = ((features[rest] - centres[nearest]) ** 2).sum(axis=1)
        score = -distance if weights is None else matters[rest]
        order = np.lexsort((-score, nearest))
        heads = order[np.r_[True, np.diff(nearest[order]) > 0]]
        chosen.extend(rest[heads].tolist())
        left = np.setdiff1d(rest, chosen)  # an empty cluster gives its place to what matters most
        missing = count - len(chosen)
        chosen.extend(left[np.argsort(-matters[left], kind="stable")[:missing]].tolist())
    return np.array(chosen, np.int64)


def _standardised(features: FloatArray) -> FloatArray:
    """Columns of mean 0 and deviation 1; constant ones are 0."""
    deviation = features.std(axis=0)
    result: FloatArray = (features - features.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return result


def _clusters(
    points: FloatArray, weights: FloatArray, count: int, rng: np.random.Generator
) -> tuple[FloatArray, IntArray]:
    """Weighted k-means with seeds by k-means++ (Arthur and Vassilvitskii, SODA 2007), then Lloyd's algorithm.

    Args:
        points: (N, F).
        weights: (N,), not negative.
        count: Clusters, at most N.
        rng: Of the seeds.

    Returns:
        (count, F) centres and (N,) the nearest one of each point.
    """
    mass = weights + 1e-9 * max(float(weights.max()), 1e-30)
    centres = [points[rng.choice(len(points), p=mass / mass.sum())]]
    distance = ((points - centres[0]) ** 2).sum(axis=1)
    while len(centres) < count:
        chance = mass * distance
        total = float(chance.sum())
        index = rng.choice(len(points), p=chance / total) if total > 0 else len(centres) % len(points)
        centres.append(points[index])
        distance = np.minimum(distance, ((points - points[index]) ** 2).sum(axis=1))
    found = np.array(centres)
    nearest = np.zeros(len(points), np.int64)
    for _ in range(_STEPS):
        nearest = ((points[:, None] - found[None]) ** 2).sum(axis=2).argmin(axis=1)
        share = np.bincount(nearest, mass, count)
        used = share > 0
        for axis in range(points.shape[1]):
            sums = np.bincount(nearest, mass * points[:, axis], count)
            found[used, axis] = sums[used] / share[used]
    return found, nearest

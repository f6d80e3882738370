"""Front, knee and growth of the front of points that are all to be minimised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hannah_hw.search.dominance import pareto_mask
from hannah_hw.search.hypervolume import reference_point, relative_hypervolume

#: Changes of a front that are kept of its growth; a drawing shows no more, and each costs a hypervolume.
MAX_ENTRIES: Final = 400


@dataclass(frozen=True)
class History:
    """How the front grew.

    Attributes:
        evaluations: Number of candidates evaluated when the front changed, and at the end; of very many changes, every
            second, fourth, ...
        hypervolume: Volume the front dominates, in units of the reference point; see
            `hannah_hw.search.hypervolume.relative_hypervolume`.
        front_size: Candidates on the front; of equal ones, all.
        reference: The reference point, one coordinate an objective.
    """

    evaluations: tuple[int, ...]
    hypervolume: tuple[float, ...]
    front_size: tuple[int, ...]
    reference: tuple[float, ...]


def front_indices(points: Sequence[Sequence[float]]) -> list[int]:
    """Positions of the non-dominated points, sorted by the coordinates; of equal points, all.

    Args:
        points: P points of M coordinates.
    """
    if not points:
        return []
    mask = pareto_mask(np.asarray(points, dtype=np.float64))
    return sorted(np.flatnonzero(mask).tolist(), key=lambda i: (tuple(points[i]), i))


def history(
    points: Sequence[Sequence[float]],
    positions: Sequence[int],
    total: int,
    reference: Sequence[float] | None = None,
) -> History:
    """Hypervolume and size of the front after every change of it.

    Args:
        points: Scored points in the order of evaluation.
        positions: For each point, the number of candidates evaluated before it.
        total: Number of candidates in the run.
        reference: The reference point, minimised; by default one beyond the worst of all points.
    """
    if not points:
        return History((), (), (), ())
    array = np.asarray(points, dtype=np.float64)
    corner = reference_point(array) if reference is None else np.asarray(reference, dtype=np.float64)
    entries: list[tuple[int, float, int]] = []
    front = np.empty((0, array.shape[1]))
    changes, step, last = 0, 1, 0
    for point, position in zip(array, positions, strict=True):
        if ((front <= point).all(axis=1) & (front < point).any(axis=1)).any():
            continue
        beaten = (front >= point).all(axis=1) & (front > point).any(axis=1)
        front = np.vstack([front[~beaten], point])
        changes, last = changes + 1, position + 1
        if changes % step == 0:
            entries.append((last, relative_hypervolume(front, corner), len(front)))
        if len(entries) > MAX_ENTRIES:
            entries, step = entries[1::2], 2 * step
    if entries[-1][0] != last:
        entries.append((last, relative_hypervolume(front, corner), len(front)))
    evaluations, volumes, sizes = (list(column) for column in zip(*entries, strict=True))
    if evaluations[-1] != total:
        evaluations.append(total)
        volumes.append(volumes[-1])
        sizes.append(sizes[-1])
    return History(tuple(evaluations), tuple(volumes), tuple(sizes), tuple(corner.tolist()))

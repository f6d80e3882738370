"""Preferences: the values that a user hopes for in some of the objectives, and the knee for those who hope for none.

A search that has one looks for candidates that reach all of them, and for the front among these; while none does, for
those that fall short least. The algorithm sees that as violations smaller than those of any constraint, so it works
with every algorithm (compare g-dominance: Molina et al., "g-dominance: Reference point based dominance for
multiobjective metaheuristics", European Journal of Operational Research 197, 2009). What is feasible, and the front of
the run, do not depend on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from hannah_hw.search.metrics import Goals
from hannah_hw.search.protocols import FloatArray

#: Weight of the sum in the achievement function, which tells apart points of one largest shortfall.
AUGMENTATION: Final = 0.05


def shortfalls(goals: Goals, objectives: FloatArray) -> FloatArray:
    """(P, M) signed relative distance to what is hoped for, <= 0 where it is reached; NaN without a hope or a value.

    Args:
        goals: With `Goals.aspirations`.
        objectives: (P, M) minimised.
    """
    hoped = goals.hoped
    distance: FloatArray = (objectives - hoped) / np.where(hoped == 0, 1.0, np.abs(hoped))
    return distance


def preferred_violation(goals: Goals, objectives: FloatArray, violation: FloatArray) -> FloatArray:
    """(P,) violations as an algorithm is told them: below 1 where only hopes are missed, above 1 where constraints are.

    Args:
        goals: With or without `Goals.aspirations`; without, the violations are returned as they are.
        objectives: (P, M) minimised; an unknown one counts as reached.
        violation: (P,) of the constraints.
    """
    if not goals.aspirations:
        return violation
    missed = np.maximum(np.nan_to_num(shortfalls(goals, objectives), posinf=0.0, neginf=0.0), 0.0).sum(axis=1)
    return np.where(violation > 0, 1.0 + violation, missed / (1.0 + missed))


def achievement(goals: Goals, objectives: FloatArray) -> FloatArray:
    """(P,) how far each point of a front is from what is hoped for; the smallest is the preferred one.

    The augmented achievement function of Wierzbicki, "The use of reference objectives in multiobjective
    optimization" (1980): the largest shortfall, each objective scaled by its extent over the points, and a little of
    their sum. Objectives without a hope are hoped to be the best of the points. It is negative where all is reached.

    Args:
        goals: With `Goals.aspirations`.
        objectives: (P, M) minimised, finite.
    """
    hoped = np.where(np.isnan(goals.hoped), objectives.min(axis=0), goals.hoped)
    extent = np.ptp(objectives, axis=0)
    distance = (objectives - hoped) / np.where(extent > 0, extent, 1.0)
    result: FloatArray = distance.max(axis=1) + AUGMENTATION * distance.sum(axis=1)
    return result


def knee_index(front: Sequence[Sequence[float]] | FloatArray) -> int | None:
    """Position of the knee: the point of the front farthest from the plane through its extremes.

    Every objective is scaled to [0, 1] over the front; the plane through the extremes is then the one on
    which the coordinates have a constant sum, and the farthest point towards the ideal is the one with the
    smallest sum (Das, "On characterizing the 'knee' of the Pareto curve based on normal-boundary
    intersection", Structural Optimization 18, 1999).

    Args:
        front: P points of M coordinates, minimised.
    """
    if not len(front):
        return None
    points = np.asarray(front, dtype=np.float64)
    low, span = points.min(axis=0), np.ptp(points, axis=0)
    return int(np.argmin(((points - low) / np.where(span > 0, span, 1.0)).sum(axis=1)))

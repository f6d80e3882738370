"""Whether there are figures for what a search asks about, before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hannah_hw.errors import InputError
from hannah_hw.search.metrics import METRICS, Goals

if TYPE_CHECKING:
    from hannah_hw.search.pipeline import SpaceProblem

#: Networks that are priced to see whether any has a figure.
_TRIED: Final = 16


def check_known(problem: SpaceProblem, goals: Goals) -> None:
    """Refuse goals that no network has a figure for, because the target's description lacks what it depends on.

    Args:
        problem: The space and its prices.
        goals: Objectives and constraints.

    Raises:
        InputError: A metric of the goals is known of none of some networks that the target can run.
    """
    estimates = problem.estimate(problem.space.sample_population(_TRIED, seed=0))
    runs = np.flatnonzero(estimates.supported)
    if not len(runs):
        return
    for name in dict.fromkeys([*goals.objectives, *(c.metric for c in goals.constraints)]):
        metric = METRICS[name]
        if not metric.estimated or not np.isnan(estimates.columns[metric.key][runs]).all():
            continue
        report = estimates.report(int(runs[0])) or {}
        reasons = "".join(f" ({note})" for note in report.get("notes", []) if note.startswith(f"no {name}"))
        raise InputError(
            f"{name} is asked for, and the target {problem.target.label} has no figures for it{reasons}; add them to "
            f"the target's file, or leave {name} out of objectives and constraints",
            where="target",
        )

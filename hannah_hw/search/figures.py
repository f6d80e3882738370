"""Whether a target has figures for what a search asks about, before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hannah_hw.errors import InputError
from hannah_hw.search.metrics import METRICS, Goals

if TYPE_CHECKING:
    from hannah_hw.spaces import SearchSpace
    from hannah_hw.targets import Target

#: Networks that are priced to see whether any has a figure.
_TRIED: Final = 16


def check_figures(space: SearchSpace, target: Target, goals: Goals) -> None:
    """Refuse goals that no network has a figure for, because the target's description lacks what it depends on.

    Args:
        space: The space.
        target: The target.
        goals: Objectives and constraints.

    Raises:
        InputError: A metric of the goals is known of none of some networks that the target can run.
    """
    from hannah_hw.estimation import estimate_population

    names = dict.fromkeys([*goals.objectives, *(c.metric for c in goals.constraints)])
    costs = estimate_population(space, space.sample_population(_TRIED, seed=0), target)
    runs = np.flatnonzero(costs.supported)
    if not len(runs):
        return
    for name in names:
        figures = getattr(costs, METRICS[name].key, None)
        if not METRICS[name].estimated or figures is None:
            continue
        if np.isnan(np.broadcast_to(figures, len(costs))[runs]).all():
            reasons = [note for note in costs.report(int(runs[0])).notes if note.startswith(f"no {name}")]
            raise InputError(
                f"{name} is asked for, and the target {target.label} has no figures for it"
                + "".join(f" ({reason})" for reason in reasons)
                + f"; add them to the target's file, or leave {name} out of objectives and constraints",
                where="target",
            )

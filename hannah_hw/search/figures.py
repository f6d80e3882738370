"""Whether there are figures for what a search asks about, before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hannah_hw.errors import ConfigError
from hannah_hw.search.metrics import METRICS, Goals

if TYPE_CHECKING:
    from hannah_hw.search.pricing import SpaceProblem

#: Networks that are priced to see whether any has a figure.
_TRIED: Final = 16


def check_figures(problem: SpaceProblem, goals: Goals) -> None:
    """Refuse goals that no network has a figure for, because the target's description lacks what it depends on.

    Args:
        problem: The space and its prices.
        goals: Objectives and constraints.

    Raises:
        ConfigError: A metric of the goals is known of none of some networks that the target can run.
    """
    estimates = problem.estimate(problem.space.sample_population(_TRIED, seed=0))
    runs = np.flatnonzero(estimates.supported)
    if not len(runs):
        return
    sections = {c.metric: "constraints" for c in goals.constraints} | dict.fromkeys(
        goals.objectives, "objectives"
    )
    for name, section in sections.items():
        metric = METRICS[name]
        if not metric.estimated or not np.isnan(estimates.columns[metric.key][runs]).all():
            continue
        target = problem.target
        report = estimates.report(int(runs[0])) or {}
        notes = "; ".join(note for note in report.get("notes", ()) if note.startswith(f"no {name}"))
        raise ConfigError(
            f"the {name} of the target {target.label} is not known: {notes}; give what is missing in its file "
            f"(`hannah-hw targets show NAME` says where it is), or leave the {name} out"
            if notes
            else f"the target {target.label} is a {target.family}, whose {name} is not known; leave the {name} out",
            where=f"{section}.{name}",
        )

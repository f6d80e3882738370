"""Checking a configuration to the end: random candidates are priced, nothing is trained and nothing written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from hannah_hw.search import pipeline
from hannah_hw.search.choosing import choose
from hannah_hw.search.config import SearchConfig
from hannah_hw.search.cosearch import CoSearchProblem
from hannah_hw.search.measuring import plan
from hannah_hw.search.protocols import BandedEstimates, FloatArray

#: Random candidates that a dry run prices.
DRY_RUN: Final = 1000
#: The same where each of them is on a chip of its own.
DRY_RUN_CHIPS: Final = 500
#: The same on a host, whose runtime optimises each of them.
DRY_RUN_HOST: Final = 100


@dataclass(frozen=True)
class DryRun:
    """What a run would meet.

    Attributes:
        config: The resolved configuration.
        sampled: Random candidates that were priced.
        feasible_share: Share of them that keeps every constraint known before training.
        quartiles: Metric key -> minimum, quartiles and maximum over those that have a figure.
        facts: Versions, data and target.
        algorithm: The algorithm that would search, and why where that was left to the search.
        supported_share: Share of them that the target can run.
        unsupported: Why it cannot run the first of the others; empty where there is none.
        legalized: What narrowing the space to the target did, in words; empty if that was not asked for.
        bands: Metric key -> minimum, quartiles and maximum of the relative half widths of its intervals.
        uncertain: Bounded metric -> share of those that fit whose interval holds the bound.
        plan: What is measured after the search, in words; empty if nothing is.
    """

    config: SearchConfig
    sampled: int
    feasible_share: float
    quartiles: Mapping[str, tuple[float, ...]]
    facts: Mapping[str, Any]
    algorithm: str
    supported_share: float = 1.0
    unsupported: str = ""
    legalized: str = ""
    bands: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    uncertain: Mapping[str, float] = field(default_factory=dict)
    plan: str = ""


def dry_run(config: SearchConfig) -> DryRun:
    """Check a configuration to the end and price random candidates; writes and trains nothing.

    Raises:
        InputError: Anything that the configuration names cannot be used.
    """
    setup = pipeline.build(config, Path())
    rng = np.random.default_rng(config.search.seed)
    count = DRY_RUN_HOST if setup.problem.target.family == "host" else DRY_RUN
    if isinstance(setup.problem, CoSearchProblem):
        count = DRY_RUN_CHIPS
    rows = setup.problem.encoding.sample(count, rng)
    estimates = setup.problem.estimate(rows)
    goals = config.goals.within(setup.problem.capacities)
    _, total = goals.free_violations(estimates)
    fit, runs = total == 0, estimates.supported
    held = goals.uncertain(estimates)
    search = config.search
    choice = choose(
        search.algorithm, goals, setup.problem, options=search.options, population=search.population
    )
    return DryRun(
        config=config,
        sampled=len(rows),
        feasible_share=float(fit.mean()),
        quartiles=_quartiles(estimates.columns),
        facts=setup.facts,
        algorithm=str(choice),
        supported_share=float(runs.mean()),
        unsupported="" if runs.all() else estimates.unsupported(int(runs.argmin())),
        legalized="" if setup.legalized is None else str(setup.legalized),
        bands=_quartiles(estimates.bands) if isinstance(estimates, BandedEstimates) else {},
        uncertain={name: float(column[fit].mean()) for name, column in held.items()} if fit.any() else {},
        plan=plan(config.measure, setup.facts["measure"]) if config.measure.wanted else "",
    )


def _quartiles(columns: Mapping[str, FloatArray]) -> dict[str, tuple[float, ...]]:
    """Metric key -> minimum, quartiles and maximum of what is finite; nothing of a metric that nothing has."""
    finite = {key: column[np.isfinite(column)] for key, column in columns.items()}
    return {
        key: tuple(float(q) for q in np.percentile(known, (0, 25, 50, 75, 100)))
        for key, known in finite.items()
        if len(known)
    }

"""From kept runs to curves, quartiles and tests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.search.own import OWN
from benchmarks.search.problems import Problem
from benchmarks.search.runs import Run, read
from hannah_hw.search.dominance import pareto_mask
from hannah_hw.search.hypervolume import hypervolume
from hannah_hw.search.protocols import FloatArray

#: Fewer seeds than these are no sample: such a peer is shown, but not compared with.
LEAST_SEEDS: Final = 3
#: Two-sided level after Holm's correction.
LEVEL: Final = 0.05


@dataclass(frozen=True)
class Series:
    """One engine on one problem in one mode.

    Attributes:
        problem: Letter of the problem.
        mode: ``all`` or ``free``.
        engine: Name of the engine.
        volumes: Evaluations -> (seeds,) hypervolumes; only of runs with at least that budget. A run that ended
            before (its patience was used up, or the space) keeps what it had.
        distances: The same of `distance_to`; empty where the true front is not known.
        seconds: Median CPU seconds for 1,000 charged evaluations, evaluations themselves excluded.
        short: Runs that ended before their budget.
    """

    problem: str
    mode: str
    engine: str
    volumes: Mapping[int, FloatArray]
    distances: Mapping[int, FloatArray]
    seconds: float
    short: int

    @property
    def own(self) -> bool:
        """Whether it is one of this project's."""
        return self.engine in OWN


@dataclass(frozen=True)
class Comparison:
    """One of our engines and the best peer at a budget, the one with the highest median.

    Attributes:
        series: Ours.
        evaluations: The budget.
        peer: The best peer's name.
        ours: Median hypervolume.
        theirs: The peer's.
        p: Of the two-sided Mann-Whitney test, after Holm's correction over all comparisons of this engine.
    """

    series: Series
    evaluations: int
    peer: str
    ours: float
    theirs: float
    p: float

    @property
    def verdict(self) -> str:
        """``ahead``, ``behind``, or nothing where the difference is not significant."""
        if self.p >= LEVEL:
            return ""
        return "ahead" if self.ours > self.theirs else "behind"


def load(
    folder: Path, problems: Mapping[str, Problem], budgets: Sequence[int]
) -> tuple[list[Series], dict[str, float]]:
    """Series of all kept runs, and the best known hypervolume of each problem.

    Args:
        folder: Where runs are kept.
        problems: Letter -> problem; runs of others are left out.
        budgets: Evaluations at which hypervolumes are taken.
    """
    runs: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    for path in sorted(folder.glob("*.npz")):
        name, mode, engine, _ = path.stem.split("_")
        if name in problems:
            runs[name, mode, engine].append(read(path))
    best = {
        name: _best(problem, (run for key, kept in runs.items() if key[0] == name for run in kept))
        for name, problem in problems.items()
    }
    series = []
    for (name, mode, engine), kept in sorted(runs.items()):
        reference = problems[name].reference
        volumes = {
            budget: np.array([volume(run, budget, reference) for run in kept if run.budget >= budget])
            for budget in budgets
        }
        front = problems[name].front
        distances = {
            budget: np.array([distance_to(front, run, budget) for run in kept if run.budget >= budget])
            for budget in budgets
            if front is not None
        }
        seconds = float(np.median([1000 * run.seconds / max(len(run.objectives), 1) for run in kept]))
        short = sum(len(run.objectives) < run.budget for run in kept)
        reached = {budget: values for budget, values in volumes.items() if len(values)}
        measured = {budget: values for budget, values in distances.items() if len(values)}
        series.append(Series(name, mode, engine, reached, measured, seconds, short))
    return series, best


def volume(run: Run, evaluations: int, reference: FloatArray) -> float:
    """Hypervolume of the feasible candidates among the first evaluations."""
    kept = run.objectives[:evaluations][run.feasible[:evaluations]]
    return hypervolume(kept, reference)


def distance_to(front: FloatArray, run: Run, evaluations: int) -> float:
    """Mean distance from the points of the true front to what dominates most of the way to them, IGD+.

    Ishibuchi et al., "Modified Distance Calculation in Generational Distance and Inverted Generational Distance",
    EMO 2015; infinite while nothing feasible was found.

    Args:
        front: (N, M) the true front.
        run: Gives what was found.
        evaluations: Of which the first so many count.
    """
    kept = run.objectives[:evaluations][run.feasible[:evaluations]]
    if not len(kept):
        return float("inf")
    lacking = np.maximum(kept[None] - front[:, None], 0)
    return float(np.sqrt((lacking**2).sum(axis=2)).min(axis=1).mean())


def _best(problem: Problem, runs: Iterable[Run]) -> float:
    """The true front's hypervolume, or that of everything found."""
    if problem.best is not None:
        return problem.best
    union = np.zeros((0, len(problem.reference)))
    for run in runs:
        union = np.concatenate([union, run.objectives[run.feasible]])
        union = np.unique(union[pareto_mask(union)], axis=0)
    return hypervolume(union, problem.reference)


def compare(series: Sequence[Series]) -> list[Comparison]:
    """Every series of ours beside the best peer, budget by budget."""
    found = []
    for engine in sorted({s.engine for s in series if s.own}):
        mine = [s for s in series if s.engine == engine]
        rows = [row for s in mine for row in _beside_peers(s, series)]
        found += [
            Comparison(s, n, peer, ours, theirs, p)
            for (s, n, peer, ours, theirs, _), p in zip(rows, holm([row[-1] for row in rows]), strict=True)
        ]
    return found


def _beside_peers(
    mine: Series, series: Sequence[Series]
) -> list[tuple[Series, int, str, float, float, float]]:
    from scipy.stats import mannwhitneyu

    rows = []
    for evaluations, ours in mine.volumes.items():
        peers = {
            s.engine: s.volumes[evaluations]
            for s in series
            if not s.own
            and (s.problem, s.mode) == (mine.problem, mine.mode)
            and len(s.volumes.get(evaluations, ())) >= LEAST_SEEDS
        }
        if not peers or len(ours) < LEAST_SEEDS:
            continue
        best = max(peers, key=lambda name: float(np.median(peers[name])))
        theirs = peers[best]
        same = np.ptp(np.concatenate([ours, theirs])) == 0
        p = 1.0 if same else float(mannwhitneyu(ours, theirs, alternative="two-sided").pvalue)
        rows.append((mine, evaluations, best, float(np.median(ours)), float(np.median(theirs)), p))
    return rows


def holm(values: Sequence[float]) -> list[float]:
    """Adjusted p values (Holm, "A simple sequentially rejective multiple test procedure", 1979)."""
    order = np.argsort(values, kind="stable")
    adjusted = np.ones(len(values))
    worst = 0.0
    for rank, at in enumerate(order):
        worst = max(worst, (len(values) - rank) * values[at])
        adjusted[at] = min(1.0, worst)
    return adjusted.tolist()

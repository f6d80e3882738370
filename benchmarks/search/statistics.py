"""From kept runs to curves, quartiles and tests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.search.own import OWN
from benchmarks.search.problems import Problem
from benchmarks.search.runs import Run, read, version_of
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
        folder: Where runs are kept; those of other versions of our source are left out.
        problems: Letter -> problem; runs of others are left out.
        budgets: Evaluations at which hypervolumes are taken.
    """
    kept: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    for path in sorted(folder.glob("*.npz")):
        name, mode, engine, _ = path.stem.split("_")
        run = read(path)
        if name in problems and run.version == version_of(engine):
            kept[name, mode, engine].append(run)
    fronts = {key: [fronts_of(run, budgets) for run in runs] for key, runs in kept.items()}
    best = {
        name: _best(
            problem,
            [front for key in fronts if key[0] == name for found in fronts[key] for front in found[-1:]],
        )
        for name, problem in problems.items()
    }
    series = [
        _series(key, problems[key[0]], runs, fronts[key], sorted(budgets))
        for key, runs in sorted(kept.items())
    ]
    return series, best


def _series(
    key: tuple[str, str, str],
    problem: Problem,
    runs: Sequence[Run],
    fronts: Sequence[Sequence[FloatArray]],
    budgets: Sequence[int],
) -> Series:
    volumes, distances = {}, {}
    for place, budget in enumerate(budgets):
        found = [front[place] for run, front in zip(runs, fronts, strict=True) if run.budget >= budget]
        if not found:
            continue
        volumes[budget] = np.array([hypervolume(points, problem.reference) for points in found])
        if problem.front is not None:
            distances[budget] = np.array([distance_to(problem.front, points) for points in found])
    seconds = float(np.median([1000 * run.seconds / max(len(run.objectives), 1) for run in runs]))
    short = sum(len(run.objectives) < run.budget for run in runs)
    return Series(*key, volumes, distances, seconds, short)


def fronts_of(run: Run, budgets: Sequence[int]) -> list[FloatArray]:
    """The feasible front after each budget, in ascending order, and at the end of the run."""
    fronts, front, start = [], np.zeros((0, run.objectives.shape[1])), 0
    for budget in [*sorted(budgets), max(run.budget, *budgets)]:
        new = run.objectives[start:budget][run.feasible[start:budget]]
        front = np.unique(np.concatenate([front, new]), axis=0)
        front = front[pareto_mask(front)]
        fronts.append(front)
        start = budget
    return fronts


def distance_to(front: FloatArray, found: FloatArray) -> float:
    """Mean distance from the points of the true front to what dominates most of the way to them, IGD+.

    Ishibuchi et al., "Modified Distance Calculation in Generational Distance and Inverted Generational Distance",
    EMO 2015.

    Args:
        front: (N, M) the true front.
        found: (K, M) what was found; infinitely far where it is empty.
    """
    if not len(found):
        return float("inf")
    lacking = np.maximum(found[None] - front[:, None], 0)
    return float(np.sqrt((lacking**2).sum(axis=2)).min(axis=1).mean())


def _best(problem: Problem, fronts: Sequence[FloatArray]) -> float:
    """The true front's hypervolume, or that of everything found."""
    if problem.best is not None:
        return problem.best
    union = np.unique(np.concatenate([np.zeros((0, len(problem.reference))), *fronts]), axis=0)
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

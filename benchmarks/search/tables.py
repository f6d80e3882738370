"""What a comparison shows: tables, a CSV file and a plot."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.search.problems import Problem
from benchmarks.search.statistics import LEVEL, Comparison, Series
from hannah_hw.search.protocols import FloatArray


def show(
    series: Sequence[Series],
    best: Mapping[str, float],
    problems: Mapping[str, Problem],
    budgets: Sequence[int],
    comparisons: Sequence[Comparison],
) -> None:
    """Print medians and quartiles of hypervolume / best known, then the comparisons."""
    for (name, mode), group in _by_problem(series).items():
        print(f"\n{name}, {problems[name].title}; mode {mode}; best known hypervolume {best[name]:.4f}")
        heads = "".join(f"{budget:>21}" for budget in budgets)
        print(f"{'engine':18} {'seeds':>5} {'CPU s/1,000':>11}{heads}")
        for s in group:
            cells = "".join(f"{_cell(s.volumes.get(budget), best[name]):>21}" for budget in budgets)
            seeds = max((len(v) for v in s.volumes.values()), default=0)
            ended = f"  {s.short} ended early" if s.short else ""
            print(f"{s.engine:18} {seeds:5} {s.seconds:11.2f}{cells}{ended}")
        if any(s.distances for s in group):
            print("distance to the true front (IGD+), in thousandths")
        for s in group:
            cells = "".join(f"{_cell(s.distances.get(budget), 1e-3, 1):>21}" for budget in budgets)
            if s.distances:
                print(f"{s.engine:36}{cells}")
    if comparisons:
        print(f"\nbeside the best peer; two-sided Mann-Whitney, Holm within an engine, level {LEVEL}")
        print(f"{'engine':14} problem mode {'at':>6} {'ours':>7} {'theirs':>7}        p  best peer")
    for c in comparisons:
        scale = best[c.series.problem]
        print(
            f"{c.series.engine:14} {c.series.problem:>7} {c.series.mode:4} {c.evaluations:6} {c.ours / scale:7.3f} "
            f"{c.theirs / scale:7.3f} {c.p:8.2g}  {c.peer} {c.verdict.upper()}"
        )


def _cell(values: FloatArray | None, scale: float, digits: int = 3) -> str:
    if values is None:
        return "-"
    low, middle, high = (f"{q:.{digits}f}" for q in np.quantile(values / scale, [0.25, 0.5, 0.75]))
    return f"{middle} [{low}-{high}]"


def _by_problem(series: Sequence[Series]) -> dict[tuple[str, str], list[Series]]:
    groups: dict[tuple[str, str], list[Series]] = {}
    for s in sorted(series, key=lambda s: (s.problem, s.mode, not s.own, s.engine)):
        groups.setdefault((s.problem, s.mode), []).append(s)
    return groups


def write_csv(path: Path, series: Sequence[Series], best: Mapping[str, float]) -> None:
    """One row an engine and budget."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            [
                "problem",
                "mode",
                "engine",
                "evaluations",
                "seeds",
                "q25",
                "median",
                "q75",
                "best_known",
                "cpu_s_per_1000",
            ]
        )
        for s in series:
            for budget, volumes in s.volumes.items():
                quartiles = np.quantile(volumes / best[s.problem], [0.25, 0.5, 0.75])
                figures = [*(f"{q:.4f}" for q in quartiles), f"{best[s.problem]:.5f}", f"{s.seconds:.3f}"]
                writer.writerow([s.problem, s.mode, s.engine, budget, len(volumes), *figures])


def plot(
    path: Path, series: Sequence[Series], best: Mapping[str, float], problems: Mapping[str, Problem]
) -> None:
    """Median and quartiles over evaluations, one panel a problem and mode; needs matplotlib."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    groups = _by_problem(series)
    figure, panels = plt.subplots(1, len(groups), figsize=(4.4 * len(groups), 4), squeeze=False)
    names = sorted({s.engine for s in series}, key=lambda name: (not name.startswith("own"), name))
    colours = {name: plt.get_cmap("tab20")(2 * i % 20 + 2 * i // 20) for i, name in enumerate(names)}
    for panel, ((name, mode), group) in zip(panels[0], groups.items(), strict=True):
        for s in group:
            at = [budget for budget, volumes in s.volumes.items() if len(volumes) > 1]
            quartiles = np.array([np.quantile(s.volumes[b] / best[name], [0.25, 0.5, 0.75]) for b in at])
            if not at:
                continue
            style = {"lw": 2.4} if s.own else {"lw": 1.2, "ls": "--"}
            panel.plot(at, quartiles[:, 1], color=colours[s.engine], label=s.engine, **style)
            panel.fill_between(
                at, quartiles[:, 0], quartiles[:, 2], color=colours[s.engine], alpha=0.12, lw=0
            )
        panel.set_xscale("log")
        panel.set_title(f"{name} ({mode}): {problems[name].title}", fontsize=9)
        panel.set_xlabel("charged evaluations")
        panel.grid(alpha=0.3)
        panel.legend(fontsize=6)
    panels[0][0].set_ylabel("hypervolume / best known")
    figure.tight_layout()
    figure.savefig(path, dpi=110)

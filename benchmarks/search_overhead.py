"""CPU seconds that ask and tell take per 1,000 candidates, beside pymoo's NSGA-II; goal 0.1.

    python benchmarks/search_overhead.py [--seeds 3] [--evaluations 2000] [--population 50]

The spaces have 30 parameters (six stages of operator, kernel, width, depth, expansion): `flat`, where every
parameter always counts, and `conditional`, where the operator "none" switches the rest of its stage off. Three
objectives, two memory constraints; every candidate is charged, feasible or not. The time of the evaluations is
not counted. Hypervolume is that of the feasible candidates below (1, 1, 1). pymoo runs on the flat space with
its own mixed variables and default mating.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "search"))

import numpy as np
from search_toys import nas_like, nas_like_values

from hannah_hw.search.algorithms import ALGORITHMS
from hannah_hw.search.hypervolume import hypervolume


def ours(name: str, conditional: bool, population: int, evaluations: int, seed: int) -> tuple[float, float]:
    """CPU seconds of ask and tell, and hypervolume."""
    algorithm = ALGORITHMS[name](nas_like(conditional), 3, population=population, seed=seed)
    spent, objectives, violations = 0.0, [], []
    left = evaluations
    while left:
        clock = time.process_time()
        rows = algorithm.ask(min(left, algorithm.batch))
        spent += time.process_time() - clock
        values, excess = nas_like_values(rows)
        violation = np.maximum(excess, 0).sum(axis=1)
        clock = time.process_time()
        algorithm.tell(rows, values, violation)
        spent += time.process_time() - clock
        objectives.append(values)
        violations.append(violation)
        left -= len(rows)
    return spent, volume(np.concatenate(objectives), np.concatenate(violations))


def peer(population: int, evaluations: int, seed: int) -> tuple[float, float]:
    """The same for pymoo's NSGA-II."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.mixed import (
        MixedVariableDuplicateElimination,
        MixedVariableMating,
        MixedVariableSampling,
    )
    from pymoo.core.problem import Problem
    from pymoo.core.variable import Choice, Integer, Real
    from pymoo.problems.static import StaticProblem

    encoding = nas_like()
    variables = {
        name: Real(bounds=(0.0, 1.0))
        if levels == 0
        else Integer(bounds=(0, int(levels) - 1))
        if ordered
        else Choice(options=list(range(levels)))
        for name, levels, ordered in zip(encoding.ids, encoding.levels, encoding.ordered, strict=True)
    }
    problem = Problem(vars=variables, n_obj=3, n_ieq_constr=2)
    unique = MixedVariableDuplicateElimination()
    algorithm = NSGA2(
        pop_size=population,
        sampling=MixedVariableSampling(),
        mating=MixedVariableMating(eliminate_duplicates=unique),
        eliminate_duplicates=unique,
    )
    algorithm.setup(problem, termination=("n_eval", evaluations), seed=seed, verbose=False)
    spent, objectives, violations = 0.0, [], []
    while sum(map(len, objectives)) < evaluations:
        clock = time.process_time()
        asked = algorithm.ask()
        spent += time.process_time() - clock
        rows = np.array([[x[name] for name in encoding.ids] for x in asked.get("X")], float)
        values, excess = nas_like_values(rows)
        clock = time.process_time()
        algorithm.evaluator.eval(StaticProblem(problem, F=values, G=excess), asked)
        algorithm.tell(infills=asked)
        spent += time.process_time() - clock
        objectives.append(values)
        violations.append(np.maximum(excess, 0).sum(axis=1))
    return spent, volume(np.concatenate(objectives), np.concatenate(violations))


def volume(objectives: np.ndarray, violations: np.ndarray) -> float:
    """Hypervolume of the feasible rows below (1, 1, 1)."""
    return hypervolume(objectives[violations == 0], np.ones(3))


def main() -> None:
    """Print one row an engine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--evaluations", type=int, default=2000)
    parser.add_argument("--population", type=int, default=50)
    options = parser.parse_args()

    def row(label: str, results: list[tuple[float, float]], base: float | None) -> float:
        seconds = float(np.mean([r[0] for r in results])) / options.evaluations * 1000
        volumes = [r[1] for r in results]
        ratio = f"{seconds / base:6.2f}" if base else "      "
        print(
            f"{label:28} {seconds:12.3f} {ratio}   {np.mean(volumes):.3f} [{min(volumes):.3f}-{max(volumes):.3f}]"
        )
        return seconds

    print(f"{options.evaluations} evaluations, population {options.population}, {options.seeds} seeds")
    print(f"{'engine':28} {'CPU s/1,000':>12} {'ratio':>6}   hypervolume [min-max]")
    seeds = range(options.seeds)
    base = None
    for name in sorted(ALGORITHMS):
        for kind, conditional in (("flat", False), ("conditional", True)):
            results = [
                ours(name, conditional, options.population, options.evaluations, seed) for seed in seeds
            ]
            seconds = row(f"{name}, {kind}", results, None)
            base = seconds if name == "nsga2" and not conditional else base
    try:
        results = [peer(options.population, options.evaluations, seed) for seed in seeds]
    except ModuleNotFoundError as error:
        print(f"{error.name} is not installed: pip install 'hannah-hw[peers]'")
    else:
        row("pymoo NSGA-II, flat", results, base)


if __name__ == "__main__":
    main()

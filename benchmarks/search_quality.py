"""Hypervolume for a number of evaluations: this project's search beside its peers.

    python benchmarks/search_quality.py run RESULTS [--problems ABC] [--engines own-adaptive,...] [--seeds 0-9]
    python benchmarks/search_quality.py show RESULTS [--csv FILE] [--plot FILE.png]

`run` keeps every run in a file of its own under RESULTS and skips those that are there; ours are run again where
their source code has changed. `show` prints, for every problem, mode and budget, the median and the quartiles of
hypervolume / best known hypervolume, and whether ours differ from the best peer at that budget (two-sided
Mann-Whitney test, Holm's correction over all tests shown for one of our engines).

Problems: A, B, C (`benchmarks.search.problems`); with --nas-bench-201 TABLE also D and E, one for each of the two
devices of --devices (`benchmarks.search.nas_bench_201`); M trains (`benchmarks.search.mnist`), one to two CPU seconds
a candidate, which are kept under RESULTS/trained. What is charged: `benchmarks.search.accounting`. "Best
known" is the true front of B, D and E; of A and C the union of the fronts of all runs that are kept, which is less
than the true front's, so that ratios there are optimistic for all alike.

Peers need the extra `peers` and `pip install optuna nevergrad`; `--plot` needs matplotlib.
"""

from __future__ import annotations

import argparse
import functools
import os
import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.search import tables
from benchmarks.search.problems import ConditionalNetwork, MixedDtlz, Problem, StagedNetwork
from benchmarks.search.runs import Job, engines, execute, limit
from benchmarks.search.statistics import compare, load

#: Evaluations at which curves are drawn.
PLOTTED = (20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000)


@functools.cache
def make(name: str, table: Path | None, devices: tuple[str, ...], cache: Path) -> Problem:
    """The problem of a letter.

    Args:
        name: A, B, C, D, E or M.
        table: NAS-Bench-201; needed by D and E.
        devices: Columns of the table for D and E.
        cache: Where M keeps the errors of what it trained.

    Raises:
        SystemExit: There is no such problem, or its table is missing.
    """
    formulas = {"A": StagedNetwork, "B": MixedDtlz, "C": ConditionalNetwork}
    if name in formulas:
        return formulas[name]()
    if name == "M":
        from benchmarks.search.mnist import TrainedDigits

        return TrainedDigits(cache)
    if name not in "DE":
        raise SystemExit(f"there is no problem {name}: A, B, C, D, E, M")
    if table is None:
        raise SystemExit(f"problem {name} needs --nas-bench-201 TABLE")
    from benchmarks.search.nas_bench_201 import NasBench201

    return NasBench201(table, devices["DE".index(name)], name)


def run(options: argparse.Namespace) -> None:
    """Do what is not kept yet."""
    problems = [
        make(name, options.nas_bench_201, options.devices, _cache(options)) for name in options.problems
    ]
    jobs = [
        Job(problem.name, mode, engine, seed, min(limit(engine), options.evaluations))
        for seed in options.seeds
        for problem in problems
        for mode in problem.modes
        for engine in options.engines
        if mode in options.modes
    ]
    left = [job for job in jobs if not job.done(options.results)]
    print(f"{len(jobs)} runs, {len(jobs) - len(left)} of them kept", flush=True)
    with ProcessPoolExecutor(options.jobs) as pool:
        for line in pool.map(_one, left, [options] * len(left)):
            print(line, flush=True)


def _one(job: Job, options: argparse.Namespace) -> str:
    """Run one job and say how it went."""
    done = execute(
        job, make(job.problem, options.nas_bench_201, options.devices, _cache(options)), options.results
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    charged = len(done.objectives)
    return (
        f"{job.problem} {job.mode:4} {job.engine:18} seed {job.seed}: {charged} charged of {done.requests} asked, "
        f"{1000 * done.seconds / max(charged, 1):.2f} CPU s/1,000, peak {peak:.0f} MiB"
    )


def show(options: argparse.Namespace) -> None:
    """Tables of what is kept."""
    problems = {
        name: make(name, options.nas_bench_201, options.devices, _cache(options)) for name in options.problems
    }
    series, best = load(options.results, problems, options.budgets)
    series = [s for s in series if s.mode in options.modes and s.engine in options.engines]
    if not series:
        raise SystemExit(f"{options.results} keeps no such runs")
    tables.show(series, best, problems, options.budgets, compare(series))
    if options.csv:
        tables.write_csv(options.csv, series, best)
    if options.plot:
        fine = [b for b in PLOTTED if b <= max(options.budgets)]
        curves, _ = load(options.results, problems, fine)
        wanted = [s for s in curves if s.mode in options.modes and s.engine in options.engines]
        tables.plot(options.plot, wanted, best, problems)


def _cache(options: argparse.Namespace) -> Path:
    return options.results / "trained"


def _numbers(text: str) -> list[int]:
    """``0-9`` or ``0,3,5``."""
    first, dash, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if dash else [int(part) for part in text.split(",")]


def main() -> None:
    """Run or show."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("results", type=Path)
    shared.add_argument("--problems", type=list, default=list("ABC"))
    shared.add_argument("--nas-bench-201", type=Path, help="table with one row a cell, CSV or CSV.gz")
    shared.add_argument(
        "--devices", type=lambda text: tuple(text.split(",")), default=("raspi4", "2080ti_32")
    )
    shared.add_argument("--modes", type=lambda text: text.split(","), default=["all", "free"])
    shared.add_argument("--engines", type=lambda text: text.split(","), default=engines())
    running = verbs.add_parser("run", parents=[shared])
    running.add_argument("--seeds", type=_numbers, default=list(range(10)))
    running.add_argument(
        "--evaluations", type=int, default=2000, help="at most; some peers are run for fewer"
    )
    running.add_argument("--jobs", type=int, default=1)
    showing = verbs.add_parser("show", parents=[shared])
    showing.add_argument("--budgets", type=_numbers, default=[50, 100, 300, 1000, 2000])
    showing.add_argument("--csv", type=Path)
    showing.add_argument("--plot", type=Path)
    options = parser.parse_args()
    unknown = set(options.engines) - set(engines())
    if unknown:
        parser.error(f"unknown engines {sorted(unknown)}; there are {engines()}")
    if options.verb == "run":
        run(options)
    else:
        show(options)


if __name__ == "__main__":
    main()

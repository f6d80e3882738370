"""What the language itself costs: building a space, and sampling, shapes, MACs and weights of its candidates.

    python benchmarks/space_core.py [--size 10000]

Three spaces of residual networks: of about 200 nodes, of about 60 parameters, and of about 2,000 nodes. For each:
the time to build the graph and to compile it; the time for one candidate, asked for one by one; and the time a
candidate for a whole population at once. "Together" is a run of its own: one by one, a candidate decodes its
parameters once for all stages. Each figure is the least of several repetitions on one core, in CPU time; peak
memory is that of the whole process so far, interpreter included.

The reference is HANNAH on its space of 194 nodes and 61 parameters: 16 ms a candidate for the sum of the least times
of the same stages, 37 ms to build the graph (own measurement on another machine; it has no population mode).
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402 (thread counts are read at import)
from timing import least_seconds  # noqa: E402

import hannah_hw as hw  # noqa: E402

#: Options of the space of residual networks: of about 200 nodes, of about 60 parameters, of about 2,000 nodes.
OPTIONS: tuple[dict[str, int], ...] = ({}, {"stages": 4}, {"max_blocks": 20})
GOAL_ONE_US = 500.0
GOAL_MANY_US = 10.0
GOAL_NODES = 1000


def compiled(space: hw.SearchSpace) -> hw.SearchSpace:
    """The space after everything that is done once was done."""
    for seed in range(12):
        one = space.candidate_of(space.sample_population(1, seed)[0])
        _ = one.assignment, one.shapes, one.macs, one.parameters
    return space


def one_by_one(space: hw.SearchSpace, count: int) -> dict[str, float]:
    """Stage -> seconds for one of `count` random candidates."""
    rng = np.random.default_rng(0)
    rows = [space.sample_population(1, rng)[0] for _ in range(count)]

    def stage(use: Callable[[hw.Candidate], object]) -> float:
        candidates = [[space.candidate_of(row) for row in rows] for _ in range(3)]
        queue = iter(candidates)
        return least_seconds(lambda: [use(candidate) for candidate in next(queue)], 3) / count

    def everything() -> None:
        for _ in range(count):
            candidate = space.candidate_of(space.sample_population(1, rng)[0])
            _ = candidate.assignment, candidate.shapes, candidate.macs, candidate.parameters

    return {
        "sample": least_seconds(lambda: [space.sample_population(1, rng) for _ in range(count)], 3) / count,
        "active parameters": stage(lambda candidate: candidate.assignment),
        "all shapes": stage(lambda candidate: candidate.shapes),
        "MACs": stage(lambda candidate: candidate.macs),
        "weights": stage(lambda candidate: candidate.parameters),
        "together": least_seconds(everything, 3) / count,
    }


def together(space: hw.SearchSpace, size: int, repetitions: int) -> dict[str, float]:
    """Stage -> seconds a candidate, for a population at once."""
    X = space.sample_population(size, seed=0)
    stages: dict[str, Callable[[], object]] = {
        "sample": lambda: space.sample_population(size, seed=0),
        "active parameters": lambda: space.encoding.active(X),
        "all shapes": lambda: space.shapes(X),
        "MACs": lambda: space.mac_counts(X),
        "weights": lambda: space.parameter_counts(X),
    }
    stages["together"] = lambda: [stage() for name, stage in stages.items() if name != "together"]
    return {name: least_seconds(stage, repetitions) / size for name, stage in stages.items()}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=10_000, help="candidates of a population")
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    first: tuple[int, float, float] | None = None
    for options in OPTIONS:

        def build(options: dict[str, int] = options) -> hw.SearchSpace:
            return hw.load_space("resnet", **options)

        load = least_seconds(build, 3)
        space = build()
        start = time.process_time()
        compiled(space)
        ready = time.process_time() - start
        nodes = len(space.order)
        one = one_by_one(space, 100)
        many = together(space, arguments.size, arguments.repetitions)
        print(f"\n{nodes} nodes, {len(space.parameters)} parameters")
        print(f"  build, register, check the default   {load * 1e3:9.1f} ms, once")
        print(f"  compile everything below             {ready * 1e3:9.1f} ms, once")
        print(f"  us a candidate           one by one   {arguments.size} at once")
        total_one, total_many = one["together"], many["together"]
        for name in one:
            goal = name == "together" and nodes < GOAL_NODES
            goals = f"   (goals {GOAL_ONE_US:.0f} and {GOAL_MANY_US:.0f})" if goal else ""
            print(f"  {name:22} {one[name] * 1e6:12.1f} {many[name] * 1e6:15.3f}{goals}")
        if first is None:
            first = nodes, total_one, total_many
        else:
            grown = nodes / first[0]
            print(
                f"  {grown:.1f} times the nodes: {total_one / first[1]:.1f} times the time one by one, "
                f"{total_many / first[2]:.1f} times at once"
            )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"  peak memory so far {peak:.0f} MiB")


if __name__ == "__main__":
    main()

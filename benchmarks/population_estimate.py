"""Microseconds a candidate and peak memory of full cost vectors for a random population.

    python benchmarks/population_estimate.py [--space ds_cnn] [--target stm32l4r5zi] [--size 10000]

Sampling is timed apart. Each figure is the least of several repetitions on one core, in CPU time; peak memory is
that of the whole process, interpreter included.
"""

from __future__ import annotations

import argparse
import os
import resource
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402 (thread counts are read at import)
from timing import least_seconds  # noqa: E402

import hannah_hw as hw  # noqa: E402


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--space", default="ds_cnn")
    parser.add_argument("--target", default="stm32l4r5zi")
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--repetitions", type=int, default=7)
    arguments = parser.parse_args()

    start = time.process_time()
    space = hw.load_space(arguments.space)
    target = hw.load_target(arguments.target)
    X = space.sample_population(arguments.size, seed=0)
    hw.estimate_population(space, X[:2], target)
    compiled = time.process_time() - start

    scale = 1e6 / arguments.size
    sampling = least_seconds(lambda: space.sample_population(arguments.size, seed=0), arguments.repetitions)
    workload = least_seconds(lambda: space.workload(X), arguments.repetitions)
    everything = least_seconds(lambda: hw.estimate_population(space, X, target), arguments.repetitions)
    costs = hw.estimate_population(space, X, target)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    slots = len(space.workload(X[:1]).kernels)
    print(
        f"{space.name} on {target.name}: {arguments.size} candidates, {slots} kernel slots, {len(space.order)} nodes"
    )
    print(f"compile once          {compiled * 1e3:9.1f} ms")
    print(f"sample                {sampling * scale:9.2f} us a candidate")
    print(f"workload              {workload * scale:9.2f} us a candidate")
    print(f"workload and prices   {everything * scale:9.2f} us a candidate (goal 10)")
    print(f"peak memory           {peak:9.0f} MiB (goal 1024)")
    print(
        f"supported {costs.supported.mean():.1%}, median latency {np.nanmedian(costs.latency_s) * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    main()

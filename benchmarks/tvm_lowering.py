"""Processor seconds that TVM takes to lower a candidate, in its process, which remembers kernels between candidates.

    python benchmarks/tvm_lowering.py [SPACE ...] [--candidates 24] [--seed 3]

Random candidates of a space follow one another in one process; each space has its own.
The column `first` is the first candidate's time, `later` the mean of the second half, `again` that of the first
candidate once more, whose kernels are all known. The goal is 0.2 s a candidate.
"""

from __future__ import annotations

import argparse

import hannah_hw as hw
from hannah_hw.lowering import read_onnx
from hannah_hw.lowering.tvm import TvmWorker


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spaces", nargs="*", default=["ds_cnn", "tc_resnet", "resnet", "mcunet"])
    parser.add_argument("--candidates", type=int, default=24)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    print(
        f"{'space':12s}{'kernels':>8s}{'first':>8s}{'mean':>8s}{'later':>8s}{'again':>8s}   CPU s a candidate"
    )
    means = []
    for name in arguments.spaces:
        space = hw.load_space(name)
        rows = space.sample_population(arguments.candidates, seed=arguments.seed)
        models = [
            read_onnx(hw.to_onnx(space.candidate(space.encoding.assignment(row)))).model for row in rows
        ]
        with TvmWorker() as worker:
            times, kernels = [], 0
            for model in [*models, models[0]]:
                before = worker.cpu_s
                kernels += len(worker.lower(model).kernels)
                times.append(worker.cpu_s - before)
        *timed, again = times
        half = timed[len(timed) // 2 :]
        means.append(sum(timed) / len(timed))
        print(
            f"{name:12s}{kernels / len(times):8.1f}{timed[0]:8.3f}{means[-1]:8.3f}"
            f"{sum(half) / len(half):8.3f}{again:8.3f}"
        )
    print(
        f"mean over {len(means)} spaces of {arguments.candidates} candidates: {sum(means) / len(means):.3f} s"
    )


if __name__ == "__main__":
    main()

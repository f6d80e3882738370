"""What pricing candidates of a space on a host takes, step by step.

    python benchmarks/host_pricing.py my_host.yaml --space ds_cnn --candidates 50

The target is made by `hannah-hw calibrate host`. CPU time of one thread; every candidate is priced for the first time,
then all of them again.
"""

from __future__ import annotations

import argparse
import time

import hannah_hw as hw
from hannah_hw.host.candidates import candidate_model
from hannah_hw.host.networks import HostNetwork
from hannah_hw.host.pricing import learned
from hannah_hw.host.table import KernelTable
from hannah_hw.targets import host, load_target


def main() -> None:
    """Print milliseconds a candidate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", help="target file of a host; :int8 behind it prices int8 candidates")
    parser.add_argument("--space", default="ds_cnn", help="a search space")
    parser.add_argument("--candidates", type=int, default=50, help="how many")
    arguments = parser.parse_args()
    target = host(load_target(arguments.target), "this benchmark")
    space = hw.load_space(arguments.space)
    rows = space.sample_population(arguments.candidates + 1, seed=0)
    # The first candidate pays for what is loaded once.
    hw.estimate_population(space, rows[:1], target)
    rows = rows[1:]

    def report(step: str, started: float) -> None:
        print(f"{step:<42}{1e3 * (time.process_time() - started) / len(rows):8.2f} ms a candidate")

    precision, threads = target.model.precision, target.runtime.threads
    started = time.process_time()
    models = [candidate_model(hw.Candidate(space, row), precision) for row in rows]
    report(f"written as {precision} models", started)
    started = time.process_time()
    networks = [HostNetwork.of_model(model, threads=threads) for model in models]
    report("optimised and run once by ONNX Runtime", started)
    started = time.process_time()
    table = KernelTable.of([network.kernels for network in networks])
    report("as one table of kernels", started)
    model = learned(target)
    started = time.process_time()
    model.predict(table.kernels)
    report("kernels priced", started)
    started = time.process_time()
    hw.estimate_population(space, rows, target)
    report("all of it, for the first time", started)
    started = time.process_time()
    costs = hw.estimate_population(space, rows, target)
    report("all of it, again", started)
    print(
        f"{len(table.which)} kernels, {len(table.kernels)} distinct; {int(costs.supported.sum())} of {len(rows)} "
        "candidates have a price"
    )


if __name__ == "__main__":
    main()

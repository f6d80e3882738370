"""Random candidates of every ready space: the compiled space against the exported file, ONNX Runtime against torch.

    python benchmarks/ready_spaces.py [--count 500] [--seed 0] [SPACE ...]

A candidate agrees if its row of the space's Workload is exactly that of its exported ONNX file, kernels and buffers.
The deviation is the largest of any output from torch's, as a share of the largest output of the network, with random
weights and statistics. Exits with 1 after a mismatch or a deviation above 1e-4.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from hannah_hw import catalog, load_space
from hannah_hw.spaces import space_functions
from tests.search_spaces.agreement import compare

#: Largest deviation that is no mismatch.
TOLERANCE = 1e-4


def spaces() -> list[str]:
    """The spaces of the catalogue, all functions of each file."""
    found = []
    for name in catalog.names("search_spaces"):
        path = catalog.find("search_spaces", name)
        functions = space_functions(path) if path.suffix == ".py" else {}
        found += [name] if name in functions or not functions else [f"{name}:{f}" for f in functions]
    return found


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spaces", nargs="*", metavar="SPACE", help="names or files; all of the catalogue")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    failed = False
    print(
        "space                     nodes  parameters        size  candidates  mismatches  deviation  seconds"
    )
    for name in options.spaces or spaces():
        start = time.perf_counter()
        space = load_space(name)
        checked, mismatches, deviations = compare(space, options.count, options.seed)
        failed |= bool(mismatches) or not max(deviations) <= TOLERANCE
        print(
            f"{space.name:24} {len(space.order):6} {len(space.parameters):11} {space.encoding.size:11.4g} "
            f"{len(checked):11} {len(mismatches):11} {max(deviations):10.1e} {time.perf_counter() - start:8.1f}",
            flush=True,
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

"""Milliseconds of writing one candidate as ONNX, beside torch's own exporter.

    python benchmarks/onnx_export.py [--space ds_cnn] [--candidates 200] [--no-peer]

The figure for hannah_hw covers everything from an assignment and trained weights to checked bytes: resolving the
graph, folding batch normalisations, building and checking the model.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import resource
import statistics
import time

os.environ["OMP_NUM_THREADS"] = "1"

import torch

import hannah_hw as hw


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--space", default="ds_cnn")
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--no-peer", action="store_true", help="leave torch's exporter out")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    space = hw.load_space(arguments.space)
    rows = space.sample_population(arguments.candidates, seed=0)
    modules = [hw.to_torch(hw.Candidate(space, row)).eval() for row in rows]
    gc.freeze()  # 200 living torch modules would make the collector's passes the largest part of the time
    own = []
    for row, module in zip(rows, modules, strict=True):
        candidate = hw.Candidate(space, row)
        start = time.process_time()
        hw.to_onnx(candidate, module=module)
        own.append(time.process_time() - start)
    print(f"{space.name}, {len(rows)} random candidates, CPU ms a candidate")
    print(
        f"hannah_hw.to_onnx      median {statistics.median(own) * 1e3:7.2f}  least {min(own) * 1e3:7.2f} (goal 2)"
    )
    if not arguments.no_peer:
        peer = []
        for module in modules[:20]:
            data = torch.zeros(module.plan.inputs[0].shape())
            start = time.process_time()
            torch.onnx.export(module, (data,), io.BytesIO(), dynamo=False)
            peer.append(time.process_time() - start)
        ratio = statistics.median(peer) / statistics.median(own)
        print(
            f"torch.onnx.export (TorchScript) median {statistics.median(peer) * 1e3:7.2f}: {ratio:.1f} times as long"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()

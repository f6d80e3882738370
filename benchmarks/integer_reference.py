"""How often the integer reference differs from ONNX Runtime's integer kernels, layer by layer.

    python benchmarks/integer_reference.py [--candidates 50] [--inputs 2] [--rounding q32|double]

The four MLPerf Tiny networks and random candidates of the ready spaces, with random weights, quantised to int8. Every
layer gets the operands that ONNX Runtime computed (``session.qdqisint8allowed=1``), so that differences do not add up.
Means of 2, 4, 8 ... values on one grid are ties in one of 4, 8 ... cases: ONNX Runtime rounds them to even, the
reference up. A candidate that has no integer network is counted by the reason.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

import hannah_hw as hw
from hannah_hw.errors import HannahError
from hannah_hw.firmware.agreement import agreement
from hannah_hw.lowering.quantise import quantise_int8

SPACES = ("ds_cnn", "mcunet", "micronets_ds_cnn", "nas_bench_201", "resnet", "tc_resnet")
MLPERF_TINY = ("resnet8", "ds_cnn_kws", "mobilenet_v1_025", "fc_autoencoder")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidates", type=int, default=50)
    parser.add_argument("--inputs", type=int, default=2)
    parser.add_argument("--rounding", default="q32", choices=["q32", "double"])
    parser.add_argument("--spaces", nargs="*", default=SPACES)
    arguments = parser.parse_args()
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    print(f"{'network':<18} {'read':>9} {'layers':>7} {'values':>12} {'different':>10} {'rate':>9}  largest")
    for name in MLPERF_TINY:
        report(name, [hw.load_space(f"mlperf_tiny:{name}").candidate({})], arguments, kinds)
    for name in arguments.spaces:
        space = hw.load_space(name)
        report(
            name,
            [space.candidate(space.sample(seed=i)) for i in range(arguments.candidates)],
            arguments,
            kinds,
        )
    print(f"\n{'kind':<18} {'values':>12} {'different':>10} {'rate':>9}  largest")
    for kind, total in sorted(kinds.items()):
        print(f"{kind:<18} {figures(total)}")


def figures(total: Counter[str]) -> str:
    """The columns of a line."""
    rate = total["different"] / max(total["values"], 1)
    return f"{total['values']:>12} {total['different']:>10} {rate:>9.1e}  {total['largest']}"


def report(
    name: str, candidates: list[hw.Candidate], arguments: argparse.Namespace, kinds: dict[str, Counter[str]]
) -> None:
    """Print the line of some candidates and add their layers to the kinds."""
    total: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    for number, candidate in enumerate(candidates):
        rng = np.random.default_rng(number)
        model = hw.to_onnx(candidate, seed=number)
        shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "int8.onnx"
            samples = rng.normal(size=(8, *shape[1:])).astype(np.float32)
            quantise_int8(model.SerializeToString(), path, samples)
            inputs = [rng.normal(size=shape).astype(np.float32) for _ in range(arguments.inputs)]
            try:
                layers = agreement(path, inputs, rounding=arguments.rounding)
            except HannahError as error:
                refusals[str(error).rpartition(": ")[2]] += 1
                continue
        total["read"] += 1
        for layer in layers:
            for counter in (total, kinds[layer.kind]):
                counter["values"] += layer.values
                counter["different"] += layer.different
                counter["largest"] = max(counter["largest"], layer.largest)
            total["layers"] += 1
    read = f"{total['read']}/{len(candidates)}"
    print(f"{name:<18} {read:>9} {total['layers']:>7} {figures(total)}", flush=True)
    for reason, count in refusals.items():
        print(f"    {count} refused: {reason}")


if __name__ == "__main__":
    main()

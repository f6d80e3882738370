"""Random candidates of every ready space as firmware: estimate against ELF and emulation, output exact.

    python benchmarks/firmware.py [--target stm32l4r5zi] [--count 50] [--seed 0] [--compiler zig] [SPACE ...]

A candidate gets random weights and is quantised with noise. Its RAM is that of the ELF and of the deepest stack, its
flash that of the ELF, its cycles those of the emulated core with the target's wait cycles; its output is that of the
integer reference on two random inputs, or it counts as failed. Candidates that no int8 kernel runs are left out, by
reason. Then the four MLPerf Tiny networks, beside the arena of TFLite Micro (package tflite-micro). Exits with 1 after
a failure.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.ready_spaces import spaces
from hannah_hw import load_space, load_target
from hannah_hw.errors import HannahError, MeasurementError
from hannah_hw.firmware.network import read_network
from hannah_hw.measure.comparison import NetworkComparison, compare, compare_mlperf_tiny
from hannah_hw.measure.emulated import measure_model
from hannah_hw.measure.models import int8_model
from hannah_hw.measure.validation import NETWORKS
from hannah_hw.spaces import Candidate
from hannah_hw.targets import Target

#: What a figure's error is called in the table.
COLUMNS = {"ram_bytes": "RAM", "flash_bytes": "flash", "latency_s": "cycles"}


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spaces", nargs="*", metavar="SPACE", help="names or files; all of the catalogue")
    parser.add_argument("--target", default="stm32l4r5zi")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compiler", choices=("zig", "gcc"))
    options = parser.parse_args()
    target = load_target(options.target)
    warnings.simplefilter("ignore")
    print(f"{target.title}: error of the estimate, mean and largest")
    heads = "".join(f"{name:>16}" for name in COLUMNS.values())
    print(f"{'space':26}{'compared':>9}{heads}{'seconds':>9}")
    failed, everything = 0, []
    for name in options.spaces or spaces():
        start = time.perf_counter()
        found, reasons = candidates(name, target, options.count, options.seed, options.compiler)
        everything += found
        print(row(name, found, time.perf_counter() - start), flush=True)
        for reason, count in reasons.most_common(4):
            print(f"    {count} left out: {reason[:170]}")
        failed += sum(count for reason, count in reasons.items() if reason.startswith("WRONG"))
    if not options.spaces:
        print(row("all", everything, 0.0))
        mlperf_tiny(target, options.compiler)
    return int(failed > 0)


def candidates(
    name: str, target: Target, count: int, seed: int, compiler: str | None
) -> tuple[list[NetworkComparison], Counter[str]]:
    """Comparisons of random candidates, and how many were left out for which reason."""
    space = load_space(name)
    found, reasons = [], Counter()
    for row_ in space.sample_population(count, seed=seed):
        candidate = Candidate(space, row_)
        try:
            comparison = compare(candidate.id, candidate, target, compiler=compiler)
        except HannahError as error:
            reasons[type(error).__name__ + ": " + str(error).replace(candidate.id, "ID").splitlines()[0]] += 1
            continue
        if comparison.reason is None:
            found.append(comparison)
        elif "differ from the integer reference" in comparison.reason:
            reasons[f"WRONG OUTPUT: {comparison.reason}"] += 1
        else:
            # Without the name of the layer, which differs from candidate to candidate.
            reasons[comparison.reason.partition(": ")[2] or comparison.reason] += 1
    return found, reasons


def row(name: str, found: Sequence[NetworkComparison], seconds: float) -> str:
    """A line of the table."""
    cells = []
    for key in COLUMNS:
        errors = [abs(network.figures[key].error) for network in found]
        cells.append(f"{sum(errors) / len(errors):7.1%} {max(errors):6.1%}" if errors else "-")
    return f"{name:26}{len(found):9}{''.join(f'{cell:>16}' for cell in cells)}{seconds:9.1f}"


def mlperf_tiny(target: Target, compiler: str | None) -> None:
    """The four networks, estimate against emulation, and the arena of TFLite Micro."""
    print("\nMLPerf Tiny: estimate / emulated (error)")
    for network in compare_mlperf_tiny(target, compiler=compiler):
        if network.reason is not None:
            print(f"{network.network:5} {network.reason}")
            continue
        latency, ram, flash = (network.figures[key] for key in ("latency_s", "ram_bytes", "flash_bytes"))
        print(
            f"{network.network:5} {latency.estimated * 1e3:8.2f} / {latency.measured * 1e3:8.2f} ms "
            f"({latency.error:+.1%})   RAM {ram.estimated:,.0f} / {ram.measured:,.0f} ({ram.error:+.1%})   "
            f"flash {flash.estimated:,.0f} / {flash.measured:,.0f} ({flash.error:+.1%})"
        )
    try:
        from benchmarks.tflite_models import tflm_arena

        print("\narena bytes: ours, TFLite Micro (values and scratch; with its persistent part on 64 bits)")
        for name, function in NETWORKS.items():
            space = load_space(f"mlperf_tiny:{function}")
            model = int8_model(space.candidate(space.default()))
            head, tail = tflm_arena(read_network(model.source))
            ours = measure_model(space.candidate(space.default()), target, compiler=compiler).memory["arena"]
            print(f"{name:5} {ours:8,} {head:8,} ({head + tail:,})  {ours / head:.2f}")
    except (ImportError, MeasurementError) as error:
        print(f"TFLite Micro is not compared: {error}")


if __name__ == "__main__":
    sys.exit(main())

"""Fit the target gap9 to published measurements of four networks, and leave each of them out in turn.

    python benchmarks/fit_gap9.py [measured.csv]

Columns of the file: ``network`` (a function of search_spaces/mlperf_tiny.py), ``weight_bits``, ``inferences_per_s`` and
``energy_uj`` of an inference, all at one clock, ``clock_hz``. Without it: MLPerf Tiny v1.0 (github.com/mlcommons/
tiny_results_v1.0 at 1e7dda50), closed/greenwaves-technologies/results/gap9_800_370, median throughputs of
performance/results.txt and median energies of energy/results.txt; the bits of the weights are W_BITS of its Makefiles.
Prints one JSON document: what is fitted, the errors of networks left out, and those of the target as it is shipped.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from agreement import agreement
from numpy.typing import NDArray

import hannah_hw as hw
from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.closed_form import price_closed_form
from hannah_hw.cost.closed_form.machine import Machine
from hannah_hw.cost.closed_form.ne16 import busy_cycles
from hannah_hw.workload import KERNEL_COLUMNS

Figures = NDArray[np.float64]

MEASURED: Final[tuple[dict[str, Any], ...]] = (
    {
        "network": "fc_autoencoder",
        "weight_bits": 6,
        "inferences_per_s": 5691.597,
        "energy_uj": 7.294,
        "clock_hz": 370e6,
    },
    {
        "network": "resnet8",
        "weight_bits": 7,
        "inferences_per_s": 1622.799,
        "energy_uj": 40.356,
        "clock_hz": 370e6,
    },
    {
        "network": "ds_cnn_kws",
        "weight_bits": 5,
        "inferences_per_s": 2103.206,
        "energy_uj": 26.659,
        "clock_hz": 370e6,
    },
    {
        "network": "mobilenet_v1_025",
        "weight_bits": 5,
        "inferences_per_s": 889.048,
        "energy_uj": 58.356,
        "clock_hz": 370e6,
    },
)


def layers_of(network: str, weight_bits: int) -> Layers:
    """The kernels of a network with weights of some bits."""
    space = hw.load_space(f"mlperf_tiny:{network}")
    rows = list(space.candidate(space.default()).workload().rows())
    columns = {name: [row[name] for row in rows] for name in KERNEL_COLUMNS}
    columns["weight_bits"] = [weight_bits] * len(rows)
    return Layers.of([str(row["kind"]) for row in rows], **columns)


def least_squares(features: Figures, wanted: Figures) -> Figures:
    """Coefficients with the least squares of relative errors."""
    scaled = features / wanted[:, None]
    found: Figures = np.linalg.lstsq(scaled, np.ones(len(wanted)), rcond=None)[0]
    return found


def left_out(fit: Callable[[Figures], Figures], count: int) -> list[float]:
    """Relative error of each row with a fit to the others: ``fit`` takes the rows used and predicts all, relatively."""
    every = np.arange(count)
    return [float(fit(every[every != row])[row] - 1) for row in every]


def main() -> int:
    """Print the fit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reference", type=Path, nargs="?")
    path = parser.parse_args().reference
    rows: list[dict[str, Any]] = list(MEASURED)
    if path is not None:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    target = hw.load_target("gap9")
    machine = Machine.of(target, {name: figure.value for name, figure in target.model.settings.items()})
    layers = [layers_of(row["network"], int(row["weight_bits"])) for row in rows]
    priced = [price_closed_form(some, target) for some in layers]
    cycles = np.array([float(row["clock_hz"]) / float(row["inferences_per_s"]) for row in rows])
    energy = np.array([float(row["energy_uj"]) * 1e6 for row in rows])
    counts = np.array([float(len(some)) for some in layers])
    known = np.array([(p.cycles - p.cycle_parts["layer"]).sum() for p in priced])
    busy = np.array([sum(part.sum() for part in busy_cycles(some, machine)) for some in layers])
    macs = np.array([float(some["macs"].sum()) for some in layers])

    def latency(used: NDArray[np.int64]) -> Figures:
        # Cycles of a layer beyond what is known, of which the relative errors are those of the whole.
        scaled = counts / cycles
        rest = 1 - known / cycles
        each = float((scaled[used] * rest[used]).sum() / (scaled[used] ** 2).sum())
        result: Figures = (known + each * counts) / cycles
        return result

    features = np.stack([busy, macs], axis=1)

    def joules(used: NDArray[np.int64]) -> Figures:
        result: Figures = features @ least_squares(features[used], energy[used]) / energy
        return result

    every = np.arange(len(rows))
    names = [str(row["network"]) for row in rows]
    result = {
        "layer_cycles": float(((latency(every) * cycles - known) / counts).mean()),
        "busy_pj_and_mac_pj": least_squares(features, energy).tolist(),
        "cycles_left_out": dict(zip(names, left_out(latency, len(rows)), strict=True)),
        "energy_left_out": dict(zip(names, left_out(joules, len(rows)), strict=True)),
        "cycles": agreement(names, [float(p.cycles.sum()) for p in priced], cycles.tolist()),
        "energy_pj": agreement(names, [float(p.energy_pj.sum()) for p in priced], energy.tolist()),
    }
    json.dump(result, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

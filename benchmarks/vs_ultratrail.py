"""Compare the target ultratrail with what is published of the chip, for TC-ResNet8.

    python benchmarks/vs_ultratrail.py [figures.csv]

Columns of the file: ``quantity`` (latency_s, power_w or cycles), ``relation`` (``=`` or ``<=``), ``value`` and
``source``. Without it: the abstract of Palomero Bernardo et al., "UltraTrail", IEEE TCAD 39(11), 2020: 8.2 microwatts
and at most 100 ms an inference. Prints one JSON document; agreement is that of the figures with an equals sign. The
static power of the target is fitted to the published power, so only its latency is an independent figure.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
from agreement import agreement

import hannah_hw as hw
from hannah_hw.cost import price
from hannah_hw.workload import Workload

SOURCE: Final = "Palomero Bernardo et al., IEEE TCAD 39(11), 2020, abstract"
PUBLISHED: Final[tuple[dict[str, Any], ...]] = (
    {"quantity": "latency_s", "relation": "<=", "value": 0.1, "source": SOURCE},
    {"quantity": "power_w", "relation": "=", "value": 8.2e-6, "source": SOURCE},
)
WEIGHT_BITS: Final = 6


def tc_resnet8() -> Workload:
    """TC-ResNet8 on 40 x 101 features: blocks of 24, 32 and 48 channels, 12 classes; weights of 6 bits."""
    space = hw.load_space("tc_resnet")
    chosen = dict(space.default())
    for block, channels in enumerate((24, 32, 48)):
        chosen[f"tc_resnet_0.residual_block_{block}.Conv1d_0.weight.out_channels"] = channels
    workload = space.candidate(hw.Assignment(chosen)).workload()
    columns = dict(workload.kernels.columns)
    columns["weight_bits"] = np.full_like(columns["weight_bits"], WEIGHT_BITS)
    return dataclasses.replace(workload, kernels=dataclasses.replace(workload.kernels, columns=columns))


def estimated() -> dict[str, float]:
    """The target's figures; ``cycles`` are those of the array alone."""
    target = hw.load_target("ultratrail")
    costs = price(tc_resnet8(), target)
    kernels = costs.workload.kernels
    array = [kind in ("conv", "linear") for kind in kernels.kinds]
    latency = float(costs.latency_s[0])
    return {
        "cycles": float(costs.kernel_cycles[0, array].sum()),
        "cycles_with_additions_and_pooling": float(costs.cycles[0]),
        "latency_s": latency,
        "energy_j": float(costs.energy_j[0]),
        "power_w": float(costs.energy_j[0]) / latency,
        "area_mm2": float(costs.area_mm2),
    }


def main() -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reference", type=Path, nargs="?")
    path = parser.parse_args().reference
    rows: list[dict[str, Any]] = list(PUBLISHED)
    if path is not None:
        with path.open(newline="") as file:
            rows = [row | {"value": float(row["value"])} for row in csv.DictReader(file)]
    found = estimated()
    equal = [row for row in rows if row["relation"] == "="]
    bounds = [
        row | {"estimated": found[row["quantity"]], "holds": found[row["quantity"]] <= row["value"]}
        for row in rows
        if row["relation"] == "<="
    ]
    result: dict[str, Any] = {"estimated": found, "bounds": bounds}
    if equal:
        names = [row["quantity"] for row in equal]
        result |= agreement(names, [found[name] for name in names], [row["value"] for row in equal])
    json.dump(result, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

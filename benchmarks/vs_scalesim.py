"""Compare the systolic forms with runs of SCALE-Sim, layer by layer.

    python benchmarks/vs_scalesim.py scalesim_layers.csv

Columns of the file: ``net``, ``layer``, the loops of one run (``K`` filters, ``C`` input channels, ``OY``, ``OX``,
``FY``, ``FX``), ``array`` (rows x columns), ``dataflow`` (ws, os or is), and SCALE-Sim's ``Total Cycles``, ``Stall
Cycles`` and ``SRAM IFMAP Reads``, ``SRAM Filter Reads``, ``SRAM OFMAP Writes``. Stall cycles are those of its prefetch
buffers, which the forms only bound, and are left out. With the outputs of each fold of an output-stationary array
SCALE-Sim counts as many idle cells as the array has rows and columns, which are added here and nowhere else. Prints one
JSON document.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Final

import numpy as np
from agreement import agreement

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.closed_form.gemm import Products
from hannah_hw.cost.closed_form.systolic import Folds, Stationary, folds

DATAFLOWS: Final[dict[str, Stationary]] = {"ws": "weights", "os": "outputs", "is": "inputs"}
ACCESSES: Final = {
    "SRAM IFMAP Reads": ("I", "read"),
    "SRAM Filter Reads": ("W", "read"),
    "SRAM OFMAP Writes": ("O", "write"),
}


def folds_of(row: dict[str, str]) -> Folds:
    """The folds of one run."""
    sizes = {name: int(row[name]) for name in ("K", "C", "OY", "OX", "FY", "FX")}
    layers = Layers.of(
        "conv",
        in_channels=sizes["C"],
        out_channels=sizes["K"],
        out_h=sizes["OY"],
        out_w=sizes["OX"],
        kernel_h=sizes["FY"],
        kernel_w=sizes["FX"],
    )
    rows, columns = (int(size) for size in row["array"].split("x"))
    return folds(Products.of(layers), rows, columns, DATAFLOWS[row["dataflow"]])


def idle_cells(row: dict[str, str]) -> int:
    """What SCALE-Sim counts besides the outputs of an output-stationary array: rows + columns for each fold."""
    if row["dataflow"] != "os":
        return 0
    rows, columns = (int(size) for size in row["array"].split("x"))
    return (rows + columns) * -(-int(row["OY"]) * int(row["OX"]) // rows) * -(-int(row["K"]) // columns)


def main() -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reference", type=Path)
    with parser.parse_args().reference.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [f"{row['net']} {row['layer']} {row['dataflow']} {row['array']}" for row in rows]
    found = [folds_of(row) for row in rows]
    total = np.array([float(row["Total Cycles"]) for row in rows])
    stalls = np.array([float(row["Stall Cycles"]) for row in rows])
    result = {
        "compute_cycles": agreement(
            names, [float(fold.cycles[0]) for fold in found], (total - stalls).tolist()
        ),
        "stall_share_of_total": float(stalls.sum() / total.sum()),
    }
    for column, (operand, direction) in ACCESSES.items():
        chosen = [i for i, row in enumerate(rows) if row.get(column)]
        if chosen:
            values = [float(found[i].values[operand, direction][0]) for i in chosen]
            if operand == "O":
                values = [value + idle_cells(rows[i]) for value, i in zip(values, chosen, strict=True)]
            reference = [float(rows[i][column]) for i in chosen]
            result[column] = agreement([names[i] for i in chosen], values, reference)
    json.dump(result, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Compare the MAX78000 form with cycles that the vendor's latency model states.

    python benchmarks/vs_max78000.py max78000_layers.csv

Columns of the file: the parameters of ai8x-synthesis' izer/test/test_cycles.py, a list with a value for each layer in
every field (``input_chan``, ``input_dim``, ``pool``, ``pool_stride``, ``in_expand``, ``output_chan``, ``kernel_size``,
``padding``, ``operands``, ``pool_first``, ``operator``, ``timeslots``, ``flatten``, ``streaming``), and ``name`` and
``expected_cycles`` of the network. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import operator
import sys
from pathlib import Path
from typing import Any, Final

from agreement import agreement

from hannah_hw.cost.closed_form.max78000 import Passes

_ARITHMETIC: Final = {ast.Mult: operator.mul, ast.Add: operator.add}


def _value(node: ast.expr) -> Any:
    """A literal, a product or sum of literals, or the last part of a dotted name."""
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        return _ARITHMETIC[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.Attribute):
        return node.attr
    return ast.literal_eval(node)


def cycles_of(row: dict[str, str]) -> int:
    """Cycles of one network of the file; the vendor counts from 1."""
    columns = {
        name: _value(ast.parse(text.strip(), mode="eval").body)
        for name, text in row.items()
        if name not in ("name", "source", "expected_cycles", "output_width")
    }
    return 1 + sum(
        _layer({name: values[index] for name, values in columns.items()})
        for index in range(len(columns["input_chan"]))
    )


def _sides(value: int | list[int], across: int) -> tuple[int, int]:
    """Rows and columns; of one-dimensional data the file may give the rows alone."""
    return (value, across) if isinstance(value, int) else (value[0], value[1])


def _layer(given: dict[str, Any]) -> int:
    size, pool, step = (_sides(given[name], 1) for name in ("input_dim", "pool", "pool_stride"))
    rows, columns = ((size[i] + step[i] - pool[i]) // step[i] for i in range(2))
    if given["operator"].startswith("CONVTRANSPOSE"):
        # Zeros between the pixels: twice the size, then an ordinary convolution.
        rows, columns = 2 * rows, 2 * columns
    kernel, padding = _sides(given["kernel_size"], 1), _sides(given["padding"], 0)
    return int(
        Passes(
            rows=rows,
            columns=columns,
            pool=pool[0] * pool[1],
            passes=given["in_expand"],
            operands=given["operands"],
            pool_first=given["pool_first"],
            out_columns=columns - kernel[1] + 2 * padding[1] + 1,
            filters=given["output_chan"],
            kernel_rows=kernel[0],
            kernel_columns=kernel[1],
            pad_rows=padding[0],
            pad_columns=padding[1],
            convolves=given["operator"] != "NONE",
            slots=given["timeslots"],
            flattens=given["flatten"],
            streams=given["streaming"],
        ).cycles()
    )


def main() -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reference", type=Path)
    path = parser.parse_args().reference
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    stated = [row for row in rows if row["expected_cycles"].strip().isdigit()]
    names = [row["name"].strip("'") for row in stated]
    result = agreement(
        names, [cycles_of(row) for row in stated], [int(row["expected_cycles"]) for row in stated]
    )
    json.dump({"without_reference": len(rows) - len(stated)} | result, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

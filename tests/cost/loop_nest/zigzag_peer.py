"""ZigZag's descriptions, rows of its results, and ZigZag itself; what tests and benchmarks/vs_zigzag.py share."""

import csv
import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import yaml

from hannah_hw.cost.accelerators.layers import LOOPS
from hannah_hw.cost.loop_nest.hierarchy import OPERANDS, Array, Hierarchy, Memory, Port
from hannah_hw.cost.loop_nest.nests import LOOP, LoopNests
from hannah_hw.cost.loop_nest.spatial import wanted
from hannah_hw.cost.loop_nest.tables import PAD, Tables

#: ZigZag's names of directions and operands -> ours.
MOVE = {"fh": "fill", "tl": "read", "fl": "update", "th": "drain"}
OPERAND = {"I1": "I", "I2": "W", "O": "O"}

#: Widths that rows of ZigZag were made with: weights, inputs, partial sums, finished outputs.
WIDTHS = {"W": 8, "I": 8, "O": 16, "O_final": 8}

#: Unrollings of ZigZag's examples, by architecture.
UNROLLINGS = {
    "tpu_like": {"D1": {"K": 32}, "D2": {"C": 32}},
    "meta_prototype": {"D1": {"K": 32}, "D2": {"C": 2}, "D3": {"OX": 4}, "D4": {"OY": 4}},
    "eyeriss_like": {"D1": {"OY": 14}, "D2": {"FY": 3, "C": 4}},
    "edge_tpu_like": {"D1": {"K": 8}, "D2": {"C": 8}, "D3": {"OX": 4}, "D4": {"OY": 4}},
    "ascend_like": {"D1": {"K": 16}, "D2": {"C": 16}, "D3": {"OX": 2}, "D4": {"OY": 2}},
    "tesla_npu_like": {"D1": {"K": 32}, "D2": {"OX": 8}, "D3": {"OY": 4}},
}


def shipped(name: str) -> Path:
    """Where zigzag-dse keeps one of its descriptions."""
    spec = importlib.util.find_spec("zigzag")
    return Path(spec.origin).parent / "inputs" / "hardware" / f"{name}.yaml"


def hierarchy_of(path: Path) -> Hierarchy:
    """A hierarchy from ZigZag's YAML. Its memory of 10^10 bits and more is unlimited in effect, and kept as it is."""
    data = yaml.safe_load(Path(path).read_text())
    array = data["operational_array"]
    memories = []
    for name, memory in data["memories"].items():
        ports = []
        for port in memory["ports"]:
            carries = {}
            for entry in port["allocation"]:
                operand, move = entry.replace(" ", "").split(",")
                carries.setdefault(OPERAND[operand], []).append(MOVE[move])
            ports.append(
                Port(
                    port["name"],
                    port["type"],
                    port["bandwidth_max"],
                    port["bandwidth_min"],
                    {operand: tuple(moves) for operand, moves in carries.items()},
                )
            )
        memories.append(
            Memory(
                name,
                memory["size"],
                tuple(OPERAND[operand] for operand in memory["operands"]),
                tuple(memory["served_dimensions"]),
                tuple(ports),
                float(memory.get("r_cost") or 0),
                float(memory.get("w_cost") or 0),
                double_buffer=True if memory.get("force_double_buffering") else None,
            )
        )
    return Hierarchy(
        Array(
            dict(zip(array["dimensions"], array["sizes"], strict=True)),
            float(array.get("unit_energy", 0)),
            tuple(array.get("systolic_dimensions") or ()),
        ),
        tuple(memories),
        WIDTHS["O"],
        data["name"],
    )


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a table of ZigZag's results, as /data/README.md of the reference tables describes them."""
    csv.field_size_limit(10**9)
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def nests_of(rows) -> LoopNests:
    """Loop nests of rows that have ZigZag's columns."""
    number = lambda *names: np.array([[int(row[name]) for name in names] for row in rows], np.int64)  # noqa: E731
    dilations = np.array([[int(row.get(name) or 1) for name in ("dx", "dy")] for row in rows], np.int64)
    count = len(rows)
    widths = [WIDTHS["I"], WIDTHS["W"], WIDTHS["O_final"]]
    return LoopNests(
        sizes=number(*LOOPS),
        strides=number("sx", "sy"),
        dilations=dilations,
        inputs=number("IX", "IY"),
        bits=np.tile(np.array(widths, np.int64), (count, 1)),
        partial_bits=np.full(count, WIDTHS["O"], np.int64),
    )


def replayed(hierarchy: Hierarchy, rows, mode="zigzag"):
    """Tables, cases, orders and positions that replay the mappings of rows, one case a row."""
    mappings = [json.loads(row["temporal_mapping"]) for row in rows]
    sequences = [
        [(LOOP[loop], int(size)) for level in mapping["O"] for loop, size in level] for mapping in mappings
    ]
    asked = np.stack(
        [
            wanted(
                hierarchy.array,
                {
                    dimension: {loop: math.ceil(units) for loop, units in loops.items()}
                    for dimension, loops in json.loads(row["spatial_mapping"]).items()
                },
            )
            for row in rows
        ]
    )
    tables = Tables(hierarchy, nests_of(rows), asked, [tuple(s) for s in sequences], mode)
    orders = np.full((max(1, *map(len, sequences)), len(rows)), PAD, np.uint8)
    positions = np.zeros((len(tables.levels), len(rows)), np.int64)
    for row, (sequence, mapping) in enumerate(zip(sequences, mappings, strict=True)):
        kinds = list(tables.kinds[row])
        # A layer without any temporal loop has one of a single iteration.
        for place, loop in enumerate(sequence or kinds):
            orders[place, row] = kinds.index(loop)
        for number, level in enumerate(tables.levels):
            levels = mapping[OPERANDS[level.operand]][: level.depth + 1]
            positions[number, row] = sum(map(len, levels))
    return tables, np.arange(len(rows)), orders, positions

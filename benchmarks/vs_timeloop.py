"""Our loop-nest model beside Timeloop's reference outputs, on the same designs and mappings: one JSON document.

    python benchmarks/vs_timeloop.py SUMMARY.csv LEVELS.csv

SUMMARY.csv has a row a design: `design`, `problem`, `cycles`, `mapping` (Timeloop's text, its lines joined by " / ").
LEVELS.csv has a row a memory and tensor: bandwidths in words, `block` (words an access), `vec_access_pJ`, `instances`
and accesses of one instance. A design becomes a hierarchy with a dimension of the array for every spatial loop.
Timeloop counts scalars whatever their width, so here a scalar is one bit.

Counts are scalar accesses of one instance. Where ours differ, the entry names the first of these causes that turns ours
into Timeloop's to the last access, else `none found`:

* `first accumulation`: Timeloop does not read a partial sum that does not exist yet, ZigZag's model reads every time.
* `shared overlap`: units whose windows overlap need the same inputs. Ours counts what different units need together
  once, Timeloop what each needs.
* `held at the multiplier`: ours reads an operand again when it changes, Timeloop in every cycle.
* `halo reuse`: consecutive tiles of the input overlap. Timeloop fetches the difference, ours the whole tile.

Timeloop has no count of finished outputs that a memory hands outwards (`drain`); its energy has no such part either.
Its cycles are the longest of computation and each memory's words over its bandwidth, all of which overlap; ours add
what loading before and after the computation takes, and stalls: a transfer takes whole cycles of its port, so two
operands that need a part of its width each cycle need two.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hannah_hw.cost.accelerators.layers import LOOPS
from hannah_hw.cost.loop_nest.evaluate import Evaluation, evaluate
from hannah_hw.cost.loop_nest.hierarchy import OPERANDS, Array, Hierarchy, Memory, Port
from hannah_hw.cost.loop_nest.levels import Link
from hannah_hw.cost.loop_nest.nests import LOOP, LoopNests
from hannah_hw.cost.loop_nest.spatial import wanted
from hannah_hw.cost.loop_nest.tables import Tables

#: Timeloop's dimensions of a convolution and of a matrix product, and its tensors, -> ours.
DIMENSIONS = {
    "conv": {"N": "B", "M": "K", "C": "C", "P": "OX", "Q": "OY", "R": "FX", "S": "FY"},
    "matmul": {"M": "K", "K": "C", "N": "OX"},
}
TENSORS = {"Inputs": "I", "Weights": "W", "Outputs": "O", "A": "W", "B": "I", "Z": "O"}

#: Widths of ports that Timeloop leaves unlimited, in words.
UNLIMITED = 2**20

#: Columns of LEVELS.csv -> moves of inputs and weights, and of outputs.
ACTIONS = {
    "reads_per_inst": ("read", "read"),
    "fills_per_inst": ("fill", "fill"),
    "updates_per_inst": (None, "update"),
}


@dataclass
class Block:
    """A memory of a mapping, or the fan-out between two, and its loops from the outermost."""

    name: str
    temporal: list[tuple[str, int]] = field(default_factory=list)
    spatial: list[tuple[str, int]] = field(default_factory=list)


def blocks(text: str, names: dict[str, str]) -> list[Block]:
    """Blocks of a mapping from the outermost."""
    found: list[Block] = []
    for line in text.split(" / "):
        loop = re.search(r"for (\w+) in \[0:(\d+)\)( \(Spatial)?", line)
        head = re.match(r"\s*(\w+) \[", line)
        if loop:
            kind = found[-1].spatial if loop.group(3) else found[-1].temporal
            kind.append((names[loop.group(1)], int(loop.group(2))))
        elif head:
            found.append(Block(head.group(1)))
    return found


def memory(name: str, rows: list[dict[str, str]], served: list[str]) -> Memory:
    """A memory from its rows: a read and a write port, or a port a move where Timeloop limits nothing.

    Its energy is of an access of `block` words, ours of a word as wide as the port.
    """
    first = rows[0]
    holds = tuple(TENSORS[row["tensor"]] for row in rows)
    limited = first["rd_bw"] != "-"
    width = int(float(first["rd_bw"])) if limited else UNLIMITED
    ports = []
    for kind, moves in (("read", ("read", "drain")), ("write", ("fill", "update"))):
        carries = {op: tuple(m for m in moves if op == "O" or m in ("read", "fill")) for op in holds}
        if limited:
            ports.append(Port(kind, kind, width, 1, carries))
        else:
            ports += [
                Port(f"{move} {operand}", kind, width, 1, {operand: (move,)})
                for operand, own in carries.items()
                for move in own
            ]
    size = None if first["size"] == "-" else float(first["size"])
    pj = float(first["vec_access_pJ"]) * width / int(first["block"])
    return Memory(name, size, holds, tuple(served), tuple(ports), pj, pj)


def nests_of(problem: dict[str, int], names: dict[str, str]) -> LoopNests:
    """The layer. Timeloop counts the padding as part of the input, so the input is as large as the windows reach."""
    sizes = np.ones((1, 8), np.int64)
    for theirs, ours in names.items():
        sizes[0, LOOP[ours]] = problem.get(theirs, 1)
    strides = np.array([[problem.get("Wstride", 1), problem.get("Hstride", 1)]])
    dilations = np.array([[problem.get("Wdilation", 1), problem.get("Hdilation", 1)]])
    windows = sizes[:, [LOOP["FX"], LOOP["FY"]]]
    outputs = sizes[:, [LOOP["OX"], LOOP["OY"]]]
    return LoopNests(
        sizes,
        strides,
        dilations,
        (outputs - 1) * strides + (windows - 1) * dilations + 1,
        np.ones((1, 3), np.int64),
        np.ones(1, np.int64),
    )


@dataclass
class Design:
    """A design, its mapping, and our evaluation of it."""

    mapping: list[Block]
    dimensions: list[tuple[str, str, int]]
    tables: Tables
    result: Evaluation
    order: list[tuple[str, int]]

    def kept(self, place: int) -> int:
        """Temporal loops at or below a memory."""
        name = self.tables.hierarchy.memories[place].name
        inner = self.mapping[[block.name for block in self.mapping].index(name) :]
        return sum(len(block.temporal) for block in inner)


def design(summary: dict[str, str], levels: list[dict[str, str]]) -> Design:
    """Express a design and evaluate its mapping."""
    problem = {key: int(value) for key, value in re.findall(r"(\w+): (\d+)", summary["problem"])}
    names = DIMENSIONS["conv" if "P" in problem else "matmul"]
    mapping = blocks(summary["mapping"], names)
    dimensions = [
        (f"{block.name}.{number}", loop, size)
        for block in mapping
        for number, (loop, size) in enumerate(block.spatial)
    ]
    served: dict[str, list[str]] = {}
    for place, block in enumerate(mapping):
        inner = [other.name for other in mapping[place:]]
        served[block.name] = [name for name, _, _ in dimensions if name.rsplit(".", 1)[0] in inner]
    memories = [
        memory(block.name, rows, served[block.name])
        for block in reversed(mapping)
        if (rows := [row for row in levels if row["level"] == block.name])
    ]
    sizes = {name: size for name, _, size in dimensions}
    hierarchy = Hierarchy(Array(sizes, 0.0), tuple(memories), None, summary["design"])
    order = [loop for block in reversed(mapping) for loop in reversed(block.temporal)]
    factors = tuple((LOOP[loop], size) for loop, size in order)
    asked = wanted(hierarchy.array, {name: {loop: size} for name, loop, size in dimensions})
    tables = Tables(hierarchy, nests_of(problem, names), asked, [factors])
    kinds = list(tables.kinds[0])
    rows = np.array([[kinds.index(factor)] for factor in factors or kinds], np.uint8)
    found = Design(mapping, dimensions, tables, None, order)  # type: ignore[arg-type]
    positions = np.array([[found.kept(level.memory)] for level in tables.levels])
    found.result = evaluate(tables, np.zeros(1, np.int64), rows, positions, detail=True)
    return found


def shared_overlap(mine: Design, link: Link, count: float) -> float:
    """Reads if every unit below a memory got its own copy of what overlaps with its neighbours'."""
    if link.operand != 0 or link.outer:
        return count
    tables = mine.tables
    depth = tables.levels[link.level].depth
    inner = tables.inside(0, depth, False)[:, 0]
    outer = tables.inside(0, depth + 1, False)[:, 0]
    fanout = outer / inner
    relevant = [LOOP[name] for name in ("B", "G", "C", "OX", "OY", "FX", "FY")]
    return count / float(tables.copies(link.level, False)[0]) * float(fanout[relevant].prod())


def halo_reuse(mine: Design, link: Link, count: float) -> float:
    """Fetches if only what the last tile of the input did not have were fetched."""
    if link.operand != 0:
        return count
    tables = mine.tables
    level = link.level if link.outer else link.level - 1
    if level < tables.shape.starts[0] or tables.levels[level].operand != 0:
        return count
    kept = mine.kept(tables.levels[level].memory)
    whole, fresh = new_elements(mine, level, kept)
    return count * fresh / whole


def new_elements(mine: Design, level: int, kept: int) -> tuple[float, float]:
    """Elements of the input's tiles over all outer iterations, and those that the tile before did not have.

    A tile is a box of channels, columns and rows. Loops outside of it run in order; tiles that do not move are not
    fetched again in either count.
    """
    tables = mine.tables
    extent = tables.inside(0, tables.levels[level].depth + 1, False)[:, 0].copy()
    for loop, size in mine.order[:kept]:
        extent[LOOP[loop]] *= size
    steps, running = [], extent.copy()
    spatial = tables.everywhere(False)[:, 0] / tables.inside(0, tables.levels[level].depth + 1, False)[:, 0]
    for loop, size in mine.order[kept:]:
        place = LOOP[loop]
        # Units along an unrolled dimension stand side by side, so a step of an outer loop passes all of them.
        steps.append((place, size, running[place] * spatial[place]))
        running[place] *= size
    strides, dilations = tables.nests.strides[0], tables.nests.dilations[0]
    box = np.array(
        [
            extent[LOOP["C"]] * extent[LOOP["G"]],
            (extent[LOOP["OX"]] - 1) * strides[0] + (extent[LOOP["FX"]] - 1) * dilations[0] + 1,
            (extent[LOOP["OY"]] - 1) * strides[1] + (extent[LOOP["FY"]] - 1) * dilations[1] + 1,
        ]
    )
    axis = {
        "C": (0, 1),
        "OX": (1, strides[0]),
        "FX": (1, dilations[0]),
        "OY": (2, strides[1]),
        "FY": (2, dilations[1]),
    }
    corners = []
    for numbers in product(*(range(size) for _, size, _ in reversed(steps))):
        corner = np.zeros(3)
        for number, (place, _, step) in zip(numbers, reversed(steps), strict=True):
            where = axis.get(LOOPS[place])
            if where is not None:
                corner[where[0]] += number * step * where[1]
        corners.append(corner)
    moves = np.abs(np.diff(np.array(corners), axis=0))
    moved = moves[moves.any(axis=1)]
    common = np.maximum(box - moved, 0).prod(axis=1)
    volume = float(box.prod())
    return volume * (1 + len(moved)), volume * (1 + len(moved)) - float(common.sum())


def first_accumulation(link: Link, count: float, partition: float) -> float:
    """Reads of partial sums less one for each output, or none where nothing is partial."""
    return max(count - partition, 0.0) if link.partial else count


def held_at_the_multiplier(mine: Design, link: Link, count: float) -> float:
    """Reads if an operand were read in every cycle."""
    if link.boundary > 0 or link.operand == 2:
        return count
    cycles = float(mine.result.temporal[0])
    unchanged = 1.0
    irrelevant = {0: ("K",), 1: ("B", "OX", "OY")}[link.operand]
    for loop, size in mine.order:
        if loop not in irrelevant:
            break
        unchanged *= size
    return count * min(unchanged, cycles)


def causes(mine: Design, link: Link, count: float, partition: float) -> dict[str, float]:
    """Cause -> what our count becomes without it."""
    return {
        "first accumulation": first_accumulation(link, count, partition),
        "held at the multiplier": held_at_the_multiplier(mine, link, count),
        "shared overlap": shared_overlap(mine, link, count),
        "halo reuse": halo_reuse(mine, link, count),
        "shared overlap and halo reuse": halo_reuse(mine, link, shared_overlap(mine, link, count)),
    }


def compare(summary: dict[str, str], levels: list[dict[str, str]]) -> dict[str, Any]:
    """One design."""
    mine = design(summary, levels)
    tables, result = mine.tables, mine.result
    entries = []
    for row in levels:
        operand = OPERANDS.index(TENSORS[row["tensor"]])
        for column, moves in ACTIONS.items():
            move = moves[operand == 2]
            links = [
                (number, link)
                for number, link in enumerate(result.links)
                if link.operand == operand
                and link.move == move
                and tables.hierarchy.memories[link.memory].name == row["level"]
            ]
            theirs = float(row[column])
            if not links:
                continue
            number, link = links[0]
            scalars = result.words[number, 0] * link.max_bits
            ours = float(scalars) / float(row["instances"])
            entry = {
                "memory": row["level"],
                "tensor": row["tensor"],
                "move": move,
                "ours": ours,
                "timeloop": theirs,
            }
            if not np.isclose(ours, theirs, rtol=1e-9):
                without = causes(mine, link, ours, float(row["partition"]))
                explained = [name for name, value in without.items() if np.isclose(value, theirs, rtol=1e-9)]
                entry["cause"] = explained[0] if explained else "none found"
            entries.append(entry)
    ours_cycles, theirs_cycles = float(result.cycles[0]), float(summary["cycles"])
    return {
        "fits": bool(result.fits[0]),
        "cycles": {
            "ours": ours_cycles,
            "of_these_temporal": float(result.temporal[0]),
            "stall": float(result.stall[0]),
            "onload": float(result.onload[0]),
            "offload": float(result.offload[0]),
            "timeloop": theirs_cycles,
            "relative": ours_cycles / theirs_cycles - 1,
            "temporal_relative": float(result.temporal[0]) / theirs_cycles - 1,
        },
        "accesses": len(entries),
        "equal": sum("cause" not in entry for entry in entries),
        "explained": sum(entry.get("cause", "none found") != "none found" for entry in entries),
        "entries": entries,
    }


def main() -> None:
    """Print the document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("summary", type=Path)
    parser.add_argument("levels", type=Path)
    options = parser.parse_args()
    with options.summary.open(newline="") as file:
        designs = list(csv.DictReader(file))
    with options.levels.open(newline="") as file:
        levels = list(csv.DictReader(file))
    found = {
        row["design"]: compare(row, [level for level in levels if level["design"] == row["design"]])
        for row in designs
    }
    totals = {key: sum(entry[key] for entry in found.values()) for key in ("accesses", "equal", "explained")}
    print(json.dumps(totals | {"designs": found}, indent=1))


if __name__ == "__main__":
    main()

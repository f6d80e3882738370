"""Our loop-nest model against zigzag-dse 3.9.1, on the same mappings: one JSON document on stdout.

    python benchmarks/vs_zigzag.py [REFERENCE.csv] [--random 500] [--hardware targets|zigzag|DIRECTORY] [--mode zigzag]

REFERENCE.csv has a row a layer: sizes of the loops, strides, `spatial_mapping` and `temporal_mapping` as JSON, and what
ZigZag found: `cycles`, `energy_pJ` and the parts of the cycles. Every row is replayed with its own mapping. Rows of
other versions of ZigZag are left out and counted: 3.8.5 has no drain and another rule of loading.

`--random N` runs zigzag-dse itself (extra `peers`) on N random orderings of random layers on each of six
architectures, dilated and grouped layers among them, half of them with random unrollings, and compares those rows too.
All of it follows from `--seed`.

The hardware is that of our targets (`--hardware targets`), of the YAML files that zigzag-dse ships (`zigzag`), or of
such files in a folder. `--mode whole` shows how far the default mode of the package is from ZigZag, and why it is not
the one compared: it rounds partial tiles up where ZigZag rounds down.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cost" / "loop_nest"))

import numpy as np
import zigzag_peer as peer

import hannah_hw
from hannah_hw.cost.loop_nest.description import hierarchy
from hannah_hw.cost.loop_nest.evaluate import Evaluation, evaluate
from hannah_hw.cost.loop_nest.hierarchy import Hierarchy
from hannah_hw.errors import HannahError

VERSION = "3.9.1"

#: ZigZag's names of architectures -> our targets, where they differ.
TARGETS = {"eyeriss_like": "eyeriss", "npu_like": "tesla_npu_like"}

#: Column of a row -> part of our cycles.
PARTS = {
    "stall_cycle": "stall",
    "onload_cycle": "onload",
    "offload_cycle": "offload",
    "systolic_drain": "drain",
}

Row = dict[str, Any]


def hardware(name: str, source: str) -> Hierarchy:
    """The hierarchy of an architecture."""
    if source == "targets":
        return hierarchy(hannah_hw.load_target(TARGETS.get(name, name)))
    if source == "zigzag":
        return peer.hierarchy_of(peer.shipped({"npu_like": "tesla_npu_like"}.get(name, name)))
    return peer.hierarchy_of(Path(source) / f"{name}.yaml")


def spread(errors: np.ndarray) -> dict[str, float]:
    """Mean, 95th percentile and largest of absolute relative errors."""
    return {
        "mean": float(errors.mean()),
        "p95": float(np.quantile(errors, 0.95)),
        "max": float(errors.max()),
    }


def relative(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Absolute relative errors; infinite where only one of both is zero or ours does not fit."""
    difference = np.abs(ours - theirs)
    return np.divide(difference, np.abs(theirs), out=np.where(difference > 0, np.inf, 0.0), where=theirs != 0)


def compare(rows: list[Row], result: Evaluation, own: Evaluation) -> dict[str, Any]:
    """Errors of rows of one architecture."""
    fits = result.fits
    theirs = {name: np.array([float(row[name]) for row in rows]) for name in ("cycles", "energy_pJ")}
    cycles = relative(result.cycles, theirs["cycles"])
    energy = relative(result.energy_pj, theirs["energy_pJ"])
    parts = {
        name: float(np.abs(getattr(result, part) - [float(row[name]) for row in rows])[fits].max(initial=0.0))
        for name, part in PARTS.items()
        if all(row.get(name) not in (None, "") for row in rows)
    }
    return {
        "rows": len(rows),
        "rows_with_equal_cycles": int((result.cycles == theirs["cycles"]).sum()),
        "rows_that_overflow_a_memory": int((~fits).sum()),
        "rows_with_stalls": int((result.stall > 0).sum()),
        "rows_where_own_allocation_gives_equal_cycles": int((own.cycles == theirs["cycles"]).sum()),
        "largest_difference_of_parts_in_cycles": parts,
        "cycle_errors": cycles[fits],
        "energy_errors": energy[fits],
        "ours": list(zip(result.cycles[fits].tolist(), result.energy_pj[fits].tolist(), strict=True)),
    }


def replayable(rows: list[Row], hierarchy: Hierarchy, mode: str) -> tuple[list[Row], list[Row]]:
    """Rows whose mappings the model can express, and the others with the reason."""
    try:
        peer.replayed(hierarchy, rows, mode)
    except (HannahError, ValueError, KeyError) as error:
        if len(rows) == 1:
            shown = {key: rows[0].get(key) for key in ("arch", "net", "layer")}
            return [], [shown | {"rows": 1, "reason": f"{type(error).__name__}: {error}"}]
        halves = [
            replayable(part, hierarchy, mode) for part in (rows[: len(rows) // 2], rows[len(rows) // 2 :])
        ]
        return [row for good, _ in halves for row in good], [row for _, bad in halves for row in bad]
    return rows, []


def replay(rows: list[Row], source: str, mode: str) -> tuple[dict[str, Any], list[Row]]:
    """Comparisons by architecture, and what could not be replayed."""
    found: dict[str, Any] = {}
    failed: list[Row] = []
    for name in dict.fromkeys(row["arch"] for row in rows):
        mine = [row for row in rows if row["arch"] == name]
        try:
            known = hardware(name, source)
        except (HannahError, OSError) as error:
            failed.append({"arch": name, "rows": len(mine), "reason": str(error)})
            continue
        mine, others = replayable(mine, known, mode)
        failed += others
        if not mine:
            continue
        tables, cases, orders, positions = peer.replayed(known, mine, mode)
        result = evaluate(tables, cases, orders, positions)
        fitting = [row for row, fits in zip(mine, result.fits, strict=True) if fits]
        found[name] = compare(mine, result, evaluate(tables, cases, orders)) | {"of": fitting}
    return found, failed


def summary(found: dict[str, Any], worst: int) -> dict[str, Any]:
    """The comparisons of all architectures, as JSON."""
    if not found:
        return {"rows": 0}
    cycles = np.concatenate([entry["cycle_errors"] for entry in found.values()])
    energy = np.concatenate([entry["energy_errors"] for entry in found.values()])
    rows = [row for entry in found.values() for row in entry["of"]]
    ours = [pair for entry in found.values() for pair in entry["ours"]]
    order = np.lexsort((-energy, -cycles))[:worst]
    shown = ("arch", "net", "layer", "B", "K", "G", "OX", "OY", "C", "FX", "FY", "sx", "sy")
    hidden = ("cycle_errors", "energy_errors", "of", "ours")
    return {
        "rows": sum(entry["rows"] for entry in found.values()),
        "rows_with_equal_cycles": sum(entry["rows_with_equal_cycles"] for entry in found.values()),
        "cycles": spread(cycles),
        "energy": spread(energy),
        "worst": [
            {key: rows[i][key] for key in shown if key in rows[i]}
            | {
                "cycles": float(rows[i]["cycles"]),
                "our_cycles": ours[i][0],
                "cycle_error": float(cycles[i]),
                "energy_pj": float(rows[i]["energy_pJ"]),
                "our_energy_pj": ours[i][1],
                "energy_error": float(energy[i]),
            }
            for i in order
        ],
        "by_architecture": {
            name: {key: value for key, value in entry.items() if key not in hidden}
            | {"cycles": spread(entry["cycle_errors"]), "energy": spread(entry["energy_errors"])}
            for name, entry in found.items()
        },
    }


def random_rows(count: int, seed: int, architectures: list[str]) -> tuple[list[Row], dict[str, Any]]:
    """Rows of zigzag-dse itself, and what it took."""
    import zigzag_run

    rows: list[Row] = []
    about: dict[str, Any] = {}
    for name in architectures:
        generator = random.Random(f"{seed} {name}")  # noqa: S311
        zigzag = zigzag_run.Peer(peer.shipped(name))
        mine: list[Row] = []
        too_small = 0
        while len(mine) < count:
            layer = zigzag_run.random_layer(generator, dilated=generator.random() < 0.2)
            usual = generator.random() < 0.5
            unrolling = peer.UNROLLINGS[name] if usual else zigzag.random_unrolling(generator)
            orders = min(5, count - len(mine))
            fresh = zigzag.rows(layer, unrolling, generator, orders, limit=generator.choice([4, 6, 8]))
            too_small += sum(row["cycles"] is None for row in fresh)
            mine += [row | {"arch": name} for row in fresh if row["cycles"] is not None]
        rows += mine
        about[name] = {"zigzag_ms_a_mapping": zigzag.seconds / len(mine) * 1e3, "did_not_fit": too_small}
    return rows, about


def main() -> None:
    """Print the document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reference", nargs="?", type=Path)
    parser.add_argument(
        "--random", type=int, default=0, help="orderings for ZigZag to run on each architecture"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--architectures", nargs="+", default=list(peer.UNROLLINGS))
    parser.add_argument(
        "--hardware", default="targets", help="targets, zigzag, or a folder of ZigZag's YAML files"
    )
    parser.add_argument("--mode", choices=["zigzag", "whole"], default="zigzag")
    parser.add_argument("--worst", type=int, default=5)
    options = parser.parse_args()
    if options.reference is None and not options.random:
        parser.error("give a REFERENCE.csv, --random N, or both")
    document: dict[str, Any] = {"mode": options.mode, "hardware": options.hardware}
    if options.reference is not None:
        rows = peer.read_rows(options.reference)
        usable = [row for row in rows if VERSION in row["version"]]
        others = Counter(row["version"] for row in rows if VERSION not in row["version"])
        start = time.process_time()
        found, failed = replay(usable, options.hardware, options.mode)
        document["reference"] = {
            "file": options.reference.name,
            "rows_of_other_versions_left_out": dict(others),
            "not_replayed": failed,
            "cpu_s": time.process_time() - start,
        } | summary(found, options.worst)
    if options.random:
        rows, about = random_rows(options.random, options.seed, options.architectures)
        found, failed = replay(rows, options.hardware, options.mode)
        document["random"] = {"not_replayed": failed} | summary(found, options.worst)
        for name, entry in document["random"].get("by_architecture", {}).items():
            entry.update(about[name])
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()

"""Our full search against the best mapping that zigzag-dse 3.9.1 finds: one JSON document on stdout.

    python benchmarks/search_vs_zigzag.py [REFERENCE.csv] [--run 4] [--architectures tpu_like ...]

Rows of REFERENCE.csv are ZigZag's best in latency, with the `lpf_limit` (number of loop factors) it searched with.
`--run N` searches N random layers on each architecture with zigzag-dse itself (extra `peers`), all orderings of four
factors, in the same run. Unrolling and factors are ZigZag's; costs are counted as ZigZag counts them (mode `zigzag`).

* `full_memories`: all orderings, the allocation rule that ZigZag has too. Never worse, and where its rounding does not
  decide between equals, the same.
* `half_full_too`: what the package searches by default. How often that is better than ZigZag's best, and by how much.
* `more_factors_too`: 8 factors beside those.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cost" / "loop_nest"))

import numpy as np
import zigzag_peer as peer

from hannah_hw.cost.loop_nest.search import search
from hannah_hw.cost.loop_nest.spatial import wanted
from hannah_hw.cost.loop_nest.tables import Tables

Row = dict[str, Any]

VERSION = "3.9.1"


def ours(name: str, rows: list[Row]) -> dict[str, np.ndarray]:
    """Cycles of our best mapping of each row by search, energy of that with full memories, CPU seconds of each."""
    hierarchy = peer.hierarchy_of(peer.shipped(name))
    nests = peer.nests_of(rows)
    asked = wanted(hierarchy.array, peer.UNROLLINGS[name])
    found: dict[str, Any] = {label: np.full(len(rows), np.inf) for label in LABELS}
    found["energy_pj"] = np.full(len(rows), np.inf)
    found["seconds"] = dict.fromkeys(LABELS, 0.0)
    for limit in sorted({int(row["lpf_limit"]) for row in rows}):
        mine = np.array([number for number, row in enumerate(rows) if int(row["lpf_limit"]) == limit])
        for label, factors, fills in (
            ("full_memories", limit, ()),
            ("half_full_too", limit, None),
            ("more_factors_too", 8, None),
        ):
            start = time.process_time()
            best = search(Tables(hierarchy, nests.at(mine), asked, factors, "zigzag"), "cycles", fills)
            found["seconds"][label] += time.process_time() - start
            found[label][mine] = best.cycles
            if label == "full_memories":
                found["energy_pj"][mine] = best.energy_pj
    found["more_factors_too"] = np.minimum(found["more_factors_too"], found["half_full_too"])
    return found


LABELS = ("full_memories", "half_full_too", "more_factors_too")


def compare(rows: list[Row], found: dict[str, Any]) -> dict[str, Any]:
    """How often ours is better, equal and worse, and by how much."""
    theirs = np.array([float(row["cycles"]) for row in rows])
    energy = np.array([float(row["energy_pJ"]) for row in rows])
    document: dict[str, Any] = {"rows": len(rows)}
    for label in LABELS:
        gain = 1 - found[label] / theirs
        document[label] = {
            "better": int((gain > 1e-12).sum()),
            "equal": int((np.abs(gain) <= 1e-12).sum()),
            "worse": int((gain < -1e-12).sum()),
            "fewer_cycles_mean": float(gain.mean()),
            "fewer_cycles_max": float(gain.max()),
            "fewer_cycles_min": float(gain.min()),
            "ms_a_layer": found["seconds"][label] / len(rows) * 1e3,
        }
    equal = found["full_memories"] == theirs
    document["energy_of_equal_cycles"] = {
        "rows": int(equal.sum()),
        "ours_is_higher_by_more_than_1e-5": int((found["energy_pj"] > energy * (1 + 1e-5))[equal].sum()),
        "ours_is_lower_by_more_than_1e-5": int((found["energy_pj"] < energy * (1 - 1e-5))[equal].sum()),
    }
    return document


def zigzag_best(name: str, count: int, seed: int, limit: int) -> tuple[list[Row], float]:
    """The best mappings of random layers that zigzag-dse finds, and its CPU seconds."""
    import zigzag_run
    import zigzag_search

    generator = random.Random(f"{seed} {name}")  # noqa: S311
    zigzag = zigzag_run.Peer(peer.shipped(name))
    rows: list[Row] = []
    took = 0.0
    while len(rows) < count:
        layer = zigzag_run.random_layer(generator)
        start = time.process_time()
        best = zigzag_search.best(zigzag, layer, peer.UNROLLINGS[name], limit)
        if best is not None:
            took += time.process_time() - start
            rows.append(layer | {"lpf_limit": limit, "cycles": best[0], "energy_pJ": best[1]})
    return rows, took


def main() -> None:
    """Print the document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reference", nargs="?", type=Path)
    parser.add_argument("--run", type=int, default=0, help="layers for ZigZag to search on each architecture")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--factors", type=int, default=4, help="factors of layers that ZigZag searches here")
    parser.add_argument("--architectures", nargs="+", default=list(peer.UNROLLINGS))
    options = parser.parse_args()
    if options.reference is None and not options.run:
        parser.error("give a REFERENCE.csv, --run N, or both")
    document: dict[str, Any] = {}
    if options.reference is not None:
        rows = [row for row in peer.read_rows(options.reference) if VERSION in row["version"]]
        names = [name for name in dict.fromkeys(row["arch"] for row in rows) if name in peer.UNROLLINGS]
        document["reference"] = {"file": options.reference.name} | {
            name: compare(mine, ours(name, mine))
            for name in names
            if (mine := [row for row in rows if row["arch"] == name and row["spatial_mode"] == "fixed"])
        }
    if options.run:
        document["run_here"] = {}
        for name in options.architectures:
            mine, took = zigzag_best(name, options.run, options.seed, options.factors)
            entry = compare(mine, ours(name, mine))
            document["run_here"][name] = entry | {"zigzag_ms_a_layer": took / len(mine) * 1e3}
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()

"""How fast mappings are priced and searched, beside zigzag-dse on the same layers: one JSON document on stdout.

    python benchmarks/mapping_speed.py [REFERENCE.csv] [--architectures tpu_like eyeriss_like meta_prototype]

* A mapping: CPU time of ZigZag's allocation and cost model on random orderings of each layer (extra `peers`), and of
  ours on all orderings of all layers, in chunks of several sizes, in the same run and with the same six factors.
* A search: CPU time for each distinct layer of everything from tables to the chosen mapping, with full memories only
  (what ZigZag searches) and with half-full ones too, and what ZigZag's own search of the same orderings would take:
  their number times its time for one.
* A population: candidates a second of a space on a target, first with an empty cache, then candidates of later
  generations with what the first ones left in it.

Layers are those of REFERENCE.csv (a row a layer with sizes of loops and strides, as ZigZag's reference rows have them)
or, without one, those of MobileNetV1-0.25 at 96 pixels and of ResNet-8. Everything runs on one thread; of several
repetitions the least CPU time counts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cost" / "loop_nest"))

import numpy as np
import zigzag_peer as peer
from timing import least_seconds

import hannah_hw
from hannah_hw.cost.accelerators.layers import LOOPS
from hannah_hw.cost.loop_nest.evaluate import evaluate
from hannah_hw.cost.loop_nest.hierarchy import Hierarchy
from hannah_hw.cost.loop_nest.mapper import Choices, best_mappings
from hannah_hw.cost.loop_nest.nests import LoopNests
from hannah_hw.cost.loop_nest.orderings import count, enumerated
from hannah_hw.cost.loop_nest.spatial import wanted
from hannah_hw.cost.loop_nest.tables import Tables

Row = dict[str, Any]

FACTORS = 6
CHUNKS = (100, 1_000, 4_000, 10_000)


def layer(k: int, c: int, size: int, window: int, stride: int = 1, groups: int = 1) -> Row:
    """A square layer with the window's usual padding, as a row."""
    row = dict(zip(LOOPS, (1, k, groups, size, size, c, window, window), strict=True))
    inside = (size - 1) * stride + window - 2 * (window // 2)
    return row | {"sx": stride, "sy": stride, "dx": 1, "dy": 1, "IX": inside, "IY": inside}


def usual_layers() -> list[Row]:
    """Distinct layers of MobileNetV1-0.25 at 96 pixels and of ResNet-8, MLPerf Tiny's networks for images."""
    rows = [layer(8, 3, 48, 3, 2)]
    size, channels = 48, 8
    for out, stride in [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1)]:
        size //= stride
        rows += [layer(1, 1, size, 3, stride, channels), layer(out, channels, size, 1)]
        channels = out
    rows += [layer(2, 256, 1, 1), layer(16, 3, 32, 3), layer(16, 16, 32, 3), layer(10, 64, 1, 1)]
    for channels, size in ((16, 16), (32, 8)):
        rows += [
            layer(2 * channels, channels, size, 3, 2),
            layer(2 * channels, 2 * channels, size, 3),
            layer(2 * channels, channels, size, 1, 2),
        ]
    return rows


def distinct(rows: list[Row]) -> list[Row]:
    """The rows without those that are the same layer."""
    shape = (*LOOPS, "sx", "sy", "IX", "IY")
    found = {tuple(int(row[name]) for name in shape): row for row in rows}
    return [dict(zip(shape, key, strict=True)) | {"dx": 1, "dy": 1} for key in found]


def zigzag_seconds(name: str, rows: list[Row], orderings: int) -> tuple[float, int]:
    """CPU time of ZigZag for a mapping, and how many were timed."""
    import zigzag_run

    zigzag = zigzag_run.Peer(peer.shipped(name))
    generator = random.Random(0)  # noqa: S311
    done = 0
    for row in rows:
        found = zigzag.rows(row, peer.UNROLLINGS[name], generator, orderings, FACTORS)
        done += sum(one["cycles"] is not None for one in found)
    return zigzag.seconds / done, done


def mapping(hierarchy: Hierarchy, nests: LoopNests, asked: np.ndarray, repetitions: int) -> dict[str, Any]:
    """CPU time of ours for a mapping, by chunk."""
    found: dict[str, Any] = {}
    for mode in ("zigzag", "whole"):
        tables = Tables(hierarchy, nests, asked, FACTORS, mode)
        cases, orders = enumerated(tables.repeats, np.arange(len(tables)), int(tables.loops.max()))
        found["orderings"] = len(cases)
        found[mode] = {
            str(chunk): 1e6
            / len(cases)
            * least_seconds(
                lambda t=tables, c=cases, o=orders, n=chunk: evaluate(t, c, o, chunk=n), repetitions
            )
            for chunk in CHUNKS
        }
    return found


def architecture(name: str, rows: list[Row], orderings: int, repetitions: int) -> dict[str, Any]:
    """Figures of one architecture."""
    hierarchy = peer.hierarchy_of(peer.shipped(name))
    nests = peer.nests_of(rows)
    asked = wanted(hierarchy.array, peer.UNROLLINGS[name])
    # Half of the peer's mappings before ours and half after, so that both meet the same neighbours on the machine.
    before, first = zigzag_seconds(name, rows, orderings)
    ours = mapping(hierarchy, nests, asked, repetitions)
    searches = {}
    for label, half_full in (("full_memories", False), ("half_full_too", True)):
        choices = Choices((asked,), half_full=half_full)
        took = least_seconds(lambda c=choices: list(best_mappings(hierarchy, nests, c)), repetitions)
        searches[label] = took / len(rows) * 1e3
    free = Choices("search")
    took = least_seconds(lambda: list(best_mappings(hierarchy, nests, free)), 1)
    searches["unrollings_too"] = took / len(rows) * 1e3
    after, second = zigzag_seconds(name, rows, orderings)
    theirs = (before * first + after * second) / (first + second)
    tables = Tables(hierarchy, nests, asked, FACTORS)
    each = float(count(tables.repeats).mean())
    return {
        "layers": len(rows),
        "orderings_a_layer": each,
        "zigzag_us_a_mapping": theirs * 1e6,
        "zigzag_mappings_timed": first + second,
        "us_a_mapping": {mode: ours[mode] for mode in ("zigzag", "whole")},
        "times_as_fast_a_mapping": {
            mode: {chunk: theirs * 1e6 / took for chunk, took in ours[mode].items()}
            for mode in ("zigzag", "whole")
        },
        "ms_a_layer": searches,
        "zigzag_ms_a_layer": theirs * each * 1e3,
        "times_as_fast_a_layer": {label: theirs * each * 1e3 / took for label, took in searches.items()},
    }


def population(space_name: str, target_name: str, size: int, generations: int) -> dict[str, Any]:
    """Candidates a second of random populations on one target."""
    space = hannah_hw.load_space(space_name)
    target = hannah_hw.load_target(target_name)
    microcontroller = hannah_hw.load_target("stm32l4r5zi")
    samples = [space.sample_population(size, seed=seed) for seed in range(generations)]
    # What a space needs once, whatever it is priced on.
    hannah_hw.estimate_population(space, samples[0][:2], microcontroller)
    rates = []
    for sample in samples:
        start = time.process_time()
        hannah_hw.estimate_population(space, sample, target)
        rates.append(size / (time.process_time() - start))
    start = time.process_time()
    hannah_hw.estimate_population(space, samples[-1], target)
    return {
        "space": space_name,
        "target": target_name,
        "candidates": size,
        "candidates_a_second_cold": rates[0],
        "candidates_a_second_of_new_random_populations": rates[1:],
        "candidates_a_second_warm": size / (time.process_time() - start),
    }


def peak_bytes(rows: list[Row], times: int) -> dict[str, Any]:
    """Peak of what the search itself allocates, for some layers and for several times as many."""
    hierarchy = peer.hierarchy_of(peer.shipped("eyeriss_like"))
    asked = wanted(hierarchy.array, peer.UNROLLINGS["eyeriss_like"])
    found = {}
    for repeats in (1, times):
        nests = peer.nests_of(rows * repeats)
        tracemalloc.start()
        for _ in best_mappings(hierarchy, nests, Choices((asked,))):
            pass
        found[f"mib_of_{len(nests)}_layers"] = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    return found


def main() -> None:
    """Print the document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reference", nargs="?", type=Path)
    parser.add_argument("--architectures", nargs="+", default=["tpu_like", "eyeriss_like", "meta_prototype"])
    parser.add_argument("--orderings", type=int, default=6, help="orderings of each layer for ZigZag, twice")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--space", default="ds_cnn")
    parser.add_argument("--target", default="tpu_like")
    parser.add_argument("--size", type=int, default=1000)
    options = parser.parse_args()
    rows = distinct(peer.read_rows(options.reference) if options.reference else usual_layers())
    document: dict[str, Any] = {
        "factors": FACTORS,
        "architectures": {
            name: architecture(name, rows, options.orderings, options.repetitions)
            for name in options.architectures
        },
        "population": population(options.space, options.target, options.size, 3),
        "search_memory": peak_bytes(rows, 4),
    }
    document["peak_mib_of_the_process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()

"""Rank correlation of zero-cost proxies with accuracy, and what they cost: one JSON document.

    python benchmarks/proxies.py [--config examples/mnist_stm32l4r5zi.yaml] [--count 80] [--epochs 2] [--out DIR]
    python benchmarks/proxies.py --nas-bench-201 TABLE.csv.gz [--count 200] [--batch 16] [--input patches|noise]

The first form trains networks of a configuration's space that fit its target, as `hannah-hw proxies` does. The second
computes the proxies of networks of the space nas_bench_201 and compares them with the accuracies on CIFAR-10 after 12
epochs in a table (columns ``arch_str`` and ``acc12ep_cifar10_val``). It has no CIFAR images: networks are shown
32x32 patches of the two photographs that scikit-learn brings, reduced by four and normalised by channel, or normal
noise; labels are random. Isomorphic cells count once. What was computed is kept in DIR and not computed again. Times
are CPU times of one thread; those of a busy machine are too long.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from hannah_hw import load_space
from hannah_hw.scoring.predictor import held_out
from hannah_hw.scoring.proxies import PROXIES, ProbeBatch, noise_batch, ranked_last, score_proxies
from hannah_hw.scoring.proxies.scorer import as_inputs
from hannah_hw.scoring.ranking import compare
from hannah_hw.spaces import SearchSpace
from hannah_hw.transfer.cells import Cell

SHAPE, CLASSES = (3, 32, 32), 10
#: Column of the table, in per cent.
ACCURACY = "acc12ep_cifar10_val"
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def patches(size: int, seed: int) -> ProbeBatch:
    """Random patches of natural images."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(seed)
    chosen = []
    for number in range(size):
        image = load_sample_images().images[number % 2].astype(np.float32) / 255
        high, wide = image.shape[0] // 4, image.shape[1] // 4
        small = image[: 4 * high, : 4 * wide].reshape(high, 4, wide, 4, 3).mean(axis=(1, 3))
        top, left = rng.integers(high - 31), rng.integers(wide - 31)
        chosen.append(small[top : top + 32, left : left + 32].transpose(2, 0, 1))
    samples = np.stack(chosen)
    samples = (samples - samples.mean(axis=(0, 2, 3), keepdims=True)) / samples.std(
        axis=(0, 2, 3), keepdims=True
    )
    return ProbeBatch(
        samples.astype(np.float32),
        rng.integers(CLASSES, size=size),
        f"{size} patches of scikit-learn's photographs, random labels",
    )


def cells(table: Path, count: int, seed: int) -> list[tuple[dict[str, str], float]]:
    """Random distinct networks of a table: ``edge_SOURCE_NODE`` -> operation, and accuracy."""
    opened = gzip.open if table.suffix == ".gz" else open
    with opened(table, "rt", newline="") as file:
        rows = [(row["arch_str"], float(row[ACCURACY]) / 100) for row in csv.DictReader(file)]
    found: dict[str, tuple[dict[str, str], float]] = {}
    for at in np.random.default_rng(seed).permutation(len(rows)):
        cell = Cell.parse(rows[at][0])
        if not cell.live or cell.key in found:
            continue
        operations = {f"edge_{source}_{node}": "none" for node in range(1, 4) for source in range(node)}
        operations |= {f"edge_{edge.source}_{edge.node}": edge.operation for edge in cell.edges}
        found[cell.key] = operations, rows[at][1]
        if len(found) == count:
            break
    return list(found.values())


def scored(space: SearchSpace, operations: dict[str, str], batch: ProbeBatch) -> dict[str, Any]:
    """Proxies and sizes of one cell's network."""
    names = {name.rpartition(".")[2]: name for name in space.parameters}
    candidate = space.candidate({names[edge]: operation for edge, operation in operations.items()})
    scores = score_proxies(candidate, batch)
    return {"parameters": candidate.parameters, "macs": candidate.macs, **scores.to_dict()}


def nas_bench_201(arguments: argparse.Namespace) -> dict[str, Any]:
    """Proxies of table cells against their accuracies."""
    space = load_space("nas_bench_201", input_shape=SHAPE, classes=CLASSES)
    batch = (
        patches(arguments.batch, arguments.seed)
        if arguments.input == "patches"
        else noise_batch(SHAPE, CLASSES, arguments.batch, seed=arguments.seed)
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    kept = arguments.out / f"nas_bench_201_{arguments.input}_{arguments.batch}_{arguments.seed}.jsonl"
    done = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    chosen = cells(arguments.nas_bench_201, arguments.count, arguments.seed)
    with kept.open("a") as stream:
        for operations, _ in chosen[len(done) :]:
            done.append(scored(space, operations, batch))
            stream.write(json.dumps(done[-1]) + "\n")
            stream.flush()
    done = done[: len(chosen)]
    figures = {name: np.array([row[name] for row in done], float) for name in ("parameters", "macs")}
    figures |= {name: ranked_last([row["values"][name] for row in done]) for name in PROXIES}
    ms = {name: 1e3 * float(np.median([row["seconds"][name] for row in done])) for name in PROXIES}
    names = [name.rpartition(".")[2] for name in space.parameters]
    onehot = np.array(
        [[cell[edge] == op for edge in names for op in OPERATIONS] for cell, _ in chosen], float
    )
    sizes = np.log1p(np.stack([figures["parameters"], figures["macs"]], axis=1))
    proxies = as_inputs(np.stack([figures[name] for name in PROXIES], axis=1))
    accuracy = np.array([value for _, value in chosen])
    without, aided = held_out(np.concatenate([onehot, sizes], axis=1), proxies, 1 - accuracy)
    standings = compare(figures, accuracy, ms=ms)
    return {
        "space": space.name,
        "accuracy": f"{ACCURACY} of the table",
        "networks": len(done),
        "batch": batch.source,
        "predictor": {"without_proxies": without, "with_proxies": aided},
        "standings": [standing.to_dict() for standing in standings],
    }


def trained(arguments: argparse.Namespace) -> dict[str, Any]:
    """Proxies of trained networks of a configuration."""
    from hannah_hw.search import load_config
    from hannah_hw.search.proxy_study import ProxyStudy

    settings = [f"training.epochs={arguments.epochs}", "training.budget_s=null"]
    study = ProxyStudy(load_config(arguments.config, settings), arguments.out, batch=arguments.batch)
    return study.run(arguments.count).to_dict()


def main() -> int:
    """Print the document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=Path("examples/mnist_stm32l4r5zi.yaml"))
    parser.add_argument("--nas-bench-201", type=Path, metavar="TABLE")
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--input", choices=("patches", "noise"), default="patches")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/proxies"), help="where results are kept")
    arguments = parser.parse_args()
    print(json.dumps((nas_bench_201 if arguments.nas_bench_201 else trained)(arguments), indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""What training in stages tells early, what halving saves, and whether inherited weights help: ds_cnn on MNIST.

    python benchmarks/fidelity.py [--count 24] [--epochs 2] [--cache FILE] [--orders 200] [--warm 0]

`--count` random networks within 32 KiB of RAM, 128 KiB of flash and 10 ms on an STM32L4R5ZI are trained on 5,000 digits
twice: in one go, and in stages of 1/9, 1/3 and all of the same number of steps. Printed are, for each stage, Spearman's
rank correlation of the error on the validation part with that at the end of both trainings, with its interval over
resamples of the networks, and CPU seconds of one thread a network up to there.

Then a search that asks for these networks in a random order is replayed with `hannah_hw.search.fidelity.Halving` and
without: the hypervolume of error and log latency of what was trained to the end, over that of all networks, for equal
CPU seconds of training; mean and standard deviation over `--orders` orders.

`--warm N`: the last N networks are trained for a third of the steps once more, with the weights of the nearest of the
networks before them (`hannah_hw.scoring.inheritance`), and compared with a third of the steps from random weights.

What was trained is kept in FILE and not trained again. Times of a busy machine are too long. Extras: train, data.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from hannah_hw.estimation import estimate_population
from hannah_hw.rank_correlation import repeated_spearman, spearman
from hannah_hw.scoring import Training, load_data
from hannah_hw.scoring.candidate import train_candidate
from hannah_hw.scoring.inheritance import common_share
from hannah_hw.scoring.stages import Stages
from hannah_hw.scoring.weights import load_weights, weights_file
from hannah_hw.search.fidelity import FidelitySection, Halving
from hannah_hw.search.hypervolume import hypervolume
from hannah_hw.search.loop import make_goals
from hannah_hw.search.tasks import Outcome, Task
from hannah_hw.spaces import Candidate, SearchSpace, load_space

TARGET = "stm32l4r5zi"
LIMITS = {"ram_bytes": 32 * 1024, "flash_bytes": 128 * 1024, "latency_s": 0.010}
SECTION = FidelitySection()
#: Of the hypervolume: error, and log10 of the latency in seconds.
REFERENCE = np.array([1.0, -2.0])
SEED = 0


def networks(space: SearchSpace, count: int) -> list[tuple[Candidate, float]]:
    """Random networks within the limits, and their latencies in seconds."""
    rows = space.sample_population(40 * count, seed=SEED)
    costs = estimate_population(space, rows, TARGET)
    fits = np.all([getattr(costs, key) <= limit for key, limit in LIMITS.items()], axis=0)
    chosen = np.flatnonzero(fits)[:count]
    return [(Candidate(space, rows[i]), float(costs.latency_s[i])) for i in chosen]


class Trained:
    """Trainings that are kept in a file, by a key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.known: dict[str, dict[str, Any]] = {r["key"]: r for r in map(json.loads, lines)}

    def get(self, key: str, train: Any) -> dict[str, Any]:
        """What is known, or what training gives: ``error`` and ``cpu_s``."""
        if key not in self.known:
            started = time.process_time()
            accuracy = train()
            record = {"key": key, "error": 1 - accuracy, "cpu_s": time.process_time() - started}
            self.known[key] = record
            with self.path.open("a") as stream:
                stream.write(json.dumps(record) + "\n")
        return self.known[key]


def interval(one: np.ndarray, other: np.ndarray) -> str:
    """Spearman's correlation with the 5th and 95th percentile over resamples."""
    rng = np.random.default_rng(0)
    counts = np.stack(
        [np.bincount(rng.integers(len(one), size=len(one)), minlength=len(one)) for _ in range(500)]
    )
    low, high = np.nanpercentile(repeated_spearman(one, other, counts.astype(float)), [5, 95])
    return f"{spearman(one, other):.2f} [{low:.2f}, {high:.2f}]"


class Table:
    """Hands out what was trained, one after the other, and counts the CPU seconds that it took."""

    def __init__(self, stages: np.ndarray, seconds: np.ndarray) -> None:
        self.stages, self.seconds, self.spent = stages, seconds, 0.0
        self.shares = list(SECTION.shares)
        self.waiting: list[tuple[int, Task]] = []

    def submit(self, index: int, task: Task) -> None:
        """See `hannah_hw.search.tasks.Executor`."""
        self.waiting.append((index, task))

    def wait(self) -> tuple[int, Outcome]:
        """See `hannah_hw.search.tasks.Executor`."""
        index, task = self.waiting.pop(0)
        stage, which = self.shares.index(task.share), int(task.identifier)
        self.spent += self.seconds[which, stage]
        return index, Outcome({"error": self.stages[which, stage]}, None, datetime.now(UTC), 0.0)

    def close(self) -> None:
        """See `hannah_hw.search.tasks.Executor`."""


def replay(
    order: np.ndarray, stages: np.ndarray, seconds: np.ndarray, latency: np.ndarray, halve: bool
) -> tuple[list[float], list[float]]:
    """CPU seconds and hypervolume after each network of an order."""
    table = Table(stages, seconds)
    runs: Any = Halving(table, make_goals(["error", "latency"], {}), SECTION) if halve else table
    spent, volumes, points = [], [], []
    for index, which in enumerate(order):
        known = {"latency_s": latency[which]}
        runs.submit(index, Task(str(which), {}, told=index, known=known))
        metrics = runs.wait()[1].metrics
        if metrics.get("share", 1.0) == 1.0:
            points.append([metrics["error"], np.log10(latency[which])])
        spent.append(table.spent)
        volumes.append(hypervolume(np.array(points), REFERENCE) if points else 0.0)
    return spent, volumes


def compare_searches(
    stages: np.ndarray,
    whole: np.ndarray,
    seconds: np.ndarray,
    whole_s: np.ndarray,
    latency: np.ndarray,
    orders: int,
) -> None:
    """Print the hypervolume of both for equal CPU seconds."""
    everything = np.stack([np.minimum(whole, stages[:, -1]), np.log10(latency)], axis=1)
    best = hypervolume(everything, REFERENCE)
    times = np.array([0.1, 0.2, 0.3, 0.5, 0.75]) * whole_s.sum()
    rng = np.random.default_rng(1)
    found: dict[str, list[list[float]]] = {"whole": [], "halving": []}
    for _ in range(orders):
        order = rng.permutation(len(latency))
        for name, halve in (("whole", False), ("halving", True)):
            table = (
                (stages, seconds)
                if halve
                else (np.repeat(whole[:, None], 3, 1), np.c_[whole_s * 0, whole_s * 0, whole_s])
            )
            spent, volumes = replay(order, *table, latency, halve)
            found[name].append([([0.0, *volumes][np.searchsorted(spent, t, "right")]) / best for t in times])
    print("\nhypervolume / that of all networks, for equal CPU seconds of training")
    print("  seconds   " + "".join(f"{t:>14.0f}" for t in times))
    for name, values in found.items():
        mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
        print(f"  {name:<10}" + "".join(f"{m:>8.3f} ±{s:.3f}" for m, s in zip(mean, spread, strict=True)))


def warm_starts(
    chosen: list[tuple[Candidate, float]],
    count: int,
    training: Training,
    data: Any,
    trained: Trained,
    weights: Path,
    ends: np.ndarray,
) -> None:
    """Print the error after a third of the steps, from random weights and from those of the nearest before."""
    shapes = [
        {name: value.shape() for name, value in c.plan.weights.items() if value.grad} for c, _ in chosen
    ]
    share = Stages((1 / 3, 1.0))
    errors = []
    for index in range(len(chosen) - count, len(chosen)):
        candidate = chosen[index][0]
        shared = [common_share(shapes[index], other) for other in shapes[:index]]
        parent = chosen[int(np.argmax(shared))][0]
        state = load_weights(weights_file(weights, parent.id))
        row = [float(ends[index]), max(shared)]
        for name, given in (("random", None), ("inherited", state)):
            key = f"{candidate.id} {training.epochs:g} third {name}"
            row.append(
                trained.get(
                    key,
                    lambda c=candidate, g=given: (
                        train_candidate(c, data, training, SEED, share=1 / 3, stages=share, parent=g)[
                            1
                        ].accuracy
                    ),
                )["error"]
            )
        errors.append(row)
    end, shared, random, inherited = np.array(errors).T
    gain = random - inherited
    print(
        f"\nafter a third of the steps, {count} networks; a parent gives {np.median(shared):.0%} of the values (median)"
    )
    print(
        f"  random weights     median error {np.median(random):.3f}, Spearman with the end {spearman(random, end):.2f}"
    )
    print(
        f"  inherited weights  median error {np.median(inherited):.3f}, "
        f"Spearman with the end {spearman(inherited, end):.2f}"
    )
    print(f"  gain: mean {gain.mean():+.4f}, standard error {gain.std() / count**0.5:.4f}")


def main() -> None:
    """Train what is not known, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--cache", type=Path, default=Path("fidelity.jsonl"))
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--warm", type=int, default=0)
    arguments = parser.parse_args()
    data = load_data("mnist5k")
    space = load_space("ds_cnn", input_shape=data.input_shape, classes=data.classes)
    chosen = networks(space, arguments.count)
    training = Training(epochs=arguments.epochs)
    trained = Trained(arguments.cache)
    errors, seconds, whole, whole_s = [], [], [], []
    weights = arguments.cache.with_suffix(".weights")
    for candidate, _ in chosen:
        name = f"{candidate.id} {arguments.epochs:g}"
        kept = Stages(SECTION.shares, weights, keep=True)
        parts = [
            trained.get(
                f"{name} {share:.3f}",
                lambda share=share, c=candidate, k=kept: (
                    train_candidate(c, data, training, SEED, share=share, stages=k)[1].accuracy
                ),
            )
            for share in SECTION.shares
        ]
        once = trained.get(
            f"{name} whole", lambda c=candidate: train_candidate(c, data, training, SEED)[1].accuracy
        )
        errors.append([part["error"] for part in parts])
        seconds.append([part["cpu_s"] for part in parts])
        whole.append(once["error"])
        whole_s.append(once["cpu_s"])
    stages, spent = np.array(errors), np.array(seconds)
    ends, latency = np.array(whole), np.array([each for _, each in chosen])
    print(f"{len(chosen)} networks, {arguments.epochs:g} epochs of {len(data.y_train)} digits, float32")
    print(
        "share     Spearman with the end in stages   with the end in one go   CPU s a network   median error"
    )
    for at, share in enumerate(SECTION.shares):
        until = np.median(spent[:, : at + 1].sum(axis=1))
        print(
            f"{share:<9.3f} {interval(stages[:, at], stages[:, -1]):<33} {interval(stages[:, at], ends):<24} "
            f"{until:<17.2f} {np.median(stages[:, at]):.3f}"
        )
    print(f"one go    {'':<58} {np.median(whole_s):<17.2f} {np.median(ends):.3f}")
    worse = stages[:, -1] - ends
    error = worse.std() / len(worse) ** 0.5
    print(f"error in stages less that in one go: mean {worse.mean():+.4f}, standard error {error:.4f}")
    compare_searches(stages, ends, spent, np.array(whole_s), latency, arguments.orders)
    if arguments.warm:
        warm_starts(chosen, arguments.warm, training, data, trained, weights, ends)


if __name__ == "__main__":
    main()

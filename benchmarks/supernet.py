"""What a supernet says of networks, and what fine-tuning makes of them: ds_cnn on MNIST.

    python benchmarks/supernet.py [--folder DIR] [--epochs 20] [--random 4] [--batch 32] [--rate 0.2] [--labels]
                                  [--count 20] [--training 3] [--tuning 2] [--seconds S]

A supernet of ds_cnn within 5 ms, 64 KiB of RAM and 256 KiB of flash on an STM32L4R5ZI is trained on 5,000 digits.
`--count` random networks within these bounds, which its pool does not hold, are then trained alone for `--training`
epochs. Printed are the rank correlations (Spearman, Kendall) of the error with shared weights, and of the number of
MACs, with the error of the int8 model alone, with their intervals over resamples of the networks, and CPU milliseconds
of one thread a network.

Then each network is trained on for `--tuning` epochs, with the rounding of its int8 model at 0.03 of the rate, and
without (the control) at a tenth, where each does best; and the int8 errors before and after both are compared, on the
validation part and on the test part, with the standard error of the mean difference over the networks.

All of it is kept in DIR and not done again. `--seconds`: stop after so long; the next call goes on. Times of a busy
machine are too long. Extras: train, data.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from hannah_hw.rank_correlation import repeated_kendall, repeated_spearman
from hannah_hw.scoring import Dataset, Training, load_data
from hannah_hw.scoring.candidate import candidate_seed, train_candidate
from hannah_hw.scoring.finetune import Finalists, Start, finetune_candidate
from hannah_hw.scoring.ranking import interval, resamples
from hannah_hw.scoring.shared_weights import load_supernet, shared_error, statistics_batches
from hannah_hw.scoring.stages import Stages
from hannah_hw.scoring.supernet import Supernet, train_supernet
from hannah_hw.search.loop import make_goals
from hannah_hw.search.one_shot import feasible_pool
from hannah_hw.search.pricing import SpaceProblem
from hannah_hw.spaces import SearchSpace, load_space
from hannah_hw.targets import load_target

BOUNDS = {"latency": "<= 5 ms", "ram": "<= 64 KiB", "flash": "<= 256 KiB"}
SEED = 0
#: Fine-tuning -> whether it rounds, and its rate.
TUNINGS = {"rounding": (True, 0.03), "control": (False, 0.1)}


def alone(
    space: SearchSpace, assignment: Any, data: Dataset, arguments: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """A network trained alone, and trained on with rounding and without."""
    training = Training(epochs=arguments.training)
    candidate, stages = space.candidate(assignment), Stages(folder=folder / "weights", keep=True)
    record: dict[str, Any] = {"id": candidate.id, "assignment": dict(assignment)}
    train_candidate(candidate, data, training, SEED, stages=stages)
    with tempfile.TemporaryDirectory() as models:
        for name, (quantised, rate) in TUNINGS.items():
            clock = time.process_time()
            found = finetune_candidate(
                space,
                assignment,
                data,
                training,
                Finalists(epochs=arguments.tuning, quantised=quantised, rate=rate),
                SEED,
                Path(models),
                Start(stages),
            )
            record |= {"before": found["before"], name: found["after"]}
            record[f"{name}_s"] = time.process_time() - clock
    return record


def report(records: list[dict[str, Any]], shared: list[float], macs: list[int], cost: float) -> None:
    """Print what was found."""
    error = np.array([record["before"]["error"] for record in records])
    counts = resamples(len(records))
    print(
        f"{len(records)} networks of {min(macs):,} to {max(macs):,} MACs; {1e3 * cost:.0f} ms CPU an evaluation"
    )
    for name, values in (("supernet's error", np.array(shared)), ("MACs, negative", -np.array(macs, float))):
        print(
            f"{name:18} Spearman {interval(repeated_spearman(values, error, counts))}  "
            f"Kendall {interval(repeated_kendall(values, error, counts))}"
        )
    print(f"mean error: {np.mean(shared):.4f} with shared weights, {error.mean():.4f} alone, int8")
    for part in ("error", "test_error"):
        before = np.array([record["before"][part] for record in records])
        print(f"{part:10} before {100 * before.mean():.2f} %")
        for name in TUNINGS:
            after = np.array([record[name][part] for record in records])
            change = after - before
            deviation = change.std(ddof=1) / np.sqrt(len(change)) if len(change) > 1 else float("nan")
            print(
                f"  after {name:9} {100 * after.mean():.2f} %, change {100 * change.mean():+.2f} "
                f"± {100 * deviation:.2f} points, better for {np.mean(change < 0):.0%}; "
                f"{np.mean([r[f'{name}_s'] for r in records]):.1f} s CPU"
            )


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("supernet_benchmark"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--random", type=int, default=4)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.2)
    parser.add_argument("--labels", action="store_true", help="all networks learn from the labels")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--training", type=float, default=3)
    parser.add_argument("--tuning", type=float, default=2)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    arguments = parser.parse_args()
    started = time.monotonic()
    space = load_space("ds_cnn", input_shape=(1, 28, 28), classes=10)
    data = load_data("mnist5k", seed=SEED)
    problem = SpaceProblem(space, load_target("stm32l4r5zi"))
    goals = make_goals({"latency": "min"}, BOUNDS)
    options = Supernet(
        epochs=arguments.epochs,
        random=arguments.random,
        batch_size=arguments.batch,
        learning_rate=arguments.rate,
        distill=not arguments.labels,
    )
    pool = feasible_pool(problem, goals, options.pool, SEED)
    held_out = feasible_pool(problem, goals, arguments.count, SEED + 1)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    path, log = arguments.folder / "supernet.npz", arguments.folder / "alone.jsonl"
    train_supernet(space, pool, data, options, SEED, path)
    known = {}
    if log.is_file():
        known = {r["id"]: r for r in map(json.loads, log.read_text().splitlines())}
    # In an order that does not depend on their size, so that a part of them is a sample too.
    order = sorted(held_out.assignments, key=lambda a: candidate_seed(SEED, space.candidate(a).id))
    for assignment in order:
        name = space.candidate(assignment).id
        if name not in known and time.monotonic() - started < arguments.seconds:
            known[name] = alone(space, assignment, data, arguments, arguments.folder)
            with log.open("a") as stream:
                stream.write(json.dumps(known[name]) + "\n")
    module, batches = load_supernet(space, path), statistics_batches(data, options.statistics)
    done = [a for a in order if space.candidate(a).id in known]
    clock = time.process_time()
    shared = [shared_error(module, assignment, data, batches) for assignment in done]
    cost = (time.process_time() - clock) / max(1, len(done))
    candidates = [space.candidate(assignment) for assignment in done]
    report([known[c.id] for c in candidates], shared, [c.macs for c in candidates], cost)
    return 0


if __name__ == "__main__":
    sys.exit(main())

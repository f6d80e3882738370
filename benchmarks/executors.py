"""What shared and mixed weights tell about networks: a supernet's ranking, and a differentiable search.

    python benchmarks/executors.py [--steps 2000]

On the built-in data set ``digits`` and a small space of depthwise-separable networks, one thread, about two minutes:

1. A `WeightSharingExecutor` trains one random network a step. Then eight networks of different sizes are evaluated
   with its weights, after calibration, and each is trained alone from fresh weights. The table compares the
   accuracies on the validation and test parts (538 samples, so 1 standard error is about 1 point).
2. A `DifferentiableExecutor` is searched with three weights of the expected latency on a microcontroller: its
   weights are trained on one half of the training part, its alphas on the other. The derived network is taken out
   with its weights, calibrated, trained for three more epochs, written to ONNX and quantised to int8.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402 (thread counts are read at import)
import torch  # noqa: E402
from scipy.stats import spearmanr  # noqa: E402 (comes with scikit-learn, which carries the data)
from torch.nn.functional import cross_entropy  # noqa: E402

import hannah_hw as hw  # noqa: E402
from hannah_hw.executors import BasicExecutor, DifferentiableExecutor, WeightSharingExecutor  # noqa: E402
from hannah_hw.lowering.quantise import quantise_int8  # noqa: E402
from hannah_hw.scoring import Dataset, Training, evaluate, load_data, train  # noqa: E402

TARGET = "stm32l4r5zi"
BATCH = 64
#: Training of a network that is trained already.
FURTHER = Training(epochs=3, learning_rate=0.03, schedule="cosine")
#: Objective of the search: cross entropy + weight * expected latency in milliseconds.
LATENCY_WEIGHTS = (0.0, 0.03, 0.3)


def batches(data: Dataset, parts: int = 1, part: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Random batches of the training part, or of every `parts`-th sample from `part` on, without end."""
    x, y = torch.from_numpy(data.x_train[part::parts]), torch.from_numpy(data.y_train[part::parts])
    generator = torch.Generator().manual_seed(part)
    while True:
        chosen = torch.randint(len(y), (BATCH,), generator=generator)
        yield x[chosen], y[chosen]


def train_supernet(space: hw.SearchSpace, data: Dataset, steps: int) -> WeightSharingExecutor:
    """A supernet trained on one random network a step."""
    supernet = WeightSharingExecutor(space).initialize(torch.Generator().manual_seed(0)).train()
    optimiser = torch.optim.SGD(supernet.parameters(), lr=0.3, momentum=0.9, nesterov=True, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=0.3, total_steps=steps, pct_start=0.1)
    rng = np.random.default_rng(0)
    for _, (x, y) in zip(range(steps), batches(data), strict=False):
        # Weights that the network does not have keep no gradient, and the optimiser leaves them alone.
        optimiser.zero_grad(set_to_none=True)
        cross_entropy(supernet.assign(space.sample(rng))(x), y).backward()
        torch.nn.utils.clip_grad_norm_(supernet.parameters(), 2.0)
        optimiser.step()
        schedule.step()
    return supernet


def show_ranking(space: hw.SearchSpace, data: Dataset, steps: int) -> None:
    """Accuracies with shared weights against those of networks that are trained alone."""
    start = time.process_time()
    supernet = train_supernet(space, data, steps)
    took = time.process_time() - start
    print(f"supernet of {space}: {steps} steps in {took:.0f} s")
    rows = space.sample_population(40, seed=1)
    by_size = np.argsort(space.mac_counts(rows))[:: len(rows) // 8]
    samples = np.concatenate([data.x_val, data.x_test]), np.concatenate([data.y_val, data.y_test])
    x = torch.from_numpy(data.x_train).split(256)
    figures = []
    print("       MACs   accuracy: shared, not calibrated   shared   alone")
    for row in rows[by_size]:
        candidate = space.candidate_of(row)
        supernet.assign(candidate)
        before = evaluate(supernet, *samples)
        shared = evaluate(supernet.calibrate(x), *samples)
        trained = BasicExecutor(candidate).initialize(torch.Generator().manual_seed(0))
        train(trained, data, Training(epochs=8), seed=0)
        alone = evaluate(trained, *samples)
        figures.append((shared, alone))
        print(f"  {candidate.macs:9,} {before:35.3f} {shared:8.3f} {alone:7.3f}")
    correlation = spearmanr(*zip(*figures, strict=True)).statistic
    print(f"  rank correlation {correlation:.2f}")


def search(space: hw.SearchSpace, data: Dataset, weight: float, steps: int) -> DifferentiableExecutor:
    """A mixture whose alphas were trained for accuracy and latency."""
    torch.manual_seed(0)
    stride = next(name for name in space.parameters if name.endswith("Conv2d_0.stride"))
    mixture = DifferentiableExecutor(space, {stride: 1}, gumbel=True).train()
    cost = hw.ExpectedCost(mixture, TARGET, "latency_s")
    for_weights = torch.optim.SGD(mixture.weights(), lr=0.1, momentum=0.9, nesterov=True)
    for_alphas = torch.optim.Adam(mixture.architecture_parameters(), lr=0.05)
    halves = zip(batches(data, 2, 0), batches(data, 2, 1), strict=False)
    for step, (first, second) in zip(range(steps), halves, strict=False):
        mixture.temperature = 5.0 * 0.2 ** (step / steps)
        for optimiser, (x, y), factor in ((for_weights, first, 0.0), (for_alphas, second, weight)):
            mixture.zero_grad()
            (cross_entropy(mixture(x), y) + factor * cost(mixture) * 1e3).backward()
            optimiser.step()
    return mixture


def show_search(space: hw.SearchSpace, data: Dataset, steps: int) -> None:
    """The derived networks for several weights of the latency."""
    print(f"differentiable search of {space.name}: {steps} steps for each weight of the latency")
    print("  weight   expected ms   derived ms   accuracy: taken out   trained on   int8 KiB      s")
    x = torch.from_numpy(data.x_train).split(256)
    for weight in LATENCY_WEIGHTS:
        start = time.process_time()
        mixture = search(space, data, weight, steps)
        expected = hw.ExpectedCost(mixture, TARGET)(mixture).item()
        alone = mixture.extract()
        latency = hw.estimate(alone.candidate, TARGET).latency_s
        taken = evaluate(alone.calibrate(x), data.x_val, data.y_val)
        trained = train(alone, data, FURTHER, seed=0).accuracy
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            quantise_int8(hw.to_onnx(alone).SerializeToString(), path, data.x_train[:128])
            size = path.stat().st_size / 1024
        took = time.process_time() - start
        print(
            f"  {weight:6.2f} {expected * 1e3:13.2f} {latency * 1e3:12.2f} {taken:21.3f} {trained:12.3f} "
            f"{size:10.0f} {took:6.0f}"
        )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=2000, help="steps of the supernet")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load_data("digits")
    space = hw.load_space("ds_cnn", input_shape=data.input_shape, classes=data.classes, max_blocks=2)
    show_ranking(space, data, arguments.steps)
    show_search(space, data, arguments.steps // 8)


if __name__ == "__main__":
    main()

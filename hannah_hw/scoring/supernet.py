"""A supernet: all networks of a space with one set of weights, trained once before a search.

Each step trains the largest network, the smallest and some random ones on the same batch (the sandwich rule: Yu and
Huang, Universally Slimmable Networks, ICCV 2019). The largest learns from the labels, the others from what it answers
(in-place distillation, same source). What its networks say then is the matter of `hannah_hw.scoring.shared_weights`.

Largest and smallest are those of a pool: where a space has bounds, networks beyond them would take most of the time and
are never asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from hannah_hw.errors import EvaluationError, require
from hannah_hw.scoring.batches import Batches
from hannah_hw.scoring.dataset import Dataset
from hannah_hw.scoring.shared_weights import keep_supernet, restore_supernet
from hannah_hw.scoring.training import reproducible

if TYPE_CHECKING:
    import torch
    from torch.optim import Optimizer

    from hannah_hw.executors import WeightSharingExecutor
    from hannah_hw.spaces import SearchSpace

#: Share of the momentum that is kept, and the share of the steps in which the learning rate rises.
_KEPT, _RISING = 0.9, 0.1


class Supernet(BaseModel):
    """How a supernet is trained.

    By ``benchmarks/supernet.py --epochs 40``, the defaults on ds_cnn within 5 ms on an STM32L4R5ZI and mnist5k (5 CPU
    minutes): over 14 networks of 40 to 237 kMAC, Spearman's correlation of the error with shared weights and after
    3 epochs alone was 0.42 with a 95 % interval of -0.16 to 0.90, that of the number of MACs 0.43 (-0.27 to 0.90); the
    mean error was 12.9 % with shared weights and 9.4 % alone. So a supernet that is trained so little is no reason to
    skip training: it costs 70 ms a network, and finalists are trained on their own.

    Attributes:
        epochs: Passes over the training part.
        random: Random networks of each step, beside the largest and the smallest.
        distill: Whether all but the largest learn from its answers instead of the labels.
        batch_size: Samples a step; the last incomplete batch of an epoch is left out.
        learning_rate: Peak of the schedule: a linear rise over a tenth of the steps, then a cosine.
        weight_decay: L2; not applied to vectors (biases, normalisation).
        label_smoothing: Share of the target spread over all classes.
        shift: Training samples are moved by up to this many positions along each spatial axis. 0 is off.
        pool: Networks from which those of a step are taken, all within the bounds of the search.
        statistics: Training samples from which the running statistics of a network are computed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 40
    random: Annotated[int, Field(ge=0, le=64)] = 4
    distill: bool = True
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    learning_rate: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 0.2
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-4
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.05
    shift: Annotated[int, Field(ge=0, le=64)] = 1
    pool: Annotated[int, Field(ge=2, le=100_000)] = 512
    statistics: Annotated[int, Field(ge=2, le=1_000_000)] = 512


@dataclass(frozen=True)
class Pool:
    """The networks that a supernet is trained with.

    Attributes:
        assignments: At least two, the smallest first and the largest last.
    """

    assignments: Sequence[Mapping[str, Any]]

    def drawn(self, count: int, rng: np.random.Generator) -> list[Mapping[str, Any]]:
        """The networks of one step: the largest, the smallest, and random ones."""
        others = rng.integers(len(self.assignments), size=count)
        return [self.assignments[-1], self.assignments[0], *(self.assignments[i] for i in others)]


def train_supernet(
    space: SearchSpace,
    pool: Pool,
    data: Dataset,
    options: Supernet,
    seed: int,
    path: Path,
    progress: Callable[[int, float], object] = lambda _epoch, _loss: None,
) -> WeightSharingExecutor:
    """Train a supernet, or go on from its file, which is written after every epoch.

    An interruption changes nothing: each epoch depends on the file before it alone.

    Args:
        space: Whose networks.
        pool: Those that are trained.
        data: Trained on its training part.
        options: How.
        seed: Fixes the first weights, the batches and the networks of each step.
        path: The file.
        progress: Called after every epoch, also of those that the file holds, with their number and the mean loss of
            the largest network.

    Raises:
        DataError: The file is damaged.
        EvaluationError: Training diverged.
        SpaceError: A weight of the space has no largest shape.
        OSError: The file cannot be written.
    """
    torch = require("torch", "train")
    from hannah_hw.executors import WeightSharingExecutor

    module = WeightSharingExecutor(space, pool.assignments[0], cache=len(pool.assignments) + 1)
    module.initialize(torch.Generator().manual_seed(_own_seed(seed, 0)))
    optimizer = _optimizer(module, options)
    losses = restore_supernet(module, optimizer, path) if path.is_file() else []
    for epoch, loss in enumerate(losses, start=1):
        progress(epoch, loss)
    for epoch in range(len(losses), options.epochs):
        losses.append(_epoch(module, optimizer, pool, data, options, _own_seed(seed, epoch + 1), epoch))
        keep_supernet(module, optimizer, losses, path)
        progress(epoch + 1, losses[-1])
    return module.eval()


def _epoch(
    module: WeightSharingExecutor,
    optimizer: Optimizer,
    pool: Pool,
    data: Dataset,
    options: Supernet,
    seed: int,
    epoch: int,
) -> float:
    """One pass over the training part; the mean loss of the largest network."""
    rng = np.random.default_rng(seed)
    with reproducible(seed, "cpu"):
        batches = Batches(data, options.batch_size, options.shift, seed, "cpu")
        module.train()
        total = 0.0
        for step, (samples, labels) in enumerate(batches):
            rate = _rate(options, (epoch + step / batches.steps) / options.epochs)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad(set_to_none=True)
            networks = pool.drawn(options.random, rng)
            total += _sandwich(module, networks, samples, labels, options)
            optimizer.step()
            if not math.isfinite(total):
                raise EvaluationError(
                    f"the supernet's loss is {total} in epoch {epoch + 1} of {options.epochs}; "
                    f"lower supernet.learning_rate ({options.learning_rate:g})",
                    kind="diverged",
                )
    return total / batches.steps


def _sandwich(
    module: WeightSharingExecutor,
    networks: Sequence[Mapping[str, Any]],
    samples: torch.Tensor,
    labels: torch.Tensor,
    options: Supernet,
) -> float:
    """Gradients of the mean loss of some networks, the largest first; its loss."""
    torch = require("torch", "train")
    entropy = torch.nn.functional.cross_entropy
    share = 1.0 / len(networks)
    first, answers = 0.0, None
    for place, network in enumerate(networks):
        logits = module.assign(network)(samples)
        if answers is None:
            loss = entropy(logits, labels, label_smoothing=options.label_smoothing)
        else:
            loss = entropy(logits, answers)
        (share * loss).backward()
        if not place:
            first = float(loss.detach())
            answers = logits.detach().softmax(1) if options.distill else None
    return first


def _rate(options: Supernet, done: float) -> float:
    """Learning rate after a share of the training."""
    if done < _RISING:
        return options.learning_rate * (0.1 + 0.9 * done / _RISING)
    return options.learning_rate * (1e-3 + 0.5 * (1 + math.cos(math.pi * (done - _RISING) / (1 - _RISING))))


def _optimizer(module: WeightSharingExecutor, options: Supernet) -> Optimizer:
    """SGD with Nesterov momentum; the fused one fails where a step leaves weights without a gradient."""
    torch = require("torch", "train")
    parameters = list(module.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer: Optimizer = torch.optim.SGD(
        groups, lr=options.learning_rate, momentum=_KEPT, nesterov=True, foreach=True
    )
    return optimizer


def _own_seed(seed: int, epoch: int) -> int:
    """63 bits for the first weights (0) and for every epoch (from 1)."""
    return int(np.random.SeedSequence([seed, epoch, 0x50E7]).generate_state(1, np.uint64)[0] >> np.uint64(1))

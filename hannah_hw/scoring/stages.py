"""Training in stages: each goes on with the weights of the one before, under a learning rate schedule of its own.

A training that is stopped while its learning rate is high says little about where it would have ended, so every stage
is a whole schedule over its share of the steps (warm restarts: Loshchilov and Hutter, "SGDR", ICLR 2017). A stage
shorter than an epoch sees a share of the data, each sample once. What a stage gives depends on nothing but the
candidate, the settings and the seed: weights that were lost are trained again, to the same values.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from hannah_hw.scoring.training import Training, TrainingResult, train, validate
from hannah_hw.scoring.weights import load_weights, restore, save_weights, weights_file

if TYPE_CHECKING:
    from torch import nn

    from hannah_hw.scoring.dataset import Dataset


@dataclass(frozen=True)
class Stages:
    """How a training is cut into stages.

    Attributes:
        shares: Of the whole training that is done after each stage: growing, the last is 1.
        folder: Where the weights are kept between stages; None: nowhere.
        keep: Whether those of the whole training are kept there, too.
    """

    shares: tuple[float, ...] = (1.0,)
    folder: Path | None = None
    keep: bool = False

    def __post_init__(self) -> None:
        if not self.shares or self.shares[-1] != 1.0 or self.shares[0] <= 0:
            raise ValueError(f"shares of a training are above 0 and end at 1, not {self.shares}")
        if any(before >= after for before, after in zip(self.shares, self.shares[1:], strict=False)):
            raise ValueError(f"shares of a training grow, unlike {self.shares}")

    def count(self, share: float) -> int:
        """Number of stages that reach a share of the training.

        Raises:
            ValueError: No stage ends there.
        """
        return self.shares.index(share) + 1

    def file(self, identifier: str, stage: int) -> Path | None:
        """Where the weights are kept after a number of stages; None where they are not."""
        last = stage == len(self.shares)
        if self.folder is None or (last and not self.keep):
            return None
        return weights_file(self.folder, identifier, None if last else stage)


#: A training in one go.
WHOLE: Final = Stages()


def train_stages(
    module: nn.Module,
    identifier: str,
    data: Dataset,
    training: Training,
    seed: int,
    stages: Stages = WHOLE,
    share: float = 1.0,
    device: str = "cpu",
) -> TrainingResult:
    """Train a classifier in place up to a share of its training, from the last stage whose weights are kept.

    Args:
        module: With the weights that the first stage begins with.
        identifier: ``candidate.id``, by which its weights are kept.
        data: Trained on the training part, evaluated on the validation part.
        training: The whole of it.
        seed: Of the candidate; the first stage takes it as it is.
        stages: How it is cut.
        share: Where to stop: one of the shares.
        device: Where it is trained.

    Returns:
        Losses and epochs of the stages that were trained now; the time of all of this.

    Raises:
        EvaluationError: The loss is no longer finite, or the weights are too large to be kept.
        OSError: The weights cannot be written.
    """
    last = stages.count(share)
    done = _resume(module, identifier, stages, last)
    losses: tuple[float, ...] = ()
    seconds = epochs = accuracy = 0.0
    for stage in range(done, last):
        begin = stages.shares[stage - 1] if stage else 0.0
        part = training.model_copy(update={"epochs": training.epochs * (stages.shares[stage] - begin)})
        result = train(module, data, part, _stage_seed(seed, stage), device)
        losses, accuracy = losses + result.losses, result.accuracy
        seconds, epochs = seconds + result.seconds, epochs + result.epochs
    if done == last:
        accuracy = validate(module, data, device)
    elif (file := stages.file(identifier, last)) is not None:
        save_weights(file, module)
    for stage in range(1, last):
        if (old := stages.file(identifier, stage)) is not None:
            old.unlink(missing_ok=True)
    return TrainingResult(losses, accuracy, seconds, device, epochs)


def _resume(module: nn.Module, identifier: str, stages: Stages, last: int) -> int:
    """Give the module the weights of the latest stage that are kept; the number of stages that they saw."""
    for stage in range(last, 0, -1):
        file = stages.file(identifier, stage)
        state = None if file is None else load_weights(file)
        if state is not None and restore(module, state):
            return stage
    return 0


def _stage_seed(seed: int, stage: int) -> int:
    """63 bits that differ from stage to stage; those of the candidate itself in the first."""
    if not stage:
        return seed
    return int(np.random.SeedSequence([seed, stage]).generate_state(1, np.uint64)[0] >> np.uint64(1))

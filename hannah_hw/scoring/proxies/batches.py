"""The one batch that proxies look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hannah_hw.errors import DataError
from hannah_hw.scoring.dataset import Dataset, Floats, Labels

#: Samples of a batch; NASWOT and synflow's authors and those after them use 32 to 128.
BATCH: Final = 32


@dataclass(frozen=True)
class ProbeBatch:
    """Samples and their labels.

    Attributes:
        samples: float32, (N, ...), normalised as for training.
        labels: int64, (N,).
        source: Where they come from, for people.
    """

    samples: Floats
    labels: Labels
    source: str

    def __post_init__(self) -> None:
        if len(self.samples) < 2 or len(self.samples) != len(self.labels):
            raise DataError(
                f"a proxy needs at least 2 samples and a label for each; given: {len(self.samples)} samples, "
                f"{len(self.labels)} labels"
            )


def draw_batch(data: Dataset, size: int = BATCH, *, seed: int = 0) -> ProbeBatch:
    """Random samples of the training part of a data set.

    Args:
        data: The data set.
        size: How many; as many as there are, if these are fewer.
        seed: Fixes the choice.
    """
    chosen = np.random.default_rng(seed).permutation(len(data.y_train))[:size]
    return ProbeBatch(
        data.x_train[chosen], data.y_train[chosen], f"{len(chosen)} training samples of {data.name}"
    )


def noise_batch(shape: tuple[int, ...], classes: int, size: int = BATCH, *, seed: int = 0) -> ProbeBatch:
    """Independent normal values and random labels, where there are no data.

    Args:
        shape: Of one sample.
        classes: Number of classes.
        size: How many samples.
        seed: Fixes them.
    """
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal((size, *shape)).astype(np.float32)
    return ProbeBatch(samples, rng.integers(classes, size=size), f"{size} samples of normal noise")

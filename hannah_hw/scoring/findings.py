"""What is wrong with a data set, or too little of it, and what helps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from hannah_hw.scoring.dataset import Dataset, Floats
from hannah_hw.scoring.intervals import share_interval

#: Times that the largest class may be as large as the smallest before it is said.
IMBALANCE: Final = 3.0
#: Training samples a class below which a network has little to learn from.
FEW_A_CLASS: Final = 50
#: Half width of the interval of an error of 10 % above which a search compares noise.
WIDE: Final = 0.04
#: The error at which that is said.
TYPICAL_ERROR: Final = 0.1


@dataclass(frozen=True)
class Finding:
    """One thing that a person should know about a data set.

    Attributes:
        problem: What was found.
        suggestion: What helps.
        remedy: The option of a training that helps; empty where none does.
    """

    problem: str
    suggestion: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.problem}; {self.suggestion}"


def findings(data: Dataset) -> list[Finding]:
    """What a person should know before searching with a data set; empty for one that is large and even.

    Args:
        data: Split and normalised.
    """
    return [*_balance(data), *_sizes(data), *_missing(data), *_repeated(data), *_constant(data)]


def imbalance(data: Dataset) -> float:
    """How many times the largest class of the training part is as large as its smallest."""
    counts = np.bincount(data.y_train)
    return float(counts.max() / counts.min())


def _balance(data: Dataset) -> Iterator[Finding]:
    times = imbalance(data)
    if times >= IMBALANCE:
        counts = np.bincount(data.y_train)
        largest, smallest = int(counts.argmax()), int(counts.argmin())
        always = float(np.mean(data.y_val != largest))
        yield Finding(
            f"classes differ in size by a factor of {times:.1f}: {counts[largest]} training samples of "
            f"{data.names[largest]}, {counts[smallest]} of {data.names[smallest]}; "
            f"who always answers {data.names[largest]} has an error of {100 * always:.1f} %",
            "training: {balance: loss} weighs rare classes up, {balance: sampling} shows them as often; "
            "objectives: {balanced_error: min} counts every class alike",
            "balance",
        )


def _sizes(data: Dataset) -> Iterator[Finding]:
    counts = np.bincount(data.y_train)
    few = [data.names[i] for i in np.flatnonzero(counts < FEW_A_CLASS)]
    if few:
        have = "has" if len(few) == 1 else "have"
        shown = ", ".join(few[:5]) + (", ..." if len(few) > 5 else "")
        yield Finding(
            f"{len(few)} of {data.classes} classes {have} fewer than {FEW_A_CLASS} training samples: {shown}",
            "collect more of them; a small network needs fewer than a large one",
        )
    low, high = share_interval(TYPICAL_ERROR, len(data.y_val))
    if (high - low) / 2 > WIDE:
        yield Finding(
            f"{len(data.y_val)} validation samples are few: an error of {100 * TYPICAL_ERROR:.0f} % on them is "
            f"anything from {100 * low:.1f} to {100 * high:.1f} % (95 % interval)",
            "collect more samples, or training: {folds: 5}, which scores on all but the test part, in six "
            "trainings; do not choose between models whose errors differ by less",
            "folds",
        )


def _missing(data: Dataset) -> Iterator[Finding]:
    for part, counts in data.counts().items():
        absent = [name for name, count in zip(data.names, counts, strict=True) if not count]
        if absent:
            yield Finding(
                f"the {part} part has no sample of {', '.join(absent)}",
                "its error says nothing about them; add samples of theirs to it",
            )


def _repeated(data: Dataset) -> Iterator[Finding]:
    known = _digests(data.x_train)
    for part, samples in (("validation", data.x_val), ("test", data.x_test)):
        again = sum(digest in known for digest in _digests_each(samples))
        if again:
            yield Finding(
                f"{again} of {len(samples)} {part} samples are in the training part, too",
                f"the {part} error is too small by as much; remove the duplicates",
            )


def _constant(data: Dataset) -> Iterator[Finding]:
    axes = (0, *range(2, data.x_train.ndim))
    still = np.flatnonzero(np.ptp(data.x_train, axis=axes) == 0)
    if len(still):
        yield Finding(
            f"{len(still)} of {data.x_train.shape[1]} channels never change in the training part: "
            f"{', '.join(map(str, still[:8]))}",
            "leave them out: they cost time and tell nothing",
        )


def _digests(samples: Floats) -> frozenset[bytes]:
    return frozenset(_digests_each(samples))


def _digests_each(samples: Floats) -> Iterator[bytes]:
    import hashlib

    for sample in samples:
        yield hashlib.blake2b(np.ascontiguousarray(sample).tobytes(), digest_size=16).digest()

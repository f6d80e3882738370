"""Cross-validation: every sample that a search may see is held out once, so that a small set says more.

A candidate is trained once for each fold, on the others, and its error is that of all folds together. The model that is
written is trained once more, on all of them. Normalisation stays that of the data set, whose constants come from its
training part. (Stone, "Cross-validatory choice and assessment of statistical predictions", JRSS B 36, 1974.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hannah_hw.errors import DataError
from hannah_hw.scoring.dataset import Dataset, Labels
from hannah_hw.sources.splitting import grouped_split


def seen(data: Dataset) -> Dataset:
    """A data set whose training part is all that a search may see: its own and the validation part.

    The validation part stays, and is no longer held out.
    """
    groups = None
    if data.groups_train is not None and data.groups_val is not None:
        groups = np.concatenate([data.groups_train, data.groups_val])
    elif data.groups_train is not None:
        # A validation part of the source's own has recordings of its own.
        own = data.groups_train.max() + 1 + np.arange(len(data.y_val))
        groups = np.concatenate([data.groups_train, own])
    return replace(
        data,
        x_train=np.concatenate([data.x_train, data.x_val]),
        y_train=np.concatenate([data.y_train, data.y_val]),
        groups_train=groups,
    )


def folds(data: Dataset, count: int) -> Iterator[Dataset]:
    """Data sets whose validation parts are the folds of what a search may see; the data's own seed cuts them.

    Args:
        data: The data set.
        count: Of folds, at least 2.

    Raises:
        DataError: A class has fewer samples, or recordings, than there are folds.
    """
    both = seen(data)
    labels = both.y_train
    groups = both.groups_train if both.groups_train is not None else np.arange(len(labels))
    rng = np.random.default_rng([data.seed, count])
    parts = grouped_split(labels, groups, [1 / count] * (count - 1), rng)
    for held in parts:
        rest = np.setdiff1d(np.arange(len(labels)), held)
        _check(labels, rest, held, data, count)
        yield replace(
            data,
            x_train=both.x_train[rest],
            y_train=labels[rest],
            groups_train=groups[rest],
            x_val=both.x_train[held],
            y_val=labels[held],
            groups_val=groups[held],
        )


def _check(labels: Labels, rest: Labels, held: Labels, data: Dataset, count: int) -> None:
    absent = np.setdiff1d(labels, labels[rest])
    if len(absent) or not len(held):
        what = f"the class {data.names[absent[0]]}" if len(absent) else "the data"
        raise DataError(
            f"{what} has too few samples, or recordings, for {count} folds; take fewer",
            where="training.folds",
        )

"""Splitting samples so that those of one recording stay together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
_Counts = NDArray[np.float64]


def grouped_split(
    labels: Integers, groups: Integers, shares: Sequence[float], rng: np.random.Generator
) -> tuple[Integers, ...]:
    """Cut indices into parts of about the same mixture of classes, with all samples of a group in one part.

    Groups, the largest first, go where the shares of the classes come nearest to what was asked for. A part that lacks
    a class then takes a group of it from the first part, if that keeps others of the class.

    Args:
        labels: (N,) class of each sample.
        groups: (N,) group of each sample.
        shares: Share of each part after the first, which receives the rest.
        rng: Decides between groups of one size, and the order within the parts.

    Returns:
        One more array of indices than `shares`. A part may lack a class that too few groups have, or be empty where
        there are fewer groups than parts.
    """
    names, members = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), int(labels.max()) + 1))
    np.add.at(counts, (members, labels), 1.0)
    rates = counts / counts.sum(axis=0).clip(1)
    missing = np.repeat([[1.0 - sum(shares)], *([share] for share in shares)], counts.shape[1], axis=1)
    part_of = np.zeros(len(names), np.int64)
    order = rng.permutation(len(names))
    for group in order[np.argsort(-counts[order].sum(axis=1), kind="stable")]:
        part = int((rates[group] * (rates[group] - 2 * missing)).sum(axis=1).argmin())
        part_of[group] = part
        missing[part] -= rates[group]
    _fill(part_of, counts, len(missing))
    return tuple(rng.permutation(np.flatnonzero(part_of[members] == part)) for part in range(len(missing)))


def _fill(part_of: Integers, counts: _Counts, parts: int) -> None:
    """Give parts that lack a class the smallest group of it that the first part can do without."""
    for part in range(1, parts):
        for label in range(counts.shape[1]):
            if counts[part_of == part, label].sum():
                continue
            left = counts[part_of == 0].sum(axis=0)
            spare = (
                (part_of == 0) & (counts[:, label] > 0) & ((left - counts > 0) | (counts == 0)).all(axis=1)
            )
            if spare.any():
                candidates = np.flatnonzero(spare)
                part_of[candidates[counts[candidates].sum(axis=1).argmin()]] = part

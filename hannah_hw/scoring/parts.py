"""Cutting the parts that a source does not define from its training part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError
from hannah_hw.sources.splitting import grouped_split

#: Shares of the validation and of the test part where a source does not define them.
VALIDATION_SHARE: Final = 0.15
TEST_SHARE: Final = 0.15

Labels = NDArray[np.int64]


def stratified_split(
    labels: Labels, shares: tuple[float, ...], rng: np.random.Generator, names: Sequence[str] = ()
) -> tuple[NDArray[np.int64], ...]:
    """Cut indices into parts with the same mixture of classes.

    Args:
        labels: (N,) class of each sample.
        shares: Share of each part after the first, which receives the rest.
        rng: Decides who goes where.
        names: Of the classes, for messages; empty: their numbers.

    Returns:
        One more array of indices than `shares`, each in random order. A class of n samples gives
        ``max(1, round(share * n))`` to each later part.

    Raises:
        DataError: A class has fewer samples than there are parts.
    """
    parts: list[list[NDArray[np.int64]]] = [[] for _ in range(len(shares) + 1)]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        sizes = [max(1, round(share * len(members))) for share in shares]
        if len(members) <= sum(sizes):
            name = names[label] if names else label
            raise DataError(
                f"class {name} has {len(members)} samples, which cannot be split into {len(parts)} parts; "
                f"at least {len(parts)} samples a class are needed"
            )
        cuts = np.cumsum(sizes)
        for part, chosen in zip(parts, np.split(members, cuts), strict=True):
            part.append(chosen)
    merged = [rng.permutation(np.concatenate(part)) for part in parts]
    return (merged[-1], *merged[:-1])


def cut_missing(
    x: dict[str, NDArray[np.float32]],
    y: dict[str, Labels],
    groups: dict[str, Labels],
    rng: np.random.Generator,
    names: Sequence[str],
) -> None:
    """Cut the validation part, and the test part where there is none, from the training part.

    Args:
        x: Part -> (N, ...) samples; parts that are missing are added, and the training part shrinks.
        y: Part -> (N,) labels; changed likewise.
        groups: Empty, or of ``train`` the (N,) recording of each sample; changed likewise.
        rng: Decides who goes where.
        names: Of the classes, for messages; empty: their numbers.

    Raises:
        DataError: A class has too few samples or recordings for the parts.
    """
    shares = {"val": VALIDATION_SHARE, "test": TEST_SHARE}
    missing = [part for part in shares if part not in x]
    if not missing:
        return
    wanted = tuple(shares[part] for part in missing)
    together = groups.get("train")
    if together is None or len(np.unique(together)) == len(together):
        chosen = stratified_split(y["train"], wanted, rng, names)
    else:
        chosen = grouped_split(y["train"], together, wanted, rng)
        _check_grouped(y["train"], chosen, together, names)
    train_x, train_y = x["train"], y["train"]
    for part, index in zip(["train", *missing], chosen, strict=True):
        x[part], y[part] = train_x[index], train_y[index]
        if together is not None:
            groups[part] = together[index]


def _check_grouped(
    labels: Labels, chosen: Sequence[NDArray[np.int64]], groups: Labels, names: Sequence[str]
) -> None:
    """Every part has recordings, and the first has some of every class."""
    parts = f"{len(np.unique(groups))} recordings cannot be split into {len(chosen)} parts"
    if not all(len(index) for index in chosen):
        raise DataError(f"{parts}, as all samples of one stay together; more recordings are needed")
    absent = np.setdiff1d(labels, labels[chosen[0]])
    if len(absent):
        name = names[absent[0]] if names else absent[0]
        raise DataError(
            f"{parts} of which the first has the class {name}; "
            "more recordings of it, or another search.seed, are needed"
        )

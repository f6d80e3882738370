"""Kernels of a population that are the same kernel: what is computed from columns is computed once for them.

Candidates of one space share most of their kernels, so that a population has far fewer distinct ones than kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.entries import Entries
from hannah_hw.workload.table import KERNEL_COLUMNS, Kernels

_MASK: Final = 2**64 - 1


def _factors() -> dict[str, tuple[int, int]]:
    """Two odd factors a column. Keys are sums of columns times factors, modulo 2^64."""
    drawn = np.random.default_rng(0x5EED).integers(0, 2**63, (len(KERNEL_COLUMNS), 2), np.int64)
    return {
        name: (2 * int(a) + 1, 2 * int(b) + 1) for name, (a, b) in zip(KERNEL_COLUMNS, drawn, strict=True)
    }


_FACTORS: Final[Mapping[str, tuple[int, int]]] = _factors()


@dataclass(frozen=True)
class Distinct:
    """The active kernels of one kind, N of them, of which M are distinct.

    Attributes:
        entries: M kernels, one for each that is distinct.
        where: (N,) places of all, ``slot · P + candidate``.
        candidates: (N,) the candidates they belong to.
        which: (N,) index into ``entries``.
    """

    entries: Entries
    where: NDArray[np.int64]
    candidates: NDArray[np.int64]
    which: NDArray[np.int64]


def distinct(kernels: Kernels, kind: str) -> Distinct:
    """The active kernels of one kind of all candidates.

    Kernels with equal keys of 64 bits are compared by keys of another 64 bits; should those differ anywhere, every
    kernel counts as distinct. That two different kernels agree in both is less likely than 1 in 10^25.
    """
    count = len(kernels.active)
    where, candidates, keys, checks, slots = [], [], [], [], []
    for k in [k for k, other in enumerate(kernels.kinds) if other == kind]:
        mine = np.flatnonzero(kernels.active[:, k])
        if len(mine):
            key, check = kernel_keys(kernels, k, mine)
            where.append(mine + k * count)
            candidates.append(mine)
            keys.append(key)
            checks.append(check)
            slots.append(np.full(len(mine), k))
    if not where:
        none = np.zeros(0, np.int64)
        return Distinct(Entries(kernels, none, none), none, none, none)
    place, key, check, slot = (np.concatenate(parts) for parts in (where, keys, checks, slots))
    order = np.argsort(key)
    ordered = key[order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    which = np.empty(len(key), np.int64)
    which[order] = begins.cumsum() - 1
    # Entries go by slot, so the distinct ones are numbered in the order of their places.
    chosen = order[begins]
    ranks = np.argsort(chosen)
    number = np.empty_like(ranks)
    number[ranks] = np.arange(len(ranks))
    chosen, which = chosen[ranks], number[which]
    if (check[chosen][which] != check).any():
        chosen = which = np.arange(len(key))
    return Distinct(Entries(kernels, place[chosen], slot[chosen]), place, np.concatenate(candidates), which)


def kernel_keys(
    kernels: Kernels, slot: int, candidates: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """(N,) keys of one slot's kernels, and (N,) other ones to check them by."""
    plain, computed = kernels.split(slot)
    key = sum(value * _FACTORS[name][0] for name, value in plain.items()) & _MASK
    check = sum(value * _FACTORS[name][1] for name, value in plain.items()) & _MASK
    # Many columns are the same array, such as heights and widths of square images: their factors add up.
    arrays: dict[int, tuple[NDArray[np.int64], int, int]] = {}
    for name, values in computed.items():
        a, b = _FACTORS[name]
        _, x, y = arrays.get(id(values), (values, 0, 0))
        arrays[id(values)] = (values, x + a, y + b)
    if not arrays:
        return np.full(len(candidates), key, np.uint64), np.full(len(candidates), check, np.uint64)
    with np.errstate(invalid="ignore"):  # what an inactive kernel has may be undefined
        table = np.array([values for values, _, _ in arrays.values()], np.int64)
    if len(candidates) < table.shape[1]:
        table = table[:, candidates]
    factors = np.array(
        [[x & _MASK for _, x, _ in arrays.values()], [y & _MASK for _, _, y in arrays.values()]], np.uint64
    )
    keys, checks = factors @ table.view(np.uint64)
    return keys + np.uint64(key), checks + np.uint64(check)

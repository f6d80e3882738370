"""Parameter spaces of the synthetic problems: named columns with conditions, as search algorithms see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hannah_hw.search.protocols import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Choice:
    """An unordered category; the choices are numbers or names."""

    choices: tuple[float | str, ...]


@dataclass(frozen=True)
class Whole:
    """Integers from `low` to `high`, both included."""

    low: int
    high: int


@dataclass(frozen=True)
class Real:
    """Numbers from `low` to `high`."""

    low: float
    high: float


Domain = Choice | Whole | Real


class Columns:
    """An `Encoding` (see `hannah_hw.search.protocols`) of named domains.

    Args:
        domains: Name -> domain, D of them; parents before those that depend on them.
        conditions: Name -> (parent, level indices of the parent that keep it alive); all must hold.
        groups: Name -> sub-tree; names that are left out are sub-trees of their own.
    """

    def __init__(
        self,
        domains: Mapping[str, Domain],
        conditions: Mapping[str, Sequence[tuple[str, Sequence[int]]]] | None = None,
        groups: Mapping[str, str] | None = None,
    ) -> None:
        self.domains = dict(domains)
        self.ids = tuple(domains)
        self.levels: IntArray = np.array([_levels(d) for d in domains.values()], np.int64)
        self.ordered: BoolArray = np.array([not isinstance(d, Choice) for d in domains.values()])
        self.default: FloatArray = np.where(self.levels == 0, 0.5, self.levels // 2).astype(float)
        named = {name: (groups or {}).get(name, name) for name in self.ids}
        number = {group: index for index, group in enumerate(dict.fromkeys(named.values()))}
        self.groups: IntArray = np.array([number[named[name]] for name in self.ids], np.int64)
        self._top = np.where(self.levels == 0, 1, self.levels - 1).astype(float)
        at = {name: index for index, name in enumerate(self.ids)}
        self._conditions = [
            (at[child], at[parent], np.isin(np.arange(self.levels[at[parent]]), allowed))
            for child in self.ids
            for parent, allowed in (conditions or {}).get(child, ())
        ]

    def active(self, rows: FloatArray) -> BoolArray:
        """(P, D) which columns mean something."""
        alive = np.ones(rows.shape, bool)
        for child, parent, allowed in self._conditions:
            alive[:, child] &= alive[:, parent] & allowed[rows[:, parent].astype(int)]
        return alive

    def canonical(self, rows: FloatArray) -> FloatArray:
        """(P, D) clipped and rounded rows, dead columns at their default."""
        rows = np.clip(rows, 0.0, self._top)
        rows = np.where(self.levels == 0, np.round(rows, 6), np.rint(rows))
        return np.where(self.active(rows), rows, self.default)

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """(n, D) independent uniform rows."""
        share = rng.random((n, len(self.ids)))
        return self.canonical(np.where(self.levels == 0, share, np.floor(share * self.levels)))

    def read(self, rows: FloatArray) -> dict[str, FloatArray]:
        """Name -> (P,) values: numbers, or level indices of a category of names."""
        return {name: _values(self.domains[name], rows[:, i]) for i, name in enumerate(self.ids)}


def _levels(domain: Domain) -> int:
    if isinstance(domain, Choice):
        return len(domain.choices)
    return domain.high - domain.low + 1 if isinstance(domain, Whole) else 0


def _values(domain: Domain, column: FloatArray) -> FloatArray:
    if isinstance(domain, Real):
        return domain.low + column * (domain.high - domain.low)
    if isinstance(domain, Whole):
        return domain.low + column
    if isinstance(domain.choices[0], str):
        return column
    return np.array(domain.choices, float)[column.astype(int)]

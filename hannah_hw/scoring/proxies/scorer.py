"""Proxies of many candidates, each computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.scoring.proxies.batches import ProbeBatch
from hannah_hw.scoring.proxies.scores import PROXIES, check_names, ranked_last, score_proxies

if TYPE_CHECKING:
    from hannah_hw.spaces import SearchSpace


class ProxyScorer:
    """Computes proxies of rows of a space, and remembers them by network.

    Args:
        space: The space, which may have parameters that no network depends on.
        batch: What networks are shown.
        names: Keys of `PROXIES`.
        seed: Of the weights; see `score_proxies`.
        hardware: Ids of the parameters that no network depends on.
        records: Of networks that were scored before, as `keep` was given them.
        keep: Called with the record of every further network; ready for JSON.

    Attributes:
        names: The proxies.

    Raises:
        ConfigError: A name is unknown.
    """

    def __init__(
        self,
        space: SearchSpace,
        batch: ProbeBatch,
        *,
        names: Sequence[str] = tuple(PROXIES),
        seed: int = 0,
        hardware: Sequence[str] = (),
        records: Iterable[Mapping[str, Any]] = (),
        keep: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        check_names(names)
        self.names = tuple(names)
        self._space = space
        self._batch = batch
        self._seed = seed
        self._hardware = frozenset(hardware)
        self._keep = keep
        self._known: dict[str, NDArray[np.float64]] = {}
        self._seconds: list[Mapping[str, float]] = []
        for record in records:
            self._take(record)

    def scores(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """(P, len(names)) scores of (P, D) canonical rows; minus infinity where a network is useless.

        Raises:
            HannahError: A network cannot be built, or does not take the samples.
        """
        found = np.empty((len(rows), len(self.names)))
        for index, row in enumerate(rows):
            candidate = self._space.candidate_of(row)
            if self._hardware:
                network = {k: v for k, v in candidate.assignment.items() if k not in self._hardware}
                candidate = self._space.candidate(network)
            if candidate.id not in self._known:
                scores = score_proxies(candidate, self._batch, seed=self._seed, names=self.names)
                record = {"id": candidate.id, **scores.to_dict()}
                if self._keep is not None:
                    self._keep(record)
                self._take(record)
            found[index] = self._known[candidate.id]
        return found

    @property
    def ms(self) -> dict[str, float]:
        """Proxy -> median CPU milliseconds that it took for one network; none before the first."""
        if not self._seconds:
            return {}
        return {name: 1e3 * median(times[name] for times in self._seconds) for name in self.names}

    def _take(self, record: Mapping[str, Any]) -> None:
        """Remember a record, unless it lacks a proxy."""
        values, seconds = record["values"], record["seconds"]
        if all(name in values and name in seconds for name in self.names):
            self._known[record["id"]] = ranked_last([values[name] for name in self.names])
            self._seconds.append(seconds)


def as_inputs(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P, N) scores as inputs of a regression: on a logarithmic scale, finite where a network is useless."""
    finite = np.where(np.isfinite(scores), scores, -1e6)
    result: NDArray[np.float64] = np.sign(finite) * np.log1p(np.abs(finite))
    return result


def check_record(_index: int, record: Mapping[str, Any]) -> str | None:
    """What is wrong with a record of a `ProxyScorer` that was read from a file; None: nothing."""
    parts = record.get("values"), record.get("seconds")
    if not isinstance(record.get("id"), str) or not all(isinstance(part, dict) for part in parts):
        return "no 'id', 'values' and 'seconds'"
    numbers = [value for part in parts if isinstance(part, dict) for value in part.values()]
    fine = all(value is None or isinstance(value, int | float) for value in numbers)
    return None if fine else "a value is no number"

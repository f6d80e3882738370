"""A search space priced on a target, as the search sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hannah_hw.search.protocols import BoolArray, Encoding, Estimates, FloatArray

if TYPE_CHECKING:
    from hannah_hw.cost import Costs
    from hannah_hw.spaces import SearchSpace
    from hannah_hw.spaces.declarative import AskedSearch
    from hannah_hw.targets import Target

#: Metrics that a target's prices hold, that of the chip, and those of the network alone.
_PRICES: Final = ("latency_s", "energy_j", "ram_bytes", "flash_bytes")
_AREA: Final = "area_mm2"
_COUNTS: Final = ("macs", "parameters")
#: All that estimates may hold.
METRIC_KEYS: Final = (*_PRICES, _AREA, *_COUNTS)


class _Columns(Mapping[str, FloatArray]):
    """Metric key -> (P,) values; the counts of the network are computed when they are asked for."""

    def __init__(self, costs: Costs, space: SearchSpace, rows: FloatArray) -> None:
        self._costs = costs
        self._space = space
        self._rows = rows
        self._counts: dict[str, FloatArray] = {}

    def __getitem__(self, key: str) -> FloatArray:
        if key in _PRICES:
            return np.asarray(getattr(self._costs, key), float)
        if key == _AREA:
            return np.full(len(self._rows), self._costs.area_mm2)
        if key not in _COUNTS:
            raise KeyError(key)
        if not self._counts:
            self._counts = {
                "macs": self._space.workload(self._rows).macs.astype(float),
                "parameters": self._space.parameter_counts(self._rows).astype(float),
            }
        return self._counts[key]

    def __iter__(self) -> Iterator[str]:
        # Where the target has no area, records say nothing of it.
        known = np.isfinite(self._costs.area_mm2)
        return iter(METRIC_KEYS if known else (*_PRICES, *_COUNTS))

    def __len__(self) -> int:
        return len(list(iter(self)))


class TargetEstimates:
    """Prices of a batch on a target; see `hannah_hw.search.protocols.Estimates`."""

    def __init__(self, costs: Costs, space: SearchSpace, rows: FloatArray) -> None:
        self._costs = costs
        self.columns: Mapping[str, FloatArray] = _Columns(costs, space, rows)
        self.supported: BoolArray = np.asarray(costs.supported, bool)
        self.bands: Mapping[str, FloatArray] = _bands(costs)
        self.capacities: Mapping[str, int | None] = costs.target.capacities

    def report(self, index: int, /) -> dict[str, Any]:
        """The cost report of one candidate."""
        return self._costs.report(index).to_dict()

    def unsupported(self, index: int, /) -> str:
        """The rules of the target that kernels fail, each with the first of those kernels."""
        failing: dict[str, list[str]] = {}
        for row in self._costs.report(index).unsupported:
            failing.setdefault(row.rule, []).append(row.kernel)
        texts = [
            f"{rule} ({names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''})"
            for rule, names in failing.items()
        ]
        return "; ".join(texts) or "not supported"


def _bands(costs: Costs) -> dict[str, FloatArray]:
    """Metric key -> (P,) relative half widths of the intervals that a target gives."""
    band = np.asarray(costs.latency_band, float)
    return {"latency_s": band} if np.isfinite(band).any() else {}


class SpaceProblem:
    """A search space priced on a target; see `hannah_hw.search.protocols.Problem`.

    Args:
        space: A loaded search space.
        target: A loaded target.
    """

    def __init__(self, space: SearchSpace, target: Target) -> None:
        self.space = space
        self.target = target

    @property
    def capacities(self) -> dict[str, float | None]:
        """What the chip has of the metrics that a search can bound."""
        found = self.target.capacities
        return {"ram": found["ram_bytes"], "flash": found["flash_bytes"]}

    @property
    def asked_search(self) -> AskedSearch | None:
        """How the document of the space asks to be searched, if it has one that does."""
        return None if self.space.document is None else self.space.document.asked_search

    @property
    def encoding(self) -> Encoding:
        """The space's parameters as columns."""
        return self.space.encoding

    def describe(self, rows: FloatArray, /) -> Sequence[tuple[str, dict[str, Any]]]:
        """Id and active parameters of each candidate."""
        from hannah_hw.spaces import Candidate

        candidates = [Candidate(self.space, row) for row in rows]
        return [(c.id, c.assignment.to_dict()) for c in candidates]

    def estimate(self, rows: FloatArray, /) -> Estimates:
        """Price a batch at once."""
        return self._priced(rows, self.target)

    def _priced(self, rows: FloatArray, target: Target) -> TargetEstimates:
        from hannah_hw.estimation import estimate_population

        return TargetEstimates(estimate_population(self.space, rows, target), self.space, rows)

"""Choosing, among changes of a network that were all priced at once, those that help most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.advice.changes import Change
from hannah_hw.cost.costs import Costs
from hannah_hw.quantities import format_bytes, format_si

#: Figures that advice is given for, and their names.
METRICS: Final[Mapping[str, str]] = {
    "ram_bytes": "RAM",
    "latency_s": "latency",
    "energy_j": "energy",
    "flash_bytes": "flash",
}
#: Pieces of advice for one figure at most.
_MOST: Final = 3
#: Share of a figure that a change has to save.
_LEAST: Final = 0.02


@dataclass(frozen=True)
class Advice:
    """A change that lowers a figure, as the cost model prices the changed network.

    What it does to the accuracy is not known: the changed network has to be trained.

    Attributes:
        metric: The figure: ``ram_bytes``, ``latency_s``, ``energy_j`` or ``flash_bytes``.
        kind: See `hannah_hw.advice.changes.Change`; so the next three.
        kernels: Operators or parameters that are changed.
        values: Number or parameter -> its new value.
        text: What is done.
        before: The figure of the network as it is, in the unit of its key.
        after: That of the changed one.
        figures: Figure -> before and after, of all that are known, with ``macs``.
        source: ``estimated``, or ``scaled`` from a measurement.
    """

    metric: str
    kind: str
    kernels: tuple[str, ...]
    values: Mapping[str, Any]
    text: str
    before: float
    after: float
    figures: Mapping[str, tuple[float, float]]
    source: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-able data."""
        data = asdict(self)
        data["kernels"] = list(self.kernels)
        data["figures"] = {
            key: {"before": before, "after": after} for key, (before, after) in self.figures.items()
        }
        return data

    def __str__(self) -> str:
        """``41.0 KiB to 29.0 KiB: 16 output channels of conv2 in place of 32``."""
        return f"{shown(self.metric, self.before)} to {shown(self.metric, self.after)}: {self.text}"


def shown(metric: str, value: float) -> str:
    """A figure as a person reads it."""
    if metric.endswith("_bytes"):
        return format_bytes(value)
    return format_si(value, metric.rpartition("_")[2].upper() if metric == "energy_j" else "s")


def figures_of(costs: Costs, macs: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """The columns of `METRICS` and ``macs`` of P priced networks.

    Args:
        costs: Their prices.
        macs: (P,) their multiply-accumulates.
    """
    columns = {key: np.asarray(getattr(costs, key), np.float64) for key in METRICS}
    return {**columns, "macs": np.asarray(macs, np.float64)}


def choose(
    tried: Sequence[Change],
    figures: Mapping[str, NDArray[np.float64]],
    possible: NDArray[np.bool_],
    metrics: Sequence[str],
    source: str = "estimated",
) -> tuple[Advice, ...]:
    """The best change of each family, the three that save most for each figure.

    Args:
        tried: N changes.
        figures: Key -> (1 + N,) figures: those of the network as it is, then of each change; with ``macs``.
        possible: (1 + N,) whether there is such a network and the target runs it.
        metrics: Keys of `METRICS`, in order.
        source: How the figures were obtained.
    """
    return tuple(advice for metric in metrics for advice in _best(metric, tried, possible, figures, source))


def _best(
    metric: str,
    tried: Sequence[Change],
    possible: NDArray[np.bool_],
    figures: Mapping[str, NDArray[np.float64]],
    source: str,
) -> Iterator[Advice]:
    before, *after = figures[metric].tolist()
    best: dict[str, int] = {}
    for index, value in enumerate(after):
        family = tried[index].family
        if possible[index + 1] and value <= before * (1.0 - _LEAST):
            kept = best.get(family)
            # Of two that save as much, the one that leaves more of the network.
            if kept is None or (value, -figures["macs"][index + 1]) < (
                after[kept],
                -figures["macs"][kept + 1],
            ):
                best[family] = index
    for index in sorted(best.values(), key=lambda i: (after[i], i))[:_MOST]:
        change = tried[index]
        yield Advice(
            metric=metric,
            kind=change.kind,
            kernels=change.kernels,
            values=dict(change.values),
            text=change.text,
            before=before,
            after=after[index],
            figures={
                key: (float(column[0]), float(column[index + 1]))
                for key, column in figures.items()
                if np.isfinite(column[[0, index + 1]]).all()
            },
            source=source,
        )

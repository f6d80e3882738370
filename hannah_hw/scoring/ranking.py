"""How well cheap figures order networks: rank correlations with intervals, one order out of several, what is kept.

A figure is worth its time only where it orders networks better than what costs nothing; the number of parameters is
that baseline (White et al., "A Deeper Look at Zero-Cost Proxies for Lightweight NAS", ICLR Blog Track 2022, find it
hard to beat).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hannah_hw.rank_correlation import FloatArray, ranks, repeated_kendall, repeated_spearman, spearman

#: What a figure must beat to be kept.
BASELINE: Final = "parameters"
#: Names of the mean rank of all figures that cost something, and of those that are kept.
TOGETHER: Final = "all together"
AGGREGATE: Final = "aggregate"
#: Resamples of a bootstrap interval, and the share of them that it holds.
RESAMPLES: Final = 500
COVERAGE: Final = 0.95


@dataclass(frozen=True)
class Correlation:
    """A rank correlation and its interval.

    Attributes:
        value: NaN where one side is constant.
        low: Lower end of the bootstrap interval of `COVERAGE`.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def to_dict(self) -> dict[str, float | None]:
        """Ready for JSON."""
        return {name: value if math.isfinite(value) else None for name, value in vars(self).items()}


@dataclass(frozen=True)
class Standing:
    """How well one figure orders networks.

    Attributes:
        name: Of the figure.
        spearman: Spearman's rank correlation with the accuracy.
        kendall: Tau-b with the accuracy.
        gain: Spearman's correlation of the figure less that of the baseline, on the same resamples.
        kept: Whether it is better than the baseline.
        ms: Median time for one network; 0 where there is none to speak of.
        undefined: Networks that it has no finite value for; they are ranked last.
    """

    name: str
    spearman: Correlation
    kendall: Correlation
    gain: Correlation
    kept: bool
    ms: float
    undefined: int

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "name": self.name,
            "spearman": self.spearman.to_dict(),
            "kendall": self.kendall.to_dict(),
            "gain_over_parameters": self.gain.to_dict(),
            "kept": self.kept,
            "ms_per_candidate": self.ms,
            "undefined": self.undefined,
        }


def interval(values: FloatArray) -> Correlation:
    """What all networks give, and its percentile interval (Efron, 1979).

    Args:
        values: (1 + B,) of all networks, then of samples of them with repetitions.
    """
    tail = (1.0 - COVERAGE) / 2.0
    known = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(known, [tail, 1.0 - tail]) if len(known) else (math.nan, math.nan)
    return Correlation(float(values[0]), float(low), float(high))


def resamples(count: int, *, times: int = RESAMPLES, seed: int = 0) -> FloatArray:
    """(1 + B, N) how often each network is in a sample: in all networks once, then in B samples with repetitions."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, np.full(count, 1.0 / count), size=times)
    return np.concatenate([np.ones((1, count)), drawn.astype(float)])


def aggregate(figures: Sequence[FloatArray]) -> FloatArray:
    """(N,) mean rank over figures, each counted alike (Borda's count).

    Args:
        figures: (N,) values each; larger is better. What is not finite is ranked last.
    """
    result: FloatArray = np.mean([ranks(worst_if_undefined(values)) for values in figures], axis=0)
    return result


def worst_if_undefined(values: FloatArray) -> FloatArray:
    """Values with minus infinity wherever they are not finite."""
    return np.where(np.isfinite(values), values, -np.inf)


def better_than_baseline(figures: Mapping[str, FloatArray], accuracy: FloatArray) -> tuple[str, ...]:
    """Names of the figures that order networks better than the baseline among them does, in their order.

    Args:
        figures: Name -> (N,) values; one is `BASELINE`.
        accuracy: (N,) what they should be ordered like.
    """
    bound = _finite(spearman(worst_if_undefined(figures[BASELINE]), accuracy))
    return tuple(
        name
        for name, values in figures.items()
        if name != BASELINE and _finite(spearman(worst_if_undefined(values), accuracy)) > bound
    )


def compare(
    figures: Mapping[str, FloatArray],
    accuracy: FloatArray,
    *,
    ms: Mapping[str, float] | None = None,
    free: Sequence[str] = (BASELINE, "macs"),
    seed: int = 0,
) -> list[Standing]:
    """How well each figure orders networks, and how well those do together that are better than the baseline.

    Args:
        figures: Name -> (N,) values, larger is expected to be better; one is `BASELINE`.
        accuracy: (N,).
        ms: Name -> milliseconds that it takes for one network.
        free: Names that cost nothing; they are not dropped, and are no part of the aggregate.
        seed: Of the bootstrap.

    Returns:
        One a figure, in their order; that of `TOGETHER`, the mean rank of all but the free ones; and of `AGGREGATE`,
        that of the kept ones among them, where there are two or more. What is kept was chosen by the same networks,
        so the correlation of the aggregate is a little too good.
    """
    times = dict(ms or {})
    kept = {name for name in better_than_baseline(figures, accuracy) if name not in free}
    columns = {name: worst_if_undefined(np.asarray(values, float)) for name, values in figures.items()}
    costly = [name for name in columns if name not in free]
    for title, members in ((TOGETHER, costly), (AGGREGATE, [name for name in costly if name in kept])):
        if len(members) > 1:
            columns[title] = aggregate([columns[name] for name in members])
            times[title] = sum(times.get(name, 0.0) for name in members)
    kept.update(better_than_baseline(columns, accuracy))
    counts = resamples(len(accuracy), seed=seed)
    base = repeated_spearman(columns[BASELINE], accuracy, counts)

    def standing(name: str, column: FloatArray) -> Standing:
        correlation = repeated_spearman(column, accuracy, counts)
        return Standing(
            name,
            interval(correlation),
            interval(repeated_kendall(column, accuracy, counts)),
            interval(correlation - base),
            name in kept or name in free,
            times.get(name, 0.0),
            int(np.isneginf(column).sum()),
        )

    return [standing(name, column) for name, column in columns.items()]


def _finite(value: float) -> float:
    """A correlation; that of a constant, which orders nothing, counts as 0."""
    return value if math.isfinite(value) else 0.0

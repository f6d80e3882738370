"""Which of two models is faster on this machine: their runs alternate, so that what disturbs one disturbs the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import ModelError
from hannah_hw.measure.host_timing import Sample, timed, warm_up
from hannah_hw.measure.profile import ProfileReport, build_report, prepare

#: Share of intervals that hold the true ratio.
CONFIDENCE: Final = 0.95
#: Draws of the bootstrap: the ends of the interval then hardly depend on the seed.
RESAMPLES: Final = 1000
#: Fewest pairs of runs: below, the blocks of the bootstrap are too few.
FEWEST_PAIRS: Final = 10
#: Samples that are drawn at once, which bounds memory.
_CHUNK: Final = 1_000_000


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians.

    Attributes:
        value: Median of the second's times over median of the first's.
        low: Lower end of its interval.
        high: Upper end.
        confidence: Share of such intervals that hold the true ratio.
    """

    value: float
    low: float
    high: float
    confidence: float

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out 1."""
        return not self.low <= 1.0 <= self.high


@dataclass(frozen=True)
class Comparison:
    """Two models, measured in turns in one process.

    Attributes:
        model: The first.
        other: The second.
        ratio: Latency of the second over that of the first.
        pairs: Runs of each.
    """

    model: ProfileReport
    other: ProfileReport
    ratio: Ratio
    pairs: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; keys carry units."""
        return {
            "model": self.model.to_dict(),
            "other": self.other.to_dict(),
            "ratio": self.ratio.value,
            "ratio_low": self.ratio.low,
            "ratio_high": self.ratio.high,
            "confidence": self.ratio.confidence,
            "differs": self.ratio.differs,
            "pairs": self.pairs,
            "order": "model, other, other, model, and again",
            "source": "measured",
        }


def compare_models(
    path: str | Path,
    other: str | Path,
    *,
    shape: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
    runs: int = 100,
    threads: int = 1,
    optimisation: str = "all",
    provider: str = "CPUExecutionProvider",
    seed: int = 0,
) -> Comparison:
    """Measure two models in turns on this machine.

    Args:
        path: An ONNX file.
        other: The ONNX file that is compared with it.
        shape: Input shape of both, or shapes by input name; see `hannah_hw.measure.profile.profile_model`.
        runs: Timed runs of each, at least `FEWEST_PAIRS`.
        threads: Threads within an operator.
        optimisation: ``none``, ``basic``, ``extended`` or ``all``.
        provider: Execution provider.
        seed: Of the random inputs and of the bootstrap.

    Raises:
        ModelError: One of them cannot be measured, or there are too few runs.
    """
    if runs < FEWEST_PAIRS:
        raise ModelError(
            f"{runs} runs are too few for an interval; take at least {FEWEST_PAIRS}", where=str(other)
        )
    settings: dict[str, Any] = {"threads": threads, "optimisation": optimisation, "provider": provider}
    (first, feeds), (second, other_feeds) = (
        prepare(file, shape=shape, seed=seed, **settings) for file in (path, other)
    )
    samples = timed(first), timed(second)
    warmups = [warm_up(sample) for sample in samples]
    times = alternate(*samples, runs)
    return Comparison(
        model=build_report(path, warmups[0], times[0], feeds, settings),
        other=build_report(other, warmups[1], times[1], other_feeds, settings),
        ratio=median_ratio(times[0], times[1], seed),
        pairs=runs,
    )


def alternate(first: Sample, second: Sample, pairs: int) -> NDArray[np.float64]:
    """(2, pairs) seconds of two samples taken in turns.

    Every other pair is turned round (first, second, second, first, ...): neither always runs on the caches that the
    other left, and a drift weighs on both alike.
    """
    times = np.empty((2, pairs))
    for pair in range(pairs):
        for which in (0, 1) if pair % 2 == 0 else (1, 0):
            times[which, pair] = (first, second)[which]()
    return times


def median_ratio(first: NDArray[np.float64], second: NDArray[np.float64], seed: int = 0) -> Ratio:
    """Ratio of the medians of paired times, with the interval of a block bootstrap.

    Blocks of successive pairs are drawn together (circular block bootstrap, Politis and Romano, 1992; length n^(1/3) as
    Hall, Horowitz and Jing, Biometrika 82, 1995, advise for variances), since disturbances last longer than a run.
    Pairs stay together, since both suffered them. The interval is that of the percentiles.

    Args:
        first: (n,) seconds, n at least `FEWEST_PAIRS`.
        second: (n,) seconds of the same turns.
        seed: Of the draws; the same samples and seed give the same interval.
    """
    n = len(first)
    length = max(1, round(n ** (1 / 3)))
    count = -(-n // length)
    rng = np.random.default_rng(seed)
    ratios = np.empty(RESAMPLES)
    step = max(1, _CHUNK // n)
    for begin in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - begin)
        starts = rng.integers(0, n, (rows, count, 1))
        drawn = ((starts + np.arange(length)) % n).reshape(rows, -1)[:, :n]
        ratios[begin : begin + rows] = np.median(second[drawn], axis=1) / np.median(first[drawn], axis=1)
    low, high = np.quantile(ratios, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Ratio(float(np.median(second) / np.median(first)), float(low), float(high), CONFIDENCE)

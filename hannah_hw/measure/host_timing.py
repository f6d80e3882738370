"""When times are steady, what they say, and whether something disturbed them: statistics of given samples.

Nothing here reads a clock; callers bring functions that run something once and return its seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Runs something once and returns its wall seconds.
Sample = Callable[[], float]

#: Range of the last medians, relative to the smallest, up to which times are steady.
STEADY: Final = 0.05
#: How many blocks of runs have to agree.
STEADY_BLOCKS: Final = 4
#: A block takes about this long: shorter ones see single interruptions, not the state of the machine.
BLOCK_SECONDS: Final = 0.02
#: Most runs of a block.
BLOCK_RUNS: Final = 50
#: Warm-up is given up after runs that took this long together, though not before there are enough blocks to judge.
WARMUP_SECONDS: Final = 2.0

#: Coefficient of variation above which other work disturbed the runs. Runs of one network on a quiet machine vary by
#: 1 to 5 %.
NOISY: Final = 0.10


@dataclass(frozen=True)
class WarmUp:
    """What ran before timing.

    Attributes:
        runs: How many runs.
        steady: Whether they ended because times were steady, not because the time for it was over.
    """

    runs: int
    steady: bool


@dataclass(frozen=True)
class Timing:
    """Statistics of the times of single runs.

    Attributes:
        median_s: Median.
        p90_s: 90th percentile, linear between samples.
        fastest_s: Smallest.
        variation: Coefficient of variation: standard deviation (of the samples, not corrected) over mean.
        noisy: Whether `variation` is above `NOISY`.
    """

    median_s: float
    p90_s: float
    fastest_s: float
    variation: float
    noisy: bool


def is_steady(medians: Sequence[float]) -> bool:
    """Whether times have stopped changing, from the medians of successive blocks of runs.

    The last `STEADY_BLOCKS` medians differ by at most `STEADY`, and neither only fall nor only rise: a slow drift stays
    within any bound between neighbours, but has one direction.
    """
    last = np.asarray(medians[-STEADY_BLOCKS:])
    if len(last) < STEADY_BLOCKS or float(np.ptp(last)) > STEADY * float(last.min()):
        return False
    steps = np.diff(last)
    return not (bool((steps < 0).all()) or bool((steps > 0).all()))


def warm_up(sample: Sample, *, limit_s: float = WARMUP_SECONDS) -> WarmUp:
    """Run until times are steady, or for `limit_s` and at least `STEADY_BLOCKS` blocks.

    The first run, which allocates memory, belongs to no block; the second decides how many runs a block has.

    Args:
        sample: Runs once and returns its seconds.
        limit_s: Seconds of all runs together after which it is given up.
    """
    total = sample()
    first = sample()
    total += first
    length = int(np.clip(BLOCK_SECONDS / max(first, 1e-9), 1, BLOCK_RUNS))
    runs = 2
    medians: list[float] = []
    while not is_steady(medians):
        if total > limit_s and len(medians) >= STEADY_BLOCKS:
            return WarmUp(runs, steady=False)
        block = [sample() for _ in range(length)]
        runs += length
        total += sum(block)
        medians.append(float(np.median(block)))
    return WarmUp(runs, steady=True)


def statistics(times: NDArray[np.float64]) -> Timing:
    """Statistics of (N,) seconds of single runs, N at least 1."""
    mean = float(times.mean())
    variation = float(times.std()) / mean if mean > 0 else 0.0
    return Timing(
        median_s=float(np.median(times)),
        p90_s=float(np.quantile(times, 0.9)),
        fastest_s=float(times.min()),
        variation=variation,
        noisy=variation > NOISY,
    )


def timed(run: Callable[[], object]) -> Sample:
    """A function that runs once and returns its wall seconds."""

    def sample() -> float:
        started = time.perf_counter()
        run()
        return time.perf_counter() - started

    return sample

"""Judging few-shot transfer on a device whose latencies are all known, beside baselines and the noise ceiling.

Architectures are canonical cells, so that no test cell is a sample written differently. The samples of a seed are
chosen from `CANDIDATES` random cells; everything that was not sampled is predicted. Baselines get the same samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError
from hannah_hw.rank_correlation import spearman
from hannah_hw.transfer.baselines import counts_of_all, macs_line, operation_counts, random_forest
from hannah_hw.transfer.cells import Cell
from hannah_hw.transfer.features import describe, duplicates, representatives
from hannah_hw.transfer.fewshot import FewShot
from hannah_hw.transfer.figures import noise_ceiling, noise_ceiling_among, share_within
from hannah_hw.transfer.table import LatencyTable

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Random cells that the samples of a seed are chosen from, so that seeds differ.
CANDIDATES: Final = 1000
#: Names of the models that are compared; the transfer first.
TRANSFER: Final = "transfer"
OPERATION_COUNTS: Final = "operation_counts"
MACS: Final = "macs_linear"
FOREST: Final = "random_forest"


@dataclass(frozen=True)
class Score:
    """Figures of one model, one a seed.

    Args:
        spearman: (S,) rank correlation of predicted and measured latency.
        within_10_percent: (S,) share of predictions within 10 % of the measured latency.
    """

    spearman: FloatArray
    within_10_percent: FloatArray


@dataclass(frozen=True)
class DeviceResult:
    """Few-shot transfer to one device.

    Args:
        device: The device.
        architectures: Canonical cells with a latency.
        scores: Model -> figures with D-optimal samples.
        random: Model -> figures with random samples.
        coverage: (S,) share of latencies inside their intervals.
        half_width: (S,) upper end of an interval over its value, less 1.
        stated_coverage: What the intervals are to hold.
        paths: Share of seeds in which the samples chose the model with paths.
        ceiling: About the rank correlation of a perfect model, see `noise_ceiling`; NaN where there are too few pairs.
        pairs: Duplicate cells that it was estimated from.
        ceiling_among: The same among the cells that are predicted, see `noise_ceiling_among`.
        all_counts: Rank correlation of the sums of operations that are nearest to all latencies of the device.
    """

    device: str
    architectures: int
    scores: Mapping[str, Score]
    random: Mapping[str, Score]
    coverage: FloatArray
    half_width: FloatArray
    stated_coverage: float
    paths: float
    ceiling: float
    pairs: int
    ceiling_among: float
    all_counts: float

    @property
    def over_operation_counts(self) -> float:
        """Mean rank correlation above that of operation counts with the same samples."""
        return float(self.scores[TRANSFER].spearman.mean() - self.scores[OPERATION_COUNTS].spearman.mean())

    @property
    def below_ceiling(self) -> float:
        """How far the mean rank correlation is below the noise ceiling; NaN where that is unknown."""
        return float(self.ceiling - self.scores[TRANSFER].spearman.mean())


class Evaluation:
    """Few-shot transfer between the devices of a table.

    Args:
        table: Latencies.

    Raises:
        DataError: An architecture is no cell.
    """

    def __init__(self, table: LatencyTable) -> None:
        self.table = table
        self.cells = [Cell.parse(text) for text in table.architectures]

    def device(
        self,
        device: str,
        known: Sequence[str],
        samples: int,
        *,
        seeds: int = 10,
        forest: bool = True,
    ) -> DeviceResult:
        """Transfer to one device.

        Args:
            device: The one to predict.
            known: The devices whose latencies may be used.
            samples: Latencies of the device that may be used.
            seeds: How often, with other candidates for the samples.
            forest: Whether a random forest is compared, too.

        Raises:
            DataError: No such device, a device that nothing can be learned from, or too few architectures.
            MissingExtraError: The random forest needs scikit-learn.
        """
        if not known or device in known:
            raise DataError(
                f"transfer to {device!r} needs known devices other than itself; {list(known)} were given"
            )
        measured = self.table.latencies(device)
        others = [self.table.latencies(name) for name in known]
        usable = np.isfinite(measured)
        rows = representatives(self.cells, usable)
        if samples < 2 or len(rows) < max(2 * samples, samples + 3):
            raise DataError(
                f"{samples} samples of {device!r}, which has {len(rows)} canonical cells; 2 samples or more, and twice "
                "as many cells, are needed"
            )
        described = describe([self.cells[row] for row in rows])
        transfer = FewShot(described.counts, np.stack(others, axis=1)[rows], paths=described.paths)
        truth, macs = measured[rows], self.table.macs[rows]
        models: dict[str, Callable[[IntArray, int], FloatArray]] = {
            OPERATION_COUNTS: lambda at, _: operation_counts(described.counts, at, truth[at]),
        }
        if np.isfinite(macs).all():
            models[MACS] = lambda at, _: macs_line(macs, at, truth[at])
        if forest:
            wide = np.concatenate([described.counts, described.paths.max(axis=1)], axis=1)
            models[FOREST] = lambda at, seed: random_forest(wide, at, truth[at], seed=seed)

        found: dict[bool, dict[str, list[tuple[float, float]]]] = {True: {}, False: {}}
        intervals, chose_paths, stated = [], [], 0.0
        for seed in range(seeds):
            shuffled = np.random.default_rng(seed).permutation(len(rows))
            for optimal in (True, False):
                sampled = shuffled[:samples]
                if optimal:
                    sampled, _ = transfer.sample(
                        samples, lambda at: truth[at], candidates=shuffled[:CANDIDATES]
                    )
                rest = np.setdiff1d(np.arange(len(rows)), sampled)
                predictor = transfer.fit(sampled, truth[sampled])
                values, lower, upper = predictor.predict()
                predictions = {TRANSFER: values, **{name: run(sampled, seed) for name, run in models.items()}}
                for name, predicted in predictions.items():
                    found[optimal].setdefault(name, []).append(
                        (spearman(predicted[rest], truth[rest]), share_within(predicted[rest], truth[rest]))
                    )
                if optimal:
                    inside = (truth[rest] >= lower[rest]) & (truth[rest] <= upper[rest])
                    intervals.append((float(inside.mean()), float(np.expm1(predictor.half_width))))
                    chose_paths.append(predictor.paths)
                    stated = predictor.coverage
        same = duplicates(self.cells, np.flatnonzero(usable))
        return DeviceResult(
            device=device,
            architectures=len(rows),
            scores=_scores(found[True]),
            random=_scores(found[False]),
            coverage=np.array(intervals)[:, 0],
            half_width=np.array(intervals)[:, 1],
            stated_coverage=stated,
            paths=float(np.mean(chose_paths)),
            ceiling=noise_ceiling(measured, same),
            pairs=len(same),
            ceiling_among=noise_ceiling_among(measured, same, truth),
            all_counts=spearman(counts_of_all(described.counts, truth), truth),
        )


def _scores(found: Mapping[str, Sequence[tuple[float, float]]]) -> dict[str, Score]:
    return {name: Score(np.array(pairs)[:, 0], np.array(pairs)[:, 1]) for name, pairs in found.items()}

"""What a person with a new device does: ask what to measure, measure it, ask for the rest.

The architectures are the canonical cells of a table, one row each; a sample may be written in any way that is the
same cell. How good such predictions are is what known devices say, each taken for a new one with the same samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError
from hannah_hw.rank_correlation import spearman
from hannah_hw.transfer.baselines import operation_counts
from hannah_hw.transfer.cells import Cell
from hannah_hw.transfer.features import describe, duplicates, representatives
from hannah_hw.transfer.fewshot import FewShot, Predictor, first_batch
from hannah_hw.transfer.figures import noise_ceiling, share_within
from hannah_hw.transfer.table import LatencyTable, read_table

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Latencies below this share of the median of their device are doubted.
DOUBTED: Final = 0.005


@dataclass(frozen=True)
class Figures:
    """How good predictions are, as means over the devices that say it; NaN where no device can.

    Args:
        devices: Those whose latencies were predicted and are known.
        spearman: Rank correlation of predicted and measured latencies that were no samples.
        operation_counts: The same of operation counts fitted to the samples alone.
        ceiling: About what a perfect model would reach with noisy measurements, see `noise_ceiling`.
        within_10_percent: Share of predictions within 10 % of the measured latency.
    """

    devices: tuple[str, ...]
    spearman: float
    operation_counts: float
    ceiling: float
    within_10_percent: float


class NewDevice:
    """A device of which few latencies are known, among the architectures of a table.

    Args:
        table: Latencies of known devices.
        known: Which of its devices are used.
        usable: (N,) the rows of the table that count; all.

    Attributes:
        architectures: (C,) the canonical cells, as the table writes those with nothing dead.
        names: (F,) what latency is a sum of, then, where it follows paths, (O,) more.
        transfer: Chooses and predicts; its rows are those of `architectures`.

    Raises:
        DataError: An architecture is no cell, or a device is not usable.
    """

    def __init__(
        self, table: LatencyTable, known: Sequence[str], *, usable: NDArray[np.bool_] | None = None
    ) -> None:
        if not known:
            raise DataError(
                "no known device is left; transfer needs a table with another device than the new one"
            )
        self._table, self._known = table, tuple(known)
        self._cells = [Cell.parse(text) for text in table.architectures]
        self._rows = representatives(self._cells, usable)
        if not len(self._rows):
            raise DataError("no architecture is left whose output depends on its input")
        described = describe([self._cells[row] for row in self._rows])
        latencies = np.stack([table.latencies(name) for name in known], axis=1)
        self._described, self._latencies = described, latencies[self._rows]
        self._at = {self._cells[row].key: at for at, row in enumerate(self._rows.tolist())}
        self.transfer = FewShot(described.counts, self._latencies, paths=described.paths)
        self.architectures = tuple(table.architectures[row] for row in self._rows)
        self.names = (*described.names, *(f"{name} on the longest path" for name in described.operations))

    def read_samples(self, path: Path) -> tuple[str, IntArray, FloatArray]:
        """Read what was measured: a table with one device, empty where nothing was measured yet.

        Returns:
            The device, (K,) rows of `architectures`, ascending, and their latencies in seconds; the geometric mean
            of samples of one cell.

        Raises:
            DataError: It cannot be read, has more than one device, or a sample is not in the table.
        """
        table = read_table(path)
        if len(table.devices) > 1:
            raise DataError(
                f"samples are of one device; these are of {', '.join(table.devices)}", where=str(path)
            )
        device = table.devices[0]
        found: dict[int, list[float]] = {}
        for text, seconds in zip(table.architectures, table.latency_s[device].tolist(), strict=True):
            at = self._at.get(Cell.parse(text).key)
            if at is None:
                raise DataError(f"the sample {text!r} is no architecture of the table", where=str(path))
            if np.isfinite(seconds):
                found.setdefault(at, []).append(np.log(seconds))
        rows = sorted(found)
        return device, np.array(rows, np.int64), np.exp([np.mean(found[at]) for at in rows])

    def measured(self, device: str, rows: IntArray) -> FloatArray:
        """Latencies of some architectures on a device of the table, in seconds."""
        return self._table.latencies(device)[self._rows[rows]]

    def propose(
        self, total: int, sampled: IntArray, seconds: FloatArray, *, at_once: bool = False
    ) -> IntArray:
        """Which architectures to measure next.

        Args:
            total: How many samples there are to be in the end.
            sampled: (K,) rows that have been measured.
            seconds: (K,) their latencies.
            at_once: In one batch; otherwise the first is smaller, and chooses the second.

        Returns:
            Rows, in the order in which to measure.

        Raises:
            DataError: There are fewer architectures, or one sample alone.
        """
        if not len(sampled):
            return self.transfer.choose(total if at_once else first_batch(total), total=total)
        if total <= len(sampled):
            return np.zeros(0, np.int64)
        return self.transfer.choose_next(sampled, seconds, total - len(sampled))

    def judged(self, truth: FloatArray, sampled: IntArray, predicted: FloatArray, device: str) -> Figures:
        """Predictions of a device whose latencies are known, beside operation counts with the same samples.

        Args:
            truth: (C,) its latencies, NaN where unknown.
            sampled: (K,) rows of the samples.
            predicted: (C,).
            device: Its name in the table.
        """
        rest = np.setdiff1d(np.flatnonzero(np.isfinite(truth)), sampled)
        counts = operation_counts(self._described.counts, sampled, truth[sampled])
        latency = self._table.latency_s[device]
        return Figures(
            devices=(device,),
            spearman=spearman(predicted[rest], truth[rest]),
            operation_counts=spearman(counts[rest], truth[rest]),
            ceiling=noise_ceiling(latency, duplicates(self._cells, np.flatnonzero(np.isfinite(latency)))),
            within_10_percent=share_within(predicted[rest], truth[rest]) if len(rest) else float("nan"),
        )

    def rehearsed(self, sampled: IntArray) -> Figures:
        """How good the same samples are for known devices, each taken for a new one."""
        found = [
            self.judged(self._latencies[:, at], sampled, predicted, self._known[at])
            for at, predicted in self.transfer.rehearse(sampled).items()
        ]

        def mean(values: list[float]) -> float:
            usable = [value for value in values if np.isfinite(value)]
            return float(np.mean(usable)) if usable else float("nan")

        return Figures(
            devices=tuple(device for figures in found for device in figures.devices),
            spearman=mean([figures.spearman for figures in found]),
            operation_counts=mean([figures.operation_counts for figures in found]),
            ceiling=mean([figures.ceiling for figures in found]),
            within_10_percent=mean([figures.within_10_percent for figures in found]),
        )

    def costs(self, predictor: Predictor) -> Mapping[str, float]:
        """Seconds of the constant and of each operation, by name."""
        return dict(zip(("constant", *self.names), predictor.coefficients_s.tolist(), strict=False))


def usable_devices(table: LatencyTable, *, but: str = "") -> tuple[list[str], dict[str, str]]:
    """The devices of a table that something can be learned from, and why not of the others.

    Args:
        table: Latencies.
        but: A device that is neither.
    """
    usable, refused = [], {}
    for device in table.devices:
        try:
            table.latencies(device)
        except DataError as error:
            refused[device] = error.message
        else:
            usable.append(device)
    return [device for device in usable if device != but], refused


def doubted(table: LatencyTable) -> dict[str, int]:
    """Device -> how many latencies are so much below its median that they look like failed measurements."""
    found = {}
    for device, seconds in table.latency_s.items():
        usable = seconds[np.isfinite(seconds)]
        count = int((usable < DOUBTED * np.median(usable)).sum()) if len(usable) else 0
        if count:
            found[device] = count
    return found

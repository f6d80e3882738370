"""Latency of networks on a host: laws of the kernel classes that were profiled there, summed, with intervals.

A kernel of a class that was not profiled, or that lies outside of what was, has no figure but a reason: laws of other
classes say nothing about it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from hannah_hw.errors import DataError
from hannah_hw.files import write_atomically
from hannah_hw.host.geometry import FloatArray, block_width
from hannah_hw.host.kernels import HostKernel
from hannah_hw.host.model_file import HostModelFile, IntervalEntry, parse_host_model, read_host_model, text_of
from hannah_hw.host.regression import SIGMAS, Law
from hannah_hw.host.rows import HostRow
from hannah_hw.host.table import KernelTable

#: Probability with which an interval holds the measured latency of a network.
COVERAGE: Final = 0.9
#: Correlation of the errors of kernels of one law in one network: what a law lacks, all its kernels lack.
_SHARED: Final = 0.5
#: Relative standard deviation of a network against the sum of its kernels where no network was measured: caches
#: that other kernels have used. On 200 networks the sums of measured kernels lay within 5 %.
_ADDITIVITY: Final = 0.02
#: Fewest networks from which intervals are adjusted.
_LEAST_NETWORKS: Final = 10
#: Intervals are not made narrower than this part of what the kernels' deviations give: networks are few.
_LEAST_FACTOR: Final = 0.8
#: What to do about kernels without a law.
_NEXT: Final = (
    "profile kernels like it: hannah-hw calibrate host, with a --space or --models FILE.onnx that has them"
)

#: The kernels of a network.
Network = Sequence[HostKernel]


@dataclass(frozen=True)
class KernelPrediction:
    """Times of N kernels.

    Attributes:
        seconds: (N,), NaN where there is no law.
        deviation: (N,) relative standard deviation, NaN likewise.
        missing: Index of a kernel -> why it has no time.
    """

    seconds: FloatArray
    deviation: FloatArray
    missing: dict[int, str]


@dataclass(frozen=True)
class HostModel:
    """What was learned of a host.

    Attributes:
        laws: Name -> law of the kernels that `law_name` gives that name.
        run_seconds: Of a run of nothing.
        interval: How intervals of networks were adjusted.
        title: In words.
        made_on: Processor, runtime and threads, as `HostRow.made_on`.
        rows: File of the measurements beside that of the model; empty: none.
    """

    laws: dict[str, Law]
    run_seconds: float
    interval: IntervalEntry
    title: str = ""
    made_on: str = ""
    rows: str = ""

    @classmethod
    def fit(
        cls,
        rows: Sequence[HostRow],
        *,
        run_seconds: float,
        networks: Sequence[tuple[Network, float]] = (),
        held_out: FloatArray | None = None,
        additivity: float | None = None,
        title: str = "",
        file: str = "",
    ) -> HostModel:
        """Laws of measured kernels.

        Args:
            rows: Kernels, each measured alone, all on one machine.
            run_seconds: Of a run of nothing.
            networks: Kernels of P whole networks and their measured seconds, which adjust the intervals.
            held_out: (P,) seconds that a fit without each of them predicts of it, NaN where none does; None: the
                rows owe nothing to them, and the model itself predicts them.
            additivity: Relative standard deviation of a network against the sum of its kernels; None: the usual one.
            title: In words.
            file: Name of the file of the rows, kept beside that of the model.

        Raises:
            DataError: There are no rows, or they are of several machines.
        """
        machines = sorted({row.made_on for row in rows})
        if len(machines) != 1:
            problem = "of several machines" if machines else "none"
            raise DataError(
                f"the measured kernels are {problem}; a model is of one machine", given=", ".join(machines)
            )
        block = block_width([row.kernel for row in rows])
        laws = {}
        for name, places in _grouped([law_name(row.kernel) for row in rows]).items():
            chosen = [rows[place] for place in places]
            seconds = np.array([row.seconds for row in chosen])
            laws[name] = Law.fit([row.kernel for row in chosen], seconds, block)
        entry = IntervalEntry(coverage=COVERAGE, additivity=additivity or _ADDITIVITY, factor=1.0, networks=0)
        return cls(laws, run_seconds, entry, title, machines[0], file)._adjusted(networks, held_out)

    @classmethod
    def load(cls, path: str | Path) -> HostModel:
        """A model from its file.

        Raises:
            TargetError: It is none, or of a version with other terms: file, line, field.
        """
        return cls._of(read_host_model(Path(path)))

    @classmethod
    def parse(cls, text: str, path: str = "host model") -> HostModel:
        """A model from the text of its file; see `load`."""
        return cls._of(parse_host_model(text, path))

    @classmethod
    def _of(cls, file: HostModelFile) -> HostModel:
        laws = {name: entry.law(file.block) for name, entry in file.laws.items()}
        return cls(laws, file.run_s, file.interval, file.title, file.made_on, file.rows)

    def to_yaml(self) -> str:
        """The text of its file, which `parse` reads."""
        words = {"title": self.title, "made_on": self.made_on, "rows": self.rows}
        return text_of(self.laws, self.run_seconds, self.interval, **words)

    def save(self, path: str | Path) -> None:
        """Write its file, whole or not at all.

        Raises:
            OSError: It cannot be written.
        """
        write_atomically(Path(path), self.to_yaml().encode())

    def predict(self, kernels: Sequence[HostKernel]) -> KernelPrediction:
        """What single kernels add to a run, and how sure that is.

        Args:
            kernels: N kernels; equal ones are predicted once.
        """
        seconds, deviation = np.full(len(kernels), np.nan), np.full(len(kernels), np.nan)
        missing: dict[int, str] = {}
        for name, places in _grouped([law_name(kernel) for kernel in kernels]).items():
            law = self.laws.get(name)
            if law is None:
                reason = f"no kernel of the class {name} was profiled; {_NEXT}"
                missing.update(dict.fromkeys(places, reason))
                continue
            chosen = [kernels[place] for place in places]
            seconds[places], deviation[places] = law.predict(chosen)
            for index, reason in law.outside(chosen).items():
                missing[places[index]] = f"class {name}: {reason}; {_NEXT}"
        seconds[list(missing)] = deviation[list(missing)] = np.nan
        return KernelPrediction(seconds, deviation, dict(sorted(missing.items())))

    def networks(self, networks: Sequence[Network]) -> tuple[FloatArray, FloatArray]:
        """Seconds of a run of each network, and the relative half width of its 90 % interval.

        Args:
            networks: P networks.

        Returns:
            (P,) each; NaN where a kernel of the network has no law, see `predict`.
        """
        table = KernelTable.of(networks)
        return self.totals(table, self.predict(table.kernels))

    def totals(self, table: KernelTable, found: KernelPrediction) -> tuple[FloatArray, FloatArray]:
        """As `networks`, of kernels that are predicted already.

        Args:
            table: The kernels of P networks, M of them distinct.
            found: What `predict` says of the M.
        """
        spread = found.seconds * found.deviation
        total: FloatArray = table.sums(found.seconds) + self.run_seconds
        names = {name: place for place, name in enumerate(self.laws)}
        law = np.array([names.get(law_name(kernel), 0) for kernel in table.kernels], np.int64)
        shared = np.zeros((table.size, len(names)))
        np.add.at(shared, (table.network, law[table.which]), spread[table.which])
        own = table.sums(spread**2)
        variance = _SHARED * (shared**2).sum(1) + (1 - _SHARED) * own
        relative = np.sqrt(variance / total**2 + self.interval.additivity**2)
        half: FloatArray = self.interval.factor * SIGMAS * relative
        return total, half

    @cached_property
    def errors(self) -> dict[str, FloatArray]:
        """Name of a law -> relative errors of its profiled kernels in laws of the others."""
        return {name: np.expm1(law.left_out[0]) for name, law in self.laws.items()}

    def _adjusted(self, networks: Sequence[tuple[Network, float]], held_out: FloatArray | None) -> HostModel:
        """With intervals as wide as the errors of measured networks ask for.

        That is split conformal prediction: of n errors in units of the half width, the one of rank
        ceil((n + 1) `COVERAGE`) (Lei et al., Journal of the American Statistical Association 113, 2018).
        """
        if not networks:
            return self
        seconds, half = self.networks([network for network, _ in networks])
        seconds = seconds if held_out is None else held_out
        measured = np.array([value for _, value in networks])
        known = np.isfinite(seconds) & np.isfinite(half)
        errors = np.abs(seconds / measured - 1)[known]
        if not len(errors):
            return self
        factor = 1.0
        if len(errors) >= _LEAST_NETWORKS:
            # Intervals are relative to the prediction, errors that are stated to the measurement.
            missed = np.sort(np.abs(measured / seconds - 1)[known] / half[known])
            rank = math.ceil(round((len(missed) + 1) * COVERAGE, 9))
            factor = float(missed[min(rank, len(missed)) - 1])
        entry = IntervalEntry(
            coverage=COVERAGE,
            additivity=self.interval.additivity,
            factor=min(max(factor, _LEAST_FACTOR), 10.0),
            networks=len(errors),
            median_error=float(np.median(errors)),
            largest_error=float(errors.max()),
        )
        return HostModel(self.laws, self.run_seconds, entry, self.title, self.made_on, self.rows)


def law_name(kernel: HostKernel) -> str:
    """Which law a kernel follows: that of its class, its operator where a class has several, and its data types.

    Types are named where they are not the usual ones, float32 and int8: other types run other code.
    """
    parts = [kernel.kernel_class]
    if parts[0].endswith("pool"):
        parts.append(kernel.op_type)
    computed = [tensor.dtype for tensor in kernel.computed[:1]]
    weights = [tensor.dtype for tensor in kernel.inputs if tensor.constant and len(tensor.shape) > 1]
    parts += [dtype for dtype in (*computed, *weights[:1]) if dtype not in ("float32", "int8")]
    return ".".join(parts)


def _grouped(names: Sequence[str]) -> dict[str, list[int]]:
    """Name -> places where it stands, names in the order in which they first appear."""
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(name, []).append(place)
    return found

"""Calibration of a host: which kernels its networks consist of, some of them measured, and laws fitted to those."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import RunError
from hannah_hw.host.facts import made_on
from hannah_hw.host.kernels import HostKernel
from hannah_hw.host.model import HostModel
from hannah_hw.host.rows import HostRow
from hannah_hw.host.table import KernelTable
from hannah_hw.measure.host_calibrated import Check, HostCalibration
from hannah_hw.measure.host_choice import choose, weights_of
from hannah_hw.measure.host_clock import DISTURBED, LEAST_CALM
from hannah_hw.measure.host_inside import Inside
from hannah_hw.measure.host_pool import Network, Pool
from hannah_hw.measure.host_sweep import Sweep, measure_kernels
from hannah_hw.measure.host_turns import EMPTY, RETEST, ROUNDS

FloatArray = NDArray[np.float64]

#: Most kernels that are profiled, and seconds that it may take.
KERNELS: Final = 200
SECONDS: Final = 600.0
#: Shares of the kernels after which those that follow are chosen anew.
_STAGES: Final = (0.5, 0.75, 1.0)
#: Share of the seconds that kernels get after which others are chosen: all are measured again, together, at the end.
_ROUGH: Final = 0.15
#: By what factor the probe may differ between measurements of one state of the machine: its clock drifts.
_SAME_STATE: Final = 1.12
#: Relative standard deviation of networks against a model that was measured while the machine was disturbed.
_DISTURBED_ADDITIVITY: Final = 0.3
#: Networks whose kernels are all measured, to see whether their sum is the time of the whole.
_SUMMED: Final = 6


def calibrate_host(
    pool: Pool,
    *,
    kernels: int = KERNELS,
    seconds: float = SECONDS,
    previous: Sequence[HostRow] = (),
    threads: int = 1,
    rounds: int = ROUNDS,
    retest: float = RETEST,
    seed: int = 0,
    title: str = "",
    file: str = "",
    save: Callable[[Sequence[HostRow]], None] = lambda _rows: None,
    progress: Callable[[str], None] = lambda _text: None,
) -> HostCalibration:
    """Measure kernels of a pool and fit a model to them.

    Half of the kernels are chosen to stand for all, the others, in two steps, where the model of those before is least
    sure of the networks of the pool. Rough times do for choosing; then all that is new is measured in turns with whole
    networks, for as long as there is time, so that it all is of one state of the machine.

    Args:
        pool: Networks.
        kernels: Most kernels that are profiled for the fit, those of before among them.
        seconds: After which no rounds are added. What is begun is finished.
        previous: Rows of before; those of this machine and runtime, in its fastest state, are not measured again.
        threads: Threads within an operator.
        rounds: See `hannah_hw.measure.host_turns.time_subjects`.
        retest: Likewise.
        seed: Of choices, weights and order.
        title: Of the model, in words.
        file: Name of the file of rows, for that of the model.
        save: Called with all rows whenever there are more.
        progress: Called with a line about what is done.

    Raises:
        RunError: No kernel could be measured, or a run of nothing could not.
    """
    work = _Work(pool, threads, rounds, retest, seed, time.monotonic() + seconds, save, progress)
    started = time.monotonic()
    work.reuse(previous)
    table = pool.table
    chosen: list[HostKernel] = []
    for number, share in enumerate(_STAGES):
        if number:
            work.measure(chosen, _ROUGH * seconds)
            chosen = []
        wanted = round(kernels * share) - work.profiled(table.kernels)
        if wanted < 1 or work.late(_ROUGH * seconds):
            continue
        weights = weights_of(table, work.model()) if number and work.rows else None
        taken = work.taken(table.kernels)
        found = choose(table.kernels, wanted, taken=taken, weights=weights, seed=seed + number)
        chosen = [table.kernels[index] for index in found]
    return work.finished(table, chosen, started, title, file)


class _Work:
    """A calibration that goes on.

    Args:
        pool: See `calibrate_host`; so the others.
        deadline: When no more is begun, on the monotonic clock.
    """

    def __init__(
        self,
        pool: Pool,
        threads: int,
        rounds: int,
        retest: float,
        seed: int,
        deadline: float,
        save: Callable[[Sequence[HostRow]], None],
        progress: Callable[[str], None],
    ) -> None:
        self.pool = pool
        self.made_on = made_on(threads)
        self.kept: list[HostRow] = []
        self.rows: list[HostRow] = []
        self.run_seconds: float | None = None
        self.failures: dict[str, str] = {}
        self._threads = threads
        self._rounds = rounds
        self._retest = retest
        self._seed = seed
        self._deadline = deadline
        self._save = save
        self._progress = progress

    def late(self, reserve: float) -> bool:
        """Whether less than `reserve` seconds are left, and there is something already."""
        return bool(self.rows) and time.monotonic() + reserve > self._deadline

    def reuse(self, previous: Sequence[HostRow]) -> None:
        """Keep rows of before that are of this machine, and of a core of its own."""
        here = [row for row in previous if row.made_on == self.made_on]
        # Of a row that does not say how fast the probe was, nobody knows in which state it was measured.
        told = [row for row in here if row.probe_s > 0]
        calm = [row for row in told if row.calm >= LEAST_CALM and self._steady(row)]
        fastest = min((row.probe_s for row in calm), default=0.0)
        self.kept = [row for row in calm if row.probe_s <= _SAME_STATE * fastest]
        self.rows = list(self.kept)
        if len(self.kept) < len(here):
            self._progress(
                f"{len(here) - len(self.kept)} of {len(here)} kernels of before were measured while other work ran; "
                "they are measured again"
            )

    def _steady(self, row: HostRow) -> bool:
        """Whether halves of its measurement agreed."""
        return row.retest * row.seconds <= max(self._retest, 0.0) * (row.seconds + row.run_s)

    def taken(self, kernels: Sequence[HostKernel]) -> NDArray[np.bool_]:
        """(N,) which of N kernels are measured or have failed."""
        keys = {row.kernel.key for row in self.rows} | self.failures.keys()
        return np.array([kernel.key in keys for kernel in kernels], np.bool_)

    def profiled(self, kernels: Sequence[HostKernel]) -> int:
        """How many of N kernels are measured."""
        keys = {row.kernel.key for row in self.rows}
        return sum(kernel.key in keys for kernel in kernels)

    def model(self) -> HostModel:
        """What the rows say so far."""
        return HostModel.fit(self.rows, run_seconds=self.run_seconds or 0.0)

    def measure(self, kernels: Sequence[HostKernel], seconds: float) -> None:
        """Add rough rows of kernels, by which others are chosen."""
        if not kernels:
            return
        found = self._sweep(kernels, {}, self.rows, seconds, np.inf)
        self.rows += found.rows
        self._save(self.rows)
        self._progress(f"{len(self.rows)} kernels measured")

    def _sweep(
        self,
        kernels: Sequence[HostKernel],
        networks: dict[str, bytes],
        previous: Sequence[HostRow],
        seconds: float,
        retest: float,
    ) -> Sweep:
        """Measure kernels and networks on the scale of rows of before."""
        found = measure_kernels(
            kernels,
            networks=networks,
            previous=previous,
            made_on=self.made_on,
            rounds=self._rounds,
            seconds=seconds,
            retest=retest,
            threads=self._threads,
            seed=self._seed,
        )
        self.failures |= found.failures
        self.run_seconds = found.run_seconds or self.run_seconds
        return found

    def finished(
        self, table: KernelTable, chosen: Sequence[HostKernel], started: float, title: str, file: str
    ) -> HostCalibration:
        """The model of all rows, those that are new measured with the last ones chosen and with whole networks.

        Raises:
            RunError: No kernel or no run of nothing could be measured.
        """
        networks = self._checked_networks()
        rough = {row.kernel.key: row for row in self.rows[len(self.kept) :]}
        new = [*(row.kernel for row in rough.values()), *chosen]
        summed = self._summed(networks, new)
        self._progress(f"{len(new)} kernels and {len(networks)} whole networks, together")
        left = max(0.0, self._deadline - time.monotonic())
        models = {network.name: network.model for network in networks}
        found = self._sweep([*new, *summed], models, self.kept, left, self._retest)
        keys = {kernel.key for kernel in new}
        self.rows = [*self.kept, *(row for row in found.rows if row.kernel.key in keys)]
        if not self.rows:
            reasons = sorted(set(self.failures.values()))
            raise RunError(f"no kernel could be measured: {'; '.join(reasons[:3]) or 'there are none'}")
        self._save(self.rows)
        disturbed = self._disturbed(found, min((row.probe_s for row in rough.values()), default=np.inf))
        before = [row.run_s for row in self.kept if row.run_s > 0]
        run_seconds = float(np.median(before)) if before else found.run_seconds
        if run_seconds is None:
            raise RunError(f"a run of nothing could not be measured: {self.failures[EMPTY]}")
        measured = [network for network in networks if network.name in found.networks]
        kernels = [network.kernels for network in measured]
        seconds = np.array([found.networks[network.name] for network in measured])
        inside, predicted = Inside.fit(self.model(), kernels, seconds)
        model = HostModel.fit(
            [inside.row(row) for row in self.rows],
            run_seconds=run_seconds,
            networks=list(zip(kernels, seconds.tolist(), strict=True)),
            held_out=predicted,
            additivity=_DISTURBED_ADDITIVITY if disturbed else None,
            title="; ".join(filter(None, (title, disturbed))),
            file=file,
        )
        half = model.networks(kernels)[1]
        alone = {row.kernel.key: row.seconds for row in (*self.rows, *found.rows)}
        checks = tuple(
            Check(n.name, t, p, h, _sum(n, alone, run_seconds))
            for n, t, p, h in zip(measured, seconds.tolist(), predicted.tolist(), half.tolist(), strict=True)
        )
        tests = [row.retest * row.seconds / (row.seconds + run_seconds) for row in self.rows]
        return HostCalibration(
            model=model,
            rows=tuple(self.rows),
            inside=inside,
            checks=checks,
            failures=self.failures,
            pool=len(table.kernels),
            reused=len(self.kept),
            calm=found.calm,
            disturbed=disturbed,
            retest=(float(np.median(tests)), float(np.quantile(tests, 0.9))),
            seconds=time.monotonic() - started,
        )

    def _checked_networks(self) -> list[Network]:
        """Networks that are measured whole, each name once."""
        return list({network.name: network for network in self.pool.checks}.values())

    def _summed(self, networks: Sequence[Network], new: Sequence[HostKernel]) -> list[HostKernel]:
        """Kernels of some networks that are not measured otherwise: none where the time is over."""
        if self.late(0.0):
            return []
        step = max(1, len(networks) // _SUMMED)
        measured = {row.kernel.key for row in self.kept} | {kernel.key for kernel in new}
        wanted = [kernel for network in networks[::step][:_SUMMED] for kernel in network.kernels]
        return list({kernel.key: kernel for kernel in wanted if kernel.key not in measured}.values())

    def _disturbed(self, found: Sweep, rough: float) -> str:
        """Why a measurement is not that of a core of its own; empty if it is.

        Args:
            found: The measurement.
            rough: Seconds of the probe in the fastest state of earlier ones.
        """
        kept = min((row.probe_s for row in self.kept), default=np.inf)
        quieter = "calibrate again when the machine is quiet"
        if found.calm < LEAST_CALM:
            return f"other work disturbed {1 - found.calm:.0%} of the measurement; {quieter}"
        if found.probe > _SAME_STATE * min(kept, rough) or found.slow > DISTURBED:
            slower = max(found.probe / min(kept, rough), found.slow)
            return f"the machine was {slower:.2f} times as slow as before, all the time; {quieter}"
        if np.isfinite(kept) and kept > _SAME_STATE * found.probe:
            return (
                f"{len(self.kept)} kernels of before were measured while the machine was "
                f"{kept / found.probe:.2f} times as slow; calibrate again, which measures them again"
            )
        return ""


def _sum(network: Network, alone: dict[str, float], run_seconds: float) -> float | None:
    """Seconds of a network's kernels, with those of a run; None where one was not measured."""
    if not all(kernel.key in alone for kernel in network.kernels):
        return None
    return run_seconds + sum(alone[kernel.key] for kernel in network.kernels)

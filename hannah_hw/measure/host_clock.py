"""Timing many models on one processor: runs take turns, so that what slows the machine down slows all of them.

One thread's own processor time is read where one thread runs: what other programs take does not count then. How long
a run takes still drifts by some percent with the clock of a shared machine, and up to doubles while another thread uses
the same core, which may be most of the time. So visits are short and many, what is undisturbed is told by a probe that
is as fast as it ever was, and the time of a model is a low quantile of its visits: that of a core of its own.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FloatArray = NDArray[np.float64]
#: Runs a model once.
Run = Callable[[], object]

#: Timed runs of a visit take about so long together: reading the clock (up to a microsecond) hardly counts, and most
#: visits lie between two disturbances.
VISIT_SECONDS: Final = 200e-6
#: Runs before them take about so long together, until caches and branch predictors know the model again.
WARM_SECONDS: Final = 50e-6
#: A visit around which the probe was by this factor slower than in its fastest state was disturbed: a thread that
#: shares the core makes runs 1.3 to 2.2 times as long, drifts of the clock are some percent.
DISTURBED: Final = 1.2
#: Quantile of the probe that is its fastest state: a few times are short by chance.
FASTEST: Final = 0.02
#: Quantile of the undisturbed visits of a model that is its time: a probe does not see all that disturbs a visit. They
#: are taken as the fastest of all. On a machine that was busy two thirds of the time, halves of 121 rounds differed by
#: 0.9 % (median of 131 models) so, by 2.1 % at the 90th percentile.
CALM_QUANTILE: Final = 0.3
#: Share of undisturbed visits below which a measurement is not that of a core of its own.
LEAST_CALM: Final = 0.1
#: Fewest models that say how slow a round is.
LEAST_KNOWN: Final = 4
#: How long it is watched which processor is idle: some of the system's ticks of 10 ms.
_WATCHED_SECONDS: Final = 0.1
#: Coarsest clock that is used, in seconds: that of threads ticks in 15.6 ms on some systems.
_RESOLUTION: Final = 1e-6


def clock(threads: int = 1) -> Callable[[], int]:
    """A clock in nanoseconds: this thread's processor time; of several threads, or where that is coarse, wall time."""
    fine = time.get_clock_info("thread_time").resolution <= _RESOLUTION
    return time.thread_time_ns if threads == 1 and fine else time.perf_counter_ns


@contextmanager
def pinned(threads: int = 1) -> Iterator[None]:
    """Inside, one thread stays on one processor, of those that it may use the most idle, where the system lets it."""
    if threads != 1 or not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    chosen = _most_idle(allowed)
    with suppress(OSError):  # some containers do not allow it; times vary more then
        os.sched_setaffinity(0, {chosen})
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, allowed)


def _most_idle(processors: set[int]) -> int:
    """The processor that was idle the longest for a moment; the last of several."""
    before = _idle_ticks()
    time.sleep(_WATCHED_SECONDS if len(processors) > 1 else 0.0)
    after = _idle_ticks()
    return max(processors, key=lambda number: (after.get(number, 0) - before.get(number, 0), number))


def _idle_ticks() -> dict[int, int]:
    """Processor -> ticks that it has been idle, or has waited for a disk; none where the system does not say."""
    try:
        lines = Path("/proc/stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    rows = [line.split() for line in lines if re.match(r"cpu\d", line)]
    return {int(row[0][3:]): int(row[4]) + int(row[5]) for row in rows}


class BoundRun:
    """Runs a session on memory that is given once: nothing is copied or allocated to call it.

    Args:
        session: An open session.
        feeds: Its inputs. It is run once, for the shapes of its outputs.
        in_place: Whether the only output is in the memory of the first input, as views are inside of a graph.
    """

    def __init__(
        self, session: InferenceSession, feeds: Mapping[str, NDArray[Any]], *, in_place: bool = False
    ) -> None:
        from onnxruntime import OrtValue

        self._run = session.run_with_iobinding
        self._binding = session.io_binding()
        self._inputs = {name: OrtValue.ortvalue_from_numpy(value) for name, value in feeds.items()}
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        results = session.run(None, dict(feeds))
        for output, result in zip(session.get_outputs(), results, strict=True):
            if in_place:
                memory = next(iter(self._inputs.values())).data_ptr()
                self._binding.bind_output(output.name, "cpu", 0, result.dtype, list(result.shape), memory)
            else:
                self._binding.bind_ortvalue_output(output.name, OrtValue.ortvalue_from_numpy(result))

    def __call__(self) -> None:
        """Run once."""
        self._run(self._binding)

    def outputs(self) -> list[NDArray[Any]]:
        """What the last run gave."""
        found: list[NDArray[Any]] = self._binding.copy_outputs_to_cpu()
        return found


@dataclass(frozen=True)
class Visits:
    """Times of runs that took turns.

    Attributes:
        seconds: (R, N) of one run, in each of R rounds.
        probe: (R, N) seconds of the probe around it, the slower of before and after.
    """

    seconds: FloatArray
    probe: FloatArray

    def __add__(self, later: Visits) -> Visits:
        """These rounds, and later ones of the same runs."""
        return Visits(np.r_[self.seconds, later.seconds], np.r_[self.probe, later.probe])


def interleaved(
    runs: Sequence[Run], *, rounds: int, probe: Run | None = None, threads: int = 1, seed: int = 0
) -> Visits:
    """Time runs that take turns: in every round each once, in a new order.

    Args:
        runs: N functions, each of which has run before.
        rounds: How often each is visited.
        probe: Some computation of 10 to 100 us, timed between visits; None: nothing tells what is undisturbed.
        threads: Threads that a run has.
        seed: Of the order within rounds.
    """
    now = clock(threads)
    rng = np.random.default_rng(seed)
    seconds = np.empty((rounds, len(runs)))
    watched = np.ones((rounds, len(runs)))
    with pinned(threads):
        plans = [_plan(run, now) for run in runs]
        for row, around in zip(seconds, watched, strict=True):
            before = _once(probe, now)
            for index in rng.permutation(len(runs)).tolist():
                row[index] = _visit(runs[index], now, *plans[index])
                after = _once(probe, now)
                around[index] = max(before, after)
                before = after
    return Visits(seconds, watched)


def _once(probe: Run | None, now: Callable[[], int]) -> float:
    """Seconds of the probe, which the caches know again; 1 without one."""
    if probe is None:
        return 1.0
    probe()
    started = now()
    probe()
    return (now() - started) * 1e-9


def _plan(run: Run, now: Callable[[], int]) -> tuple[int, int]:
    """Runs before those of a visit that are timed, and how many are."""
    run()
    started = now()
    run()
    run()
    once = max(now() - started, 1) * 0.5e-9
    return max(1, round(WARM_SECONDS / once)), max(1, round(VISIT_SECONDS / once))


def _visit(run: Run, now: Callable[[], int], warm: int, repeats: int) -> float:
    """Mean seconds of one run."""
    for _ in range(warm):
        run()
    started = now()
    for _ in range(repeats):
        run()
    return (now() - started) * 1e-9 / repeats


@dataclass(frozen=True)
class Times:
    """What runs take.

    Attributes:
        seconds: (N,) of one run of each model.
        spread: (N,) how far two halves of the rounds lie apart, in seconds, beside what all do.
        calm: Share of visits in which nothing else ran on the core.
        probe: Seconds of the probe in its fastest state.
        slow: By what factor models were slower than before, which is divided out; 1 where nothing that was measured
            before says so.
    """

    seconds: FloatArray
    spread: FloatArray
    calm: float
    probe: float
    slow: float = 1.0


def settle(visits: Visits, known: FloatArray | None = None, fastest: float = np.inf) -> Times:
    """What the visits of at least four rounds say.

    The time of a model is a low quantile of its visits. The rounds are halved so that both halves have as many
    undisturbed visits, and the halves are compared; what most models differ by is no model's own and does not count,
    unless there are fewer than `LEAST_KNOWN`.

    Args:
        visits: Of N models.
        known: (N,) seconds of what has been measured before, NaN for what has not: where there are `LEAST_KNOWN`, times
            are those that the models would have had then.
        fastest: Seconds of the probe in the fastest state that was seen before.
    """
    times = visits.seconds
    probe = float(np.quantile(visits.probe, FASTEST))
    calm = visits.probe <= DISTURBED * min(probe, fastest)
    low = _low(times, calm)
    anchors = np.isfinite(known) if known is not None else np.zeros(times.shape[1], np.bool_)
    slow = 1.0
    if known is not None and anchors.sum() >= LEAST_KNOWN:
        slow = float(np.median(low[anchors] / known[anchors]))
    counts = np.cumsum(calm.sum(1) if calm.any() else np.ones(len(times)))
    half = int(np.clip(np.searchsorted(counts, counts[-1] / 2) + 1, 1, len(times) - 1))
    first, second = _low(times[:half], calm[:half]), _low(times[half:], calm[half:])
    if times.shape[1] >= LEAST_KNOWN:
        second /= np.median(second / first)
    return Times(low / slow, np.abs(first - second) / slow, float(calm.mean()), probe, slow)


def _low(times: FloatArray, calm: NDArray[np.bool_]) -> FloatArray:
    """(N,) the quantile of (R, N) times that is the time of a model, given which visits were undisturbed."""
    share = float(calm.mean()) or 1.0
    result: FloatArray = np.quantile(times, CALM_QUANTILE * share, axis=0)
    return result

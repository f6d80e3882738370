"""Timing many models on one processor: runs take turns, so that what slows the machine down slows all of them.

One thread's own processor time is read where one thread runs: what other programs take does not count then. How long
a run takes still drifts by some percent with the clock of a shared machine, and doubles while another thread uses the
same core. Every round times every model once, in a new order; a visit around which a computation that is always the
same was slow is repeated, and what a whole round is slower than others is divided out.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FloatArray = NDArray[np.float64]
#: Runs a model once.
Run = Callable[[], object]

#: A sample repeats a run until it takes about so long, so that reading the clock (up to a microsecond) hardly counts.
SAMPLE_SECONDS: Final = 100e-6
#: Samples of one visit take about so long together, and are at least so many.
VISIT_SECONDS: Final = 2e-3
LEAST_SAMPLES: Final = 3
#: Runs before the samples of a visit take about so long together: those of a model that ran long ago are slower by a
#: tenth or more, until caches and branch predictors know it again.
WARM_SECONDS: Final = 1e-3
#: A round by this factor slower than calm ones is left out: a thread that shares the core makes runs 1.3 to 2 times as
#: long, drifts of the clock are some percent.
DISTURBED: Final = 1.2
#: How often a disturbed visit is repeated, and how many times of the probe say what is usual.
REPEATS: Final = 5
PROBES: Final = 200
#: Fewest rounds that say something.
LEAST_ROUNDS: Final = 4
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
    os.sched_setaffinity(0, {_most_idle(allowed)})
    try:
        yield
    finally:
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


def interleaved(
    runs: Sequence[Run], *, rounds: int, probe: Run | None = None, threads: int = 1, seed: int = 0
) -> FloatArray:
    """Time runs that take turns.

    Args:
        runs: N functions, each of which has run before.
        rounds: How often each is visited.
        probe: Some computation of 10 to 100 us. A visit before or after which it is slow is repeated.
        threads: Threads that a run has.
        seed: Of the order within rounds.

    Returns:
        (rounds, N) median seconds of one run, of each visit.
    """
    now = clock(threads)
    rng = np.random.default_rng(seed)
    times = np.empty((rounds, len(runs)))
    with pinned(threads):
        watch = _Watch(probe, now) if probe is not None else None
        plans = [_plan(run, now) for run in runs]
        for row in times:
            for index in rng.permutation(len(runs)).tolist():
                visit = partial(_visit, runs[index], now, *plans[index])
                row[index] = visit() if watch is None else watch.undisturbed(visit)
    return times


class _Watch:
    """Knows from a computation that is always the same whether something else runs on the core.

    Args:
        probe: That computation.
        now: The clock.
    """

    def __init__(self, probe: Run, now: Callable[[], int]) -> None:
        self._probe = probe
        self._now = now
        self._seen: deque[float] = deque(maxlen=PROBES)
        for _ in range(PROBES):
            self._seen.append(self._time())

    def _time(self) -> float:
        """Nanoseconds of the probe, the faster of two."""
        self._probe()
        times = []
        for _ in range(2):
            started = self._now()
            self._probe()
            self._probe()
            times.append(self._now() - started)
        return min(times)

    def undisturbed(self, visit: Callable[[], float]) -> float:
        """The result of a visit around which the probe was as fast as it mostly is, or of the best of several."""
        limit = DISTURBED * float(np.quantile(self._seen, 0.2))
        before = self._time()
        best = (np.inf, 0.0)
        for _ in range(REPEATS):
            seconds = visit()
            after = self._time()
            best = min(best, (max(before, after), seconds))
            self._seen.append(after)
            if best[0] <= limit:
                break
            before = after
        return best[1]


def _plan(run: Run, now: Callable[[], int]) -> tuple[int, int, int]:
    """Runs before the samples of a visit, samples, and runs of a sample."""
    run()
    started = now()
    run()
    run()
    once = max(now() - started, 1) * 0.5e-9
    repeats = max(1, round(SAMPLE_SECONDS / once))
    samples = max(LEAST_SAMPLES, round(VISIT_SECONDS / (once * repeats)))
    return max(1, round(WARM_SECONDS / once)), samples, repeats


def _visit(run: Run, now: Callable[[], int], warm: int, samples: int, repeats: int) -> float:
    """Median seconds of one run."""
    for _ in range(warm):
        run()
    times = []
    for _ in range(samples):
        started = now()
        for _ in range(repeats):
            run()
        times.append(now() - started)
    return float(np.median(times)) * 1e-9 / repeats


@dataclass(frozen=True)
class Times:
    """What runs take.

    Attributes:
        seconds: (N,) of one run of each model.
        spread: (N,) how far two halves of the rounds lie apart, in seconds.
        calm: Share of the rounds in which nothing else ran on the core.
        slow: By what factor the rounds that count were slower than before, which is divided out; 1 where nothing that
            was measured before says so.
    """

    seconds: FloatArray
    spread: FloatArray
    calm: float
    slow: float = 1.0


def settle(times: FloatArray, known: FloatArray | None = None) -> Times:
    """What (rounds, N) seconds say, of at least `LEAST_ROUNDS` rounds.

    The factor by which a round is slow is the median over models of their time in it over their time. Rounds in which
    something else ran on the core are left out, the others divided by their factor, unless it is that of fewer than
    `LEAST_KNOWN` models. The first half of the rounds is tested against the second.

    Args:
        times: Seconds by round and model.
        known: (N,) seconds of what has been measured before, NaN for what has not: where there are `LEAST_KNOWN`, times
            are those that the models would have had then.
    """
    anchors = np.isfinite(known) if known is not None else np.zeros(times.shape[1], np.bool_)
    anchored = known is not None and anchors.sum() >= LEAST_KNOWN
    if known is None or not anchored:
        factors = np.median(times / np.median(times, axis=0), axis=1)
        factors /= np.median(factors)
    else:
        factors = np.median(times[:, anchors] / known[anchors], axis=1)
    order = np.argsort(factors, kind="stable")
    limit = DISTURBED * np.quantile(factors, 0.25)
    calm = np.sort(order[: max(LEAST_ROUNDS, int((factors <= limit).sum()))])
    alone = times.shape[1] < LEAST_KNOWN
    steady = times[calm] / (1.0 if alone else factors[calm, None])
    half = len(steady) // 2
    spread = np.abs(np.median(steady[:half], axis=0) - np.median(steady[-half:], axis=0))
    slow = float(np.median(factors[calm])) if anchored else 1.0
    return Times(np.median(steady, axis=0), spread, float((factors <= limit).mean()), slow)

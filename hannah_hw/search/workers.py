"""Worker processes that may crash, hang or run out of memory without taking the run with them.

Every evaluation happens in a process of its own pool (spawned, never forked). A worker that dies or exceeds its
time or memory is replaced, and the candidate it was working on gets a recorded failure. Workers compute with one
thread each, so that results do not depend on how many there are. A worker ends itself when its parent disappears.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

from hannah_hw.errors import RunError
from hannah_hw.search.memory import OVER_MEMORY, end_above, peak_resident, watch
from hannah_hw.search.protocols import Evaluator
from hannah_hw.search.tasks import NOTHING_SUBMITTED, Outcome, Task, attempt, to_outcome

#: One thread a worker, set before it imports anything.
ENVIRONMENT: Final = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ),
    "1",
)
#: Seconds a worker may take to start: importing a training framework on a loaded machine is slow.
STARTUP_TIMEOUT: Final = 600.0
#: Workers that die in a row while starting before the run is given up.
STARTUP_ATTEMPTS: Final = 3


class _Worker:
    """One process and the task it has."""

    def __init__(self, evaluator: Evaluator, memory: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection: Connection
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_serve, args=(theirs, evaluator, memory), daemon=True
        )
        with _environment(ENVIRONMENT):
            self.process.start()
        theirs.close()
        self.ready = False
        self.index: int | None = None
        self.started = datetime.now(UTC)
        self.clock = time.monotonic()

    def assign(self, index: int, task: Task) -> None:
        self.index = index
        self.started, self.clock = datetime.now(UTC), time.monotonic()
        # A worker that died a moment ago is noticed when its answer is read.
        with contextlib.suppress(OSError):
            self.connection.send(task)

    def read(self) -> dict[str, Any] | None:
        """The next message, or None if the process is gone."""
        try:
            message: dict[str, Any] = self.connection.recv()
        except (EOFError, OSError):
            return None
        return message

    def stop(self, grace: float = 0.0) -> int | None:
        """End the process, by force after `grace` seconds; its exit code."""
        self.process.join(grace)
        self.process.kill()
        self.process.join()
        code = self.process.exitcode
        self.connection.close()
        self.process.close()
        return code


class WorkerPool:
    """A pool of worker processes, started as there is work for them; see `hannah_hw.search.tasks.Executor`.

    Args:
        evaluator: Pickled to every worker, which starts it once.
        workers: Number of processes.
        timeout: Seconds that one evaluation may take.
        memory: Bytes that a worker may hold, its libraries and what `Evaluator.start` loads included; processes that
            it starts are not counted. None: no limit. A candidate close to the limit may pass in one run and fail in
            another: what a worker holds depends on what it did before.

    Raises:
        ConfigError: This system has no figure for the memory of a process, and there is a limit.
    """

    def __init__(self, evaluator: Evaluator, workers: int, timeout: float, memory: int | None = None) -> None:
        if memory is not None:
            peak_resident()
        self._evaluator = evaluator
        self._count = workers
        self._timeout = timeout
        self._memory = memory
        self._workers: list[_Worker] = []
        self._todo: deque[tuple[int, Task]] = deque()
        self._finished: deque[tuple[int, Outcome]] = deque()
        self._failed_starts = 0

    def submit(self, index: int, task: Task, /) -> None:
        """See `Executor.submit`."""
        self._todo.append((index, task))
        self._dispatch()

    def wait(self) -> tuple[int, Outcome]:
        """See `Executor.wait`.

        Raises:
            RunError: Workers cannot start, or every candidate would fail for the same reason.
        """
        while not self._finished:
            if not self._todo and not self._busy:
                raise ValueError(NOTHING_SUBMITTED)
            self._dispatch()
            for worker in self._wait() if self._workers else ():
                finished = self._advance(worker)
                if finished is not None:
                    self._finished.append(finished)
        self._dispatch()
        return self._finished.popleft()

    def room(self) -> int:
        """See `Executor.room`."""
        busy = sum(worker.index is not None for worker in self._workers)
        return max(0, self._count - busy - len(self._todo))

    def close(self) -> None:
        """See `Executor.close`."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()
        self._todo.clear()
        self._finished.clear()

    @property
    def _busy(self) -> int:
        return sum(worker.index is not None for worker in self._workers)

    def _dispatch(self) -> None:
        """Give tasks to the workers that are free, and start workers that are missing."""
        for worker in [w for w in self._workers if w.ready and w.index is None]:
            if not worker.process.is_alive():
                self._workers.remove(worker)
                worker.stop()
            elif self._todo:
                worker.assign(*self._todo.popleft())
        while len(self._workers) < min(self._count, self._busy + len(self._todo)):
            self._workers.append(_Worker(self._evaluator, self._memory))

    def _limit(self, worker: _Worker) -> float:
        """Moment at which a worker has taken too long."""
        if worker.index is not None:
            return worker.clock + self._timeout
        return float("inf") if worker.ready else worker.clock + STARTUP_TIMEOUT

    def _wait(self) -> list[_Worker]:
        """Workers that have said something, died or exceeded their time."""
        deadline = min(map(self._limit, self._workers))
        patience = None if deadline == float("inf") else max(0.0, deadline - time.monotonic())
        ready = wait([w.connection for w in self._workers if w.index is not None or not w.ready], patience)
        now = time.monotonic()
        return [w for w in self._workers if w.connection in ready or self._limit(w) <= now]

    def _advance(self, worker: _Worker) -> tuple[int, Outcome] | None:
        """Take in what a worker has to say; the finished task, if it had one."""
        message = worker.read() if worker.connection.poll() else {"late": True}
        took = time.monotonic() - worker.clock
        if message is not None and "fatal" in message:
            raise RunError(str(message["fatal"]))
        if message is not None and "ready" in message:
            worker.ready = True
            self._failed_starts = 0
            return None
        index = worker.index
        if message is not None and "late" not in message:
            worker.index = None
        else:
            self._workers.remove(worker)
            code = worker.stop(grace=5.0 if message is None else 0.0)
            message = {"reason": self._death(code) if message is None else self._late()}
            if index is None:
                self._failed_starts += 1
                if self._failed_starts >= STARTUP_ATTEMPTS:
                    text = message["reason"]["message"]
                    raise RunError(f"{STARTUP_ATTEMPTS} worker processes in a row did not start: {text}")
        return None if index is None else (index, to_outcome(message, worker.started, took))

    def _late(self) -> dict[str, str]:
        return {"kind": "timeout", "message": f"took longer than {self._timeout:g} s"}

    def _death(self, code: int | None) -> dict[str, str]:
        if code == OVER_MEMORY and self._memory is not None:
            limit = f"{self._memory / 2**20:.4g} MiB"
            return {"kind": "memory", "message": f"held more than the {limit} of search.memory"}
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
            hint = " (often: out of memory)" if name == "SIGKILL" else ""
            return {"kind": "crash", "message": f"the worker was killed by {name}{hint}"}
        return {"kind": "crash", "message": f"the worker exited with status {code}"}


def _serve(connection: Connection, evaluator: Evaluator, memory: int | None) -> None:
    """Main function of a worker process."""
    # Ctrl-C reaches the whole process group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if memory is not None:
        watch(memory)
    try:
        evaluator.start()
    except Exception as error:  # noqa: BLE001 - reported to the parent, which ends the run
        connection.send({"fatal": f"a worker cannot start: {type(error).__name__}: {error}"})
        return
    if memory is not None:
        end_above(memory)
    connection.send({"ready": True})
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        answer = attempt(evaluator, task)
        if memory is not None:
            end_above(memory)
        connection.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the processes started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

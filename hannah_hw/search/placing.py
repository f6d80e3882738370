"""Where candidates are evaluated: in this process, in worker processes, or by workers on other machines."""

from __future__ import annotations

import concurrent.futures

from hannah_hw.search.protocols import Evaluator
from hannah_hw.search.tasks import Executor, InProcess
from hannah_hw.search.workers import WorkerPool


def make_executor(
    evaluator: Evaluator,
    workers: int | str | concurrent.futures.Executor,
    timeout: float,
    memory: int | None = None,
) -> Executor:
    """What runs the tasks of an evaluator.

    Args:
        evaluator: The expensive part of an evaluation.
        workers: Number of processes; 0: this process, where no limit holds. Or the address of a dask scheduler,
            ``tcp://HOST:PORT``; see `hannah_hw.search.distributed`. Or any executor of `concurrent.futures`; see
            `hannah_hw.search.futures`.
        timeout: Seconds that one evaluation may take.
        memory: Bytes that a worker may hold; None: no limit. See `WorkerPool`.

    Raises:
        ConfigError: This is no address; or this system has no figure for the memory of a process, and there is a
            limit.
        MissingExtraError: dask.distributed is not installed.
        RunError: No scheduler answers.
    """
    if isinstance(workers, str):
        from hannah_hw.search.distributed import DistributedExecutor

        return DistributedExecutor(evaluator, workers, timeout, memory)
    if isinstance(workers, concurrent.futures.Executor):
        from hannah_hw.search.futures import FuturesExecutor

        return FuturesExecutor(evaluator, workers, timeout, memory)
    return WorkerPool(evaluator, workers, timeout, memory) if workers else InProcess(evaluator)

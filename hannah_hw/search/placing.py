"""Where candidates are evaluated: in this process, or in worker processes."""

from __future__ import annotations

from hannah_hw.search.protocols import Evaluator
from hannah_hw.search.tasks import Executor, InProcess
from hannah_hw.search.workers import WorkerPool


def make_executor(evaluator: Evaluator, workers: int, timeout: float, memory: int | None = None) -> Executor:
    """What runs the tasks of an evaluator.

    Args:
        evaluator: The expensive part of an evaluation.
        workers: Number of processes; 0: this process, where no limit holds.
        timeout: Seconds that one evaluation may take.
        memory: Bytes that a worker may hold; None: no limit. See `WorkerPool`.

    Raises:
        ConfigError: This system has no figure for the memory of a process, and there is a limit.
    """
    return WorkerPool(evaluator, workers, timeout, memory) if workers else InProcess(evaluator)

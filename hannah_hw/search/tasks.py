"""Tasks, their outcomes, what runs them, and running them in this process.

An executor takes tasks at any time and gives back their outcomes as they finish. Executors wrap one another: one
that knows some outcomes already, or that evaluates a candidate in steps, hands on what is left to the one inside.
"""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol, runtime_checkable

from hannah_hw.errors import (
    CatalogError,
    ConfigError,
    DataError,
    EvaluationError,
    MissingExtraError,
    MissingToolError,
    RunError,
    TargetError,
    UnsupportedError,
)
from hannah_hw.search.protocols import Evaluator

#: Errors that every candidate would meet.
FATAL: Final = (ConfigError, DataError, TargetError, CatalogError, MissingExtraError, MissingToolError)
#: Failures to write that have nothing to do with the candidate.
FULL_DISK: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class Task:
    """One candidate to evaluate; see `hannah_hw.search.protocols.Evaluator`.

    Attributes:
        identifier: The candidate's id.
        assignment: Its active parameters, ready for JSON.
        share: Part of the full training, in (0, 1].
        parent: Id of the candidate whose stored weights may be inherited; None: there is none.
        told: When the algorithm asked for the candidate, it knew the records of so many first ones in the order of
            asking. A wrapper that decides by past results looks at no others, so that its decisions do not depend on
            the speed of workers.
        known: Metric key -> estimate of what is known without an evaluation.
    """

    identifier: str
    assignment: Mapping[str, Any]
    share: float = 1.0
    parent: str | None = None
    told: int = 0
    known: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        metrics: What the evaluator returned; empty after a failure.
        reason: None, or ``kind`` (``crash``, ``timeout``, ``memory``, ``error`` or that of an
            `EvaluationError`) and ``message`` of the failure.
        started: When it began, UTC.
        wall_s: Seconds it took.
        same_as: Id of the candidate whose evaluation it was, where that was another one; see
            `hannah_hw.search.repeats`.
    """

    metrics: Mapping[str, Any]
    reason: Mapping[str, str] | None
    started: datetime
    wall_s: float
    same_as: str | None = None


class Executor(Protocol):
    """Runs tasks; implementations differ in where, and in what they know beforehand."""

    def submit(self, index: int, task: Task, /) -> None:
        """Take a task; never blocks.

        Args:
            index: Its place in the order of asking; it grows from task to task.
            task: What is to be evaluated.
        """
        ...

    def wait(self) -> tuple[int, Outcome]:
        """Block until some task that was submitted is done.

        Returns:
            Its index, and what became of it. Every task is given back once, in the order of finishing.

        Raises:
            RunError: Every candidate would fail for the same reason.
            ValueError: Every submitted task was given back before.
        """
        ...

    def room(self) -> int:
        """Tasks that could begin now, if there were any: of workers that have nothing to do."""
        ...

    def close(self) -> None:
        """Stop everything at once; what was submitted and not given back is forgotten."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """An executor whose decisions depend on earlier outcomes: it is told of those that a log holds."""

    def remember(self, index: int, task: Task, outcome: Outcome, /) -> None:
        """Take in the outcome of a task that an earlier process ran; called in the order of the log."""
        ...


def run_all(executor: Executor, tasks: Iterable[Task]) -> Iterator[tuple[int, Outcome]]:
    """Position and outcome of every task, as they finish.

    Raises:
        RunError: Every candidate would fail for the same reason.
    """
    count = 0
    for count, task in enumerate(tasks, 1):
        executor.submit(count - 1, task)
    for _ in range(count):
        yield executor.wait()


#: What an executor says that has nothing to wait for.
NOTHING_SUBMITTED: Final = "no task is submitted that was not given back"


def attempt(evaluator: Evaluator, task: Task) -> dict[str, Any]:
    """Evaluate a task; the result or the failure as plain data.

    Returns:
        ``{"metrics": ...}``, ``{"reason": {"kind": ..., "message": ...}}``, or ``{"fatal": message}`` for an
        error that every candidate would meet: a wrong input, a missing package.
    """
    try:
        return {"metrics": dict(evaluator.evaluate(task))}
    except EvaluationError as error:
        return {"reason": {"kind": error.kind, "message": str(error)}}
    except FATAL as error:
        return {"fatal": str(error)}
    except MemoryError as error:
        return {"reason": {"kind": "memory", "message": f"out of memory {error}".strip()}}
    except Exception as error:  # noqa: BLE001 - any failure of a candidate is recorded, none ends the run
        if isinstance(error, OSError) and error.errno in FULL_DISK:
            return {"fatal": f"cannot write an artifact: {error.strerror}; make room, then --resume"}
        kind = "unsupported" if isinstance(error, UnsupportedError) else "error"
        return {"reason": {"kind": kind, "message": f"{type(error).__name__}: {error}"}}


class InProcess:
    """Runs tasks one after the other in this process: for tests, debugging and cheap evaluators.

    Args:
        evaluator: Started on first use.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._started = False
        self._todo: deque[tuple[int, Task]] = deque()

    def submit(self, index: int, task: Task, /) -> None:
        """See `Executor.submit`."""
        self._todo.append((index, task))

    def wait(self) -> tuple[int, Outcome]:
        """Evaluate the oldest task; see `Executor.wait`."""
        if not self._todo:
            raise ValueError(NOTHING_SUBMITTED)
        index, task = self._todo.popleft()
        if not self._started:
            self._evaluator.start()
            self._started = True
        started, clock = datetime.now(UTC), time.monotonic()
        return index, to_outcome(attempt(self._evaluator, task), started, time.monotonic() - clock)

    def room(self) -> int:
        """See `Executor.room`."""
        return max(0, 1 - len(self._todo))

    def close(self) -> None:
        """See `Executor.close`."""
        self._todo.clear()


def to_outcome(message: Mapping[str, Any], started: datetime, wall_s: float) -> Outcome:
    """What became of a task, from what `attempt` gave.

    Raises:
        RunError: Every candidate would fail for the same reason.
    """
    if "fatal" in message:
        raise RunError(str(message["fatal"]))
    return Outcome(message.get("metrics", {}), message.get("reason"), started, wall_s)

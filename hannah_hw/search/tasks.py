"""Tasks, their outcomes, and running them in this process."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

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
    """One candidate to evaluate; see `Evaluator.evaluate`."""

    identifier: str
    assignment: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        metrics: What the evaluator returned; empty after a failure.
        reason: None, or ``kind`` (``crash``, ``timeout``, ``memory``, ``error`` or that of an
            `EvaluationError`) and ``message`` of the failure.
        started: When it began, UTC.
        wall_s: Seconds it took.
    """

    metrics: Mapping[str, Any]
    reason: Mapping[str, str] | None
    started: datetime
    wall_s: float


class Executor(Protocol):
    """Runs tasks; the two implementations below differ in where."""

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Outcome]]:
        """Position and outcome of every task, as they finish."""
        ...

    def close(self) -> None:
        """Stop everything at once."""
        ...


def attempt(evaluator: Evaluator, task: Task) -> dict[str, Any]:
    """Evaluate a task; the result or the failure as plain data.

    Returns:
        ``{"metrics": ...}``, ``{"reason": {"kind": ..., "message": ...}}``, or ``{"fatal": message}`` for an
        error that every candidate would meet: a wrong input, a missing package.
    """
    try:
        return {"metrics": dict(evaluator.evaluate(task.identifier, task.assignment))}
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

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Outcome]]:
        """See `Executor.run`."""
        for position, task in enumerate(tasks):
            if not self._started:
                self._evaluator.start()
                self._started = True
            started, clock = datetime.now(UTC), time.monotonic()
            yield position, to_outcome(attempt(self._evaluator, task), started, time.monotonic() - clock)

    def close(self) -> None:
        """See `Executor.close`."""


def to_outcome(message: Mapping[str, Any], started: datetime, wall_s: float) -> Outcome:
    """What became of a task, from what `attempt` gave.

    Raises:
        RunError: Every candidate would fail for the same reason.
    """
    if "fatal" in message:
        raise RunError(str(message["fatal"]))
    return Outcome(message.get("metrics", {}), message.get("reason"), started, wall_s)

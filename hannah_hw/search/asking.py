"""Searches in a loop of the caller's own: ask for candidates, evaluate them anyhow, tell what became of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hannah_hw.errors import InputError
from hannah_hw.search.engine import Engine
from hannah_hw.search.recording import ESTIMATED
from hannah_hw.search.tasks import Outcome, Task


@dataclass(frozen=True)
class Asked:
    """A candidate that waits for its evaluation.

    Attributes:
        index: Number of its record.
        id: The candidate's id.
        assignment: Its active parameters.
        known: Metric key -> estimate of what is known without an evaluation.
        started: When it was asked for, UTC.
        clock: The same on the clock that measures how long it takes.
    """

    index: int
    id: str
    assignment: Mapping[str, Any]
    known: Mapping[str, float]
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock: float = field(default_factory=time.monotonic, repr=False)


class Inbox:
    """The executor of such a search: tasks wait here until somebody asks for them.

    Attributes:
        tasks: Index and task of those that wait.
        wanted: How many are asked for.
    """

    def __init__(self) -> None:
        self.tasks: list[tuple[int, Task]] = []
        self.wanted = 0

    def submit(self, index: int, task: Task, /) -> None:
        """See `hannah_hw.search.tasks.Executor.submit`."""
        self.tasks.append((index, task))

    def wait(self) -> tuple[int, Outcome]:
        """Outcomes come from the caller, by `Conversation.tell`.

        Raises:
            ValueError: Always.
        """
        raise ValueError("outcomes are told, not waited for")

    def room(self) -> int:
        """See `hannah_hw.search.tasks.Executor.room`."""
        return max(0, self.wanted - len(self.tasks))

    def close(self) -> None:
        """See `hannah_hw.search.tasks.Executor.close`."""
        self.tasks.clear()


class Conversation:
    """A search that is asked and told.

    Args:
        engine: With `inbox` as its executor.
        inbox: Where it puts its tasks.
    """

    def __init__(self, engine: Engine, inbox: Inbox) -> None:
        self.engine = engine
        self._inbox = inbox
        self._open: dict[int, Asked] = {}

    def ask(self, n: int) -> list[Asked]:
        """At most n candidates to evaluate.

        Fewer, or none, means that the search has to be told of others first or, if there are no others, that it
        found nothing new.
        """
        self._inbox.wanted = n
        while len(self._inbox.tasks) < n:
            before = len(self._inbox.tasks)
            if self.engine.advance() is not None or len(self._inbox.tasks) == before:
                break
        given = [
            Asked(index, task.identifier, task.assignment, task.known)
            for index, task in self._inbox.tasks[:n]
        ]
        del self._inbox.tasks[:n]
        self._inbox.wanted = 0
        self._open |= {asked.index: asked for asked in given}
        return given

    def tell(self, asked: Asked | int, metrics: Mapping[str, Any] | None, failure: str | None) -> None:
        """What became of a candidate.

        Args:
            asked: The candidate, or its index.
            metrics: Metric key -> number, all that a goal needs; None after a failure.
            failure: Why it failed; None if it did not.

        Raises:
            InputError: It was not asked for, or was told before; neither metrics nor a failure are given, or both; or a
                metric is one that the search has estimated itself.
            RunError: All evaluations fail.
        """
        index = asked if isinstance(asked, int) else asked.index
        if index not in self._open:
            waiting = ", ".join(map(str, self._open)) or "none"
            raise InputError(
                f"candidate {index} does not wait for its evaluation; waiting: {waiting}", where="Search.tell"
            )
        if (metrics is None) == (failure is None):
            raise InputError("give either metrics, such as {'error': 0.1}, or a failure", where="Search.tell")
        taken = sorted(ESTIMATED & (metrics or {}).keys())
        if taken:
            raise InputError(
                f"{', '.join(taken)}: estimated before the candidate was asked for (its 'known'); leave them out",
                where="Search.tell",
            )
        told = self._open.pop(index)
        reason = None if failure is None else {"kind": "error", "message": failure}
        self.engine.take(index, Outcome(metrics or {}, reason, told.started, time.monotonic() - told.clock))
        self.engine.advance()

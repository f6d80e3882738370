"""Warm starts: a candidate begins with the weights of the trained one that has most in common with it.

Which that is depends on the records that were told when the candidate was asked for, and on nothing else. Weights are
kept within a bound on their bytes, the latest first; a file is removed when no candidate that may still be trained, now
or after an interruption, can begin with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from hannah_hw.search.tasks import Executor, Outcome, Remembers, Task

Shapes = Mapping[str, tuple[int, ...]]

#: Bytes of a value of a weight: float32.
_VALUE_BYTES: Final = 4


@dataclass(frozen=True)
class Weights:
    """What is known of the weights of a candidate's network.

    Attributes:
        identifier: By which they are kept.
        shapes: Of all of them, by id.
        trained: Ids of those that training changes.
    """

    identifier: str
    shapes: Shapes
    trained: frozenset[str]

    @property
    def bytes(self) -> int:
        """Bytes of all values."""
        return _VALUE_BYTES * sum(map(math.prod, self.shapes.values()))

    @property
    def learnt(self) -> Shapes:
        """Shapes of those that training changes."""
        return {name: shape for name, shape in self.shapes.items() if name in self.trained}


class Inheriting:
    """Names to each task the candidate whose weights it begins with; outcomes say the share of them (``inherited``).

    Args:
        executor: Runs the tasks; what it evaluates with a share of 1 keeps its weights.
        describe: Assignment -> what is known of its weights.
        common: Shapes of a candidate and of a parent -> share of the candidate's values that the parent can give.
        limit: Most bytes of the weights that are kept for others.
        discard: Called with the identifier of weights that are no longer needed.
        least: Share of a candidate's values below which it begins with random weights.
    """

    def __init__(
        self,
        executor: Executor,
        describe: Callable[[Mapping[str, Any]], Weights],
        common: Callable[[Shapes, Shapes], float],
        *,
        limit: int,
        discard: Callable[[str], None],
        least: float = 0.25,
    ) -> None:
        self._executor = executor
        self._describe = describe
        self._common = common
        self._limit = limit
        self._discard = discard
        self._least = least
        self._tasks: dict[int, Task] = {}
        self._chosen: dict[int, tuple[str | None, float]] = {}
        self._trained: dict[int, Mapping[str, Any]] = {}
        self._library: dict[int, Weights] = {}
        self._gone: set[str] = set()
        self._needed: dict[str, int] = {}
        self._next = 0

    def submit(self, index: int, task: Task, /) -> None:
        """See `hannah_hw.search.tasks.Executor.submit`."""
        if index not in self._chosen:
            self._chosen[index] = self._choose(index, task)
        parent = self._chosen[index][0]
        self._tasks[index] = task
        self._executor.submit(index, replace(task, parent=parent))

    def wait(self) -> tuple[int, Outcome]:
        """See `hannah_hw.search.tasks.Executor.wait`."""
        index, outcome = self._executor.wait()
        task = self._tasks.pop(index)
        if outcome.reason is not None:
            return index, outcome
        if task.share == 1.0:
            self._trained[index] = task.assignment
        return index, replace(outcome, metrics={**outcome.metrics, "inherited": self._chosen[index][1]})

    def room(self) -> int:
        """See `hannah_hw.search.tasks.Executor.room`."""
        return self._executor.room()

    def close(self) -> None:
        """See `hannah_hw.search.tasks.Executor.close`."""
        self._tasks.clear()
        self._executor.close()

    def remember(self, index: int, task: Task, outcome: Outcome, /) -> None:
        """See `hannah_hw.search.tasks.Remembers.remember`."""
        self._chosen[index] = self._choose(index, task)
        if outcome.reason is None and outcome.metrics.get("share", 1.0) == 1.0:
            self._trained[index] = task.assignment
        if isinstance(self._executor, Remembers):
            self._executor.remember(index, task, outcome)

    def _choose(self, index: int, task: Task) -> tuple[str | None, float]:
        """The parent of a candidate, and the share of its values that it gives."""
        self._learn(task.told)
        child = self._describe(task.assignment).learnt
        best: str | None = None
        most = 0.0
        for weights in self._library.values():
            share = self._common(child, weights.learnt)
            if share >= max(most, self._least):  # of several, the latest
                best, most = weights.identifier, share
        if best is not None:
            self._needed[best] = max(index, self._needed.get(best, index))
        return best, most

    def _learn(self, told: int) -> None:
        """Take in what was trained among the records that were told, and let go of what is too much."""
        for index in range(self._next, told):
            if index in self._trained:
                self._library[index] = self._describe(self._trained.pop(index))
        self._next = max(self._next, told)
        total = sum(weights.bytes for weights in self._library.values())
        while total > self._limit:
            oldest = self._library.pop(min(self._library))
            total -= oldest.bytes
            self._gone.add(oldest.identifier)
        # What begins with weights is recorded by the time it is told; before, it may be trained once more.
        for identifier in sorted(self._gone):
            if self._needed.get(identifier, -1) < told:
                self._gone.discard(identifier)
                self._needed.pop(identifier, None)
                self._discard(identifier)

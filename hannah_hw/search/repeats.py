"""A network is evaluated once, however its graph is written and whatever it runs on.

Candidates that differ in their parameters may be one network: nodes of a cell that change places, a part that leads
nowhere, or the same network on other hardware. What was found out about the first holds for all of them, so nothing is
trained again, and the others are not charged; their records name the first.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hannah_hw.errors import SpaceError
from hannah_hw.search.tasks import Executor, Outcome, Remembers, Task

if TYPE_CHECKING:
    from hannah_hw.spaces import SearchSpace


def network_key(space: SearchSpace, hardware: Iterable[str] = ()) -> Callable[[Task], str]:
    """What tells the networks of a space apart: a function of a task that is equal for isomorphic networks.

    Args:
        space: The space, hardware included where that is searched.
        hardware: Ids of the parameters that are no part of a network.
    """
    left_out = frozenset(hardware)

    def key(task: Task) -> str:
        try:
            return space.candidate(task.assignment).graph_key
        except SpaceError:
            # Operators of a user's own that cannot be compared: then only equal parameters are equal networks.
            network = {name: value for name, value in task.assignment.items() if name not in left_out}
            return json.dumps(network, sort_keys=True)

    return key


class OncePerNetwork:
    """Runs a task unless its network was evaluated before; see `hannah_hw.search.tasks.Executor`.

    Of several that are asked for before the first is done, the first is evaluated.

    Args:
        executor: What runs the others.
        key: Tells networks apart; see `network_key`.
    """

    def __init__(self, executor: Executor, key: Callable[[Task], str]) -> None:
        self._executor = executor
        self._key = key
        self._known: dict[str, Outcome] = {}
        self._firsts: dict[int, tuple[str, str]] = {}
        self._waiting: dict[str, list[int]] = {}
        self._ready: deque[tuple[int, Outcome]] = deque()

    def submit(self, index: int, task: Task, /) -> None:
        """See `hannah_hw.search.tasks.Executor.submit`."""
        key = self._key(task)
        if key in self._known:
            self._ready.append((index, self._again(key)))
        elif key in self._waiting:
            self._waiting[key].append(index)
        else:
            self._waiting[key] = []
            self._firsts[index] = key, task.identifier
            self._executor.submit(index, task)

    def wait(self) -> tuple[int, Outcome]:
        """See `hannah_hw.search.tasks.Executor.wait`."""
        if self._ready:
            return self._ready.popleft()
        index, outcome = self._executor.wait()
        key, identifier = self._firsts.pop(index)
        self._keep(key, identifier, outcome)
        self._ready.extend((other, self._again(key)) for other in self._waiting.pop(key))
        return index, outcome

    def remember(self, index: int, task: Task, outcome: Outcome, /) -> None:
        """See `hannah_hw.search.tasks.Remembers.remember`; what was evaluated once is remembered once."""
        if outcome.same_as is not None:
            return
        self._keep(self._key(task), task.identifier, outcome)
        if isinstance(self._executor, Remembers):
            self._executor.remember(index, task, outcome)

    def room(self) -> int:
        """See `hannah_hw.search.tasks.Executor.room`; first what is known already has to be taken."""
        return 0 if self._ready else self._executor.room()

    def close(self) -> None:
        """See `hannah_hw.search.tasks.Executor.close`."""
        self._executor.close()

    def _keep(self, key: str, identifier: str, outcome: Outcome) -> None:
        self._known[key] = replace(outcome, same_as=identifier)

    def _again(self, key: str) -> Outcome:
        return replace(self._known[key], started=datetime.now(UTC), wall_s=0.0)

"""Networks and hardware searched together: a candidate is a network and a value of each of a target's params.

The rows of a batch are grouped by their hardware and priced group by group, each on the target that its values
describe. Nothing is trained twice: the score of a network does not depend on what it runs on.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from hannah_hw.errors import TargetError
from hannah_hw.search.metrics import METRICS
from hannah_hw.search.pipeline import METRIC_KEYS, SpaceProblem, TargetEstimates
from hannah_hw.search.protocols import BoolArray, FloatArray, IntArray
from hannah_hw.search.tasks import Executor, Outcome, Remembers, Task

if TYPE_CHECKING:
    from hannah_hw.hardware import HardwareAxes
    from hannah_hw.legalization import Legalized
    from hannah_hw.spaces import SearchSpace
    from hannah_hw.targets import Target

#: Capacity of a chip -> the metric that it bounds.
_CAPACITIES: Final = ("ram_bytes", "flash_bytes")


def make_problem(
    space: SearchSpace, target: Target, params: Mapping[str, Any] | Literal["default"], *, legal: bool
) -> tuple[SpaceProblem, Legalized | None]:
    """A space on a target, with those of the target's params that are not fixed.

    Args:
        space: A loaded search space.
        target: A loaded target.
        params: Param -> value of those that are fixed; ``default``: all of them, at their defaults.
        legal: Whether the space is narrowed to what the target can run.

    Returns:
        The problem, and what narrowing did.

    Raises:
        TargetError: The target has no such param or value.
        SpaceError: The target can run no network of the space.
    """
    from hannah_hw.hardware import HardwareAxes
    from hannah_hw.legalization import legalize

    axes = None if params == "default" else HardwareAxes(target, params)
    if axes is not None:
        target = axes.base
        space = space.extended(axes.parameters) if axes else space
    legalized = legalize(space, target, axes=axes) if legal else None
    if legalized is not None:
        space = legalized.space
    problem = CoSearchProblem(space, axes) if axes else SpaceProblem(space, target)
    return problem, legalized


class CoSearchProblem(SpaceProblem):
    """A search space and the axes of a target; see `hannah_hw.search.protocols.Problem`.

    Args:
        space: A search space that has the axes among its parameters.
        axes: The axes.
    """

    def __init__(self, space: SearchSpace, axes: HardwareAxes) -> None:
        super().__init__(space, axes.base)
        self.axes = axes
        self._columns = [space.encoding.ids.index(name) for name in axes.ids]

    @property
    def capacities(self) -> dict[str, float | None]:
        """Those that no axis moves; the others are checked chip by chip."""
        moved = any(self.axes.following(self.axes.section(name)) for name in ("limits", "memories"))
        return {} if moved else super().capacities

    def hardware(self, assignment: Mapping[str, Any], /) -> dict[str, str]:
        """Param -> value of a candidate as a person reads it."""
        return self.axes.described(assignment)

    def estimate(self, rows: FloatArray, /) -> GroupedEstimates:
        """Price a batch, one chip after the other."""
        chips, which = np.unique(rows[:, self._columns], axis=0, return_inverse=True)
        groups: list[tuple[IntArray, TargetEstimates | str]] = []
        for number, chip in enumerate(chips):
            members = np.flatnonzero(which.reshape(-1) == number)
            parameters = [self.space.encoding.parameters[column] for column in self._columns]
            values = [p.levels[int(level)] for p, level in zip(parameters, chip, strict=True)]
            try:
                target = self.axes.target(values)
            except TargetError as failure:
                groups.append((members, str(failure)))
                continue
            groups.append((members, self._priced(rows[members], target)))
        counts = {
            "macs": self.space.mac_counts(rows).astype(float),
            "parameters": self.space.parameter_counts(rows).astype(float),
        }
        return GroupedEstimates(groups, counts, bounded=not self.capacities)


class GroupedEstimates:
    """Prices of a batch on several chips; see `hannah_hw.search.protocols.Estimates`.

    Args:
        groups: Positions in the batch, and their prices or why there is no such chip.
        counts: Metric key -> (P,) values of what depends on the network alone.
        bounded: Whether a candidate that exceeds a capacity of its own chip cannot run.
    """

    def __init__(
        self,
        groups: Sequence[tuple[IntArray, TargetEstimates | str]],
        counts: Mapping[str, FloatArray],
        *,
        bounded: bool,
    ) -> None:
        size = len(next(iter(counts.values())))
        self._where: list[tuple[TargetEstimates | str, int]] = [("", 0)] * size
        self._over: dict[int, str] = {}
        columns = {key: np.full(size, np.nan) for key in METRIC_KEYS if key not in counts}
        self.supported: BoolArray = np.zeros(size, np.bool_)
        for members, priced in groups:
            for place, position in enumerate(members.tolist()):
                self._where[position] = (priced, place)
            if isinstance(priced, str):
                continue
            self.supported[members] = priced.supported
            for key, column in columns.items():
                column[members] = priced.columns[key]
            if bounded:
                self._bound(members, priced)
        self.columns: Mapping[str, FloatArray] = {**columns, **counts}

    def _bound(self, members: IntArray, priced: TargetEstimates) -> None:
        """Candidates that need more than their chip has cannot run."""
        for key in _CAPACITIES:
            capacity = priced.capacities[key]
            if capacity is None:
                continue
            needed = priced.columns[key]
            for place in np.flatnonzero(needed > capacity).tolist():
                metric = METRICS[key.removesuffix("_bytes")]
                position = int(members[place])
                self.supported[position] = False
                self._over.setdefault(
                    position,
                    f"limits: {metric.name} of {metric.format(float(needed[place]))} is more than the "
                    f"{metric.format(float(capacity))} that the chip has",
                )

    def report(self, index: int, /) -> dict[str, Any] | None:
        """The cost report of one candidate."""
        priced, place = self._where[index]
        return None if isinstance(priced, str) else priced.report(place)

    def unsupported(self, index: int, /) -> str:
        """Why a candidate cannot run: rules that its kernels fail, or a chip that cannot be."""
        priced, place = self._where[index]
        if isinstance(priced, str):
            return priced
        return (
            self._over[index]
            if index in self._over and priced.supported[place]
            else priced.unsupported(place)
        )


class OncePerNetwork:
    """Runs a task unless its network was evaluated before, in this run or in the log that it continues.

    Args:
        executor: What runs the others.
        hardware: Ids of the parameters that are no part of a network.
        log: Records of the run so far.
    """

    def __init__(
        self, executor: Executor, hardware: Iterable[str], log: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self._executor = executor
        self._hardware = frozenset(hardware)
        self._known: dict[str, Outcome] = {}
        self._keys: dict[int, str] = {}
        self._waiting: dict[str, list[int]] = {}
        self._remembered: set[str] = set()
        self._ready: deque[tuple[int, Outcome]] = deque()
        estimated = {metric.key for metric in METRICS.values() if metric.estimated}
        for record in log:
            metrics = {k: v for k, v in record["metrics"].items() if k not in estimated}
            if record.get("artifact") is not None:
                metrics["artifact"] = record["artifact"]
            reason = record["reason"] if record["status"] == "failed" else None
            if metrics or reason:
                self._known[self._key(record["assignment"])] = Outcome(
                    metrics, reason, datetime.now(UTC), 0.0
                )

    def _key(self, assignment: Mapping[str, Any]) -> str:
        network = {name: value for name, value in assignment.items() if name not in self._hardware}
        return json.dumps(network, sort_keys=True)

    def submit(self, index: int, task: Task, /) -> None:
        """See `hannah_hw.search.tasks.Executor.submit`."""
        key = self._key(task.assignment)
        if key in self._known:
            self._ready.append((index, self._again(key)))
            return
        # Of several that are asked for before the first is done, the first is evaluated.
        if key not in self._waiting:
            self._keys[index] = key
            self._executor.submit(index, task)
        self._waiting.setdefault(key, []).append(index)

    def wait(self) -> tuple[int, Outcome]:
        """See `hannah_hw.search.tasks.Executor.wait`."""
        if self._ready:
            return self._ready.popleft()
        index, outcome = self._executor.wait()
        key = self._keys.pop(index)
        self._known[key] = outcome
        self._ready.extend((other, self._again(key)) for other in self._waiting.pop(key) if other != index)
        return index, outcome

    def _again(self, key: str) -> Outcome:
        known = self._known[key]
        return Outcome(known.metrics, known.reason, datetime.now(UTC), 0.0)

    def remember(self, index: int, task: Task, outcome: Outcome, /) -> None:
        """See `hannah_hw.search.tasks.Remembers.remember`; what was evaluated once is remembered once."""
        key = self._key(task.assignment)
        if key not in self._remembered and isinstance(self._executor, Remembers):
            self._executor.remember(index, task, outcome)
        self._remembered.add(key)

    def close(self) -> None:
        """See `hannah_hw.search.tasks.Executor.close`."""
        self._executor.close()

"""Networks and hardware searched together: a candidate is a network and a value of each of a target's params.

The rows of a batch are grouped by their hardware and priced group by group, each on the target that its values
describe. Nothing is trained twice: the score of a network does not depend on what it runs on; see
`hannah_hw.search.repeats`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from hannah_hw.errors import TargetError
from hannah_hw.search.metrics import METRICS
from hannah_hw.search.pricing import METRIC_KEYS, SpaceProblem, TargetEstimates
from hannah_hw.search.protocols import BoolArray, FloatArray, IntArray

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

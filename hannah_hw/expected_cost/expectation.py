"""Expected latency, energy or cycles of a distribution over a space's networks, with gradients.

The figures are sums over kernels, and a kernel depends on few parameters: those that its activity, its columns and
what fuses with it depend on. So the expectation over all networks is a sum of small contractions, exact however
many networks there are: for each set of parameters a table of what its kernels cost at all combinations of levels,
times the probabilities of the levels. Levels of different parameters are independent. Where some combinations
describe no network, the expectation is that of the networks that there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hannah_hw.cost import WorkloadCosts, price
from hannah_hw.cost.accelerators.models import NETWORKS
from hannah_hw.cost.accelerators.residence import residence
from hannah_hw.errors import InputError, SpaceError, UnsupportedError
from hannah_hw.executors import DifferentiableExecutor
from hannah_hw.expressions.dependence import MAX_COMBINATIONS, Table, tabulate
from hannah_hw.graph import Node
from hannah_hw.parameters import Parameter
from hannah_hw.spaces import SearchSpace, as_space
from hannah_hw.spaces.switches import completed_values, switching_parameters
from hannah_hw.targets import Accelerator, Host, Target, load_target
from hannah_hw.workload import Workload
from hannah_hw.workload.table import KERNEL_COLUMNS, Buffers, Kernels

#: Figures that are sums over kernels.
METRICS: Final = ("latency_s", "energy_j", "cycles")

#: Rows of the kernel table that are priced at a time.
_BLOCK: Final = 1 << 17

#: How many kernels a message names.
_NAMED: Final = 5


class ExpectedCost(nn.Module):
    """Probabilities of levels -> the expected figure of a network on a target.

    Args:
        network: A differentiable executor, whose mixed parameters are the ones with probabilities; or a space, or
            the last node of a graph.
        target: A target, or its name or path.
        metric: ``latency_s``, ``energy_j`` or ``cycles``.
        assignment: Of a space: parameter id -> value of parameters that are fixed.
        parameters: Of a space: ids of the parameters with probabilities; any that have levels. By default those
            that only switch choices and that the assignment does not name. All others are fixed.

    Attributes:
        metric: The figure.
        mixed: The parameters with probabilities.

    Raises:
        InputError: Another metric, or an assignment or parameters beside an executor.
        SpaceError: The assignment or the parameters do not fit the space, they describe no network, or a kernel
            depends on more than 262,144 combinations of levels.
        UnsupportedError: The target cannot run some kernels, or its figure is no sum over kernels: so where values
            that stay on the chip of an accelerator depend on the whole network.
    """

    def __init__(
        self,
        network: DifferentiableExecutor | SearchSpace | Node,
        target: Target | str,
        metric: str = "latency_s",
        *,
        assignment: Mapping[str, Any] | None = None,
        parameters: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if metric not in METRICS:
            raise InputError(
                f"{metric!r} is no sum over kernels, so it has no expectation kernel by kernel",
                allowed=METRICS,
                given=metric,
            )
        if isinstance(network, DifferentiableExecutor):
            if assignment is not None or parameters is not None:
                raise InputError(
                    "an executor says which parameters are mixed and which are fixed; give it alone"
                )
            space, fixed, mixed = network.space, dict(network.assignment), list(network.mixed)
        else:
            space = as_space(network)
            fixed, mixed = _settled(space, assignment or {}, parameters)
        self.metric, self.mixed = metric, tuple(mixed)
        exists, slots = _tabulated(space, mixed, fixed)
        groups: dict[tuple[int, ...], list[_Slot]] = {}
        for slot in slots:
            groups.setdefault(slot.axes, []).append(slot)
        pricing = _Pricing(load_target(target) if isinstance(target, str) else target, metric)
        #: Ids of parameters, and the name of the table of what the kernels cost that depend on them.
        self._tables = [
            self._table(axes, pricing.costs(members, exists.over(axes), [len(mixed[a].levels) for a in axes]))
            for axes, members in groups.items()
        ]
        pricing.check()
        #: Where not every combination describes a network, the same for whether one does.
        self._existing = self._table(exists.axes, exists.values) if exists.axes else None

    def _table(self, axes: tuple[int, ...], values: NDArray[Any]) -> tuple[tuple[str, ...], str]:
        name = f"_table_{len(self._buffers)}"
        self.register_buffer(name, torch.tensor(values, dtype=torch.float64), persistent=False)
        return tuple(self.mixed[axis].id for axis in axes), name

    def forward(self, probabilities: DifferentiableExecutor | Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The expected figure.

        Args:
            probabilities: Parameter id -> (levels,) probabilities of all of ``mixed``, or an executor that has them.

        Returns:
            A scalar that gradients flow through: seconds, joules or cycles.

        Raises:
            SpaceError: Probabilities of a parameter are missing, or not one a level.
        """
        if isinstance(probabilities, DifferentiableExecutor):
            probabilities = probabilities.probabilities()
        for parameter in self.mixed:
            given = probabilities.get(parameter.id)
            if given is None or tuple(given.shape) != (len(parameter.levels),):
                shape = None if given is None else tuple(given.shape)
                raise SpaceError(
                    f"the parameter {parameter.id} needs ({len(parameter.levels)},) probabilities, one a level; "
                    f"it was given {'none' if shape is None else f'the shape {shape}'}"
                )
        total = sum(self._expectation(table, probabilities) for table in self._tables)
        if self._existing is not None:
            total = total / self._expectation(self._existing, probabilities)
        result: torch.Tensor = torch.as_tensor(total).to(probabilities[self.mixed[0].id].dtype)
        return result

    def _expectation(
        self, table: tuple[tuple[str, ...], str], probabilities: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        names, buffer = table
        result: torch.Tensor = getattr(self, buffer)
        for name in names:
            result = torch.tensordot(probabilities[name].to(result.dtype), result, 1)
        return result


@dataclass(frozen=True)
class _Slot:
    """A kernel slot.

    Attributes:
        name: Its name.
        kind: Its kind.
        active: Whether it is active.
        columns: `KERNEL_COLUMNS` -> value.
        axes: The parameters that these depend on, or the existence of the network.
    """

    name: str
    kind: str
    active: Table
    columns: Mapping[str, Table]
    axes: tuple[int, ...]


def _settled(
    space: SearchSpace, assignment: Mapping[str, Any], names: Sequence[str] | None
) -> tuple[dict[str, Any], list[Parameter]]:
    """The values of fixed parameters, and the other ones, in the order of the space."""
    values = completed_values(space, assignment)
    wanted = [n for n in switching_parameters(space) if n not in assignment] if names is None else names
    for name in wanted:
        if name not in space.parameters:
            raise SpaceError(f"there is no parameter {name!r}", allowed=space.parameters, given=name)
        if not space.parameters[name].levels:
            raise SpaceError(
                f"the parameter {name} is continuous, so its levels have no probabilities; fix it"
            )
    if not wanted:
        raise SpaceError("no parameter has probabilities: all are fixed")
    mixed = [p for p in space.parameters.values() if p.id in wanted]
    return {k: v for k, v in values.items() if k not in wanted}, mixed


def _tabulated(
    space: SearchSpace, mixed: Sequence[Parameter], fixed: Mapping[str, Any]
) -> tuple[Table, list[_Slot]]:
    """Whether a candidate exists, and the slots that some candidate uses."""
    compiled = space.compiled
    flat = [compiled.exists, *(value for slot in compiled.slots for value in slot)]
    exists, *tables = tabulate(flat, mixed, fixed)
    width, slots = 1 + len(KERNEL_COLUMNS), []
    for index, (name, kind) in enumerate(zip(compiled.names, compiled.kinds, strict=True)):
        active, *columns = tables[index * width : (index + 1) * width]
        if active.values.any():
            axes = tuple(sorted({axis for table in (exists, active, *columns) for axis in table.axes}))
            if math.prod(len(mixed[axis].levels) for axis in axes) > MAX_COMBINATIONS:
                raise SpaceError(
                    f"the kernel {name} depends on more than {MAX_COMBINATIONS} combinations of levels; fix some of "
                    "the parameters " + ", ".join(mixed[axis].id for axis in axes)
                )
            slots.append(_Slot(name, kind, active, dict(zip(KERNEL_COLUMNS, columns, strict=True)), axes))
    return exists, slots


class _Pricing:
    """Prices slots for all combinations of the parameters that they depend on."""

    def __init__(self, target: Target, metric: str) -> None:
        if target.kind in NETWORKS or isinstance(target, Host):
            raise UnsupportedError(
                f"what a kernel takes on {target.label} depends on the kernels before it, so there is no expected "
                f"{metric} kernel by kernel"
            )
        if isinstance(target, Accelerator) and residence(target).any:
            raise UnsupportedError(
                f"what stays on the chip of {target.label} from layer to layer depends on the whole network, so "
                f"there is no expected {metric} kernel by kernel; with every value in the outermost memory there is: "
                'target.model_copy(update={"on_chip": None})'
            )
        self._target = target
        self._metric = metric
        self._scale: float | None = None
        #: Kernels that cannot run: name -> rule.
        self._refused: dict[str, str] = {}

    def costs(
        self, slots: Sequence[_Slot], exists: NDArray[Any], shape: Sequence[int]
    ) -> NDArray[np.float64]:
        """What slots that depend on the same parameters cost together; 0 where there is no network.

        Args:
            slots: The slots.
            exists: Whether there is a network; broadcasts to the shape.
            shape: Numbers of levels.
        """
        total = np.zeros(math.prod(shape))
        step = max(1, _BLOCK // len(total))
        for start in range(0, len(slots), step):
            workload = _workload(slots[start : start + step], exists, shape)
            total += self._figures(price(workload, self._target))
        return total.reshape(shape)

    def _figures(self, costs: WorkloadCosts) -> NDArray[np.float64]:
        """(P,) figures of a population, which must be proportional to the sum over its kernels."""
        names = costs.workload.kernels.names
        for slot in np.flatnonzero((costs.failed_rules >= 0).any(axis=0)):
            rules = costs.failed_rules[:, slot]
            # The first that fails: numbers of rules depend on what was priced before.
            self._refused.setdefault(names[slot], costs.rules[rules[rules >= 0][0]])
        figures: NDArray[np.float64] = np.where(costs.supported, getattr(costs, self._metric), 0.0)
        if np.isnan(figures).any():
            raise UnsupportedError(
                f"the target {self._target.label} does not give all that {self._metric} depends on"
            )
        sums = np.where(costs.supported, costs.over_kernels(self._metric), 0.0)
        if self._scale is None and sums.any():
            self._scale = float(figures.max() / sums.max())
        if not np.allclose(figures, sums * (self._scale or 0.0), rtol=1e-9, atol=0.0):
            raise UnsupportedError(
                f"{self._metric} on the target {self._target.label} is no sum over kernels, so it has no expectation "
                "kernel by kernel"
            )
        return figures

    def check(self) -> None:
        """Raise `UnsupportedError` if there were kernels that the target cannot run."""
        if self._refused:
            named = [f"{name} ({rule})" for name, rule in list(self._refused.items())[:_NAMED]]
            more = len(self._refused) - len(named)
            raise UnsupportedError(
                f"the target {self._target.label} cannot run kernels of the space, so there is no expected "
                f"{self._metric}: " + "; ".join(named) + (f"; and {more} more" if more else "")
            )


def _workload(slots: Sequence[_Slot], exists: NDArray[Any], shape: Sequence[int]) -> Workload:
    """The kernels of some slots without buffers, for all combinations of levels.

    Args:
        slots: Slots that depend on the same parameters.
        exists: Whether there is a network; broadcasts to the shape.
        shape: Numbers of levels.
    """
    size = math.prod(shape)

    def column(tables: Iterable[Table], dtype: type[np.generic]) -> NDArray[Any]:
        flat = [np.broadcast_to(table.over(slots[0].axes), shape).reshape(size) for table in tables]
        with np.errstate(invalid="ignore"):  # what an inactive kernel has may be undefined
            return np.stack(flat, axis=1).astype(dtype)

    there = np.broadcast_to(exists, shape).reshape(size).astype(np.bool_)
    none = np.zeros((size, 0), np.int64)
    return Workload(
        Kernels(
            tuple(slot.name for slot in slots),
            tuple(slot.kind for slot in slots),
            column((slot.active for slot in slots), np.bool_) & there[:, None],
            {name: column((slot.columns[name] for slot in slots), np.int64) for name in KERNEL_COLUMNS},
        ),
        Buffers((), (), none, none, none, none.astype(np.bool_)),
        np.zeros((len(slots), 0), np.bool_),
        there,
    )

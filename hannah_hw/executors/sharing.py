"""One set of weights for a whole space; a candidate computes with views of it.

A weight of the space has the largest shape that any candidate gives it. A candidate takes the middle of its kernel
axes and the beginning of all others: the first channels of each channel axis, as in Once-for-All (Cai et al., ICLR
2020) and slimmable networks (Yu et al., ICLR 2019). An axis is a kernel axis if its name begins with ``k``
(``kH``, ``kW``); of a weight without axis names, those behind the first two are.

The beginning means the same to two candidates unless what lies before it has other sizes: the channels behind a
concatenation whose first value is narrower, and the features of a fully connected layer that are flattened from a
map of another height or width (they are ordered by channel first). Such candidates share weights of different
positions. They can be trained like that; pooling to one position before the layer avoids it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import torch

from hannah_hw.errors import SpaceError
from hannah_hw.executors.basic import BasicExecutor
from hannah_hw.executors.module import PlanModule
from hannah_hw.graph import Node, Plan, Tensor
from hannah_hw.graph.plan import Value
from hannah_hw.spaces import Assignment, Candidate, SearchSpace, as_space
from hannah_hw.spaces.extremes import greatest

#: Largest number of values of all weights: 8 GiB.
MAX_VALUES: Final = 1 << 31

#: What a candidate takes of a weight: one slice an axis; None: all of it.
Part = tuple[slice, ...] | None


@dataclass(frozen=True)
class _Choice:
    """A candidate that was assigned.

    Attributes:
        candidate: The candidate.
        parts: Weight id -> what it takes of the weight.
    """

    candidate: Candidate
    parts: Mapping[str, Part]


class WeightSharingExecutor(PlanModule):
    """All networks of a space with shared weights, one of them at a time.

    ``parameters()`` and ``state_dict()`` are those of the whole space, whatever is assigned; gradients reach the
    parts that the assigned candidate takes. The keys of ``state_dict`` are the ids of the weights. A weight is as
    large as `hannah_hw.spaces.extremes` bounds it, which may be larger than any candidate needs.

    Running statistics are shared like weights, so those of a candidate are a mixture of what was trained before:
    `calibrate` them before evaluating it::

        supernet = WeightSharingExecutor(space).train()
        for x, y in batches:
            optimiser.zero_grad()
            loss(supernet.assign(space.sample(rng))(x), y).backward()
            optimiser.step()
        alone = supernet.assign(best).calibrate(samples).extract()

    Weights that the assigned candidate does not have are left without a gradient, so optimisers leave them alone
    (but torch's fused SGD with momentum fails where only some have one).

    Args:
        network: The last node of a graph, or a space.
        assignment: Parameter id -> value of the first candidate; by default the space's default.
        cache: How many candidates are remembered. The plan of a new one takes milliseconds, going back to one
            that is remembered takes microseconds. One that is remembered takes 2 to 4 KiB for each of its operators.

    Attributes:
        space: The space.

    Raises:
        SpaceError: The assignment does not fit the space, or a weight has no largest shape, or all of them together
            are larger than 8 GiB.
    """

    def __init__(
        self,
        network: Node | SearchSpace,
        assignment: Mapping[str, Any] | None = None,
        *,
        cache: int = 128,
    ) -> None:
        space = as_space(network)
        tensors = [node for node in space.order if isinstance(node, Tensor) and node.owner is not None]
        first = space.candidate(assignment or {})
        super().__init__(first.plan, [tensor.id for tensor in space.inputs], _largest(space, tensors))
        self.space = space
        self._kernels = {tensor.id: _kernel_axes(tensor) for tensor in tensors}
        self._cache = max(cache, 1)
        #: Candidates by id, the one that was assigned last at the end, and the ids of assignments.
        self._known: OrderedDict[str, _Choice] = OrderedDict()
        self._ids: OrderedDict[Assignment, str] = OrderedDict()
        self._now: _Choice
        self.assign(first)

    @property
    def candidate(self) -> Candidate:
        """The assigned candidate."""
        return self._now.candidate

    @property
    def plan(self) -> Plan:
        """The active graph of the assigned candidate."""
        return self._now.candidate.plan

    def assign(self, candidate: Candidate | Mapping[str, Any]) -> Self:
        """Make the module compute a candidate.

        Args:
            candidate: A candidate of the space, or an assignment.

        Raises:
            SpaceError: The assignment does not fit the space, or describes no network.
        """
        if isinstance(candidate, Candidate):
            own = candidate if candidate.space is self.space else self.space.candidate(candidate.assignment)
            choice = self._known.get(own.id) or self._choice(own)
        else:
            key = candidate if isinstance(candidate, Assignment) else _hashable(candidate)
            known = self._known.get(self._ids.get(key, ""))
            choice = known if known is not None else self._looked_up(key)
        self._known.move_to_end(choice.candidate.id)
        # Setting an attribute of a module takes torch longer than all the rest.
        object.__setattr__(self, "_now", choice)
        return self

    def _looked_up(self, values: Assignment) -> _Choice:
        """The candidate of values that are not remembered as an assignment."""
        candidate = self.space.candidate(values)
        self._ids[values] = candidate.id
        if len(self._ids) > self._cache:
            self._ids.popitem(last=False)
        return self._known.get(candidate.id) or self._choice(candidate)

    def _choice(self, candidate: Candidate) -> _Choice:
        """A candidate that is not remembered."""
        weights = candidate.plan.weights
        choice = _Choice(candidate, {name: self._part(weights[name]) for name in weights})
        self._known[candidate.id] = choice
        if len(self._known) > self._cache:
            self._known.popitem(last=False)
        return choice

    def _part(self, weight: Value) -> Part:
        """What a candidate takes of a weight."""
        sizes, whole = weight.shape(), tuple(self.stored(weight.id).shape)
        if sizes == whole:
            return None
        parts = []
        for axis, (size, available) in enumerate(zip(sizes, whole, strict=True)):
            start = (available - size) // 2 if axis in self._kernels[weight.id] else 0
            parts.append(slice(start, start + size))
        return tuple(parts)

    def weight(self, name: str) -> torch.Tensor:
        """The assigned candidate's view of a weight, by its id; `stored` gives the whole weight."""
        part, values = self._now.parts[name], self.stored(name)
        return values if part is None else values[part]

    def extract(self, assignment: Candidate | Mapping[str, Any] | None = None) -> BasicExecutor:
        """A candidate on its own, with copies of its parts of the weights; by default the assigned one.

        Args:
            assignment: A candidate of the space, or an assignment; it becomes the assigned one.

        Raises:
            SpaceError: The assignment does not fit the space, or describes no network.
        """
        if assignment is not None:
            self.assign(assignment)
        module = BasicExecutor(self.candidate)
        copies = {name: self.weight(name).detach().clone() for name in self.plan.weights}
        module.load_state_dict(copies, assign=True)
        return module.train(self.training)


def _hashable(values: Mapping[str, Any]) -> Assignment:
    return Assignment({k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def _kernel_axes(tensor: Tensor) -> frozenset[int]:
    rank = len(tensor.shape())
    names = tensor.axis or ("",) * min(rank, 2) + ("k",) * (rank - 2)
    return frozenset(axis for axis, name in enumerate(names) if name.startswith("k"))


def _largest(space: SearchSpace, tensors: Sequence[Tensor]) -> list[Value]:
    """The tensors with upper bounds of their sizes."""
    limits = iter(greatest(space, [size for tensor in tensors for size in tensor.shape()]))
    result = []
    for tensor in tensors:
        shape = [next(limits) for _ in tensor.shape()]
        if not all(math.isfinite(high) and high >= 1 for high in shape):
            raise SpaceError(
                f"the weight {tensor.id} of shape {tensor.shape()} has no largest shape: its sizes are at most "
                f"{tuple(shape)}; bound them with Min"
            )
        result.append(Value(tensor.id, tuple(int(high) for high in shape), tensor.grad))
    total = sum(math.prod(value.shape()) for value in result)
    if total > MAX_VALUES:
        widest = max(result, key=lambda value: math.prod(value.shape()))
        raise SpaceError(
            f"all weights together would have {total} values, more than the {MAX_VALUES} that are kept; the largest is "
            f"{widest.id} with {widest.shape()}; bound its sizes with Min"
        )
    return result

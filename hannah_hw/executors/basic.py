"""One candidate as an ordinary torch module."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from hannah_hw.errors import SpaceError
from hannah_hw.graph import Node, Plan
from hannah_hw.graph.plan import Value
from hannah_hw.spaces import Candidate, SearchSpace, as_space


class BasicExecutor(nn.Module):
    """The network of a graph under one assignment.

    The keys of ``state_dict`` are the ids of the weights.

    Args:
        network: The last node of a graph, a space, or a candidate.
        assignment: Parameter id -> value; without one, and for those it does not name, the default.

    Raises:
        SpaceError: The assignment does not fit the space, or describes no network.
    """

    def __init__(
        self, network: Node | SearchSpace | Candidate, assignment: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.plan = plan_of(network, assignment)
        self._holders: dict[str, tuple[nn.Module, str]] = {}
        for weight in self.plan.weights.values():
            holder, name = self._holder(weight.id)
            values = torch.empty(weight.shape())
            if weight.grad:
                holder.register_parameter(name, nn.Parameter(values))
            else:
                holder.register_buffer(name, values)
            self._holders[weight.id] = (holder, name)
        self.initialize()

    def _holder(self, weight: str) -> tuple[nn.Module, str]:
        """The submodule that a weight's id points into, and the weight's name there."""
        *path, name = weight.split(".")
        holder: nn.Module = self
        for part in path:
            if part not in holder._modules:
                holder.add_module(part, nn.Module())
            child = holder._modules[part]
            if child is None:
                raise SpaceError(f"the id {weight!r} cannot be a path of modules")
            holder = child
        return holder, name

    def initialize(self, generator: torch.Generator | None = None) -> BasicExecutor:
        """Fresh weights: Kaiming uniform for matrices and kernels, 1 for scales and variances, else 0.

        Args:
            generator: Of the random numbers; without one, torch's global generator.
        """
        with torch.no_grad():
            for weight in self.plan.weights.values():
                _fill(self.weight(weight.id), weight, generator)
        return self

    def weight(self, name: str) -> torch.Tensor:
        """A weight by its id."""
        holder, attribute = self._holders[name]
        value: torch.Tensor = getattr(holder, attribute)
        return value

    def forward(self, *inputs: torch.Tensor) -> Any:
        """The outputs for a batch.

        Args:
            inputs: One tensor for each graph input, in the order of ``plan.inputs``.

        Returns:
            The output, or a tuple of several.

        Raises:
            SpaceError: Another number of inputs, or a shape that does not fit (the batch size is free).
        """
        plan = self.plan
        if len(inputs) != len(plan.inputs):
            names = ", ".join(value.id for value in plan.inputs)
            raise SpaceError(
                f"the network takes {len(plan.inputs)} inputs ({names}); it was given {len(inputs)}"
            )
        values: dict[str, torch.Tensor] = {}
        for declared, given in zip(plan.inputs, inputs, strict=True):
            if tuple(given.shape[1:]) != declared.shape()[1:]:
                raise SpaceError(
                    f"the input {declared.id} is (N, *{declared.shape()[1:]}), not {tuple(given.shape)}"
                )
            values[declared.id] = given
        for name in plan.weights:
            values[name] = self.weight(name)
        for step in plan.steps:
            step.op._training = self.training
            values[step.op.id] = step.op._forward_implementation(*[values[name] for name in step.operands])
        outputs = [values[name] for name in plan.outputs]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)


def _fill(values: torch.Tensor, weight: Value, generator: torch.Generator | None) -> None:
    if values.ndim > 1:
        # A fully connected weight is (in, out), a kernel is (out, in, ...).
        fan_in = values.shape[0] if values.ndim == 2 else values[0].numel()
        bound = math.sqrt(6.0 / fan_in)  # He et al. 2015, equation 10: variance 2 / fan_in
        values.uniform_(-bound, bound, generator=generator)
        return
    # Vectors: offsets and means start at 0; scales and variances (whatever they are called) at 1.
    values.fill_(0.0 if weight.id.rpartition(".")[2] in ("bias", "offset", "running_mean") else 1.0)


def plan_of(network: Node | SearchSpace | Candidate, assignment: Mapping[str, Any] | None) -> Plan:
    """The active graph of a network.

    Raises:
        SpaceError: The assignment does not fit.
    """
    if isinstance(network, Candidate) and assignment is None:
        return network.plan
    if isinstance(network, Candidate):
        network = network.space
    return as_space(network).candidate(assignment or {}).plan


def to_torch(
    candidate: Candidate | Node | SearchSpace, assignment: Mapping[str, Any] | None = None
) -> BasicExecutor:
    """A candidate as a torch module with fresh weights; see `BasicExecutor`."""
    return BasicExecutor(candidate, assignment)

"""What all executors are: weights under their ids, and a plan that is run with them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Self

import torch
from torch import nn

from hannah_hw.errors import SpaceError
from hannah_hw.executors.fake_quantise import quantised
from hannah_hw.graph import Op, Plan, PlanStep
from hannah_hw.graph.plan import Value


class PlanModule(nn.Module):
    """A torch module that runs a plan.

    The keys of ``state_dict`` are the ids of the weights.

    Args:
        plan: What `forward` runs.
        weights: All weights, with the shapes in which they are kept; by default those of the plan.
    """

    def __init__(self, plan: Plan, weights: Iterable[Value] | None = None) -> None:
        super().__init__()
        self._plan = plan
        self._holders: dict[str, tuple[nn.Module, str]] = {}
        for weight in plan.weights.values() if weights is None else weights:
            holder, name = self._holder(weight.id)
            values = torch.empty(weight.shape())
            if weight.grad:
                holder.register_parameter(name, nn.Parameter(values))
            else:
                holder.register_buffer(name, values)
            self._holders[weight.id] = (holder, name)
        self.initialize()

    @property
    def plan(self) -> Plan:
        """What `forward` runs."""
        return self._plan

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

    def initialize(self, generator: torch.Generator | None = None) -> Self:
        """Fresh weights: Kaiming uniform for matrices and kernels, 1 for scales and variances, else 0.

        Args:
            generator: Of the random numbers; without one, torch's global generator.
        """
        with torch.no_grad():
            for name in self._holders:
                fill(self.stored(name), name, generator)
        return self

    def stored(self, name: str) -> torch.Tensor:
        """A weight as it is kept, by its id."""
        holder, attribute = self._holders[name]
        value: torch.Tensor = getattr(holder, attribute)
        return value

    def weight(self, name: str) -> torch.Tensor:
        """A weight of the plan as the operators take it, by its id."""
        return self.stored(name)

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
        for name, weight in plan.weights.items():
            kept = self.weight(name)
            values[name] = kept if weight.bits is None else quantised(kept, weight.bits, weight.channel_axis)
        for step in plan.steps:
            values[step.op.id] = self._run(step, [values[name] for name in step.operands])
        outputs = [values[name] for name in plan.outputs]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _run(self, step: PlanStep, operands: list[torch.Tensor]) -> torch.Tensor:
        """The value of one step."""
        step.op._training = self._trains(step.op)
        return step.op._forward_implementation(*operands)

    def _trains(self, op: Op) -> bool:
        """Whether an operator behaves as in training."""
        return self.training


def fill(values: torch.Tensor, name: str, generator: torch.Generator | None = None) -> None:
    """Give a weight its first values; see `PlanModule.initialize`.

    Args:
        values: The weight, or a part of it.
        name: Its id.
        generator: Of the random numbers; without one, torch's global generator.
    """
    role = name.rpartition(".")[2]
    if role in ("bias", "offset", "running_mean"):
        values.zero_()
    elif values.ndim == 1 or role == "scale":
        values.fill_(1.0)  # scales and variances, whatever they are called
    else:
        # A fully connected weight is (in, out), a kernel is (out, in, ...).
        fan_in = values.shape[0] if values.ndim == 2 else values[0].numel()
        bound = math.sqrt(6.0 / fan_in)  # He et al. 2015, equation 10: variance 2 / fan_in
        values.uniform_(-bound, bound, generator=generator)

"""What all executors are: weights under their ids, and a plan that is run with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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
        inputs: Ids of all graph inputs of the space.
        weights: All weights, with the shapes in which they are kept; by default those of the plan.

    Raises:
        SpaceError: A weight has a name that a torch module cannot give it.
    """

    def __init__(self, plan: Plan, inputs: Sequence[str], weights: Iterable[Value] | None = None) -> None:
        super().__init__()
        self._plan = plan
        self._inputs = tuple(inputs)
        self._calibrating = False
        self._holders: dict[str, tuple[nn.Module, str]] = {}
        for weight in plan.weights.values() if weights is None else weights:
            self._holders[weight.id] = self._registered(weight)
        self.initialize()

    @property
    def plan(self) -> Plan:
        """What `forward` runs."""
        return self._plan

    def _registered(self, weight: Value) -> tuple[nn.Module, str]:
        """A new weight: the submodule that its id points into, and its name there."""
        *path, name = weight.id.split(".")
        values = torch.empty(weight.shape())
        holder: nn.Module = self
        try:
            for part in path:
                if part not in holder._modules:
                    holder.add_module(part, nn.Module())
                holder = holder.get_submodule(part)
            if weight.grad:
                holder.register_parameter(name, nn.Parameter(values))
            else:
                holder.register_buffer(name, values)
        except KeyError as error:
            raise SpaceError(
                f"the weight {weight.id} cannot be kept in a torch module ({error.args[0]}); give it another name"
            ) from error
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
            inputs: One tensor for each graph input, in the order of ``plan.inputs``; or one for each graph input of
                the space, used or not.

        Returns:
            The output, or a tuple of several.

        Raises:
            SpaceError: Another number of inputs, or a shape that does not fit (the batch size is free).
        """
        plan = self.plan
        if len(inputs) == len(self._inputs) != len(plan.inputs):
            named = dict(zip(self._inputs, inputs, strict=True))
            inputs = tuple(named[value.id] for value in plan.inputs)
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
        return self.training or (self._calibrating and hasattr(op, "momentum"))

    def calibrate(self, batches: Iterable[torch.Tensor | tuple[torch.Tensor, ...]]) -> Self:
        """Compute the running statistics of the plan anew: the mean over some batches.

        They are the untrained weights of operators with an attribute ``momentum``, the weight of a batch; all other
        operators behave as in evaluation. (Yu and Huang, ICCV 2019, calibrate slimmable networks so.)

        Args:
            batches: The input, or a tuple of the inputs, a batch.

        Raises:
            SpaceError: No batch.
        """
        keeping: list[Any] = [step for step in self.plan.steps if hasattr(step.op, "momentum")]
        momenta, training, count = [step.op.momentum for step in keeping], self.training, 0
        self._calibrating = True
        self.eval()
        try:
            with torch.no_grad():
                for count, batch in enumerate(batches, start=1):
                    if count == 1:
                        self._reset(name for step in keeping for name in step.operands)
                    for step in keeping:
                        step.op.momentum = 1.0 / count
                    self(*(batch if isinstance(batch, tuple) else (batch,)))
        finally:
            self._calibrating = False
            self.train(training)
            for step, momentum in zip(keeping, momenta, strict=True):
                step.op.momentum = momentum
        if not count:
            raise SpaceError("running statistics cannot be computed from no batches")
        return self

    def _reset(self, names: Iterable[str]) -> None:
        """Give the untrained weights among some values of the plan their first values."""
        for name in names:
            if name in self.plan.weights and not self.plan.weights[name].grad:
                fill(self.weight(name), name)


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

"""A space whose choices are weighted sums of all their options, so that gradient descent can choose.

Every parameter that only switches choices has a vector alpha of one number a level. The levels of a parameter have
shares: softmax(alpha / temperature) (DARTS: Liu et al., ICLR 2019), or a sample of the Gumbel-softmax distribution,
softmax((alpha + noise) / temperature) (Jang et al., ICLR 2017). The weight of an option is the sum of the shares of
the levels that point at it; of a switch that depends on several parameters, the sum of the products of their
shares over all combinations that point at it. Combinations that point at no option add nothing.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from hannah_hw.errors import SpaceError
from hannah_hw.executors.basic import BasicExecutor
from hannah_hw.executors.module import PlanModule
from hannah_hw.graph import ChoiceOp, Node, PlanStep, resolve
from hannah_hw.spaces import Assignment, SearchSpace, as_space
from hannah_hw.spaces.switches import Switch, completed_values, find_switches, switching_parameters

#: How many combinations of levels are tried for one that all conditions of the space allow.
_TRIES: Final = 4096

#: How many of them are checked together.
_TRIED_AT_ONCE: Final = 64


class DifferentiableExecutor(PlanModule):
    """All options of a space's choices at once, mixed by probabilities that are trained.

    A value that several options use is computed once. All parameters that are not mixed are fixed. The keys of
    ``state_dict`` are ``alphas.0, alphas.1, ...`` in the order of ``mixed``, and the ids of the weights, which
    are those that `BasicExecutor` gives them.

    Args:
        network: The last node of a graph, or a space.
        assignment: Parameter id -> value of parameters that are fixed; others that are not mixed have their
            default, or a value near it where conditions of the space want one.
        parameters: Ids of the parameters whose choices are mixed, named in the assignment or not. By default
            all that only switch choices (`hannah_hw.spaces.switches`) and that the assignment does not name.
        gumbel: Sample the Gumbel-softmax distribution while training; otherwise, and in evaluation, softmax.
        hard: Take the most probable (or sampled) level alone in the forward pass, with the gradient of the
            mixture (the straight-through estimator: Bengio et al., 2013).
        temperature: What alphas are divided by; may be changed at any time.
        generator: Of the noise, on the device of the module; without one, torch's global generator.

    Attributes:
        space: The space.
        assignment: All other parameters, which are fixed.
        mixed: The parameters that are mixed, in the order of the space.
        alphas: One vector (levels,) for each of them.

    Raises:
        SpaceError: The assignment does not fit the space, a parameter cannot be mixed, no choice is left to mix,
            or options of a choice differ in shape.
    """

    def __init__(
        self,
        network: Node | SearchSpace,
        assignment: Mapping[str, Any] | None = None,
        *,
        parameters: Sequence[str] | None = None,
        gumbel: bool = False,
        hard: bool = False,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        space = as_space(network)
        fixed = completed_values(space, assignment or {})
        free = [name for name in switching_parameters(space) if name not in (assignment or ())]
        switches = find_switches(space, fixed, free if parameters is None else parameters)
        keep = {choice: switch.positions for choice, switch in switches.items()}
        super().__init__(
            resolve(space.order, space.outputs, fixed, keep), [tensor.id for tensor in space.inputs]
        )
        present = [step.op.id for step in self.plan.steps if isinstance(step.op, ChoiceOp)]
        wanted = {name for choice in present for name in switches[choice].parameters}
        if not wanted:
            raise SpaceError(
                "there is no choice to mix: the assignment fixes all parameters that only switch choices, or there "
                "are none"
            )
        self.space = space
        self.mixed = tuple(p for p in space.parameters.values() if p.id in wanted)
        self.assignment = Assignment({k: v for k, v in fixed.items() if k not in wanted})
        self.gumbel, self.hard, self.generator = gumbel, hard, generator
        self.temperature = temperature
        self.alphas = nn.ParameterList(nn.Parameter(torch.zeros(len(p.levels))) for p in self.mixed)
        #: Id of a choice -> the parameters of its switch, by position, and the name of its table: one dimension a
        #: parameter, and one for the options; 1 where the levels point at the option.
        self._tables = self._registered_tables({choice: switches[choice] for choice in present})
        self._shares: list[torch.Tensor] = []
        self._mixtures: dict[str, tuple[torch.Tensor, ...]] = {}

    def _registered_tables(self, switches: Mapping[str, Switch]) -> dict[str, tuple[tuple[int, ...], str]]:
        number = {p.id: position for position, p in enumerate(self.mixed)}
        names: dict[int, str] = {}
        tables = {}
        for choice, switch in switches.items():
            if id(switch) not in names:
                names[id(switch)] = f"_table_{len(names)}"
                points = switch.options[..., None] == np.array(switch.positions)
                table = torch.tensor(points, dtype=torch.get_default_dtype())
                self.register_buffer(names[id(switch)], table, persistent=False)
            tables[choice] = (tuple(number[name] for name in switch.parameters), names[id(switch)])
        return tables

    @property
    def temperature(self) -> float:
        """What alphas are divided by before the softmax; above 0, may be set at any time.

        Raises:
            SpaceError: It is set to what is not above 0.
        """
        return self._temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        if not value > 0:
            raise SpaceError(f"the temperature is {value}; it must be above 0")
        self._temperature = float(value)

    def architecture_parameters(self) -> Iterator[nn.Parameter]:
        """The alphas: what the search's optimiser trains."""
        return iter(self.alphas)

    def weights(self) -> Iterator[nn.Parameter]:
        """The weights of the networks: what the usual optimiser trains."""
        alphas = {id(alpha) for alpha in self.alphas}
        return (parameter for parameter in self.parameters() if id(parameter) not in alphas)

    def probabilities(self) -> dict[str, torch.Tensor]:
        """Parameter id -> (levels,) probabilities, which gradients flow through.

        With Gumbel noise they are those with which a level is sampled, whatever the temperature.
        """
        scale = 1.0 if self.gumbel else self.temperature
        return {
            parameter.id: (alpha / scale).softmax(0)
            for parameter, alpha in zip(self.mixed, self.alphas, strict=True)
        }

    def forward(self, *inputs: torch.Tensor) -> Any:
        """The outputs for a batch; see `PlanModule.forward`. Every alpha is sampled once a call."""
        self._shares = [self._sample(alpha) for alpha in self.alphas]
        try:
            return super().forward(*inputs)
        finally:
            self._shares, self._mixtures = [], {}

    def _sample(self, alpha: torch.Tensor) -> torch.Tensor:
        """(levels,) shares of the levels in one forward pass."""
        if self.gumbel and self.training:
            # The negative logarithm of an exponential variable has the Gumbel distribution.
            alpha = alpha - torch.empty_like(alpha).exponential_(generator=self.generator).log()
        soft: torch.Tensor = (alpha / self.temperature).softmax(0)
        if not self.hard:
            return soft
        hard = torch.zeros_like(soft).scatter(0, soft.argmax(0, keepdim=True), 1.0)
        # The difference is exactly 0, and has the gradient of the soft shares.
        straight: torch.Tensor = hard + (soft - soft.detach())
        return straight

    def _run(self, step: PlanStep, operands: list[torch.Tensor]) -> torch.Tensor:
        if not isinstance(step.op, ChoiceOp):
            return super()._run(step, operands)
        shares = self._mixture(*self._tables[step.op.id])
        total: torch.Tensor = shares[0] * operands[0]
        for share, operand in zip(shares[1:], operands[1:], strict=True):
            total = total + share * operand
        return total

    def _mixture(self, parameters: tuple[int, ...], table: str) -> tuple[torch.Tensor, ...]:
        """The weights of the options of choices with one switch, computed once a call."""
        if table not in self._mixtures:
            weights = getattr(self, table)
            for position in parameters:
                weights = torch.tensordot(self._shares[position], weights, 1)
            self._mixtures[table] = weights.unbind()
        return self._mixtures[table]

    def derive(self) -> Assignment:
        """The candidate of the most probable levels.

        Where conditions of the space forbid it, the most probable one that they allow.

        Raises:
            SpaceError: None of the 4,096 most probable is allowed.
        """
        ranked = [alpha.detach().log_softmax(0).sort(descending=True, stable=True) for alpha in self.alphas]
        levels = [
            [parameter.levels[position] for position in order.tolist()]
            for parameter, (_, order) in zip(self.mixed, ranked, strict=True)
        ]
        encoding = self.space.encoding
        combinations = _most_probable([scores.tolist() for scores, _ in ranked], _TRIES)
        while tried := list(itertools.islice(combinations, _TRIED_AT_ONCE)):
            given = encoding.positions(
                [
                    {
                        **self.assignment,
                        **{p.id: own[i] for p, own, i in zip(self.mixed, levels, at, strict=True)},
                    }
                    for at in tried
                ]
            )
            rows = encoding.canonical(given)
            valid = ((rows == given) | ~encoding.active(rows)).all(axis=1)
            if valid.any():
                return encoding.assignment(rows[valid.argmax()])
        raise SpaceError(f"none of the {_TRIES} most probable combinations of levels is a valid candidate")

    def extract(self) -> BasicExecutor:
        """The candidate of `derive` on its own, with copies of its weights."""
        module = BasicExecutor(self.space, self.derive())
        copies = {name: self.weight(name).detach().clone() for name in module.plan.weights}
        module.load_state_dict(copies, assign=True)
        return module.train(self.training)


def _most_probable(scores: Sequence[Sequence[float]], limit: int) -> Iterator[tuple[int, ...]]:
    """Combinations of one position a list, by descending sum of their scores.

    Args:
        scores: Lists in descending order.
        limit: How many combinations.
    """
    first = (0,) * len(scores)
    heap = [(-sum(own[0] for own in scores), first)]
    seen = {first}
    for _ in range(limit):
        if not heap:
            return
        score, positions = heapq.heappop(heap)
        yield positions
        for index, own in enumerate(scores):
            position = positions[index] + 1
            following = (*positions[:index], position, *positions[index + 1 :])
            if position < len(own) and following not in seen:
                seen.add(following)
                heapq.heappush(heap, (score + own[position - 1] - own[position], following))

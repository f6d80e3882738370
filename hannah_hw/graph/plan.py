"""The active graph of one candidate, resolved once and shared by whoever executes or exports it.

Choices are gone, attributes and shapes are plain values, and steps are in execution order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Evaluator
from hannah_hw.graph.choice import ChoiceOp
from hannah_hw.graph.node import Node, Op, Tensor


class Value(Node):
    """A value of a candidate: what its operators' operands are, with a plain shape.

    Attributes:
        grad: Whether it is a trained weight.
    """

    def __init__(self, name: str, shape: tuple[int, ...], grad: bool = False) -> None:
        super().__init__()
        self.id = name
        self.grad = grad
        self._shape = shape

    def shape(self) -> tuple[int, ...]:
        """The plain shape."""
        return self._shape

    def expressions(self) -> dict[str, Any]:
        """None: everything is plain."""
        return {}


@dataclass(frozen=True)
class PlanStep:
    """One operator of a candidate.

    Attributes:
        op: A copy of the operator whose attributes are plain values and whose operands are `Value` nodes, so
            that its shape and its row are plain too.
        operands: Ids of its operands, choices resolved, in the operator's order.
        data: Ids of those operands that are no weights.
        shape: Plain output shape.
    """

    op: Op
    operands: tuple[str, ...]
    data: tuple[str, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """One candidate.

    Attributes:
        inputs: Graph inputs.
        weights: Weights by id.
        steps: Operators in execution order.
        outputs: Ids of the graph's outputs.
    """

    inputs: tuple[Value, ...]
    weights: Mapping[str, Value]
    steps: tuple[PlanStep, ...]
    outputs: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        total = 0
        for weight in self.weights.values():
            if weight.grad:
                size = 1
                for dim in weight.shape():
                    size *= dim
                total += size
        return total

    def users(self) -> dict[str, int]:
        """Value id -> how many steps and outputs take it."""
        counts: dict[str, int] = {}
        for step in self.steps:
            for operand in step.operands:
                counts[operand] = counts.get(operand, 0) + 1
        for output in self.outputs:
            counts[output] = counts.get(output, 0) + 1
        return counts


def resolve(order: Sequence[Node], outputs: Sequence[Node], assignment: Mapping[str, Any]) -> Plan:
    """The active graph under an assignment.

    Args:
        order: All nodes of the space, operands before users (`hannah_hw.graph.execution_order`); a candidate
            executes its own in the same order.
        outputs: Last nodes of the space.
        assignment: Parameter id -> value; parameters it does not name take their default.

    Raises:
        SpaceError: The assignment describes no network: a switch points at no option, a requirement of an
            operator does not hold, or a size is not a positive integer.
    """
    evaluate = Evaluator(assignment)
    active = {id(output) for output in outputs}
    for node in reversed(order):
        if id(node) in active:
            operands = [node.chosen(evaluate)] if isinstance(node, ChoiceOp) else node.operands
            active.update(map(id, operands))
    inputs: list[Value] = []
    weights: dict[str, Value] = {}
    steps: list[PlanStep] = []
    values: dict[int, Value] = {}
    for node in order:
        if id(node) not in active:
            continue
        if isinstance(node, ChoiceOp):
            values[id(node)] = values[id(node.chosen(evaluate))]
            continue
        if isinstance(node, Tensor):
            value = Value(node.id, _plain_shape(node, evaluate(node.shape())), node.grad)
            if node.owner is None:
                inputs.append(value)
            else:
                weights[node.id] = value
        elif isinstance(node, Op):
            operands = [values[id(operand)] for operand in node.operands]
            op = node.resolved(evaluate, operands)
            value = Value(node.id, _plain_shape(node, op.shape()))
            names = tuple(operand.id for operand in operands)
            steps.append(PlanStep(op, names, tuple(n for n in names if n not in weights), value.shape()))
        else:
            raise SpaceError(f"{node!r} is neither a tensor nor an operator")
        values[id(node)] = value
    return Plan(tuple(inputs), weights, tuple(steps), tuple(values[id(output)].id for output in outputs))


def _plain_shape(node: Node, shape: tuple[Any, ...]) -> tuple[int, ...]:
    plain = tuple(int(dim) for dim in shape)
    if plain != shape or min(plain, default=1) < 1:
        raise SpaceError(f"the shape of {node.id} is {shape}; every size must be a positive integer")
    return plain

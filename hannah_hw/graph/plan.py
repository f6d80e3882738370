"""The active graph of one candidate, resolved once and shared by whoever executes or exports it.

Choices are gone, but for those that are asked to stay; attributes and shapes are plain values, and steps are in
execution order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Evaluator, leaves
from hannah_hw.graph.bits import check_bits
from hannah_hw.graph.choice import ChoiceOp
from hannah_hw.graph.node import Node, Tensor
from hannah_hw.graph.op import Op


class Value(Node):
    """A value of a candidate: what its operators' operands are, with a plain shape.

    Attributes:
        grad: Whether it is a trained weight.
        bits: Of a weight: with how many bits each value is kept, where it says so; see `Tensor`.
        channel_axis: Of a weight with bits: the dimension that runs over the output channels, each of which has a
            scale of its own; None: one scale for all.
    """

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        grad: bool = False,
        bits: int | None = None,
        channel_axis: int | None = None,
    ) -> None:
        super().__init__()
        self.id = name
        self.grad = grad
        self.bits = bits
        self.channel_axis = channel_axis
        self._shape = shape

    def shape(self) -> tuple[int, ...]:
        """The plain shape."""
        return self._shape

    def expressions(self) -> dict[str, Any]:
        """None: everything is plain."""
        return {}


@dataclass(frozen=True)
class PlanStep:
    """One operator of a candidate, or a choice that stays: a `ChoiceOp` whose operands are its options.

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

    def __deepcopy__(self, memo: dict[int, Any]) -> Plan:
        """The plan itself, which never changes: copies of what holds it share it."""
        return self


def resolve(
    order: Sequence[Node],
    outputs: Sequence[Node],
    assignment: Mapping[str, Any],
    keep: Mapping[str, Sequence[int]] | None = None,
) -> Plan:
    """The active graph under an assignment.

    Args:
        order: All nodes of the space, operands before users (`hannah_hw.graph.execution_order`); a candidate
            executes its own in the same order.
        outputs: Last nodes of the space.
        assignment: Parameter id -> value; parameters it does not name take their default.
        keep: Id of a choice -> positions of its options that stay, all of which must have one shape. Without
            it every choice is replaced by the option that its switch points at; with it conditions, which are
            about single candidates, are not checked.

    Raises:
        SpaceError: The assignment describes no network: a switch points at no option, a condition of a node or
            a requirement of an operator does not hold, a size is not a positive integer, or options that stay
            differ in shape.
    """
    evaluate = Evaluator(assignment)
    kept = keep or {}
    active = {id(output) for output in outputs}
    for node in reversed(order):
        if id(node) in active:
            operands = _options(node, evaluate, kept) if isinstance(node, ChoiceOp) else node.operands
            active.update(map(id, operands))
    inputs: list[Value] = []
    weights: dict[str, Value] = {}
    steps: list[PlanStep] = []
    values: dict[int, Value] = {}
    for node in order:
        if id(node) not in active:
            continue
        if node.conditions and not kept:
            _check_conditions(node, evaluate)
        if isinstance(node, ChoiceOp):
            options = [values[id(option)] for option in _options(node, evaluate, kept)]
            if node.id in kept:
                steps.append(_choice_step(node, options, evaluate, weights))
                values[id(node)] = Value(node.id, steps[-1].shape)
            else:
                values[id(node)] = options[0]
            continue
        if isinstance(node, Tensor):
            value = Value(node.id, _plain_shape(node, evaluate(node.shape())), node.grad)
            if node.owner is None:
                inputs.append(value)
            else:
                if node.bits is not None:
                    bits = evaluate(node.bits)
                    check_bits(bits, node.id)
                    value.bits, value.channel_axis = int(bits), node.owner.output_axis
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


def _options(choice: ChoiceOp, evaluate: Evaluator, kept: Mapping[str, Sequence[int]]) -> list[Node]:
    """The options of a choice that are part of the plan."""
    if choice.id in kept:
        return [choice.operands[position] for position in kept[choice.id]]
    return [choice.chosen(evaluate)]


def _choice_step(
    choice: ChoiceOp, options: list[Value], evaluate: Evaluator, weights: Mapping[str, Value]
) -> PlanStep:
    """A choice that stays."""
    shapes = [option.shape() for option in options]
    if len(set(shapes)) != 1:
        listing = ", ".join(f"{o.id}: {shape}" for o, shape in zip(options, shapes, strict=True))
        raise SpaceError(
            f"the options of {choice.id} cannot be mixed, for their shapes differ ({listing}); "
            "give them one shape, or fix the parameter that switches them"
        )
    names = tuple(option.id for option in options)
    data = tuple(name for name in names if name not in weights)
    return PlanStep(choice.resolved(evaluate, list(options)), names, data, shapes[0])


def _check_conditions(node: Node, evaluate: Evaluator) -> None:
    for condition, text in node.conditions:
        if not evaluate(condition):
            parameters: list[Any] = leaves([condition])
            values = ", ".join(f"{p.id or p.name} = {evaluate(p)!r}" for p in parameters)
            raise SpaceError(f"{node.id}: the condition {text or condition} does not hold for {values}")


def _plain_shape(node: Node, shape: tuple[Any, ...]) -> tuple[int, ...]:
    for dim in shape:
        if type(dim) is not int or dim < 1:
            break
    else:
        return shape
    plain = tuple(int(dim) for dim in shape)
    if plain != shape or min(plain, default=1) < 1:
        raise SpaceError(f"the shape of {node.id} is {shape}; every size must be a positive integer")
    return plain

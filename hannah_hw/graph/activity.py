"""What of a space is part of a candidate: conditions for every node and every parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from hannah_hw.expressions import And, Expression, Not, Or, Scalar, topological
from hannah_hw.expressions.nodes import Operation
from hannah_hw.graph.choice import ChoiceOp
from hannah_hw.graph.existence import existence
from hannah_hw.graph.node import Node, Tensor, flat_values
from hannah_hw.graph.op import Op
from hannah_hw.parameters import Parameter
from hannah_hw.workload.fusion import Step
from hannah_hw.workload.rows import Row


def node_activity(order: Sequence[Node], outputs: Sequence[Node]) -> dict[str, Scalar]:
    """Node id -> whether a candidate has the node.

    Args:
        order: All nodes, operands before users.
        outputs: The nodes that every candidate has.
    """
    activity: dict[str, Scalar] = {}
    ends = {output.id for output in outputs}
    #: Node id -> when each of its users takes it, each expression once.
    users: dict[str, dict[int, Scalar]] = {node.id: {} for node in order}
    options: dict[int, _Option] = {}
    for node in reversed(order):
        taken = activity[node.id] = (
            True if node.id in ends else Or(*_covered(users[node.id], options).values())
        )
        for index, operand in enumerate(node.operands):
            condition = taken
            if isinstance(node, ChoiceOp):
                condition = And(taken, node.condition(index))
                if condition is not taken:
                    options[id(condition)] = _Option(taken, node, index)
            if condition is not False:
                users[operand.id][id(condition)] = condition
    return activity


class _Option(NamedTuple):
    """What it means that an option is taken: the choice is part of a candidate and chooses this one."""

    taken: Scalar
    choice: ChoiceOp
    position: int


def _covered(users: dict[int, Scalar], options: Mapping[int, _Option]) -> dict[int, Scalar]:
    """Conditions of which one must hold, with those of all options of a choice as the one that the choice is taken."""
    users = dict(users)
    waiting = list(users)
    chosen: dict[tuple[str, int], set[int]] = {}
    while waiting:
        key = waiting.pop()
        option = options.get(key)
        if option is None or not isinstance(option.choice.switch, Parameter):
            continue
        indices = chosen.setdefault((option.choice.id, id(option.taken)), set())
        indices.add(option.position)
        if indices.issuperset(option.choice.switch.levels) and id(option.taken) not in users:
            users[id(option.taken)] = option.taken
            waiting.append(id(option.taken))
    return {key: taken for key, taken in users.items() if not _implied(key, users, options)}


def _implied(key: int, users: Mapping[int, Scalar], options: Mapping[int, _Option]) -> bool:
    """Whether another of the conditions holds wherever this one does: that an outer choice is taken."""
    while key in options:
        key = id(options[key].taken)
        if key in users:
            return True
    return False


def parameter_activity(order: Sequence[Node], activity: dict[str, Scalar]) -> dict[str, Scalar]:
    """Parameter id -> whether any value of a candidate depends on the parameter.

    A parameter counts where an active node uses it, also in a condition, except in the part of a ``Select`` or an
    ``If`` that is not taken.
    """
    uses: dict[int, Scalar] = {}
    roots: list[Expression] = []
    for node in order:
        for value in [*flat_values(node.expressions()), *(condition for condition, _ in node.conditions)]:
            if isinstance(value, Expression):
                roots.append(value)
                uses[id(value)] = Or(uses.get(id(value), False), activity[node.id])
    result: dict[str, Scalar] = {}
    for expression in reversed(topological(roots)):
        used = uses.get(id(expression), False)
        if isinstance(expression, Parameter):
            result[expression.id] = used
            continue
        for index, operand in enumerate(expression.operands):
            if isinstance(operand, Expression):
                taken = And(used, _taken(expression, index))
                uses[id(operand)] = Or(uses.get(id(operand), False), taken)
    return result


def _taken(expression: Expression, index: int) -> Scalar:
    """Whether an operand of an expression matters to its value."""
    if not isinstance(expression, Operation) or index == 0:
        return True
    head = expression.operands[0]
    if expression.kind == "select" and isinstance(head, Expression):
        return head == index - 1
    if expression.kind == "if":
        return head if index == 1 else Not(head)
    return True


def graph_steps(order: Sequence[Node], activity: dict[str, Scalar]) -> tuple[list[Step], dict[str, int]]:
    """The graph as the fusion rules see it.

    Args:
        order: All nodes, operands before users.
        activity: Of `node_activity`.

    Returns:
        The steps, and node id -> position of its step; weights have none.
    """
    steps: list[Step] = []
    position: dict[str, int] = {}
    for node in order:
        if isinstance(node, Tensor) and node.owner is not None:
            continue
        elements: Scalar = 1
        for size in node.shape()[1:]:
            elements = elements * size
        position[node.id] = len(steps)
        exists = And(*{id(condition): condition for condition, _ in existence(node)}.values())
        if isinstance(node, ChoiceOp):
            operands = tuple(position[o.id] for o in node.operands)
            conditions = tuple(node.condition(i) for i in range(len(operands)))
            steps.append(Step(node.id, None, operands, activity[node.id], elements, conditions, exists))
        elif isinstance(node, Op):
            operands = tuple(position[o.id] for o in node.data_operands())
            steps.append(Step(node.id, _row(node), operands, activity[node.id], elements, exists=exists))
        else:
            steps.append(Step(node.id, None, (), activity[node.id], elements, exists=exists))
    return steps, position


def _row(node: Op) -> Row:
    """What an operator says of itself, with the bits of its weight where that has any."""
    row, weight = node.row(), node.kernel_weight
    if weight is None or weight.bits is None:
        return row
    return replace(row, columns={**row.columns, "weight_bits": weight.bits})

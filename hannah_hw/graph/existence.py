"""What must hold for a network with a node to exist."""

from __future__ import annotations

from collections.abc import Iterable

from hannah_hw.expressions import Scalar
from hannah_hw.graph.bits import bits_condition
from hannah_hw.graph.choice import ChoiceOp
from hannah_hw.graph.node import Node, Tensor
from hannah_hw.graph.numbers import whole_conditions
from hannah_hw.graph.op import Op


def existence(node: Node) -> list[tuple[Scalar, str]]:
    """What must hold for a node with which it is active, each condition with what is wrong where it does not.

    These are the author's conditions, an operator's requirements, and that sizes are positive integers: the sizes
    of its value and of its weights, less those that it has from its data; a choice has the sizes of its options.
    A weight has nothing of its own, it belongs to its operator.
    """
    if isinstance(node, Tensor) and node.owner is not None:
        return []
    conditions = [*node.conditions]
    if not isinstance(node, Op):
        return [*conditions, *_countable(node, node.shape()[1:])]
    weights = [o for o in node.operands if isinstance(o, Tensor) and o.owner is not None]
    conditions += [condition for weight in weights for condition in weight.conditions]
    conditions += node.requirements()
    if not isinstance(node, ChoiceOp):
        checked = {id(size) for operand in node.data_operands() for size in operand.shape()}
        for part in (node, *weights):
            conditions += _countable(part, [size for size in part.shape() if id(size) not in checked])
        weight = node.kernel_weight
        if weight is not None and weight.bits is not None:
            conditions.append((bits_condition(weight.bits), f"{weight.id} has {weight.bits} bits"))
    return conditions


def _countable(node: Node, sizes: Iterable[Scalar]) -> list[tuple[Scalar, str]]:
    """Conditions that sizes are positive integers, where that is not certain."""
    text = f"a size of {node.id} is not a positive integer"
    return [(condition, text) for condition in whole_conditions(sizes, 1)]

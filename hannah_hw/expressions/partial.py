"""Expressions of which some parameters have values: what is left of them, and which parameters that depends on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hannah_hw.errors import SpaceError
from hannah_hw.expressions.nodes import Expression, Operation, Scalar, operation, topological


def substitute(expressions: Sequence[Scalar], values: Mapping[str, Any]) -> list[Scalar]:
    """The expressions with values in the place of some parameters, folded as far as that goes.

    Args:
        expressions: Expressions and plain numbers.
        values: Parameter id -> value.

    Returns:
        One expression or plain number for each. What is undefined (a division by zero, in a part that no
        candidate takes) is NaN.
    """
    known: dict[int, Any] = {}
    for node in topological(expressions):
        if not isinstance(node, Operation):
            parameter: Any = node
            known[id(node)] = values.get(parameter.id, node)
            continue
        operands = [known[id(o)] if isinstance(o, Expression) else o for o in node.operands]
        if node.kind == "lookup":
            categories: Any = getattr(node.operands[0], "categories", ())
            fixed = not isinstance(operands[0], Expression)
            known[id(node)] = node.table[categories.index(operands[0])] if fixed else node
            continue
        try:
            known[id(node)] = operation(node.kind, *operands)
        except (ArithmeticError, ValueError, SpaceError):
            known[id(node)] = float("nan")
    return [known[id(e)] if isinstance(e, Expression) else e for e in expressions]


def dependencies(expressions: Sequence[Scalar], *, headless: Collection[int] = ()) -> list[frozenset[str]]:
    """The ids of the parameters in each of some expressions.

    Args:
        expressions: Expressions and plain numbers, which depend on nothing.
        headless: Identities of ``Select`` operations of which only the values count, not what chooses one.
    """
    nodes = topological(expressions)
    names = [str(getattr(node, "id", "")) for node in nodes if not isinstance(node, Operation)]
    bit = {name: 1 << position for position, name in enumerate(names)}
    masks: dict[int, int] = {}
    for node in nodes:
        if isinstance(node, Operation):
            mask = 0
            for operand in node.operands[1:] if id(node) in headless else node.operands:
                if isinstance(operand, Expression):
                    mask |= masks[id(operand)]
            masks[id(node)] = mask
        else:
            masks[id(node)] = bit[str(getattr(node, "id", ""))]
    found = {mask: frozenset(n for n in names if bit[n] & mask) for mask in set(masks.values())}
    return [found[masks[id(e)]] if isinstance(e, Expression) else frozenset() for e in expressions]

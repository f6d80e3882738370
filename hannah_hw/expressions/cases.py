"""Proving conditions case by case, where bounds alone forget what a branch implies.

A residual block takes its input as it is where no size changes, else through a convolution. That its sum then adds
values of one shape follows from the switch: where it says "nothing changes", the two sizes are equal. Each case of
such a switch is proved on its own, with what the case implies put in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from hannah_hw.errors import SpaceError
from hannah_hw.expressions.intervals import bounds
from hannah_hw.expressions.nodes import Expression, Operation, Scalar, operation, topological
from hannah_hw.expressions.operations import CONDITIONS

#: Switches inside each other that are looked into, and switches of one condition that are tried.
_DEPTH: Final = 2
_TRIED: Final = 3

#: Operations through which a switch is looked for.
_TRANSPARENT: Final = frozenset({*CONDITIONS, "if", "select"} - {"lookup"})


def always(condition: Scalar, depth: int = _DEPTH) -> bool:
    """Whether a condition is certain to hold for all values of its parameters; False where that stays open.

    Args:
        condition: A condition or a plain truth value.
        depth: How many switches inside each other are looked into.
    """
    if not isinstance(condition, Expression):
        return bool(condition)
    if bounds([condition])[0][0] >= 1:
        return True
    if depth == 0:
        return False
    for _, head in zip(range(_TRIED), _heads(condition), strict=False):
        if all(always(replaced(condition, implied(head, truth)), depth - 1) for truth in (True, False)):
            return True
    return False


def implied(condition: Expression, truth: bool) -> dict[Expression, Scalar]:
    """What else has a known value where a condition is true or false.

    Args:
        condition: The condition.
        truth: Its value.

    Returns:
        Expression -> a plain value, or an expression that it equals; the condition itself included.
    """
    known: dict[Expression, Scalar] = {}
    stack: list[tuple[Scalar, bool]] = [(condition, truth)]
    while stack:
        node, value = stack.pop()
        if not isinstance(node, Operation) or node.kind not in CONDITIONS:
            continue
        known[node] = value
        if (node.kind, value) in (("and", True), ("or", False)):
            stack.extend((operand, value) for operand in node.operands)
        elif node.kind == "not":
            stack.append((node.operands[0], not value))
        elif (node.kind, value) in (("eq", True), ("ne", False)):
            left, right = node.operands
            if isinstance(left, Expression):
                known[left] = right
            elif isinstance(right, Expression):
                known[right] = left
    return known


def replaced(root: Scalar, known: Mapping[Expression, Scalar]) -> Scalar:
    """An expression with others in the place of some of its parts, folded as far as that goes."""
    if not isinstance(root, Expression):
        return root
    values = {id(node): value for node, value in known.items()}
    for node in topological([root]):
        if id(node) in values:
            continue
        values[id(node)] = node
        operands = [values[id(o)] if isinstance(o, Expression) else o for o in node.operands]
        if isinstance(node, Operation) and any(
            o is not p for o, p in zip(operands, node.operands, strict=True)
        ):
            try:
                values[id(node)] = operation(node.kind, *operands, table=node.table)
            except (ArithmeticError, ValueError, SpaceError):
                # Undefined in this case, so that the case cannot be in effect where it matters.
                continue
    return values[id(root)]


def _heads(condition: Expression) -> Iterator[Any]:
    """The conditions that choose between options, from the outside in."""
    stack: list[Scalar] = [condition]
    seen: set[int] = set()
    while stack:
        node = stack.pop(0)
        if not isinstance(node, Operation) or node.kind not in _TRANSPARENT or id(node) in seen:
            continue
        seen.add(id(node))
        head = node.operands[0] if node.kind in ("if", "select") else None
        if isinstance(head, Operation) and head.kind in CONDITIONS and id(head) not in seen:
            seen.add(id(head))
            yield head
        stack.extend(node.operands)

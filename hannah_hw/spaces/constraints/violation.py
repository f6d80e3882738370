"""How far a candidate is from satisfying a condition, as an expression: a slope to descend on."""

from __future__ import annotations

from hannah_hw.expressions import If, Max, Min, Not, Scalar
from hannah_hw.expressions.nodes import Operation


def violation(condition: Scalar) -> Scalar:
    """0 where a condition holds; above 0 and growing with the distance to it where it does not.

    ``a <= b`` is violated by ``a - b``, ``a < b`` by that and 1, ``a == b`` by ``|a - b|``; of several conditions
    that must all hold the violations add up, of several of which one must hold the least counts. Of any other
    condition nothing but its truth is known.
    """
    found: dict[int, Scalar] = {}
    stack = [condition]
    while stack:
        node = stack[-1]
        parts = node.operands if isinstance(node, Operation) and node.kind in ("and", "or") else ()
        missing = [part for part in parts if id(part) not in found]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        found[id(node)] = _single(node, [found[id(part)] for part in parts])
    return found[id(condition)]


def _single(node: Scalar, parts: list[Scalar]) -> Scalar:
    if not isinstance(node, Operation):
        return If(node, 0, 1)
    a = node.operands[0]
    b = node.operands[-1]
    if node.kind == "and":
        return parts[0] + parts[1]
    if node.kind == "or":
        return Min(parts[0], parts[1])
    if node.kind == "le":
        return Max(a - b, 0)
    if node.kind == "lt":
        return If(node, 0, Max(a - b, 0) + 1)
    if node.kind == "eq":
        return abs(a - b)
    if node.kind == "not" and isinstance(a, Operation) and a.kind in ("lt", "le"):
        c, d = a.operands
        return violation(d <= c) if a.kind == "lt" else violation(d < c)
    return If(Not(node), 1, 0)

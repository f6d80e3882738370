"""The conditions of a space as one list: what must hold for which candidates, with names for messages."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hannah_hw.expressions import Expression, Not, Or, Scalar, leaves
from hannah_hw.expressions.cases import always
from hannah_hw.expressions.intervals import bounds
from hannah_hw.expressions.nodes import Operation
from hannah_hw.graph import Node
from hannah_hw.graph.existence import existence

#: Characters of a condition in a message.
_TEXT: Final = 200

#: Conditions that are looked at case by case, each of which takes some milliseconds.
_PROVED: Final = 64


@dataclass(frozen=True)
class Rule:
    """A condition that binds the candidates which have one of some nodes.

    Attributes:
        holds: The condition with its guard, as 0 or 1: true for a candidate that has none of the nodes.
        text: The condition in words.
        nodes: Ids of the nodes.
    """

    holds: Scalar
    text: str
    nodes: tuple[str, ...]

    @property
    def parameters(self) -> list[Any]:
        """The parameters that it depends on."""
        return leaves([self.holds])

    def __str__(self) -> str:
        nodes = ", ".join(self.nodes[:3]) + (", ..." if len(self.nodes) > 3 else "")
        return f"{nodes}: {textwrap.shorten(self.text, _TEXT, placeholder=' ...')}"


def rules_of(order: Sequence[Node], activity: Mapping[str, Scalar]) -> list[Rule]:
    """The conditions of a graph that are not proved to hold always, by bounds or case by case.

    Args:
        order: All nodes.
        activity: Node id -> whether a candidate has the node.
    """
    #: Key -> the condition, its text, and node id -> activity of the nodes that have it.
    found: dict[Any, tuple[Scalar, Any, dict[str, Scalar]]] = {}
    for node in order:
        for whole, text in existence(node):
            for condition in _conjuncts(whole):
                if isinstance(condition, Expression) or not condition:
                    key = id(condition) if isinstance(condition, Expression) else (node.id, text)
                    found.setdefault(key, (condition, text or whole, {}))[2][node.id] = activity[node.id]
    entries = _open(list(found.values()), [Or(False, condition) for condition, _, _ in found.values()])
    guarded = [Or(Not(Or(*nodes.values())), condition) for condition, _, nodes in entries]
    rules = [Rule(g, str(e[1]), tuple(e[2])) for g, e in zip(guarded, entries, strict=True)]
    left = _open(rules, guarded)
    return [rule for rule in left[:_PROVED] if not always(rule.holds)] + left[_PROVED:]


def _open(items: list[Any], conditions: Sequence[Scalar]) -> list[Any]:
    """The items whose conditions are not certain to hold."""
    return [item for item, (low, _) in zip(items, bounds(conditions), strict=True) if low < 1]


def _conjuncts(condition: Scalar) -> Iterator[Scalar]:
    """The parts that must all hold, from left to right."""
    stack = [condition]
    while stack:
        part = stack.pop()
        if isinstance(part, Operation) and part.kind == "and":
            stack.extend(reversed(part.operands))
        else:
            yield part

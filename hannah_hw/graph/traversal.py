"""Walking a graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import leaves
from hannah_hw.graph.node import Node, flat_values
from hannah_hw.parameters import Parameter


def get_nodes(node: Node) -> Iterator[Node]:
    """The nodes of the graph that ends in a node, each once, from the end towards the inputs.

    Depth first; of several operands the last comes first, so that weights precede the data's producer.
    """
    stack = [node]
    seen: set[int] = set()
    while stack:
        current = stack.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        stack.extend(current.operands)


def execution_order(outputs: Sequence[Node]) -> list[Node]:
    """The nodes of the graph that ends in some nodes, operands before users.

    Raises:
        SpaceError: Two nodes have the same id.
    """
    order: list[Node] = []
    done: set[int] = set()
    by_id: dict[str, Node] = {}
    for root in outputs:
        stack: list[tuple[Node, int]] = [(root, 0)]
        while stack:
            node, position = stack.pop()
            if id(node) in done:
                continue
            while position < len(node.operands) and id(node.operands[position]) in done:
                position += 1
            if position < len(node.operands):
                stack.append((node, position + 1))
                stack.append((node.operands[position], 0))
                continue
            done.add(id(node))
            order.append(node)
            other = by_id.setdefault(node.id, node)
            if other is not node:
                raise SpaceError(
                    f"two nodes have the id {node.id!r}: a {type(other).__name__} of shape {other.shape()} and a "
                    f"{type(node).__name__} of shape {node.shape()}; wrap the blocks in @scope or the whole space "
                    "in @search_space, or rename the tensors"
                )
    return order


def parameters_by_node(outputs: Sequence[Node]) -> dict[str, dict[str, Parameter]]:
    """Node id -> (parameter id -> parameter), for every node that is the first to use some.

    A parameter that only conditions use belongs to the first node that has such a condition.

    Raises:
        SpaceError: Two nodes or two parameters have the same id.
    """
    found: dict[str, Parameter] = {}
    result: dict[str, dict[str, Parameter]] = {}
    order = execution_order(outputs)
    for node in order:
        node.register()
    used = [(node, flat_values(node.expressions())) for node in order]
    used += [(node, [condition for condition, _ in node.conditions]) for node in order if node.conditions]
    for node, expressions in used:
        for leaf in leaves(expressions):
            if not isinstance(leaf, Parameter) or found.get(leaf.id) is leaf:
                continue
            if not leaf.id:
                leaf.id = f"{node.id}.{leaf.name or 'condition'}"
            if leaf.id in found:
                raise SpaceError(
                    f"two parameters have the id {leaf.id!r}: {found[leaf.id]!r} and {leaf!r}; "
                    "give them different names"
                )
            found[leaf.id] = leaf
            result.setdefault(node.id, {})[leaf.id] = leaf
    return result

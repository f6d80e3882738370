"""A built network, as a process of a document sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hannah_hw.graph import Node, Tensor, execution_order


@dataclass(frozen=True)
class Network:
    """A built network, as a process sees it.

    Attributes:
        input: The data.
        output: The last node.
        modules: Module -> its last node, in order.
        rebuild: Builds the network again with other fields: module -> field -> what its function receives.
    """

    input: Tensor
    output: Node
    modules: Mapping[str, Node]
    rebuild: Callable[[Mapping[str, Mapping[str, Any]]], Network]

    @property
    def nodes(self) -> list[Node]:
        """All nodes, operands before users."""
        return execution_order([self.output])

    def insert(self, node: Node, build: Callable[[Node], Node]) -> Network:
        """The network with something between a node and all that takes its value.

        The graph itself changes; the value's shape must not.

        Args:
            node: A node of the network.
            build: Makes the nodes in between; returns the last of them.
        """
        users = list(node.users)
        last = build(node)
        for user in users:
            user.operands = [last if operand is node else operand for operand in user.operands]
            node.users = [other for other in node.users if other is not user]
            last.users.append(user)
        output = last if node is self.output else self.output
        modules = {name: last if end is node else end for name, end in self.modules.items()}
        return Network(self.input, output, modules, self.rebuild)

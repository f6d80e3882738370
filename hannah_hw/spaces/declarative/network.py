"""A built network, as a process of a document sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hannah_hw.graph import Node, Tensor, execution_order


@dataclass(frozen=True)
class Network:
    """A built network.

    A graph never changes once it is built. A process that wants another one has it built again while something is
    different: within `hannah_hw.blocks.convolutions_by`, or within
    `hannah_hw.spaces.declarative.channels.keeping`. It returns a network whose ``rebuild`` does the same, so that
    processes add up.

    Attributes:
        input: The data.
        output: The last node.
        modules: Module -> its last node, in order.
        rebuild: Builds the network again, with the same parameters and the same ids.
    """

    input: Tensor
    output: Node
    modules: Mapping[str, Node]
    rebuild: Callable[[], Network]

    @property
    def nodes(self) -> list[Node]:
        """All nodes, operands before users."""
        return execution_order([self.output])

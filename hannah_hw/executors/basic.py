"""One candidate as an ordinary torch module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hannah_hw.executors.module import PlanModule
from hannah_hw.graph import Node
from hannah_hw.spaces import Candidate, SearchSpace, as_space


class BasicExecutor(PlanModule):
    """The network of a graph under one assignment.

    The keys of ``state_dict`` are the ids of the weights.

    Args:
        network: The last node of a graph, a space, or a candidate.
        assignment: Parameter id -> value; without one, and for those it does not name, the default.

    Attributes:
        candidate: The candidate.

    Raises:
        SpaceError: The assignment does not fit the space, or describes no network.
    """

    def __init__(
        self, network: Node | SearchSpace | Candidate, assignment: Mapping[str, Any] | None = None
    ) -> None:
        if isinstance(network, Candidate) and assignment is None:
            candidate = network
        else:
            space = network.space if isinstance(network, Candidate) else as_space(network)
            candidate = space.candidate(assignment or {})
        super().__init__(candidate.plan, [tensor.id for tensor in candidate.space.inputs])
        self.candidate = candidate


def to_torch(
    candidate: Candidate | Node | SearchSpace, assignment: Mapping[str, Any] | None = None
) -> BasicExecutor:
    """A candidate as a torch module with fresh weights; see `BasicExecutor`."""
    return BasicExecutor(candidate, assignment)

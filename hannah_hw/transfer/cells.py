"""Cells written as strings of operations on edges, as NAS-Bench-201 writes them: parsing, canonical form.

``|a~0|+|b~0|c~1|`` has three nodes: node 0 is the input; node 1 is a(node 0); node 2, the output, is b(node 0) +
c(node 1). ``none`` is no edge, ``skip_connect`` passes on what it gets; every other name is an operation. Source of
the notation: Dong and Yang, "NAS-Bench-201", ICLR 2020; any number of nodes and any operations are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from hannah_hw.errors import DataError

#: The operation that is no edge, and the one that changes nothing.
NOTHING: Final = "none"
IDENTITY: Final = "skip_connect"

_ENTRY: Final = re.compile(r"([A-Za-z0-9_.\-]+)~(\d+)")


@dataclass(frozen=True)
class Edge:
    """One operation between two nodes."""

    source: int
    node: int
    operation: str


@dataclass(frozen=True)
class Cell:
    """A cell: nodes in topological order, the first the input, the last the output; a node is the sum of its edges.

    Args:
        nodes: How many nodes, the input included; 2 or more.
        edges: Every edge but those of the operation ``none``.
    """

    nodes: int
    edges: tuple[Edge, ...]

    @classmethod
    def parse(cls, text: str) -> Cell:
        """Read a cell.

        Raises:
            DataError: The text is no cell: another notation, or an edge from a node that does not come before.
        """
        edges = []
        groups = text.strip().split("+")
        for node, group in enumerate(groups, start=1):
            if not (group.startswith("|") and group.endswith("|") and len(group) > 2):
                raise _not_a_cell(text)
            for entry in group[1:-1].split("|"):
                match = _ENTRY.fullmatch(entry)
                if match is None or int(match[2]) >= node:
                    raise _not_a_cell(text)
                if match[1] != NOTHING:
                    edges.append(Edge(int(match[2]), node, match[1]))
        return cls(len(groups) + 1, tuple(edges))

    @cached_property
    def reaching(self) -> tuple[Edge, ...]:
        """The edges whose result reaches the output, be it of a node that nothing feeds."""
        useful = {self.nodes - 1}
        for edge in sorted(self.edges, key=lambda edge: -edge.node):
            if edge.node in useful:
                useful.add(edge.source)
        return tuple(edge for edge in self.edges if edge.node in useful)

    @cached_property
    def live(self) -> tuple[Edge, ...]:
        """The edges on a path from the input to the output: those that the result depends on."""
        fed = {0}
        for edge in sorted(self.edges, key=lambda edge: edge.node):
            if edge.source in fed:
                fed.add(edge.node)
        return tuple(edge for edge in self.reaching if edge.source in fed)

    @cached_property
    def key(self) -> str:
        """The canonical form: the same for two cells that compute the same result by the same operations.

        The result as a nested expression of the input ``x``, sums in sorted order, identities left out; then,
        sorted, every live operation with its operand, so that a result computed twice differs from one that is
        computed once and used twice. Empty where the output does not depend on the input.
        """
        expressions = {0: "x"}
        operations = []
        for node in range(1, self.nodes):
            terms = []
            for edge in self.live:
                if edge.node == node:
                    term = expressions[edge.source]
                    if edge.operation != IDENTITY:
                        term = f"{edge.operation}({term})"
                        operations.append(term)
                    terms.append(term)
            if terms:
                expressions[node] = terms[0] if len(terms) == 1 else f"({' + '.join(sorted(terms))})"
        result = expressions.get(self.nodes - 1)
        return "" if result is None else f"{result}; {', '.join(sorted(operations))}"


def _not_a_cell(text: str) -> DataError:
    shown = text if len(text) <= 80 else f"{text[:77]}..."
    return DataError(
        f"{shown!r} is no cell; a cell is written as '|conv~0|+|conv~0|skip_connect~1|': a group a node, joined "
        "by '+', of 'operation~node' with a node that comes before"
    )

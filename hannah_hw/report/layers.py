"""Drawing a graph in layers: where boxes go, and how the lines between them run.

The method of Sugiyama et al. (1981): layers by longest path, lines through layers kept apart by invisible slots,
orders with few crossings by barycentres, and positions that are as straight as the order permits. The result depends
on nothing but the arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hannah_hw.report.slots import Piece, Slot, order, place


@dataclass(frozen=True)
class Vertex:
    """A box.

    Attributes:
        width: Of the box.
        height: Of the box.
        end: ``top`` and ``bottom``: it is in the first, the last layer.
        entries: Net -> where it enters, from the left of the box; other nets share the width.
        exits: Net -> where it leaves; other nets leave in the middle.
    """

    width: float
    height: float
    end: Literal["top", "bottom"] | None = None
    entries: Mapping[str, float] = field(default_factory=dict)
    exits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Edge:
    """A line from a vertex to another one; those of one net and tail share their way.

    Attributes:
        tail: Position of the vertex that it leaves.
        head: Position of the vertex that it enters.
        net: Name of what it carries.
    """

    tail: int
    head: int
    net: str


@dataclass(frozen=True)
class Line:
    """A piece of a line: down, across the gap between two layers, down.

    Attributes:
        net: Of the edges.
        start: (x, y) where it begins.
        bend: y where it leaves the vertical, and where it is vertical again.
        stop: (x, y) where it ends.
        head: Position of the vertex that it enters; None of a piece that another one goes on from.
    """

    net: str
    start: tuple[float, float]
    bend: tuple[float, float]
    stop: tuple[float, float]
    head: int | None


@dataclass(frozen=True)
class Arrangement:
    """Where everything is.

    Attributes:
        corners: (x, y) of the top left corner of each vertex.
        lines: The pieces of all lines.
        width: Of everything.
        height: Of everything.
    """

    corners: tuple[tuple[float, float], ...]
    lines: tuple[Line, ...]
    width: float
    height: float


def arrange(
    vertices: Sequence[Vertex], edges: Sequence[Edge], *, across: float = 22.0, down: float = 30.0
) -> Arrangement:
    """Place vertices and route edges.

    Args:
        vertices: The boxes; their order decides where nothing else does.
        edges: The lines. Edges that close a cycle are drawn upwards.
        across: Least distance of neighbours in a layer.
        down: Distance of layers.
    """
    ranks = _ranks(vertices, edges)
    layers, pieces = _slots(vertices, edges, ranks)
    order(layers, pieces)
    place(layers, pieces, across)
    left = min((slot.x - slot.width / 2 for layer in layers for slot in layer), default=0.0)
    for layer in layers:
        for slot in layer:
            slot.x -= left
    width = max((slot.x + slot.width / 2 for layer in layers for slot in layer), default=0.0)
    heights = [
        max((vertices[s.vertex].height for s in layer if s.vertex is not None), default=0.0)
        for layer in layers
    ]
    tops: list[float] = []
    y = 0.0
    for height in heights:
        tops.append(y)
        y += height + down
    corners = [(0.0, 0.0)] * len(vertices)
    level: dict[int, int] = {}
    for rank, layer in enumerate(layers):
        for slot in layer:
            level[id(slot)] = rank
            if slot.vertex is not None:
                corners[slot.vertex] = (slot.x - slot.width / 2, tops[rank])
    entering = _spread(vertices, pieces)
    lines = []
    for piece in pieces:
        above, below = level[id(piece.tail)], level[id(piece.head)]
        x, end = piece.tail.x + piece.leaves, piece.head.x + entering[id(piece)]
        height = heights[above] if piece.tail.vertex is None else vertices[piece.tail.vertex].height
        start = tops[above] if piece.tail.vertex is None else tops[above] + height
        bend = (tops[above] + heights[above], tops[below])
        lines.append(Line(piece.net, (x, start), bend, (end, tops[below]), piece.head.vertex))
    return Arrangement(tuple(corners), tuple(lines), width, max(y - down, 0.0))


def _ranks(vertices: Sequence[Vertex], edges: Sequence[Edge]) -> list[int]:
    """The layer of each vertex: one below the lowest that it is reached from, without edges that close a cycle."""
    below: list[list[int]] = [[] for _ in vertices]
    for edge in edges:
        below[edge.tail].append(edge.head)
    state, finished = [0] * len(vertices), []
    forward: list[tuple[int, int]] = []
    for root in range(len(vertices)):
        stack = [(root, iter(below[root]))] if not state[root] else []
        state[root] = state[root] or 1
        while stack:
            vertex, heads = stack[-1]
            head = next(heads, None)
            if head is None:
                stack.pop()
                state[vertex] = 2
                finished.append(vertex)
            elif state[head] != 1:
                forward.append((vertex, head))
                if not state[head]:
                    state[head] = 1
                    stack.append((head, iter(below[head])))
    first = int(any(vertex.end == "top" for vertex in vertices))
    ranks = [0 if vertex.end == "top" else first for vertex in vertices]
    after: dict[int, list[int]] = {}
    for tail, head in forward:
        after.setdefault(tail, []).append(head)
    for vertex in reversed(finished):
        for head in after.get(vertex, ()):
            ranks[head] = max(ranks[head], ranks[vertex] + 1)
    last = max((r + 1 for r, v in zip(ranks, vertices, strict=True) if v.end != "bottom"), default=0)
    return [last if vertex.end == "bottom" else rank for rank, vertex in zip(ranks, vertices, strict=True)]


def _slots(
    vertices: Sequence[Vertex], edges: Sequence[Edge], ranks: Sequence[int]
) -> tuple[list[list[Slot]], list[Piece]]:
    """The slots of each layer, and the pieces between them."""
    slots = [Slot(index, vertex.width) for index, vertex in enumerate(vertices)]
    layers: list[list[Slot]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    for slot, rank in zip(slots, ranks, strict=True):
        layers[rank].append(slot)
    nets: dict[tuple[int, str], dict[int, None]] = {}
    for edge in edges:
        nets.setdefault((edge.tail, edge.net), {})[edge.head] = None
    pieces = []
    for (tail, net), heads in nets.items():
        vertex = vertices[tail]
        leaves = vertex.exits.get(net, vertex.width / 2) - vertex.width / 2
        slot, lowest = slots[tail], max(ranks[head] for head in heads)
        for rank in range(ranks[tail] + 1, lowest + 1):
            pieces += [
                Piece(net, slot, slots[head], leaves, _entry(vertices[head], net))
                for head in heads
                if ranks[head] == rank
            ]
            if rank < lowest:
                passing = Slot(None, 0.0)
                layers[rank].append(passing)
                pieces.append(Piece(net, slot, passing, leaves, 0.0))
                slot, leaves = passing, 0.0
        pieces += [
            Piece(net, slots[tail], slots[head], leaves, _entry(vertices[head], net))
            for head in heads
            if ranks[head] <= ranks[tail]
        ]
    return layers, pieces


def _entry(vertex: Vertex, net: str) -> float:
    return vertex.entries.get(net, vertex.width / 2) - vertex.width / 2


def _spread(vertices: Sequence[Vertex], pieces: Sequence[Piece]) -> dict[int, float]:
    """Piece -> offset at which it enters its head; nets without an entry of their own share the width."""
    result = {id(piece): piece.enters for piece in pieces}
    shared: dict[int, list[Piece]] = {}
    for piece in pieces:
        vertex = piece.head.vertex
        if vertex is not None and piece.net not in vertices[vertex].entries:
            shared.setdefault(vertex, []).append(piece)
    for vertex, entering in shared.items():
        entering.sort(key=lambda piece: piece.tail.x + piece.leaves)
        for index, piece in enumerate(entering, 1):
            result[id(piece)] = vertices[vertex].width * (index / (len(entering) + 1) - 0.5)
    return result

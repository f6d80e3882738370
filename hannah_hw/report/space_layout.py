"""The picture of a search space as data: boxes for operators, choices and scopes, and lines between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from hannah_hw.report.layers import Edge, Vertex, arrange
from hannah_hw.spaces import SearchSpace
from hannah_hw.spaces.outline import Block, Scope, every_block, local_name, outline
from hannah_hw.spaces.summary import describe_values, parameter_name

#: Width of a character of the large and of the small text, in the units of the picture.
LARGE: Final = 7.25
SMALL: Final = 6.05
#: Height of a line of text, and the distance of text from the edge of its box.
ROW: Final = 17.0
PAD: Final = 8.0
#: Height of the title of a scope.
TITLE: Final = 20.0

Kind: TypeAlias = Literal["scope", "operators", "choice", "input"]


@dataclass(frozen=True)
class Row:
    """A line of text in a box.

    Attributes:
        text: At the left.
        note: At the right, or empty.
        role: ``name`` of an operator, or the values of a ``parameter``.
        present: Whether the default candidate has it.
    """

    text: str
    note: str
    role: Literal["name", "parameter"]
    present: bool


@dataclass(frozen=True)
class Box:
    """A rectangle.

    Attributes:
        kind: ``scope``, ``operators``, ``choice`` or ``input``.
        title: Of a scope.
        depth: How many scopes it is in.
        x: Of the left edge.
        y: Of the upper edge.
        width: Of it.
        height: Of it.
        rows: What is written in it; none in a scope.
        present: Whether the default candidate has any of it.
        ids: Ids of the nodes, or of the scopes that it stands for.
    """

    kind: Kind
    title: str
    depth: int
    x: float
    y: float
    width: float
    height: float
    rows: tuple[Row, ...]
    present: bool
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Wire:
    """A piece of a line: straight down from the start to the bend, across, straight down to the stop.

    Attributes:
        start: (x, y) where it begins.
        bend: y where it leaves the vertical, and where it is vertical again.
        stop: (x, y) where it ends.
        arrow: Whether it ends at what takes the value.
        present: Whether the default candidate has the value.
    """

    start: tuple[float, float]
    bend: tuple[float, float]
    stop: tuple[float, float]
    arrow: bool
    present: bool


@dataclass(frozen=True)
class Picture:
    """Everything that is drawn; boxes that contain others come before them.

    Attributes:
        title: What it shows.
        width: Of everything.
        height: Of everything.
        boxes: The boxes.
        wires: The lines.
    """

    title: str
    width: float
    height: float
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]


def lay_out(space: SearchSpace) -> Picture:
    """The picture of a space, alike scopes folded; the same for the same space."""
    graph = outline(space)
    part = _Builder(space, graph).scope(graph, 0)
    title = f"{space.name}: {len(space.order):,} nodes, {len(space.parameters):,} parameters"
    return Picture(title, part.box.width, part.box.height, (part.box, *part.boxes), tuple(part.wires))


@dataclass(frozen=True)
class _Part:
    """A box and what is in it; its upper left corner is the origin.

    Attributes:
        box: The box.
        boxes: The boxes in it.
        wires: The lines in it.
        needs: Ids of the values that it takes from elsewhere.
        makes: Ids of the values that it makes.
        entries: Id of a value -> x where it enters a scope.
        exits: Id of a value -> x where it leaves a scope.
    """

    box: Box
    boxes: list[Box]
    wires: list[Wire]
    needs: tuple[str, ...]
    makes: frozenset[str]
    entries: Mapping[str, float]
    exits: Mapping[str, float]


class _Builder:
    """Builds parts from the innermost scopes outwards.

    Args:
        space: The space.
        graph: Its outline.
    """

    def __init__(self, space: SearchSpace, graph: Scope) -> None:
        self._parameters = space.parameters
        self._blocks = {block.id: block for block in every_block(graph)}
        self._readers: dict[str, dict[str, None]] = {name: {} for name in self._blocks}
        for block in self._blocks.values():
            for name in block.inputs:
                self._readers[name][block.id] = None

    def scope(self, scope: Scope, depth: int) -> _Part:
        """A scope with everything in it."""
        parts = [
            self.scope(item, depth + 1) if isinstance(item, Scope) else self._operators(item, depth + 1)
            for item in self._items(scope)
        ]
        maker = {name: index for index, part in enumerate(parts) for name in part.makes}
        needs = tuple(dict.fromkeys(n for part in parts for n in part.needs if n not in maker))
        leaves = [name for name in maker if any(reader not in maker for reader in self._readers[name])]
        leaves.sort(key=list(self._blocks).index)
        vertices = [Vertex(p.box.width, p.box.height, None, p.entries, p.exits) for p in parts]
        vertices += [Vertex(0.0, 0.0, "top") for _ in needs]
        maker |= {name: len(parts) + index for index, name in enumerate(needs)}
        edges = [Edge(maker[name], index, name) for index, part in enumerate(parts) for name in part.needs]
        edges += [Edge(maker[name], len(vertices) + index, name) for index, name in enumerate(leaves)]
        vertices += [Vertex(0.0, 0.0, "bottom") for _ in leaves]
        placed = arrange(vertices, edges)
        title = _title(scope)
        width = max(placed.width, LARGE * len(title)) + 2 * PAD
        left, top = (width - placed.width) / 2, 0.0 if needs else TITLE + PAD
        height = top + placed.height + (0.0 if leaves else PAD)
        boxes: list[Box] = []
        wires: list[Wire] = []
        for part, (x, y) in zip(parts, placed.corners, strict=False):
            boxes += [_moved(box, left + x, top + y) for box in (part.box, *part.boxes)]
            wires += [_moved_wire(wire, left + x, top + y) for wire in part.wires]
        for line in placed.lines:
            arrow = line.head is not None and line.head < len(parts) and parts[line.head].box.kind != "scope"
            wire = Wire(line.start, line.bend, line.stop, arrow, self._blocks[line.net].shape is not None)
            wires.append(_moved_wire(wire, left, top))
        ports = [left + x for x, _ in placed.corners[len(parts) :]]
        present = any(box.present for box in boxes)
        box = Box("scope", title, depth, 0.0, 0.0, width, height, (), present, scope.repeats)
        makes = frozenset(name for part in parts for name in part.makes)
        entries = dict(zip(needs, ports, strict=False))
        exits = dict(zip(leaves, ports[len(needs) :], strict=True))
        return _Part(box, boxes, wires, needs, makes, entries, exits)

    def _items(self, scope: Scope) -> list[list[Block] | Scope]:
        """The scopes in a scope, and its blocks; those that nothing but the next one reads are in one list with it."""
        items: list[list[Block] | Scope] = []
        open_: dict[str, list[Block]] = {}
        for item in scope.items:
            if isinstance(item, Scope):
                items.append(item)
                continue
            stack = open_.pop(item.inputs[0], None) if len(item.inputs) == 1 and _stacks(item) else None
            if stack is None:
                stack = []
                items.append(stack)
            stack.append(item)
            if _stacks(item) and len(self._readers[item.id]) == 1:
                open_[item.id] = stack
        return items

    def _operators(self, blocks: Sequence[Block], depth: int) -> _Part:
        rows = tuple(row for block in blocks for row in self._rows(block))
        width = max(LARGE * len(row.text) + SMALL * (len(row.note) + 2) for row in rows) + 2 * PAD
        kind: Kind = (
            "choice" if blocks[0].is_choice else "input" if blocks[0].kind == "Input" else "operators"
        )
        makes = frozenset(block.id for block in blocks)
        present = any(block.shape is not None for block in blocks)
        height = ROW * len(rows) + PAD
        ids = tuple(block.id for block in blocks)
        box = Box(kind, "", depth, 0.0, 0.0, width, height, rows, present, ids)
        return _Part(box, [], [], tuple(dict.fromkeys(blocks[0].inputs)), makes, {}, {})

    def _rows(self, block: Block) -> list[Row]:
        present = block.shape is not None
        note = (
            f"one of {len(block.inputs)}" if block.is_choice else "x".join(map(str, (block.shape or ())[1:]))
        )
        rows = [Row(local_name(block.id), note, "name", present)]
        for name in block.parameters:
            text = f"{parameter_name(name)}: {describe_values(self._parameters[name])}"
            rows.append(Row(text, "", "parameter", present))
        return rows


def _stacks(block: Block) -> bool:
    """Whether a block may share a box with the one before or after it."""
    return not block.is_choice and block.kind != "Input"


def _title(scope: Scope) -> str:
    """The name of a scope, and how many it stands for."""
    count = len(scope.repeats)
    return f"{scope.title} ({count}x)" if count > 1 else scope.title


def _moved(box: Box, x: float, y: float) -> Box:
    return replace(box, x=box.x + x, y=box.y + y)


def _moved_wire(wire: Wire, x: float, y: float) -> Wire:
    return replace(
        wire,
        start=(wire.start[0] + x, wire.start[1] + y),
        bend=(wire.bend[0] + y, wire.bend[1] + y),
        stop=(wire.stop[0] + x, wire.stop[1] + y),
    )

"""A hierarchy as the flat tables that the evaluation walks: levels, links between them, and what shares a port."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from hannah_hw.cost.loop_nest.hierarchy import MOVES, OPERANDS, OUTER_MOVES, WRITES, Hierarchy


@dataclass(frozen=True)
class Level:
    """A memory on the chain of an operand.

    Attributes:
        operand: Position in `OPERANDS`.
        depth: Position on the operand's chain, 0 at the array.
        memory: Position in the hierarchy's memories.
        top: Whether the whole tensor lies here.
    """

    operand: int
    depth: int
    memory: int
    top: bool


@dataclass(frozen=True)
class Link:
    """One direction of an operand at a memory.

    Boundary ``d`` of an operand lies below its memory of depth ``d``; boundary 0 is the one to the array. A
    link's boundary is its memory's own for ``read`` and ``update``, the next one for ``fill`` and ``drain``.

    Attributes:
        operand: Position in `OPERANDS`.
        level: Position in `Levels.levels`.
        memory: Position in the hierarchy's memories.
        port: Position in the memory's ports.
        move: One of `MOVES`.
        boundary: Boundary that the data cross.
        min_bits: Smallest part of a word that is paid for.
        max_bits: Bits a cycle, and of a word.
        word_pj: Energy of a word in pJ.
        outer: Whether the data cross the memory's outer boundary.
        partial: Whether only partial sums move this way.
    """

    operand: int
    level: int
    memory: int
    port: int
    move: str
    boundary: int
    min_bits: int
    max_bits: int
    word_pj: float
    outer: bool
    partial: bool


@dataclass(frozen=True)
class Stream:
    """Links of one operand at one boundary that share a port: finished data, returning partial sums, or both.

    Attributes:
        link: The first of them.
        first: Whether data other than returning partial sums pass.
        returning: Whether partial sums come back this way.
    """

    link: Link
    first: bool
    returning: bool


@dataclass(frozen=True)
class PortUse:
    """Links through one physical port.

    Attributes:
        max_bits: Bits a cycle.
        links: In the order in which the memory lists its operands.
        mixed: Whether both inputs and weights pass.
    """

    max_bits: int
    links: tuple[Link, ...]
    mixed: bool

    @cached_property
    def streams(self) -> tuple[Stream, ...]:
        """Links grouped by level and boundary, finished data in the order in which the port lists them.

        The order decides which of two equally long transfers hides first while the array computes.
        """
        groups: dict[tuple[int, bool], list[Link]] = {}
        for link in sorted(self.links, key=lambda link: link.partial):
            groups.setdefault((link.level, link.outer), []).append(link)
        return tuple(
            Stream(links[0], not links[0].partial, any(link.partial for link in links))
            for links in groups.values()
        )

    @cached_property
    def loads(self) -> bool:
        """Whether anything but partial sums moves between two memories."""
        return any(stream.first and stream.link.boundary > 0 for stream in self.streams)


@dataclass(frozen=True)
class Levels:
    """The chains of a hierarchy, flattened operand by operand.

    Attributes:
        hierarchy: What they were made from.
    """

    hierarchy: Hierarchy

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """Levels of I, then W, then O, each from the array outwards."""
        return tuple(
            Level(number, depth, place, depth == len(chain) - 1)
            for number, chain in enumerate(self.hierarchy.chains[operand] for operand in OPERANDS)
            for depth, place in enumerate(chain)
        )

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Operand -> memories on its chain."""
        return tuple(len(self.hierarchy.chains[operand]) for operand in OPERANDS)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Operand -> position of its first level."""
        inputs, weights, _ = self.depths
        return (0, inputs, inputs + weights)

    @cached_property
    def reach(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Operand and depth -> positions of the array dimensions over which memories below that depth are shared."""
        found = []
        for operand in OPERANDS:
            served: set[str] = set()
            depths: list[tuple[int, ...]] = [()]
            for place in self.hierarchy.chains[operand]:
                served.update(self.hierarchy.memories[place].served)
                depths.append(tuple(n for n, name in enumerate(self.hierarchy.array.sizes) if name in served))
            found.append(tuple(depths))
        return tuple(found)

    @cached_property
    def in_memory(self) -> tuple[tuple[int, ...], ...]:
        """Memory -> its levels, in the order in which the memory lists its operands."""
        return tuple(
            tuple(
                next(
                    n
                    for n, level in enumerate(self.levels)
                    if (level.memory, level.operand) == (place, operand)
                )
                for operand in map(OPERANDS.index, memory.holds)
            )
            for place, memory in enumerate(self.hierarchy.memories)
        )

    @cached_property
    def ports(self) -> tuple[PortUse, ...]:
        """Ports through which anything moves; data do not move beyond the top of a chain."""
        found = []
        for place, memory in enumerate(self.hierarchy.memories):
            for number, port in enumerate(memory.ports):
                links = tuple(
                    self._link(level, place, number, move)
                    for level in self.in_memory[place]
                    for move in port.carries.get(OPERANDS[self.levels[level].operand], ())
                    if not (self.levels[level].top and move in OUTER_MOVES)
                )
                mixed = {link.operand for link in links} >= {0, 1}
                if links:
                    found.append(PortUse(port.max_bits, links, mixed))
        return tuple(found)

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """All links, level by level."""
        found = (link for port in self.ports for link in port.links)
        return tuple(sorted(found, key=lambda link: (link.level, MOVES.index(link.move))))

    def _link(self, level: int, place: int, number: int, move: str) -> Link:
        memory = self.hierarchy.memories[place]
        port = memory.ports[number]
        own = self.levels[level]
        return Link(
            operand=own.operand,
            level=level,
            memory=place,
            port=number,
            move=move,
            boundary=own.depth + (move in OUTER_MOVES),
            min_bits=port.min_bits,
            max_bits=port.max_bits,
            word_pj=memory.write_pj if move in WRITES else memory.read_pj,
            outer=move in OUTER_MOVES,
            partial=own.operand == 2 and move in ("read", "fill"),
        )

"""What a loop-nest accelerator consists of: an array of multipliers and memories with ports, checked when it is built.

An operand is one of ``I`` (input), ``W`` (weights or a second activation) and ``O`` (output). The memories that hold an
operand, from the array outwards, are its chain; data move along it in four directions, named as Timeloop does:
``fill`` into a memory from the next one outwards, ``read`` out of it towards the array, ``update`` into it from the
array's side, ``drain`` out of it to the next one outwards. Outputs use all four: partial sums come back by ``fill``
and ``read``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from hannah_hw.errors import TargetError

if TYPE_CHECKING:
    from hannah_hw.cost.loop_nest.levels import Levels

#: Operands, in the order in which all tables list them.
OPERANDS: Final = ("I", "W", "O")

#: Directions of data at a memory. ``fill`` and ``drain`` cross its outer boundary, ``read`` and ``update`` its inner.
MOVES: Final = ("fill", "read", "update", "drain")

#: Directions that write into a memory; the others read from it.
WRITES: Final = ("fill", "update")

#: Directions at the boundary towards the next memory outwards.
OUTER_MOVES: Final = ("fill", "drain")

#: Kinds of ports -> directions that one may carry.
PORT_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "read": ("read", "drain"),
    "write": ("fill", "update"),
    "read_write": MOVES,
}


@dataclass(frozen=True)
class Array:
    """The multipliers.

    Attributes:
        sizes: Dimension -> units along it.
        mac_pj: Energy of one multiply-accumulate in pJ.
        systolic: Dimensions along which results leave the array one unit a cycle.
    """

    sizes: Mapping[str, int]
    mac_pj: float
    systolic: tuple[str, ...] = ()

    @property
    def units(self) -> int:
        """Multipliers."""
        return math.prod(self.sizes.values())


@dataclass(frozen=True)
class Port:
    """One physical port of a memory; the moves it carries share its cycles.

    Attributes:
        name: Unique in its memory.
        kind: A key of `PORT_KINDS`.
        max_bits: Width of a word: bits that pass in a cycle.
        min_bits: Smallest part of a word that is paid for in energy, in bits.
        carries: Operand -> `MOVES` that pass here.
    """

    name: str
    kind: str
    max_bits: int
    min_bits: int
    carries: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Memory:
    """One kind of memory, of which there are as many instances as the array has units outside of ``served``.

    Attributes:
        name: Unique in the hierarchy.
        size_bits: Capacity of one instance; None: unlimited.
        holds: Operands that may lie here.
        served: Array dimensions over which one instance is shared, beside those that memories further in on the same
            chain are shared over.
        ports: Physical ports.
        read_pj: Energy of reading one word of ``max_bits`` in pJ; NaN where unknown.
        write_pj: The same of writing.
        double_buffer: True: a tile smaller than its tensor always has room for the next one beside it, at twice its
            size. False: never loaded ahead. None: loaded ahead where the space is free.
    """

    name: str
    size_bits: float | None
    holds: tuple[str, ...]
    served: tuple[str, ...]
    ports: tuple[Port, ...]
    read_pj: float
    write_pj: float
    double_buffer: bool | None = None

    @property
    def capacity(self) -> float:
        """Bits of one instance, infinity where unlimited."""
        return math.inf if self.size_bits is None else float(self.size_bits)


@dataclass(frozen=True)
class Hierarchy:
    """An accelerator as the loop-nest model sees it.

    Attributes:
        array: The multipliers.
        memories: From the array outwards.
        partial_bits: Width of partial sums; None: weight bits + input bits, at least 16 and at least the output's.
        name: For messages.

    Raises:
        TargetError: Something that cannot work: names the field and the next step.
    """

    array: Array
    memories: tuple[Memory, ...]
    partial_bits: int | None = None
    name: str = field(default="accelerator")

    def __post_init__(self) -> None:
        _check_array(self)
        names = [memory.name for memory in self.memories]
        for place, memory in enumerate(self.memories):
            where = f"{self.name} memories.{memory.name}"
            if memory.name in names[:place]:
                raise TargetError("a second memory of this name; give every memory its own", where=where)
            _check_memory(self.array, memory, where)
        for operand in OPERANDS:
            _check_path(self, operand)

    @cached_property
    def chains(self) -> Mapping[str, tuple[int, ...]]:
        """Operand -> positions of the memories that hold it, from the array outwards."""
        return {
            operand: tuple(i for i, memory in enumerate(self.memories) if operand in memory.holds)
            for operand in OPERANDS
        }

    @cached_property
    def shape(self) -> Levels:
        """The chains as flat tables, made once."""
        from hannah_hw.cost.loop_nest.levels import Levels

        return Levels(self)

    def memory(self, name: str) -> Memory:
        """A memory by name.

        Raises:
            TargetError: There is none of this name.
        """
        for memory in self.memories:
            if memory.name == name:
                return memory
        allowed = [memory.name for memory in self.memories]
        raise TargetError(f"there is no memory {name!r}", where=self.name, allowed=allowed, given=name)

    def ending(self, ends: Mapping[str, str]) -> Hierarchy:
        """The hierarchy of a layer whose tensors stay on chip: chains that end at an inner memory.

        The whole tensor of such an operand then lies in that memory, takes its capacity, and nothing of it moves
        beyond.

        Args:
            ends: Operand -> name of its outermost memory.

        Raises:
            TargetError: A memory that does not hold the operand.
        """
        kept = list(self.memories)
        for operand, end in ends.items():
            if operand not in self.memory(end).holds:
                allowed = [self.memories[i].name for i in self.chains[operand]]
                raise TargetError(
                    f"{operand} cannot stay in {end!r}, which does not hold it; name a memory that does",
                    where=self.name,
                    allowed=allowed,
                    given=end,
                )
            last = next(i for i, memory in enumerate(kept) if memory.name == end)
            kept = [
                memory if place <= last else _without(memory, operand) for place, memory in enumerate(kept)
            ]
        return replace(self, memories=tuple(memory for memory in kept if memory.holds))


def _without(memory: Memory, operand: str) -> Memory:
    """A memory that does not hold an operand."""
    ports = (
        replace(port, carries={name: moves for name, moves in port.carries.items() if name != operand})
        for port in memory.ports
    )
    return replace(
        memory,
        holds=tuple(name for name in memory.holds if name != operand),
        ports=tuple(port for port in ports if port.carries),
    )


def _check_array(hierarchy: Hierarchy) -> None:
    where = f"{hierarchy.name} array"
    if not hierarchy.array.sizes:
        raise TargetError(
            "the array has no dimension; give at least one, such as D1: 16", where=f"{where}.dims"
        )
    for name, size in hierarchy.array.sizes.items():
        if size < 1:
            raise TargetError(f"{name} has {size} units; give 1 or more", where=f"{where}.dims")
    for name in hierarchy.array.systolic:
        if name not in hierarchy.array.sizes:
            raise TargetError(
                f"{name!r} is no dimension of the array",
                where=f"{where}.systolic",
                allowed=list(hierarchy.array.sizes),
                given=name,
            )
    if hierarchy.partial_bits is not None and hierarchy.partial_bits < 1:
        raise TargetError("partial sums need 1 bit or more", where=f"{hierarchy.name} partial_bits")


def _check_memory(array: Array, memory: Memory, where: str) -> None:
    if memory.size_bits is not None and not memory.size_bits > 0:
        raise TargetError(
            f"the size is {memory.size_bits} bits; give more than 0, or none for unlimited",
            where=f"{where}.size",
        )
    if not memory.holds:
        raise TargetError(
            "holds no operand; name some or leave the memory out", where=f"{where}.holds", allowed=OPERANDS
        )
    for name in memory.holds:
        if name not in OPERANDS:
            raise TargetError(f"{name!r} is no operand", where=f"{where}.holds", allowed=OPERANDS, given=name)
    for name in memory.served:
        if name not in array.sizes:
            raise TargetError(
                f"{name!r} is no dimension of the array",
                where=f"{where}.served",
                allowed=list(array.sizes),
                given=name,
            )
    for cost, value in (("read_pj", memory.read_pj), ("write_pj", memory.write_pj)):
        if value < 0:
            raise TargetError(f"{value} pJ is negative; give 0 or more", where=f"{where}.{cost}")
    for port in memory.ports:
        _check_port(memory, port, f"{where}.ports.{port.name}")


def _check_port(memory: Memory, port: Port, where: str) -> None:
    if port.kind not in PORT_KINDS:
        raise TargetError(
            f"{port.kind!r} is no kind of port",
            where=f"{where}.kind",
            allowed=list(PORT_KINDS),
            given=port.kind,
        )
    if port.max_bits < 1:
        raise TargetError(f"passes {port.max_bits} bits a cycle; give 1 or more", where=f"{where}.max_bits")
    if not 1 <= port.min_bits <= port.max_bits:
        raise TargetError(
            f"is {port.min_bits}; give 1 to max_bits ({port.max_bits})", where=f"{where}.min_bits"
        )
    if not any(port.carries.values()):
        raise TargetError(
            "a port without direction; say which operands move how, such as carries: {I: [fill]}",
            where=f"{where}.carries",
        )
    for operand, moves in port.carries.items():
        if operand not in memory.holds:
            raise TargetError(
                f"carries {operand!r}, which the memory does not hold; hold it or drop it here",
                where=f"{where}.carries",
                allowed=memory.holds,
                given=operand,
            )
        possible = [move for move in PORT_KINDS[port.kind] if operand == "O" or move in ("fill", "read")]
        for move in moves:
            if move not in possible:
                raise TargetError(
                    f"a {port.kind} port cannot carry {move!r} of {operand}",
                    where=f"{where}.carries.{operand}",
                    allowed=possible,
                    given=move,
                )


def _check_path(hierarchy: Hierarchy, operand: str) -> None:
    """An operand needs a chain, and every move along it a port."""
    chain = hierarchy.chains[operand]
    if not chain:
        raise TargetError(
            f"{operand} has no path to the array: no memory holds it; add it to `holds` of one",
            where=f"{hierarchy.name} memories",
        )
    for place in chain:
        memory = hierarchy.memories[place]
        needed = ["read"] if operand != "O" else ["read", "update"]
        if place != chain[-1]:
            needed += ["fill"] if operand != "O" else ["fill", "drain"]
        carried = [move for port in memory.ports for move in port.carries.get(operand, ())]
        for move in MOVES:
            if carried.count(move) > 1:
                raise TargetError(
                    f"two ports carry {move!r} of {operand}; leave it to one of them",
                    where=f"{hierarchy.name} memories.{memory.name}.ports",
                )
        for move in needed:
            if move not in carried:
                raise TargetError(
                    f"{operand} has no path to the array: no port carries its {move!r}; "
                    f"add carries: {{{operand}: [{move}]}} to a port",
                    where=f"{hierarchy.name} memories.{memory.name}.ports",
                )

"""From a target file to the hierarchy that the loop-nest model evaluates."""

from __future__ import annotations

import math
from collections.abc import Iterable

from hannah_hw.cost.loop_nest.hierarchy import PORT_KINDS, Array, Hierarchy, Memory, Port
from hannah_hw.errors import TargetError
from hannah_hw.targets import Accelerator
from hannah_hw.targets.fields import SourcedNumber
from hannah_hw.targets.hardware import MemoryLevel

#: Inputs and weights are not written from the array's side, nor sent outwards.
_INWARDS = ("fill", "read")


def hierarchy(target: Accelerator) -> Hierarchy:
    """The hierarchy that a target describes.

    Raises:
        TargetError: The target has no array, or its memories cannot work together.
    """
    if target.array is None:
        raise TargetError(
            "a loop nest needs an array; describe it under `array`, such as dims: {D1: 16}", where=target.name
        )
    array = Array(dict(target.array.dims), _known(target.array.mac_pj), target.array.systolic)
    memories = tuple(_memory(memory) for memory in target.memories)
    return Hierarchy(array, memories, target.array.partial_sum_bits, target.name)


def _memory(level: MemoryLevel) -> Memory:
    return Memory(
        name=level.name,
        size_bits=None if level.size is None else 8 * level.size,
        holds=level.holds,
        served=level.served,
        ports=tuple(_ports(level)),
        read_pj=_known(level.read_pj),
        write_pj=_known(level.write_pj),
        double_buffer=None if level.double_buffer == "auto" else level.double_buffer,
    )


def _ports(level: MemoryLevel) -> Iterable[Port]:
    """Ports; one that does not say what it carries takes what no port before it and none that says so takes."""
    taken: set[tuple[str, str]] = {
        (operand, move) for port in level.ports for operand in port.carries for move in port.carries[operand]
    }
    for port in level.ports:
        carries: dict[str, tuple[str, ...]] = {name: tuple(moves) for name, moves in port.carries.items()}
        if not carries:
            possible = (
                (operand, move)
                for operand in level.holds
                for move in PORT_KINDS[port.kind]
                if operand == "O" or move in _INWARDS
            )
            for operand, move in possible:
                if (operand, move) not in taken:
                    carries[operand] = (*carries.get(operand, ()), move)
                    taken.add((operand, move))
        yield Port(port.name, port.kind, port.max_bits, port.min_bits or port.max_bits, carries)


def _known(number: SourcedNumber | None) -> float:
    return math.nan if number is None else number.value

"""The area of an accelerator: its multipliers and memories, one by one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hannah_hw.targets.accelerator import Accelerator


class AreaPart(NamedTuple):
    """Parts of one kind.

    Attributes:
        name: ``array``, or the name of a memory.
        number: How many of them there are.
        mm2: Area of all of them; NaN: not known.
    """

    name: str
    number: int
    mm2: float


def instances(target: Accelerator, position: int) -> int:
    """How many of a memory there are: one for all units of the array that share it.

    Sharing adds up along the way to the array: what shares a memory also shares those further out.
    """
    memory = target.memories[position]
    shared = set(memory.served)
    for inner in target.memories[:position]:
        if set(inner.holds) & set(memory.holds):
            shared |= set(inner.served)
    dims = target.array.dims if target.array is not None else {}
    return math.prod(size for name, size in dims.items() if name not in shared)


def area_parts(target: Accelerator) -> tuple[AreaPart, ...]:
    """The parts of a chip that its description knows of; memories without a size are outside of it."""
    parts = []
    if target.array is not None:
        one = target.array.mac_mm2
        count = math.prod(target.array.dims.values())
        parts.append(AreaPart("array", count, math.nan if one is None else count * one.value))
    for position, memory in enumerate(target.memories):
        if memory.size is not None:
            count = instances(target, position)
            one = memory.area_mm2
            parts.append(AreaPart(memory.name, count, math.nan if one is None else count * one.value))
    return tuple(parts)


def area_mm2(target: Accelerator) -> tuple[float, tuple[str, ...]]:
    """Area of the array and of the memories with a size, and what to know about it.

    Returns:
        Square millimetres, NaN where the area of a part is not known or there is none; and notes: which those are, and
        what is not counted.
    """
    parts = area_parts(target)
    unknown = [part.name for part in parts if math.isnan(part.mm2)]
    outside = [memory.name for memory in target.memories if memory.size is None]
    notes = []
    if not parts:
        notes.append("no area: the target describes neither an array nor memories")
    if unknown:
        fields = {"array": "array.mac_mm2"}
        named = ", ".join(fields.get(name, f"area_mm2 of {name}") for name in unknown)
        notes.append(f"no area: not known are {named}")
    elif outside:
        notes.append(
            f"the area leaves out {', '.join(outside)}, which has no size and is taken to be another chip"
        )
    if parts and not unknown:
        rest = "wires, control" + (" and the vector unit" if target.vector is not None else "")
        notes.append(f"the area leaves out {rest}")
    return (math.fsum(part.mm2 for part in parts) if parts else math.nan), tuple(notes)

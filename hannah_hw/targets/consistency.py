"""What has to fit together in an accelerator: names that fields use, and a way to the array for every operand.

What one section can tell about itself is checked where it is declared; here are the rules that need several.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from hannah_hw.errors import TargetError
from hannah_hw.targets.figures import Where, check_closed_form
from hannah_hw.targets.hardware import LOOP_NAMES, MemoryLevel, Operand

if TYPE_CHECKING:
    from hannah_hw.targets.accelerator import Accelerator

#: A path in the file.
Place = tuple[str | int, ...]
OPERANDS: Final[tuple[Operand, ...]] = ("I", "W", "O")


def check(target: Accelerator, where: Where) -> None:
    """Check the sections of a target against each other.

    Raises:
        TargetError: The first field that does not fit: its place, what is allowed.
    """
    _check_array(target, where)
    _check_memories(target, where)
    _check_unrollings(target, where)
    _check_units(target, where)
    check_closed_form(target, where)
    if target.memories:
        for operand in OPERANDS:
            _check_path(target.memories, operand, where)


def _known(name: str, allowed: Iterable[str], what: str, where: str) -> None:
    names = list(allowed)
    if name not in names:
        raise TargetError(f"{name!r} is no {what}", where=where, allowed=names, given=name)


def _check_array(target: Accelerator, where: Where) -> None:
    array = target.array
    if array is None:
        if target.kind == "loop_nest":
            raise TargetError(
                "the model loop_nest needs the section 'array', such as dims: {D1: 16, D2: 16}",
                where=where(("model", "kind")),
            )
        return
    for position, name in enumerate(array.systolic):
        _known(name, array.dims, "dimension of the array", where(("array", "systolic", position)))


def _check_memories(target: Accelerator, where: Where) -> None:
    if target.kind == "loop_nest" and not target.memories:
        raise TargetError("the model loop_nest needs 'memories'", where=where(("model", "kind")))
    dims = target.array.dims if target.array is not None else {}
    names = [memory.name for memory in target.memories]
    for position, memory in enumerate(target.memories):
        place: Place = ("memories", position)
        if memory.name in names[:position]:
            raise TargetError(
                f"a second memory is called {memory.name!r}; give every memory its own name",
                where=where((*place, "name")),
            )
        for number, name in enumerate(memory.served):
            _known(name, dims, "dimension of the array", where((*place, "served", number)))
        _check_ports(memory, place, where)
        further = [
            other.name for other in target.memories[position + 1 :] if {*other.holds} & {*memory.holds}
        ]
        if memory.size is None and further:
            raise TargetError(
                f"{memory.name!r} has no size, and only the outermost memory of an operand may be without bound; "
                f"further out is {further[0]!r}: give a size, such as size: 64 KiB",
                where=where(place),
            )
    if target.on_chip is not None:
        bounded = [memory.name for memory in target.memories if memory.size is not None]
        _known(target.on_chip, bounded, "memory with a size", where(("on_chip",)))
        holds = next(memory.holds for memory in target.memories if memory.name == target.on_chip)
        missing = [operand for operand in ("I", "O") if operand not in holds]
        if missing:
            raise TargetError(
                f"activations cannot stay in {target.on_chip!r}, which does not hold {' and '.join(missing)}",
                where=where(("on_chip",)),
                allowed=[m.name for m in target.memories if {"I", "O"} <= {*m.holds} and m.size is not None],
            )


def _check_ports(memory: MemoryLevel, place: Place, where: Where) -> None:
    names = [port.name for port in memory.ports]
    for number, port in enumerate(memory.ports):
        if port.name in names[:number]:
            raise TargetError(
                f"a second port is called {port.name!r}; give every port its own name",
                where=where((*place, "ports", number, "name")),
            )
        for operand in port.carries:
            if operand not in memory.holds:
                raise TargetError(
                    f"the port carries {operand}, which {memory.name!r} does not hold; add it to 'holds', or remove "
                    "it here",
                    where=where((*place, "ports", number, "carries", operand)),
                    allowed=memory.holds,
                )


def _check_unrollings(target: Accelerator, where: Where) -> None:
    if target.dataflow.spatial == "search":
        return
    dims = target.array.dims if target.array is not None else {}
    for position, unrolling in enumerate(target.dataflow.spatial):
        for name, loops in unrolling.items():
            place = ("dataflow", "spatial", position, name)
            _known(name, dims, "dimension of the array", where(place))
            for loop in loops:
                _known(loop, LOOP_NAMES, "loop", where((*place, loop)))
            units = math.prod(loops.values())
            if units > dims[name]:
                shown = " x ".join(f"{loop} {count}" for loop, count in loops.items())
                raise TargetError(
                    f"contradictory unrolling: {shown} takes {units} units of {name}, which has {dims[name]}; "
                    "lower a factor, or widen the array",
                    where=where(place),
                )


def _check_units(target: Accelerator, where: Where) -> None:
    """Rules send kernels to units that there must be."""
    if target.unsupported == "cpu_fallback" and target.cpu_fallback is None:
        raise TargetError(
            "'cpu_fallback' needs the section cpu_fallback with cycles_per_mac and cycles_per_value, "
            "or write 'unsupported: error'",
            where=where(("unsupported",)),
        )
    for position, rule in enumerate(target.ops):
        place = where(("ops", position, "unit"))
        if rule.unit == "vector" and target.vector is None:
            raise TargetError("the rule needs the section 'vector', which describes that unit", where=place)
        if rule.unit == "cpu" and target.cpu_fallback is None:
            raise TargetError("the rule needs the section 'cpu_fallback', which describes it", where=place)


def _check_path(memories: tuple[MemoryLevel, ...], operand: Operand, where: Where) -> None:
    """An operand needs memories, and a port for every movement along them."""
    chain = [position for position, memory in enumerate(memories) if operand in memory.holds]
    if not chain:
        raise TargetError(
            f"{operand} has no path to the array: no memory holds it; add {operand} to 'holds' of one",
            where=where(("memories",)),
        )
    for position in chain:
        memory = memories[position]
        carried = {move for moves in memory.carried().values() for move in moves.get(operand, ())}
        needed = ["read"] if operand != "O" else ["read", "update"]
        if position != chain[-1]:
            needed += ["fill"] if operand != "O" else ["fill", "drain"]
        for move in needed:
            if move not in carried:
                raise TargetError(
                    f"{operand} has no path to the array: no port of {memory.name!r} carries its {move!r}; "
                    f"add carries: {{{operand}: [{move}]}} to a port whose kind allows it",
                    where=where(("memories", position, "ports")),
                )

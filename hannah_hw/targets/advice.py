"""What a description of an accelerator amounts to, and what in it is likely to be a mistake."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from hannah_hw.errors import TargetError
from hannah_hw.quantities import format_bytes, format_si
from hannah_hw.targets.accelerator import Accelerator
from hannah_hw.targets.area import area_mm2, instances
from hannah_hw.targets.consistency import OPERANDS
from hannah_hw.targets.fields import SourcedNumber
from hannah_hw.targets.hardware import Operand
from hannah_hw.targets.models.block import BlockModel
from hannah_hw.targets.params import Value
from hannah_hw.workload.table import KERNEL_KINDS

#: Bits of a value of networks that are quantised as this package does it.
_VALUE_BITS: Final = 8
#: Clocks below this are taken to lack their unit.
_SLOW_HZ: Final = 1e4
#: Most variants of the params that are tried.
_TRIED: Final = 200


def understood(target: Accelerator) -> dict[str, Any]:
    """What the description amounts to, as JSON-able data."""
    area, notes = area_mm2(target)
    found: dict[str, Any] = {
        "multipliers": multipliers(target),
        "on_chip_bytes": on_chip_bytes(target),
        "area_mm2": None if math.isnan(area) else area,
        "area_notes": list(notes),
        "variants": math.prod(len(param.levels) for param in target.params.values()),
        "energy_unknown": list(unknown_energies(target)),
        "operators": sorted({kind for rule in target.ops for kind in rule.kinds}),
        "balance": list(balance(target)),
    }
    found["peak_macs_per_s"] = found["multipliers"] * target.clock_hz
    return found


def multipliers(target: Accelerator) -> int:
    """Multiply-accumulates a cycle at most; 0: the description does not say."""
    if isinstance(target.model, BlockModel):
        return target.model.macs * target.model.cores
    return 0 if target.array is None else math.prod(target.array.dims.values())


def on_chip_bytes(target: Accelerator) -> int:
    """Bytes of all instances of the memories with a size."""
    return sum(
        memory.size * instances(target, position)
        for position, memory in enumerate(target.memories)
        if memory.size is not None
    )


def unknown_energies(target: Accelerator) -> Iterator[str]:
    """Fields without which layers have no energy; other models than loop nests may know it otherwise."""
    if target.kind != "loop_nest":
        return
    if target.array is not None and target.array.mac_pj is None:
        yield "array.mac_pj"
    for memory in target.memories:
        moves = {move for moves in memory.carried().values() for of in moves.values() for move in of}
        for field, uses in (("read_pj", {"read", "drain"}), ("write_pj", {"fill", "update"})):
            if getattr(memory, field) is None and moves & uses:
                yield f"memories.{memory.name}.{field}"
    if target.vector is not None and target.vector.op_pj is None:
        yield "vector.op_pj"


def balance(target: Accelerator) -> Iterator[dict[str, Any]]:
    """For each memory, how often a value that it delivers has to be used so that the array never waits for it.

    With the first unrolling of the file, and 8 bits a value; outputs are counted as partial sums that are written.
    """
    unrollings = _unrollings(target)
    if target.array is None or not unrollings:
        return
    for operand in OPERANDS:
        bits = target.array.partial_sum_bits if operand == "O" else _VALUE_BITS
        move = "update" if operand == "O" else "read"
        wanted = bits * values(unrollings[0], target.array.dims, operand)
        for position, memory in enumerate(target.memories):
            carried = memory.carried()
            width = sum(p.max_bits for p in memory.ports if move in carried[p.name].get(operand, ()))
            if operand in memory.holds and width:
                supplied = width * instances(target, position)
                yield {
                    "operand": operand,
                    "memory": memory.name,
                    "wanted_bits": wanted,
                    "supplied_bits": supplied,
                    "uses": wanted / supplied,
                }


def values(unrolling: Mapping[str, Mapping[str, int]], dims: Collection[str], operand: Operand) -> int:
    """Different values of an operand that the units along some dimensions work on in one cycle, at stride 1."""
    size = dict.fromkeys(("B", "K", "G", "OX", "OY", "C", "FX", "FY"), 1)
    for side, loops in unrolling.items():
        for loop, units in loops.items():
            size[loop] *= units if side in dims else 1
    if operand == "W":
        return size["K"] * size["G"] * size["C"] * size["FX"] * size["FY"]
    if operand == "O":
        return size["B"] * size["K"] * size["G"] * size["OX"] * size["OY"]
    window = (size["OX"] + size["FX"] - 1) * (size["OY"] + size["FY"] - 1)
    return size["B"] * size["G"] * size["C"] * window


def warnings(target: Accelerator) -> Iterator[str]:
    """What is likely to be a mistake, and what to do about it."""
    if target.clock_hz < _SLOW_HZ:
        yield (
            f"the clock is {format_si(target.clock_hz, 'Hz')}; a number without a unit is in hertz, so write "
            f"'{target.clock_hz:g} MHz' if that is meant"
        )
    yield from _small_memories(target)
    for position, unrolling in enumerate(_unrollings(target)):
        idle = [name for name in (target.array.dims if target.array else ()) if not unrolling.get(name)]
        if idle:
            yield (
                f"unrolling {position + 1} leaves {' and '.join(idle)} without a loop, so that one unit along "
                f"{'each of them' if len(idle) > 1 else 'it'} works; add one, such as {idle[0]}: {{OX: 2}}"
            )
    for entry in balance(target):
        if entry["uses"] > 1 and entry["memory"] == _innermost(target, entry["operand"]):
            yield (
                f"the array takes {entry['wanted_bits']} bit of {entry['operand']} a cycle, and {entry['memory']!r} "
                f"next to it delivers {entry['supplied_bits']}: widen its ports, or let units share values"
            )
    unknown = list(unknown_energies(target))
    if unknown:
        yield f"no energy will be given, as these are not known: {', '.join(unknown)}"
    for place, figure in _figures(target):
        if figure.reference.endswith("extrapolated"):
            yield f"{place} lies outside of the points of its fit, so that its error is not known"
    missing = [kind for kind in KERNEL_KINDS if not any(kind in rule.kinds for rule in target.ops)]
    if missing and target.unsupported == "error":
        yield f"networks with these operators cannot run, as no rule allows them: {', '.join(missing)}"
    yield from _impossible_variants(target)


def _unrollings(target: Accelerator) -> tuple[Mapping[str, Mapping[str, int]], ...]:
    spatial = target.dataflow.spatial
    return () if isinstance(spatial, str) else spatial


def _innermost(target: Accelerator, operand: str) -> str:
    return next(memory.name for memory in target.memories if operand in memory.holds)


def _small_memories(target: Accelerator) -> Iterator[str]:
    """Memories that cannot hold what the units they serve work on at once."""
    if target.array is None:
        return
    for unrolling in _unrollings(target):
        for position, memory in enumerate(target.memories):
            if memory.size is None:
                continue
            served = {
                name for inner in target.memories[: position + 1] for name in _served(inner, memory.holds)
            }
            tiles = {
                operand: (target.array.partial_sum_bits if operand == "O" else _VALUE_BITS)
                * values(unrolling, served, operand)
                for operand in memory.holds
            }
            if sum(tiles.values()) > 8 * memory.size:
                shown = ", ".join(f"{operand} {bits / 8:g} B" for operand, bits in tiles.items())
                yield (
                    f"{memory.name!r} has {format_bytes(memory.size)} and cannot hold one tile: {shown} (8-bit values, "
                    f"partial sums of {target.array.partial_sum_bits} bit); make it larger, or narrow the unrolling"
                )


def _served(inner: Any, holds: Iterable[str]) -> tuple[str, ...]:
    return inner.served if set(inner.holds) & set(holds) else ()


def _figures(target: Accelerator) -> Iterator[tuple[str, SourcedNumber]]:
    for memory in target.memories:
        for field in ("read_pj", "write_pj", "area_mm2"):
            figure = getattr(memory, field)
            if figure is not None:
                yield f"memories.{memory.name}.{field}", figure


def _impossible_variants(target: Accelerator) -> Iterator[str]:
    """Values of one param, the others at their defaults, with which there is no such chip."""
    tried = 0
    for name, param in target.params.items():
        wrong: list[tuple[Value, str]] = []
        for level in param.levels:
            if tried == _TRIED:
                return
            tried += 1
            try:
                target.with_params({name: level.written})
            except TargetError as failure:
                wrong.append((str(level), failure.message))
        if wrong:
            shown = ", ".join(str(value) for value, _ in wrong)
            yield f"no such chip can be with {name} = {shown}: {wrong[0][1]}"

"""The memory hierarchy of an accelerator as text, from the outermost memory down to the array."""

from __future__ import annotations

import math
from collections.abc import Iterator

from hannah_hw.quantities import format_bytes
from hannah_hw.targets.accelerator import Accelerator
from hannah_hw.targets.area import instances
from hannah_hw.targets.consistency import OPERANDS
from hannah_hw.targets.fields import SourcedNumber
from hannah_hw.targets.hardware import MemoryLevel, Port

#: Marks of a memory that holds an operand, and of one that it passes by.
_HOLDS, _PASSES = "●", "│"


def draw(target: Accelerator) -> list[str]:
    """Lines of the drawing; none for a target without memories and without an array.

    The columns on the left are the ways of inputs, weights and outputs.
    """
    if not target.memories and target.array is None:
        return []
    started: set[str] = set()
    lines = ["I W O"]
    for position in reversed(range(len(target.memories))):
        memory = target.memories[position]
        started |= set(memory.holds)
        rails = [_HOLDS if name in memory.holds else _PASSES if name in started else " " for name in OPERANDS]
        below = " ".join(_PASSES if name in started else " " for name in OPERANDS)
        head, *rest = _memory(target, position, memory)
        lines.append(f"{' '.join(rails)}  {head}")
        lines += [f"{below}      {line}" for line in rest]
    head, *rest = _array(target)
    lines.append(f"{'▼ ▼ ▲' if target.memories else '     '}  {head}")
    lines += [f"           {line}" for line in rest]
    return lines


def sources(target: Accelerator) -> list[tuple[str, str, str]]:
    """Where the figures of the drawing come from: fields, kind of source and reference, one entry a reference."""
    found: dict[tuple[str, str], list[str]] = {}
    for place, figure in _figures(target):
        found.setdefault((figure.source, _stated(figure)), []).append(place)
    return [(", ".join(places), source, reference) for (source, reference), places in found.items()]


def _stated(figure: SourcedNumber) -> str:
    if figure.error is None:
        return figure.reference
    return f"{figure.reference}; ± {100 * figure.error:.3g} %"


def _figures(target: Accelerator) -> Iterator[tuple[str, SourcedNumber]]:
    parts = [(memory.name, memory, ("read_pj", "write_pj", "area_mm2")) for memory in target.memories]
    for name, part, fields in [*parts, ("array", target.array, ("mac_pj", "mac_mm2"))]:
        for field in fields:
            figure = getattr(part, field, None)
            if figure is not None:
                yield f"{name}.{field}", figure


def _memory(target: Accelerator, position: int, memory: MemoryLevel) -> Iterator[str]:
    count = instances(target, position)
    size = "no bound" if memory.size is None else format_bytes(memory.size)
    words = [memory.name, f"{count} x {size}" if count > 1 else size]
    words.append(f"holds {' '.join(memory.holds)}")
    if memory.served:
        words.append(f"shared over {' '.join(memory.served)}")
    if memory.name == target.on_chip:
        words.append("activations stay here")
    if memory.double_buffer != "auto":
        words.append("double buffer" if memory.double_buffer else "no double buffer")
    yield ", ".join(words)
    carried = memory.carried()
    for port in memory.ports:
        moves = "; ".join(f"{operand} {' '.join(moves)}" for operand, moves in carried[port.name].items())
        yield f"{port.name}: {_width(port)} a cycle, {moves or 'nothing'}"
    energies = [
        f"{verb} {_figure(value, 'pJ')}"
        for verb, value in (("read", memory.read_pj), ("write", memory.write_pj))
        if value is not None
    ]
    yield "a word: " + ", ".join(energies) if energies else "energy not known"
    if memory.area_mm2 is not None:
        yield f"area: {_figure(memory.area_mm2, 'mm2')}" + (" each" if count > 1 else "")


def _width(port: Port) -> str:
    least = port.min_bits or port.max_bits
    return f"{port.max_bits} bit" if least == port.max_bits else f"{least} to {port.max_bits} bit"


def _figure(value: SourcedNumber, unit: str) -> str:
    return f"{value.value:.4g} {unit} ({value.source})"


def _array(target: Accelerator) -> Iterator[str]:
    array = target.array
    if array is None:
        yield "the arithmetic: as the model says"
        return
    shown = " x ".join(f"{name} {size}" for name, size in array.dims.items())
    total = math.prod(array.dims.values())
    yield f"array, {shown} = {total} multipliers" if len(array.dims) > 1 else f"array, {shown} multipliers"
    if array.systolic:
        yield f"systolic along {' '.join(array.systolic)}"
    energy = "energy not known" if array.mac_pj is None else _figure(array.mac_pj, "pJ")
    yield f"a multiply-accumulate: {energy}, partial sums of {array.partial_sum_bits} bit"
    if array.mac_mm2 is not None:
        yield f"area: {_figure(array.mac_mm2, 'mm2')} each"
    if target.dataflow.spatial == "search":
        if target.kind == "loop_nest":
            yield "unrolled: searched for each layer"
        return
    for unrolling in target.dataflow.spatial:
        sides = (
            f"{side}: {' x '.join(f'{loop} {units}' for loop, units in loops.items())}"
            for side, loops in unrolling.items()
        )
        yield "unrolled: " + ", ".join(sides)

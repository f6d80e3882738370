"""What formulas of a target's file may read of the target itself, and whether they read nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from hannah_hw.errors import TargetError
from hannah_hw.targets.area import instances
from hannah_hw.targets.formulas import Formula
from hannah_hw.targets.hardware import MemoryLevel
from hannah_hw.targets.models.closed_form import ARRAY_FORMS, ClosedFormModel
from hannah_hw.workload.table import KERNEL_COLUMNS

if TYPE_CHECKING:
    from hannah_hw.targets.accelerator import Accelerator

#: A path in the file -> ``file:line:column path``.
Where = Callable[[tuple[str | int, ...]], str]


def figures(target: Accelerator) -> dict[str, float]:
    """Figures of a target that its formulas may read, by name; NaN of one that its file does not give.

    ``mac_pj``; the dimensions of the array; the ``settings`` of the model; and of each memory NAME its ``NAME_bytes``
    (of all instances, infinite without a bound), ``NAME_read_bits`` and ``NAME_write_bits`` a cycle, ``NAME_read_pj``
    and ``NAME_write_pj`` a word.
    """
    array = target.array
    found = {"mac_pj": math.nan if array is None or array.mac_pj is None else array.mac_pj.value}
    dims = {} if array is None else array.dims
    found |= {name: float(size) for name, size in dims.items()}
    if isinstance(target.model, ClosedFormModel):
        found |= {name: figure.value for name, figure in target.model.settings.items()}
    for position, memory in enumerate(target.memories):
        found |= _of_memory(memory, instances(target, position))
    return found


def _of_memory(memory: MemoryLevel, number: int) -> dict[str, float]:
    name = memory.name
    return {
        f"{name}_bytes": math.inf if memory.size is None else float(memory.size * number),
        f"{name}_read_bits": float(sum(port.max_bits for port in memory.ports if port.kind != "write")),
        f"{name}_write_bits": float(sum(port.max_bits for port in memory.ports if port.kind != "read")),
        f"{name}_read_pj": math.nan if memory.read_pj is None else memory.read_pj.value,
        f"{name}_write_pj": math.nan if memory.write_pj is None else memory.write_pj.value,
    }


def check_closed_form(target: Accelerator, where: Where) -> None:
    """Check that the closed form of a target has the array, and its formulas the names, that they need.

    Raises:
        TargetError: The first that does not fit: its place, what is allowed.
    """
    model = target.model
    if not isinstance(model, ClosedFormModel):
        return
    sides = len(target.array.dims) if target.array is not None else 0
    if model.form in ARRAY_FORMS and sides != 2:
        raise TargetError(
            f"the closed form {model.form!r} is of an array with two dimensions, and this one has {sides}",
            where=where(("array", "dims") if sides else ("model", "form")),
            allowed=("dims: {rows: 16, columns: 16}",),
        )
    known = figures(target)
    names = _check_steps(model.let, [*KERNEL_COLUMNS, *known], known, ("model", "let"), where)
    for index, entry in enumerate(model.layers):
        place = ("model", "layers", index)
        own = _check_steps(entry.let, names, known, (*place, "let"), where)
        for field, given in (("cycles", entry.cycles), ("energy_pj", entry.energy_pj)):
            for part, text in _parts(given):
                _check_formula(text, own, known, where((*place, field, *part)))


def _parts(given: str | Mapping[str, str] | None) -> list[tuple[tuple[str, ...], str]]:
    """Path below the field, and formula."""
    if given is None:
        return []
    return [((), given)] if isinstance(given, str) else [((name,), text) for name, text in given.items()]


def _check_steps(
    texts: Mapping[str, str],
    names: list[str],
    known: Mapping[str, float],
    place: tuple[str | int, ...],
    where: Where,
) -> list[str]:
    """Check formulas each of which may read those before it; the names that there are after them."""
    for name, text in texts.items():
        _check_formula(text, names, known, where((*place, name)))
        names = [*names, name]
    return names


def _check_formula(text: str, names: Collection[str], known: Mapping[str, float], where: str) -> None:
    try:
        formula = Formula.parse(text, names)
    except TargetError as failure:
        raise TargetError(
            failure.message, where=where, allowed=failure.allowed, given=failure.given
        ) from failure
    for name in formula.names:
        if math.isnan(known.get(name, 0.0)):
            raise TargetError(
                f"the formula {text!r} reads {name!r}, of which the file says nothing", where=where
            )

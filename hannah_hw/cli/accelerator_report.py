"""How ``hannah-hw estimate`` shows what a model costs on an accelerator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from hannah_hw.cli.output import paragraph, table, write
from hannah_hw.errors import InputError
from hannah_hw.quantities import format_bytes, format_si

if TYPE_CHECKING:
    from hannah_hw.cost import CostReport
    from hannah_hw.cost.report import KernelRow, Memory

_OPERANDS: Final = ("I", "W", "O")


def render_kernels(report: CostReport) -> None:
    """Kernels, then where the energy goes, then where values lie."""
    rows = [
        (
            row.name,
            row.kernel_class,
            row.bits or "8",
            None if row.macs is None else f"{row.macs:,}",
            None if row.cycles is None else f"{row.cycles:,.0f}",
            _shares(row.cycle_parts),
            None if row.utilisation is None else f"{100 * row.utilisation:.1f} %",
            None if row.latency_s is None else format_si(row.latency_s, "s"),
            None if row.energy_j is None else format_si(row.energy_j, "J"),
            format_bytes(row.weight_bytes),
        )
        for row in report.kernels
    ]
    names = ("kernel", "unit", "bits", "MACs", "cycles", "of which", "used", "latency", "energy", "weights")
    table(
        names, rows, right=(3, 4, 6, 7, 8, 9), spare=("of which", "bits", "weights", "used", "unit", "MACs")
    )
    if report.energy_j:
        write("")
        _render_energy(report, report.energy_j)
    if report.supported and report.memory is not None:
        write("")
        _render_places(report, report.memory)
    for note in report.notes:
        write("")
        paragraph(f"note: {note}")


def _shares(parts: Mapping[str, float]) -> str | None:
    """Parts of cycles of at least 0.1 %, the largest first; None where there is one only."""
    total = sum(parts.values())
    if len(parts) < 2 or not total:
        return None
    ordered = sorted(parts.items(), key=lambda item: -item[1])
    return ", ".join(
        f"{name} {100 * value / total:.1f} %" for name, value in ordered if value >= total / 1000
    )


def _render_energy(report: CostReport, total: float) -> None:
    """Energy by memory and operand, and by what computes."""
    found: dict[str, dict[str, float]] = {}
    for row in report.kernels:
        for part, energy in row.energy_parts_j.items():
            place, _, operand = part.rpartition(" ")
            place, operand = (place, operand) if place and operand in _OPERANDS else (part, "")
            cells = found.setdefault(place, {})
            cells[operand] = cells.get(operand, 0.0) + energy
    kernels = sum(row.energy_j or 0.0 for row in report.kernels)
    if total > kernels * (1 + 1e-9):
        found["static"] = {"": total - kernels}
    rows = []
    for place, cells in sorted(found.items(), key=lambda item: -sum(item[1].values())):
        energy = sum(cells.values())
        operands = [format_si(cells[o], "J") if cells.get(o) else None for o in _OPERANDS]
        rows.append((place, *operands, format_si(energy, "J"), f"{100 * energy / total:.1f} %"))
    table(("energy in", "inputs", "weights", "outputs", "all", "share"), rows, right=range(1, 6))


def _render_places(report: CostReport, memory: Memory) -> None:
    """Where buffers and weights lie; buffers by memory, the most bytes first."""
    places: dict[str, list[tuple[str, int]]] = {}
    for buffer in memory.buffers:
        places.setdefault(buffer.memory or "", []).append((buffer.name, buffer.bytes))
    rows = [
        (place, len(held), format_bytes(sum(size for _, size in held)), _named([name for name, _ in held]))
        for place, held in sorted(places.items(), key=lambda item: -sum(size for _, size in item[1]))
    ]
    table(("memory", "buffers", "bytes", "which"), rows, right=(1, 2))
    write(f"weights: {format_bytes(report.flash.weights)} in {memory.weights_in}")


def _named(names: list[str], most: int = 2) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def render_kernel(report: CostReport, name: str) -> None:
    """Everything about one kernel, its mapping included.

    Raises:
        InputError: There is no such kernel.
    """
    row = kernel(report, name)
    write("")
    rows: list[tuple[str, str | None]] = [("kernel", row.name), ("unit", row.kernel_class)]
    rows += [(f"cycles: {part}", f"{value:,.0f}") for part, value in row.cycle_parts.items()]
    rows += [(f"energy: {part}", format_si(value, "J")) for part, value in row.energy_parts_j.items()]
    rows += [(key, str(value)) for key, value in row.detail.items() if isinstance(value, str | int | float)]
    plain = [(key, value) for key, value in rows if value is None or "\n" not in value]
    table(("of this kernel", "value"), plain)
    for key, value in rows:
        if value is not None and "\n" in value:
            write("")
            write(f"{key}:")
            write(value)


def kernel(report: CostReport, name: str) -> KernelRow:
    """A kernel of the report by its name.

    Raises:
        InputError: There is no such kernel.
    """
    for row in report.kernels:
        if row.name == name:
            return row
    raise InputError(
        f"the model has no kernel {name!r}",
        where="--kernel",
        allowed=[row.name for row in report.kernels],
        given=name,
    )

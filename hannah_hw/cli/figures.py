"""The table of a network's figures: value, source, error and what each rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hannah_hw.cli.output import table
from hannah_hw.quantities import format_bytes, format_si

if TYPE_CHECKING:
    from hannah_hw.cost.report import Figure


def figure_table(figures: Mapping[str, Figure], *, least: bool = False) -> None:
    """Write the table.

    Args:
        figures: Key -> figure.
        least: Whether the values are lower bounds.
    """
    rows = []
    noted: dict[str, str] = {}
    for key, figure in figures.items():
        value = "-" if figure.value is None else show(figure.value, figure.unit)
        error = "not known" if figure.error is None else f"± {100 * figure.error:.2g} %"
        first = noted.setdefault(figure.note, key)
        rows.append(
            (
                key,
                f"more than {value}" if least else value,
                figure.source,
                "exact" if figure.error == 0 else error,
                figure.note if first == key or not figure.note else f"as {first}",
            )
        )
    table(("figure", "value", "source", "error", "note"), rows, right=[1])


def show(value: float, unit: str) -> str:
    """A figure as a person reads it."""
    if unit in ("B", "bytes"):
        return format_bytes(value)
    if unit in ("s", "J", "W", "Hz"):
        return format_si(value, unit)
    if unit == "mm2":
        return f"{value:.3g} mm²"
    return f"{value:,.0f} {unit}".rstrip()

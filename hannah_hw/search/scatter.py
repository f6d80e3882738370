"""Points of two quantities drawn with characters, for terminals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

#: Ratio of the largest to the smallest value from which an axis of positive values is logarithmic.
_WIDE: Final = 50.0
#: Columns and rows below which nothing can be told from a drawing.
LEAST_WIDTH: Final = 24
LEAST_HEIGHT: Final = 4


@dataclass(frozen=True)
class PlotAxis:
    """A quantity along one side.

    Attributes:
        label: Its name.
        values: One a point, finite.
        format: A value as a person reads it.
    """

    label: str
    values: Sequence[float]
    format: Callable[[float], str]

    @property
    def logarithmic(self) -> bool:
        """Whether equal distances are equal ratios: where positive values span more than a factor of 50."""
        least, most = min(self.values), max(self.values)
        return least > 0 and most / least > _WIDE

    def cells(self, count: int) -> list[int]:
        """The cell of each point, of `count` along the side; all in the middle where there is one value."""
        values = [math.log(v) for v in self.values] if self.logarithmic else list(self.values)
        least, extent = min(values), max(values) - min(values)
        if extent <= 0:
            return [count // 2] * len(values)
        return [round((value - least) / extent * (count - 1)) for value in values]


def scatter(
    x: PlotAxis, y: PlotAxis, width: int, height: int, marks: Mapping[int, str], *, plain: bool = False
) -> list[str]:
    """Points as lines of text: small values of y at the bottom, of x to the left.

    Args:
        x: The horizontal quantity.
        y: The vertical one.
        width: Columns at most.
        height: Lines, with those of the labels.
        marks: Position of a point -> the character that is drawn for it, over all others.
        plain: Whether to use ASCII alone.

    Returns:
        The lines; none where there is no point, or too little room.
    """
    rows = height - 3
    if not x.values or width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return []
    dot, bar, tick, corner, floor = ("o", "|", "+", "+", "-") if plain else ("•", "│", "┤", "└", "─")
    top, bottom = y.format(max(y.values)), y.format(min(y.values))
    gutter = max(len(top), len(bottom))
    columns = width - gutter - 2
    grid = [[" "] * columns for _ in range(rows)]
    places = list(zip(x.cells(columns), y.cells(rows), strict=True))
    for index in [*range(len(places)), *marks]:
        column, row = places[index]
        grid[rows - 1 - row][column] = marks.get(index, dot)
    lines = [f"{y.label}{_scale(y)}"]
    for number, cells in enumerate(grid):
        label = top if number == 0 else bottom if number == rows - 1 else ""
        lines.append(f"{label:>{gutter}} {tick if label else bar}{''.join(cells)}".rstrip())
    lines.append(f"{'':>{gutter}} {corner}{floor * columns}")
    left, right = x.format(min(x.values)), x.format(max(x.values))
    middle = f"{x.label}{_scale(x)}"
    room = columns + 1 - len(left) - len(right)
    lines.append(f"{'':>{gutter}} {left}{middle if room > len(middle) + 1 else '':^{max(room, 1)}}{right}")
    return [line[:width] for line in lines]


def _scale(axis: PlotAxis) -> str:
    return ", log" if axis.logarithmic else ""

"""The front of a run as lines of text: a table, and beside it a plot of the first two objectives."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

import numpy as np

from hannah_hw.search.metrics import METRICS
from hannah_hw.search.observers import Front
from hannah_hw.search.preference import knee_index
from hannah_hw.search.scatter import PlotAxis, scatter

#: Members that are listed at most, and lines of the plot.
_LISTED: Final = 8
_LINES: Final = 11
#: Columns of the plot at most, and between it and the table.
_WIDEST: Final = 60
_APART: Final = 3


def front_lines(front: Front, width: int, *, plain: bool = False) -> list[str]:
    """The front for a terminal of some width.

    Args:
        front: At least one candidate.
        width: Columns; where the plot finds no room beside the table, it is left out.
        plain: Whether to use ASCII alone.
    """
    knee = knee_index(front.points)
    listed = _table(front, shown(front, knee), knee)
    taken = max(map(len, listed)) + _APART
    drawn = plot(front, min(width - taken, _WIDEST), plain=plain)
    beside = itertools.zip_longest(listed, drawn, fillvalue="")
    return [f"{left:<{taken}}{right}".rstrip()[:width] for left, right in beside]


def plot(front: Front, width: int, *, plain: bool = False) -> list[str]:
    """The plot alone; no lines where there is one objective, or too little room."""
    if len(front.objectives) < 2:
        return []
    y, x = (
        PlotAxis(name if direction == "min" else f"{name}, max", front.values(name), METRICS[name].format)
        for name, direction in itertools.islice(front.objectives.items(), 2)
    )
    knee = knee_index(front.points)
    marks = {} if knee is None else {knee: "K" if plain else "◆"}
    return scatter(x, y, width, _LINES, marks, plain=plain)


def shown(front: Front, knee: int | None) -> list[int]:
    """Positions of the members that are listed, the best by the first objective first: both ends, the knee, others."""
    order = [int(place) for place in np.argsort(front.points[:, 0], kind="stable")]
    if len(order) <= _LISTED:
        return order
    places = {round(place) for place in np.linspace(0, len(order) - 1, _LISTED - 1)}
    if knee is not None:
        places.add(order.index(knee))
    return [order[place] for place in sorted(places)]


def _table(front: Front, places: Sequence[int], knee: int | None) -> list[str]:
    names = list(front.objectives)
    columns = [front.values(name) for name in names]
    body = [
        [
            "knee" if place == knee else "",
            front.ids[place],
            *(METRICS[name].format(values[place]) for name, values in zip(names, columns, strict=True)),
        ]
        for place in places
    ]
    head = ["", "front", *names]
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
    lines = [
        "  ".join(
            f"{cell:<{size}}" if i < 2 else f"{cell:>{size}}"
            for i, (cell, size) in enumerate(zip(row, widths, strict=True))
        )
        for row in [head, *body]
    ]
    left = len(front) - len(places)
    return [*lines, f"and {left} more"] if left else lines

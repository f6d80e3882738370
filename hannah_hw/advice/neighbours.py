"""The candidates of a space that differ from one in a single parameter."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.advice.changes import Change
from hannah_hw.spaces import Candidate

#: Values of one parameter that are tried at most, and positions of a continuous one.
_VALUES: Final = 16


def neighbours(candidate: Candidate) -> tuple[NDArray[np.float64], list[Change]]:
    """The candidate and its neighbours.

    Returns:
        (1 + N, D) canonical rows, the candidate first; and the N changes.
    """
    encoding = candidate.space.encoding
    row = candidate.row
    active = encoding.active(row[None])[0]
    rows, columns = [row], []
    for column in np.flatnonzero(active).tolist():
        for position in _positions(int(encoding.levels[column])):
            if position != row[column]:
                moved = row.copy()
                moved[column] = position
                rows.append(moved)
                columns.append(column)
    canonical = encoding.canonical(np.array(rows))
    # Where conditions of the space do not allow the value alone, other parameters were moved with it.
    others = active & encoding.active(canonical[1:]) & (canonical[1:] != row)
    alone = [bool(differs[c]) and int(differs.sum()) == 1 for differs, c in zip(others, columns, strict=True)]
    kept = [index for index, single in enumerate(alone) if single]
    before = encoding.all_values(row)
    changes = []
    for index in kept:
        name = encoding.ids[columns[index]]
        after = encoding.all_values(canonical[index + 1])[name]
        text = f"{name} = {after} in place of {before[name]}"
        changes.append(Change("parameter", (name,), {name: after}, text))
    return canonical[[0, *(index + 1 for index in kept)]], changes


def _positions(levels: int) -> list[float]:
    """Positions of the values that are tried: all, or some over the range."""
    if not levels:
        return [float(x) for x in np.linspace(0.0, 1.0, _VALUES)]
    return sorted({float(round(x)) for x in np.linspace(0, levels - 1, min(levels, _VALUES))})

"""Whether conditions can be satisfied at all: branch and bound over boxes of parameter values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from hannah_hw.expressions import Program, Scalar
from hannah_hw.expressions.intervals import bounds
from hannah_hw.parameters import FloatScalarParameter, Parameter
from hannah_hw.spaces.constraints.grid import FloatArray, IntArray, level_values

#: Boxes that are looked at before the question stays open.
BOXES: Final = 400
#: A continuous parameter is not divided further than into this many parts.
_PARTS: Final = 64

#: First and last level in ascending order of value, or of positions for a continuous parameter.
_Side = tuple[float, float]


def solve(parameters: Sequence[Parameter], conditions: Sequence[Scalar]) -> tuple[FloatArray | None, bool]:
    """A combination that satisfies conditions, if one is found.

    Args:
        parameters: All parameters of the conditions.
        conditions: What must hold.

    Returns:
        Levels and positions, or None; and whether None means that there is none.
    """
    ranks = [np.argsort(level_values(p), kind="stable") if p.levels else np.zeros(0, int) for p in parameters]
    program = Program(list(conditions))
    boxes: list[list[_Side]] = [[(0.0, len(p.levels) - 1.0) if p.levels else (0.0, 1.0) for p in parameters]]
    certain = True
    for _ in range(BOXES):
        if not boxes:
            return None, certain
        box = boxes.pop()
        domains = {p.origin: _domain(p, r, side) for p, r, side in zip(parameters, ranks, box, strict=True)}
        found = bounds(list(conditions), domains)
        if any(high < 1 for _, high in found):
            continue
        middle = np.array([_middle(*part) for part in zip(parameters, ranks, box, strict=True)], np.float64)
        if all(np.all(value) for value in program.run(columns(parameters, middle[None]))):
            return middle, True
        halves = _halves(parameters, box)
        if halves is None:
            # Every discrete parameter has its value here; what is left is a small part of a continuous one.
            certain &= all(p.levels for p in parameters)
        else:
            boxes.extend(halves)
    return None, certain and not boxes


def columns(parameters: Sequence[Parameter], rows: FloatArray) -> dict[str, FloatArray]:
    """Parameter id -> (P,) values of rows of levels and positions, as a program takes them."""
    return {
        p.id: p.at(rows[:, index])
        if isinstance(p, FloatScalarParameter)
        else level_values(p)[rows[:, index].astype(np.int64)]
        for index, p in enumerate(parameters)
    }


def _middle(parameter: Parameter, rank: IntArray, side: _Side) -> float:
    """The level or position in the middle of a side."""
    if isinstance(parameter, FloatScalarParameter):
        return float(parameter.snapped(np.array([(side[0] + side[1]) / 2]))[0])
    return float(rank[int((side[0] + side[1]) // 2)])


def _domain(parameter: Parameter, rank: IntArray, side: _Side) -> _Side:
    """The first and the last value of a side."""
    if isinstance(parameter, FloatScalarParameter):
        return parameter.value_at(side[0]), parameter.value_at(side[1])
    ordered = level_values(parameter)[rank]
    return ordered[int(side[0])], ordered[int(side[1])]


def _halves(parameters: Sequence[Parameter], box: list[_Side]) -> list[list[_Side]] | None:
    """The box in two along its widest side; None if no side can be divided."""
    widths = []
    for parameter, (low, high) in zip(parameters, box, strict=True):
        share = (high - low) / max(len(parameter.levels) - 1, 1) if parameter.levels else high - low
        widths.append(share if parameter.levels or high - low > 1 / _PARTS else 0.0)
    index = int(np.argmax(widths))
    if widths[index] == 0:
        return None
    low, high = box[index]
    middle = (low + high) / 2
    if parameters[index].levels:
        middle = float(int(middle))
        sides = [(middle + 1, high), (low, middle)]
    else:
        sides = [(middle, high), (low, middle)]
    return [[*box[:index], side, *box[index + 1 :]] for side in sides]

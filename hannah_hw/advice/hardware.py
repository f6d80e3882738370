"""Other chips that the description of a target allows: those that differ in one of its params."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from hannah_hw.advice.changes import Change
from hannah_hw.errors import TargetError
from hannah_hw.hardware import HardwareAxes
from hannah_hw.targets import Accelerator, Target
from hannah_hw.targets.area import area_mm2

#: Values of one param that are tried at most: those nearest to the present one.
_VALUES: Final = 4


def other_chips(target: Target) -> Iterator[tuple[Change, Target]]:
    """The chips with another value of one param, as changes."""
    if not isinstance(target, Accelerator) or not target.params:
        return
    axes = HardwareAxes(target, {})
    for position, axis in enumerate(axes.parameters):
        present = axis.levels.index(axis.default)
        near = sorted(range(len(axis.levels)), key=lambda place: abs(place - present))[1 : _VALUES + 1]
        for level in (axis.levels[place] for place in sorted(near)):
            values = [parameter.default for parameter in axes.parameters]
            values[position] = level
            try:
                chip = axes.target(values)
            except TargetError:
                continue
            text = f"a chip with {axis.name} = {axis.text(level)} in place of {axis.text(axis.default)}"
            yield Change("hardware", (axis.id,), {axis.id: level}, text + _areas(target, chip)), chip


def _areas(target: Accelerator, chip: Target) -> str:
    """What the change does to the area, where both are known."""
    if not isinstance(chip, Accelerator):
        return ""
    before, after = area_mm2(target)[0], area_mm2(chip)[0]
    return "" if math.isnan(before + after) else f", of {after:.3g} mm² in place of {before:.3g}"

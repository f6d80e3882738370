"""Spatial unrolling: loops whose iterations run side by side on the array.

A loop that its unrolling does not divide is spread evenly. Its temporal part is ceil(size / unroll) iterations; 25
columns over 4 units are 7 iterations, of 25 / 7 = 3.571 columns on average.

* mode ``whole`` (the default of the package): 4 columns, in every quantity. The array moves whole tiles, and a
  memory must hold the largest.
* mode ``zigzag`` (zigzag-dse 3.9.1): 3.571 columns in energy, capacity and in the test for double buffering, and
  int(3.571) = 3 in all amounts that latency is counted from, so that 21 of the 25 columns are moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from hannah_hw.cost.accelerators.layers import LOOPS, FloatArray, IntArray
from hannah_hw.cost.loop_nest.hierarchy import Array
from hannah_hw.cost.loop_nest.nests import LOOP
from hannah_hw.errors import TargetError

Mode = Literal["whole", "zigzag"]

#: Array dimension -> loop -> units it is spread over.
Unrolling = Mapping[str, Mapping[str, int]]

#: Slack for quotients that should be whole numbers.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class Unrolled:
    """M layers on the array; all but ``temporal`` are (M, array dimensions, 8).

    Attributes:
        units: Whole units that each loop takes.
        stored: Average or whole extents that energy and capacities are counted from.
        moved: Whole extents that latency is counted from.
        temporal: (M, 8) iterations that are left.
    """

    units: IntArray
    stored: FloatArray
    moved: FloatArray
    temporal: IntArray


def wanted(array: Array, unrolling: Unrolling, *, where: str = "dataflow.spatial") -> IntArray:
    """(array dimensions, 8) units that an unrolling asks for.

    Raises:
        TargetError: An unknown dimension or loop, or more units than a dimension has.
    """
    table = np.ones((len(array.sizes), len(LOOPS)), np.int64)
    dimensions = list(array.sizes)
    for dimension, loops in unrolling.items():
        if dimension not in array.sizes:
            raise TargetError(
                f"{dimension!r} is no dimension of the array",
                where=where,
                allowed=dimensions,
                given=dimension,
            )
        for loop, units in loops.items():
            if loop not in LOOP:
                raise TargetError(
                    f"{loop!r} is no loop", where=f"{where}.{dimension}", allowed=LOOPS, given=loop
                )
            if units < 1:
                raise TargetError(
                    f"{loop} takes {units} units; give 1 or more", where=f"{where}.{dimension}.{loop}"
                )
            table[dimensions.index(dimension), LOOP[loop]] = units
        asked = int(table[dimensions.index(dimension)].prod())
        if asked > array.sizes[dimension]:
            shown = " x ".join(f"{loop} {units}" for loop, units in loops.items())
            raise TargetError(
                f"contradictory unrolling: {shown} takes {asked} units, {dimension} has {array.sizes[dimension]}; "
                "lower one of them",
                where=f"{where}.{dimension}",
            )
    return table


def unroll(asked: IntArray, sizes: IntArray, mode: Mode) -> Unrolled:
    """Fit what unrollings ask for to the sizes of layers.

    Where two array dimensions share a loop, the earlier one takes its units first, and the one with the larger share
    (the earlier of equals) is the one whose last iteration is not full.

    Args:
        asked: (array dimensions, 8) units, or (M, array dimensions, 8) of each layer.
        sizes: (M, 8) loops.
        mode: See the module.
    """
    count = len(sizes)
    dimensions = asked.shape[-2]
    asked = np.broadcast_to(asked, (count, dimensions, len(LOOPS)))
    units = np.ones_like(asked)
    left = sizes.copy()
    for dimension in range(dimensions):
        units[:, dimension] = np.minimum(asked[:, dimension], left)
        left = -(-left // units[:, dimension])
    # The share that takes the fraction: the largest, of equals the first.
    uneven = units.argmax(axis=1)
    average = np.ones(units.shape)
    floored = np.ones(units.shape)
    before_average = np.ones(sizes.shape)
    before_floored = np.ones(sizes.shape)
    for dimension in range(dimensions):
        own = units[:, dimension].astype(np.float64)
        takes = uneven == dimension
        average[:, dimension] = np.where(takes, _even(sizes, own, before_average), own)
        floored[:, dimension] = np.where(takes, np.floor(_even(sizes, own, before_floored)), own)
        before_average *= average[:, dimension]
        before_floored *= floored[:, dimension]
    temporal = np.ceil(sizes / before_average - _ROUNDING).astype(np.int64)
    if mode == "zigzag":
        return Unrolled(units, average, floored, temporal)
    whole = np.ceil(average - _ROUNDING)
    return Unrolled(units, whole, whole, temporal)


def _even(sizes: IntArray, units: FloatArray, before: FloatArray) -> FloatArray:
    """(M, 8) average extent of a loop over ``units`` units beside the extents of earlier dimensions."""
    extent: FloatArray = sizes / np.ceil(sizes / (units * before)) / before
    return extent

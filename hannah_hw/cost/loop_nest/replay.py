"""A mapping that is given, priced again: what a report says of a layer can be checked and changed by hand."""

from __future__ import annotations

import numpy as np

from hannah_hw.cost.accelerators.layers import FloatArray, LayerCosts, Layers
from hannah_hw.cost.loop_nest.evaluate import evaluate
from hannah_hw.cost.loop_nest.hierarchy import OPERANDS
from hannah_hw.cost.loop_nest.mapper import Mappings
from hannah_hw.cost.loop_nest.mapping import Mapping
from hannah_hw.cost.loop_nest.model import Assembly, choices_of
from hannah_hw.cost.loop_nest.nests import LoopNests
from hannah_hw.cost.loop_nest.occupancy import occupancy
from hannah_hw.cost.loop_nest.spatial import wanted
from hannah_hw.cost.loop_nest.tables import Tables
from hannah_hw.errors import InputError
from hannah_hw.targets import Accelerator


def replay(layer: Layers, target: Accelerator, mapping: Mapping) -> LayerCosts:
    """What one layer costs under a mapping; the same figures as those of the search that found it.

    Args:
        layer: One layer, with its placement.
        target: Of model kind ``loop_nest``.
        mapping: Its mapping.

    Raises:
        InputError: More than one layer, loops that do not multiply to those of the layer, a memory that does not hold
            an operand, or one that overflows.
        TargetError: An unrolling that the array cannot have.
    """
    if len(layer) != 1:
        raise InputError(f"a mapping of one layer for {len(layer)} layers; replay them one by one")
    costs = Assembly(layer, target)
    for places, hierarchy in costs.groups():
        tables = Tables(
            hierarchy,
            LoopNests.of(costs.nests.at(places), hierarchy.partial_bits),
            wanted(hierarchy.array, mapping.unrolling, where="mapping.spatial"),
            [mapping.factors],
            choices_of(target).mode,
            costs.reserved(places),
        )
        orders, positions = mapping.order(tables), mapping.positions(hierarchy)
        cases = np.zeros(1, np.int64)
        found = evaluate(tables, cases, orders, positions, detail=True)
        if not found.fits[0]:
            raise InputError(
                _overflow(tables, occupancy(tables, cases, orders, positions)[:, 0]), where="mapping"
            )
        costs.enter(
            places,
            Mappings(
                hierarchy, tables.unrolled.units, tables.kinds, orders, found, np.ones(1, np.int64), (None,)
            ),
        )
    return costs.finished()


def _overflow(tables: Tables, taken: FloatArray) -> str:
    """Which memory holds too much, of (memories,) bits that a mapping takes; one of them does."""
    place = int(np.flatnonzero(taken > tables.capacity[:, 0])[0])
    memory, free = tables.hierarchy.memories[place], tables.capacity[place, 0]
    held = ", ".join(operand for operand in OPERANDS if operand in memory.holds)
    return (
        f"{memory.name} has {free / 8:.0f} B free and would hold {taken[place] / 8:.0f} B of {held}; "
        "give outer loops the next memory outwards"
    )

"""Allocations: nothing overflows, and no other split of a memory moves less."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nest_examples import HIERARCHIES, example

from hannah_hw.cost.loop_nest.allocate import allocate
from hannah_hw.cost.loop_nest.evaluate import evaluate
from hannah_hw.cost.loop_nest.hierarchy import OPERANDS
from hannah_hw.cost.loop_nest.nests import LOOP
from hannah_hw.cost.loop_nest.occupancy import occupancy

FEW = settings(max_examples=10, deadline=None)
seeds = st.integers(0, 2**32 - 1)
makes = st.sampled_from(HIERARCHIES)
modes = st.sampled_from(["whole", "zigzag"])


def held_bits(tables, operand, depth, case, loops):
    """Bits that a memory holds of an operand, from unrolling and loops below its upper boundary."""
    hierarchy, nests = tables.hierarchy, tables.nests
    chain = hierarchy.chains[OPERANDS[operand]][: depth + 1]
    served = {name for place in chain for name in hierarchy.memories[place].served}
    extent = np.ones(8)
    for place, name in enumerate(hierarchy.array.sizes):
        if name in served:
            extent *= tables.unrolled.stored[case, place]
    for loop, size in loops:
        extent[loop] *= size
    extent = np.minimum(extent, nests.sizes[case]).astype(int)
    of = dict(zip(LOOP, extent, strict=True))
    if operand == 0:
        columns, rows = (
            min(
                len({s * a + d * b for a in range(of[out]) for b in range(of[window])}),
                nests.inputs[case, axis],
            )
            for axis, (out, window) in enumerate((("OX", "FX"), ("OY", "FY")))
            for s, d in [(nests.strides[case, axis], nests.dilations[case, axis])]
        )
        return of["G"] * of["C"] * columns * rows * nests.bits[case, 0]
    if operand == 1:
        return of["K"] * of["G"] * of["C"] * of["FX"] * of["FY"] * nests.bits[case, 1]
    return of["K"] * of["G"] * of["OX"] * of["OY"]


@FEW
@given(makes, seeds)
def test_no_memory_overflows_by_counting_its_elements(make, seed):
    """The default mode; outputs at the width that they come with, partial sums while any reduction is left below."""
    tables, cases, orders = example(make, seed, count=4, each=4)
    found = allocate(tables, cases, orders)
    taken = occupancy(tables, cases, orders, found.positions)
    reductions = {LOOP[name] for name in ("C", "FX", "FY")}
    for row in np.flatnonzero(found.fits):
        case = int(cases[row])
        loops = [tables.kinds[case][kind] for kind in orders[: tables.loops[case], row]]
        for place, memory in enumerate(tables.hierarchy.memories):
            bits = 0.0
            for number, level in enumerate(tables.levels):
                if level.memory != place:
                    continue
                kept = int(found.positions[number, row])
                width = 1
                if level.operand == 2:
                    below = int(found.positions[number - 1, row]) if level.depth else 0
                    partial = any(loop in reductions and size > 1 for loop, size in loops[below:])
                    partial = partial or bool(tables.reduced[number][case])
                    width = int((tables.nests.partial_bits if partial else tables.nests.bits[:, 2])[case])
                bits += width * held_bits(tables, level.operand, level.depth, case, loops[:kept])
            assert bits <= memory.capacity
            assert taken[place, row] == pytest.approx(bits)


@FEW
@given(makes, seeds, modes)
def test_the_own_allocation_given_back_is_the_same_mapping(make, seed, mode):
    tables, cases, orders = example(make, seed, mode=mode)
    found = evaluate(tables, cases, orders)
    again = evaluate(tables, cases, orders, found.positions)
    assert np.array_equal(found.positions, allocate(tables, cases, orders).positions)
    assert np.array_equal(found.fits, again.fits)
    assert np.array_equal(found.cycles, again.cycles)


@FEW
@given(makes, seeds)
def test_half_a_memory_keeps_no_more_than_half(make, seed):
    tables, cases, orders = example(make, seed)
    for place, memory in enumerate(tables.hierarchy.memories):
        if memory.size_bits is not None:
            found = allocate(tables, cases, orders, {memory.name: 0.5})
            taken = occupancy(tables, cases, orders, found.positions)
            assert (taken[place] <= memory.size_bits / 2)[found.fits].all()


@FEW
@given(makes, seeds)
def test_the_allocation_has_the_least_traffic_of_all(make, seed):
    """Of all combinations that fit into the memory that several operands share, level by level."""
    tables, cases, orders = example(make, seed, count=3, each=3, factors=4)
    found = allocate(tables, cases, orders)
    for row in np.flatnonzero(found.fits):
        case, loops = cases[row], int(tables.loops[cases[row]])
        for place, levels in enumerate(tables.shape.in_memory):
            choices = []
            for number in levels:
                level = tables.levels[number]
                low = int(found.positions[number - 1, row]) if level.depth else 0
                choices.append([loops] if level.top else range(low, loops + 1))
            best = np.inf
            mine = np.inf
            for combination in product(*choices):
                positions = found.positions[:, [row]].copy()
                positions[list(levels), 0] = combination
                if (
                    occupancy(tables, case[None], orders[:, [row]], positions)[place, 0]
                    > tables.capacity[place, case]
                ):
                    continue
                traffic = sum(
                    _bits_moved(
                        tables,
                        case,
                        orders[:, row],
                        number,
                        int(positions[number, 0]),
                        found.positions[:, row],
                    )
                    for number in levels
                    if not tables.levels[number].top
                )
                best = min(best, traffic)
                if list(combination) == found.positions[list(levels), row].tolist():
                    mine = traffic
            assert mine <= best * (1 + 1e-9)


def _bits_moved(tables, case, order, number, kept, positions):
    """Bits of a tile times how often another one is needed."""
    state = tables.states.first[case]
    taken = 1.0
    for kind in order[:kept]:
        taken *= tables.kinds[case][kind][1]
        state += tables.states.weights[case * tables.states.stride + kind]
    level = tables.levels[number]
    if level.operand == 2:
        below = int(positions[number - 1]) if level.depth else 0
        kinds = [tables.kinds[case][kind] for kind in order[below : tables.loops[case]]]
        partial = any(loop in (LOOP["C"], LOOP["FX"], LOOP["FY"]) and size > 1 for loop, size in kinds)
        if partial or tables.reduced[number][case]:
            state += len(tables.states.case)
    return tables.held[number][state] * tables.temporal[case] / taken

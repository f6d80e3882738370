"""Searched unrollings: against all there are on small arrays, and what they may not do."""

import itertools

import numpy as np
import pytest
from chip_example import chip, convolutions
from hypothesis import given, settings
from hypothesis import strategies as st
from nest_examples import HIERARCHIES, layers, memory

from hannah_hw.cost.accelerators.layers import LOOPS, Layers
from hannah_hw.cost.loop_nest.hierarchy import Array, Hierarchy
from hannah_hw.cost.loop_nest.mapper import Choices, best_mappings
from hannah_hw.cost.loop_nest.model import cost_layers
from hannah_hw.cost.loop_nest.nests import LOOP, LoopNests
from hannah_hw.cost.loop_nest.spatial import unroll
from hannah_hw.cost.loop_nest.unrollings import unrollings

FEW = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def roomy(**sizes):
    """An array whose memories hold whatever is unrolled."""
    every = list(sizes)
    return Hierarchy(Array(sizes, 1.0), (memory("dram", None, "IWO", every, 64),))


def nests(seed, count=6):
    return LoopNests.of(layers(np.random.default_rng(seed), count), 16)


def least_cycles(sizes, dimensions):
    """Cycles of the best of all unrollings with up to two loops on each dimension, one by one."""
    best = float("inf")
    options = []
    for units in dimensions:
        pairs = itertools.combinations(range(len(LOOPS)), 2)
        options.append([((one, n), (other, units // n)) for one, other in pairs for n in range(1, units + 1)])
    for chosen in itertools.product(*options):
        left = list(sizes)
        for filling in chosen:
            for loop, units in filling:
                left[loop] = -(-left[loop] // min(units, left[loop]))
        best = min(best, np.prod(left))
    return best


@FEW
@given(seeds)
def test_one_dimension_is_used_as_well_as_can_be(seed):
    hierarchy, own = roomy(D1=6), nests(seed, 4)
    layer, asked = unrollings(hierarchy, own)
    cycles = unroll(asked, own.sizes[layer], "whole").temporal.prod(axis=1)
    for number in range(len(own)):
        best = least_cycles(own.sizes[number], [6])
        assert cycles[layer == number].min() <= 1.34 * best
        assert cycles[layer == number].min() >= best


@settings(max_examples=5, deadline=None)
@given(seeds)
def test_two_dimensions_are_used_nearly_as_well_as_can_be(seed):
    hierarchy, own = roomy(D1=4, D2=3), nests(seed, 2)
    layer, asked = unrollings(hierarchy, own)
    cycles = unroll(asked, own.sizes[layer], "whole").temporal.prod(axis=1)
    for number in range(len(own)):
        assert cycles[layer == number].min() <= 1.34 * least_cycles(own.sizes[number], [4, 3])


@FEW
@given(st.sampled_from(HIERARCHIES), seeds)
def test_what_is_unrolled_is_there_and_can_be_mapped(make, seed):
    hierarchy, _ = make()
    own = nests(seed)
    layer, asked = unrollings(hierarchy, own)
    assert np.array_equal(np.unique(layer), np.arange(len(own)))
    assert (np.diff(layer) >= 0).all()
    assert (asked.prod(axis=2) <= list(hierarchy.array.sizes.values())).all()
    # No unrolling takes more than the loop has, up to the rounding of its parts.
    assert (asked <= own.sizes[layer][:, None, :]).all()
    rows = np.concatenate([layer[:, None], asked.reshape(len(layer), -1)], axis=1)
    assert len(np.unique(rows, axis=0)) == len(rows)
    for _, found in best_mappings(hierarchy, own, Choices("search")):
        assert found.reasons == (None,) * len(own)


@FEW
@given(seeds)
def test_neighbours_do_not_matter(seed):
    hierarchy, own = roomy(D1=8, D2=4), nests(seed)
    layer, asked = unrollings(hierarchy, own)
    for number in range(len(own)):
        _, alone = unrollings(hierarchy, own.at(np.array([number])))
        assert np.array_equal(alone, asked[layer == number])


def test_a_depthwise_layer_unrolls_its_groups():
    layer = Layers.of("conv", in_channels=64, out_channels=64, groups=64, in_h=4, in_w=4, out_h=4, out_w=4)
    own = LoopNests.of(layer, 16)
    _, asked = unrollings(roomy(D1=16, D2=8), own)
    assert unroll(asked, np.tile(own.sizes, (len(asked), 1)), "whole").temporal.prod(axis=1).min() == 8
    assert (asked[:, :, LOOP["G"]] > 1).any()


def test_two_loops_on_one_dimension_where_one_leaves_units_idle():
    layer = Layers.of("conv", in_channels=3, out_channels=4, in_h=5, in_w=5, out_h=5, out_w=5)
    _, asked = unrollings(roomy(D1=12), LoopNests.of(layer, 16))
    both = asked[(asked[:, 0, LOOP["C"]] == 3) & (asked[:, 0, LOOP["K"]] == 4)]
    assert len(both) == 1


def test_a_register_that_is_too_small_keeps_a_loop_off_its_dimension():
    # The register of one weight is shared by the four units of D1: only loops that share weights can go there.
    hierarchy = Hierarchy(
        Array({"D1": 4}, 1.0),
        (memory("weight", 8, "W", ["D1"]), memory("dram", None, "IWO", ["D1"], 64)),
    )
    layer = Layers.of("conv", in_channels=8, out_channels=8, in_h=8, in_w=8, out_h=8, out_w=8)
    _, asked = unrollings(hierarchy, LoopNests.of(layer, 16))
    assert (asked[:, 0, [LOOP["K"], LOOP["C"]]] == 1).all()
    assert (asked[:, 0].prod(axis=1) == 4).any()


@pytest.mark.parametrize("objective", ["cycles", "energy"])
def test_searched_unrollings_are_rarely_worse_than_a_given_one(objective):
    given_one = cost_layers(convolutions(), chip(objective=objective))
    searched = cost_layers(convolutions(), chip(spatial="search", objective=objective))
    column = "cycles" if objective == "cycles" else "energy_pj"
    ratio = getattr(searched, column) / getattr(given_one, column)
    assert ratio.max() < 1.1
    assert ratio.min() < 0.9


def test_the_best_of_several_is_taken_for_each_layer():
    layers_ = convolutions()
    options = [{"D1": {"K": 4}, "D2": {"C": 4}}, {"D1": {"G": 4}, "D2": {"FX": 3}}, {"D1": {"K": 2}}]
    alone = [cost_layers(layers_, chip(spatial=[option])).cycles for option in options]
    both = cost_layers(layers_, chip(spatial=options))
    assert both.cycles.tolist() == np.min(alone, axis=0).tolist()
    assert both.detail(1)["mapping"]["spatial"] == {"D1": {"G": 4}, "D2": {"FX": 3}}

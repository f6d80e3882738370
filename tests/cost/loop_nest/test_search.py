"""The search against brute force, against random mappings, and against itself on other batches."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nest_examples import HIERARCHIES, example, weight_stationary

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.loop_nest import search as module
from hannah_hw.cost.loop_nest.candidates import criteria
from hannah_hw.cost.loop_nest.evaluate import evaluate
from hannah_hw.cost.loop_nest.nests import LoopNests
from hannah_hw.cost.loop_nest.search import best_of, fills, search
from hannah_hw.cost.loop_nest.spatial import wanted
from hannah_hw.cost.loop_nest.tables import PAD, Tables
from hannah_hw.errors import InputError, TargetError

FEW = settings(max_examples=10, deadline=None)
seeds = st.integers(0, 2**32 - 1)
makes = st.sampled_from(HIERARCHIES)
modes = st.sampled_from(["whole", "zigzag"])
objectives = st.sampled_from(["cycles", "energy", "edp"])


def permutations(tables, case):
    """(loops, N) all orderings of a case, made without the package."""
    kinds = np.repeat(np.arange(tables.repeats.shape[1]), tables.repeats[case]).tolist()
    found = sorted(set(itertools.permutations(kinds)))
    orders = np.full((int(tables.loops.max()), len(found)), PAD, np.uint8)
    orders[: len(kinds)] = np.array(found, np.uint8).T
    return orders


def assert_equal(one, other, places=slice(None)):
    assert np.array_equal(one.cycles[places], other.cycles)
    assert np.array_equal(one.energy_pj[places], other.energy_pj)
    loops = len(other.orders)
    assert np.array_equal(one.orders[:loops, places], other.orders)
    assert (one.orders[loops:, places] == PAD).all()
    assert np.array_equal(one.positions[:, places], other.positions)
    assert np.array_equal(one.tried[places], other.tried)


@FEW
@given(makes, seeds, objectives, modes)
def test_best_of_all_orderings(make, seed, objective, mode):
    tables, _, _ = example(make, seed, count=3, each=1, mode=mode, factors=4)
    found = search(tables, objective, ())
    for case in range(len(tables)):
        orders = permutations(tables, case)
        every = evaluate(tables, np.full(orders.shape[1], case), orders)
        first, second = criteria(objective, every.cycles, every.energy_pj)
        own = criteria(objective, found.cycles[case], found.energy_pj[case])
        assert own[0] == pytest.approx(first.min(), rel=1e-12)
        # Of equals in the objective, the best in the other figure, and of these the first ordering.
        tied = first <= first.min() * (1 + 1e-12)
        assert own[1] == pytest.approx(second[tied].min(), rel=1e-12)
        tied &= second <= second[tied].min() * (1 + 1e-12)
        assert found.orders[:, case].tolist() == orders[:, np.flatnonzero(tied)[0]].tolist()
        assert found.tried[case] == orders.shape[1]


@settings(max_examples=6, deadline=None)
@given(makes, seeds)
def test_between_the_optimum_over_all_allocations_and_the_best_of_full_memories(make, seed):
    tables, _, _ = example(make, seed, count=1, each=1, factors=2)
    full, both = search(tables, allocations=()), search(tables)
    assert (both.cycles <= full.cycles).all()
    for case in range(len(tables)):
        loops = int(tables.loops[case])
        orders = permutations(tables, case)
        ranges = [(loops,) if level.top else range(loops + 1) for level in tables.levels]
        places = np.array(list(itertools.product(*ranges)), np.int64).T
        inwards = np.ones(places.shape[1], bool)
        for number, level in enumerate(tables.levels):
            if level.depth:
                inwards &= places[number] >= places[number - 1]
        places = places[:, inwards]
        count = orders.shape[1]
        every = evaluate(
            tables,
            np.full(count * places.shape[1], case),
            np.repeat(orders, places.shape[1], axis=1),
            np.tile(places, (1, count)),
        )
        assert every.cycles.min() <= both.cycles[case]


@FEW
@given(makes, seeds, objectives)
def test_no_random_mapping_is_better(make, seed, objective):
    tables, cases, orders = example(make, seed, each=25)
    found = search(tables, objective)
    rows = evaluate(tables, cases, orders)
    best = criteria(objective, found.cycles, found.energy_pj)[0]
    assert (best[cases] <= criteria(objective, rows.cycles, rows.energy_pj)[0] * (1 + 1e-12)).all()


@FEW
@given(makes, seeds, modes)
def test_what_is_found_fits_and_costs_what_it_says(make, seed, mode):
    tables, _, _ = example(make, seed, each=1, mode=mode)
    found = search(tables)
    places = np.flatnonzero(found.fits)
    again = evaluate(tables, places, found.orders[:, places], found.positions[:, places])
    assert again.fits.all()
    assert np.array_equal(again.cycles, found.cycles[places])
    assert np.array_equal(again.energy_pj, found.energy_pj[places])


@FEW
@given(makes, seeds)
def test_neighbours_do_not_matter(make, seed):
    tables, _, _ = example(make, seed, count=8, each=1)
    whole = search(tables)
    chosen = np.array([6, 1, 1, 4])
    units = tables.unrolled.units[chosen]
    some = Tables(tables.hierarchy, tables.nests.at(chosen), units, 6)
    assert_equal(whole, search(some), chosen)


@pytest.mark.parametrize("rows", [1, 100])
def test_batches_do_not_matter(rows, monkeypatch):
    tables, _, _ = example(weight_stationary, 5, count=3, each=1, factors=5)
    whole, sampled = search(tables), search(tables, exhaustive=20)
    monkeypatch.setattr(module, "ROWS", rows)
    assert_equal(whole, search(tables))
    assert_equal(sampled, search(tables, exhaustive=20))


@FEW
@given(makes, seeds, objectives)
def test_the_sample_is_near_the_optimum(make, seed, objective):
    tables, _, _ = example(make, seed, count=5, each=1)
    whole, sample = search(tables, objective, ()), search(tables, objective, (), exhaustive=0)
    best, near = (criteria(objective, one.cycles, one.energy_pj)[0] for one in (whole, sample))
    assert (near >= best * (1 - 1e-12)).all()
    fits = whole.fits
    assert (near[fits] <= 1.1 * best[fits]).all()
    # It starts from the six stationary orders, so it cannot be worse than those.
    again = search(tables, objective, (), exhaustive=0)
    assert_equal(sample, again)


def test_some_cases_only():
    tables, _, _ = example(weight_stationary, 2, each=1)
    some = search(tables, cases=np.array([1, 3]))
    whole = search(tables)
    assert np.isfinite(some.cycles).tolist() == [False, True, False, True, False, False]
    assert some.cycles[[1, 3]].tolist() == whole.cycles[[1, 3]].tolist()


def test_given_orderings():
    tables, cases, orders = example(weight_stationary, 3, each=4)
    found = best_of(tables, cases, orders, "energy", ())
    rows = evaluate(tables, cases, orders)
    assert (
        found.energy_pj.tolist() == np.minimum.reduceat(rows.energy_pj, np.arange(0, len(cases), 4)).tolist()
    )
    assert (found.tried == 4).all()


def test_half_full_memories_can_win():
    """A whole tensor in the buffer is loaded before the first operation; half of it overlaps with computation."""
    better = 0
    for make in HIERARCHIES:
        tables, _, _ = example(make, 0, count=10, each=1)
        better += int((search(tables).cycles < search(tables, allocations=()).cycles).sum())
    assert better > 0


def test_the_bounded_memories_are_tried_half_full():
    hierarchy, _ = weight_stationary()
    assert fills(hierarchy) == (
        {"weight_reg": 0.5},
        {"accumulator": 0.5},
        {"buffer": 0.5},
        {"weight_reg": 0.5, "accumulator": 0.5, "buffer": 0.5},
    )


def test_less_of_large_memories_is_tried():
    hierarchy, _ = weight_stationary()
    buffer = replace(hierarchy.memories[2], size_bits=1 << 17)
    large = replace(hierarchy, memories=(*hierarchy.memories[:2], buffer, hierarchy.memories[3]))
    assert fills(large)[4:] == ({"buffer": 0.25}, {"buffer": 0.125}, {"buffer": 0.0625})


def test_a_case_that_fits_nowhere():
    hierarchy, _ = weight_stationary()
    small = replace(hierarchy.memories[2], size_bits=8)
    tables, _, _ = example(
        weight_stationary,
        1,
        hierarchy=replace(hierarchy, memories=(*hierarchy.memories[:2], small, hierarchy.memories[3])),
    )
    found = search(tables)
    assert not found.fits.any()
    assert np.isinf(found.energy_pj).all()


def test_what_cannot_be_asked():
    hierarchy, _ = weight_stationary()
    tables, _, _ = example(weight_stationary, 1)
    with pytest.raises(InputError, match="'speed' is no objective; allowed: cycles, energy, edp"):
        search(tables, "speed")
    dark = replace(hierarchy.memories[0], read_pj=float("nan"))
    tables, _, _ = example(
        weight_stationary, 1, hierarchy=replace(hierarchy, memories=(dark, *hierarchy.memories[1:]))
    )
    with pytest.raises(TargetError, match="least edp need the energy of every memory"):
        search(tables, "edp")
    found = search(tables)
    assert found.fits.all()
    assert np.isnan(found.energy_pj).all()
    layer = Layers.of("conv", in_channels=256, out_channels=256, in_w=8, out_w=8)
    hierarchy, unrolling = weight_stationary()
    tables = Tables(hierarchy, LoopNests.of(layer), wanted(hierarchy.array, unrolling), factors=14)
    # 64 channels a multiplier of each kind, and 8 columns: 2^6, 2^6 and 2^3, two of which merge.
    with pytest.raises(InputError, match="14 loop factors; ask for at most 12"):
        search(tables)

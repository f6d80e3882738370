"""What holds for every ordering on every hierarchy."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nest_examples import HIERARCHIES, example

from hannah_hw.cost.loop_nest.boundaries import Boundary
from hannah_hw.cost.loop_nest.evaluate import evaluate
from hannah_hw.cost.loop_nest.hierarchy import OPERANDS
from hannah_hw.cost.loop_nest.ports import Transfers
from hannah_hw.cost.loop_nest.stalls import union_of_windows

MANY = settings(max_examples=12, deadline=None)
seeds = st.integers(0, 2**32 - 1)
makes = st.sampled_from(HIERARCHIES)
modes = st.sampled_from(["whole", "zigzag"])


@MANY
@given(makes, seeds, modes)
def test_parts_add_up_and_none_is_negative(make, seed, mode):
    tables, cases, orders = example(make, seed, mode=mode)
    result = evaluate(tables, cases, orders, detail=True)
    fits = result.fits
    parts = (result.temporal, result.stall, result.onload, result.offload, result.drain)
    assert all((part[fits] >= 0).all() for part in parts)
    assert np.array_equal(result.cycles[fits], sum(parts)[fits])
    units = tables.hierarchy.array.units
    assert (result.cycles[fits] >= result.temporal[fits]).all()
    assert (result.temporal >= np.ceil(tables.nests.macs / units)[cases]).all()
    assert (result.words >= 0).all()
    assert result.link_pj.sum(axis=0)[fits] + result.mac_pj[fits] == pytest.approx(result.energy_pj[fits])
    assert np.isinf(result.cycles[~fits]).all()


@MANY
@given(makes, seeds)
def test_every_element_that_is_needed_moves_once_at_least(make, seed):
    tables, cases, orders = example(make, seed)
    result = evaluate(tables, cases, orders, detail=True)
    for number, link in enumerate(result.links):
        level = tables.levels[link.level]
        if level.top and link.move in ("read", "update") and not link.partial:
            elements = tables.tile(link.level, False)[tables.states.last]
            bits = (elements * tables.nests.bits[:, level.operand])[cases]
            assert (result.words[number] * link.max_bits >= bits - 1e-6)[result.fits].all()


def assert_no_slower(before, after):
    """Fewer stalls may leave loading less to hide behind; with equal stalls nothing takes longer."""
    assert (after.stall <= before.stall)[before.fits].all()
    same = (after.stall == before.stall) & before.fits
    assert (after.cycles <= before.cycles)[same].all()


@MANY
@given(makes, seeds, modes)
def test_twice_the_bandwidth_stalls_no_more(make, seed, mode):
    tables, cases, orders = example(make, seed, mode=mode)
    hierarchy = tables.hierarchy
    before = evaluate(tables, cases, orders)
    for place, memory in enumerate(hierarchy.memories):
        ports = tuple(replace(port, max_bits=2 * port.max_bits) for port in memory.ports)
        faster = replace(memory, ports=ports)
        memories = (*hierarchy.memories[:place], faster, *hierarchy.memories[place + 1 :])
        wide, *_ = example(make, seed, mode=mode, hierarchy=replace(hierarchy, memories=memories))
        assert_no_slower(before, evaluate(wide, cases, orders, before.positions))


@MANY
@given(makes, seeds, modes)
def test_twice_the_size_makes_the_same_mapping_no_slower(make, seed, mode):
    tables, cases, orders = example(make, seed, mode=mode)
    hierarchy = tables.hierarchy
    before = evaluate(tables, cases, orders)
    for place, memory in enumerate(hierarchy.memories):
        if memory.size_bits is None:
            continue
        larger = replace(memory, size_bits=2 * memory.size_bits)
        memories = (*hierarchy.memories[:place], larger, *hierarchy.memories[place + 1 :])
        big, *_ = example(make, seed, mode=mode, hierarchy=replace(hierarchy, memories=memories))
        after = evaluate(big, cases, orders, before.positions)
        assert_no_slower(before, after)
        assert after.energy_pj[before.fits] == pytest.approx(before.energy_pj[before.fits])


@MANY
@given(makes, seeds, st.sampled_from(OPERANDS))
def test_a_tensor_that_stays_on_chip_moves_nothing_more(make, seed, operand):
    """The whole tensor in an inner memory, once brought from outside and once already there: other links are equal."""
    tables, cases, orders = example(make, seed)
    hierarchy = tables.hierarchy
    number = OPERANDS.index(operand)
    chain = hierarchy.chains[operand]
    if len(chain) < 2:
        return
    end = hierarchy.memories[chain[-2]]
    cut, *_ = example(make, seed, hierarchy=hierarchy.ending({operand: end.name}))
    there = evaluate(cut, cases, orders, detail=True)
    # The same positions, with the level that the chain now ends at followed by the outermost memory.
    outermost = next(n for n, level in enumerate(tables.levels) if level.operand == number and level.top)
    positions = np.insert(there.positions, outermost, tables.loops[cases], axis=0)
    brought = evaluate(tables, cases, orders, positions, detail=True)
    fits = there.fits & brought.fits
    assert np.array_equal(there.fits, brought.fits)
    words = {
        (link.operand, link.memory, link.move): count
        for link, count in zip(brought.links, brought.words, strict=True)
    }
    for link, count in zip(there.links, there.words, strict=True):
        place = hierarchy.memories.index(hierarchy.memory(cut.hierarchy.memories[link.memory].name))
        assert np.array_equal(words.pop((link.operand, place, link.move))[fits], count[fits])
    assert all(link[0] == number for link in words)
    assert (there.energy_pj[fits] <= brought.energy_pj[fits]).all()
    assert (there.cycles[fits] <= brought.cycles[fits]).all()


@MANY
@given(makes, seeds, modes, st.integers(1, 20))
def test_rows_do_not_depend_on_their_neighbours(make, seed, mode, chunk):
    tables, cases, orders = example(make, seed, mode=mode)
    together = evaluate(tables, cases, orders)
    shuffled = np.random.default_rng(seed).permutation(len(cases))
    apart = evaluate(tables, cases[shuffled], orders[:, shuffled], chunk=chunk)
    for name in ("cycles", "stall", "onload", "offload", "fits"):
        assert np.array_equal(getattr(together, name)[shuffled], getattr(apart, name))
    assert np.array_equal(together.positions[:, shuffled], apart.positions)
    assert apart.energy_pj == pytest.approx(together.energy_pj[shuffled])


@given(st.lists(st.tuples(st.integers(1, 4), st.floats(0, 1)), min_size=1, max_size=4), st.integers(1, 3))
def test_union_of_windows_is_what_counting_cycles_gives(steps, repeats):
    periods = np.cumprod([step for step, _ in steps])
    total = float(periods[-1] * repeats)
    windows = [int(np.ceil(share * period)) for (_, share), period in zip(steps, periods, strict=True)]
    uses = []
    for window, period in zip(windows, periods, strict=True):
        boundary = Boundary(np.zeros(1, np.int64), np.array([float(period)]), np.array([total]))
        uses.append(Transfers(None, boundary, np.zeros(1), np.array([float(window)]), None))
    counted = sum(any(t % p < w for w, p in zip(windows, periods, strict=True)) for t in range(int(total)))
    assert union_of_windows(uses[::-1], np.array([total]), np.array([0]))[0] == counted

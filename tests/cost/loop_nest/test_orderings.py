"""Orderings: all of them, each once, in order; exchanges; keys."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw.cost.loop_nest import orderings
from hannah_hw.cost.loop_nest.nests import LOOP
from hannah_hw.cost.loop_nest.states import PAD

repeats = st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple).filter(lambda times: sum(times) < 7)


@settings(deadline=None)
@given(repeats)
def test_every_distinct_permutation_once_in_order(times):
    loops = [kind for kind, number in enumerate(times) for _ in range(number)]
    found = [tuple(column) for column in orderings.all_orderings(times).T.tolist()]
    assert len(found) == orderings.count(np.array([times]))[0]
    assert found == sorted(set(itertools.permutations(loops)))


def test_rows_of_several_cases_are_padded():
    times = np.array([[2, 1], [1, 0]])
    cases, orders = orderings.enumerated(times, np.array([0, 1]), 3)
    assert cases.tolist() == [0, 0, 0, 1]
    assert orders.T.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, PAD, PAD]]


@given(st.lists(st.integers(1, 50), max_size=20), st.integers(1, 60))
def test_batches_cover_all_cases_within_the_limit(rows, limit):
    parts = list(orderings.batches(np.array(rows, np.int64), limit))
    assert [place for part in parts for place in range(part.start, part.stop)] == list(range(len(rows)))
    for part in parts:
        assert part.stop - part.start == 1 or sum(rows[part]) <= limit


def test_stationary_orders_of_a_convolution():
    kinds = tuple((LOOP[loop], size) for loop, size in (("K", 4), ("G", 2), ("OX", 5), ("C", 3)))
    orders = orderings.stationary(kinds, (1, 1, 1, 1))
    named = ["".join("KGXC"[kind] for kind in column) for column in orders.T]
    # Weights stay while columns change, sums while input channels change, the input while output channels change.
    assert sorted(named) == ["CKXG", "CXKG", "KCXG", "KXCG", "XCKG", "XKCG"]


def test_drawn_orders_depend_on_nothing_else():
    assert np.array_equal(orderings.drawn((2, 3), 5, 1), orderings.drawn((2, 3), 5, 1))
    assert not np.array_equal(orderings.drawn((2, 3), 5, 1), orderings.drawn((2, 3), 5, 2))


def test_exchanges_of_two_loops():
    orders = np.array([[0], [1], [2], [PAD]], np.uint8)
    source, found = orderings.swapped(orders, np.array([3]))
    assert source.tolist() == [0, 0, 0]
    assert sorted(found.T.tolist()) == [[0, 2, 1, PAD], [1, 0, 2, PAD], [2, 1, 0, PAD]]


@settings(deadline=None)
@given(repeats)
def test_keys_sort_as_cases_and_orders_do(times):
    orders = orderings.all_orderings(times)[:, :40]
    cases = np.repeat([0, 3], orders.shape[1])
    key = orderings.keys(cases, np.concatenate([orders, orders], axis=1))
    assert (np.diff(key) > 0).all()


def test_no_loops_have_one_ordering():
    assert orderings.all_orderings(()).shape == (0, 1)
    assert orderings.pattern(np.array([2, 0, 1])) == (2, 1)
    assert orderings.count(np.array([[7, 0], [1, 1]])).tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        orderings.all_orderings((1, 1))[0, 0] = 3

"""Sorting and crowding against the definitions, spelled out in Python loops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hannah_hw.search.dominance import crowding, dominates, pareto_mask, sort_fronts

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 4))
POINTS = SHAPES.flatmap(lambda s: arrays(float, s, elements=st.integers(0, 4).map(float)))


def beats(a, b, va, vb):
    if va or vb:
        return va < vb
    return all(a <= b) and any(a < b)


@given(POINTS, st.data())
@settings(max_examples=150, deadline=None)
def test_ranks_are_those_of_peeling_fronts_one_by_one(points, data):
    violation = data.draw(arrays(float, len(points), elements=st.sampled_from([0.0, 0.0, 0.5, 1.0, np.inf])))
    expected, left, level = np.full(len(points), -1), set(range(len(points))), 0
    while left:
        front = {
            i
            for i in left
            if not any(beats(points[j], points[i], violation[j], violation[i]) for j in left if j != i)
        }
        expected[list(front)] = level
        left -= front
        level += 1
    assert sort_fronts(points, violation).tolist() == expected.tolist()


@given(POINTS)
@settings(max_examples=150, deadline=None)
def test_mask_is_rank_zero_and_equal_rows_stay_together(points):
    assert pareto_mask(points).tolist() == (sort_fronts(points) == 0).tolist()


def test_mask_ignores_what_is_not_finite():
    points = np.array([[1.0, 2.0], [np.nan, 0.0], [0.0, np.inf], [2.0, 1.0], [2.0, 2.0]])
    assert pareto_mask(points).tolist() == [True, False, False, True, False]
    assert pareto_mask(np.full((2, 2), np.nan)).tolist() == [False, False]


def test_dominance_is_irreflexive_and_asymmetric():
    points = np.random.default_rng(0).integers(0, 3, (40, 3)).astype(float)
    matrix = dominates(points, np.random.default_rng(1).integers(0, 2, 40) * 0.5)
    assert not matrix.diagonal().any()
    assert not (matrix & matrix.T).any()


def test_crowding_by_hand():
    # One front of five points; extents 4 and 8. The middle ones: (2-0)/4 + (8-3)/8, (3-1)/4 + (4-2)/8, ...
    points = np.array([[0, 8], [1, 4], [2, 3], [3, 2], [4, 0]], float)
    distance = crowding(points, np.zeros(5, int))
    assert distance[[0, 4]].tolist() == [np.inf, np.inf]
    np.testing.assert_allclose(distance[1:4], [2 / 4 + 5 / 8, 2 / 4 + 2 / 8, 2 / 4 + 3 / 8])


def test_crowding_keeps_ranks_apart_and_gives_failures_nothing():
    points = np.array([[0, 4], [2, 2], [4, 0], [10, 14], [12, 12], [14, 10], [np.inf, np.inf]], float)
    rank = np.array([0, 0, 0, 1, 1, 1, 2])
    distance = crowding(points, rank)
    np.testing.assert_allclose(distance[[1, 4]], [2.0, 2.0])
    assert distance[6] == 0.0
    flat = crowding(np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), np.zeros(3, int))
    assert flat[1] == 1.0  # an objective without extent says nothing

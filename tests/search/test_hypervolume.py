"""Hypervolume against inclusion and exclusion, hand-computed boxes, and pymoo where it is installed."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hannah_hw.search.hypervolume import hypervolume, reference_point, relative_hypervolume


def inclusion_exclusion(points, reference):
    """The measure of a union of boxes, by the sum over all subsets."""
    points = [p for p in points if (p < reference).all()]
    total = 0.0
    for size in range(1, len(points) + 1):
        for subset in combinations(points, size):
            total += (-1) ** (size + 1) * np.prod(reference - np.max(subset, axis=0))
    return total


@given(
    st.tuples(st.integers(1, 7), st.integers(1, 5)).flatmap(
        lambda shape: arrays(float, shape, elements=st.integers(0, 6).map(lambda v: v / 5))
    )
)
@settings(max_examples=150, deadline=None)
def test_equals_inclusion_and_exclusion(points):
    reference = np.full(points.shape[1], 1.1)
    assert hypervolume(points, reference) == pytest.approx(inclusion_exclusion(points, reference), abs=1e-12)


def test_by_hand():
    assert hypervolume(np.array([[2.0], [1.0]]), np.array([4.0])) == 3.0
    assert hypervolume(np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([3.0, 3.0])) == 3.0
    assert hypervolume(np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float), np.full(3, 2.0)) == 7.0
    assert hypervolume(np.zeros((0, 3)), np.ones(3)) == 0.0
    assert hypervolume(np.array([[1.0, 0.0], [np.nan, 0.0]]), np.ones(2)) == 0.0


@pytest.mark.parametrize(("objectives", "count"), [(2, 200), (3, 200), (4, 30), (5, 15)])
def test_agrees_with_pymoo(objectives, count):
    peer = pytest.importorskip("pymoo.indicators.hv").HV
    points = np.abs(np.random.default_rng(objectives).normal(size=(count, objectives)))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points = np.concatenate([1 - points, np.random.default_rng(0).random((20, objectives)) * 1.3])
    reference = np.full(objectives, 1.1)
    assert hypervolume(points, reference) == pytest.approx(peer(ref_point=reference)(points), rel=1e-10)


def test_reference_lies_beyond_the_worst_also_below_zero():
    points = np.array([[1.0, -5.0, 0.0], [2.0, -4.0, 0.0]])
    np.testing.assert_allclose(reference_point(points), [2.2, -3.6, 0.1])


def test_relative_hypervolume_does_not_depend_on_units():
    points, reference = np.array([[1.0, 5.0], [2.0, 3.0]]), np.array([4.0, 10.0])
    scale = np.array([1e3, 1e-6])
    value = relative_hypervolume(points, reference)
    assert value == pytest.approx(relative_hypervolume(points * scale, reference * scale))
    assert value == pytest.approx(hypervolume(points, reference) / 40)

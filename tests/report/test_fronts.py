"""Fronts, knees and growth, against brute force and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hannah_hw.report.fronts import front_indices, history

POINTS = st.integers(1, 3).flatmap(
    lambda m: st.lists(
        st.lists(st.integers(0, 5).map(float), min_size=m, max_size=m), min_size=1, max_size=25
    )
)


@given(POINTS)
def test_front_is_what_nothing_dominates(points: list[list[float]]) -> None:
    array = np.array(points)
    expected = {i for i, p in enumerate(array) if not any((q <= p).all() and (q < p).any() for q in array)}
    found = front_indices(points)
    assert set(found) == expected
    assert [points[i] for i in found] == sorted(points[i] for i in found)


def test_history_by_hand() -> None:
    # Reference (2, 2), volumes in units of 2 x 2: (1, 1) covers 1/4; (0.5, 1.5) adds .5 x .5 = .25 / 4;
    # (1.5, 1.5) is dominated; (0.5, 0.5) covers 2.25 / 4 alone.
    points = [[1.0, 1.0], [0.5, 1.5], [1.5, 1.5], [0.5, 0.5]]
    grown = history(points, [0, 2, 3, 7], 10, reference=[2.0, 2.0])
    assert grown.evaluations == (1, 3, 8, 10)
    assert grown.hypervolume == pytest.approx((0.25, 0.3125, 0.5625, 0.5625))
    assert grown.front_size == (1, 2, 1, 1)


@given(POINTS)
def test_history_never_falls(points: list[list[float]]) -> None:
    grown = history(points, range(len(points)), len(points))
    assert all(b >= a - 1e-12 for a, b in zip(grown.hypervolume, grown.hypervolume[1:], strict=False))
    assert grown.front_size[-1] == len(front_indices(points))

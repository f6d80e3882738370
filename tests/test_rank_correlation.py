from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hannah_hw.rank_correlation import kendall, ranks, repeated_kendall, repeated_spearman, spearman

stats = pytest.importorskip("scipy.stats")

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=40)


@given(PAIRS)
def test_correlations_with_ties_are_those_of_scipy(pairs):
    one, other = np.array(pairs, float).T
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert math.isnan(spearman(one, other))
        assert math.isnan(kendall(one, other))
        return
    assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic, abs=1e-12)
    assert kendall(one, other) == pytest.approx(stats.kendalltau(one, other).statistic, abs=1e-12)


def test_ranks_share_ties_and_put_minus_infinity_first():
    assert ranks(np.array([5.0, -np.inf, 5.0, 7.0])).tolist() == [2.5, 1.0, 2.5, 4.0]


def test_the_order_of_five_by_hand():
    # One swap of neighbours among five: 1 - 6 * 2 / (5 * 24), and 9 concordant against 1 discordant of 10 pairs.
    one, other = np.arange(5.0), np.array([0.0, 1.0, 3.0, 2.0, 4.0])
    assert spearman(one, other) == pytest.approx(0.9)
    assert kendall(one, other) == pytest.approx(0.8)


@pytest.mark.parametrize("function", [spearman, kendall])
def test_too_few_values_have_no_order(function):
    assert math.isnan(function(np.array([1.0]), np.array([2.0])))
    assert math.isnan(function(np.zeros(0), np.zeros(0)))


@given(PAIRS, st.data())
def test_repetitions_are_those_of_values_written_out(pairs, data):
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs)))
    if sum(counts) < 2:
        return
    one, other = np.array(pairs, float).T
    written = [np.repeat(values, counts) for values in (one, other)]
    given_counts = np.array([counts, np.ones(len(pairs))], float)
    for repeated, plain in ((repeated_spearman, spearman), (repeated_kendall, kendall)):
        found = repeated(one, other, given_counts)
        assert found[0] == pytest.approx(plain(*written), abs=1e-9, nan_ok=True)
        assert found[1] == pytest.approx(plain(one, other), abs=1e-9, nan_ok=True)

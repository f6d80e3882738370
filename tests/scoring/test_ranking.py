from __future__ import annotations

import math

import numpy as np
import pytest

from hannah_hw.rank_correlation import spearman
from hannah_hw.scoring.ranking import (
    AGGREGATE,
    BASELINE,
    TOGETHER,
    aggregate,
    better_than_baseline,
    compare,
    interval,
    resamples,
)


def test_mean_ranks_by_hand():
    # Ranks 1 2 3 4 and 1 4 3 2; what is not finite comes last.
    found = aggregate([np.array([0.1, 0.2, 0.3, 0.4]), np.array([-np.inf, 9.0, 5.0, 1.0])])
    assert found.tolist() == [1.0, 3.0, 3.0, 3.0]
    undefined = aggregate([np.array([np.nan, 1.0, 2.0])])
    assert undefined.tolist() == [1.0, 2.0, 3.0]


def test_what_orders_no_better_than_parameters_is_dropped_by_name():
    accuracy = np.arange(10.0)
    figures = {
        BASELINE: np.array([0, 1, 2, 3, 4, 5, 6, 7, 9, 8], float),
        "as good": np.array([1, 0, 2, 3, 4, 5, 6, 7, 8, 9], float),
        "perfect": accuracy**3,
        "constant": np.ones(10),
        "against": -accuracy,
        "undefined": np.full(10, -np.inf),
    }
    assert better_than_baseline(figures, accuracy) == ("perfect",)
    standings = {s.name: s for s in compare(figures, accuracy, ms={"perfect": 2.0, "against": 3.0})}
    assert {name for name, s in standings.items() if s.kept} == {BASELINE, "perfect"}
    assert standings["perfect"].spearman.value == pytest.approx(1.0)
    assert standings["perfect"].gain.value == pytest.approx(1.0 - spearman(figures[BASELINE], accuracy))
    assert standings["perfect"].ms == 2.0
    assert standings[TOGETHER].ms == 5.0
    assert standings["undefined"].undefined == 10
    assert math.isnan(standings["constant"].kendall.value)
    assert standings["constant"].to_dict()["spearman"]["value"] is None
    # Of a single figure there is nothing to aggregate.
    assert AGGREGATE not in standings


def test_two_noisy_figures_together_order_better_than_each():
    rng = np.random.default_rng(0)
    accuracy = rng.normal(size=200)
    figures = {name: accuracy + rng.normal(size=200) for name in ("one", "other")}
    figures[BASELINE] = rng.normal(size=200)
    standings = {s.name: s for s in compare(figures, accuracy)}
    assert standings[AGGREGATE].kept
    assert standings[AGGREGATE].spearman.value > max(standings[n].spearman.value for n in ("one", "other"))


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    # Of normal pairs with correlation r, Spearman's is 6 / pi * asin(r / 2) (Pearson, 1907).
    r = 0.6
    truth, inside, times = 6 / math.pi * math.asin(r / 2), 0, 100
    rng = np.random.default_rng(1)
    for seed in range(times):
        one = rng.normal(size=80)
        other = r * one + math.sqrt(1 - r * r) * rng.normal(size=80)
        (_, found) = compare({BASELINE: rng.normal(size=80), "figure": one}, other, seed=seed)
        inside += found.spearman.low <= truth <= found.spearman.high
    # 95 of 100 are expected; 86 or fewer have a probability below .001.
    assert inside >= 87


def test_resamples_begin_with_every_network_once_and_keep_their_size():
    counts = resamples(7, times=50, seed=3)
    assert counts.shape == (51, 7)
    assert (counts[0] == 1).all()
    assert (counts.sum(axis=1) == 7).all()
    found = interval(np.array([0.5, 0.0, 1.0, np.nan]))
    assert (found.value, found.low, found.high) == (0.5, pytest.approx(0.025), pytest.approx(0.975))

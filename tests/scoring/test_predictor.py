from __future__ import annotations

import numpy as np
import pytest

from hannah_hw.rank_correlation import spearman
from hannah_hw.scoring.predictor import FEWEST, LearnedPredictor

pytest.importorskip("sklearn")


def smooth(count, seed, noise=0.0):
    """Errors of a formula of four parameters, two of which matter."""
    rng = np.random.default_rng(seed)
    features = rng.random((count, 4))
    values = 0.05 + 0.4 * np.exp(-3 * features[:, 0]) + 0.1 * (features[:, 1] - 0.5) ** 2
    return features, values + noise * rng.normal(size=count)


def test_the_stated_correlation_is_about_that_of_networks_it_never_saw():
    features, values = smooth(60, 0, noise=0.02)
    unseen, truth = smooth(400, 1, noise=0.02)
    predictor = LearnedPredictor().fit(features, values)
    found = predictor.predict(unseen)
    assert predictor.rank_correlation_ > 0.8
    assert spearman(found, truth) == pytest.approx(predictor.rank_correlation_, abs=0.1)
    assert np.abs(found - smooth(400, 1)[1]).mean() < 0.03


def test_noise_is_not_learned():
    rng = np.random.default_rng(2)
    predictor = LearnedPredictor().fit(rng.random((60, 5)), rng.random(60))
    # The larger of two correlations of 60 pairs; one is above .43 with a probability of .0003.
    assert predictor.rank_correlation_ < 0.5


def test_a_few_networks_that_learned_nothing_do_not_spoil_the_rest():
    features, values = smooth(60, 3)
    values[:3] = 90.0
    predictor = LearnedPredictor().fit(features[3:], values[3:])
    spoiled = LearnedPredictor().fit(features, values)
    unseen, truth = smooth(200, 4)
    assert spearman(spoiled.predict(unseen), truth) > spearman(predictor.predict(unseen), truth) - 0.15


def test_the_same_seed_gives_the_same_predictions():
    features, values = smooth(30, 5, noise=0.05)
    one, other = (LearnedPredictor(7).fit(features, values) for _ in range(2))
    assert one.model_ == other.model_
    assert one.rank_correlation_ == other.rank_correlation_
    assert np.array_equal(one.predict(features), other.predict(features))


def test_constants_have_no_order_and_are_predicted():
    features, _ = smooth(20, 6)
    predictor = LearnedPredictor().fit(features, np.full(20, 0.25))
    assert np.isnan(predictor.rank_correlation_)
    assert predictor.predict(features) == pytest.approx(np.full(20, 0.25))


def test_too_few_networks_are_refused():
    features, values = smooth(FEWEST - 1, 7)
    with pytest.raises(ValueError, match=f"{FEWEST - 1} networks are too few"):
        LearnedPredictor().fit(features, values)

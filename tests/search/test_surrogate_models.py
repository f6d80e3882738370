"""The Gaussian process against scikit-learn, expected improvements against closed forms and Monte Carlo."""

import itertools
import math

import numpy as np
import pytest

from hannah_hw.search.algorithms._acquisition import (
    HypervolumeImprovement,
    budgets,
    expected_improvement,
    normal,
)
from hannah_hw.search.algorithms._gaussian import (
    PRIOR_ROWS,
    GaussianProcess,
    block_distances,
    climb,
    first_hyper,
    likelihood,
)
from hannah_hw.search.hypervolume import hypervolume

BLOCKS = np.array([0, 0, 1, 1, 1])


def data(count=30, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.random((count, 5))
    return x, 3 + np.sin(4 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.01 * rng.normal(size=count)


def standard(x, y):
    return x - x.mean(axis=0), (y - y.mean()) / y.std()


def test_predictions_are_those_of_scikit_learn():
    kernels = pytest.importorskip("sklearn.gaussian_process.kernels")
    from sklearn.gaussian_process import GaussianProcessRegressor

    x, y = data()
    lengths, linear, noise = np.array([0.7, 1.9]), 0.4, 0.03
    mine = GaussianProcess(x, y, BLOCKS, np.log(np.r_[lengths, linear, noise]))
    centred, scaled = standard(x, y)
    gram = kernels.Matern(length_scale=lengths[BLOCKS], nu=2.5) + linear * kernels.DotProduct(sigma_0=0.0)
    peer = GaussianProcessRegressor(gram, alpha=noise, optimizer=None).fit(centred, scaled)
    new = np.random.default_rng(1).random((50, 5))
    mean, covariance = peer.predict(new - x.mean(axis=0), return_cov=True)
    got_mean, got_sd = mine.predict(new)
    np.testing.assert_allclose(got_mean, y.mean() + y.std() * mean, rtol=1e-9)
    # The scale has its best value: that of scaled outputs under the peer's covariance, and the prior's rows.
    gram_here = gram(centred) + noise * np.eye(len(x))
    scale = (scaled @ np.linalg.solve(gram_here, scaled) + PRIOR_ROWS) / (len(x) + PRIOR_ROWS)
    unit = np.sqrt(scale) * y.std()
    np.testing.assert_allclose(got_sd, unit * np.sqrt(np.diag(covariance)), rtol=1e-6)
    assert mine.noise == pytest.approx(noise * unit**2)


def test_likelihood_is_that_of_scikit_learn_and_its_slope_is_a_difference():
    kernels = pytest.importorskip("sklearn.gaussian_process.kernels")
    from sklearn.gaussian_process import GaussianProcessRegressor

    centred, scaled = standard(*data())
    hyper = np.log([0.7, 1.9, 0.4, 0.03])
    distances, linear = block_distances(centred, BLOCKS), centred @ centred.T
    found = likelihood(distances, linear, scaled, hyper)

    def peer(values):
        lengths, b, noise = np.exp(values[:2]), np.exp(values[2]), np.exp(values[3])
        gram = kernels.ConstantKernel(found.scale) * (
            kernels.Matern(length_scale=lengths[BLOCKS], nu=2.5) + b * kernels.DotProduct(sigma_0=0.0)
        )
        model = GaussianProcessRegressor(gram, alpha=found.scale * noise, optimizer=None)
        # The inverse-gamma prior of the scale is a factor that does not depend on the hyper-parameters.
        prior = PRIOR_ROWS / 2 * (np.log(found.scale) + 1 / found.scale)
        return prior - model.fit(centred, scaled).log_marginal_likelihood_value_

    rows = len(scaled) + PRIOR_ROWS
    constant = rows / 2 + len(scaled) / 2 * np.log(2 * np.pi)
    assert peer(hyper) == pytest.approx(found.loss + constant, rel=1e-9)
    for index in range(4):
        step = np.zeros(4)
        step[index] = 1e-5
        values = [likelihood(distances, linear, scaled, hyper + sign * step).loss for sign in (1, -1)]
        assert found.slope[index] == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4, abs=1e-6)


def test_climbing_finds_what_matters_and_how_noisy_it_is():
    rng = np.random.default_rng(2)
    x = rng.random((120, 5))
    clean = np.sin(6 * x[:, 0]) + np.cos(5 * x[:, 1])
    y = clean + 0.3 * rng.normal(size=120)
    start = first_hyper(2)
    hyper = climb(x, y, BLOCKS, start, 40)
    assert hyper[0] < hyper[1]  # the second block says nothing
    model = GaussianProcess(x, y, BLOCKS, hyper)
    assert 0.5 * 0.09 < model.noise < 2 * 0.09
    new = rng.random((500, 5))
    mean, sd = model.predict(new)
    error = mean - np.sin(6 * new[:, 0]) - np.cos(5 * new[:, 1])
    assert np.sqrt((error**2).mean()) < 0.15
    assert 0.8 < (np.abs(error) < 1.645 * sd).mean() < 0.98  # 90 % intervals


def test_equal_outputs_and_two_rows_are_no_trouble():
    x = np.array([[0.0, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
    hyper = climb(x, np.full(2, 7.0), BLOCKS, first_hyper(2), 10)
    mean, sd = GaussianProcess(x, np.full(2, 7.0), BLOCKS, hyper).predict(x + 0.1)
    np.testing.assert_allclose(mean, 7)
    assert (sd > 0).all()


def test_normal_distribution():
    z = np.linspace(-9, 9, 1001)
    below, density = normal(z)
    np.testing.assert_allclose(below, [0.5 * math.erfc(-v / math.sqrt(2)) for v in z], atol=1e-7)
    np.testing.assert_allclose(density, np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi))


def test_expected_improvement_is_the_mean_of_improvements():
    draws = np.random.default_rng(3).normal(size=400_000)
    best, mean, sd = np.array([-1.0, 0.3, 2.0]), np.array([0.0, 1.0]), np.array([0.5, 2.0])
    value = expected_improvement(best, mean, sd)
    for i in range(2):
        samples = np.maximum(best - (mean[i] + sd[i] * draws)[:, None], 0).mean(axis=0)
        np.testing.assert_allclose(value[i], samples, atol=0.01)


def test_budgets_fill_the_box_evenly():
    points = budgets(1000, 2, np.array([0.3, 0.9]))
    assert points.min() >= 0
    assert points.max() < 1
    cells = np.histogram2d(*points.T, bins=10, range=[[0, 1], [0, 1]])[0]
    assert cells.min() >= 7  # random points leave cells with two or three
    assert cells.max() <= 13


def closed_form(points, cost, mean, sd, reference):
    """Expected improvement with one known objective: strips between the costs of a front, each with its best."""
    inside = points[(points[:, 0] < reference[0]) & (points[:, 1] < reference[1])]
    edges = np.unique(np.r_[inside[:, 0], -10.0, reference[0]])
    total = 0.0
    for left, right in itertools.pairwise(edges):
        best = min([reference[1], *inside[inside[:, 0] <= left, 1]])
        total += max(0.0, right - max(left, cost)) * expected_improvement(
            np.array([best]), np.array([mean]), np.array([sd])
        )
    return float(total.item())


def test_two_objectives_against_the_closed_form():
    rng = np.random.default_rng(4)
    points, reference = rng.random((12, 2)), np.array([0.9, 1.0])
    costs, means, sds = rng.random(40) * 0.9, rng.random(40), 0.05 + 0.3 * rng.random(40)
    improvement = HypervolumeImprovement(
        points, np.zeros(2), reference, np.array([False, True]), budgets(20_000, 1, np.array([0.4]))
    )
    got = improvement.of(np.stack([costs, means], 1), np.stack([np.zeros(40), sds], 1))
    wanted = [closed_form(points, *c, reference) for c in zip(costs, means, sds, strict=True)]
    np.testing.assert_allclose(got, wanted, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("known", [1, 2])
def test_three_objectives_against_drawn_hypervolumes(known):
    rng = np.random.default_rng(5)
    points, reference = 0.2 + 0.8 * rng.random((8, 3)), np.ones(3)
    base = hypervolume(points, reference)
    mean, sd = 0.3 + 0.3 * rng.random((4, 3)), 0.1 + 0.1 * rng.random((4, 3))
    sd[:, 3 - known :] = 0
    improvement = HypervolumeImprovement(
        points[:5],
        np.zeros(3),
        reference,
        sd.any(axis=0),
        budgets(20_000, 2, np.array([0.1, 0.6])),
    )
    improvement.add(points[5:])
    got = improvement.of(mean, sd)
    drawn = mean + sd * rng.normal(size=(4000, 4, 3))
    for i in range(4):
        gains = [hypervolume(np.vstack([points, row]), reference) - base for row in drawn[:, i]]
        assert got[i] == pytest.approx(np.mean(gains), abs=4 * np.std(gains) / 60 + 0.003)


def test_nothing_there_yet_and_points_beyond_the_reference_are_the_same():
    mean, sd = np.array([[0.5, 0.5], [0.2, 0.9]]), np.array([[0.1, 0.0], [0.1, 0.0]])
    arguments = np.zeros(2), np.ones(2), np.array([True, False]), budgets(512, 1, np.array([0.5]))
    empty = HypervolumeImprovement(np.zeros((0, 2)), *arguments).of(mean, sd)
    beyond = HypervolumeImprovement(np.array([[2.0, 0.1], [0.1, 1.5]]), *arguments).of(mean, sd)
    np.testing.assert_array_equal(empty, beyond)
    np.testing.assert_allclose(empty, (1 - mean[:, 0]) * (1 - mean[:, 1]), rtol=0.01)

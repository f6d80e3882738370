"""Few-shot transfer on devices that are made: sums, paths, noise of a known size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from hannah_hw.errors import DataError
from hannah_hw.transfer import Cell, CellFeatures, FewShot, describe, representatives
from hannah_hw.transfer.design import d_optimal
from hannah_hw.transfer.linear import Prior, evidence, posterior

FloatArray = NDArray[np.float64]

OPERATIONS = ("none", "skip_connect", "conv", "pool")


@pytest.fixture(scope="module")
def space() -> CellFeatures:
    """The canonical cells of four nodes and four operations."""
    cells = [
        Cell.parse("|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*names))
        for names in itertools.product(OPERATIONS, repeat=6)
    ]
    return describe([cells[row] for row in representatives(cells)])


def devices(space: CellFeatures, count: int, seed: int, noise: float = 0.0) -> FloatArray:
    """(N, count) latencies of devices that run one operation after another."""
    rng = np.random.default_rng(seed)
    costs = np.exp(rng.normal(0.0, 0.5, (space.counts.shape[1], count))) * [[1.0], [0.6], [0.1]]
    return (1.0 + space.counts @ costs) * np.exp(rng.normal(0.0, noise, (len(space.counts), count)))


def test_features_are_conv_pool_skip(space: CellFeatures) -> None:
    assert space.names == ("conv", "pool", "skip_connect")


@pytest.mark.parametrize("scale", [1.0, 3e-5])
def test_a_sum_is_predicted_exactly(space: CellFeatures, scale: float) -> None:
    latencies = devices(space, 6, seed=1)
    transfer = FewShot(space.counts, latencies[:, 1:], paths=space.paths)
    sampled = transfer.choose(10)
    truth = latencies[:, 0] * scale
    predictor = transfer.fit(sampled, truth[sampled])
    values, lower, upper = predictor.predict()
    np.testing.assert_allclose(values, truth, rtol=1e-6)
    np.testing.assert_allclose(predictor.coefficients_s[0], scale, rtol=1e-5)
    assert not predictor.paths
    assert (lower <= values).all()
    assert (upper <= values * 1.006).all()


def test_order_of_samples_does_not_matter(space: CellFeatures) -> None:
    latencies = devices(space, 5, seed=2, noise=0.05)
    transfer = FewShot(space.counts, latencies[:, 1:])
    sampled = transfer.choose(12)
    one = transfer.fit(sampled, latencies[sampled, 0])
    other = transfer.fit(sampled[::-1], latencies[sampled[::-1], 0])
    np.testing.assert_allclose(one.values_s, other.values_s)
    np.testing.assert_allclose(one.half_width, other.half_width)


def test_the_prior_helps_where_samples_are_fewer_than_costs(space: CellFeatures) -> None:
    """Two samples cannot tell four costs; known devices with the same costs can."""
    costs = np.array([1.0, 0.6, 0.1])
    rng = np.random.default_rng(0)
    near = 1.0 + space.counts @ (costs[:, None] * np.exp(rng.normal(0.0, 0.02, (3, 4))))
    truth = 7.0 * (1.0 + space.counts @ costs)
    transfer = FewShot(space.counts, near)
    sampled = transfer.choose(2)
    np.testing.assert_allclose(transfer.fit(sampled, truth[sampled]).values_s, truth, rtol=0.05)


def test_a_device_of_paths_is_told_from_one_of_sums(space: CellFeatures) -> None:
    latencies = devices(space, 6, seed=3)
    costs = np.array([2.0, 1.2, 0.1])
    truth = 2.0 + 0.1 * space.counts.sum(axis=1) + (space.paths @ costs).max(axis=1)
    transfer = FewShot(space.counts, latencies, paths=space.paths)
    sampled = transfer.choose(30)
    with_paths = transfer.fit(sampled, truth[sampled])
    assert with_paths.paths
    np.testing.assert_allclose(with_paths.values_s, truth, rtol=0.01)
    without = FewShot(space.counts, latencies).fit(sampled, truth[sampled])
    assert not without.paths
    assert np.abs(without.values_s / truth - 1).max() > 0.1
    few = sampled[:9]
    assert not transfer.fit(few, truth[few]).paths


def test_a_second_batch_tells_more_of_a_device_of_paths(space: CellFeatures) -> None:
    """By the determinant of the information on its true costs, which samples chosen before know nothing of."""
    costs = np.array([2.0, 1.2, 0.1])
    along = space.paths @ costs
    longest = space.paths[np.arange(len(along)), along.argmax(axis=1)]
    truth = 1.0 + 0.1 * space.counts.sum(axis=1) + along.max(axis=1)
    rows = np.concatenate([np.ones((len(truth), 1)), space.counts, longest], axis=1) / truth[:, None]
    told = []
    for seed in range(4):
        measured = truth * np.exp(np.random.default_rng(seed).normal(0.0, 0.02, len(truth)))
        transfer = FewShot(space.counts, devices(space, 6, seed, noise=0.05), paths=space.paths)
        sampled, seconds = transfer.sample(18, measured.__getitem__)
        np.testing.assert_array_equal(seconds, measured[sampled])
        told.append([np.linalg.slogdet(rows[at].T @ rows[at])[1] for at in (transfer.choose(18), sampled)])
        assert transfer.fit(sampled, seconds).paths
    at_once, in_two = np.mean(told, axis=0)
    assert in_two > at_once + 1


def test_the_second_batch_is_new_and_keeps_to_the_candidates(space: CellFeatures) -> None:
    latencies = devices(space, 4, seed=4, noise=0.05)
    transfer = FewShot(space.counts, latencies[:, 1:], paths=space.paths)
    candidates = np.arange(3, 90, 4)
    first = transfer.choose(6, total=10, candidates=candidates)
    more = transfer.choose_next(first, latencies[first, 0], 4, candidates=candidates)
    assert set(more.tolist()) <= set(candidates.tolist()) - set(first.tolist())
    assert len(set(more.tolist())) == 4
    with pytest.raises(DataError, match="17 samples cannot be chosen from 16 architectures"):
        transfer.choose_next(first, latencies[first, 0], 17, candidates=candidates)
    with pytest.raises(DataError, match="positive and finite"):
        transfer.choose_next(first, -latencies[first, 0], 2)


def test_a_batch_after_samples_is_where_the_next_of_one_design_would_be(space: CellFeatures) -> None:
    """The scale of the device apart, samples that fit the prior exactly say nothing new of where to look."""
    latencies = devices(space, 1, seed=9)
    transfer = FewShot(space.counts, latencies)
    whole = transfer.choose(7)
    more = transfer.choose_next(whole[:4], 3.0 * latencies[whole[:4], 0], 3)
    np.testing.assert_array_equal(space.counts[more], space.counts[whole[4:]])


def test_a_rehearsal_is_a_fit_without_the_device(space: CellFeatures) -> None:
    latencies = devices(space, 4, seed=2, noise=0.05)
    latencies[5, 3] = np.nan
    transfer = FewShot(space.counts, latencies, paths=space.paths)
    sampled = transfer.choose(9, candidates=np.arange(6, len(latencies)))
    found = transfer.rehearse(sampled)
    assert set(found) == {0, 1, 2, 3}
    other = FewShot(space.counts, latencies[:, [0, 1, 3]], paths=space.paths)
    np.testing.assert_allclose(found[2], other.fit(sampled, latencies[sampled, 2]).values_s)
    assert set(transfer.rehearse(np.append(sampled, 5))) == {0, 1, 2}
    assert FewShot(space.counts, latencies[:, :1]).rehearse(sampled) == {}


@pytest.mark.parametrize(("count", "first"), [(2, 2), (7, 7), (8, 6), (10, 6), (13, 6), (20, 10), (51, 25)])
def test_sizes_of_the_first_batch(space: CellFeatures, count: int, first: int) -> None:
    batches = []
    truth = devices(space, 2, seed=1, noise=0.05)

    def measure(rows: NDArray[np.int64]) -> FloatArray:
        batches.append(len(rows))
        return truth[rows, 0]

    sampled, _ = FewShot(space.counts, truth[:, 1:]).sample(count, measure)
    assert len(set(sampled.tolist())) == count
    assert batches == [size for size in (first, count - first) if size]


@pytest.mark.parametrize("count", [10, 30])
def test_intervals_hold_nine_of_ten(space: CellFeatures, count: int) -> None:
    """Every device is the same model with the same noise, so that coverage is 90 % by construction, on average."""
    inside, width = [], []
    for seed in range(12):
        latencies = devices(space, 6, seed=seed, noise=0.08)
        transfer = FewShot(space.counts, latencies[:, 1:])
        sampled = transfer.choose(count)
        predictor = transfer.fit(sampled, latencies[sampled, 0])
        values, lower, upper = predictor.predict()
        rest = np.setdiff1d(np.arange(len(values)), sampled)
        truth = latencies[rest, 0]
        inside.append(((truth >= lower[rest]) & (truth <= upper[rest])).mean())
        width.append(predictor.half_width)
        assert predictor.coverage == 0.9
    assert 0.85 < np.mean(inside) < 0.98
    # 90 % of normal errors are within 1.645 deviations.
    assert 0.8 < np.mean(width) / (1.645 * 0.08) < 1.6


def test_coverage_of_few_samples_and_one_known_device_is_what_they_can_tell(space: CellFeatures) -> None:
    latencies = devices(space, 2, seed=5, noise=0.05)
    transfer = FewShot(space.counts, latencies[:, 1:])
    sampled = transfer.choose(5)
    assert transfer.fit(sampled, latencies[sampled, 0]).coverage == pytest.approx(5 / 6)


def test_known_devices_may_have_gaps(space: CellFeatures) -> None:
    latencies = devices(space, 5, seed=6)
    known = latencies[:, 1:].copy()
    known[::3, 0] = np.nan
    known[7] = np.nan
    transfer = FewShot(space.counts, known)
    sampled = transfer.choose(8)
    np.testing.assert_allclose(
        transfer.fit(sampled, latencies[sampled, 0]).values_s, latencies[:, 0], rtol=1e-5
    )


def test_chosen_samples_have_a_larger_determinant_than_random_ones() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 5))
    precision = np.eye(5) * 0.1

    def determinant(sampled: NDArray[np.int64]) -> float:
        return float(np.linalg.slogdet(precision + rows[sampled].T @ rows[sampled])[1])

    chosen = d_optimal(rows, 10, precision)
    assert len(set(chosen.tolist())) == 10
    assert determinant(chosen) > max(determinant(rng.permutation(200)[:10]) for _ in range(500))


def test_each_step_of_the_design_is_the_best_there_is() -> None:
    rows = np.random.default_rng(1).normal(size=(30, 3))
    precision = np.diag([1.0, 2.0, 0.5])
    chosen = d_optimal(rows, 6, precision).tolist()
    for step, row in enumerate(chosen):
        before = precision + rows[chosen[:step]].T @ rows[chosen[:step]]
        gains = [
            -np.inf if other in chosen[:step] else np.linalg.det(before + np.outer(rows[other], rows[other]))
            for other in range(30)
        ]
        assert int(np.argmax(gains)) == row


def test_choice_keeps_to_the_candidates(space: CellFeatures) -> None:
    transfer = FewShot(space.counts, devices(space, 3, seed=7))
    candidates = np.arange(5, 60, 3)
    assert set(transfer.choose(9, candidates=candidates).tolist()) <= set(candidates.tolist())
    with pytest.raises(DataError, match="20 samples cannot be chosen from 19 architectures"):
        transfer.choose(20, candidates=candidates)


def test_posterior_is_the_textbook_one() -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(6, 3))
    prior = Prior(np.array([1.0, -2.0, 0.5]), np.array([[2.0, 0.3, 0.0], [0.3, 1.0, 0.1], [0.0, 0.1, 0.7]]))
    noise = 0.2
    precision = np.linalg.inv(prior.covariance)
    wanted = np.linalg.solve(
        rows.T @ rows / noise**2 + precision, rows.T @ np.ones(6) / noise**2 + precision @ prior.mean
    )
    np.testing.assert_allclose(posterior(rows, prior, noise), wanted)


def test_evidence_is_the_density_of_a_normal() -> None:
    """One sample x b = 1 with b ~ N(m, v): 1 ~ N(x m, x² v + s²)."""
    prior = Prior(np.array([0.5]), np.array([[0.25]]))
    found, noise = evidence(np.array([[3.0]]), prior, [0.1], typical=0.1, spread=1.0)
    variance = 9 * 0.25 + 0.01
    assert noise == 0.1
    assert found == pytest.approx(-0.5 * 0.25 / variance - 0.5 * np.log(variance))


def test_bad_samples_are_refused(space: CellFeatures) -> None:
    transfer = FewShot(space.counts, devices(space, 3, seed=8))
    for sampled, latencies, message in [
        ([0, 1], [1.0, np.nan], "positive and finite"),
        ([0, 1], [1.0, 0.0], "positive and finite"),
        ([0, 1], [2.0, 2.0], "all 2 samples have the same latency"),
        ([0, 0], [1.0, 2.0], "distinct rows"),
        ([0, 10**6], [1.0, 2.0], "distinct rows"),
        ([0], [1.0], "2 or more"),
        ([0, 1], [1.0, 2.0, 3.0], "as many of both"),
    ]:
        with pytest.raises(DataError, match=message):
            transfer.fit(np.array(sampled), np.array(latencies))


def test_bad_knowledge_is_refused() -> None:
    features, known = np.arange(8.0).reshape(4, 2), np.array([[1.0], [2.0], [3.0], [4.0]])
    for wrong_features, wrong_known, message in [
        (features[:3], known, "they are"),
        (features, known[:, :0], "one known device or more"),
        (-features, known, "features are finite and not negative"),
        (features * np.nan, known, "features are finite"),
        (features, known * 0, "known latencies are positive"),
        (features, known * np.inf, "known latencies are positive"),
        (features, np.ones((4, 1)), "known device 0 has 4 latencies, all the same"),
        (features, np.full((4, 1), np.nan), "known device 0 has 0 latencies"),
    ]:
        with pytest.raises(DataError, match=message):
            FewShot(wrong_features, wrong_known)
    with pytest.raises(DataError, match=r"they are \(4, P, O\)"):
        FewShot(features, known, paths=np.zeros((3, 1, 2)))

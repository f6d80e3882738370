"""Statistics of given samples: no clock is read."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hannah_hw.errors import ModelError
from hannah_hw.measure.host_comparison import alternate, compare_models, median_ratio
from hannah_hw.measure.host_timing import NOISY, is_steady, statistics, warm_up


def replay(times):
    """A sample that returns given seconds, and says how many it has given."""
    given = []
    iterator = iter(times)

    def sample():
        given.append(next(iterator))
        return given[-1]

    return sample, given


@pytest.mark.parametrize(
    ("medians", "steady"),
    [
        ([1.0, 1.0, 1.0], False),
        ([1.0, 1.0, 1.0, 1.0], True),
        ([9.0, 1.01, 1.0, 1.02, 1.01], True),
        ([1.0, 1.0, 1.0, 1.06], False),
        # 1 % a block: within 5 % of each other, and of one direction.
        ([1.03, 1.02, 1.01, 1.00], False),
        ([1.00, 1.01, 1.02, 1.03], False),
        ([1.03, 1.02, 1.00, 1.01], True),
    ],
)
def test_times_are_steady_when_four_blocks_agree_without_a_direction(medians, steady):
    assert is_steady(medians) is steady


def test_warm_up_waits_for_the_end_of_a_ramp():
    # Runs of 10 ms: a block has two. The ramp falls by 10 % a run until run 30, then alternates by 1 %.
    ramp = [0.01] * 2 + [0.01 * 0.9**i + 0.001 for i in range(28)]
    level = ramp[-1]
    sample, given = replay(itertools.chain(ramp, itertools.cycle([level, level, level * 1.01, level * 1.01])))
    found = warm_up(sample)
    assert found.steady
    assert found.runs == len(given)
    # Nothing before the ramp's last twentieth is within 5 %; four blocks of two follow it.
    assert 30 < found.runs <= 30 + 4 * 2 + 2


def test_a_block_is_as_long_as_20_ms_and_at_most_50_runs():
    for seconds, length in [(1.0, 1), (0.004, 5), (1e-6, 50)]:
        sample, given = replay(itertools.repeat(seconds))
        found = warm_up(sample)
        assert found.steady
        assert found.runs == len(given) == 2 + 4 * length


def test_warm_up_of_what_is_never_steady_ends():
    sample, given = replay(1.1**i for i in itertools.count())
    found = warm_up(sample, limit_s=50.0)
    assert not found.steady
    assert found.runs == len(given)
    # One block of one run at a time: it ends with the first run beyond the limit.
    assert sum(given[:-1]) <= 50.0 < sum(given)


def test_statistics_of_known_samples():
    found = statistics(np.arange(1.0, 12.0))
    assert (found.median_s, found.p90_s, found.fastest_s) == (6.0, 10.0, 1.0)
    # The variance of 1 .. n is (n^2 - 1) / 12.
    assert found.variation == pytest.approx(np.sqrt((11**2 - 1) / 12) / 6)
    assert found.noisy
    assert statistics(np.full(7, 3.0)).variation == 0
    # Half the samples at 1 - v and half at 1 + v vary by v.
    for v in (NOISY * 0.99, NOISY * 1.01):
        assert statistics(np.array([1 - v, 1 + v] * 5)).noisy == (v > NOISY)


def test_runs_alternate_and_every_other_pair_is_turned_round():
    order = []
    times = iter(range(10))

    def sample(name):
        def run():
            order.append(name)
            return float(next(times))

        return run

    found = alternate(sample("A"), sample("B"), 5)
    assert "".join(order) == "ABBAABBAAB"
    np.testing.assert_array_equal(found, [[0, 3, 4, 7, 8], [1, 2, 5, 6, 9]])


def test_a_ratio_without_noise_has_no_interval():
    first = np.full(50, 2e-3)
    found = median_ratio(first, 1.5 * first)
    assert found.value == found.low == found.high == pytest.approx(1.5)
    assert found.differs
    assert not median_ratio(first, first).differs


def test_a_ratio_depends_only_on_samples_and_seed():
    rng = np.random.default_rng(3)
    first, second = rng.lognormal(0, 0.1, (2, 64))
    assert median_ratio(first, second) == median_ratio(first, second)
    assert median_ratio(first, second) != median_ratio(first, second, seed=1)
    assert median_ratio(first * 1e-3, second * 1e-3).low == pytest.approx(median_ratio(first, second).low)


def test_intervals_hold_the_true_ratio_as_often_as_they_say():
    rng = np.random.default_rng(5)
    held = differing = 0
    for _ in range(100):
        # Disturbances that last eight runs and weigh on both, and noise of each.
        common = np.repeat(rng.lognormal(0, 0.2, 10), 8)
        first = common * rng.lognormal(0, 0.05, 80)
        second = 1.1 * common * rng.lognormal(0, 0.05, 80)
        found = median_ratio(first, second)
        held += found.low <= 1.1 <= found.high
        differing += found.differs
    # 95 of 100 are meant; two standard deviations of a binomial below.
    assert held >= 90
    assert differing >= 60


def test_too_few_pairs(tmp_path):
    with pytest.raises(ModelError, match="9 runs are too few for an interval; take at least 10"):
        compare_models(tmp_path / "a.onnx", tmp_path / "b.onnx", runs=9)

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw.search.fidelity import FidelitySection, Halving
from hannah_hw.search.loop import make_goals
from hannah_hw.search.tasks import Outcome, Task

GOALS = make_goals(["error", "latency"], {})
#: What the error of a stage is times: half as much after each.
SECTION = FidelitySection(stages=3, factor=3, least=4)


class AnyOrder:
    """Finishes tasks in an order of its own; a candidate's error halves with each stage."""

    def __init__(self, errors, rng, shares=SECTION.shares):
        self.errors, self.rng, self.shares = errors, rng, shares
        self.waiting, self.ran = [], []

    def submit(self, index, task):
        self.waiting.append((index, task))

    def wait(self):
        index, task = self.waiting.pop(self.rng.integers(len(self.waiting)))
        self.ran.append((index, task.share))
        stage = self.shares.index(task.share)
        error = self.errors[index] / 2**stage
        metrics = {"error": error, "weights": f"{task.identifier}.{stage + 1}.npz"}
        return index, Outcome(metrics, None, datetime.now(UTC), task.share)

    def close(self):
        pass


def tasks_of(errors, latencies, lag):
    """Batches of one; the first `lag` candidates are asked before anything is told."""
    return [
        Task(f"c{i}", {}, told=max(0, i - lag), known={"latency_s": latencies[i]}) for i in range(len(errors))
    ]


def play(errors, latencies, lag, seed, log=(), goals=GOALS):
    """Run all candidates, each asked for when those before it minus the lag are done; outcomes by index."""
    rng = np.random.default_rng(seed)
    inner = AnyOrder(errors, rng)
    gone = []
    halving = Halving(inner, goals, SECTION, gone.append)
    tasks, done = tasks_of(errors, latencies, lag), {}
    for index, outcome in enumerate(log):
        halving.remember(index, tasks[index], outcome)
        done[index] = outcome
    submitted = len(log)
    while len(done) < len(tasks):
        while submitted < len(tasks) and all(i in done for i in range(tasks[submitted].told)):
            halving.submit(submitted, tasks[submitted])
            submitted += 1
        index, outcome = halving.wait()
        done[index] = outcome
    return [done[i] for i in range(len(tasks))], inner, gone


def metrics(outcomes):
    return [dict(outcome.metrics) for outcome in outcomes]


def test_one_in_three_goes_on_once_enough_are_known():
    # With one latency for all, the order is that of the errors.
    errors = [0.8, 0.6, 0.4, 0.2, 0.5, 0.1, 0.3, 0.9, 0.05]
    outcomes, _, gone = play(errors, [1.0] * 9, 0, 0)
    shares = [outcome.metrics["share"] for outcome in outcomes]
    # Four are needed: the first four go on everywhere. 0.5 has 2 better of 5: 2 < 5 / 3 is false. 0.1 is the best; so
    # it is at the second stage, where four are known. 0.3 has 2 better of 7 (2 < 7 / 3), and at the second stage
    # (0.8, 0.6, 0.4, 0.2, 0.1 before it) 2 of 6, which is too many. 0.9 is the worst, 0.05 the best.
    assert shares == pytest.approx([1, 1, 1, 1, 1 / 9, 1, 1 / 3, 1 / 9, 1])
    assert outcomes[0].metrics == {"error": 0.2, "share": 1, "error_stage_1": 0.8, "error_stage_2": 0.4}
    # The error at the end was a quarter of that of the first stage, and half of that of the second.
    assert outcomes[4].metrics == {"error": 0.5 / 4, "share": SECTION.shares[0], "error_stage_1": 0.5}
    assert outcomes[6].metrics["error"] == pytest.approx(0.3 / 4)
    # Only the weights of those that were stopped go; their time is that of all stages.
    assert gone == ["c4.1.npz", "c6.2.npz", "c7.1.npz"]
    assert outcomes[0].wall_s == pytest.approx(1 / 9 + 1 / 3 + 1)
    assert not any("weights" in outcome.metrics for outcome in outcomes)


def test_a_candidate_that_nothing_dominates_at_the_end_of_the_front_goes_on():
    """A large error is good enough with the smallest latency: the ends of a front have the most room."""
    errors, latencies = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.55], [7, 6, 5, 4, 3, 2, 2.5]
    outcomes, _, _ = play(errors, latencies, 0, 0)
    assert outcomes[5].metrics["share"] == 1.0  # 0.6 is at the end of the front of six
    # Of seven on one front, the two ends have infinite room, and at least one other is less crowded.
    assert outcomes[6].metrics["share"] == SECTION.shares[0]


def test_a_bound_on_the_error_comes_before_rank():
    goals = make_goals(["latency"], {"error": "<= 30 %"})
    errors, latencies = [0.2, 0.25, 0.1, 0.29, 0.5], [5, 4, 3, 2, 1]
    outcomes, _, _ = play(errors, latencies, 0, 0, goals=goals)
    # The last is the fastest of all, but breaks the bound, and all four others keep it.
    assert outcomes[4].metrics["share"] == SECTION.shares[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 6), st.integers(0, 20))
def test_neither_speed_nor_an_interruption_changes_anything(seed, lag, end):
    rng = np.random.default_rng(seed)
    errors, latencies = rng.uniform(0.05, 0.9, 20), rng.uniform(1, 10, 20)
    once, first, _ = play(errors, latencies, lag, seed)
    other, second, _ = play(errors, latencies, lag, seed + 1)
    assert metrics(once) == metrics(other)
    assert sorted(first.ran) == sorted(second.ran)
    resumed, third, _ = play(errors, latencies, lag, seed + 2, log=once[:end])
    assert metrics(resumed) == metrics(once)
    assert sorted(third.ran) == sorted(run for run in first.ran if run[0] >= end)


def test_a_failure_ends_a_candidate_and_is_compared_with_nobody():
    class Failing(AnyOrder):
        def wait(self):
            index, outcome = super().wait()
            if index == 1:
                reason = {"kind": "diverged", "message": ""}
                return index, Outcome({}, reason, outcome.started, outcome.wall_s)
            return index, outcome

    errors = [0.5, 0.1, 0.4, 0.3, 0.2, 0.6]
    inner = Failing(errors, np.random.default_rng(0))
    gone = []
    halving = Halving(inner, GOALS, SECTION, gone.append)
    outcomes = []
    for index, task in enumerate(tasks_of(errors, [1.0] * 6, 0)):
        halving.submit(index, task)
        outcomes.append(halving.wait()[1])
    assert outcomes[1].reason["kind"] == "diverged"
    # Four without the failed one are known to the sixth candidate, and only to it.
    assert [o.metrics.get("share") for o in outcomes] == [1, None, 1, 1, 1, SECTION.shares[0]]
    assert gone == ["c5.1.npz"]


def test_what_fails_later_leaves_no_weights_and_no_worker_names_files_elsewhere():
    class Failing(AnyOrder):
        def wait(self):
            index, outcome = super().wait()
            if self.ran[-1][1] > SECTION.shares[0]:
                return index, Outcome({}, {"kind": "timeout", "message": ""}, outcome.started, outcome.wall_s)
            metrics = {**outcome.metrics, "weights": f"../../{outcome.metrics['weights']}"}
            return index, Outcome(metrics, None, outcome.started, outcome.wall_s)

    gone = []
    halving = Halving(Failing([0.5], np.random.default_rng(0)), GOALS, SECTION, gone.append)
    halving.submit(0, tasks_of([0.5], [1.0], 0)[0])
    assert halving.wait()[1].reason["kind"] == "timeout"
    assert gone == ["c0.1.npz"]


@pytest.mark.parametrize(("stages", "factor"), [(2, 2), (3, 3), (4, 10)])
def test_shares_are_powers_of_the_factor(stages, factor):
    shares = FidelitySection(stages=stages, factor=factor).shares
    assert len(shares) == stages
    assert shares[-1] == 1.0
    assert np.allclose(np.divide(shares[1:], shares[:-1]), factor)

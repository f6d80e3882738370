from __future__ import annotations

import os
import time

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from hannah_hw.host.session import input_specs, open_session, random_inputs
from hannah_hw.measure.host_clock import (
    LEAST_KNOWN,
    BoundRun,
    Visits,
    clock,
    interleaved,
    pinned,
    settle,
)


def session_of(node, shape=(2, 3, 4)):
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [onnx.ValueInfoProto(name="y")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return open_session(model.SerializeToString(), optimisation="none")


@pytest.mark.parametrize(
    ("node", "in_place"),
    [
        (helper.make_node("Exp", ["x"], ["y"]), False),
        (helper.make_node("Flatten", ["x"], ["y"]), False),
        (helper.make_node("Flatten", ["x"], ["y"]), True),
    ],
)
def test_a_bound_run_gives_what_a_run_gives(node, in_place):
    session = session_of(node)
    feeds = random_inputs(input_specs(session, "x"))
    run = BoundRun(session, feeds, in_place=in_place)
    for _ in range(3):
        run()
    (expected,) = session.run(None, feeds)
    (found,) = run.outputs()
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


def test_every_round_visits_every_run():
    calls = [0, 0, 0]

    def run(index):
        def once():
            calls[index] += 1
            time.sleep(0.003)  # takes no processor time, so the wall clock is read

        return once

    visits = interleaved([run(0), run(1), run(2)], rounds=4, threads=2)
    assert visits.seconds.shape == visits.probe.shape == (4, 3)
    assert visits.seconds.min() > 0.003
    # Three runs plan a visit; that of a run which is longer than a visit warms up with one and times one.
    assert calls == [3 + 4 * 2] * 3
    both = visits + visits
    assert both.seconds.shape == both.probe.shape == (8, 3)


def test_the_clock_of_one_thread_does_not_count_what_the_thread_waits_for():
    if time.get_clock_info("thread_time").resolution > 1e-6:
        pytest.skip("the system has no fine clock of threads")
    now = clock(1)
    started = now()
    time.sleep(0.2)
    assert now() - started < 100_000_000
    assert clock(2) is time.perf_counter_ns


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system pins no threads")
def test_a_thread_is_pinned_inside_and_free_again_after_an_error():
    allowed = os.sched_getaffinity(0)
    with pinned():
        assert len(os.sched_getaffinity(0)) == 1
        assert os.sched_getaffinity(0) <= allowed
    with pinned(2):
        assert os.sched_getaffinity(0) == allowed
    with pytest.raises(KeyError), pinned():
        raise KeyError
    assert os.sched_getaffinity(0) == allowed


TRUE = st.lists(st.floats(1e-6, 1e-2), min_size=LEAST_KNOWN, max_size=12)
DRIFT = st.lists(st.floats(0.95, 1.05), min_size=8, max_size=20)
PROBE = 20e-6


def visits_of(times, slow=1.0):
    """Visits with a probe that is as slow as the models were."""
    times = np.asarray(times, float)
    return Visits(times, np.broadcast_to(PROBE * np.asarray(slow), times.shape))


@settings(max_examples=50)
@given(TRUE, DRIFT, st.data())
def test_drift_and_disturbed_rounds_do_not_change_the_ratios_of_times(true, drift, data):
    seconds, slow = np.array(true), np.array(drift)
    disturbed = data.draw(st.sets(st.integers(0, len(drift) - 1), max_size=len(drift) // 4))
    slow[list(disturbed)] *= 1.9
    times = slow[:, None] * seconds
    for row in disturbed:  # what shares the core slows some models more than others
        times[row, ::2] *= 1.3
    visits = visits_of(times, slow[:, None])
    found = settle(visits)
    np.testing.assert_allclose(found.seconds / found.seconds[0], seconds / seconds[0], rtol=1e-9)
    np.testing.assert_allclose(found.spread, 0, atol=1e-9 * seconds.max())
    assert found.calm == pytest.approx(1 - len(disturbed) / len(drift))
    # Against a scale, times are absolute, whatever the machine did.
    known = np.where(np.arange(len(true)) < LEAST_KNOWN, seconds, np.nan)
    np.testing.assert_allclose(settle(visits, known).seconds, seconds, rtol=1e-9)


def test_a_machine_that_is_disturbed_most_of_the_time_gives_the_times_of_the_rest():
    """Contention is the usual state: 85 % of the visits, each slowed by a factor of its own between 1.3 and 2.2."""
    rng = np.random.default_rng(0)
    seconds = np.array([4e-6, 1e-5, 5e-5, 3e-4, 2e-3])
    slow = np.where(rng.random((300, 5)) < 0.85, rng.uniform(1.3, 2.2, (300, 5)), 1.0)
    found = settle(Visits(slow * seconds, PROBE * slow))
    np.testing.assert_allclose(found.seconds, seconds)
    assert found.spread.max() < 1e-12
    assert 0.1 < found.calm < 0.2
    assert found.probe == PROBE
    # The median is that of the usual state.
    assert (np.median(slow * seconds, axis=0) > 1.4 * seconds).all()


def test_a_state_that_stays_slow_is_not_calm_once_a_faster_one_was_seen():
    visits = visits_of(np.full((8, 5), 2e-5), 1.7)
    assert settle(visits).calm == 1
    assert settle(visits, fastest=PROBE).calm == 0
    assert settle(visits, fastest=PROBE).probe == pytest.approx(1.7 * PROBE)


def test_how_much_slower_the_machine_is_than_before_is_divided_out_and_said():
    seconds = np.array([1e-6, 3e-6, 1e-5, 2e-5, 7e-5])
    visits = visits_of(np.full((8, 1), 1.8) * seconds)
    known = np.array([*seconds[:4], np.nan])
    found = settle(visits, known)
    np.testing.assert_allclose(found.seconds, seconds)
    assert found.slow == pytest.approx(1.8)
    # Without a scale nobody can tell.
    assert settle(visits).slow == 1.0
    np.testing.assert_allclose(settle(visits).seconds, 1.8 * seconds)


def test_a_model_that_changes_between_the_halves_shows_in_its_spread():
    times = np.ones((10, 6)) * np.arange(1, 7)
    times[5:, 2] *= 1.1
    found = settle(visits_of(times))
    assert found.spread[2] == pytest.approx(0.3)
    assert found.spread[[0, 1, 3, 4, 5]].max() < 1e-12


def test_the_drift_of_one_model_alone_cannot_be_told_from_its_own():
    found = settle(visits_of([[1.0], [1.0], [1.1], [1.1]]))
    assert found.spread[0] == pytest.approx(0.1)
    assert found.seconds[0] == pytest.approx(1.0)


def test_the_probe_around_a_visit_is_the_slower_of_before_and_after():
    state = {"slow": False, "calls": 0}

    def spin(seconds):
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass

    def run():
        state["calls"] += 1
        state["slow"] = state["calls"] == 7  # the second of three visits, after three runs that plan them
        spin(1e-3)

    visits = interleaved([run], rounds=3, probe=lambda: spin(2e-2 if state["slow"] else 1e-4), threads=2)
    assert visits.probe[1, 0] >= 2e-2

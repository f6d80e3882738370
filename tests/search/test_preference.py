"""Preference by a reference point, and the knee."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hannah_hw.errors import ConfigError
from hannah_hw.search import Search
from hannah_hw.search.algorithms.vega import BackboneNas
from hannah_hw.search.metrics import Goals
from hannah_hw.search.preference import achievement, knee_index, preferred_violation, shortfalls

sys.path.insert(0, str(Path(__file__).parent))
from search_toys import StagesEvaluator, StagesProblem, TableProblem

GOALS = Goals({"error": "min", "latency": "min", "macs": "max"}, (), {"error": 0.1, "macs": 2e6})


def test_shortfalls_are_relative_and_signed():
    rows = np.array([[0.15, 3.0, -1e6], [0.05, 9.0, -4e6]])
    expected = [[0.5, np.nan, 0.5], [-0.5, np.nan, -1.0]]
    np.testing.assert_allclose(shortfalls(GOALS, rows), expected)


@given(
    arrays(float, (6, 3), elements=st.floats(-10, 10)),
    arrays(float, 6, elements=st.sampled_from([0, 1e-9, 0.5, 40])),
)
def test_constraints_come_before_hopes_and_hopes_before_nothing(objectives, violation):
    told = preferred_violation(GOALS, objectives, violation)
    reached = (np.nan_to_num(shortfalls(GOALS, objectives), nan=-1.0) <= 0).all(axis=1)
    kept = violation == 0
    np.testing.assert_array_equal(told == 0, kept & reached)
    assert (told[kept] < 1).all()
    assert (told[~kept] > 1).all()
    assert (np.argsort(told[~kept], kind="stable") == np.argsort(violation[~kept], kind="stable")).all()


def test_without_hopes_nothing_changes():
    violation = np.array([0.0, 0.3])
    assert preferred_violation(Goals({"error": "min"}, ()), np.zeros((2, 1)), violation) is violation


def test_an_unknown_objective_counts_as_reached():
    told = preferred_violation(GOALS, np.array([[np.nan, 1.0, -3e6], [np.nan, 1.0, -1e6]]), np.zeros(2))
    np.testing.assert_allclose(told, [0.0, 0.5 / 1.5])


def test_the_preferred_point_is_the_nearest_to_the_hope():
    goals = Goals({"error": "min", "latency": "min"}, (), {"error": 0.3, "latency": 0.3})
    share = np.linspace(0, 1, 11)
    front = np.stack([share, 1 - share], 1)
    assert achievement(goals, front).argmin() == 5
    tilted = Goals({"error": "min", "latency": "min"}, (), {"error": 0.0, "latency": 0.6})
    # Equal shortfalls: s - 0 = (1 - s) - 0.6 at s = 0.2.
    assert achievement(tilted, front).argmin() == 2
    easy = Goals({"error": "min", "latency": "min"}, (), {"error": 0.9, "latency": 0.9})
    assert (achievement(easy, front) < 0).any()


def test_a_hope_about_no_objective_is_named():
    with pytest.raises(ConfigError, match=r"'energy' is no objective.*allowed: error"):
        Goals({"error": "min"}, (), {"energy": 1.0})


def test_knee_of_a_hand_made_front():
    # Scaled to the unit square: (0, 1), (.1, .2), (.5, .15), (1, 0); the sums are 1, .3, .65, 1.
    front = [[0.0, 10.0], [1.0, 2.0], [5.0, 1.5], [10.0, 0.0]]
    assert knee_index(front) == 1
    assert knee_index([]) is None
    assert knee_index([[3.0, 3.0]]) == 0


def test_knee_does_not_depend_on_units():
    front = np.array([[0.0, 10.0], [1.0, 2.0], [5.0, 1.5], [10.0, 0.0]])
    assert knee_index((front * [1e-6, 1e6]).tolist()) == knee_index(front.tolist())


def test_a_search_with_a_hope_finds_more_that_reaches_it():
    """And what it finds does not depend on how the hope was written."""
    reached = {}
    for name, preference in (("with", {"latency": "0.55 s", "error": 0.45}), ("without", {})):
        search = Search(
            StagesProblem(),
            None,
            ["error", "latency"],
            preference=preference,
            algorithm="nsga2",
            population=12,
            evaluator=StagesEvaluator(),
            seed=3,
        ).fit(150)
        values = np.array([[r["metrics"]["error"], r["metrics"]["latency_s"]] for r in search.history_])
        reached[name] = int((values <= [0.45, 0.55]).all(axis=1).sum())
        front = search.front_objectives_
        assert search.knee_ is search.front_[knee_index(front)]
        if preference:
            hoped = np.maximum((search.front_objectives_ - [0.45, 0.55]) / np.ptp(front, axis=0), -np.inf)
            assert search.preferred_ is search.front_[(hoped.max(1) + 0.05 * hoped.sum(1)).argmin()]
    assert reached["with"] > 2 * reached["without"]


def test_options_reach_the_algorithm_and_wrong_ones_are_named():
    search = Search(
        TableProblem(), None, ["latency", "flash"], algorithm=BackboneNas, options={"num_mutate": 2}
    )
    assert len(search.fit(12).history_) >= 12
    with pytest.raises(ConfigError, match="num_mutate is 1"):
        Search(TableProblem(), None, ["latency"], algorithm="BackboneNas", options={"num_mutate": 1}).fit(4)
    with pytest.raises(ConfigError, match=r"no option 'speed'.*allowed: none"):
        Search(TableProblem(), None, ["latency"], algorithm="nsga2", options={"speed": 1})

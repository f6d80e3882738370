"""What the adaptive search learns: its linear model, its features, its operators, and a predictor's advice."""

import json

import numpy as np
import pytest
from search_toys import ToyEncoding, nas_like, nas_like_values

from hannah_hw.search.algorithms import ALGORITHMS
from hannah_hw.search.algorithms._linear import FORGETTING, PENALTY, LinearModel
from hannah_hw.search.algorithms.adaptive import Adaptive
from hannah_hw.search.features import Features
from hannah_hw.search.hypervolume import hypervolume
from hannah_hw.search.protocols import Known


def test_features_by_hand():
    encoding = ToyEncoding(
        {"kind": ("cat", 3), "width": ("int", 5), "share": ("float",), "one": ("cat", 1)},
        {"width": ("kind", [0, 1]), "share": ("kind", [0, 1])},
    )
    features = Features(encoding)
    rows = np.array([[0, 4, 0.25, 0], [1, 2, 0.5, 0], [2, 2, 0.5, 0]])
    # Three kinds; width and share; their squares; one column for the pair that is switched together.
    expected = [
        [1, 0, 0, 0.5, -0.25, 0.5, 0.125, 1],
        [0, 1, 0, 0, 0, 0, 0, 1],
        [0, 0, 1, 0, 0, 0, 0, 0],
    ]
    assert features.count == 8
    np.testing.assert_allclose(features(rows), expected)


def test_model_is_the_weighted_ridge_solution():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)), rng.normal(size=(60, 2))
    model = LinearModel(4, 2)
    for part in np.split(np.arange(60), [1, 7, 30]):
        model.learn(x[part], y[part])
    age = FORGETTING ** np.arange(59, -1, -1)
    inputs = np.c_[np.ones(60), x]
    ridge = np.diag([1e-6, *[PENALTY] * 4])
    expected = np.linalg.solve(inputs.T * age @ inputs + ridge, inputs.T * age @ y)
    np.testing.assert_allclose(model.predict(x), inputs @ expected, rtol=1e-8)
    copy = LinearModel(4, 2)
    copy.load_state_dict(json.loads(json.dumps(model.state_dict())))
    assert copy.predict(x).tolist() == model.predict(x).tolist()


def volume(algorithm, count):
    """Hypervolume of `nas_like` after so many rows, without its constraints; reference (1, 1, 1)."""
    values = np.zeros((0, 3))
    while len(values) < count:
        rows = algorithm.ask(algorithm.batch)
        new = nas_like_values(rows)[0]
        algorithm.tell(rows, new, np.zeros(len(rows)))
        values = np.concatenate([values, new])
    return hypervolume(values[:count], np.ones(3))


def test_the_model_is_worth_evaluations(monkeypatch):
    volumes = []
    for most in (512, 1):
        monkeypatch.setattr("hannah_hw.search.algorithms.adaptive.CHOICE", most)
        make = [Adaptive(nas_like(), 3, population=32, seed=s) for s in range(4)]
        volumes.append(np.mean([volume(algorithm, 160) for algorithm in make]))
    assert volumes[0] > 1.1 * volumes[1]


class Oracle:
    """An outlook that foresees every objective."""

    def known(self, rows):
        return Known(np.full((len(rows), 3), np.nan), np.zeros(len(rows)), np.zeros((len(rows), 0)))

    def expected(self, rows):
        return nas_like_values(rows)[0]


@pytest.mark.parametrize("name", ["adaptive", "aging", "nsga2"])
def test_a_predictor_is_worth_evaluations(name):
    volumes = [
        np.mean(
            [
                volume(ALGORITHMS[name](nas_like(), 3, population=16, seed=s, outlook=outlook), 160)
                for s in range(4)
            ]
        )
        for outlook in (Oracle(), None)
    ]
    assert volumes[0] > 1.05 * volumes[1]


def test_operators_that_succeed_are_used_more():
    # One number far from its optimum, the others at theirs: many mutations at once undo more than they gain.
    encoding = ToyEncoding({f"p{i}": ("cat", 9) for i in range(24)})
    algorithm = Adaptive(encoding, 1, population=32, seed=0)
    for _ in range(120):
        rows = algorithm.ask(algorithm.batch)
        algorithm.tell(rows, (rows != 4).sum(axis=1, keepdims=True) + 0.0, np.zeros(len(rows)))
    rate = algorithm._success[1] / algorithm._use[1]
    assert rate[0] > rate[2]
    drawn = np.bincount(algorithm._operators(1, 4000), minlength=3) / 4000
    assert drawn[0] > drawn[2] > 0.03  # none dies out


def test_known_objectives_take_the_place_of_the_models():
    """The second objective is known: the handed out rows follow it although nothing told it truly."""

    class Half:
        def known(self, rows):
            values = np.stack([np.full(len(rows), np.nan), rows.sum(axis=1)], 1)
            return Known(values, np.zeros(len(rows)), np.zeros((len(rows), 0)))

        def expected(self, rows):
            return None

    encoding = ToyEncoding({f"p{i}": ("int", 16) for i in range(8)})
    algorithm = Adaptive(encoding, 2, population=32, seed=0, outlook=Half())
    totals = []
    for _ in range(20):
        rows = algorithm.ask(algorithm.batch)
        algorithm.tell(rows, np.stack([np.ones(len(rows)), rows.sum(axis=1)], 1), np.zeros(len(rows)))
        totals.append(rows.sum(axis=1).mean())
    assert algorithm.free.tolist() == [False, True]
    assert np.mean(totals[-5:]) < 0.5 * np.mean(totals[:4])

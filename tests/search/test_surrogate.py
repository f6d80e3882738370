"""The surrogate search: what it knows is taken exactly, what it predicts is learnt, and what is asked for counts."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from hannah_hw.search.algorithms import find_algorithm
from hannah_hw.search.algorithms._gaussian import GaussianProcess, first_hyper
from hannah_hw.search.algorithms._told import Told
from hannah_hw.search.hypervolume import hypervolume
from hannah_hw.search.loop import Search
from hannah_hw.search.protocols import Known

sys.path.insert(0, str(Path(__file__).parent))
from search_toys import StagesProblem, ToyEncoding, nas_like, nas_like_values

REFERENCE = np.ones(3)


class Free:
    """An outlook on `nas_like` that knows all but the error."""

    def known(self, rows):
        values, excess = nas_like_values(rows)
        values[:, 0] = np.nan
        return Known(
            values, np.maximum(excess, 0).sum(axis=1), np.concatenate([values[:, 1:], excess], axis=1)
        )

    def expected(self, rows):
        return None


def search(name, evaluations, *, seed=0, outlook=None, noise=0.0, lag=0, values=nas_like_values):
    """Rows and their noiseless values of a search that is told the oldest results while `lag` wait."""
    algorithm = find_algorithm(name)(nas_like(), 3, population=32, seed=seed, outlook=outlook)
    rng = np.random.default_rng(seed)
    told, waiting = [], []
    while sum(map(len, told)) < evaluations:
        rows = algorithm.ask(algorithm.batch)
        told.append(rows)
        waiting.append(rows)
        while sum(map(len, waiting)) > lag:
            oldest = waiting.pop(0)
            objectives, excess = values(oldest)
            objectives[:, 0] += noise * rng.normal(size=len(oldest))
            algorithm.tell(oldest, objectives, np.maximum(excess, 0).sum(axis=1))
    return algorithm, np.concatenate(told)[:evaluations]


def volume(rows):
    objectives, excess = nas_like_values(rows)
    return hypervolume(objectives[(excess <= 0).all(axis=1)], REFERENCE)


def test_what_is_free_is_worth_hundreds_of_evaluations():
    _, few = search("surrogate", 40, outlook=Free())
    _, many = search("adaptive", 160, outlook=Free())
    assert volume(few) > volume(many)


def test_rows_that_are_not_told_yet_count_as_evaluated():
    _, rows = search("surrogate", 44, outlook=Free(), lag=4)
    assert len(np.unique(rows, axis=0)) == 44
    _, alone = search("surrogate", 44, outlook=Free())
    assert volume(rows) > 0.9 * volume(alone)


def test_noise_is_not_taken_for_a_front():
    _, rows = search("surrogate", 44, outlook=Free(), noise=0.05)
    _, bred = search("adaptive", 80, outlook=Free(), noise=0.05)
    assert volume(rows) > volume(bred)


def test_the_state_continues_exactly_where_rows_were_bred_and_modelled():
    original, _ = search("surrogate", 30, outlook=Free())
    pending = original.ask(3)
    copy = find_algorithm("surrogate")(nas_like(), 3, population=32, seed=9, outlook=Free())
    copy.load_state_dict(json.loads(json.dumps(original.state_dict())))
    for algorithm in (original, copy):
        objectives, excess = nas_like_values(pending)
        algorithm.tell(pending, objectives, np.maximum(excess, 0).sum(axis=1))
    for _ in range(3):
        np.testing.assert_array_equal(original.ask(2), copy.ask(2))
    assert original.state_dict() == copy.state_dict()


def narrow(rows):
    """Two expensive objectives and one expensive constraint that one random row in two thousand keeps."""
    distance = np.abs(rows[:, 1:] - 6).sum(axis=1) / 40
    return np.stack([rows[:, 0] / 15 + distance, 1 - rows[:, 0] / 15 + distance], 1), distance[:, None] - 0.25


def test_an_expensive_constraint_is_reached_by_its_excess():
    encoding = ToyEncoding({f"p{i}": ("int", 16) for i in range(9)})
    algorithm = find_algorithm("surrogate")(encoding, 2, population=20, seed=1)
    kept, count = 0, 0
    while count < 60:
        rows = algorithm.ask(algorithm.batch)
        objectives, excess = narrow(rows)
        algorithm.tell(rows, objectives, np.maximum(excess, 0).sum(axis=1), excess=excess)
        kept, count = kept + int((excess <= 0).sum()), count + len(rows)
    random = encoding.sample(2000, np.random.default_rng(0))
    assert (narrow(random)[1] <= 0).sum() <= 4
    assert kept >= 20


def test_failed_evaluations_are_avoided():
    encoding = ToyEncoding({"kind": ("cat", 4), **{f"p{i}": ("int", 8) for i in range(4)}})
    algorithm = find_algorithm("surrogate")(encoding, 2, population=12, seed=0)
    kinds = []
    while len(kinds) < 44:
        rows = algorithm.ask(algorithm.batch)
        objectives = np.stack([rows[:, 1:].sum(axis=1), 28 - rows[:, 1:].sum(axis=1)], 1) + rows[:, :1]
        objectives[rows[:, 0] == 0] = np.nan  # the kind that would be best, if only it could be trained
        algorithm.tell(rows, objectives, np.zeros(len(rows)))
        kinds += rows[:, 0].tolist()
    assert np.mean(np.array(kinds[-20:]) == 0) < 0.1


def test_believing_is_being_told_what_was_expected():
    rng = np.random.default_rng(0)
    x, new, other = rng.random((20, 3)), rng.random((4, 3)), rng.random((30, 3))
    blocks, hyper = np.zeros(3, np.int64), first_hyper(1)
    model = GaussianProcess(x, np.sin(5 * x).sum(axis=1), blocks, hyper)
    wiser = model.believe(new[:1]).believe(new[1:])
    np.testing.assert_allclose(wiser.predict(other)[0], model.predict(other)[0])
    assert (wiser.predict(other)[1] < model.predict(other)[1]).all()
    # The standard deviation depends on where the rows are, on the centre of the features and on the scale alone.
    kernels = pytest.importorskip("sklearn.gaussian_process.kernels")
    from sklearn.gaussian_process import GaussianProcessRegressor

    length, linear, noise = np.exp(hyper)
    gram = kernels.Matern(length_scale=length, nu=2.5) + linear * kernels.DotProduct(sigma_0=1e-9)
    peer = GaussianProcessRegressor(gram, alpha=noise, optimizer=None)
    sd = peer.fit(np.concatenate([x, new]) - x.mean(axis=0), np.zeros(24)).predict(
        other - x.mean(axis=0), return_std=True
    )[1]
    ratio = wiser.predict(other)[1] / sd
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)


def test_success_is_not_to_be_dominated_by_an_earlier_row():
    known = Known(np.full((0, 2), np.nan), np.zeros(0), np.zeros((0, 0)))
    objectives = np.array([[5.0, 5.0], [4.0, 6.0], [6.0, 6.0], [1.0, 1.0], [0.0, 9.0], [np.nan, 1.0]])
    violation = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    told = Told.nothing(1, known).plus(
        np.arange(6.0)[:, None],
        Known(np.full((6, 2), np.nan), np.zeros(6), np.zeros((6, 0))),
        objectives,
        violation,
        None,
    )
    assert told.successes(0).tolist() == [True, True, False, False, True, False]
    assert told.successes(2).tolist() == [False, False, True, False]
    assert told.failed.tolist() == [False, False, False, False, False, True]


class Scores:
    """Of a candidate with the error e of `nas_like`: 1 - e as a figure to maximise, e as one to minimise."""

    def start(self):
        self.encoding = nas_like()

    def evaluate(self, task):
        row = np.array([[task.assignment[name] for name in self.encoding.ids]])
        error = float(nas_like_values(row)[0][0, 0])
        return {"macro_f1": 1 - error, "balanced_error": error}


def test_maximising_a_trained_figure_is_minimising_what_is_left_of_it():
    found = []
    for name, direction in (("macro_f1", "max"), ("balanced_error", "min")):
        goals = {name: direction, "latency": "min"}
        options = {"algorithm": "surrogate", "population": 20, "seed": 3, "evaluator": Scores()}
        found.append(Search(StagesProblem(), None, goals, {}, **options).fit(36))
    up, down = found
    assert [record["id"] for record in up.history_] == [record["id"] for record in down.history_]
    assert up.hypervolume_ == pytest.approx(down.hypervolume_)
    # Chosen beyond the first ones, which are random.
    assert max(record["metrics"]["macro_f1"] for record in up.history_[20:]) > max(
        record["metrics"]["macro_f1"] for record in up.history_[:20]
    )

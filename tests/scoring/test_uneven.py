"""Classes of different sizes, and sets of few samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw.errors import DataError
from hannah_hw.scoring import Training, build_dataset, score_candidate, train
from hannah_hw.scoring.answers import balanced_figures, error_of, is_uneven, model_answers
from hannah_hw.scoring.batches import Batches, class_weights
from hannah_hw.scoring.candidate import fresh_module
from hannah_hw.scoring.folds import folds, seen
from tests.scoring.blobs import make_blobs, small_space

torch = pytest.importorskip("torch")


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
@settings(max_examples=25, deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning:sklearn")
def test_figures_are_those_of_scikit_learn(pairs):
    metrics = pytest.importorskip("sklearn.metrics")
    truth, answers = np.array(pairs).T
    found = balanced_figures(truth, answers)
    assert found["balanced_error"] == pytest.approx(1 - metrics.balanced_accuracy_score(truth, answers))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(truth, answers, average="macro"))
    assert error_of(truth, answers) == pytest.approx(1 - metrics.accuracy_score(truth, answers))


def uneven_blobs():
    """The blobs with a noise that hides much, and far fewer samples of the last two classes."""
    even = make_blobs(noise=2.5)
    x = np.concatenate([even.x_train, even.x_val, even.x_test])
    y = np.concatenate([even.y_train, even.y_val, even.y_test])
    kept = np.concatenate([np.flatnonzero(y == label)[: 120 if label < 2 else 24] for label in range(4)])
    return build_dataset("uneven", {"x_train": x[kept], "y_train": y[kept]}, seed=0)


def test_weights_and_draws_make_classes_even():
    data = uneven_blobs()
    assert np.bincount(data.y_train).tolist() == [84, 84, 16, 16]
    weights = class_weights(data).numpy()
    np.testing.assert_allclose(weights, 200 / (4 * np.array([84, 84, 16, 16])))
    batches = Batches(data, 20, 0, 1, "cpu", even=True)
    drawn = [labels for _ in range(40) for _, labels in batches]
    counts = np.bincount(torch.cat(drawn), minlength=4)
    # 8,000 draws with a chance of 1/4: 2,000 of each, with a standard deviation of 39.
    assert abs(counts - counts.mean()).max() < 160
    shown = torch.cat([labels for _, labels in Batches(data, 20, 0, 1, "cpu")])
    assert np.bincount(shown).tolist() == [84, 84, 16, 16]


@pytest.mark.parametrize("balance", ["loss", "sampling"])
def test_rare_classes_are_recalled_better(balance):
    data = uneven_blobs()
    space = small_space()

    def recall(how):
        module = fresh_module(space.candidate(space.default()), 1)
        train(module, data, Training(epochs=4, batch_size=16, balance=how), 1)
        x = torch.from_numpy(np.concatenate([data.x_val, data.x_test]))
        y = np.concatenate([data.y_val, data.y_test])
        with torch.no_grad():
            answers = module(x).argmax(1).numpy()
        rare = y >= 2
        return float((answers[rare] == y[rare]).mean())

    assert recall(balance) > recall("none")


def test_folds_hold_out_every_sample_once():
    data = uneven_blobs()
    both = seen(data)
    parts = list(folds(data, 4))
    held = np.concatenate([part.x_val for part in parts])
    assert sorted(map(bytes, held)) == sorted(map(bytes, both.x_train))
    for part in parts:
        assert not set(map(bytes, part.x_val)) & set(map(bytes, part.x_train))
        np.testing.assert_array_equal(part.x_test, data.x_test)
        counts = np.bincount(part.y_val, minlength=4)
        # 102 and 20 samples a class, in four folds.
        assert all(abs(counts - [25.5, 25.5, 5, 5]) <= 1.5)
    x, y = np.eye(12).reshape(12, 2, 6), np.arange(12) % 2
    few = build_dataset("few", {"x_train": x, "y_train": y}, seed=0)
    with pytest.raises(DataError, match="too few samples, or recordings, for 20 folds"):
        list(folds(few, 20))


def test_recordings_stay_in_one_fold():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 6)
    arrays = {"x_train": rng.normal(size=(120, 2, 9)), "y_train": groups % 2}
    data = build_dataset("r", arrays, seed=0, groups=groups, class_names=("a", "b"))
    for part in folds(data, 3):
        assert not set(part.groups_train) & set(part.groups_val)
        assert set(part.y_val) == {0, 1}


def test_a_score_of_folds_is_that_of_all_of_them_together(tmp_path):
    data = uneven_blobs()
    space = small_space()
    training = Training(epochs=2, batch_size=16, folds=3, budget_s=100)
    score = score_candidate(space, space.default(), data, training, 0, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [score.artifact.name]
    wrong = 0
    for number, part in enumerate(folds(data, 3)):
        single = Training(epochs=2, batch_size=16)
        alone = score_candidate(space, space.default(), part, single, 0, tmp_path / str(number))
        (answers,) = model_answers(alone.artifact, part.x_val)
        wrong += int((answers != part.y_val).sum())
    assert score.error == wrong / len(seen(data).y_train)
    # The model itself was trained on all of them.
    whole = score_candidate(
        space, space.default(), seen(data), Training(epochs=2, batch_size=16), 0, tmp_path / "w"
    )
    assert whole.artifact.read_bytes() == score.artifact.read_bytes()
    assert score.test_error == whole.test_error
    assert "3 models, each on samples it was not trained with, 244 in all" in score.provenance["error"]
    assert is_uneven(data)
    assert {"balanced_error", "macro_f1", "test_balanced_error", "test_macro_f1"} <= score.metrics().keys()


def test_even_classes_have_no_figures_of_their_own_unless_asked(tmp_path):
    data, space = make_blobs(), small_space()
    training = Training(epochs=0.5)
    plain = score_candidate(space, space.default(), data, training, 0, tmp_path)
    assert set(plain.metrics()) == {"error", "test_error", "float_error"}
    asked = score_candidate(space, space.default(), data, training, 0, tmp_path, balanced=True)
    # 18 validation samples of each class: the mean recall is the accuracy.
    assert asked.metrics()["balanced_error"] == pytest.approx(asked.error)

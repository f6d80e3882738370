"""Finalists: what is kept is the better model on the validation part, and the file is what the figures say."""

import dataclasses

import numpy as np
import pytest

from hannah_hw.scoring import Training, score_candidate
from hannah_hw.scoring.answers import model_errors
from hannah_hw.scoring.finetune import Finalists, Start, finetune_candidate
from hannah_hw.scoring.shared_weights import statistics_batches
from hannah_hw.scoring.supernet import Pool, Supernet, train_supernet
from tests.scoring.blobs import make_blobs, small_space

SHORT = Training(epochs=1)
FINALISTS = Finalists(epochs=3)


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(1.5)


def errors_of(path, data):
    return model_errors(path, (data.x_val, data.y_val), (data.x_test, data.y_test))


def tune(data, folder, options=FINALISTS, start=None, seed=5, **kwargs):
    space = small_space()
    return finetune_candidate(
        space, space.sample(seed), data, SHORT, options, 3, folder, start or Start(), **kwargs
    )


def test_it_begins_where_the_search_ended_and_keeps_the_better_model(blobs, tmp_path):
    space = small_space()
    score = score_candidate(space, space.sample(5), blobs, SHORT, 3, tmp_path)
    found = tune(blobs, tmp_path)
    assert found["before"] == {"error": score.error, "test_error": score.test_error}
    assert found["kept"]
    assert found["error"] < score.error
    path = tmp_path.parent / found["artifact"]
    assert path.name == f"{space.candidate(space.sample(5)).id}.tuned.onnx"
    assert errors_of(path, blobs) == (found["error"], found["test_error"])
    assert found["error"] == pytest.approx(found["trained_error"], abs=0.02)
    assert errors_of(score.artifact, blobs) == (score.error, score.test_error)
    again = tune(blobs, tmp_path / "again")
    assert {**again, "artifact": None} == {**found, "artifact": None}
    assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_what_is_not_better_leaves_the_model_of_the_search(blobs, tmp_path):
    """At a huge rate what was learned is lost."""
    found = tune(blobs, tmp_path, Finalists(epochs=0.5, rate=5.0))
    assert not found["kept"]
    assert found["artifact"] is None
    assert found["error"] == found["before"]["error"]
    assert list(tmp_path.iterdir()) == []


def test_float_models_are_tuned_without_rounding(blobs, tmp_path):
    found = tune(blobs, tmp_path, precision="float32")
    assert found["kept"]
    # torch and ONNX Runtime compute the same.
    assert found["trained_error"] == pytest.approx(found["error"], abs=0.5 / len(blobs.y_val) + 1e-9)


def test_a_finalist_of_a_supernet_always_has_a_model(blobs, tmp_path):
    space = small_space()
    pool = Pool([space.sample(seed).to_dict() for seed in (1, 5, 2)])
    supernet = train_supernet(space, pool, blobs, Supernet(epochs=2), 0, tmp_path / "supernet.npz")
    start = Start(supernet=supernet, statistics=statistics_batches(blobs, 128))
    for options in (FINALISTS, Finalists(epochs=0.5, rate=5.0)):
        found = tune(blobs, tmp_path / "artifacts", options, start)
        assert errors_of(tmp_path / found["artifact"], blobs) == (found["error"], found["test_error"])
        assert found["error"] == min(found["error"], found["before"]["error"])
        assert found["kept"] == (found["error"] < found["before"]["error"])


def test_the_validation_part_alone_decides(blobs, tmp_path):
    """Other labels of the test part change its error, and nothing else."""
    rng = np.random.default_rng(0)
    other = dataclasses.replace(blobs, y_test=rng.permutation(blobs.y_test))
    one, two = tune(blobs, tmp_path / "a"), tune(other, tmp_path / "b")
    assert one["test_error"] != two["test_error"]
    assert {**one, "test_error": 0, "before": 0, "after": 0, "artifact": 0} == {
        **two, "test_error": 0, "before": 0, "after": 0, "artifact": 0
    }  # fmt: skip

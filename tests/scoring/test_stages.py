from __future__ import annotations

import numpy as np
import pytest

from hannah_hw.scoring import Training, candidate_seed, load_data, score_candidate
from hannah_hw.scoring.candidate import train_candidate
from hannah_hw.scoring.stages import Stages
from hannah_hw.scoring.training import train, validate
from hannah_hw.spaces import load_space

torch = pytest.importorskip("torch")

TRAINING = Training(epochs=1.5, batch_size=64)
SHARES = (1 / 3, 2 / 3, 1.0)


@pytest.fixture(scope="module")
def setup():
    data = load_data("digits")
    space = load_space("ds_cnn", input_shape=data.input_shape, classes=data.classes)
    return space.candidate(space.default()), data


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_one_stage_is_the_training_as_it_was(setup):
    from hannah_hw.executors import to_torch

    candidate, data = setup
    seed = candidate_seed(5, candidate.id)
    torch.manual_seed(seed)
    plain = to_torch(candidate)
    expected = train(plain, data, TRAINING, seed)
    module, result, _ = train_candidate(candidate, data, TRAINING, 5)
    assert result.losses == expected.losses
    assert same(state(module), state(plain))


def test_stages_one_by_one_are_the_same_as_in_one_go_and_whatever_is_lost(setup, tmp_path):
    candidate, data = setup
    whole, _, _ = train_candidate(candidate, data, TRAINING, 0, stages=Stages(SHARES))
    kept = Stages(SHARES, tmp_path / "weights", keep=True)
    epochs = 0.0
    for count, share in enumerate(SHARES, start=1):
        module, result, _ = train_candidate(candidate, data, TRAINING, 0, share=share, stages=kept)
        epochs += result.epochs
        assert result.accuracy == validate(module, data)
        names = [path.name for path in kept.folder.iterdir()]
        assert names == [f"{candidate.id}.npz" if count == 3 else f"{candidate.id}.{count}.npz"]
        # Asked again, as after a kill between the weights and the record: nothing is trained, all is the same.
        again, repeated, _ = train_candidate(candidate, data, TRAINING, 0, share=share, stages=kept)
        assert repeated.epochs == 0
        assert repeated.accuracy == result.accuracy
        assert same(state(again), state(module))
    assert epochs == pytest.approx(TRAINING.epochs, abs=0.1)  # steps of each stage are rounded
    assert same(state(module), state(whole))
    # The first stage is lost or damaged: it is trained again.
    lost = Stages(SHARES, tmp_path / "lost")
    train_candidate(candidate, data, TRAINING, 0, share=SHARES[0], stages=lost)
    (file,) = lost.folder.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    module, _, _ = train_candidate(candidate, data, TRAINING, 0, stages=lost)
    assert same(state(module), state(whole))
    # Those of the whole training are kept only where that is wanted.
    assert list(lost.folder.iterdir()) == []


def test_the_score_of_a_training_in_stages_is_that_of_its_weights(setup, tmp_path):
    candidate, data = setup
    stages = Stages(SHARES, tmp_path / "weights", keep=True)
    arguments = (candidate.space, candidate.assignment, data, TRAINING, 0)
    one = score_candidate(*arguments, tmp_path / "a", stages=stages)
    module, _, _ = train_candidate(candidate, data, TRAINING, 0, stages=stages)
    assert one.float_error == 1 - validate(module, data)
    two = score_candidate(*arguments, tmp_path / "b", stages=Stages(SHARES))
    assert one.artifact.read_bytes() == two.artifact.read_bytes()
    assert one.metrics() == two.metrics()


@pytest.mark.parametrize("shares", [(), (0.5,), (0.0, 1.0), (0.5, 0.3, 1.0), (0.5, 0.5, 1.0), (1.0, 1.5)])
def test_shares_grow_to_one(shares):
    with pytest.raises(ValueError, match="share"):
        Stages(shares)


def test_a_stage_shorter_than_an_epoch_sees_some_samples_once(setup):
    candidate, data = setup
    steps = len(data.y_train) // TRAINING.batch_size
    _, result, _ = train_candidate(candidate, data, TRAINING, 0, share=0.1, stages=Stages((0.1, 1.0)))
    assert result.epochs == round(0.15 * steps) / steps < 1
    assert np.isfinite(result.losses).all()

"""Quantisation-aware training: what is trained is what ONNX Runtime's integer kernels compute."""

import numpy as np
import pytest
import torch

from hannah_hw.executors import to_torch
from hannah_hw.host.session import open_session
from hannah_hw.scoring import Training, train
from hannah_hw.scoring.quantised_training import train_quantised, with_rounding
from tests.scoring.blobs import make_blobs, small_space


@pytest.fixture(scope="module")
def blobs():
    return make_blobs()


@pytest.fixture(scope="module")
def trained(blobs):
    space = small_space()
    torch.manual_seed(0)
    module = to_torch(space.candidate(space.sample(seed=4)))
    train(module, blobs, Training(epochs=3), seed=1)
    return module


def classes(model, samples):
    session = open_session(model)
    name = session.get_inputs()[0].name
    return np.array([session.run(None, {name: sample[None]})[0].argmax() for sample in samples])


def test_the_exported_model_puts_samples_into_the_classes_that_were_trained(blobs, trained, tmp_path):
    before = {name: values.clone() for name, values in trained.state_dict().items()}
    network, result = train_quantised(trained, blobs, Training(epochs=2, learning_rate=0.02), seed=5)
    (tmp_path / "a.onnx").write_bytes(network.model().SerializeToString())
    found = classes(tmp_path / "a.onnx", blobs.x_val)
    with torch.no_grad():
        expected = network.module(torch.from_numpy(blobs.x_val)).argmax(1).numpy()
    assert (found == expected).mean() >= 0.98
    assert result.accuracy == np.mean(expected == blobs.y_val)
    assert all(torch.equal(values, before[name]) for name, values in trained.state_dict().items())
    assert not torch.equal(
        network.module.weight("ds_cnn_0.Conv2d_0.weight"), before["ds_cnn_0.Conv2d_0.weight"]
    )


def test_the_same_seed_gives_the_same_file(blobs, trained):
    training = Training(epochs=0.5, learning_rate=0.02)
    files = [
        train_quantised(trained, blobs, training, seed=2)[0].model().SerializeToString() for _ in range(2)
    ]
    assert files[0] == files[1]
    other = train_quantised(trained, blobs, training, seed=3)[0].model().SerializeToString()
    assert other != files[0]


def test_training_takes_back_what_coarse_weights_cost(blobs, trained):
    """Weights on few levels: rounding after training loses what training with rounding learns to live with."""
    coarse = with_rounding(trained, blobs.x_train[:64])
    channel = "ds_cnn_0.Conv2d_0.weight"
    with torch.no_grad():
        # One huge value in each channel of the first layer leaves the others few levels of the grid.
        values = coarse.module.weight(channel)
        values[:, :, 0, 0] = 60 * values.abs().amax()
    loss = torch.nn.functional.cross_entropy
    x, y = torch.from_numpy(blobs.x_train), torch.from_numpy(blobs.y_train)
    with torch.no_grad():
        before = float(loss(coarse.module.eval()(x), y))
    train(coarse.module, blobs, Training(epochs=3, learning_rate=0.02), seed=1)
    with torch.no_grad():
        after = float(loss(coarse.module.eval()(x), y))
    assert after < 0.7 * before

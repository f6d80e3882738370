"""A supernet learns all its networks at once, and an interruption changes nothing."""

import numpy as np
import pytest
import torch

from hannah_hw.errors import DataError
from hannah_hw.executors import WeightSharingExecutor
from hannah_hw.scoring.shared_weights import load_supernet, shared_error, statistics_batches
from hannah_hw.scoring.supernet import Pool, Supernet, _sandwich, train_supernet
from tests.scoring.blobs import make_blobs, small_space

OPTIONS = Supernet(epochs=4, random=1, batch_size=16, learning_rate=0.2, shift=0)


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(0.7)


@pytest.fixture(scope="module")
def pool():
    space = small_space(1)
    networks = sorted((space.candidate(space.sample(seed)) for seed in range(40)), key=lambda c: c.macs)
    return Pool([network.assignment.to_dict() for network in networks])


@pytest.fixture(scope="module")
def trained(blobs, pool, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "supernet.npz"
    losses = []
    module = train_supernet(
        small_space(1), pool, blobs, OPTIONS, 7, path, lambda epoch, loss: losses.append((epoch, loss))
    )
    return module, path, losses


def test_all_networks_learn_and_one_that_was_never_trained_too(blobs, pool, trained):
    module, _, losses = trained
    batches = statistics_batches(blobs, 256)
    errors = [shared_error(module, network, blobs, batches) for network in pool.assignments[::5]]
    # Guessing is wrong for three of four.
    assert np.mean(errors) < 0.4
    assert [epoch for epoch, _ in losses] == [1, 2, 3, 4]
    assert losses[-1][1] < losses[0][1]
    new = [small_space(1).sample(seed) for seed in range(100, 106)]
    assert np.mean([shared_error(module, network, blobs, batches) for network in new]) < 0.6


def test_an_error_depends_on_nothing_that_was_evaluated_before(blobs, pool, trained):
    module, path, _ = trained
    batches = statistics_batches(blobs, 256)
    there = [shared_error(module, network, blobs, batches) for network in pool.assignments[:4]]
    other = load_supernet(small_space(1), path)
    back = [shared_error(other, network, blobs, batches) for network in pool.assignments[3::-1]]
    assert there == back[::-1]


def test_an_interrupted_training_ends_with_the_same_file(blobs, pool, trained, tmp_path):
    _, whole, losses = trained
    path, seen = tmp_path / "supernet.npz", []

    def stop(epoch, loss):
        seen.append((epoch, loss))
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_supernet(small_space(1), pool, blobs, OPTIONS, 7, path, stop)
    seen.clear()
    train_supernet(small_space(1), pool, blobs, OPTIONS, 7, path, lambda *found: seen.append(found))
    assert seen == losses
    assert path.read_bytes() == whole.read_bytes()


def test_gradients_are_those_of_the_mean_loss(pool):
    """Of labels for the largest, of its answers for the others."""
    options = Supernet(label_smoothing=0.0)
    module = WeightSharingExecutor(small_space(1)).train()
    x = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    y = torch.arange(6) % 4
    networks = [pool.assignments[-1], pool.assignments[0], pool.assignments[5]]
    first = _sandwich(module, networks, x, y, options)
    found = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    answers = module.assign(networks[0])(x)
    soft = answers.detach().exp() / answers.detach().exp().sum(1, keepdim=True)
    loss = torch.nn.functional.nll_loss(answers.log_softmax(1), y)
    assert first == pytest.approx(float(loss.detach()))
    for network in networks[1:]:
        loss = loss - (soft * module.assign(network)(x).log_softmax(1)).sum(1).mean()
    (loss / 3).backward()
    expected = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    torch.testing.assert_close(found, expected)


def test_a_step_takes_the_largest_the_smallest_and_random_ones(pool):
    drawn = pool.drawn(3, np.random.default_rng(0))
    assert drawn[:2] == [pool.assignments[-1], pool.assignments[0]]
    assert len(drawn) == 5
    assert all(network in pool.assignments for network in drawn)


def test_a_file_of_another_space_is_refused(trained):
    from hannah_hw import load_space

    _, path, _ = trained
    with pytest.raises(DataError, match="not a supernet of this space"):
        load_supernet(load_space("ds_cnn", input_shape=(1, 8, 8), classes=5, max_blocks=1), path)

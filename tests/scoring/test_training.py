from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from hannah_hw.errors import EvaluationError
from hannah_hw.scoring.data import load_data
from hannah_hw.scoring.dataset import build_dataset
from hannah_hw.scoring.training import Training, evaluate, train

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402


def network(seed=0, channels=8, classes=10):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, 2, 1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, 2 * channels, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(2 * channels, classes),
    )


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


QUICK = Training(epochs=2, batch_size=64)


def test_same_seed_same_weights_bit_for_bit_whatever_the_process_is_set_to():
    data = load_data("digits")
    first, second, third = network(), network(), network()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = train(first, data, QUICK, seed=5)
        torch.set_num_threads(2)
        torch.manual_seed(123)
        state = torch.random.get_rng_state()
        two = train(second, data, QUICK, seed=5)
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.random.get_rng_state(), state)
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(before)
    assert one.losses == two.losses
    assert one.accuracy == two.accuracy
    assert same(weights(first), weights(second))
    train(third, data, QUICK, seed=6)
    assert not same(weights(first), weights(third))


def test_learns_the_digits():
    data = load_data("digits")
    module = network(channels=16)
    result = train(module, data, Training(epochs=8, shift=0), seed=0)
    assert len(result.losses) == 8
    assert result.losses[-1] < 0.3 * result.losses[0]
    # Nearest class mean, a method without training, as the bar.
    x = data.x_train.reshape(len(data.y_train), -1)
    means = np.stack([x[data.y_train == c].mean(axis=0) for c in range(10)])
    distance = ((data.x_val.reshape(len(data.y_val), 1, -1) - means) ** 2).sum(axis=2)
    assert result.accuracy > (distance.argmin(axis=1) == data.y_val).mean()
    assert not module.training
    with torch.no_grad():
        logits = module(torch.from_numpy(data.x_val)).numpy()
    assert result.accuracy == pytest.approx((logits.argmax(axis=1) == data.y_val).mean(), abs=0.004)


def sequences(n=64, length=12):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3, length)).astype(np.float32)
    y = np.arange(n) % 2
    x[:, 0] += 3 * y[:, None]
    return build_dataset("s", {"x_train": x, "y_train": y}, seed=0)


def test_sequences_are_trained_too():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv1d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 2)
    )
    result = train(module, sequences(), Training(epochs=20, batch_size=16, shift=2), seed=0)
    assert result.accuracy == 1.0


class Recorder(nn.Module):
    """Keeps what it is given."""

    def __init__(self, inputs, classes):
        super().__init__()
        self.linear = nn.Linear(inputs, classes)
        self.seen = []

    def forward(self, x):
        if self.training:
            self.seen.append(x.detach().clone().numpy())
        return self.linear(x.flatten(1))


@pytest.mark.parametrize("shift", [0, 2])
def test_each_epoch_shows_every_sample_once_moved_by_at_most_the_shift(shift):
    x = np.zeros((40, 1, 9, 9), np.float32)
    rows, columns = np.divmod(np.arange(40) % 25, 5)
    x[np.arange(40), 0, 2 + rows, 2 + columns] = np.arange(1, 41)
    data = build_dataset("p", {"x_train": x, "y_train": np.arange(40) % 2}, seed=0)
    module = Recorder(81, 2)
    train(module, data, Training(epochs=1, batch_size=len(data.y_train), shift=shift), seed=0)
    (seen,) = module.seen
    offset = data.x_train.min()
    moved = set()

    def peaks(images):
        flat = images.reshape(len(images), -1)
        where = flat.argmax(axis=1)
        return {float(v): divmod(int(i), 9) for v, i in zip(flat.max(axis=1), where, strict=True)}

    before, after = peaks(data.x_train - offset), peaks(seen - offset)
    assert before.keys() == after.keys()
    for value, (row, column) in before.items():
        moved.add((after[value][0] - row, after[value][1] - column))
    assert max(max(abs(r), abs(c)) for r, c in moved) <= shift
    assert len(moved) > 8 if shift else moved == {(0, 0)}


def test_one_step_of_sgd_by_hand():
    """Nesterov from rest moves by lr (1 + momentum) (gradient + decay w); softmax gradient worked out here."""
    data = sequences()
    module = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    start = weights(module)
    settings = Training(
        epochs=1, batch_size=len(data.y_train), optimizer="sgd", learning_rate=0.1, schedule="constant",
        weight_decay=0.01, label_smoothing=0, shift=0,
    )  # fmt: skip
    result = train(module, data, settings, seed=0)
    w, b = start["1.weight"].double().numpy(), start["1.bias"].double().numpy()
    x = data.x_train.reshape(len(data.y_train), -1).astype(np.float64)
    z = x @ w.T + b
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    assert result.losses[0] == pytest.approx(-np.log(p[np.arange(len(x)), data.y_train]).mean(), rel=1e-5)
    p[np.arange(len(x)), data.y_train] -= 1
    gradient_w, gradient_b = p.T @ x / len(x), p.mean(axis=0)
    np.testing.assert_allclose(
        module[1].weight.detach(), w - 0.19 * (gradient_w + 0.01 * w), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(module[1].bias.detach(), b - 0.19 * gradient_b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("epochs", "seen"), [(0.5, 2), (1, 4), (2.25, 9), (0.01, 1)])
def test_a_part_of_an_epoch(epochs, seen):
    x = np.random.default_rng(0).normal(size=(40, 1, 4, 4))
    data = build_dataset("p", {"x_train": x, "y_train": np.arange(40) % 2}, seed=0)
    module = Recorder(16, 2)
    result = train(module, data, Training(epochs=epochs, batch_size=7, shift=0), seed=0)
    assert len(data.y_train) == 28
    assert len(module.seen) == seen
    assert len(result.losses) == -(-seen // 4)


def test_divergence_is_an_evaluation_error():
    data = load_data("digits")
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Linear(64, 10))
    with torch.no_grad():
        module[1].weight.mul_(1e30)
    with pytest.raises(EvaluationError, match="lower the learning rate") as caught:
        train(
            module, data, Training(epochs=3, optimizer="sgd", learning_rate=10, schedule="constant"), seed=0
        )
    assert caught.value.kind == "diverged"
    assert not torch.are_deterministic_algorithms_enabled()


def test_evaluate_counts():
    module = nn.Flatten()
    samples = np.eye(4, dtype=np.float32)[np.arange(600) % 4]
    labels = np.arange(600) % 4
    labels[:150] = (labels[:150] + 1) % 4
    assert evaluate(module, samples, labels) == 0.75


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"learning_rate": float("nan")}, {"epoch": 3}, {"shift": -1}])
def test_settings_are_checked(bad):
    with pytest.raises(ValidationError):
        Training(**bad)


def test_patience_ends_a_training_that_no_longer_improves_with_its_best_weights():
    data = load_data("digits")

    def fresh():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    settings = Training(epochs=12, batch_size=128, learning_rate=0.3, schedule="constant", shift=1)
    # A constant rate makes a shorter training the beginning of a longer one.
    accuracies = [
        train(fresh(), data, settings.model_copy(update={"epochs": n}), seed=3).accuracy for n in range(1, 13)
    ]
    module = fresh()
    result = train(module, data, settings.model_copy(update={"patience": 1}), seed=3)
    worse = next(n for n in range(1, 12) if accuracies[n] <= max(accuracies[:n]))
    assert result.epochs == len(result.losses) == worse + 1 < 12
    assert result.accuracy == max(accuracies[: worse + 1]) == accuracies[worse - 1]


def test_a_network_that_always_gives_the_same_answer_is_left_after_its_patience():
    data = load_data("digits")
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        module[1].weight.zero_()
    settings = Training(epochs=10, learning_rate=1e-9, schedule="constant", batch_size=512, patience=3)
    assert train(module, data, settings, seed=0).epochs == 1 + 3
    assert train(module, data, settings.model_copy(update={"patience": None}), seed=0).epochs == 10


def test_a_loss_that_is_not_finite_ends_an_epoch_before_its_end():
    x = np.zeros((400, 1, 4, 4), np.float32)
    data = build_dataset("p", {"x_train": x + 1e30, "y_train": np.arange(400) % 2}, seed=0)
    data = type(data)(**{**vars(data), "x_train": data.x_train + np.float32(3e38)})
    module = Recorder(16, 2)
    with pytest.raises(EvaluationError, match="in epoch 1 of 5"):
        train(module, data, Training(epochs=5, batch_size=1, shift=0, learning_rate=10), seed=0)
    assert len(module.seen) == 50 < len(data.y_train)

from __future__ import annotations

import math

import numpy as np
import pytest

from hannah_hw import IntScalarParameter, Tensor, search_space
from hannah_hw.blocks import batch_norm, conv2d, linear
from hannah_hw.errors import ConfigError, DataError
from hannah_hw.operators import AdaptiveAvgPooling, Add, Identity, Relu
from hannah_hw.scoring import load_data
from hannah_hw.scoring.proxies import PROXIES, ProbeBatch, draw_batch, noise_batch, score_proxies
from hannah_hw.spaces import as_space, load_space

torch = pytest.importorskip("torch")

from hannah_hw.scoring.proxies.grad_norm import grad_norm  # noqa: E402
from hannah_hw.scoring.proxies.jacob_cov import jacob_cov  # noqa: E402
from hannah_hw.scoring.proxies.naswot import naswot  # noqa: E402
from hannah_hw.scoring.proxies.probing import Probe, ProbedNetwork  # noqa: E402
from hannah_hw.scoring.proxies.synflow import synflow  # noqa: E402
from hannah_hw.scoring.proxies.zen import zen  # noqa: E402


def probe(node, samples, labels=None, weights=None):
    """A probe of a graph, with given weights in the order of its products."""
    network = ProbedNetwork(as_space(node).candidate({})).train()
    with torch.no_grad():
        for stored, values in zip(network.products, weights or (), strict=False):
            stored.copy_(torch.tensor(values))
    labels = torch.zeros(len(samples), dtype=torch.int64) if labels is None else torch.tensor(labels)
    return Probe(network, torch.tensor(samples), labels)


def two_layers():
    x = Tensor("x", (1, 2), axis=("N", "C"))
    return linear(Relu()(linear(x, 2)), 1)


SAMPLES = [[1.0, 2.0], [-1.0, 0.5], [2.0, -3.0]]


def test_synflow_counts_the_paths_weighed_by_their_weights():
    # |W1| = [[1, 2], [3, 4]] (inputs by outputs), |w2| = [5, 6]: paths sum to (1 + 3) * 5 + (2 + 4) * 6 = 56. Every
    # path goes through one weight of each layer, so each layer's sum of w * dR/dw is 56 as well.
    given = probe(two_layers(), SAMPLES, weights=[[[1.0, -2.0], [-3.0, 4.0]], [[-5.0], [6.0]]])
    assert synflow(given) == pytest.approx(math.log(2 * 56))


def test_synflow_of_a_network_without_flow_is_the_lowest():
    given = probe(two_layers(), SAMPLES, weights=[[[0.0, 0.0], [0.0, 0.0]], [[1.0], [1.0]]])
    assert synflow(given) == -math.inf


def test_grad_norm_of_one_layer_is_that_of_the_textbook():
    x = Tensor("x", (1, 2), axis=("N", "C"))
    weight = np.array([[0.2, -0.1, 0.4], [0.3, 0.5, -0.6]])
    given = probe(linear(x, 3), SAMPLES, [2, 0, 1], [weight.tolist()])
    logits = np.array(SAMPLES) @ weight
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    # d mean cross-entropy / dW = x^T (softmax - one-hot) / N.
    gradient = np.array(SAMPLES).T @ (softmax - np.eye(3)[[2, 0, 1]]) / 3
    assert grad_norm(given) == pytest.approx(np.linalg.norm(gradient), rel=1e-5)


def test_naswot_counts_activations_that_agree():
    # With W1 = 1 the switches are the signs of the samples: ++, -+, +-. Two samples agree in 2, 1 or 0 of them.
    given = probe(two_layers(), SAMPLES, weights=[[[1.0, 0.0], [0.0, 1.0]]])
    kernel = [[2, 1, 1], [1, 2, 0], [1, 0, 2]]
    assert np.linalg.det(kernel) == pytest.approx(4)
    assert naswot(given) == pytest.approx(math.log(4))


def test_naswot_cannot_tell_samples_apart_that_switch_alike():
    given = probe(two_layers(), [[1.0, 2.0], [2.0, 3.0]], weights=[[[1.0, 0.0], [0.0, 1.0]]])
    assert naswot(given) == -math.inf
    assert naswot(probe(linear(Tensor("x", (1, 2), axis=("N", "C")), 2), SAMPLES)) == -math.inf


def test_jacob_cov_of_a_linear_network_is_that_of_equal_gradients():
    x = Tensor("x", (1, 2), axis=("N", "C"))
    given = probe(linear(x, 1), SAMPLES, weights=[[[1.0], [3.0]]])
    # All gradients are (1, 3): correlations of 1, whose eigenvalues are 3, 0 and 0.
    k = 1e-5
    expected = -(math.log(3 + k) + 1 / (3 + k) + 2 * (math.log(k) + 1 / k))
    assert jacob_cov(given) == pytest.approx(expected, rel=1e-6)
    flat = probe(linear(x, 1), SAMPLES, weights=[[[2.0], [2.0]]])
    assert jacob_cov(flat) == -math.inf


def test_jacob_cov_of_gradients_that_have_nothing_in_common():
    # The first sample switches on the first hidden value only, the second the other one; their gradients are
    # (1, -1, 0) and (1, 1, -2), whose correlation is 0: both eigenvalues are 1.
    x = Tensor("x", (1, 3), axis=("N", "C"))
    hidden = [[1.0, 1.0], [-1.0, 1.0], [0.0, -2.0]]
    network = linear(Relu()(linear(x, 2)), 1)
    given = probe(network, [[1.0, -1.0, 1.0], [0.5, 1.0, 0.0]], weights=[hidden, [[1.0], [1.0]]])
    assert jacob_cov(given) == pytest.approx(-2 * (math.log(1 + 1e-5) + 1 / (1 + 1e-5)))


def test_zen_multiplies_back_what_batch_normalisation_divides_by():
    def network(normalised):
        x = conv2d(Tensor("x", (1, 3, 8, 8), axis=("N", "C", "H", "W")), 16, 3)
        x = Relu()(batch_norm(x) if normalised else x)
        return linear(AdaptiveAvgPooling(1)(x), 4)

    samples = np.zeros((16, 3, 8, 8), np.float32).tolist()
    scores = []
    for normalised in (True, False):
        torch.manual_seed(0)
        scores.append(zen(probe(network(normalised), samples)))
    # The convolution is linear and has no offset: dividing by sigma and adding log sigma cancel, but for the
    # channels' sigmas being different and for the means that are taken off.
    assert scores[0] == pytest.approx(scores[1], abs=0.1)
    assert math.isfinite(scores[0])


def test_zen_looks_at_what_is_before_the_classifier():
    x = Tensor("x", (1, 3, 8, 8), axis=("N", "C", "H", "W"))
    last = Relu()(conv2d(x, 4))
    network = ProbedNetwork(as_space(linear(Identity()(AdaptiveAvgPooling(1)(last)), 2)).candidate({}))
    assert isinstance(network.feature_op(), Relu)
    tiny = linear(Tensor("x", (1, 3), axis=("N", "C")), 2)
    assert network.plan.outputs != (network.feature_op().id,)
    assert ProbedNetwork(as_space(tiny).candidate({})).feature_op().id.startswith("Linear")


@pytest.fixture(scope="module")
def digits():
    data = load_data("digits")
    return load_space("ds_cnn", input_shape=data.input_shape, classes=data.classes), draw_batch(data, 8)


def test_scores_depend_on_nothing_but_candidate_batch_and_seed(digits):
    space, batch = digits
    candidate = space.candidate(space.sample(3))
    state = torch.random.get_rng_state()
    scores = score_proxies(candidate, batch, seed=5)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert scores.values.keys() == scores.seconds.keys() == PROXIES.keys()
    assert all(math.isfinite(value) for value in scores.values.values())
    torch.manual_seed(99)
    backwards = score_proxies(candidate, batch, seed=5, names=list(PROXIES)[::-1])
    assert backwards.values == scores.values
    assert score_proxies(candidate, batch, seed=6).values != scores.values


def test_a_deeper_and_wider_network_has_more_paths_and_regions():
    @search_space
    def tower():
        width = IntScalarParameter(4, 32, step_size=4, name="width")
        x = Tensor("x", (1, 1, 8, 8), axis=("N", "C", "H", "W"))
        for _ in range(2):
            x = Relu()(batch_norm(conv2d(x, width, 3)))
        x = Add()(x, Relu()(batch_norm(conv2d(x, width, 3))))
        return linear(AdaptiveAvgPooling(1)(x), 4)

    space = as_space(tower())
    batch = noise_batch((1, 8, 8), 4, 16)
    (name,) = space.parameters
    small, large = (score_proxies(space.candidate({name: width}), batch).values for width in (4, 32))
    for proxy in ("synflow", "naswot", "zen"):
        assert large[proxy] > small[proxy]


def test_wrong_arguments_say_what_is_allowed(digits):
    space, batch = digits
    with pytest.raises(ConfigError, match=r"unknown proxy 'sinflow'.*did you mean 'synflow'"):
        score_proxies(space.candidate({}), batch, names=["sinflow"])
    with pytest.raises(DataError, match="at least 2 samples"):
        ProbeBatch(batch.samples[:1], batch.labels[:1], "one")


def test_a_batch_is_of_the_training_part_and_its_seed():
    data = load_data("digits")
    batch = draw_batch(data, 12, seed=1)
    assert batch.samples.shape == (12, 1, 8, 8)
    assert "12 training samples of digits" in batch.source
    for sample, label in zip(batch.samples, batch.labels, strict=True):
        (where,) = np.flatnonzero((data.x_train == sample).all(axis=(1, 2, 3)))[:1]
        assert data.y_train[where] == label
    assert not np.array_equal(draw_batch(data, 12, seed=2).labels, batch.labels)
    assert np.array_equal(draw_batch(data, 12, seed=1).samples, batch.samples)

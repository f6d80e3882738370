"""Quantisation of data and weights: values and gradients against arithmetic by hand and torch's own operators."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw import IntScalarParameter, SearchSpace, Tensor
from hannah_hw.blocks import conv2d, linear, quantize
from hannah_hw.errors import SpaceError
from hannah_hw.executors import BasicExecutor
from hannah_hw.executors.fake_quantise import quantised
from hannah_hw.graph import resolve
from hannah_hw.graph.bits import grid
from hannah_hw.lowering.fake_quantise import QuantisedWeight
from hannah_hw.operators import Conv2d, Relu
from tests.blocks import data


def module(bits, signed=True, running_max=1.0, features=8):
    """An executor of one Quantize in eval mode."""
    executor = BasicExecutor(quantize(data(features), bits, signed)).eval()
    executor.weight("Quantize_0.running_max").fill_(running_max)
    return executor


@pytest.mark.parametrize(
    ("bits", "signed", "given_", "expected"),
    [
        # The scale is 1; halves go to the even neighbour.
        (3, True, [-5, -2.5, -1.5, -0.4, 0.5, 1.5, 2.6, 9], [-3, -2, -2, 0, 0, 2, 3, 3]),
        (2, False, [-1, -0.2, 0.5, 1.5, 2.5, 2.51, 3, 7], [0, 0, 0, 2, 2, 3, 3, 3]),
    ],
)
def test_values_are_rounded_to_the_grid(bits, signed, given_, expected):
    assert module(bits, signed, 3.0)(torch.tensor([given_]))[0].tolist() == expected


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("signed", [True, False])
def test_values_and_gradients_are_those_of_torch(bits, signed):
    executor = module(bits, signed, 2.5, features=4000)
    low, high = grid(bits, signed)
    scale = float(torch.tensor(2.5) / high)
    x = (torch.rand(1, 4000, generator=torch.Generator().manual_seed(bits)) - 0.4) * 6
    x, reference = x.clone().requires_grad_(), x.clone().requires_grad_()
    y = executor(x)
    expected = torch.fake_quantize_per_tensor_affine(reference, scale, 0, low, high)
    # Torch multiplies by the reciprocal, which decides ties otherwise.
    same = (y - expected).abs() < 1e-6
    assert same.float().mean() > 0.999
    assert ((y - expected).abs() < 1.01 * scale).all()
    weights = torch.rand(1, 4000, generator=torch.Generator().manual_seed(1))
    (y * weights).sum().backward()
    (expected * weights).sum().backward()
    # Torch also lets the half step beyond the range pass.
    edge = (x > high * scale) & (x < (high + 0.51) * scale) | (x < low * scale) & (x > (low - 0.51) * scale)
    assert torch.equal(x.grad[~edge], reference.grad[~edge])
    inside = (x >= low * scale) & (x <= high * scale)
    assert torch.equal(x.grad, torch.where(inside, weights, 0.0))


def test_32_bits_change_nothing():
    executor = module(32).train()
    x = torch.randn(2, 8)
    assert executor(x) is x
    assert executor.weight("Quantize_0.running_max").item() == 1.0


def test_training_follows_the_largest_magnitude():
    executor = module(8)
    executor(torch.full((2, 8), -5.0))
    assert executor.weight("Quantize_0.running_max").item() == 1.0
    executor.train()
    executor(torch.full((2, 8), -5.0))
    assert executor.weight("Quantize_0.running_max").item() == pytest.approx(0.9 * 1 + 0.1 * 5)
    executor(torch.zeros(2, 8))
    assert executor.weight("Quantize_0.running_max").item() == pytest.approx(0.9 * 1.4)


def test_a_value_of_zeros_has_a_grid():
    assert module(4, running_max=0.0)(torch.zeros(1, 8)).tolist() == [[0.0] * 8]
    assert quantised(torch.zeros(2, 3), 4, 0).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("bits", [2, 3, 8])
@pytest.mark.parametrize("axis", [0, 1])
def test_weights_are_those_of_torch_per_channel(bits, axis):
    weight = torch.randn(6, 5, 3, generator=torch.Generator().manual_seed(bits)).requires_grad_()
    high = 2 ** (bits - 1) - 1
    others = [d for d in range(3) if d != axis]
    scale = weight.detach().abs().amax(others) / high
    zero = torch.zeros(len(scale), dtype=torch.int32)
    expected = torch.fake_quantize_per_channel_affine(weight.detach(), scale, zero, axis, -high, high)
    values = quantised(weight, bits, axis)
    torch.testing.assert_close(values, expected, rtol=1e-6, atol=1e-7)
    values.sum().backward()
    assert torch.equal(weight.grad, torch.ones_like(weight))


def test_one_bit_is_the_sign_times_the_mean_magnitude():
    weight = torch.tensor([[1.0, -3.0], [0.0, 0.5]])
    assert quantised(weight, 1, 0).tolist() == [[2.0, -2.0], [0.25, 0.25]]
    assert quantised(weight, 1, None).tolist() == [[1.125, -1.125], [1.125, 1.125]]


@settings(max_examples=60, deadline=None)
@given(
    bits=st.integers(1, 16),
    axis=st.sampled_from([None, 0, 1]),
    seed=st.integers(0, 999),
    size=st.floats(1e-6, 1e6),
)
def test_written_weights_are_the_trained_ones_and_take_factors(bits, axis, seed, size):
    rng = np.random.default_rng(seed)
    weight = (rng.normal(size=(4, 3, 2)) * size).astype(np.float32)
    written = QuantisedWeight.of(weight, bits, axis)
    trained = quantised(torch.from_numpy(weight), bits, axis).numpy()
    # The mean of one bit may be summed in another order.
    np.testing.assert_allclose(written.values, trained, rtol=1e-6 if bits == 1 else 0)
    low, high = grid(bits)
    factors = rng.normal(size=(4, 1, 1))
    factors[rng.integers(4)] = 0.0
    scaled = written.scaled(lambda values: values * factors)
    for kept in (written, scaled):
        assert set(np.unique(kept.levels)) <= set(range(low, high + 1))
        # What a runtime computes from the stored values and the scale.
        levels = np.clip(np.rint(kept.values / kept.scale), low, high)
        np.testing.assert_array_equal(levels * kept.scale, kept.values)
    np.testing.assert_allclose(scaled.values, written.values * factors, rtol=1e-6, atol=1e-25)


def test_a_network_of_4_bits_learns():
    generator = torch.Generator().manual_seed(0)
    net = conv2d(data(1, 6, 6), 4, 3, weight_bits=4)
    net = linear(quantize(Relu()(net), 4, signed=False), 2, weight_bits=4)
    executor = BasicExecutor(net).initialize(generator).train()
    x = torch.randn(128, 1, 6, 6, generator=generator)
    labels = (x[:, 0, :, :3].sum((1, 2)) > x[:, 0, :, 3:].sum((1, 2))).long()
    optimiser = torch.optim.Adam(executor.parameters(), 0.02)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(executor(x), labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    # Trained values are not on the grid; what the network computes with is.
    matrix = executor.weight("Linear_0.weight").detach()
    assert len(matrix[:, 0].unique()) > 100
    assert 3 < len(quantised(matrix, 4, 1)[:, 0].unique()) <= 15


def test_bits_are_parameters_of_the_weight_and_of_the_operator():
    bits = IntScalarParameter(2, 8, name="width")
    net = quantize(conv2d(data(3, 4, 4), 5, weight_bits=IntScalarParameter(2, 8)), bits)
    space = SearchSpace(linear(net, 3, weight_bits=bits))
    assert list(space.parameters) == ["Conv2d_0.weight.bits", "Quantize_0.width"]
    assert "bits" not in Tensor("weight", (1,)).expressions()
    plan = space.candidate({"Conv2d_0.weight.bits": 3, "Quantize_0.width": 5}).plan
    assert {name: value.bits for name, value in plan.weights.items() if value.bits is not None} == {
        "Conv2d_0.weight": 3,
        "Linear_0.weight": 5,
    }
    assert [plan.weights[f"{n}_0.weight"].channel_axis for n in ("Conv2d", "Linear")] == [0, 1]


def test_an_expression_that_is_no_width_describes_no_network():
    half = IntScalarParameter(8, 12, name="half")
    space = SearchSpace(quantize(conv2d(data(3, 4, 4), 5, weight_bits=half * 2), half + 5))
    (name,) = space.parameters
    rows = np.arange(5.0)[:, None]
    assert space.workload(rows).exists.tolist() == [True, False, False, False, False]
    with pytest.raises(SpaceError, match=r"Conv2d_0\.weight has 18 bits; allowed are 1 to 16, and 32"):
        resolve(space.order, space.outputs, {name: 9})
    wide = SearchSpace(quantize(data(3), IntScalarParameter(8, 12, name="half") + 5))
    assert wide.workload(rows).exists.tolist() == [True, True, True, True, False]
    with pytest.raises(SpaceError, match="Quantize_0: 17 is no bit width"):
        resolve(wide.order, wide.outputs, {"Quantize_0.half": 12})


REFUSED = {
    "bits of a bias": (
        lambda: Conv2d()(
            data(3, 4, 4), Tensor("w", (2, 3, 1, 1), grad=True), Tensor("b", (2,), grad=True, bits=8)
        ),
        "Conv2d_0.b cannot have bits, only the first weight of Conv2d_0 can",
    ),
    "bits of an input": (
        lambda: Relu()(Tensor("x", (1, 3), bits=4)),
        "quantise the value of a graph input with a Quantize behind it",
    ),
    "17 bits": (
        lambda: Tensor("w", (2, 3), bits=17),
        "the tensor w has 17 bits; allowed are 1 to 16, and 32",
    ),
    "True bits": (lambda: Tensor("w", (2, 3), bits=True), "has True bits"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bits_where_there_can_be_none_are_refused(case):
    build, message = REFUSED[case]
    with pytest.raises(SpaceError, match=message):
        build()

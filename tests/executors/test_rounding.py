"""A candidate with the rounding of its int8 model against ONNX Runtime, which runs that model, and by hand."""

import numpy as np
import onnxruntime
import pytest
import torch

import hannah_hw as hw
from hannah_hw import SearchSpace
from hannah_hw.errors import SpaceError
from hannah_hw.executors import BasicExecutor
from hannah_hw.executors.rounding import RoundingExecutor
from hannah_hw.scoring.quantised_training import with_rounding
from tests.blocks import batch_norm, conv, data, linear
from tests.executors.test_sharing import net, randomise


def run(model, samples):
    """The values that ONNX Runtime computes in float32, pairs of nodes as they are written."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: sample[None]})[0] for sample in samples])


@pytest.mark.parametrize("name", ["ds_cnn", "micronets_ds_cnn", "pooled_cnn", "resnet", "tc_resnet"])
def test_it_computes_what_the_int8_model_computes(name):
    space = hw.load_space(name)
    candidate = space.candidate(space.sample(seed=3))
    module = randomise(BasicExecutor(candidate)).eval()
    shape = candidate.plan.inputs[0].shape()
    samples = np.random.default_rng(0).standard_normal((8, *shape[1:])).astype(np.float32)
    network = with_rounding(module, samples)
    expected = run(network.model(), samples)
    with torch.no_grad():
        found = network.module.eval()(torch.from_numpy(samples)).numpy()
        plain = module(torch.from_numpy(samples)).numpy()
    step = (expected.max() - min(expected.min(), 0)) / 255
    # Sums in another order round to the other side here and there; what is rounded alike is equal.
    assert np.median(np.abs(found - expected)) <= 1e-5 * np.abs(expected).max()
    assert np.abs(found - expected).max() <= 6 * step
    # Without its rounding the network computes something else.
    assert np.abs(plain - expected).max() > 0


def two_layers():
    return SearchSpace(linear(batch_norm(conv(data(1, 1, 1), 1, 1)), 1, bias=False))


def rounding(module, **kwargs):
    """Values on grids of a hundredth, or as large as asked."""
    return RoundingExecutor(
        module,
        {"Conv2d_0": "Conv2d_0", "Linear_0": "Linear_0"},
        {"Conv2d_0": (-1.28, 1.27), "Linear_0": (-12.8, 12.7)},
        {},
        {"BatchNorm_0": "Conv2d_0"},
        **kwargs,
    )


def by_hand(scale=2.0, offset=0.5, mean=0.25, variance=4.0):
    """x -> Linear(BatchNorm(3 x)): the normalisation is (3 x - mean) * scale / sqrt(variance + 1e-5) + offset."""
    module = BasicExecutor(two_layers()).eval()
    values = {
        "Conv2d_0.weight": 3.0,
        "BatchNorm_0.running_mean": mean,
        "BatchNorm_0.running_var": variance,
        "BatchNorm_0.weight": scale,
        "BatchNorm_0.bias": offset,
        "Linear_0.weight": 1.0,
    }
    with torch.no_grad():
        for name, value in values.items():
            module.stored(name).fill_(value)
    return module


def test_a_folded_normalisation_is_rounded_behind_it_and_clamps():
    module = rounding(by_hand()).eval()
    inputs = torch.tensor([0.1234, 0.31, 5.0, -5.0]).reshape(4, 1, 1, 1)
    # 3 x - 0.25 + 0.5, in steps of 0.01 between -1.28 and 1.27; then in steps of 0.1.
    torch.testing.assert_close(
        module(inputs).flatten().detach(), torch.tensor([0.6, 1.2, 1.3, -1.3]), atol=1e-5, rtol=0
    )


def test_gradients_pass_rounding_and_stop_beyond_the_range():
    module = rounding(by_hand(), momentum=0.0).train()
    inputs = torch.tensor([0.1, 5.0]).reshape(2, 1, 1, 1)
    module(inputs).sum().backward()
    # d/dw of (w x - mean) * 2 / 2: the x of the sample within the range.
    assert module.stored("Conv2d_0.weight").grad.item() == pytest.approx(0.1, rel=1e-4)
    assert module.stored("BatchNorm_0.bias").grad.item() == pytest.approx(1.0)
    # d/dscale: (3 * 0.1 - 0.25) / 2
    assert module.stored("BatchNorm_0.weight").grad.item() == pytest.approx(0.025, rel=1e-3)


def test_ranges_follow_the_values_while_training_and_statistics_do_not():
    plain = by_hand()
    module = rounding(plain, momentum=0.5).train()
    module(torch.tensor([1.0, 1.5]).reshape(2, 1, 1, 1))
    low, high = module.ranges["Conv2d_0"]
    # Values 3.25 and 4.75 before they are rounded; half of the way from -1.28 and 1.27.
    assert (low, high) == pytest.approx((0.5 * (-1.28 + 3.25), 0.5 * (1.27 + 4.75)), rel=1e-4)
    assert module.stored("BatchNorm_0.running_mean").item() == 0.25
    before = module.ranges
    module.eval()(torch.ones(2, 1, 1, 1))
    assert module.ranges == before
    assert plain.stored("Conv2d_0.weight").item() == 3.0


def test_weights_have_a_scale_a_channel():
    space = net()
    module = randomise(BasicExecutor(space))
    name = "net_0.Conv2d_0"
    rounded = RoundingExecutor(module, {}, {}, {name: True}, {"net_0.BatchNorm_0": name}).eval()
    inputs = torch.randn(2, 3, 6, 6)
    state = module.state_dict()
    factor = state["net_0.BatchNorm_0.weight"] / (state["net_0.BatchNorm_0.running_var"] + 1e-5).sqrt()
    folded = state[f"{name}.weight"] * factor[:, None, None, None]
    scale = folded.abs().amax((1, 2, 3), keepdim=True) / 127
    with torch.no_grad():
        module.stored(f"{name}.weight").copy_((folded / scale).round() * scale / factor[:, None, None, None])
        torch.testing.assert_close(rounded(inputs), module.eval()(inputs), atol=1e-4, rtol=1e-4)


def test_two_normalisations_of_one_weight_are_refused():
    space = SearchSpace(linear(batch_norm(batch_norm(conv(data(1, 2, 2), 2, 1))), 2))
    with pytest.raises(SpaceError, match="two normalisations"):
        with_rounding(randomise(BasicExecutor(space)).eval(), np.ones((4, 1, 2, 2), np.float32))

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw.scoring.inheritance import common_share, inherit
from hannah_hw.spaces import load_space

torch = pytest.importorskip("torch")
from hannah_hw.executors import to_torch  # noqa: E402

SPACE = load_space("ds_cnn", input_shape=(1, 12, 12), max_blocks=3)
WIDTH, KERNEL = "weight.out_channels", "weight.kernel_size"


def trained(candidate, seed=0):
    """A module with weights and running statistics that are nowhere at their first values."""
    torch.manual_seed(seed)
    module = to_torch(candidate)
    with torch.no_grad():
        for value in module.state_dict().values():
            value.add_(torch.rand_like(value) * 0.2)
    return module.eval()


def state(module):
    return {name: value.numpy().copy() for name, value in module.state_dict().items()}


def outputs(module):
    torch.manual_seed(7)
    with torch.no_grad():
        return module.eval()(torch.randn(4, 1, 12, 12)).reshape(4, -1)


def child_of(parent, changes):
    torch.manual_seed(1)
    child = SPACE.candidate({**parent.assignment, **changes})
    return child, to_torch(child)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_wider_networks_with_larger_kernels_compute_the_same(seed):
    rng = np.random.default_rng(seed)
    parent = SPACE.candidate(SPACE.sample(seed=seed))
    changes = {}
    for name, value in parent.assignment.items():
        if name.endswith(WIDTH):
            changes[name] = int(value + 8 * rng.integers(0, 2)) if value <= 24 else value
        if name.endswith(KERNEL):
            changes[name] = max(value, int(rng.choice([3, 5])))
    child, module = child_of(parent, changes)
    source = trained(parent)
    inherit(module, state(source))
    torch.testing.assert_close(outputs(module), outputs(source), rtol=1e-4, atol=1e-5)
    if child.id != parent.id:  # the new parts are not silent for ever: gradients reach them
        module.train()(torch.randn(4, 1, 12, 12)).square().sum().backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())


def deepened():
    """A candidate of one separable block, and one with a second block that can pass on what it is given."""
    names = list(SPACE.parameters)
    depth = next(n for n in names if n.endswith("depth"))
    base = dict(SPACE.default())
    widths = [n for n in names if n.endswith(WIDTH) and "block" in n]
    strides = [n for n in names if n.endswith("stride") and "block" in n]
    choices = [n for n in names if "block" in n and n.endswith("choice")]
    base |= dict.fromkeys(widths, 16) | dict.fromkeys(strides, 1) | dict.fromkeys(choices, 0)
    return base, depth


def test_a_deeper_network_computes_the_same_but_for_the_constant_of_normalisation():
    base, depth = deepened()
    parent = SPACE.candidate({**base, depth: 0})
    child, module = child_of(parent, {**base, depth: 1})
    assert child.parameters > parent.parameters
    source = trained(parent)
    inherit(module, state(source))
    torch.testing.assert_close(outputs(module), outputs(source), rtol=1e-3, atol=1e-4)


def test_narrower_networks_take_the_beginning_and_the_middle():
    weight = np.arange(4 * 3 * 5 * 5, dtype=np.float32).reshape(4, 3, 5, 5)
    module = torch.nn.Conv2d(2, 3, 3)
    share = inherit(module, {"weight": weight, "bias": np.ones(4, np.float32)})
    assert np.array_equal(module.weight.detach().numpy(), weight[:3, :2, 1:4, 1:4])
    assert share == 1.0
    linear = torch.nn.Module()
    linear.register_parameter("weight", torch.nn.Parameter(torch.full((3, 4), 9.0)))  # (in, out)
    assert inherit(linear, {"weight": np.ones((2, 3), np.float32)}) == pytest.approx(6 / 12)
    expected = [[1, 1, 1, 9], [1, 1, 1, 9], [0, 0, 0, 9]]
    assert linear.weight.detach().tolist() == expected


def test_the_share_that_is_said_beforehand_is_the_one_that_is_taken():
    for seed in range(10):
        parent, other = (SPACE.candidate(SPACE.sample(seed=s)) for s in (seed, seed + 100))
        child, module = child_of(other, {})
        shapes = [
            {name: value.shape() for name, value in c.plan.weights.items() if value.grad}
            for c in (child, parent)
        ]
        assert inherit(module, state(trained(parent))) == pytest.approx(common_share(*shapes))
    assert common_share(shapes[0], shapes[0]) == 1.0
    assert common_share(shapes[0], {}) == 0.0

"""One set of weights for a whole space: candidates are views of it and compute what they compute alone."""

import copy
import time

import pytest
import torch
from torch import nn
from torch.nn import functional

from hannah_hw import (
    CategoricalParameter,
    FloatScalarParameter,
    IntScalarParameter,
    SearchSpace,
    Tensor,
    load_space,
    search_space,
)
from hannah_hw.errors import SpaceError
from hannah_hw.executors import BasicExecutor, WeightSharingExecutor
from hannah_hw.expressions import Int
from hannah_hw.operators import AdaptiveAvgPooling, Add, Relu
from tests.blocks import batch_norm, conv, data, linear, nasty

SPACES = {
    "ds_cnn": lambda: load_space("ds_cnn"),
    "tc_resnet": lambda: load_space("tc_resnet", input_shape=(8, 32)),
    "nasty": lambda: SearchSpace(nasty()),
}
WIDTH, KERNEL = "net_0.Conv2d_0.weight.width", "net_0.Conv2d_0.weight.kernel_size"


@search_space
def net():
    kernel_size = CategoricalParameter([1, 2, 3, 5], name="kernel_size", default=5)
    x = conv(
        data(3, 6, 6), IntScalarParameter(2, 8, name="width", default=8), kernel_size, bias=True, padding=2
    )
    return linear(AdaptiveAvgPooling(1)(Relu()(batch_norm(x))), 4)


def randomise(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for values in [*module.parameters(), *module.buffers()]:
            low, high = (0.5, 1.5) if values.ndim == 1 else (-0.5, 0.5)
            values.uniform_(low, high, generator=generator)
    return module


def cut(values, shape):
    """The first channels and the middle of the kernel: every axis of a kernel behind the first two."""
    for axis, size in enumerate(shape):
        start = (values.shape[axis] - size) // 2 if axis >= 2 else 0
        values = values.narrow(axis, start, size)
    return values


@pytest.mark.parametrize("name", SPACES)
def test_a_candidate_computes_what_it_computes_alone_with_copies(name):
    space = SPACES[name]()
    shared = randomise(WeightSharingExecutor(space)).eval()
    state = {k: v.clone() for k, v in shared.state_dict().items()}
    for index, row in enumerate(space.sample_population(30, seed=2)):
        candidate = space.candidate(space.encoding.assignment(row))
        alone = BasicExecutor(candidate).eval()
        with torch.no_grad():
            for key, weight in alone.plan.weights.items():
                alone.weight(key).copy_(cut(state[key], weight.shape()))
        (declared,) = candidate.plan.inputs
        x = torch.randn((2, *declared.shape()[1:]), generator=torch.Generator().manual_seed(index))
        shared.assign(candidate)
        assert torch.equal(shared(x), alone(x))
        extracted = shared.extract()
        assert not extracted.training
        assert torch.equal(extracted(x), alone(x))
        assert extracted.state_dict().keys() == alone.state_dict().keys()


def test_views_share_the_memory_of_the_whole_weights():
    shared = randomise(WeightSharingExecutor(net()))
    assert shared.stored("net_0.Conv2d_0.weight").shape == (8, 3, 5, 5)
    for width, kernel_size, start in ((4, 3, 1), (8, 5, 0), (2, 1, 2), (3, 2, 1)):
        shared.assign({WIDTH: width, KERNEL: kernel_size})
        for key in shared.plan.weights:
            whole, view = shared.stored(key), shared.weight(key)
            assert view.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
        view = shared.weight("net_0.Conv2d_0.weight")
        assert view.shape == (width, 3, kernel_size, kernel_size)
        stop = start + kernel_size
        assert torch.equal(view, shared.stored("net_0.Conv2d_0.weight")[:width, :, start:stop, start:stop])
        assert shared.weight("net_0.Linear_0.weight").shape == (width, 4)
    copied = shared.extract()
    storages = {values.untyped_storage().data_ptr() for values in shared.state_dict().values()}
    assert not storages & {values.untyped_storage().data_ptr() for values in copied.state_dict().values()}


def test_it_equals_the_layers_written_with_torch():
    shared = randomise(WeightSharingExecutor(net())).eval()
    w = {key.removeprefix("net_0."): value for key, value in shared.state_dict().items()}
    x = torch.randn(2, 3, 6, 6)
    y = functional.conv2d(x, w["Conv2d_0.weight"][:5, :, 1:4, 1:4], w["Conv2d_0.bias"][:5], padding=2)
    statistics = [w[f"BatchNorm_0.{n}"][:5] for n in ("running_mean", "running_var", "weight", "bias")]
    y = functional.batch_norm(y, *statistics).relu().mean((2, 3))
    y = y @ w["Linear_0.weight"][:5] + w["Linear_0.bias"]
    torch.testing.assert_close(shared.assign({WIDTH: 5, KERNEL: 3})(x), y)


def test_features_of_maps_of_one_size_are_sliced_by_channel():
    @search_space
    def flat():
        x = conv(data(1, 3, 3), IntScalarParameter(1, 4, name="width"), 1)
        return linear(x, 2, bias=False)

    shared = WeightSharingExecutor(flat())
    x = torch.randn(2, 1, 3, 3)
    kernel, matrix = shared.stored("flat_0.Conv2d_0.weight"), shared.stored("flat_0.Linear_0.weight")
    by_channel = matrix.reshape(4, 9, 2)
    expected = torch.einsum("ncp,cpo->no", functional.conv2d(x, kernel[:3]).flatten(2), by_channel[:3])
    torch.testing.assert_close(shared.assign({"flat_0.Conv2d_0.weight.width": 3})(x), expected)


def test_parameters_and_state_are_the_whole_space_whatever_is_assigned():
    space = SearchSpace(nasty())
    shared = randomise(WeightSharingExecutor(space))
    names = {name for name, _ in shared.named_parameters()}
    tensors = {n.id for n in space.order if isinstance(n, Tensor) and n.owner is not None}
    assert shared.state_dict().keys() == tensors
    numbers = [id(p) for p in shared.parameters()]
    for seed in range(5):
        shared.assign(space.sample(seed))
        assert {name for name, _ in shared.named_parameters()} == names
        assert [id(p) for p in shared.parameters()] == numbers
    other = WeightSharingExecutor(SearchSpace(nasty())).eval()
    other.load_state_dict(shared.state_dict())
    x = torch.randn(2, 4, 12, 12)
    assert torch.equal(other.assign(space.sample(4))(x), shared.eval()(x))


def test_gradients_reach_the_slices_only_and_statistics_too():
    shared = WeightSharingExecutor(net()).train()
    shared.assign({WIDTH: 3, KERNEL: 3})
    shared(torch.randn(8, 3, 6, 6) + 1).square().sum().backward()
    gradient = shared.stored("net_0.Conv2d_0.weight").grad
    assert (gradient[:3, :, 1:4, 1:4] != 0).all()
    assert gradient.count_nonzero() == 3 * 3 * 9
    linear_gradient = shared.stored("net_0.Linear_0.weight").grad
    assert linear_gradient[3:].count_nonzero() == 0
    mean = shared.stored("net_0.BatchNorm_0.running_mean")
    assert (mean[:3] != 0).all()
    assert (mean[3:] == 0).all()


def test_assigning_again_swaps_a_pointer_and_forgets_the_oldest():
    space = load_space("ds_cnn")
    shared = WeightSharingExecutor(space, cache=2)
    one, two, three = (space.sample(seed) for seed in (1, 2, 3))
    first = shared.assign(one).plan
    assert shared.assign(two).plan is not first
    # By another mapping of the same values, by a candidate, and by the candidate of another copy of the space.
    assert shared.assign(one.to_dict()).plan is first
    assert shared.assign(space.candidate(one)).plan is first
    assert shared.assign(load_space("ds_cnn").candidate(one)).plan is first
    assert shared.candidate.id == space.candidate(one).id
    shared.assign(two)
    shared.assign(three)
    assert shared.assign(one).plan is not first
    took = []
    for _ in range(50):
        start = time.perf_counter()
        shared.assign(three).assign(one)
        took.append((time.perf_counter() - start) / 2)
    assert min(took) < 100e-6


def test_calibration_replaces_the_statistics_of_the_candidate():
    shared = randomise(WeightSharingExecutor(net())).train()
    with torch.no_grad():
        shared.stored("net_0.BatchNorm_0.running_mean").fill_(float("nan"))
    shared.assign({WIDTH: 4, KERNEL: 3})
    batches = [
        torch.randn(6, 3, 6, 6, generator=torch.Generator().manual_seed(i)) * (i + 1) for i in range(3)
    ]
    shared.calibrate(iter(batches))
    assert shared.training
    outputs = [functional.conv2d(x, shared.weight("net_0.Conv2d_0.weight"), padding=2) for x in batches]
    outputs = [y + shared.weight("net_0.Conv2d_0.bias")[:, None, None] for y in outputs]
    means = torch.stack([y.mean((0, 2, 3)) for y in outputs]).mean(0)
    variances = torch.stack([y.transpose(0, 1).flatten(1).var(1) for y in outputs]).mean(0)
    torch.testing.assert_close(shared.weight("net_0.BatchNorm_0.running_mean"), means.detach())
    torch.testing.assert_close(shared.weight("net_0.BatchNorm_0.running_var"), variances.detach())
    assert shared.stored("net_0.BatchNorm_0.running_mean")[4:].isnan().all()
    assert [step.op.momentum for step in shared.plan.steps if hasattr(step.op, "momentum")] == [0.1]
    with pytest.raises(SpaceError, match="from no batches"):
        shared.calibrate([])


def test_calibration_takes_tuples_of_several_inputs():
    @search_space
    def two():
        left, right = data(2, 4, 4, name="left"), data(2, 4, 4, name="right")
        return batch_norm(Add()(left, right), affine=False)

    shared = WeightSharingExecutor(two())
    left, right = torch.randn(5, 2, 4, 4), torch.randn(5, 2, 4, 4)
    shared.calibrate([(left, right)])
    torch.testing.assert_close(
        shared.weight("two_0.BatchNorm_0.running_mean"), (left + right).mean((0, 2, 3))
    )


def test_training_random_networks_reduces_the_loss_of_all():
    space = load_space("ds_cnn", input_shape=(1, 8, 8), classes=3, max_blocks=2)
    shared = WeightSharingExecutor(space).train()
    shared.initialize(torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(48) % 3
    x = torch.randn(48, 1, 8, 8, generator=generator) + y[:, None, None, None]
    optimiser = torch.optim.SGD(shared.parameters(), lr=0.05, momentum=0.9)
    networks = [space.sample(seed) for seed in range(6)]

    def losses():
        with torch.no_grad():
            return [float(functional.cross_entropy(shared.assign(n)(x), y)) for n in networks]

    before = losses()
    for step in range(60):
        shared.assign(space.sample(100 + step))
        optimiser.zero_grad()
        nn.functional.cross_entropy(shared(x), y).backward()
        optimiser.step()
    assert all(b < 0.8 * a for a, b in zip(before, losses(), strict=True))


def test_copies_are_independent_and_other_devices_and_types_work():
    shared = randomise(WeightSharingExecutor(net())).eval()
    twin = copy.deepcopy(shared)
    x = torch.randn(2, 3, 6, 6)
    twin.assign({WIDTH: 3})
    assert shared.candidate.assignment[WIDTH] == 8
    assert torch.equal(twin(x), shared.assign({WIDTH: 3})(x))
    with torch.no_grad():
        twin.stored("net_0.Linear_0.bias").add_(1)
    torch.testing.assert_close(twin(x), shared(x) + 1)
    double = copy.deepcopy(shared).double()
    assert double(x.double()).dtype == torch.float64
    assert double.extract()(x.double()).dtype == torch.float64
    # Everything that is computed on a device without memory must come from it.
    assert copy.deepcopy(shared).to("meta")(x.to("meta")).shape == (2, 4)


def test_a_copy_shares_what_is_remembered():
    space = load_space("ds_cnn", max_blocks=2)
    shared = WeightSharingExecutor(space, cache=3)
    plans = [shared.assign(space.sample(seed)).plan for seed in range(3)]
    twin = copy.deepcopy(shared)
    assert [twin.assign(space.sample(seed)).plan for seed in range(3)] == plans
    assert all(
        a is b for a, b in zip((twin.assign(space.sample(s)).plan for s in range(3)), plans, strict=True)
    )
    assert twin.stored("ds_cnn_0.Conv2d_0.weight") is not shared.stored("ds_cnn_0.Conv2d_0.weight")


def test_gradients_accumulate_over_candidates():
    """What is assigned between a forward and its backward pass does not matter."""
    shared = randomise(WeightSharingExecutor(net())).eval()
    x = torch.randn(3, 3, 6, 6)
    one, two, three = ({WIDTH: w, KERNEL: k} for w, k in ((3, 1), (6, 5), (8, 3)))
    losses = [shared.assign(values)(x).square().sum() for values in (one, two)]
    shared.assign(three)
    sum(losses).backward()
    together = {name: p.grad.clone() for name, p in shared.named_parameters()}
    shared.zero_grad()
    for values in (one, two):
        shared.assign(values)(x).square().sum().backward()
    torch.testing.assert_close(together, {name: p.grad for name, p in shared.named_parameters()})


def test_a_weight_without_a_largest_shape_is_refused_by_name():
    @search_space
    def endless():
        share = FloatScalarParameter(0.0, 1.0, name="share", default=1.0)
        return conv(data(3, 4, 4), Int(4 / share), 1)

    with pytest.raises(SpaceError, match=r"the weight endless_0.Conv2d_0.weight .* has no largest shape"):
        WeightSharingExecutor(endless())


def test_weights_that_nobody_can_keep_are_refused_by_name():
    width = IntScalarParameter(1, 100_000, step_size=99_999, name="width")
    wide = SearchSpace(conv(conv(data(3, 4, 4), width, 1), width, 1))
    with pytest.raises(
        SpaceError, match=r"would have 10000300000 values.*Conv2d_1.weight with \(100000, 100000"
    ):
        WeightSharingExecutor(wide)


def test_an_assignment_that_does_not_fit_leaves_the_assigned_one():
    shared = WeightSharingExecutor(net(), {WIDTH: 4})
    with pytest.raises(SpaceError, match=r"no parameter 'widht'"):
        shared.assign({"widht": 3})
    assert shared.candidate.assignment[WIDTH] == 4

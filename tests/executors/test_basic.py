"""The executor is an ordinary torch module, whatever the graph."""

import copy

import pytest
import torch
from onnxruntime import InferenceSession
from torch import nn

from hannah_hw import (
    ChoiceOp,
    IntScalarParameter,
    SearchSpace,
    Tensor,
    load_space,
    search_space,
    to_onnx,
    to_torch,
)
from hannah_hw.errors import SpaceError, UnsupportedError
from hannah_hw.executors import BasicExecutor, DifferentiableExecutor, WeightSharingExecutor
from hannah_hw.operators import Add, Conv2d, Identity, Relu
from tests.blocks import batch_norm, conv, data, linear


@search_space
def net():
    x = Relu()(batch_norm(conv(data(3, 8, 8), IntScalarParameter(4, 8, name="width"), bias=True)))
    x = ChoiceOp(Identity(), lambda node: conv(node, 4, 1))(x)
    return linear(x, 5)


def test_state_dict_keys_are_node_ids():
    module = BasicExecutor(net())
    prefix = "net_0."
    assert set(module.state_dict()) == {
        *(f"{prefix}Conv2d_0.{n}" for n in ("weight", "bias")),
        *(f"{prefix}BatchNorm_0.{n}" for n in ("running_mean", "running_var", "weight", "bias")),
        *(f"{prefix}Linear_0.{n}" for n in ("weight", "bias")),
    }
    assert dict(module.named_buffers()).keys() == {
        f"{prefix}BatchNorm_0.{n}" for n in ("running_mean", "running_var")
    }
    assert set(module.state_dict()) == set(module.plan.weights)
    chosen = BasicExecutor(net(), {"net_0.ChoiceOp_0.choice": 1})
    assert "net_0.Conv2d_1.weight" in chosen.state_dict()


def test_train_and_eval_return_the_module_and_change_batch_norm():
    module = to_torch(SearchSpace(net()))
    assert module.train() is module
    assert module.training
    x = torch.randn(16, 3, 8, 8) + 3
    before = module.weight("net_0.BatchNorm_0.running_mean").clone()
    module(x)
    after = module.weight("net_0.BatchNorm_0.running_mean").clone()
    assert not torch.equal(before, after)
    assert module.eval() is module
    one, two = module(x), module(x[:1])
    torch.testing.assert_close(one[:1], two)
    assert torch.equal(module.weight("net_0.BatchNorm_0.running_mean"), after)


def test_two_modules_of_one_candidate_do_not_disturb_each_other():
    candidate = SearchSpace(net()).candidate({})
    trained, fixed = BasicExecutor(candidate).train(), BasicExecutor(candidate).eval()
    mean = fixed.weight("net_0.BatchNorm_0.running_mean").clone()
    trained(torch.randn(4, 3, 8, 8) + 3)
    fixed(torch.randn(4, 3, 8, 8) + 3)
    assert torch.equal(fixed.weight("net_0.BatchNorm_0.running_mean"), mean)


def test_it_equals_the_network_written_with_torch_layers():
    module = BasicExecutor(net()).eval()
    reference = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 5)
    ).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in [*reference.parameters(), reference[1].running_mean, reference[1].running_var]:
            tensor.uniform_(0.2, 1.0, generator=generator)
        names = {"Conv2d_0.weight": reference[0].weight, "Conv2d_0.bias": reference[0].bias}
        names |= {f"BatchNorm_0.{n}": getattr(reference[1], n) for n in ("weight", "bias", "running_mean")}
        names |= {"BatchNorm_0.running_var": reference[1].running_var}
        names |= {"Linear_0.weight": reference[4].weight.T, "Linear_0.bias": reference[4].bias}
        for name, value in names.items():
            module.weight(f"net_0.{name}").copy_(value)
    x = torch.randn(3, 3, 8, 8)
    torch.testing.assert_close(module(x), reference(x))


def test_training_reduces_the_loss():
    torch.manual_seed(0)
    module = BasicExecutor(net()).train()
    x, y = torch.randn(32, 3, 8, 8), torch.randint(0, 5, (32,))
    optimiser = torch.optim.SGD(module.parameters(), lr=0.05)
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(module(x), y)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_copies_and_saved_states_compute_the_same(tmp_path):
    module = BasicExecutor(net()).eval()
    x = torch.randn(2, 3, 8, 8)
    twin = copy.deepcopy(module)
    torch.testing.assert_close(twin(x), module(x))
    with torch.no_grad():
        twin.weight("net_0.Linear_0.bias").add_(1)
    torch.testing.assert_close(twin(x), module(x) + 1)
    torch.save(module.state_dict(), tmp_path / "state.pt")
    other = BasicExecutor(net()).eval()
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    torch.testing.assert_close(other(x), module(x))


def test_initialisation_is_he_uniform_and_seeded():
    module = BasicExecutor(linear(data(600), 400))
    first = module.initialize(torch.Generator().manual_seed(3)).weight("Linear_0.weight").clone()
    again = module.initialize(torch.Generator().manual_seed(3)).weight("Linear_0.weight")
    assert torch.equal(first, again)
    # Variance 2 / fan in; 240,000 samples of a uniform distribution have a standard error of .2 %.
    assert float(first.detach().var()) == pytest.approx(2 / 600, rel=0.02)
    assert float(module.weight("Linear_0.bias").detach().abs().max()) == 0


def test_several_inputs_and_outputs():
    @search_space
    def two():
        left, right = data(3, 8, 8, name="left"), data(4, 8, 8, name="right")
        total = Add()(conv(left, 4), right)
        return [total, Relu()(total)]

    module = BasicExecutor(SearchSpace(two()))
    assert [value.id for value in module.plan.inputs] == ["two_0.left", "two_0.right"]
    left, right = torch.randn(2, 3, 8, 8), torch.randn(2, 4, 8, 8)
    total, positive = module(left, right)
    assert total.shape == (2, 4, 8, 8)
    torch.testing.assert_close(positive, total.relu())
    with pytest.raises(SpaceError, match=r"takes 2 inputs \(two_0.left, two_0.right\); it was given 1"):
        module(left)
    with pytest.raises(
        SpaceError, match=r"the input two_0.right is \(N, \*\(4, 8, 8\)\), not \(2, 3, 8, 8\)"
    ):
        module(left, left)


def test_inputs_that_a_candidate_does_not_read_may_be_given():
    @search_space
    def two():
        left, right = data(4, 8, 8, name="left"), data(4, 8, 8, name="right")
        return ChoiceOp(left, right, Add()(left, right))()

    space = SearchSpace(two())
    left, right = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    for choice, expected in enumerate((left, right, left + right)):
        values = {"two_0.ChoiceOp_0.choice": choice}
        for module in (BasicExecutor(space, values), WeightSharingExecutor(space, values)):
            assert torch.equal(module(left, right), expected)
    assert torch.equal(BasicExecutor(space, {"two_0.ChoiceOp_0.choice": 1})(right), right)
    with pytest.raises(SpaceError, match=r"takes 1 inputs .*; it was given 3"):
        BasicExecutor(space)(left, right, left)


def test_names_that_torch_cannot_keep_are_refused():
    for name in ("training", "forward", "a.b"):

        @search_space
        def odd(name=name):
            weights = [Tensor(name, (4, 3, 1, 1), grad=True), Tensor("a", (4,), grad=True)]
            return Conv2d()(data(3, 4, 4), *weights)

        with pytest.raises(
            SpaceError, match=r"the weight odd_0.Conv2d_0..* cannot be kept in a torch module"
        ):
            BasicExecutor(odd())


def test_a_trained_tensor_that_is_no_weight_is_refused():
    @search_space
    def chosen():
        offsets = [Tensor(name, (1, 3, 4, 4), grad=True) for name in "ab"]
        return Add()(data(3, 4, 4), ChoiceOp(*offsets)())

    with pytest.raises(SpaceError, match=r"chosen_0.a is to be trained, but it is no operator's weight"):
        SearchSpace(chosen())


def test_an_executor_is_written_as_it_is():
    space = SearchSpace(net())
    x = torch.randn(1, 3, 8, 8)
    chosen = {"net_0.ChoiceOp_0.choice": 1}
    shared = WeightSharingExecutor(space, {**chosen, "net_0.Conv2d_0.weight.width": 5}).eval()
    alone = shared.extract()
    assert alone.candidate is shared.candidate
    for module in (shared, alone):
        session = InferenceSession(to_onnx(module).SerializeToString(), providers=["CPUExecutionProvider"])
        (output,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        torch.testing.assert_close(torch.from_numpy(output), module(x).detach(), rtol=1e-4, atol=1e-5)
    mixture = DifferentiableExecutor(space)
    with pytest.raises(UnsupportedError, match=r"ChoiceOp .* has no ONNX form"):
        to_onnx(mixture)


def test_a_shared_weight_is_one_parameter_with_the_sum_of_gradients():
    @search_space
    def shared():
        x = data(3, 4, 4)
        weight = Tensor("weight", (3, 3, 1, 1), grad=True)
        return Conv2d()(Conv2d()(x, weight), weight)

    module = BasicExecutor(shared())
    assert list(dict(module.named_parameters())) == ["shared_0.Conv2d_0.weight"]
    x = torch.randn(1, 3, 4, 4)
    weight = module.weight("shared_0.Conv2d_0.weight")
    expected = nn.functional.conv2d(nn.functional.conv2d(x, weight), weight)
    torch.testing.assert_close(module(x), expected)
    module(x).sum().backward()
    assert weight.grad is not None


def test_assignments_that_do_not_fit_are_refused():
    with pytest.raises(SpaceError, match=r"no parameter 'net_0.ChoiceOp_0.choise'.*did you mean"):
        BasicExecutor(net(), {"net_0.ChoiceOp_0.choise": 1})
    with pytest.raises(SpaceError, match="is 9, not one of 4, 5, 6, 7, 8"):
        BasicExecutor(SearchSpace(net()), {"net_0.Conv2d_0.weight.width": 9})


def test_a_catalogue_space_becomes_a_module():
    space = load_space("tc_resnet", input_shape=(6, 64), classes=4)
    module = to_torch(space.candidate(space.sample(3)))
    assert module(torch.randn(5, 6, 64)).shape == (5, 4)

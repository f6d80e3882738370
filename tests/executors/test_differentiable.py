"""Choices as weighted sums of their options: what they compute, what gradients do, and what comes out of it."""

import copy

import pytest
import torch
from torch.nn import functional

from hannah_hw import (
    CategoricalParameter,
    ChoiceOp,
    IntScalarParameter,
    Op,
    SearchSpace,
    dynamic_depth,
    load_space,
    search_space,
)
from hannah_hw.errors import SpaceError
from hannah_hw.executors import BasicExecutor, DifferentiableExecutor
from hannah_hw.expressions import If
from hannah_hw.operators import Add, Identity, MaxPooling, Relu, Relu6
from tests.blocks import batch_norm, conv, data, linear, nasty


class Scaled(Op):
    """The value times a number; counts how often it is computed."""

    computed = 0

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def _forward_implementation(self, *args):
        Scaled.computed += 1
        return args[0] * self.factor


def one_hot(executor, values):
    """Alphas that leave no probability to any other level."""
    with torch.no_grad():
        for parameter, alpha in zip(executor.mixed, executor.alphas, strict=True):
            alpha.fill_(-1e4)
            alpha[parameter.levels.index(values.get(parameter.id, parameter.default))] = 1e4


def set_alphas(executor, *values):
    with torch.no_grad():
        for alpha, own in zip(executor.alphas, values, strict=True):
            alpha.copy_(torch.tensor(own))


SPACES = {
    "ds_cnn": (lambda: load_space("ds_cnn", max_blocks=4), {"ds_cnn_0.ChoiceOp_0.depth": 3}),
    "nasty": (
        lambda: SearchSpace(nasty()),
        {"nasty_0.ChoiceOp_1.extras": ["norm"], "nasty_0.Conv2d_0.weight.width": 8},
    ),
    "nas_bench_201": (lambda: load_space("nas_bench_201", input_shape=(3, 8, 8), cells=1, channels=4), {}),
}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("hard", [False, True])
def test_one_hot_alphas_compute_exactly_the_candidate(name, hard):
    build, fixed = SPACES[name]
    space = build()
    mixture = DifferentiableExecutor(space, fixed, hard=hard).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for values in [mixture.weight(key) for key in mixture.plan.weights]:
            low, high = (0.5, 1.5) if values.ndim == 1 else (-0.5, 0.5)
            values.uniform_(low, high, generator=generator)
    (declared,) = mixture.plan.inputs
    x = torch.randn((2, *declared.shape()[1:]), generator=generator)
    for row in space.sample_population(10, seed=3):
        sampled = space.encoding.assignment(row)
        one_hot(mixture, sampled)
        values = {**mixture.assignment, **{p.id: sampled.get(p.id, p.default) for p in mixture.mixed}}
        alone = BasicExecutor(space, values).eval()
        alone.load_state_dict({key: mixture.weight(key) for key in alone.plan.weights})
        assert torch.equal(mixture(x), alone(x))
        assert mixture.derive() == space.candidate(values).assignment
        extracted = mixture.extract()
        assert not extracted.training
        assert torch.equal(extracted(x), mixture(x))


def test_a_choice_is_the_sum_weighted_by_softmax():
    @search_space
    def net():
        return ChoiceOp(Identity(), Relu(), lambda x: conv(x, 3, 1))(data(3, 4, 4))

    mixture = DifferentiableExecutor(net(), temperature=0.5)
    set_alphas(mixture, [0.1, -0.4, 0.7])
    x = torch.randn(2, 3, 4, 4)
    kernel = mixture.weight("net_0.Conv2d_0.weight")
    alpha = torch.tensor([0.1, -0.4, 0.7], requires_grad=True)
    p = (alpha / 0.5).softmax(0)
    expected = p[0] * x + p[1] * x.relu() + p[2] * functional.conv2d(x, kernel)
    torch.testing.assert_close(mixture(x), expected)
    torch.testing.assert_close(mixture.probabilities(), {"net_0.ChoiceOp_0.choice": p})
    (gradient,) = torch.autograd.grad(expected.square().sum(), alpha)
    mixture(x).square().sum().backward()
    (own,) = mixture.architecture_parameters()
    torch.testing.assert_close(own.grad, gradient)


def test_choices_that_share_a_switch_share_alphas_and_levels_of_one_option_add_up():
    @search_space
    def net():
        kind = CategoricalParameter(["small", "large", "huge"], name="kind")
        x = data(2, 2)
        x = ChoiceOp(
            Scaled(1.0), Scaled(2.0), Scaled(3.0), switch=If(kind == "small", 0, If(kind == "large", 1, 2))
        )(x)
        return ChoiceOp(Scaled(10.0), Scaled(100.0), switch=If(kind == "small", 0, 1))(x)

    mixture = DifferentiableExecutor(net())
    assert [p.name for p in mixture.mixed] == ["kind"]
    set_alphas(mixture, [0.3, -1.0, 0.5])
    p = mixture.alphas[0].softmax(0)
    expected = (p[0] + 2 * p[1] + 3 * p[2]) * (10 * p[0] + 100 * (p[1] + p[2]))
    torch.testing.assert_close(mixture(torch.ones(1, 2, 2)), expected.expand(1, 2, 2))
    assert mixture.derive() == {"net_0.ChoiceOp_0.kind": "huge"}


def test_a_switch_of_two_parameters_takes_the_products_of_their_shares():
    @search_space
    def net():
        a, b = IntScalarParameter(0, 1, name="a"), IntScalarParameter(0, 2, name="b")
        return ChoiceOp(Scaled(1.0), Scaled(10.0), Scaled(100.0), switch=a + b - 1)(data(2, 2))

    mixture = DifferentiableExecutor(net())
    set_alphas(mixture, [0.2, 0.9], [-0.3, 0.1, 0.4])
    p, q = (alpha.softmax(0) for alpha in mixture.alphas)
    # Where both are 0 the switch points at no option, so there is no network that would add anything.
    expected = (p[0] * q[1] + p[1] * q[0]) + 10 * (p[0] * q[2] + p[1] * q[1]) + 100 * p[1] * q[2]
    torch.testing.assert_close(mixture(torch.ones(1, 2, 2)), expected.expand(1, 2, 2))
    set_alphas(mixture, [9.0, 0.0], [9.0, 8.0, 0.0])
    assert mixture.derive() == {"net_0.ChoiceOp_0.a": 0, "net_0.ChoiceOp_0.b": 1}


def test_a_value_that_several_options_use_is_computed_once():
    @search_space
    def net():
        base = Scaled(2.0)(data(3, 4))
        deep = Scaled(3.0)(base)
        inner = ChoiceOp(base, deep, Relu()(base))()
        return ChoiceOp(base, inner, deep, Add()(inner, deep))()

    mixture = DifferentiableExecutor(net())
    Scaled.computed = 0
    y = mixture(torch.ones(1, 3, 4))
    assert Scaled.computed == 2
    inner = (2 + 6 + 2) / 3
    torch.testing.assert_close(y, torch.full((1, 3, 4), (2 + inner + 6 + (inner + 6)) / 4))


def test_depth_is_mixed_and_batch_norm_trains():
    @search_space
    def net():
        first = conv(data(1, 4, 4), 3)
        second = Relu()(batch_norm(conv(first, 3)))
        exits = [first, second, Relu()(batch_norm(conv(second, 3)))]
        return linear(dynamic_depth(*exits, switch=IntScalarParameter(0, 2, name="depth")), 2)

    mixture = DifferentiableExecutor(net()).train()
    before = mixture.weight("net_0.BatchNorm_1.running_mean").clone()
    mixture(torch.randn(4, 1, 4, 4)).sum().backward()
    assert not torch.equal(mixture.weight("net_0.BatchNorm_1.running_mean"), before)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in mixture.architecture_parameters())
    assert mixture.weight("net_0.Conv2d_2.weight").grad.abs().sum() > 0


def test_what_is_mixed_and_what_is_fixed():
    space = SearchSpace(nasty())
    mixture = DifferentiableExecutor(space, {"nasty_0.ChoiceOp_1.extras": [], "nasty_0.ChoiceOp_3.depth": 1})
    names = [p.id.removeprefix("nasty_0.") for p in mixture.mixed]
    # Blocks behind the first are not reached at this depth.
    assert names == [
        "ChoiceOp_0.activation",
        "residual_0.bottleneck_0.ChoiceOp_0.deep",
        "residual_0.ChoiceOp_0.choice",
        "ChoiceOp_4.choice",
    ]
    assert mixture.assignment["nasty_0.ChoiceOp_3.depth"] == 1
    assert not {p.id for p in mixture.mixed} & set(mixture.assignment)
    one = DifferentiableExecutor(space, mixture.assignment, parameters=["nasty_0.ChoiceOp_0.activation"])
    assert [p.name for p in one.mixed] == ["activation"]
    assert one.assignment["nasty_0.ChoiceOp_4.choice"] == 0
    alphas = {id(p) for p in mixture.architecture_parameters()}
    weights = {id(p) for p in mixture.weights()}
    assert not alphas & weights
    assert alphas | weights == {id(p) for p in mixture.parameters()}
    assert {f"alphas.{i}" for i in range(4)} | set(mixture.plan.weights) == set(mixture.state_dict())


def test_what_cannot_be_mixed_is_refused_by_name():
    @search_space
    def pooled():
        size, pool = IntScalarParameter(1, 2, name="size"), IntScalarParameter(0, 1, name="pool")
        x = ChoiceOp(Identity(), Relu(), switch=size - 1)(data(2, 4, 4))
        return ChoiceOp(Identity(), MaxPooling(2, stride=2), switch=pool)(conv(x, size, 1))

    with pytest.raises(
        SpaceError,
        match=r"ChoiceOp_1 cannot be mixed, .*pooled_0.Identity_1: \(1, 1, 4, 4\).*MaxPooling_0: \(1, 1, 2, 2\)",
    ):
        DifferentiableExecutor(pooled())
    pool = "pooled_0.ChoiceOp_1.pool"
    with pytest.raises(SpaceError, match="there is no choice to mix"):
        DifferentiableExecutor(pooled(), {pool: 1})
    with pytest.raises(SpaceError, match=f"size does not only switch choices.*allowed: {pool}"):
        DifferentiableExecutor(pooled(), parameters=["pooled_0.ChoiceOp_0.size"])
    with pytest.raises(SpaceError, match=f"no parameter 'pooled_0.ChoiceOp_1.poll'.*did you mean '{pool}'"):
        DifferentiableExecutor(pooled(), parameters=["pooled_0.ChoiceOp_1.poll"])
    with pytest.raises(SpaceError, match="is 3, not one of 0, 1"):
        DifferentiableExecutor(pooled(), {pool: 3})


@search_space
def three():
    return ChoiceOp(Scaled(1.0), Scaled(10.0), Scaled(100.0))(data(1, 1))


def test_gumbel_noise_is_seeded_and_hard_samples_have_the_probabilities():
    def outputs(seed, hard, count):
        generator = torch.Generator().manual_seed(seed)
        mixture = DifferentiableExecutor(
            three(), gumbel=True, hard=hard, temperature=0.7, generator=generator
        )
        set_alphas(mixture, [1.0, 0.0, -1.0])
        with torch.no_grad():
            return mixture, [float(mixture(torch.ones(1, 1, 1))) for _ in range(count)]

    mixture, samples = outputs(1, False, 5)
    assert samples == outputs(1, False, 5)[1] != outputs(2, False, 5)[1]
    assert len(set(samples)) == 5
    # Without noise in evaluation: the softmax.
    soft = (torch.tensor([1.0, 0.0, -1.0]) / 0.7).softmax(0) @ torch.tensor([1.0, 10.0, 100.0])
    torch.testing.assert_close(mixture.eval()(torch.ones(1, 1, 1)), soft.expand(1, 1, 1))
    _, samples = outputs(3, True, 2000)
    assert set(samples) == {1.0, 10.0, 100.0}
    probabilities = torch.tensor([1.0, 0.0, -1.0]).softmax(0)
    torch.testing.assert_close(mixture.probabilities()["three_0.ChoiceOp_0.choice"], probabilities)
    for value, p in zip((1.0, 10.0, 100.0), probabilities.tolist(), strict=True):
        # Four standard errors of a share.
        assert samples.count(value) / 2000 == pytest.approx(p, abs=4 * (p * (1 - p) / 2000) ** 0.5)


def test_the_hard_choice_has_the_gradient_of_the_soft_one_at_its_values():
    hard, soft = (DifferentiableExecutor(three(), hard=h) for h in (True, False))
    for mixture in (hard, soft):
        set_alphas(mixture, [0.5, 0.8, 0.1])
    x = torch.ones(1, 1, 1)
    assert hard(x).item() == 10.0
    for mixture in (hard, soft):
        mixture(x).sum().backward()
    assert hard.alphas[0].grad.abs().sum() > 0
    torch.testing.assert_close(hard.alphas[0].grad, soft.alphas[0].grad)


def test_alphas_learn_the_options_that_made_the_targets():
    @search_space
    def toy():
        def layer(x):
            return ChoiceOp(Identity(), Relu(), Relu6(), Scaled(-1.0))(x)

        return layer(conv(layer(data(2, 3, 3)), 2, 3))

    truth = {"toy_0.ChoiceOp_0.choice": 1, "toy_0.ChoiceOp_1.choice": 3}
    teacher = BasicExecutor(toy(), truth).eval()
    student = DifferentiableExecutor(toy())
    with torch.no_grad():
        student.weight("toy_0.Conv2d_0.weight").copy_(teacher.weight("toy_0.Conv2d_0.weight"))
    x = torch.randn(64, 2, 3, 3, generator=torch.Generator().manual_seed(0)) * 3
    optimiser = torch.optim.Adam(student.architecture_parameters(), lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        (student(x) - teacher(x)).square().mean().backward()
        optimiser.step()
    assert student.derive() == truth
    assert all(p.max() > 0.5 for p in student.probabilities().values())
    torch.testing.assert_close(student.extract()(x), teacher(x))


def test_the_derived_candidate_obeys_conditions():
    @search_space
    def net():
        a, b = IntScalarParameter(0, 2, name="a"), IntScalarParameter(0, 2, name="b")
        x = ChoiceOp(Identity(), Relu(), Relu6(), switch=a)(data(2, 2))
        return ChoiceOp(Identity(), Relu(), Relu6(), switch=b)(x).cond(a + b <= 2)

    mixture = DifferentiableExecutor(net())
    p, q = [0.1, 0.25, 0.65], [0.2, 0.3, 0.5]
    set_alphas(mixture, *(torch.tensor(own).log().tolist() for own in (p, q)))
    allowed = {(i, j): p[i] * q[j] for i in range(3) for j in range(3) if i + j <= 2}
    best = max(allowed, key=allowed.get)
    assert tuple(mixture.derive().values()) == best == (2, 0)


def test_fixed_values_obey_conditions_too():
    @search_space
    def net():
        width = IntScalarParameter(1, 8, name="width")
        kind = IntScalarParameter(0, 1, name="kind")
        x = conv(data(2, 4, 4), width, 1)
        return ChoiceOp(Identity(), Relu(), switch=kind)(x).cond(width + kind >= 5)

    # The default width, 1, is in no valid candidate.
    mixture = DifferentiableExecutor(net())
    assert mixture.assignment == {"net_0.Conv2d_0.weight.width": 5}
    assert mixture.derive() == {"net_0.Conv2d_0.weight.width": 5, "net_0.ChoiceOp_0.kind": 0}
    # This width leaves one kind, whatever is more probable.
    mixture = DifferentiableExecutor(net(), {"net_0.Conv2d_0.weight.width": 4})
    set_alphas(mixture, [5.0, 0.0])
    assert mixture.derive()["net_0.ChoiceOp_0.kind"] == 1
    with pytest.raises(SpaceError, match=r"these exclude each other.*width = 3"):
        DifferentiableExecutor(net(), {"net_0.Conv2d_0.weight.width": 3})


def test_calibrating_the_derived_network():
    @search_space
    def net():
        return batch_norm(ChoiceOp(Scaled(1.0), Scaled(3.0))(data(2, 4, 4)))

    mixture = DifferentiableExecutor(net()).train()
    batches = torch.randn(3, 8, 2, 4, 4) + 1
    for batch in batches:
        mixture(batch)
    set_alphas(mixture, [0.0, 4.0])
    alone = mixture.extract()
    assert alone.calibrate(batches) is alone
    expected = (3 * batches).mean((1, 3, 4)).mean(0)
    torch.testing.assert_close(alone.weight("net_0.BatchNorm_0.running_mean"), expected)
    assert not torch.allclose(mixture.weight("net_0.BatchNorm_0.running_mean"), expected)


def test_the_temperature_is_above_zero():
    mixture = DifferentiableExecutor(three(), temperature=2)
    mixture.temperature = 0.5
    assert mixture.temperature == 0.5
    for value in (0, -1.0, float("nan")):
        with pytest.raises(SpaceError, match=r"the temperature is .*must be above 0"):
            mixture.temperature = value


def test_states_copies_types_and_devices():
    space = SearchSpace(nasty())
    fixed = {"nasty_0.ChoiceOp_1.extras": []}
    mixture = DifferentiableExecutor(
        space, fixed, gumbel=True, generator=torch.Generator().manual_seed(0)
    ).eval()
    with torch.no_grad():
        for alpha in mixture.architecture_parameters():
            alpha.normal_()
    other = DifferentiableExecutor(SearchSpace(nasty()), fixed).eval()
    other.load_state_dict(mixture.state_dict())
    x = torch.randn(2, 4, 12, 12)
    assert torch.equal(other(x), mixture(x))
    twin = copy.deepcopy(mixture)
    with torch.no_grad():
        twin.alphas[0].add_(torch.arange(3.0))
    assert not torch.equal(twin(x), mixture(x))
    assert copy.deepcopy(mixture).double()(x.double()).dtype == torch.float64
    # Everything that is computed on a device without memory must come from it.
    assert other.to("meta")(x.to("meta")).shape == (2, 5)

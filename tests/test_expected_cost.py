"""The expectation over a distribution of networks against pricing every network of it."""

import itertools

import numpy as np
import pytest
import torch

from hannah_hw import (
    CategoricalParameter,
    ChoiceOp,
    ExpectedCost,
    IntScalarParameter,
    SearchSpace,
    dynamic_depth,
    estimate,
    estimate_population,
    load_space,
    search_space,
)
from hannah_hw.errors import InputError, SpaceError, UnsupportedError
from hannah_hw.executors import DifferentiableExecutor
from hannah_hw.operators import Add, Identity, MaxPooling, Relu, Relu6
from tests.blocks import batch_norm, conv, data, linear

TARGET = "stm32l4r5zi"


@search_space
def fused():
    """What fuses into a kernel depends on choices behind it, and on how often a value is read."""
    x = conv(data(4, 8, 8), 8, 3, bias=True)
    x = ChoiceOp(Identity(), batch_norm)(x)
    x = ChoiceOp(Identity(), Relu(), lambda node: Relu6()(Relu()(node)))(x)
    exits = [x]
    for _ in range(2):
        deep = conv(x, 8, 1)
        x = ChoiceOp(Relu()(x), Add()(x, deep), deep, Relu()(deep))()
        exits.append(x)
    x = dynamic_depth(*exits, switch=IntScalarParameter(0, 2, name="depth", default=2))
    x = ChoiceOp(lambda node: conv(node, 8, 5), lambda node: conv(conv(node, 2, 1), 8, 3))(x)
    return linear(x, 3)


@search_space
def windows():
    """Some combinations describe no network: two poolings of a small image."""
    x = data(4, 6, 6)
    for name in ("first", "second"):
        x = conv(
            x, IntScalarParameter(4, 12, 4, name="width"), CategoricalParameter([1, 3], name="kernel_size")
        )
        x = MaxPooling(IntScalarParameter(1, 4, name=name), stride=2, padding=0)(x)
    return linear(x, 3)


@search_space
def conditional():
    """Conditions rule out some combinations."""
    depths = [IntScalarParameter(0, 2, name=name) for name in "abc"]
    x = data(4, 6, 6)
    for depth in depths:
        exits = [x, *(x := Relu()(conv(x, 4, 3)) for _ in range(2))]
        x = dynamic_depth(*exits, switch=depth)
    return linear(x, 3).cond(depths[0] + depths[1] + depths[2] <= 3)


CASES = {
    "conditions": (lambda: SearchSpace(conditional()), {}, None),
    "fusion": (lambda: SearchSpace(fused()), {}, None),
    "fixed": (lambda: SearchSpace(fused()), {"fused_0.ChoiceOp_4.depth": 1}, None),
    "any parameters": (
        lambda: load_space("ds_cnn", max_blocks=2),
        {"ds_cnn_0.block_0.separable_0.Conv2d_0.weight.kernel_size": 5},
        ["ChoiceOp_0.choice", "depth", "Conv2d_0.stride", "block_0.separable_0.Conv2d_1.weight.out_channels"],
    ),
    "no network": (lambda: SearchSpace(windows()), {}, ["first", "second", "width"]),
}


def distribution(cost, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        p.id: torch.randn(len(p.levels), generator=generator, dtype=torch.float64).softmax(0)
        for p in cost.mixed
    }


def enumerated(space, cost, fixed, probabilities):
    """The expected figure over all combinations that describe a network, each priced as a candidate."""
    assignments, weights = [], []
    for levels in itertools.product(*(range(len(p.levels)) for p in cost.mixed)):
        chosen = {p.id: p.levels[level] for p, level in zip(cost.mixed, levels, strict=True)}
        assignments.append({**fixed, **chosen})
        weights.append(
            np.prod([float(probabilities[p.id][i]) for p, i in zip(cost.mixed, levels, strict=True)])
        )
    X = space.encoding.positions(assignments)
    priced = estimate_population(space, X, TARGET)
    exists = priced.workload.exists
    assert priced.supported[exists].all()
    weights = np.array(weights) * exists
    figures = np.where(exists, getattr(priced, cost.metric), 0.0)
    return float(weights @ figures / weights.sum()), float(exists.mean())


@pytest.mark.parametrize("metric", ["latency_s", "energy_j", "cycles"])
@pytest.mark.parametrize("name", CASES)
def test_it_is_the_sum_over_all_networks(name, metric):
    build, fixed, endings = CASES[name]
    space = build()
    names = endings and [p for p in space.parameters if any(p.endswith(ending) for ending in endings)]
    cost = ExpectedCost(space, TARGET, metric, assignment=fixed, parameters=names)
    assert cost.metric == metric
    assert len(cost.mixed) >= 3
    probabilities = distribution(cost)
    expected, existing = enumerated(space, cost, fixed, probabilities)
    assert (existing < 1) == (name in ("no network", "conditions"))
    assert float(cost(probabilities)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["fusion", "no network"])
def test_gradients_are_finite_differences(name):
    build, fixed, endings = CASES[name]
    space = build()
    names = endings and [p for p in space.parameters if any(p.endswith(ending) for ending in endings)]
    cost = ExpectedCost(space, TARGET, assignment=fixed, parameters=names)
    alphas = [p.log().requires_grad_() for p in distribution(cost, seed=1).values()]

    def expected(*values):
        # In milliseconds: gradcheck's tolerances are absolute.
        return cost({p.id: v.softmax(0) for p, v in zip(cost.mixed, values, strict=True)}) * 1e3

    assert torch.autograd.gradcheck(expected, alphas, eps=1e-5, atol=1e-7, rtol=1e-6)
    expected(*alphas).backward()
    # A batch normalisation folds into its convolution and costs nothing.
    free = 1 if name == "fusion" else 0
    assert (
        sum(alpha.grad is not None and bool(alpha.grad.abs().max() > 0) for alpha in alphas)
        == len(alphas) - free
    )


def test_certain_levels_cost_what_their_candidate_costs():
    space = load_space("ds_cnn", max_blocks=3)
    mixture = DifferentiableExecutor(space, {"ds_cnn_0.ChoiceOp_0.depth": 2})
    cost = ExpectedCost(mixture, TARGET)
    assert [p.id for p in cost.mixed] == [p.id for p in mixture.mixed]
    for levels in ((0, 1, 2), (2, 2, 2), (1, 0, 1)):
        with torch.no_grad():
            for alpha, level in zip(mixture.alphas, levels, strict=True):
                alpha.fill_(-1e4)
                alpha[level] = 1e4
        alone = estimate(space.candidate(mixture.derive()), TARGET).latency_s
        assert cost(mixture).item() == pytest.approx(alone, rel=1e-6)
        assert torch.equal(cost(mixture), cost(mixture.probabilities()))


def test_many_layers_cost_no_more_than_the_sum_of_them():
    """7^20 networks of 20 layers: the options of a layer depend on nothing else."""

    @search_space
    def deep():
        x = data(8, 8, 8)
        for _ in range(20):
            x = ChoiceOp(
                *(lambda node, k=k: Relu()(conv(node, 8, k)) for k in (1, 3, 5)),
                Identity(),
                *(lambda node, k=k: conv(conv(node, 8, k, groups=8), 8, 1) for k in (3, 5, 7)),
            )(x)
        return x

    space = SearchSpace(deep())
    cost = ExpectedCost(space, TARGET, "cycles")
    assert sum(table.numel() for table in cost.buffers()) < 20 * 50
    probabilities = distribution(cost)
    rows = space.sample_population(4000, seed=0)
    cycles = estimate_population(space, rows, TARGET).cycles
    uniform = {name: torch.full_like(p, 1 / len(p)) for name, p in probabilities.items()}
    error = cycles.std() / len(cycles) ** 0.5
    assert float(cost(uniform)) == pytest.approx(cycles.mean(), abs=4 * error)


def test_a_large_cost_makes_the_cheapest_network_the_derived_one():
    space = load_space("ds_cnn", max_blocks=2)
    fixed = {"ds_cnn_0.ChoiceOp_0.depth": 1}
    mixture = DifferentiableExecutor(space, fixed)
    cost = ExpectedCost(mixture, TARGET)
    x = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    optimiser = torch.optim.Adam(mixture.architecture_parameters(), lr=0.2)
    for _ in range(25):
        optimiser.zero_grad()
        (mixture(x).square().mean() + 1e4 * cost(mixture)).backward()
        optimiser.step()
    names = [p.id for p in mixture.mixed]
    levels = [p.levels for p in mixture.mixed]
    options = [dict(zip(names, own, strict=True)) for own in itertools.product(*levels)]
    latencies = estimate_population(
        space, space.encoding.encode([{**fixed, **o} for o in options]), TARGET
    ).latency_s
    cheapest = options[int(latencies.argmin())]
    assert {name: mixture.derive()[name] for name in names} == cheapest
    assert cost(mixture).item() < 1.05 * latencies.min()


def test_figures_that_are_no_sums_are_refused_by_name():
    space = SearchSpace(fused())
    for metric in ("ram_bytes", "flash_bytes"):
        with pytest.raises(
            InputError, match=f"'{metric}' is no sum over kernels.*allowed: latency_s, energy_j"
        ):
            ExpectedCost(space, TARGET, metric)
    with pytest.raises(InputError, match="did you mean 'latency_s'"):
        ExpectedCost(space, TARGET, "latency")


def test_kernels_that_the_target_cannot_run_are_named():
    @search_space
    def grouped():
        return ChoiceOp(Identity(), lambda x: conv(x, 8, 3, groups=2))(data(8, 4, 4))

    with pytest.raises(
        UnsupportedError, match=r"stm32l4r5zi:cmsis_nn cannot run .*grouped_0.Conv2d_0 \(conv: groups == 1"
    ):
        ExpectedCost(grouped(), f"{TARGET}:cmsis_nn")


def test_what_cannot_be_tabulated_or_does_not_fit_is_refused():
    space = load_space("ds_cnn")
    with pytest.raises(SpaceError, match=r"depends on .*combinations.*fix some of"):
        ExpectedCost(space, TARGET, parameters=list(space.parameters))
    with pytest.raises(SpaceError, match="no parameter 'dept'"):
        ExpectedCost(space, TARGET, parameters=["dept"])
    fixed = {name: space.parameters[name].default for name in space.parameters}
    with pytest.raises(SpaceError, match="no parameter has probabilities"):
        ExpectedCost(space, TARGET, assignment=fixed)
    mixture = DifferentiableExecutor(space, {"ds_cnn_0.ChoiceOp_0.depth": 0})
    with pytest.raises(InputError, match="give it alone"):
        ExpectedCost(mixture, TARGET, assignment={})
    cost = ExpectedCost(mixture, TARGET)
    choice = "ds_cnn_0.block_0.ChoiceOp_0.choice"
    with pytest.raises(SpaceError, match=rf"{choice} needs \(3,\) probabilities.*given none"):
        cost({})
    with pytest.raises(SpaceError, match=r"it was given the shape \(2,\)"):
        cost({choice: torch.ones(2)})
    small = SearchSpace(windows())
    width = next(name for name in small.parameters if name.endswith("width"))
    pooled = {name: 4 for name in small.parameters if name.endswith(("first", "second"))}
    with pytest.raises(SpaceError, match=r"Linear_0.weight is not a positive integer; .*second = 4"):
        ExpectedCost(small, TARGET, parameters=[width], assignment=pooled)


def test_it_moves_with_the_executor():
    mixture = DifferentiableExecutor(SearchSpace(fused()))
    cost = ExpectedCost(mixture, TARGET)
    assert cost(mixture).dtype == torch.float32
    assert not list(cost.parameters())
    assert cost.to("meta")(mixture.to("meta")).device.type == "meta"

"""Candidates whose parameters describe no network are known before anything is built."""

import numpy as np

from hannah_hw import (
    Candidate,
    CategoricalParameter,
    ChoiceOp,
    IntScalarParameter,
    SearchSpace,
    Tensor,
    estimate_population,
    search_space,
)
from hannah_hw.blocks import conv2d, linear
from hannah_hw.errors import SpaceError
from hannah_hw.operators import AdaptiveAvgPooling, Add, Identity, MaxPooling
from hannah_hw.search.metrics import Constraint, Goals


@search_space
def often_impossible():
    """Windows that may be too large, groups that may not divide, sums that may not fit, a switch that may miss."""
    x = Tensor("input", (1, 4, 8, 8), axis=("N", "C", "H", "W"))
    kernel = IntScalarParameter(1, 9, name="kernel")
    x = conv2d(x, 8, kernel, padding="valid")
    x = conv2d(x, IntScalarParameter(4, 8, name="width"), 1, groups=IntScalarParameter(1, 4, name="groups"))
    pooled = MaxPooling(CategoricalParameter([1, 2, 4], name="window"), padding="valid")(x)
    switch = IntScalarParameter(0, 1, name="a") + IntScalarParameter(0, 1, name="b")
    x = ChoiceOp(Identity(), lambda node: Add()(node, pooled), switch=switch)(x)
    outputs = CategoricalParameter([1, 2], name="outputs")
    return linear(AdaptiveAvgPooling(outputs)(x), 3)


def any_rows(space, count, seed):
    """Random values of all parameters, without regard to what the operators require."""
    levels = space.encoding.levels
    return np.floor(np.random.default_rng(seed).random((count, len(levels))) * levels)


def resolves(space, row):
    try:
        Candidate(space, row).plan  # noqa: B018 (building it is the check)
    except SpaceError:
        return False
    return True


def test_existence_is_what_building_the_candidate_finds():
    space = SearchSpace(often_impossible())
    X = any_rows(space, 600, seed=1)
    exists = space.workload(X).exists
    assert exists.tolist() == [resolves(space, row) for row in X]
    assert 0.02 < exists.mean() < 0.98
    samples = space.sample_population(200, seed=1)
    assert all(resolves(space, row) for row in samples)


@search_space
def often_empty():
    """Channels, kernels, features and a switch that may be none, or no whole number."""
    x = Tensor("input", (1, 4, 8, 8), axis=("N", "C", "H", "W"))
    x = conv2d(
        x, IntScalarParameter(0, 8, step_size=4, name="width"), IntScalarParameter(0, 2, name="kernel")
    )
    x = conv2d(x, CategoricalParameter([8, 4.5, 2], name="share") // 4, 1)
    x = ChoiceOp(Identity(), lambda node: conv2d(node, CategoricalParameter([2, 2.5], name="odd"), 1))(x)
    switch = CategoricalParameter([0, 1, 2], name="switch") * 0.5
    x = ChoiceOp(Identity(), lambda node: conv2d(node, 4, 1), switch=switch)(x)
    return linear(AdaptiveAvgPooling(1)(x), IntScalarParameter(0, 3, name="classes") - 1)


def test_sizes_are_positive_integers():
    space = SearchSpace(often_empty())
    X = any_rows(space, 600, seed=1)
    exists = space.workload(X).exists
    assert exists.tolist() == [resolves(space, row) for row in X]
    assert 0.02 < exists.mean() < 0.98


def test_what_does_not_exist_costs_nothing_and_is_not_supported():
    space = SearchSpace(often_impossible())
    X = any_rows(space, 200, seed=2)
    workload = space.workload(X)
    missing = ~workload.exists
    assert (workload.macs[missing] == 0).all()
    assert (workload.buffers.bytes[missing] == 0).all()
    costs = estimate_population(space, X, "stm32l4r5zi")
    assert not costs.supported[missing].any()
    assert np.isnan(costs.latency_s[missing]).all()
    assert np.isnan(costs.ram_bytes[missing]).all()
    row = int(np.flatnonzero(missing)[0])
    assert [u.kernel for u in costs.report(row).unsupported] == ["network"]


def test_a_chip_bounds_what_the_user_left_open():
    goals = Goals({"latency": "min"}, (Constraint("ram", "<=", 1000.0),))
    assert goals.within({"ram": 64.0, "flash": 2048, "energy": None}).constraints == (
        Constraint("ram", "<=", 1000.0),
        Constraint("flash", "<=", 2048.0),
    )

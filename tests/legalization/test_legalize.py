"""Legalized spaces: pricing every candidate on the target is the truth for what is legal."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw import (
    CategoricalParameter,
    ChoiceOp,
    FloatScalarParameter,
    IntScalarParameter,
    dynamic_depth,
    estimate_population,
    legalize,
    load_space,
    load_target,
    search_space,
)
from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Int
from hannah_hw.operators import Concat, Identity, Relu
from hannah_hw.search.algorithms.variation import Variation
from hannah_hw.spaces import SearchSpace
from hannah_hw.spaces.counting import distinct, every_candidate
from hannah_hw.targets import parse_target
from tests.blocks import conv, data, linear, nasty

ANYTHING = {"match": ["linear", "add", "avg_pool", "max_pool", "batch_norm", "activation", "concat"]}
TARGET = """
format: hannah-target/2
name: strict
title: A microcontroller with rules of a test
core: m4
document: a test
clock_hz: 120 MHz
ram_bytes: 640 KiB
flash_bytes: 2 MiB
power: {active_w: {value: 50 mW, source: assumed, reference: a test}}
model:
  kind: kernels
  runtime: own
  runtimes:
    own:
      coefficients: m4/hannah
      cycle_scale: {value: 1, source: assumed, reference: a test}
      flash_wait_cycles: {value: 0, source: assumed, reference: a test}
      ops: OPS
unsupported: error
"""


def strict(*rules):
    """A target whose convolutions have some alternatives of conditions; it runs all else that our kernels run."""
    ops = [{"match": "conv", "when": list(when)} for when in rules]
    return parse_target(TARGET.replace("OPS", str([*ops, ANYTHING])))


@search_space
def small():
    """A depth, a choice of operators, a kernel size that two layers share, and one of a layer that may be missing."""
    shared = CategoricalParameter([1, 3, 5], name="shared", default=5)
    x = conv(data(3, 10, 10), IntScalarParameter(4, 12, 4, name="width"), shared)
    deeper = Relu()(
        conv(x, IntScalarParameter(2, 8, 2, name="inner"), CategoricalParameter([3, 5, 7], name="own"))
    )
    deepest = conv(deeper, 4, shared)
    x = dynamic_depth(x, deeper, deepest, switch=IntScalarParameter(0, 2, name="depth"))
    x = ChoiceOp(
        Identity(),
        Relu(),
        lambda node: conv(node, node.shape()[1], 3, groups=node.shape()[1]),
        lambda node: conv(node, 6, 3, stride=2),
    )(x)
    return linear(x, 3)


SPACE = SearchSpace(small(), "small")


def identities(space, rows):
    return {space.candidate_of(row).id for row in rows}


def runnable(space, target):
    """Ids of the candidates of a small space that a target can run."""
    rows = every_candidate(space)
    return identities(space, rows[estimate_population(space, rows, target).supported])


RULES = {
    "one parameter": [["kernel_h <= 3"]],
    "two columns": [["kernel_h <= 3", "in_channels % 4 == 0 or in_channels == 3"]],
    "alternatives": [["groups == 1", "out_channels in [4, 8]"], ["groups == in_channels == out_channels"]],
    "no stride": [["stride_h == 1 and stride_w == 1"]],
    "shallow": [["in_h * in_w == 100", "groups == 1"]],
    "joined": [["in_channels * kernel_h <= 24", "groups == 1"]],
    "weights": [["weights <= 300"]],
}


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_what_is_left_are_exactly_the_candidates_that_the_target_can_run(rules):
    space, target = SearchSpace(small(), "small"), strict(*rules)
    expected = runnable(space, target)
    assert 0 < len(expected) < len(every_candidate(space))
    found = legalize(space, target)
    assert identities(found.space, every_candidate(found.space)) == expected
    assert distinct(found.space).value == len(expected)
    # No value was removed that one of them has, and none kept of a parameter of its own that none of them has.
    for removal in found.removed:
        values = {
            found.space.candidate_of(row).assignment.get(removal.parameter)
            for row in every_candidate(found.space)
        }
        assert values - {None} <= set(removal.left)
        assert set(removal.left).isdisjoint(removal.values)


COMPARISONS = st.builds(
    "{} {} {}".format,
    st.sampled_from(["kernel_h", "in_channels", "out_channels", "in_channels % 4", "stride_h", "out_w"]),
    st.sampled_from(["<=", ">=", "==", "!="]),
    st.integers(0, 9),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(COMPARISONS, min_size=1, max_size=2), min_size=1, max_size=2))
def test_any_rules_leave_exactly_what_can_run_or_say_that_nothing_can(rules):
    space, target = SPACE, strict(*rules)
    expected = runnable(space, target)
    if expected:
        found = legalize(space, target)
        assert identities(found.space, every_candidate(found.space)) == expected
    else:
        with pytest.raises(SpaceError, match=r"strict:own can run no network of the space small.*conv: "):
            legalize(space, target)


def test_a_removed_value_is_told_with_the_rule_and_the_kernels():
    found = legalize(SPACE, strict(["kernel_h <= 3"]))
    told = {r.parameter.rpartition(".")[2]: r for r in found.removed}
    assert set(told) == {"shared", "own"}
    assert told["shared"].values == (5,)
    assert told["shared"].left == (1, 3)
    # Of a layer that is not in every candidate too: where it matters, it cannot run.
    assert told["own"].values == (5, 7)
    assert {rule.text for removal in found.removed for rule in removal.rules} == {"conv: kernel_h <= 3"}
    assert found.conditions == ()
    assert (found.before, found.after) == (3 * 3 * 4 * 3 * 3 * 4, 3 * 2 * 4 * 1 * 3 * 4)
    # The declared default cannot run; the nearest value that can is the new one.
    assert found.space.default()[told["shared"].parameter] == 3
    document = found.to_dict()
    assert document["removed"][0]["rules"][0]["rule"] == "conv: kernel_h <= 3"
    assert "3 values of 2 parameters removed, by: conv: kernel_h <= 3" in str(found)


def test_what_no_rule_concerns_is_the_space_itself():
    found = legalize(SPACE, load_target("stm32l4r5zi"))
    assert found.space is SPACE
    assert str(found) == "stm32l4r5zi:hannah can run every network of small"


def test_a_layer_that_never_runs_removes_what_adds_it():
    """Depths with a convolution that cannot run go; what that convolution has of its own then means nothing."""
    found = legalize(SPACE, strict(["kernel_h <= 1"]))
    told = {r.parameter.rpartition(".")[2]: r for r in found.removed}
    assert told["depth"].left == (0,)
    assert told["shared"].left == (1,)
    rows = every_candidate(found.space)
    assert identities(found.space, rows) == runnable(SPACE, strict(["kernel_h <= 1"]))
    assert not any(name.endswith("own") for row in rows for name in found.space.candidate_of(row).assignment)


@search_space
def parallel():
    """The channels of six branches together are the input of a convolution: 262,144 combinations."""
    x = data(4, 8, 8)
    branches = [conv(x, IntScalarParameter(4, 32, 4, name=f"width_{i}"), 1) for i in range(6)]
    return linear(conv(Concat(axis=1)(*branches), 8, 3), 3)


@search_space
def continuous():
    factor = FloatScalarParameter(0.5, 4.0, name="factor", default=1.0)
    x = conv(data(4, 8, 8), Int(factor * 8), 3)
    return linear(conv(x, IntScalarParameter(2, 12, 2, name="width"), 3), 3)


@pytest.mark.parametrize(
    ("graph", "rules"),
    [(parallel, [["in_channels % 16 == 0 or in_channels == 4"]]), (continuous, [["weights <= 1000"]])],
)
def test_rules_over_too_much_for_a_table_are_kept_all_the_same(graph, rules):
    space, target = SearchSpace(graph()), strict(*rules)
    found = legalize(space, target)
    assert found.conditions
    assert found.priced == ()
    before = estimate_population(space, space.sample_population(300), target).supported
    assert 0 < before.mean() < 1
    rows = found.space.sample_population(300)
    rng = np.random.default_rng(0)
    children = Variation(found.space.encoding).children(
        rows, rng.integers(300, size=300), rng.integers(300, size=300), rng, crossover=0.9
    )
    for part in (rows, children):
        assert estimate_population(found.space, part, target).supported.all()


SHIPPED = ["ds_cnn", "mcunet", "resnet", "tc_resnet"]
STRICT = {
    "kernel": [["kernel_w <= 3", "kernel_h <= 3"]],
    "channels": [["in_channels % 4 == 0 or in_channels <= 3", "out_channels % 4 == 0"]],
    "cmsis_nn": None,
}


loaded = functools.cache(load_space)


@pytest.mark.parametrize(("name", "rules"), list(itertools.product(SHIPPED, STRICT)))
def test_samples_and_variations_of_shipped_spaces_can_run(name, rules):
    target = load_target("stm32l4r5zi:cmsis_nn") if STRICT[rules] is None else strict(*STRICT[rules])
    found = legalize(loaded(name), target)
    rng = np.random.default_rng(1)
    rows = found.space.sample_population(200, 1)
    first, second = rng.integers(200, size=(2, 200))
    children = Variation(found.space.encoding).children(rows, first, second, rng, crossover=0.9)
    for part in (rows, children):
        np.testing.assert_array_equal(found.space.encoding.canonical(part), part)
        assert estimate_population(found.space, part, target).supported.all()


def test_a_candidate_is_the_same_in_the_part_and_in_the_whole():
    space = SearchSpace(nasty())
    found = legalize(space, strict(["kernel_h <= 3", "out_channels % 8 == 0"]))
    assert found.removed
    for row in found.space.sample_population(50, 2):
        part = found.space.candidate_of(row)
        whole = space.candidate(part.assignment)
        assert (whole.id, whole.macs, whole.parameters) == (part.id, part.macs, part.parameters)
        assert found.space.candidate(part.assignment).id == part.id


def test_an_assignment_outside_of_the_part_is_refused():
    found = legalize(SPACE, strict(["kernel_h <= 3"]))
    (shared,) = (r.parameter for r in found.removed if r.parameter.endswith("shared"))
    with pytest.raises(SpaceError, match="is 5, not one of 1, 3"):
        found.space.candidate({shared: 5})


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            ["kernel_h <= 0"],
            r"fails: small_0.Conv2d_0: conv: kernel_h <= 0 \(whatever the value of .*shared\)",
        ),
        (
            ["groups == 2"],
            "every network fails: small_0.Conv2d_0: conv: groups == 2",
        ),
        (
            ["kernel_h * out_channels <= 30", "kernel_h * out_channels > 30"],
            r"no value of the parameter .* can run: .*out_channels <= 30.*out_channels > 30",
        ),
    ],
)
def test_nothing_left_is_an_error_that_names_rules_and_parameter(rules, message):
    with pytest.raises(SpaceError, match=f"strict:own can run no network of the space small: .*{message}"):
        legalize(SPACE, strict(rules))


def test_where_a_condition_of_the_space_keeps_out_what_is_left_the_rule_of_the_target_is_named():
    """NAS-Bench-201 needs a path through its cell, and MAX78000 runs no 3 x 3 convolution of stride 2."""
    with pytest.raises(SpaceError) as caught:
        legalize(loaded("nas_bench_201"), "max78000")
    message = str(caught.value)
    assert "reduction_0.Conv2d_0" in message
    assert "conv: stride_w == 1 or kernel_w == 1 and stride_w <= 16 (64 of 64 random networks)" in message
    assert "switch" not in message
    assert "If(" not in message


def test_an_operator_without_a_rule_is_removed_or_an_error():
    found = legalize(loaded("nas_bench_201"), "stm32l4r5zi:cmsis_nn")
    assert {rule.text for removal in found.removed for rule in removal.rules} == {
        "batch_norm: the target has no rule for this operator"
    }
    with pytest.raises(SpaceError, match="quantize: the target has no rule for this operator"):
        legalize(load_space("resnet20_mixed"), "stm32l4r5zi:cmsis_nn")

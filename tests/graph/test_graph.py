"""Ids, choices, depth and activity beyond what the seed documents show."""

import pytest

from hannah_hw import (
    CategoricalParameter,
    ChoiceOp,
    FloatScalarParameter,
    IntScalarParameter,
    Op,
    SearchSpace,
    Tensor,
    get_nodes,
    lazy,
    search_space,
)
from hannah_hw.errors import SpaceError, UnsupportedError
from hannah_hw.expressions import If
from hannah_hw.graph import execution_order, resolve
from hannah_hw.operators import Add, Conv2d, Flatten, Identity, Relu
from tests.blocks import conv, data, linear


def test_colliding_nodes_are_both_named():
    left = Relu()(data(3, 8, 8, name="left"))
    right = Relu()(data(3, 8, 8, name="right"))
    with pytest.raises(
        SpaceError, match=r"the id 'Relu_0': a Relu of shape .* and a Relu of shape .*@search_space"
    ):
        SearchSpace(Add()(left, right))


def test_search_space_makes_two_inputs_distinct():
    @search_space
    def net():
        return Add()(Relu()(data(3, 8, 8, name="left")), Relu()(data(3, 8, 8, name="right")))

    space = SearchSpace(net())
    assert [node.id for node in space.inputs] == ["net_0.left", "net_0.right"]
    assert [node.id for node in get_nodes(net())] == [
        *["net_0.Add_0", "net_0.Relu_1", "net_0.right", "net_0.Relu_0", "net_0.left"]
    ]


def test_colliding_parameters_are_both_named():
    sizes = (IntScalarParameter(1, 3, name="c"), IntScalarParameter(8, 64, name="c"), 1, 1)
    net = Conv2d()(data(8, 8, 8), Tensor("weight", sizes))
    with pytest.raises(SpaceError, match=r"the id 'Conv2d_0.weight.c': .*max = 3,.* and .*max = 64,"):
        net.parametrization(flatten=True)


def test_unnamed_parameters_are_called_by_their_attribute():
    weight = Tensor("weight", (IntScalarParameter(8, 64), 3, 1, 1), axis=("O", "I", "kH", "kW"))
    net = Conv2d(stride=CategoricalParameter([1, 2]))(data(3, 8, 8), weight)
    assert set(net.parametrization(flatten=True)) == {"Conv2d_0.weight.O", "Conv2d_0.stride"}


def test_templates_can_be_called_again():
    relu = Relu()
    first = relu(data(3, 8, 8))
    second = relu(first)
    assert (first.id, second.id, relu.id) == ("Relu_0", "Relu_1", "")
    with pytest.raises(SpaceError, match="not connected yet"):
        relu.shape()


def test_each_call_of_a_choice_has_its_own_switch():
    choice = ChoiceOp(Identity(), Relu())
    net = choice(choice(data(3, 8, 8)))
    assert set(net.parametrization(flatten=True)) == {"ChoiceOp_0.choice", "ChoiceOp_1.choice"}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ChoiceOp(Identity(), Flatten())(data(3, 8, 8)), r"Identity_0: 4, Flatten_0: 2"),
        (ChoiceOp, "at least one option"),
        (lambda: ChoiceOp(3)(data(3, 8, 8)), "neither a node nor a function"),
        (lambda: ChoiceOp(lambda _: None)(data(3, 8, 8)), "returned None, not a node"),
        (lambda: ChoiceOp(Relu(), switch=IntScalarParameter(0, 2, name="s")), "'s' can be 1"),
        (lambda: ChoiceOp(Relu(), Identity(), switch=CategoricalParameter([0, 0.5])), "can be 0.5"),
        (lambda: ChoiceOp(Relu(), Identity(), switch=CategoricalParameter(["a", "b"])), "can be 'a'"),
        (lambda: ChoiceOp(Relu(), Identity(), switch=FloatScalarParameter(0, 1)), "is continuous"),
        (lambda: Tensor("x", (1, 2), axis=("N",)), "2 dimensions, but 1 axis names"),
    ],
)
def test_impossible_graphs_are_refused_when_they_are_built(build, message):
    with pytest.raises(SpaceError, match=message):
        build()


def test_a_computed_switch_out_of_range_is_refused():
    depth = IntScalarParameter(0, 4, name="depth")
    space = SearchSpace(ChoiceOp(Relu(), Identity(), switch=depth - 1)(data(3, 8, 8)))
    for value in (0, 3):
        with pytest.raises(
            SpaceError, match=f"the switch of ChoiceOp_0 is {value - 1}, but it has 2 options"
        ):
            resolve(space.order, space.outputs, {"ChoiceOp_0.depth": value})


def test_sizes_must_be_positive_integers():
    for size in (0, -1, 2.5):
        net = conv(data(3, 8, 8), CategoricalParameter([4, size], name="c"))
        space = SearchSpace(net)
        with pytest.raises(SpaceError, match="every size must be a positive integer"):
            resolve(space.order, space.outputs, {"Conv2d_0.weight.c": size})
        with pytest.raises(SpaceError, match=f"not a positive integer; .* given: .*weight.c = {size}"):
            space.candidate({"Conv2d_0.weight.c": size})


def test_deep_graphs_need_no_recursion():
    @search_space
    def net():
        x = data(3, 8, 8)
        width = IntScalarParameter(3, 4, name="width")
        x = conv(x, width)
        for _ in range(3000):
            x = Relu()(x)
        return x

    end = net()
    assert lazy(end.shape()) == (1, 3, 8, 8)
    space = SearchSpace(end)
    assert len(space.order) == 3003
    assert len(space.candidate({}).workload().kernels) == 3000


def test_order_puts_operands_first():
    x = data(3, 8, 8)
    net = linear(Add()(conv(x, 3), x), 4)
    order = execution_order([net])
    position = {id(node): i for i, node in enumerate(order)}
    assert all(position[id(o)] < position[id(node)] for node in order for o in node.operands)
    assert {id(node) for node in get_nodes(net)} == set(position)


def test_what_an_expression_does_not_take_is_inactive():
    narrow, wide = IntScalarParameter(2, 4, name="narrow"), IntScalarParameter(6, 8, name="wide")
    is_wide = CategoricalParameter([False, True], name="is_wide")
    space = SearchSpace(conv(data(3, 8, 8), If(is_wide, wide, narrow)))
    names = {k.rpartition(".")[2]: k for k in space.parameters}
    assert set(space.candidate({}).assignment) == {names["is_wide"], names["narrow"]}
    chosen = space.candidate({names["is_wide"]: True}).assignment
    assert set(chosen) == {names["is_wide"], names["wide"]}


def test_a_resolved_plan_is_plain():
    @search_space
    def net():
        stride = CategoricalParameter([1, 2], name="stride")
        x = conv(data(3, 8, 8), IntScalarParameter(4, 8, name="c"), stride=stride)
        return ChoiceOp(Identity(), Relu())(x)

    space = SearchSpace(net())
    plan = space.candidate({"net_0.Conv2d_0.stride": 2, "net_0.ChoiceOp_0.choice": 1}).plan
    assert [step.op.id for step in plan.steps] == ["net_0.Conv2d_0", "net_0.Relu_0"]
    assert plan.steps[0].op.stride == 2
    assert plan.steps[0].shape == (1, 4, 4, 4)
    assert plan.parameters == 4 * 27
    assert plan.outputs == ("net_0.Relu_0",)
    assert plan.users()["net_0.Conv2d_0"] == 1
    # The graph itself is as it was.
    assert space.outputs[0].operands[1].operands[0].stride is space.parameters["net_0.Conv2d_0.stride"]
    again = resolve(space.order, space.outputs, {})
    assert [step.op.id for step in again.steps] == ["net_0.Conv2d_0", "net_0.Identity_0"]


def test_an_operator_without_an_implementation_says_what_to_define():
    class Unknown(Op):
        pass

    net = Unknown()(data(3, 8, 8))
    with pytest.raises(UnsupportedError, match="defines no _forward_implementation"):
        net._forward_implementation()
    candidate = SearchSpace(net).candidate({})
    assert candidate.workload().kernels.kinds == ("Unknown",)

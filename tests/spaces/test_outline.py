"""The graph by scope: every node once, alike scopes folded, users of folded scopes redirected."""

import pytest

from hannah_hw import (
    ChoiceOp,
    IntScalarParameter,
    SearchSpace,
    Tensor,
    dynamic_depth,
    load_space,
    scope,
    search_space,
)
from hannah_hw.blocks import conv2d
from hannah_hw.graph import Op
from hannah_hw.operators import Add, Relu
from hannah_hw.spaces.outline import Block, Scope, every_block, outline


@scope
def step(x, levels=(8, 16)):
    width = IntScalarParameter(*levels, step_size=8, name="width")
    return Relu()(conv2d(x, width))


def chain(*levels, shape=(3, 8, 8)):
    """One block a parameter range, any of which may be the last."""

    @search_space
    def net():
        x = Tensor("input", (1, *shape), axis=("N", "C", "H", "W"))
        exits = []
        for pair in levels:
            x = step(x, pair)
            exits.append(x)
        return dynamic_depth(*exits)

    return SearchSpace(net())


@pytest.mark.parametrize("name", ["ds_cnn", "resnet", "nas_bench_201"])
def test_the_unfolded_outline_has_every_operator_and_input_once(name):
    space = load_space(name)
    graph = outline(space, fold=False)
    found = [block.id for block in every_block(graph)]
    nodes = {n.id: n for n in space.order if not (isinstance(n, Tensor) and n.owner is not None)}
    assert sorted(found) == sorted(nodes)
    listed = [parameter for block in every_block(graph) for parameter in block.parameters]
    assert sorted(listed) == sorted(space.parameters)
    for block in every_block(graph):
        node = nodes[block.id]
        assert block.inputs == (tuple(o.id for o in node.data_operands()) if isinstance(node, Op) else ())
    default = {step.op.id: step.shape for step in space.candidate(space.default()).plan.steps}
    shown = {b.id: b.shape for b in every_block(graph) if not b.is_choice and b.kind != "Input" and b.shape}
    assert shown == default


def test_scopes_that_follow_each_other_and_are_alike_become_one():
    # The first has another input width, the last two another range of widths.
    space = chain((8, 16), (8, 16), (8, 16), (8, 24), (8, 24))
    graph = outline(space)
    assert graph.id == "net_0"
    scopes = [item for item in graph.items if isinstance(item, Scope)]
    assert [[path.rpartition("_")[2] for path in s.repeats] for s in scopes] == [
        ["0"],
        ["1", "2"],
        ["3", "4"],
    ]
    (choice,) = [item for item in graph.items if isinstance(item, Block) and item.is_choice]
    # All five exits, by the scopes that stand for them.
    assert choice.inputs == tuple(f"net_0.step_{i}.Relu_0" for i in (0, 1, 1, 3, 3))


def test_scopes_side_by_side_are_not_folded():
    @search_space
    def net():
        x = Tensor("input", (1, 8, 4, 4), axis=("N", "C", "H", "W"))
        return Add()(step(x, (8, 8)), step(x, (8, 8)))

    scopes = [item for item in outline(SearchSpace(net())).items if isinstance(item, Scope)]
    assert [s.repeats for s in scopes] == [("net_0.step_0",), ("net_0.step_1",)]


def test_a_scope_that_something_else_feeds_is_not_folded():
    @scope
    def join(x, other):
        return Add()(x, other)

    @search_space
    def net():
        x = Tensor("input", (1, 8, 4, 4), axis=("N", "C", "H", "W"))
        first = Relu()(x)
        return join(join(x, first), first)

    scopes = [item for item in outline(SearchSpace(net())).items if isinstance(item, Scope)]
    assert len(scopes) == 2


def test_folds_within_folds_and_shapes_of_the_default_candidate():
    @scope
    def pair(x):
        return step(step(x))

    @search_space
    def net():
        x = pair(pair(pair(Tensor("input", (1, 8, 4, 4), axis=("N", "C", "H", "W")))))
        return ChoiceOp(Relu(), lambda node: conv2d(node, 5))(x)

    graph = outline(SearchSpace(net()))
    # The first pair, and in it the first step, has an input of 8 channels, the others one of a parameter's.
    first, second = (item for item in graph.items if isinstance(item, Scope))
    assert (len(first.repeats), [len(s.repeats) for s in first.items]) == (1, [1, 1])
    assert (len(second.repeats), [len(s.repeats) for s in second.items]) == (2, [2])
    blocks = {block.id: block for block in every_block(graph)}
    assert blocks["net_0.Relu_0"].inputs == ("net_0.pair_1.step_0.Relu_0",)
    assert blocks["net_0.Relu_0"].shape == (1, 8, 4, 4)
    assert blocks["net_0.Conv2d_0"].shape is None
    assert blocks["net_0.ChoiceOp_0"].shape == (1, 8, 4, 4)

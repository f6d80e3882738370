"""Fusion, kernels and buffers of small graphs, worked out by hand."""

import numpy as np
import pytest

from hannah_hw import ChoiceOp, IntScalarParameter, SearchSpace, Tensor, dynamic_depth, search_space
from hannah_hw.operators import (
    AdaptiveAvgPooling,
    Add,
    AvgPooling,
    Conv2d,
    Flatten,
    Identity,
    MaxPooling,
    Relu,
    Relu6,
    Softmax,
)
from hannah_hw.workload import ACTIVATIONS
from tests.blocks import batch_norm, buffers_of, conv, data, kernels_of, linear


def workload(build, **assignment):
    """The Workload of a graph that a function makes of an 8 x 8 image of 3 channels."""

    @search_space
    def n():
        return build(data(3, 8, 8))

    space = SearchSpace(n())
    full = {k: v for k in space.parameters for short, v in assignment.items() if k.endswith(f".{short}")}
    assert len(full) == len(assignment)
    return space.candidate(full).workload()


def fused(table):
    """(name, kind, activation, bias elements) of each kernel, names without the space's."""
    return [
        (row["name"].removeprefix("n_0."), row["kind"], ACTIVATIONS[row["activation"]], row["bias"])
        for row in kernels_of(table)
    ]


def lives(table):
    """Buffer -> (bytes, first, last) without the space's name."""
    return {name.removeprefix("n_0."): facts[1:4] for name, facts in buffers_of(table).items()}


def test_conv_bn_relu_is_one_kernel_with_a_bias():
    table = workload(lambda x: Relu()(batch_norm(conv(x, 4))))
    assert fused(table) == [("Conv2d_0", "conv", "relu", 4)]
    assert lives(table) == {"input": (192, 0, 0), "Conv2d_0": (256, 0, 0)}
    assert table.buffers.output.tolist() == [[False, True]]
    (row,) = kernels_of(table)
    # 4 x 3 x 3 x 3 weights, each used at 8 x 8 positions.
    assert (row["weights"], row["macs"]) == (108, 108 * 64)
    assert (row["in_channels"], row["out_channels"], row["groups"]) == (3, 4, 1)
    assert [row[f"pad_{side}"] for side in ("top", "left", "bottom", "right")] == [1, 1, 1, 1]
    assert table.weight_bytes.tolist() == [[108]]


def test_a_value_that_is_read_twice_is_not_clamped_in_place():
    def build(x):
        y = conv(x, 3)
        return Add()(Relu()(y), y)

    table = workload(build)
    assert fused(table) == [
        ("Conv2d_0", "conv", "none", 0),
        ("Relu_0", "activation", "relu", 0),
        ("Add_0", "add", "none", 0),
    ]
    # The convolution's result lives until the addition.
    assert lives(table)["Conv2d_0"] == (192, 0, 2)


def test_a_value_that_is_also_an_output_is_not_clamped_in_place():
    @search_space
    def n():
        y = conv(data(3, 8, 8), 3)
        return [y, Relu()(y)]

    table = SearchSpace(n()).candidate({}).workload()
    assert [row[1:3] for row in fused(table)] == [("conv", "none"), ("activation", "relu")]
    assert table.buffers.output.tolist() == [[False, True, True]]


def test_residual_add_relu():
    def build(x):
        x = Relu()(conv(x, 3))
        return Relu()(Add()(batch_norm(conv(x, 3)), x))

    table = workload(build)
    assert fused(table) == [
        ("Conv2d_0", "conv", "relu", 0),
        ("Conv2d_1", "conv", "none", 3),
        ("Add_0", "add", "relu", 0),
    ]
    assert lives(table) == {
        "input": (192, 0, 0),
        "Conv2d_0": (192, 0, 2),
        "Conv2d_1": (192, 1, 2),
        "Add_0": (192, 2, 2),
    }
    assert [row["operands"] for row in kernels_of(table)] == [1, 1, 2]


def test_an_addition_of_three_is_two_kernels():
    table = workload(lambda x: Add()(conv(x, 3), x, conv(x, 3)))
    assert [row[:2] for row in fused(table)] == [
        ("Conv2d_0", "conv"),
        ("Add_0", "add"),
        ("Conv2d_1", "conv"),
        ("Add_1", "add"),
    ]


def test_batch_norm_behind_pooling_is_a_kernel():
    table = workload(lambda x: Relu()(batch_norm(MaxPooling(2, stride=2)(x))))
    assert fused(table) == [
        ("MaxPooling_0", "max_pool", "none", 0),
        ("BatchNorm_0", "batch_norm", "none", 3),
        ("Relu_0", "activation", "relu", 0),
    ]


@pytest.mark.parametrize("pool", [MaxPooling(2), AvgPooling(2), AdaptiveAvgPooling(2)])
def test_pooling_clamps(pool):
    assert [row[1:3] for row in fused(workload(lambda x: Relu6()(pool(x))))] == [
        ("max_pool" if isinstance(pool, MaxPooling) else "avg_pool", "relu6")
    ]


def test_batch_norm_behind_an_activation_does_not_fold():
    table = workload(lambda x: batch_norm(Relu()(conv(x, 4))))
    assert fused(table) == [("Conv2d_0", "conv", "relu", 0), ("BatchNorm_0", "batch_norm", "none", 4)]


def test_an_activation_folds_once():
    table = workload(lambda x: Relu6()(Relu()(conv(x, 4))))
    assert fused(table) == [("Conv2d_0", "conv", "relu", 0), ("Relu6_0", "activation", "relu6", 0)]


def test_activations_without_a_kernel_before_them():
    assert fused(workload(Relu())) == [("Relu_0", "activation", "relu", 0)]
    table = workload(lambda x: Relu()(Softmax()(linear(x, 5))))
    assert [row[1] for row in fused(table)] == ["linear", "softmax", "activation"]


def test_choice_between_activations():
    def build(x):
        return conv(ChoiceOp(Relu(), Identity(), Relu6(), batch_norm)(conv(x, 4)), 2)

    expected = [("relu", 0), ("none", 0), ("relu6", 0), ("none", 4)]
    for choice, (activation, bias) in enumerate(expected):
        table = workload(build, choice=choice)
        assert fused(table) == [("Conv2d_0", "conv", activation, bias), ("Conv2d_1", "conv", "none", 0)]


def test_an_activation_behind_a_choice_folds_into_whatever_was_chosen():
    def build(x):
        return Relu()(ChoiceOp(lambda n: conv(n, 3), MaxPooling(3), Softmax(), Identity())(x))

    kinds = [[("conv", "relu")], [("max_pool", "relu")], [("softmax", "none"), ("activation", "relu")]]
    for choice, expected in enumerate([*kinds, [("activation", "relu")]]):
        assert [row[1:3] for row in fused(workload(build, choice=choice))] == expected


def test_dynamic_depth_drops_what_is_behind_the_exit():
    def build(x):
        exits = []
        for width in (2, 4, 8):
            x = Relu()(conv(x, width))
            exits.append(x)
        x = dynamic_depth(*exits, switch=IntScalarParameter(0, 2, name="depth"))
        return linear(AdaptiveAvgPooling()(x), 5)

    for depth in range(3):
        table = workload(build, depth=depth)
        kinds = ["conv"] * (depth + 1) + ["avg_pool", "linear"]
        assert [row["kind"] for row in kernels_of(table)] == kinds
        # Each buffer lives from its kernel to the next one; the output to the last.
        chain = list(lives(table).values())
        last = depth + 2
        assert [life[1:] for life in chain] == [(0, 0), *((k, min(k + 1, last)) for k in range(last + 1))]
        assert chain[-3][0] == (2, 4, 8)[depth] * 64


def test_views_name_the_same_buffer():
    table = workload(lambda x: linear(Identity()(Flatten()(Identity()(Relu()(conv(x, 4))))), 5))
    assert fused(table) == [("Conv2d_0", "conv", "relu", 0), ("Linear_0", "linear", "none", 5)]
    assert lives(table) == {"input": (192, 0, 0), "Conv2d_0": (256, 0, 1), "Linear_0": (5, 1, 1)}


def test_folding_looks_through_views():
    table = workload(lambda x: Relu()(Identity()(batch_norm(Identity()(conv(x, 4))))))
    assert fused(table) == [("Conv2d_0", "conv", "relu", 4)]


def test_batch_norm_over_features_does_not_fold_into_the_channels_before_them():
    table = workload(lambda x: batch_norm(Flatten()(conv(x, 4))))
    assert fused(table) == [("Conv2d_0", "conv", "none", 0), ("BatchNorm_0", "batch_norm", "none", 4 * 64)]


def test_a_view_that_is_read_twice_blocks_folding():
    def build(x):
        y = Identity()(conv(x, 3))
        return Add()(Relu()(y), y)

    assert [row[1:3] for row in fused(workload(build))] == [
        ("conv", "none"),
        ("activation", "relu"),
        ("add", "none"),
    ]


def test_shared_weights_are_used_by_each_kernel_and_counted_once():
    @search_space
    def n():
        x = data(3, 8, 8)
        shared = Tensor("shared", (3, 3, 3, 3), grad=True)
        return Relu()(Conv2d()(Relu()(Conv2d()(x, shared)), shared))

    candidate = SearchSpace(n()).candidate({})
    assert candidate.parameters == 81
    assert [row["weights"] for row in kernels_of(candidate.workload())] == [81, 81]
    assert candidate.macs == 2 * 81 * 64


def test_a_network_without_kernels_has_its_input_as_output():
    table = workload(lambda x: Flatten()(Identity()(x)))
    assert len(table.kernels) == 0
    assert buffers_of(table) == {"n_0.input": ("input", 192, 0, 0, True)}


def test_two_inputs_live_until_they_are_read():
    @search_space
    def n():
        left, right = data(3, 8, 8, name="left"), data(3, 8, 8, name="right")
        return Add()(conv(left, 3), right)

    assert lives(SearchSpace(n()).candidate({}).workload()) == {
        "left": (192, 0, 0),
        "right": (192, 0, 1),
        "Conv2d_0": (192, 0, 1),
        "Add_0": (192, 1, 1),
    }


def test_depthwise_grouped_strided_and_linear_counts():
    table = workload(lambda x: linear(conv(conv(x, 6, 5, groups=3, stride=2), 12, 1, groups=2), 7))
    rows = kernels_of(table)
    # 6 x 1 x 5 x 5 weights at 4 x 4 positions; 12 x 3 at 4 x 4; 192 x 7.
    assert [(row["weights"], row["macs"]) for row in rows] == [(150, 2400), (36, 576), (1344, 1344)]
    assert [(row["out_h"], row["out_w"]) for row in rows] == [(4, 4), (4, 4), (1, 1)]
    assert table.macs.tolist() == [4320]


def test_bits_of_values_scale_buffers():
    @search_space
    def n():
        return conv(data(3, 8, 8), 4)

    from hannah_hw.graph.activity import graph_steps
    from hannah_hw.workload import WorkloadProgram

    space = SearchSpace(n())
    steps, position = graph_steps(space.order, {node.id: True for node in space.order})
    for bits, expected in ((8, [192, 256]), (4, [96, 128]), (32, [768, 1024])):
        table = WorkloadProgram(steps, [position[space.outputs[0].id]], bits=bits).run({}, 1)
        assert table.buffers.bytes.tolist() == [expected]
        assert set(np.unique(table.kernels["weight_bits"])) == {bits}


def test_what_a_constant_switch_never_takes_is_no_part_of_the_space():
    """An option that no candidate has is no kernel slot and no buffer, and nothing reads from it."""

    @search_space
    def n():
        x = data(3, 8, 8)
        relu = Relu()(x)
        return conv(ChoiceOp(relu, Identity(), batch_norm, switch=1)(x), 4)

    space = SearchSpace(n())
    table = space.workload(space.sample_population(1))
    assert table.kernels.names == ("n_0.Conv2d_0",)
    assert table.buffers.names == ("n_0.input", "n_0.Conv2d_0")
    assert fused(space.candidate({}).workload()) == [("Conv2d_0", "conv", "none", 0)]

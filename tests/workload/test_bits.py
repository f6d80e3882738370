"""Bit widths in the Workload: which kernel writes how many, worked out by hand, and for whole populations."""

from functools import partial

import numpy as np
import pytest

from hannah_hw import (
    CategoricalParameter,
    ChoiceOp,
    IntScalarParameter,
    SearchSpace,
    Tensor,
    dynamic_depth,
    load_space,
    search_space,
    to_onnx,
)
from hannah_hw.blocks import batch_norm, conv2d, linear, quantize
from hannah_hw.cost import price
from hannah_hw.graph.activity import graph_steps
from hannah_hw.lowering import read_onnx
from hannah_hw.operators import (
    AdaptiveAvgPooling,
    Add,
    Flatten,
    Identity,
    MatMul,
    MaxPooling,
    Relu,
    Requantize,
)
from hannah_hw.targets import OperatorRule, load_target
from hannah_hw.workload import WorkloadProgram
from tests.blocks import buffers_of, data, kernels_of


def of(build, *shape):
    """The Workload of a graph that a function makes of an image."""

    @search_space
    def n():
        return build(data(*(shape or (3, 8, 8))))

    return SearchSpace(n()).candidate({}).workload()


def bits(table):
    """(name, kind, bits of weights, input and output) of each kernel."""
    columns = ("weight_bits", "activation_bits", "output_bits")
    return [(r["name"].removeprefix("n_0."), r["kind"], *(r[c] for c in columns)) for r in kernels_of(table)]


def sizes(table):
    return {name.removeprefix("n_0."): facts[1] for name, facts in buffers_of(table).items()}


def test_three_layers_of_mixed_precision():
    def build(x):
        x = quantize(Relu()(batch_norm(conv2d(x, 5, 3, weight_bits=4))), 6, signed=False)
        x = quantize(conv2d(x, 7, 1, weight_bits=2), 3)
        return linear(AdaptiveAvgPooling(1)(x), 10)

    table = of(build)
    assert bits(table) == [
        ("Conv2d_0", "conv", 4, 8, 6),
        ("Conv2d_1", "conv", 2, 6, 3),
        ("AdaptiveAvgPooling_0", "avg_pool", 8, 3, 8),
        ("Linear_0", "linear", 8, 8, 8),
    ]
    # 5 x 64 values of 6 bits, 7 x 64 of 3 bits.
    assert sizes(table) == {
        "input": 192,
        "Conv2d_0": 240,
        "Conv2d_1": 168,
        "AdaptiveAvgPooling_0": 7,
        "Linear_0": 10,
    }
    # 5 x 3 x 9 of 4 bits, 7 x 5 of 2 bits (70 bits), 7 x 10 of 8 bits.
    assert table.weight_bytes.tolist() == [[68, 9, 0, 70]]
    assert table.macs.tolist() == [135 * 64 + 35 * 64 + 70]
    assert table.bops.tolist() == [135 * 64 * 4 * 8 + 35 * 64 * 2 * 6 + 70 * 8 * 8]


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        # A value that is read twice is written as it is, and quantised by a kernel.
        (
            lambda x: Add()(c := conv2d(x, 3, 3), quantize(c, 4)),
            [("Conv2d_0", "conv", 8, 8, 8), ("Quantize_0", "quantize", 8, 8, 4), ("Add_0", "add", 8, 8, 8)],
        ),
        (lambda x: quantize(x, 4), [("Quantize_0", "quantize", 8, 8, 4)]),
        # Nothing folds behind a quantisation.
        (
            lambda x: quantize(quantize(conv2d(x, 3), 6), 4),
            [("Conv2d_0", "conv", 8, 8, 6), ("Quantize_1", "quantize", 8, 6, 4)],
        ),
        (
            lambda x: Relu()(quantize(conv2d(x, 3), 6)),
            [("Conv2d_0", "conv", 8, 8, 6), ("Relu_0", "activation", 8, 6, 8)],
        ),
        (
            lambda x: batch_norm(quantize(conv2d(x, 3), 6)),
            [("Conv2d_0", "conv", 8, 8, 6), ("BatchNorm_0", "batch_norm", 8, 6, 8)],
        ),
        # It folds through a view, and into whatever writes.
        (
            lambda x: linear(quantize(Flatten()(Relu()(conv2d(x, 3))), 6), 4),
            [("Conv2d_0", "conv", 8, 8, 6), ("Linear_0", "linear", 8, 6, 8)],
        ),
        (
            lambda x: Requantize(4)(MaxPooling(2)(quantize(conv2d(x, 3), 4)), Tensor("running_max", (1,))),
            [("Conv2d_0", "conv", 8, 8, 4), ("MaxPooling_0", "max_pool", 8, 4, 4)],
        ),
        (
            lambda x: quantize(Relu()(x), 4),
            [("Relu_0", "activation", 8, 8, 4)],
        ),
        # 32 bits are floating point, in a network that is not.
        (
            lambda x: conv2d(quantize(conv2d(x, 3, weight_bits=32), 32), 4),
            [("Conv2d_0", "conv", 32, 8, 32), ("Conv2d_1", "conv", 8, 32, 8)],
        ),
    ],
)
def test_where_a_quantisation_goes(build, expected):
    assert bits(of(build)) == expected


def test_the_second_operand_of_a_product_is_its_weight():
    table = of(lambda x: MatMul()(quantize(Relu()(x), 6), quantize(Identity()(x), 3)), 2, 4, 4)
    assert bits(table)[-1] == ("MatMul_0", "matmul", 3, 6, 8)
    assert table.bops.tolist() == [2 * 4 * 4 * 4 * 3 * 6]


def test_a_floating_point_network_keeps_the_bits_that_are_given():
    space = SearchSpace(linear(quantize(conv2d(data(3, 4, 4), 5, weight_bits=4), 2), 3))
    steps, position = graph_steps(space.order, {node.id: True for node in space.order})
    table = WorkloadProgram(steps, [position[space.outputs[0].id]], bits=32).run({}, 1)
    assert bits(table) == [("Conv2d_0", "conv", 4, 32, 2), ("Linear_0", "linear", 32, 2, 32)]
    assert sizes(table) == {"input": 48 * 4, "Conv2d_0": 80 * 2 // 8, "Linear_0": 12}


@search_space
def mixed():
    """Widths as parameters, through choices, depths, shared values and views."""
    width = CategoricalParameter([2, 4, 8, 32], name="width", default=8)
    other = IntScalarParameter(3, 9, name="other")

    def kept(x):
        return quantize(x, other, signed=False)

    x = Relu()(batch_norm(conv2d(data(2, 6, 6), 4, 3, weight_bits=width)))
    x = ChoiceOp(Identity(), kept, partial(quantize, bits=width))(x)
    exits = [x]
    for _ in range(2):
        y = conv2d(x, 4, IntScalarParameter(1, 3, 2), weight_bits=IntScalarParameter(1, 8))
        y = ChoiceOp(batch_norm, partial(quantize, bits=width), Relu())(y)
        z = ChoiceOp(Identity(), kept, MaxPooling(1))(x)
        x = ChoiceOp(lambda a, b: quantize(Add()(a, b), other), lambda a, b: Add()(b, a), lambda a, _: a)(
            y, z
        )
        exits.append(x)
    x = dynamic_depth(*exits)
    x = ChoiceOp(Identity(), lambda v: quantize(Flatten()(v), width))(Flatten()(x))
    return linear(x, 3, weight_bits=other)


def test_populations_candidates_and_files_agree():
    space = SearchSpace(mixed())
    X = space.sample_population(200, seed=0)
    together = space.workload(X)
    assert together.exists.all()
    seen = set()
    for index, row in enumerate(X):
        candidate = space.candidate(space.encoding.assignment(row))
        file = read_onnx(to_onnx(candidate))
        assert file.foreign == {}
        of_file = file.deployed()
        assert kernels_of(of_file) == list(together.rows(index)) == kernels_of(candidate.workload())
        assert (
            buffers_of(of_file) == buffers_of(together.candidate(index)) == buffers_of(candidate.workload())
        )
        assert of_file.bops[0] == together.bops[index] == candidate.workload().bops[0]
        seen |= {(r["kind"], r["activation_bits"] == 8, r["output_bits"] == 8) for r in together.rows(index)}
    assert {("conv", a, b) for a in (True, False) for b in (True, False)} <= seen
    assert {("quantize", True, False), ("quantize", False, False)} <= seen


def test_a_space_without_bits_computes_none():
    kernels = load_space("ds_cnn").workload(load_space("ds_cnn").sample_population(3)).kernels
    assert all(kernels.always(name, 8) for name in ("weight_bits", "activation_bits", "output_bits"))
    assert not kernels.always("groups", 1)
    assert not kernels.always("out_channels", 8)


def rules_without_bits(target):
    """A target that forgets to say which widths it has."""
    ops = tuple(
        OperatorRule.model_validate(
            {**rule.model_dump(), "when": [text for text in rule.when if "bits" not in text]}
        )
        for rule in target.ops
    )
    return target.model_copy(update={"model": target.model.model_copy(update={"ops": ops})})


@pytest.mark.parametrize("forgets", [False, True])
def test_targets_name_the_kernel_and_the_width_that_they_cannot_run(forgets):
    def build(x):
        first = IntScalarParameter(4, 8, 4, name="first", default=8)
        second = IntScalarParameter(4, 8, 4, name="second", default=8)
        third = IntScalarParameter(4, 8, 4, name="third", default=8)
        x = quantize(Relu()(conv2d(x, 4, 3, weight_bits=first)), second, signed=False)
        return linear(conv2d(x, 4), 5, weight_bits=third)

    target = load_target("stm32l4r5zi")
    target = rules_without_bits(target) if forgets else target
    space = SearchSpace(build(data(3, 8, 8)))
    names = {name.rpartition(".")[2]: name for name in space.parameters}
    cases = {
        "first": [("Conv2d_0", "weight_bits == 8")],
        "second": [("Conv2d_0", "output_bits == 8"), ("Conv2d_1", "activation_bits == 8")],
        "third": [("Linear_0", "weight_bits == 8")],
    }
    X = space.encoding.encode([{}, *({names[short]: 4} for short in cases)])
    costs = price(space.workload(X), target)
    assert costs.supported.tolist() == [True, False, False, False]
    assert np.isfinite(costs.latency_s[0])
    assert np.isnan(costs.ram_bytes[1:]).all()
    for index, expected in enumerate(cases.values(), start=1):
        report = costs.report(index)
        assert [row.kernel for row in report.unsupported] == [name for name, _ in expected]
        assert all(rule in row.rule for row, (_, rule) in zip(report.unsupported, expected, strict=True))
        assert report.latency_s is None
    assert [row.bits for row in costs.report(2).kernels] == ["8 / 8 / 4", "8 / 4 / 8", ""]
    # A width that the network has anyway costs what no width costs.
    plain = price(of(lambda x: linear(conv2d(Relu()(conv2d(x, 4, 3)), 4), 5)), target)
    assert costs.latency_s[0] == plain.latency_s[0]
    assert costs.flash_bytes[0] == plain.flash_bytes[0]

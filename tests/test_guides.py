"""Every construct of the public documents that the language comes from, by document and heading.

The graph language: HANNAH's search-space guide and its introduction notebook, with the ids, keys, listings and
shapes that they print. The declarative form: Vega's fine-grained search-space guide, with its YAML documents.
"""

import re
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from hannah_hw import (
    CategoricalParameter,
    ChoiceOp,
    FloatScalarParameter,
    IntScalarParameter,
    Op,
    Tensor,
    dynamic_depth,
    get_nodes,
    lazy,
    load_space,
    scope,
    search_space,
)
from hannah_hw.executors import BasicExecutor
from hannah_hw.expressions import Ceil, Int
from hannah_hw.operators import AdaptiveAvgPooling, Add, AvgPooling, BatchNorm, Conv2d, Identity, Linear, Relu
from hannah_hw.operators.shapes import conv_shape
from hannah_hw.spaces.declarative.problems import SpaceWarning

NCHW = ("N", "C", "H", "W")
OIHW = ("O", "I", "kH", "kW")


def image():
    return Tensor(name="input", shape=(1, 3, 32, 32), axis=NCHW)


def plain_conv_relu(input, kernel_size, out_channels, stride):
    shape = (out_channels, input.shape()[1], kernel_size, kernel_size)
    weight = Tensor(name="weight", shape=shape, axis=OIHW, grad=True)
    return Relu()(Conv2d(stride=stride)(input, weight))


def plain_block(input, layer=plain_conv_relu):
    kernel_size = CategoricalParameter(name="kernel_size", choices=[1, 3, 5])
    stride = CategoricalParameter(name="stride", choices=[1, 2])
    out_channels = IntScalarParameter(name="out_channels", min=8, max=64)
    for _ in range(3):
        input = layer(
            input, kernel_size=kernel_size.new(), out_channels=out_channels.new(), stride=stride.new()
        )
    return input


@scope
def conv_relu(input, kernel_size, out_channels, stride):
    return plain_conv_relu(input, kernel_size, out_channels, stride)


@scope
def block(input):
    return plain_block(input, conv_relu)


@scope
def choice_block(input):
    kernel_size = CategoricalParameter([1, 3, 5], name="kernel_size")
    out_channels = IntScalarParameter(min=4, max=64, name="out_channels")
    stride = CategoricalParameter([1, 2], name="stride")
    optional_conv = partial(
        conv_relu, out_channels=out_channels.new(), stride=stride.new(), kernel_size=kernel_size.new()
    )
    return ChoiceOp(Identity(), optional_conv)(input)


def strings(nodes):
    return [str(node) for node in nodes]


def two_convs():
    conv_0 = Conv2d(stride=CategoricalParameter(name="stride", choices=[1, 2]))(
        image(),
        Tensor("weight", (IntScalarParameter(min=8, max=64, name="out_channels"), 3, 1, 1), axis=OIHW),
    )
    relu_0 = Relu()(conv_0)
    weight_1 = Tensor(
        "weight",
        (IntScalarParameter(min=32, max=64, name="out_channels"), conv_0.shape()[1], 3, 3),
        axis=OIHW,
    )
    conv_1 = Conv2d(stride=CategoricalParameter(name="stride", choices=[1, 2]))(relu_0, weight_1)
    return Relu()(conv_1)


def conv2d(input, out_channels, kernel_size=1, stride=1, dilation=1, groups=1, padding=None):
    weight = Tensor(
        "weight", (out_channels, input.shape()[1], kernel_size, kernel_size), axis=OIHW, grad=True
    )
    return Conv2d(stride=stride, dilation=dilation, groups=groups, padding=padding)(input, weight)


def linear(input, out_features):
    _, channels, height, width = input.shape()
    weight = Tensor(
        "weight", (channels * height * width, out_features), axis=("in_features", "out_features"), grad=True
    )
    return Linear()(input, weight)


def batch_norm(input):
    channels = input.shape()[1]
    return BatchNorm()(
        input,
        Tensor(name="running_mean", shape=(channels,), axis=("c",)),
        Tensor(name="running_std", shape=(channels,), axis=("c",)),
    )


class TestSearchSpaceGuide:
    class TestOpsAndTensors:
        def test_an_operator_shows_its_id(self):
            graph = Conv2d(stride=2, dilation=1)(image(), Tensor("weight", (32, 3, 1, 1), axis=OIHW))
            assert repr(graph) == "Conv2d(Conv2d_0)"
            assert lazy(graph.shape()) == (1, 32, 16, 16)

    class TestParametrizationAndExpressions:
        def test_parameters_are_found_by_id(self):
            weight = Tensor(
                "weight", (IntScalarParameter(min=8, max=64, name="out_channels"), 3, 1, 1), axis=OIHW
            )
            graph = Conv2d(stride=CategoricalParameter(name="stride", choices=[1, 2]))(image(), weight)
            found = graph.parametrization(flatten=True)
            # The document prints the key None for the stride, a defect of its time.
            assert list(found) == ["Conv2d_0.weight.out_channels", "Conv2d_0.stride"]
            assert repr(found["Conv2d_0.weight.out_channels"]) == (
                "IntScalarParameter(rng = Generator(PCG64), name = out_channels, id = Conv2d_0.weight.out_channels, "
                "min = 8, max = 64, step_size = 1, current_value = 8)"
            )
            assert repr(found["Conv2d_0.stride"]) == (
                "CategoricalParameter(rng = Generator(PCG64), name = stride, id = Conv2d_0.stride, choices = [1, 2], "
                "current_value = 1)"
            )
            nested = graph.parametrization()
            assert {node: list(own) for node, own in nested.items()} == {
                "Conv2d_0.weight": ["Conv2d_0.weight.out_channels"],
                "Conv2d_0": ["Conv2d_0.stride"],
            }

        def test_shapes_are_expressions_and_lazy_evaluates_them(self):
            input = image()
            width = IntScalarParameter(min=8, max=64, name="out_channels")
            weight = Tensor("weight", (width, 3, 1, 1), axis=OIHW)
            conv = Conv2d(stride=CategoricalParameter(name="stride", choices=[1, 2]))(input, weight)
            assert input.shape() == (1, 3, 32, 32)
            assert weight.shape()[0] is conv.shape()[1] is width
            assert [lazy(i) for i in input.shape()] == [1, 3, 32, 32]
            assert [lazy(i) for i in weight.shape()] == [8, 3, 1, 1]
            assert [lazy(i) for i in conv.shape()] == [1, 8, 32, 32]
            at_stride_2 = {"Conv2d_0.stride": 2}
            assert [lazy(i, at_stride_2) for i in conv.shape()] == [1, 8, 16, 16]

    class TestGraphsAndHierarchy:
        def test_chained_convolutions(self):
            net = two_convs()
            assert set(net.parametrization(flatten=True)) == {
                f"Conv2d_{i}.{name}" for i in (0, 1) for name in ("stride", "weight.out_channels")
            }
            assert strings(net.operands) == ["Conv2d(Conv2d_1)"]
            assert strings(net.operands[0].users) == ["Relu(Relu_1)"]
            listing = [(str(node), strings(node.operands)) for node in get_nodes(net)]
            assert listing == [
                ("Relu(Relu_1)", ["Conv2d(Conv2d_1)"]),
                ("Conv2d(Conv2d_1)", ["Relu(Relu_0)", "Tensor(Conv2d_1.weight)"]),
                ("Tensor(Conv2d_1.weight)", []),
                ("Relu(Relu_0)", ["Conv2d(Conv2d_0)"]),
                ("Conv2d(Conv2d_0)", ["Tensor(input)", "Tensor(Conv2d_0.weight)"]),
                ("Tensor(Conv2d_0.weight)", []),
                ("Tensor(input)", []),
            ]

    class TestBlocks:
        def test_shared_and_new_parameters(self):
            def build(share):
                made = [
                    CategoricalParameter(name="kernel_size", choices=[1, 3, 5]),
                    IntScalarParameter(name="out_channels", min=8, max=64),
                    CategoricalParameter(name="stride", choices=[1, 2]),
                ]
                net = image()
                for _ in range(2):
                    net = plain_conv_relu(net, *(p if share else p.new() for p in made))
                return net

            listing = [
                *["Relu(Relu_1)", "Conv2d(Conv2d_1)", "Tensor(Conv2d_1.weight)"],
                *["Relu(Relu_0)", "Conv2d(Conv2d_0)", "Tensor(Conv2d_0.weight)", "Tensor(input)"],
            ]
            assert strings(get_nodes(build(share=True))) == listing
            names = ["weight.kernel_size", "weight.out_channels", "stride"]
            assert set(build(share=True).parametrization(flatten=True)) == {f"Conv2d_0.{n}" for n in names}
            assert set(build(share=False).parametrization(flatten=True)) == {
                f"Conv2d_{i}.{n}" for i in (0, 1) for n in names
            }

        def test_nested_blocks_without_scopes(self):
            net = plain_block(plain_block(image()))
            expected = []
            for i in range(5, -1, -1):
                expected += [f"Relu(Relu_{i})", f"Conv2d(Conv2d_{i})", f"Tensor(Conv2d_{i}.weight)"]
            assert strings(get_nodes(net)) == [*expected, "Tensor(input)"]

    class TestScopes:
        def test_scopes_prefix_ids(self):
            net = block(block(image()))
            expected = []
            for b in (1, 0):
                for c in (2, 1, 0):
                    prefix = f"block_{b}.conv_relu_{c}."
                    expected += [
                        f"Relu({prefix}Relu_0)",
                        f"Conv2d({prefix}Conv2d_0)",
                        f"Tensor({prefix}Conv2d_0.weight)",
                    ]
            assert strings(get_nodes(net)) == [*expected, "Tensor(input)"]

    class TestChoiceOps:
        def test_choice_of_identity_and_block(self):
            kernel_size = CategoricalParameter(name="kernel_size", choices=[1, 3, 5])
            stride = CategoricalParameter(name="stride", choices=[1, 2])
            out_channels = IntScalarParameter(name="out_channels", min=8, max=64)
            conv = conv_relu(
                image(), out_channels=out_channels.new(), stride=stride.new(), kernel_size=kernel_size.new()
            )
            net = choice_block(conv)
            found = net.parametrization(flatten=True)
            # The block inside counts on from the conv_relu_0 that it is attached to.
            assert set(found) == {
                "choice_block_0.ChoiceOp_0.choice",
                "choice_block_0.conv_relu_1.Conv2d_0.stride",
                "choice_block_0.conv_relu_1.Conv2d_0.weight.kernel_size",
                "choice_block_0.conv_relu_1.Conv2d_0.weight.out_channels",
                "conv_relu_0.Conv2d_0.stride",
                "conv_relu_0.Conv2d_0.weight.kernel_size",
                "conv_relu_0.Conv2d_0.weight.out_channels",
            }
            assert repr(found["choice_block_0.ChoiceOp_0.choice"]) == (
                "IntScalarParameter(rng = Generator(PCG64), name = choice, id = choice_block_0.ChoiceOp_0.choice, "
                "min = 0, max = 1, step_size = 1, current_value = 0)"
            )
            inner = found["choice_block_0.conv_relu_1.Conv2d_0.weight.out_channels"]
            assert (inner.min, inner.max) == (4, 64)
            chosen = {"choice_block_0.ChoiceOp_0.choice": 1, inner.id: 48}
            assert lazy(net.shape()) == (1, 8, 32, 32)
            assert lazy(net.shape(), chosen) == (1, 48, 32, 32)
            assert BasicExecutor(net, chosen)(torch.randn(2, 3, 32, 32)).shape == (2, 48, 32, 32)

        def test_dynamic_depth_ends_at_an_exit(self):
            exits = [block(image())]
            for _ in range(2):
                exits.append(block(exits[-1]))
            net = dynamic_depth(*exits, switch=IntScalarParameter(0, 2, name="depth"))
            assert str(net) == "ChoiceOp(ChoiceOp_0)"
            assert "ChoiceOp_0.depth" in net.parametrization(flatten=True)
            for depth, exit in enumerate(exits):
                module = BasicExecutor(net, {"ChoiceOp_0.depth": depth})
                assert module.plan.outputs == (exit.id,)
                assert len(module.plan.weights) == 3 * (depth + 1)

        @pytest.mark.parametrize("options", [1, 3])
        def test_a_choice_lists_its_options_as_operands(self, options):
            net = ChoiceOp(*(Relu() for _ in range(options)))(image())
            assert strings(net.operands) == [f"Relu(Relu_{i})" for i in range(options)]
            assert net.parametrization(flatten=True)["ChoiceOp_0.choice"].max == options - 1

    class TestCustomOps:
        def test_custom_operators(self):
            class Scale(Op):
                """Multiplies by a parameter, and repeats channels as often as the second operand has rows."""

                def __init__(self, factor):
                    super().__init__()
                    self.factor = factor

                def __call__(self, *operands):
                    result = super().__call__(*operands)
                    result.repeats = operands[1].shape()[0]
                    return result

                def _forward_implementation(self, *args):
                    return (args[0] * self.factor).repeat(1, self.repeats, 1, 1)

                def shape_fun(self):
                    batch, channels, *sizes = self.operands[0].shape()
                    return (batch, channels * self.repeats, *sizes)

            rows = IntScalarParameter(1, 4, name="rows")
            net = Scale(IntScalarParameter(2, 5, name="factor"))(
                image(), Tensor("table", (rows, 1), grad=True)
            )
            assert set(net.parametrization(flatten=True)) == {"Scale_0.factor", "Scale_0.table.rows"}
            assert lazy(net.shape(), {"Scale_0.table.rows": 3}) == (1, 9, 32, 32)
            module = BasicExecutor(net, {"Scale_0.table.rows": 3, "Scale_0.factor": 4})
            x = torch.randn(2, 3, 32, 32)
            torch.testing.assert_close(module(x), torch.cat([4 * x] * 3, dim=1))

    class TestExecutor:
        def test_the_executor_is_an_ordinary_module(self):
            net = block(block(image()))
            model = BasicExecutor(net)
            model.initialize()
            x = torch.randn(image().shape())
            y = model.forward(x)
            assert y.shape == (1, 8, 32, 32)
            assert y.grad_fn is not None
            assert y.min() >= 0
            assert y.max() > 0


class TestIntroductionNotebook:
    class TestSearchSpaces:
        def test_search_space_prefixes_ids(self):
            @search_space
            def search_space_graph():
                weight = Tensor("weight", (16, 3, 5, 5), axis=OIHW, grad=True)
                return Conv2d(stride=1, dilation=1, groups=1, padding=0)(image(), weight)

            for _ in range(2):
                graph = search_space_graph()
                assert repr(graph) == "Conv2d(search_space_graph_0.Conv2d_0)"
                assert repr(graph.operands) == (
                    "[Tensor(search_space_graph_0.input), Tensor(search_space_graph_0.Conv2d_0.weight)]"
                )
                assert graph.shape() == (1, 16, 28, 28)

        def test_functions_inside_a_search_space(self):
            @search_space
            def search_space_graph_v2():
                return conv2d(image(), out_channels=16, kernel_size=5, stride=1)

            graph = search_space_graph_v2()
            assert repr(graph) == "Conv2d(search_space_graph_v2_0.Conv2d_0)"
            assert strings(graph.operands) == [
                "Tensor(search_space_graph_v2_0.input)",
                "Tensor(search_space_graph_v2_0.Conv2d_0.weight)",
            ]
            assert graph.shape() == (1, 16, 32, 32)

        @pytest.mark.parametrize(
            ("function", "operator", "shape"),
            [
                (conv2d, "Conv2d", (1, 16, 32, 32)),
                (linear, "Linear", (1, 16)),
                (lambda x, _: Add()(x, x), "Add", (1, 3, 32, 32)),
                (lambda x, _: Identity()(x), "Identity", (1, 3, 32, 32)),
                (lambda x, _: AdaptiveAvgPooling()(x), "AdaptiveAvgPooling", (1, 3, 1, 1)),
                (lambda x, _: batch_norm(x), "BatchNorm", (1, 3, 32, 32)),
                (lambda x, _: Relu()(x), "Relu", (1, 3, 32, 32)),
                (lambda x, _: AvgPooling(2, stride=2)(x), "AvgPooling", (1, 3, 16, 16)),
            ],
        )
        def test_functions_that_wrap_an_operator(self, function, operator, shape):
            @search_space
            def space():
                return function(image(), 16)

            net = space()
            assert repr(net) == f"{operator}(space_0.{operator}_0)"
            assert lazy(net.shape()) == shape
            assert BasicExecutor(net).eval()(torch.randn(1, 3, 32, 32)).shape == shape

        def test_a_conv_shape_without_a_node(self):
            stride = CategoricalParameter([1, 2], name="stride")
            stride.id = "stride"
            shape = conv_shape((1, 3, 32, 32), (16, 3, 5, 5), stride=stride, padding=0)
            assert [lazy(shape, {"stride": s}) for s in (1, 2)] == [(1, 16, 28, 28), (1, 16, 14, 14)]

        def test_parameters_of_all_kinds(self):
            parameters = [
                CategoricalParameter([1, 2, 4], name="choice"),
                IntScalarParameter(8, 64, step_size=8, name="width"),
                FloatScalarParameter(0.25, 1.0, name="ratio"),
            ]
            values = [p.sample(np.random.default_rng(0)) for p in parameters]
            assert values[0] in (1, 2, 4)
            assert values[1] in range(8, 65, 8)
            assert 0.25 <= values[2] <= 1.0

        def test_every_operator_of_the_document_in_one_residual_network(self):
            @scope
            def conv_bn_relu(input, out_channels, kernel_size, stride):
                out = conv2d(input, out_channels=out_channels, stride=stride, kernel_size=kernel_size)
                return Relu()(batch_norm(out))

            @scope
            def residual(input, main):
                ratio = Int(Ceil(input.shape()[2] / main.shape()[2]))
                skip = conv2d(input, out_channels=main.shape()[1], stride=ratio)
                return Add()(Relu()(batch_norm(skip)), main)

            @search_space
            def space():
                out_channels = IntScalarParameter(16, 64, step_size=4, name="out_channels")
                stride = IntScalarParameter(1, 2, name="stride")
                net = image()
                for _ in range(2):
                    main = conv_bn_relu(net, out_channels.new(), 3, stride.new())
                    net = residual(net, main)
                net = Identity()(AvgPooling(2, stride=2)(net))
                return linear(AdaptiveAvgPooling()(net), 10)

            net = space()
            prefixes = [f"space_0.conv_bn_relu_{i}.Conv2d_0" for i in (0, 1)]
            keys = {f"{p}.{n}" for p in prefixes for n in ("stride", "weight.out_channels")}
            assert set(net.parametrization(flatten=True)) == keys
            assert lazy(net.shape()) == (1, 10)
            for strides in ((1, 1), (2, 1), (1, 2), (2, 2)):
                assignment = {f"{p}.stride": s for p, s in zip(prefixes, strides, strict=True)}
                module = BasicExecutor(net, assignment)
                assert module(torch.randn(2, 3, 32, 32)).shape == (2, 10)
            assert {"space_0.residual_1.BatchNorm_0", "space_0.AvgPooling_0", "space_0.Linear_0"} <= {
                node.id for node in get_nodes(net)
            }

    class TestScopes:
        def test_scopes_count_in_the_enclosing_scope(self):
            @scope
            def inner(x):
                return Relu()(x)

            @scope
            def outer(x):
                return inner(inner(x))

            @search_space
            def net():
                return Relu()(inner(outer(outer(image()))))

            ids = [node.id for node in get_nodes(net())]
            assert ids == [
                "net_0.Relu_0",
                "net_0.inner_0.Relu_0",
                *[f"net_0.outer_{o}.inner_{i}.Relu_0" for o in (1, 0) for i in (1, 0)],
                "net_0.input",
            ]


VEGA = Path(__file__).parent / "fixtures" / "vega"


def vega(name, **options):
    return load_space(str(VEGA / f"{name}.yaml"), **options)


def widths(candidate, kernel=3):
    """Output channels of the square convolutions of one kernel size, in the order of the network."""
    rows = candidate.workload().rows()
    return [r["out_channels"] for r in rows if r["kind"] == "conv" and r["kernel_h"] == kernel]


class TestFineGrainedSearchSpaceGuide:
    """The nine YAML documents; parameters and MACs were counted by an independent implementation of the networks."""

    class TestCoarseAndFineGrainedNetworkDefinition:
        def test_resnet_coarse_granularity(self):
            space = vega("coarse_resnet18")
            candidate = space.candidate({})
            assert (candidate.parameters, candidate.macs) == (11_181_642, 37_016_576)
            large = vega("coarse_resnet18", input_shape=(3, 224, 224)).candidate({})
            assert (large.parameters, large.macs) == (11_181_642, 1_813_566_464)

        def test_resnet_fine_grained(self):
            candidate = vega("fine_resnet50").candidate({})
            assert (candidate.parameters, candidate.macs) == (23_528_522, 83_431_424)
            assert candidate.plan.steps[-1].shape == (1, 10)

    class TestSearchableHyperparametersAndNetworkStructures:
        def test_positions_of_doubled_channels_and_halved_sizes(self):
            space = vega("searched_resnet18")
            assert set(space.parameters) == {
                f"resnet18.{name}.{i}" for name in ("doublechannel", "downsample") for i in range(8)
            }
            candidate = space.candidate({})
            assert (candidate.parameters, candidate.macs) == (11_173_962, 555_422_720)
            values = space.default()
            assert [values[f"resnet18.doublechannel.{i}"] for i in range(8)] == [0, 0, 1, 0, 1, 0, 1, 0]
            # Every candidate doubles and halves three times, somewhere.
            for row in space.sample_population(30, seed=0):
                found = space.candidate_of(row)
                codes = [
                    [found.assignment[f"resnet18.{c}.{i}"] for i in range(8)]
                    for c in ("doublechannel", "downsample")
                ]
                assert [sum(code) for code in codes] == [3, 3]
                expected = list(np.repeat(64 * 2 ** np.cumsum(codes[0]), 2))
                assert widths(found) == [64, *expected]
                assert found.plan.steps[-3].shape[1] == 512

    class TestDifferentSearchSpacesForTheSameAlgorithm:
        @pytest.mark.parametrize(
            ("name", "parameters", "macs", "used"),
            [("quant_resnet20", 274_394, 3_125_888, 20), ("quant_resnet18", 11_181_642, 37_016_576, 19)],
        )
        def test_quantization(self, name, parameters, macs, used):
            # resnet18 has 19 quantisable convolutions, the document 20 widths.
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                space = vega(name)
            unused = [str(w.message) for w in caught if "W_BITS_UNUSED" in str(w.message)]
            assert len(unused) == len(caught) == 2 * (20 - used)  # of the weights and of the data
            candidate = space.candidate({})
            assert (candidate.parameters, candidate.macs) == (parameters, macs)
            weights = [8, 4, 8, 4, 4, 8, 8, 8, 8, 4, 4, 8, 4, 4, 4, 4, 8, 4, 8, 8][:used]
            data = [8, 4, 4, 8, 8, 4, 8, 8, 8, 8, 4, 8, 8, 4, 8, 4, 8, 4, 8, 8][:used]
            rows = [r for r in candidate.workload().rows() if r["kind"] == "conv"][1:]
            assert sorted((r["weight_bits"], r["activation_bits"]) for r in rows) == sorted(
                zip(weights, data, strict=True)
            )
            stem = next(candidate.workload().rows())
            assert (stem["weight_bits"], stem["activation_bits"]) == (8, 8)

    class TestReuseOfSearchSpacesBetweenAlgorithms:
        def test_quant(self):
            once, again = vega("quant_resnet20"), vega("reused_quant_resnet20")
            kernels = [
                [{**row, "name": ""} for row in space.candidate({}).workload().rows()]
                for space in (once, again)
            ]
            assert kernels[0] == kernels[1]

        def test_prune(self):
            candidate = vega("prune_resnet20").candidate({})
            assert (candidate.parameters, candidate.macs) == (243_651, 2_845_488)
            assert widths(candidate) == [
                *[14, 15, 16, 15, 16, 15],
                *[29, 29, 30, 29, 30, 29],
                *[62, 60, 60, 60, 62, 60],
            ]

    class TestDefiningAFineGrainedSpace:
        def test_a_layer_of_ones_own(self, tmp_path):
            (tmp_path / "layers.py").write_text(
                "from hannah_hw.spaces.declarative.registry import Positive, Ref, Value, Values\n\n"
                "def variant(x, *, block: Ref, doublechannel: Values[int], downsample: Values[int]):\n"
                "    width = x.shape()[1]\n"
                "    for double, down in zip(doublechannel, downsample, strict=True):\n"
                "        width = width * (1 + double)\n"
                "        x = block(x, outchannel=width, stride=1 + down)\n"
                "    return x\n"
            )
            document = (VEGA / "variant_layer.yaml").read_text()
            for line in re.findall(r"^ +(?:in_plane|out_plane|expansion):.*\n", document, re.MULTILINE):
                document = document.replace(line, "")
            (tmp_path / "own.yaml").write_text(document.replace("VariantLayer", '"layers.py:variant"'))
            own = load_space(str(tmp_path / "own.yaml"), allow_code=True).candidate({})
            given = vega("variant_layer").candidate({})
            assert (own.parameters, own.macs) == (given.parameters, given.macs) == (7_579_114, 96_310_272)

    class TestUsingAConfigurationFileToFormAModel:
        def test_init_layer_and_head(self):
            space = vega("variant_layer")
            module = BasicExecutor(space)
            assert module(torch.randn(2, 3, 32, 32)).shape == (2, 10)
            assert widths(space.candidate({})) == [
                32,
                *np.repeat([32, 64, 128, 128, 256, 256, 256, 512], 2),
            ]

    class TestDefineTheSearchAlgorithm:
        def test_positions_are_searched_by_evolution(self):
            with pytest.warns(SpaceWarning, match="BackboneNas"):
                space = vega("searched_variant_layer")
            assert space.document.search_algorithm == {"type": "BackboneNas"}
            X = space.sample_population(200, seed=0)
            assert len(np.unique(X, axis=0)) > 150
            counts = space.parameter_counts(X)
            # Four doublings of 32 wherever they are: the head is the same, the layers differ.
            assert len(set(counts.tolist())) > 50
            assert (space.mac_counts(X) > 0).all()

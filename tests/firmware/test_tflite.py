"""TFLite files of integer networks, with LiteRT's interpreter and our integer reference as the truth."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw import SearchSpace, blocks, operators
from hannah_hw.errors import MissingExtraError, UnsupportedError
from hannah_hw.firmware import arithmetic, reference
from hannah_hw.firmware.layers import Layer, Network, Value
from hannah_hw.firmware.network import quantise_input, read_network
from hannah_hw.firmware.tflite import tflite_model, to_tflite
from hannah_hw.firmware.tflite.grids import regridded
from hannah_hw.workload.table import KERNEL_COLUMNS
from tests.blocks import data, randomised
from tests.firmware.models import MODELS, Graph, random_inputs
from tests.firmware.test_network import OPERATORS, quantised

tflite = pytest.importorskip("tflite")
litert = pytest.importorskip("ai_edge_litert.interpreter")

MLPERF_TINY = ("resnet8", "ds_cnn_kws", "mobilenet_v1_025", "fc_autoencoder")
#: Functions that TFLite computes by tables and roundings of its own.
APPROXIMATE = ("sigmoid", "hard sigmoid", "hard swish", "product", "concat of rows")


def interpreted(content, inputs):
    """The outputs of a file with LiteRT's reference kernels, in the order of the graph's outputs."""
    kernels = litert.OpResolverType.BUILTIN_REF
    interpreter = litert.Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array.reshape(detail["shape"]))
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def interpreted_values(content, inputs):
    """The value of every tensor of a file, by name."""
    kernels = litert.OpResolverType.BUILTIN_REF
    interpreter = litert.Interpreter(
        model_content=content, experimental_op_resolver_type=kernels, experimental_preserve_all_tensors=True
    )
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array.reshape(detail["shape"]))
    interpreter.invoke()
    return {
        detail["name"]: interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_tensor_details()
        if detail["name"]
    }


def real(value, steps):
    return value.scale * (steps.astype(np.int64).ravel() - value.zero_point)


def assert_agrees(network, *, steps=1, share=0.3, seeds=3):
    """A file computes what the network computes on the file's grids, but for single steps."""
    content, moved = to_tflite(network), regridded(network)
    for seed in range(seeds):
        inputs = random_inputs(network, seed)
        wanted = reference.run(moved, inputs)
        for ours, theirs in zip(wanted, interpreted(content, inputs), strict=True):
            off = np.abs(ours.astype(int).ravel() - theirs.astype(int).ravel())
            assert off.max() <= steps
            assert (off > 0).sum() <= max(share * off.size, 1)
    return content


def codes(content):
    """Names of the operators of a file, in order."""
    names = {value: name for name, value in vars(tflite.BuiltinOperator).items() if name.isupper()}
    model = tflite.Model.GetRootAs(content)
    graph = model.Subgraphs(0)
    indices = [graph.Operators(place).OpcodeIndex() for place in range(graph.OperatorsLength())]
    return [names[model.OperatorCodes(index).BuiltinCode()] for index in indices]


def tensors(content):
    """Tensor name -> tensor of the schema's own reader."""
    graph = tflite.Model.GetRootAs(content).Subgraphs(0)
    found = [graph.Tensors(place) for place in range(graph.TensorsLength())]
    return {tensor.Name().decode(): tensor for tensor in found}


@pytest.mark.parametrize(
    "name", [n for n in OPERATORS if n not in ("shuffle", "grouped transposed convolution")]
)
def test_every_operator_computes_what_the_network_computes(name, tmp_path):
    candidate = SearchSpace(OPERATORS[name](blocks.conv2d(data(3, 8, 8), 8, 3, bias=True))).candidate({})
    quantised(candidate, tmp_path / "q.onnx", module=randomised(candidate), samples=32)
    network = read_network(tmp_path / "q.onnx")
    assert_agrees(network, steps=2 if name in APPROXIMATE else 1)


@pytest.mark.parametrize("name", [*MODELS, *MLPERF_TINY])
def test_every_layer_of_a_whole_network_computes_what_it_computes_as_firmware(name, networks):
    network = networks(name)
    written = tflite_model(network)
    found = interpreted_values(written.content, random_inputs(network, 3))
    for layer in written.network.layers:
        operands = [found[network.values[index].name] for index in layer.inputs]
        wanted = reference.run_layer(written.network, layer, operands).astype(int).ravel()
        off = np.abs(wanted - found[network.values[layer.output].name].astype(int).ravel())
        assert off.max() <= 1, layer.name
        # Means of few values are ties often.
        limit = 0.5 if layer.kind == "avg_pool" else 0.03
        assert (off > 0).sum() <= max(limit * off.size, 1), layer.name


@pytest.mark.parametrize("name", [*MODELS, *MLPERF_TINY])
def test_every_operator_of_a_file_has_its_layer(name, networks):
    network = networks(name)
    written = tflite_model(network)
    assert written.content == to_tflite(network)
    assert len(written.layers) == len(codes(written.content))
    assert list(dict.fromkeys(written.layers)) == [layer.name for layer in network.layers]


def test_results_are_those_of_onnx_runtime(tmp_path):
    x = data(3, 8, 8)
    x = operators.Add()(*(blocks.conv2d(x, 8, 3, bias=True) for _ in range(2)))
    x = operators.Concat()(operators.Sigmoid()(x), operators.AvgPooling(3, stride=1, padding=1)(x))
    candidate = SearchSpace(blocks.linear(x, 5)).candidate({})
    inputs = quantised(candidate, tmp_path / "q.onnx", module=randomised(candidate), samples=32)
    network = read_network(tmp_path / "q.onnx")
    content = to_tflite(network)
    for array in inputs:
        session = onnxruntime.InferenceSession(tmp_path / "q.onnx")
        wanted = session.run(None, {session.get_inputs()[0].name: array})[0].ravel()
        (steps,) = interpreted(content, quantise_input(network, array))
        value = regridded(network).values[network.outputs[0]]
        # Of 256 steps: a pooling and a sum over a thousand values lie behind coarser grids.
        assert np.abs(real(value, steps) - wanted).max() <= 6 * value.scale


@pytest.mark.parametrize("name", [*MODELS, "resnet8"])
def test_moving_to_the_grids_of_tflite_moves_no_result(name, networks):
    network = networks(name)
    moved = regridded(network)
    for seed in range(2):
        inputs = random_inputs(network, seed)
        pairs = zip(
            network.outputs, reference.run(network, inputs), reference.run(moved, inputs), strict=True
        )
        for index, before, after in pairs:
            step = max(network.values[index].scale, moved.values[index].scale)
            difference = real(network.values[index], before) - real(moved.values[index], after)
            assert np.abs(difference).max() <= 3 * step


def test_a_file_has_one_operator_a_layer_and_converts_nothing(networks):
    assert codes(to_tflite(networks("ds_cnn_kws"))) == [
        "CONV_2D",
        *["DEPTHWISE_CONV_2D", "CONV_2D"] * 4,
        "MEAN",
        "RESHAPE",
        "FULLY_CONNECTED",
        "SOFTMAX",
    ]
    assert codes(to_tflite(networks("fc_autoencoder"))) == ["FULLY_CONNECTED"] * 10


def test_a_file_states_shapes_and_quantisation(networks):
    network = networks("ds_cnn_kws")
    content = to_tflite(network)
    found = tensors(content)
    assert content[4:8] == b"TFL3"
    first, second = network.layers[:2]
    operand, result = network.values[first.inputs[0]], network.values[first.output]
    given = found[operand.name]
    assert given.ShapeAsNumpy().tolist() == [1, 49, 10, 1]
    assert given.Quantization().ScaleAsNumpy().tolist() == [np.float32(operand.scale)]
    assert given.Quantization().ZeroPointAsNumpy().tolist() == [operand.zero_point]
    weights, bias = found[f"{first.name}/weights"], found[f"{first.name}/bias"]
    assert weights.ShapeAsNumpy().tolist() == list(first.weights.shape)
    assert weights.Quantization().QuantizedDimension() == 0
    wanted = first.scales * result.scale / operand.scale
    np.testing.assert_allclose(weights.Quantization().ScaleAsNumpy(), wanted, rtol=1e-6)
    np.testing.assert_allclose(bias.Quantization().ScaleAsNumpy(), wanted * operand.scale, rtol=1e-6)
    depthwise = found[f"{second.name}/weights"]
    assert depthwise.ShapeAsNumpy().tolist() == [1, 3, 3, 64]
    assert depthwise.Quantization().QuantizedDimension() == 3
    model = tflite.Model.GetRootAs(content)
    raw = model.Buffers(weights.Buffer()).DataAsNumpy()
    assert np.array_equal(raw.view(np.int8), first.weights.ravel())
    for tensor in found.values():
        if model.Buffers(tensor.Buffer()).DataLength():
            # Where it lies in the file.
            kept = model.Buffers(tensor.Buffer())._tab
            assert kept.Vector(kept.Offset(4)) % 16 == 0
    assert to_tflite(network) == content


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(["conv", "depthwise", "max_pool"]),
    size=st.tuples(st.integers(4, 9), st.integers(4, 9)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(1, 3),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    seed=st.integers(0, 99),
)
def test_any_padding_of_a_window(kind, size, kernel, stride, pads, seed):
    pads = tuple(min(pad, kernel[place % 2] - 1) for place, pad in enumerate(pads))
    assert_agrees(window(kind, size, kernel, stride, pads, seed), share=1.0, seeds=1)


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(2, 5), st.integers(2, 5)),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    pad=st.integers(0, 2),
    more=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_any_padding_of_a_transposed_convolution(size, kernel, stride, pad, more, seed):
    pad, more = min(pad, kernel - 1), min(more, stride - 1)
    out = [(n - 1) * stride - 2 * pad + kernel + more for n in size]
    if min(out) < 1:
        return
    columns = {"stride_h": stride, "stride_w": stride, "kernel_h": kernel, "kernel_w": kernel}
    columns |= dict.fromkeys(("pad_top", "pad_left", "pad_bottom", "pad_right"), pad)
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (4, kernel, kernel, 3)).astype(np.int8)
    network = single("conv_transpose", (*size, 3), (*out, 4), columns, seed, weights)
    assert_agrees(network, share=1.0, seeds=1)


def window(kind, size, kernel, stride, pads, seed):
    """A network of one convolution or pooling; pads are top, left, bottom, right."""
    out = [(size[i] + pads[i] + pads[i + 2] - kernel[i]) // stride + 1 for i in range(2)]
    columns = dict(zip(("pad_top", "pad_left", "pad_bottom", "pad_right"), pads, strict=True))
    columns |= {"kernel_h": kernel[0], "kernel_w": kernel[1], "stride_h": stride, "stride_w": stride}
    rng = np.random.default_rng(seed)
    channels, weights = (3, 5) if kind == "conv" else (4, 4), None
    if kind != "max_pool":
        depth = 3 if kind == "conv" else 1
        weights = rng.integers(-127, 128, (channels[1], *kernel, depth)).astype(np.int8)
    columns["groups"] = 4 if kind == "depthwise" else 1
    name = "max_pool" if kind == "max_pool" else "conv"
    return single(name, (*size, channels[0]), (*out, channels[1]), columns, seed, weights)


def single(kind, shape, out, columns, seed, weights=None, **parts):
    """A network of one layer between an operand and a result, by (height, width, channels)."""
    rng = np.random.default_rng([seed, 1])
    sizes = {"in_h": shape[0], "in_w": shape[1], "in_channels": shape[2]}
    sizes |= {"out_h": out[0], "out_w": out[1], "out_channels": out[2]}
    zero_in, zero_out = (int(zero) for zero in rng.integers(-128, 128, 2))
    scale_out = 0.05
    if weights is None:
        zero_out, scale_out = zero_in, 0.02
    else:
        depth = weights[0].size
        parts["bias"] = rng.integers(-999, 999, len(weights)).astype(np.int32)
        parts |= {"weights": weights, "scales": rng.uniform(0.3, 0.9, len(weights)) / 60 / np.sqrt(depth)}
    values = (Value("x", shape, 0.02, zero_in), Value("layer", out, scale_out, zero_out))
    layer = Layer("layer", kind, (0,), 1, {**KERNEL_COLUMNS, **columns, **sizes}, **parts)
    return Network("one", values, (layer,), (0,), (1,))


def test_a_batch_normalisation_of_pruned_channels_keeps_their_offsets():
    ratios, offsets = np.array([0.5, -1e-6, 1e-9, 1e-30, 0.0]), np.array([-3.0, 70.25, -40.25, 20.25, 9.25])
    network = single("batch_norm", (4, 4, 5), (4, 4, 5), {}, 0)
    (zero_in, zero_out) = (value.zero_point for value in network.values)
    found = arithmetic.affine_constants(ratios, offsets, zero_in, zero_out)
    layer = replace(network.layers[0], scales=ratios, bias=found.offsets, options={"bits": found.bits})
    network = replace(network, layers=(layer,))
    content = assert_agrees(network)
    (steps,) = interpreted(content, random_inputs(network, 0))
    wanted = np.clip(np.rint(offsets[1:] + zero_out), -128, 127)
    assert (steps.reshape(-1, 5)[:, 1:] == wanted).all()


def test_a_range_that_no_activation_has(tmp_path):
    network = window("conv", (5, 5), (3, 3), 1, (1, 1, 1, 1), 3)
    clamped = replace(network, layers=(replace(network.layers[0], low=-20, high=60),))
    content = assert_agrees(clamped)
    assert codes(content) == ["CONV_2D", "MAXIMUM", "MINIMUM"]
    (steps,) = interpreted(content, random_inputs(clamped, 0))
    assert (steps.min(), steps.max()) == (-20, 60)


@pytest.mark.parametrize(("high", "number"), [(127, 1), (None, 3)])
def test_clamps_of_a_relu_are_fused(high, number):
    network = window("conv", (5, 5), (3, 3), 1, (1, 1, 1, 1), 4)
    values = (network.values[0], replace(network.values[1], scale=0.1, zero_point=3))
    layer = replace(network.layers[0], low=3, high=high if high is not None else 63)
    content = assert_agrees(replace(network, values=values, layers=(layer,)))
    assert codes(content) == ["CONV_2D"]
    operator = tflite.Model.GetRootAs(content).Subgraphs(0).Operators(0)
    options = tflite.Conv2DOptions()
    options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
    assert options.FusedActivationFunction() == number


def test_a_concatenation_hands_its_grid_to_what_it_reads(networks, tmp_path):
    graph = Graph((4, 6, 6))
    a, b = graph.conv("input", 4, 6, (3, 3)), graph.conv("input", 4, 5, (1, 1), relu=False)
    x = graph.op("Concat", a, b, "input", axis=1)
    network = read_network(graph.quantised(tmp_path / "q.onnx", graph.conv(x, 15, 3, (1, 1))))
    content = assert_agrees(network)
    # Both convolutions write the grid of the concatenation; the input has its own.
    assert codes(content) == ["CONV_2D", "CONV_2D", "QUANTIZE", "CONCATENATION", "CONV_2D"]


REFUSED = {
    "grouped transposed": (
        single("conv_transpose", (3, 3, 4), (3, 3, 4), {"groups": 2}, 0, np.ones((4, 1, 1, 2), np.int8)),
        "has one group there, and this has 2",
    ),
    "dilated transposed": (
        single(
            "conv_transpose",
            (3, 3, 2),
            (5, 5, 4),
            {"kernel_h": 2, "kernel_w": 2, "dilation_h": 2, "dilation_w": 2},
            0,
            np.ones((4, 2, 2, 2), np.int8),
        ),
        "has no dilation there",
    ),
    "dilated pool": (
        single(
            "max_pool",
            (5, 5, 2),
            (3, 3, 2),
            {"kernel_h": 2, "kernel_w": 2, "dilation_h": 2, "dilation_w": 2},
            0,
        ),
        "a pooling has no dilation there",
    ),
    "padded average": (
        single(
            "avg_pool",
            (6, 6, 2),
            (3, 3, 2),
            {
                "kernel_h": 3,
                "kernel_w": 3,
                "stride_h": 2,
                "stride_w": 2,
                "pad_top": 1,
                "pad_left": 1,
                "pad_bottom": 1,
                "pad_right": 1,
            },
            0,
        ),
        "values of a PAD would count",
    ),
    "other table": (
        single("hard_swish", (3, 3, 2), (3, 3, 2), {}, 0, table=np.arange(256).astype(np.int8)),
        "not that of the function it is named after",
    ),
    "unknown kind": (
        single("layer_norm", (3, 3, 2), (3, 3, 2), {}, 0),
        "nothing there computes it",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_tflite_does_not_have_is_refused_by_name(name):
    network, reason = REFUSED[name]
    with pytest.raises(UnsupportedError, match=f"'layer' .*cannot be written as TFLite: .*{reason}"):
        to_tflite(network)


def test_without_the_schema_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(MissingExtraError, match=r"hannah-hw\[tflite\]"):
        to_tflite(window("conv", (4, 4), (1, 1), 1, (0, 0, 0, 0), 0))

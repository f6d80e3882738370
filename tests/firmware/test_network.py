"""Reading int8 ONNX models as integer networks, with ONNX Runtime as the truth."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from hannah_hw import SearchSpace, blocks, load_space, operators, to_onnx
from hannah_hw.errors import DataError, HannahError, ModelError, UnsupportedError
from hannah_hw.firmware import reference
from hannah_hw.firmware.agreement import agreement, integer_session
from hannah_hw.firmware.network import dequantise, quantise_input, read_network, workload_of
from hannah_hw.firmware.network.order import loops
from hannah_hw.lowering import read_onnx
from hannah_hw.lowering.quantise import quantise_int8
from tests.blocks import data, randomised

SPACES = ("resnet", "nas_bench_201", "mcunet", "tc_resnet", "micronets_ds_cnn", "ds_cnn")


def quantised(candidate, path, *, module=None, samples=8, seed=0):
    """An int8 file of a candidate, and inputs of its shape."""
    model = to_onnx(candidate, module=module, seed=seed)
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    rng = np.random.default_rng(seed)
    quantise_int8(model.SerializeToString(), path, rng.normal(size=(samples, *shape[1:])).astype(np.float32))
    return [rng.normal(size=shape).astype(np.float32) for _ in range(3)]


def assert_agrees(source, inputs, *, ties=0.0):
    """Every layer is within a step of ONNX Runtime's, almost everywhere the same."""
    layers = agreement(source, inputs)
    assert max(layer.largest for layer in layers) <= 1
    for layer in layers:
        # Means of powers of two of values on one grid are ties: halves up here, to even there.
        limit = 0.2 if layer.kind == "avg_pool" else ties + 2e-3
        assert layer.different <= max(limit * layer.values, 1), layer


def assert_same_workload(source):
    ours, theirs = workload_of(read_network(source)), read_onnx(source).deployed()
    assert list(ours.rows()) == list(theirs.rows())
    assert ours.buffers.names == theirs.buffers.names
    assert ours.buffers.kinds == theirs.buffers.kinds
    for name in ("bytes", "first", "last", "output"):
        np.testing.assert_array_equal(getattr(ours.buffers, name), getattr(theirs.buffers, name))
    np.testing.assert_array_equal(ours.reads, theirs.reads)


@pytest.mark.parametrize("name", SPACES)
def test_candidates_of_ready_spaces_agree_with_onnx_runtime(name, tmp_path):
    space = load_space(name)
    inputs = quantised(space.candidate(space.sample(seed=0)), tmp_path / "q.onnx")
    assert_agrees(tmp_path / "q.onnx", inputs)
    assert_same_workload(tmp_path / "q.onnx")


#: A value (1, 8, 8, 8) behind a convolution -> an operator on it.
OPERATORS = {
    "sigmoid": operators.Sigmoid(),
    "hard sigmoid": operators.HardSigmoid(),
    "hard swish": operators.HardSwish(),
    "product": lambda x: operators.Mul()(x, operators.Sigmoid()(x)),
    "squeeze and excite": lambda x: blocks.squeeze_excite(x, 4),
    "relu read twice": lambda x: operators.Add()(x, operators.Relu()(x)),
    "relu6": operators.Relu6(),
    "scale": lambda x: operators.Scale(3.0)(operators.MaxPooling(2)(x)),
    "folded scale": operators.Scale(3.0),
    "batch normalisation": lambda x: operators.Relu()(
        blocks.batch_norm(operators.Add()(x, operators.Relu()(x)))
    ),
    "sum": lambda x: operators.Add()(x, operators.MaxPooling(3)(x)),
    "pools": lambda x: operators.AvgPooling(3, stride=2, padding=1)(operators.MaxPooling(2)(x)),
    "split and concat": lambda x: operators.Concat()(*reversed(blocks.channel_split(x, 3))),
    "concat of rows": lambda x: operators.Concat(2)(x, operators.Sigmoid()(x)),
    "concat of columns": lambda x: operators.Concat(3)(x, operators.Relu()(x)),
    "slice of rows": operators.Slice(2, 1, 5),
    "slice of columns": operators.Slice(-1, 3, 4),
    "shuffle": lambda x: blocks.channel_shuffle(x, 2),
    "permute": operators.Permute((0, 2, 3, 1)),
    "transpose": operators.Permute((0, 1, 3, 2)),
    "padding": operators.ZeroPad((1, 0, 2, 3)),
    "nearest": operators.Upsample((2, 3)),
    "transposed convolution": lambda x: blocks.conv_transpose2d(x, 6, 3, stride=2, bias=True),
    "grouped transposed convolution": lambda x: blocks.conv_transpose2d(x, 6, 3, groups=2, bias=True),
    "dilated": lambda x: blocks.conv2d(x, 4, 3, dilation=2, groups=2),
    "uneven padding": lambda x: blocks.conv2d(x, 5, (2, 5), 2, padding=(0, 3, 2, 1)),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_agrees_with_onnx_runtime(name, tmp_path):
    x = OPERATORS[name](blocks.conv2d(data(3, 8, 8), 8, 3, bias=True))
    candidate = SearchSpace(operators.Softmax()(blocks.linear(x, 5))).candidate({})
    inputs = quantised(candidate, tmp_path / "q.onnx", module=randomised(candidate), samples=32)
    assert_agrees(tmp_path / "q.onnx", inputs)
    assert_same_workload(tmp_path / "q.onnx")
    network = read_network(tmp_path / "q.onnx")
    session = integer_session(tmp_path / "q.onnx")
    for array in inputs:
        ours = dequantise(network, reference.run(network, quantise_input(network, array)))
        (theirs,) = session.run(None, {"input": array})
        # Steps of 1/256, of a softmax over a step more or less of what goes into it.
        assert np.abs(ours[0].ravel() - theirs.ravel()).max() < 0.1


def test_one_dimension_is_a_width(tmp_path):
    x = operators.Relu()(blocks.conv1d(data(4, 21), 6, 5, 2, bias=True))
    x = operators.AdaptiveAvgPooling(1)(operators.MaxPooling(2)(blocks.conv1d(x, 5, 3, groups=1)))
    candidate = SearchSpace(blocks.linear(x, 3)).candidate({})
    inputs = quantised(candidate, tmp_path / "q.onnx", module=randomised(candidate))
    assert_agrees(tmp_path / "q.onnx", inputs)
    network = read_network(tmp_path / "q.onnx")
    assert network.values[0].shape == (1, 21, 4)
    assert network.layers[0].weights.shape == (6, 1, 5, 4)


class File:
    """A QDQ model, node by node."""

    def __init__(self, shape, *, kind=np.int8, seed=0):
        self.rng, self.kind = np.random.default_rng(seed), kind
        self.nodes, self.tensors, self.count = [], [], 0
        self.graph_input = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, *shape])

    def constant(self, value, dtype=np.float32):
        name = f"c{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def op(self, kind, inputs, **attributes):
        output = f"v{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(kind, inputs, [output], name=f"{kind}_{len(self.nodes)}", **attributes)
        )
        return output

    def pair(self, name, scale, zero):
        """Round a value; the zero point is counted from -128, whatever the type."""
        zero = zero if self.kind == np.int8 else zero + 128
        grid = [self.constant(scale), self.constant(zero, self.kind)]
        return self.op("DequantizeLinear", [self.op("QuantizeLinear", [name, *grid]), *grid])

    def weight(self, shape, axis=0, *, by_channel=True, kind=np.int8):
        levels = self.rng.integers(-127, 128, shape)
        count = shape[axis] if by_channel else 1
        scales = self.rng.uniform(0.001, 0.01, count).astype(np.float32)
        middle = 128 if kind == np.uint8 else 0
        grid = [
            self.constant(scales if by_channel else scales[0]),
            self.constant(np.full(count, middle) if by_channel else middle, kind),
        ]
        attributes = {"axis": axis} if by_channel else {}
        name = self.op("DequantizeLinear", [self.constant(levels + middle, kind), *grid], **attributes)
        return name, scales

    def bias(self, scales, size):
        scales = np.broadcast_to(np.float32(scales), size)
        levels = self.constant(self.rng.integers(-3000, 3000, size), np.int32)
        zeros = self.constant(np.zeros(size), np.int32)
        return self.op("DequantizeLinear", [levels, self.constant(scales), zeros], axis=0)

    def model(self, output):
        result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        self.nodes.append(helper.make_node("Identity", [output], ["y"], name="last"))
        graph = helper.make_graph(self.nodes, "net", [self.graph_input], [result], self.tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        return onnx.shape_inference.infer_shapes(model)


def convolution(
    file, x, scale, size, *, groups=1, activation=None, between=None, after=(0.02, -5), **attributes
):
    """A convolution with what follows it; the scale is that of its operand."""
    channels, _, *kernel = size
    weight, scales = file.weight(size, kind=np.int8)
    bias = file.bias(np.float32(scale) * scales, channels)
    y = file.op("Conv", [x, weight, bias], kernel_shape=kernel, group=groups, **attributes)
    if between:
        y = file.pair(y, *between)
    if activation == "Clip":
        y = file.op("Clip", [y, file.constant(0.0), file.constant(6.0)])
    elif activation:
        y = file.op(activation, [y])
    return file.pair(y, *after) if after else y


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.int8, np.uint8]), st.booleans())
def test_random_convolutions_of_any_file(seed, kind, twice):
    rng = np.random.default_rng(seed)
    groups = int(rng.choice([1, 1, 2, 3]))
    inputs, outputs = groups * int(rng.integers(1, 4)), groups * int(rng.integers(1, 4))
    kernel, strides, dilations = ([int(n) for n in rng.integers(1, most, 2)] for most in (5, 4, 3))
    sizes = [int(n) for n in rng.integers(8, 13, 2)]
    padding = {"pads": [int(n) for n in rng.integers(0, 4, 4)]}
    if rng.random() < 0.3:
        padding = {"auto_pad": str(rng.choice(["SAME_UPPER", "VALID"]))}
        dilations = [1, 1]  # ONNX Runtime takes no others with SAME_UPPER
    file = File((inputs, *sizes), kind=kind, seed=seed)
    y = convolution(
        file,
        file.pair("x", 0.03, int(rng.integers(-128, 128))),
        0.03,
        (outputs, inputs // groups, *kernel),
        groups=groups,
        activation=str(rng.choice(["Relu", "Clip"] if twice else ["", "Relu", "Clip"])),
        between=(0.03, int(rng.integers(-128, 128))) if twice else None,
        after=(float(rng.uniform(0.01, 0.1)), int(rng.integers(-128, 128))),
        strides=strides,
        dilations=dilations,
        **padding,
    )
    model = file.model(y)
    array = rng.normal(size=(1, inputs, *sizes)).astype(np.float32)
    network = read_network(model)
    assert [layer.kind for layer in network.layers] == ["conv"]
    ours = dequantise(network, reference.run(network, quantise_input(network, array)))[0]
    gap = np.rint(np.abs(ours - unoptimised(model).run(None, {"x": array})[0]) / network.values[1].scale)
    # A file that rounds twice has an error of half a step of the first grid more.
    assert gap.max() <= (1 + 0.5 * 0.03 / network.values[1].scale if twice else 1)
    assert twice or (gap > 0).mean() < 0.01 or (gap > 0).sum() <= 1


def unoptimised(model):
    """A session that computes every node by itself, in float32."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def test_flattened_images_permute_the_weights_behind_them():
    file = File((3, 5, 4))
    y = convolution(file, file.pair("x", 0.03, 4), 0.03, (6, 3, 2, 2))
    for _ in range(2):  # a reshape and a flatten, with a pair between them, as quantisers write them
        y = file.pair(file.op("Flatten", [y], axis=1), 0.02, -5)
    weight, scales = file.weight((7, 72))
    y = file.op("Gemm", [y, weight, file.bias(np.float32(0.02) * scales, 7)], transB=1)
    model = file.model(file.pair(y, 0.2, 10))
    assert_agrees(
        model, [np.random.default_rng(s).normal(size=(1, 3, 5, 4)).astype(np.float32) for s in range(3)]
    )
    assert_same_workload(model)


def test_a_product_with_a_matrix_is_fully_connected():
    file = File((6,))
    weight, _ = file.weight((6, 9), axis=1, by_channel=False)
    y = file.op("MatMul", [file.pair("x", 0.03, -7), weight])
    model = file.model(file.pair(y, 0.01, 10))
    assert_agrees(model, [np.random.default_rng(s).normal(size=(1, 6)).astype(np.float32) for s in range(9)])
    (layer,) = read_network(model).layers
    assert layer.kind == "linear"
    assert not layer.bias.any()


def test_unsigned_weights_and_float_weights_behind_a_pair():
    file = File((4, 6, 6), kind=np.uint8)
    x = file.pair("x", 0.03, 3)
    weight, _ = file.weight((5, 4, 3, 3), by_channel=False, kind=np.uint8)
    y = file.pair(file.op("Conv", [x, weight], kernel_shape=[3, 3]), 0.05, -8)
    real = file.rng.normal(size=(2, 5, 1, 1)).astype(np.float32)
    grid = [file.constant(np.abs(real).max((1, 2, 3)) / 127), file.constant(np.zeros(2), np.int8)]
    steps = file.op("QuantizeLinear", [file.constant(real), *grid], axis=0)
    weight = file.op("DequantizeLinear", [steps, *grid], axis=0)
    bias = file.constant(file.rng.normal(size=2))
    y = file.pair(file.op("Conv", [y, weight, bias], kernel_shape=[1, 1]), 0.1, 0)
    assert_agrees(
        file.model(y),
        [np.random.default_rng(s).normal(size=(1, 4, 6, 6)).astype(np.float32) for s in range(3)],
        ties=0.02,
    )


def test_clamps_behind_a_value_on_a_grid_stay_on_it():
    """Relu behind a pair that nothing quantises again, and behind a pair with another range."""
    file = File((2, 4, 4))
    y = convolution(file, file.pair("x", 0.03, 4), 0.03, (3, 2, 1, 1), after=(0.02, -5), activation=None)
    model = file.model(file.op("Relu", [y]))
    (layer,) = read_network(model).layers
    assert (layer.low, layer.high) == (-5, 127)
    array = np.random.default_rng(0).normal(size=(1, 2, 4, 4)).astype(np.float32)
    network = read_network(model)
    ours = dequantise(network, reference.run(network, quantise_input(network, array)))[0]
    np.testing.assert_allclose(ours, integer_session(model).run(None, {"x": array})[0], atol=1e-6)
    file = File((2, 4, 4))
    y = convolution(
        file,
        file.pair("x", 0.03, 4),
        0.03,
        (3, 2, 1, 1),
        between=(0.01, 0),
        activation="Relu",
        after=(0.02, -100),
    )
    (layer,) = read_network(file.model(y)).layers
    assert (layer.low, layer.high) == (-100, -100 + round(1.27 / 0.02))


def refused(model, message, error=UnsupportedError):
    with pytest.raises(error, match=message):
        read_network(model)


def test_what_has_no_kernel_is_refused_by_name():
    file = File((2, 4, 4))
    x = file.pair("x", 0.03, 4)
    refused(
        file.model(file.pair(file.op("Softplus", [x]), 0.1, 0)), r"'Softplus_2' \(Softplus\) cannot be read"
    )
    file = File((2, 4, 4))
    y = convolution(file, file.pair("x", 0.03, 4), 0.03, (3, 2, 1, 1), after=None)
    numbers = [file.constant(np.ones(3)) for _ in range(4)]
    y = file.pair(file.op("BatchNormalization", [y, *numbers]), 0.1, 0)
    refused(
        file.model(y), r"'BatchNormalization_\d' \(batch_norm\) stands by itself behind 'Conv_4'; fold it"
    )
    file = File((4, 4))
    x = file.pair("x", 0.03, 4)
    refused(file.model(file.pair(file.op("MatMul", [x, x]), 0.1, 0)), "kind matmul")
    file = File((2, 4, 4))
    x = file.pair("x", 0.03, 4)
    y = file.pair(file.op("MaxPool", [x], kernel_shape=[2, 2]), 0.04, 4)
    refused(
        file.model(y),
        r"'MaxPool_2'.*the scale 0\.03 and the zero point 4, its result 0\.04 and 4; quantise both alike",
    )
    file = File((2, 4, 4))
    x = file.op("Reshape", [file.pair("x", 0.03, 4), file.constant([1, 4, 2, 4], np.int64)])
    refused(
        file.model(convolution(file, x, 0.03, (3, 4, 1, 1))), r"reshapes \(1, 2, 4, 4\) to \(1, 4, 2, 4\)"
    )
    file = File((2, 4, 4))
    y = file.op("Flatten", [convolution(file, file.pair("x", 0.03, 4), 0.03, (3, 2, 1, 1))])
    refused(file.model(y), r"flattens \(1, 3, 4, 4\) to \(1, 48\).*end the network at 'Conv_4'")


def test_values_and_weights_that_are_not_int8_are_refused():
    candidate = SearchSpace(blocks.conv2d(data(2, 4, 4), 3, 1)).candidate({})
    refused(
        to_onnx(candidate), "it is a float model; quantise it to int8 first, with --calibration", ModelError
    )
    file = File((2, 4, 4))
    weight, _ = file.weight((3, 2, 1, 1))
    refused(
        file.model(file.pair(file.op("Conv", ["x", weight], kernel_shape=[1, 1]), 0.1, 0)),
        "the input 'x' is not quantised",
        ModelError,
    )
    file = File((2, 4, 4))
    weight, _ = file.weight((3, 2, 1, 1))
    y = file.op("Conv", [file.pair("x", 0.1, 0), weight], kernel_shape=[1, 1])
    refused(file.model(y), r"the result of 'Conv_3' \(Conv\) is not quantised", ModelError)
    file = File((2, 4, 4))
    y = file.op("Conv", [file.pair("x", 0.1, 0), file.constant(np.ones((3, 2, 1, 1)))], kernel_shape=[1, 1])
    refused(file.model(file.pair(y, 0.1, 0)), "the weight .* of 'Conv_2' .* is floating point", ModelError)
    file = File((2, 4, 4))
    y = file.pair(file.pair("x", 0.1, 0), 0.2, 0)
    refused(file.model(file.op("Relu", [y])), "'x' is quantised in two ways", ModelError)
    file = File((2, 4, 4))
    grid = [file.constant(0.1), file.constant(0, np.int16)]
    y = file.op("DequantizeLinear", [file.op("QuantizeLinear", ["x", *grid]), *grid])
    refused(file.model(file.op("Relu", [y])), "int16 values|activation_bits 16")
    file = File((2, 4, 4))
    x = file.pair("x", 0.0, 0)
    refused(file.model(file.op("Relu", [x])), "is not a positive number", ModelError)
    for levels, zero, reason, error in (
        (np.full((3, 2, 1, 1), -128), 0, "-128 to -128", UnsupportedError),
        (np.ones((3, 2, 1, 1)), 1, "the zero point of the constant .* is not 0", ModelError),
    ):
        file = File((2, 4, 4))
        grid = [file.constant(0.1), file.constant(zero, np.int8)]
        weight = file.op("DequantizeLinear", [file.constant(levels, np.int8), *grid])
        y = file.op("Conv", [file.pair("x", 0.1, 0), weight], kernel_shape=[1, 1])
        refused(file.model(file.pair(y, 0.1, 0)), reason, error)


@pytest.mark.parametrize(
    ("bits", "message"), [(4, "output_bits 4; firmware kernels are int8"), (8, "bits of its own")]
)
def test_values_with_bits_of_their_own_are_refused(bits, message, tmp_path):
    x = blocks.quantize(blocks.conv2d(data(2, 6, 6), 3, 3), bits)
    quantised(SearchSpace(blocks.linear(x, 4)).candidate({}), tmp_path / "q.onnx")
    with pytest.raises(UnsupportedError, match=message):
        read_network(tmp_path / "q.onnx")


def test_scales_that_no_multiplier_holds_and_sums_beyond_int32_are_refused():
    file = File((2, 4, 4))
    refused(
        file.model(convolution(file, file.pair("x", 0.1, 0), 0.1, (3, 2, 1, 1), after=(1e-5, 0))),
        r"'Conv_4' \(Conv, kind conv\) has no integer kernel: the ratio of scales .* is not below 0\.5",
    )
    file = File((2, 4, 4))
    weight, _ = file.weight((3, 2, 1, 1))
    bias = file.constant(np.full(3, 1e9))
    y = file.op("Conv", [file.pair("x", 1e-3, 0), weight, bias], kernel_shape=[1, 1])
    refused(file.model(file.pair(y, 1.0, 0)), "sums of 'Conv_3' can reach .* more than int32 holds")


@pytest.mark.parametrize("kind", [TensorProto.INT8, TensorProto.UINT8])
def test_pairs_without_zero_points(kind):
    """The type is that of an attribute, of what a pair reads, or of the graph's input."""
    scale = numpy_helper.from_array(np.float32(0.1), "scale")
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scale"], ["x"], name="first"),
        helper.make_node("Sigmoid", ["x"], ["s"], name="sigmoid"),
        helper.make_node("QuantizeLinear", ["s", "scale"], ["t"], name="second", output_dtype=kind),
        helper.make_node("DequantizeLinear", ["t", "scale"], ["y"], name="third"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("q", kind, [1, 256])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 256])],
        [scale],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    network = read_network(model)
    assert {value.zero_point for value in network.values} == {0 if kind == TensorProto.INT8 else -128}
    every = np.arange(256).astype(np.uint8).view(helper.tensor_dtype_to_np_dtype(kind)).reshape(1, 256)
    steps = (every.astype(int) - (0 if kind == TensorProto.INT8 else 128)).astype(np.int8).reshape(1, 1, 256)
    ours = dequantise(network, reference.run(network, [steps]))[0]
    np.testing.assert_array_equal(ours.reshape(1, 256), unoptimised(model).run(None, {"q": every})[0])


def test_inputs_and_outputs_in_real_numbers():
    file = File((2, 3, 4))
    y = convolution(file, file.pair("x", 0.5, 4), 0.5, (3, 2, 1, 1))
    network = read_network(file.model(y))
    array = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    (steps,) = quantise_input(network, array)
    assert steps.shape == (3, 4, 2)
    assert steps[1, 2, 1] == round(array[0, 1, 1, 2] / 0.5) + 4
    np.testing.assert_array_equal(quantise_input(network, array[0])[0], steps)
    result = np.zeros((3, 4, 3), np.int8)
    result[2, 1, 0] = 45
    (real,) = dequantise(network, [result])
    assert real.shape == (1, 3, 3, 4)
    assert real[0, 0, 2, 1] == pytest.approx(50 * 0.02)
    with pytest.raises(DataError, match="1 inputs; 2 were given"):
        quantise_input(network, array, array)
    with pytest.raises(DataError, match="'x' has 2 x 3 x 4 values"):
        quantise_input(network, array[..., :2])


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(4)), st.lists(st.integers(1, 4), min_size=4, max_size=4))
def test_loops_visit_places_in_the_order_of_a_transposition(order, sizes):
    places = np.arange(np.prod(sizes)).reshape(sizes).transpose(order).ravel()
    found = loops(places)
    assert found is not None
    visited = np.zeros(1, np.int64)
    for size, step in zip(*found, strict=True):
        visited = np.add.outer(visited, np.arange(size) * step).ravel()
    np.testing.assert_array_equal(visited, places)


def test_orders_that_are_no_loops():
    assert loops(np.array([0, 2, 1])) is None
    assert loops(np.array([1, 0])) is None
    assert loops(np.array([0, 1, 3, 5])) is None


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """An int8 file with most kinds of kernels."""
    x = blocks.conv2d(data(3, 8, 8), 8, 3, bias=True)
    x = operators.Concat()(*reversed(blocks.channel_split(blocks.squeeze_excite(x, 4), 3)))
    x = blocks.conv_transpose2d(operators.ZeroPad(1)(x), 4, 3, groups=2)
    x = operators.Relu()(blocks.batch_norm(operators.Add()(x, operators.HardSwish()(x))))
    candidate = SearchSpace(operators.Softmax()(blocks.linear(operators.MaxPooling(2)(x), 5))).candidate({})
    path = tmp_path_factory.mktemp("sound") / "q.onnx"
    quantised(candidate, path, module=randomised(candidate))
    return onnx.load(path)


def damage(model, rng):
    """Change a constant, an attribute or an input of a node."""
    graph = model.graph
    tensor = graph.initializer[rng.integers(len(graph.initializer))]
    node = graph.node[rng.integers(len(graph.node))]
    array, what = numpy_helper.to_array(tensor), int(rng.integers(6))
    if what == 0:
        array = array.astype(rng.choice([np.int8, np.uint8, np.int32, np.int64, np.float64]))
    elif what == 1:
        array = np.resize(array, [int(size) for size in rng.integers(0, 4, rng.integers(0, 4))])
    elif what == 2 and array.dtype.kind == "f":
        array = np.full_like(array, rng.choice([0, -1, np.nan, np.inf, 1e30, 1e-40]))
    elif what == 3 and node.attribute:
        attribute = node.attribute[rng.integers(len(node.attribute))]
        if attribute.ints:
            attribute.ints[rng.integers(len(attribute.ints))] = int(rng.integers(-3, 5))
        else:
            attribute.i = int(rng.integers(-3, 9))
    elif what == 4:
        names = [name for other in graph.node for name in other.output]
        node.input[rng.integers(len(node.input))] = names[rng.integers(len(names))]
    elif what == 5:
        del node.input[-1]
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_damaged_files_are_read_or_refused(sound):
    rng, read = np.random.default_rng(0), 0
    for _ in range(60):
        model = onnx.ModelProto()
        model.CopyFrom(sound)
        damage(model, rng)
        try:
            network = read_network(model)
        except HannahError:
            continue
        read += 1
        reference.run(network, [np.zeros(network.values[index].shape, np.int8) for index in network.inputs])
    assert 5 < read < 55

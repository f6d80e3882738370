from __future__ import annotations

import tempfile

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from hannah_hw import SearchSpace, blocks, operators, to_onnx
from hannah_hw.errors import ModelError
from hannah_hw.lowering import read_onnx
from hannah_hw.lowering.quantise import quantise_int8
from hannah_hw.lowering.ranges import collect_ranges, free_batch
from tests.blocks import buffers_of, data, kernels_of, randomised


class Build:
    """A small residual network, made node by node."""

    def __init__(self, batch="N", seed=0, gain=1.0):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.tensors, self.gain, self.batch = [], [], gain, batch

    def constant(self, name, value):
        self.tensors.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def op(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"n_{output}", **attributes))
        return output

    def conv(self, x, output, cin, cout, k, stride=1, groups=1, activation="Relu"):
        w = self.rng.normal(0, self.gain / np.sqrt(k * k * cin / groups), (cout, cin // groups, k, k))
        names = [
            x,
            self.constant(f"w_{output}", w),
            self.constant(f"b_{output}", self.rng.normal(0, 0.1, cout)),
        ]
        attributes = {"kernel_shape": [k, k], "strides": [stride] * 2, "pads": [k // 2] * 4, "group": groups}
        if activation is None:
            return self.op("Conv", names, output, **attributes)
        self.op("Conv", names, f"{output}_c", **attributes)
        limits = []
        if activation == "Clip":
            limits = [self.constant(f"{output}_lo", 0.0), self.constant(f"{output}_hi", 6.0)]
        return self.op(activation, [f"{output}_c", *limits], output)

    def model(self, output, shape=(3, 12, 12), classes=5):
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [self.batch, *shape])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, [self.batch, classes])],
            self.tensors,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def residual(batch="N", activation="Relu"):
    b = Build(batch)
    x = b.conv("input", "stem", 3, 16, 3, activation=activation)
    y = b.conv(x, "dw", 16, 16, 3, groups=16)
    y = b.conv(y, "pw", 16, 16, 1, activation=None)
    b.op("Add", [x, y], "sum")
    x = b.op("Relu", ["sum"], "joined")
    x = b.op("GlobalAveragePool", [b.conv(x, "last", 16, 24, 3, 2)], "pooled")
    x = b.op("Flatten", [x], "flat")
    w, bias = b.constant("w_fc", b.rng.normal(0, 0.3, (5, 24))), b.constant("b_fc", b.rng.normal(0, 0.1, 5))
    return b.model(b.op("Gemm", [x, w, bias], "output", transB=1))


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(1).normal(0, 1, (96, 3, 12, 12)).astype(np.float32)


def session(source, optimised=None, signed="1"):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.qdqisint8allowed", signed)
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    source = source.SerializeToString() if hasattr(source, "SerializeToString") else str(source)
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def quantised(model, path, samples):
    quantise_int8(model.SerializeToString(), path, samples)
    result = onnx.load(path)
    onnx.checker.check_model(result, full_check=True)
    return result, {t.name: numpy_helper.to_array(t) for t in result.graph.initializer}


def test_onnx_runtime_runs_it_on_integer_kernels(tmp_path, samples):
    quantised(residual(), tmp_path / "q.onnx", samples)
    session(tmp_path / "q.onnx", tmp_path / "o.onnx")
    ops = [node.op_type for node in onnx.load(tmp_path / "o.onnx").graph.node]
    assert ops.count("QLinearConv") == 4
    assert ops.count("QLinearAdd") == 1
    assert ops.count("QLinearGlobalAveragePool") == 1
    assert ops.count("QGemm") == 1
    assert not {"Conv", "Add", "Gemm", "Relu", "GlobalAveragePool"} & set(ops)
    assert ops.count("QuantizeLinear") == ops.count("DequantizeLinear") == 1


def test_int8_follows_float_within_the_steps_of_its_outputs(tmp_path, samples):
    model = residual()
    quantised(model, tmp_path / "q.onnx", samples)
    truth = session(model).run(None, {"input": samples})[0]
    ours = session(tmp_path / "q.onnx").run(None, {"input": samples})[0]
    signal, noise = truth.var(axis=0).sum(), (ours - truth).var(axis=0).sum()
    assert noise < signal / 300  # 25 dB; eight bits over the range of a normal variable alone give about 40
    margin = np.sort(truth, axis=1)
    clear = margin[:, -1] - margin[:, -2] > 6 * (ours - truth).std()
    assert clear.sum() > 40
    np.testing.assert_array_equal(ours.argmax(axis=1)[clear], truth.argmax(axis=1)[clear])


def test_weights_are_symmetric_by_channel_and_within_half_a_step(tmp_path, samples):
    model = residual()
    _, values = quantised(model, tmp_path / "q.onnx", samples)
    floats = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for name in ("w_stem", "w_dw", "w_pw", "w_last", "w_fc"):
        w, q, s = floats[name], values[f"{name}_quantized"], values[f"{name}_scale"]
        assert q.dtype == np.int8
        assert not values[f"{name}_zero_point"].any()
        largest = np.abs(w.reshape(len(w), -1)).max(axis=1)
        np.testing.assert_allclose(s, largest / 127, rtol=1e-5)
        step = s.reshape(-1, *[1] * (w.ndim - 1))
        assert (np.abs(w - q * step) <= step * 0.5001).all()


def test_activations_cover_what_was_seen_and_biases_use_the_product_of_scales(tmp_path, samples):
    _, values = quantised(residual(), tmp_path / "q.onnx", samples)
    low, high = min(samples.min(), 0), max(samples.max(), 0)
    assert values["input_scale"] == pytest.approx((high - low) / 255, rel=1e-5)
    assert values["input_zero_point"] == round(-128 - low / values["input_scale"])
    bias = values["b_stem_quantized"]
    assert bias.dtype == np.int32
    scale = values["input_scale"] * values["w_stem_scale"]
    float_bias = numpy_helper.to_array(next(t for t in residual().graph.initializer if t.name == "b_stem"))
    np.testing.assert_allclose(bias * scale, float_bias, atol=float(scale.max()) * 0.51)


@pytest.mark.parametrize("activation", ["Relu", "Clip"])
def test_activation_is_merged_and_the_range_is_the_one_after_it(tmp_path, samples, activation):
    loud = 20 * samples
    model = residual(activation=activation)
    result, values = quantised(model, tmp_path / "q.onnx", loud)
    assert not [n for n in result.graph.node if n.op_type in ("Relu", "Clip")]
    named = {node.name: node for node in result.graph.node}
    for conv in ("n_stem_c", "n_dw_c", "n_last_c", "n_sum"):
        (consumer,) = [n for n in result.graph.node if named[conv].output[0] in n.input]
        assert consumer.op_type == "QuantizeLinear"
        assert values[consumer.input[2]] == -128  # zero is the smallest number
    if activation == "Clip":
        (consumer,) = [n for n in result.graph.node if named["n_stem_c"].output[0] in n.input]
        assert values[consumer.input[1]] == pytest.approx(6 / 255, rel=1e-5)


def test_arithmetic_is_exact_integer_arithmetic_even_at_full_scale(tmp_path):
    """One convolution with large weights of one sign: 16-bit sums of products would saturate."""
    b = Build()
    cin, cout = 16, 8
    w = np.sign(b.rng.normal(size=(cout, 1, 1, 1))) * b.rng.uniform(0.8, 1.0, (cout, cin, 3, 3))
    names = ["input", b.constant("w", w), b.constant("bias", b.rng.normal(0, 1, cout))]
    b.op("Conv", names, "output", kernel_shape=[3, 3])
    model = b.model("output", (cin, 8, 8))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", cout, 6, 6]))
    x = b.rng.uniform(0.7, 1.0, (16, cin, 8, 8)).astype(np.float32)
    x[:8] *= -1
    _, v = quantised(model, tmp_path / "q.onnx", x)
    q = np.clip(np.rint(x / v["input_scale"]) + v["input_zero_point"], -128, 127).astype(np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(q - int(v["input_zero_point"]), (3, 3), axis=(2, 3))
    total = np.einsum("nchwij,ocij->nohw", windows, v["w_quantized"].astype(np.int64))
    total += v["bias_quantized"].astype(np.int64)[None, :, None, None]
    scale = v["input_scale"].astype(np.float64) * v["w_scale"] / v["output_scale"]
    zero = int(v["output_zero_point"])
    exact = np.clip(np.rint(total * scale[None, :, None, None]) + zero, -128, 127)
    ours = session(tmp_path / "q.onnx").run(None, {"input": x})[0] / v["output_scale"] + zero
    difference = np.abs(np.rint(ours) - exact)
    assert difference.max() <= 1  # a tie, rounded in single precision
    assert (difference > 0).mean() < 1e-3


def test_fixed_and_symbolic_batches_give_the_same_ranges(samples):
    one, many = (onnx.shape_inference.infer_shapes(residual(batch)) for batch in (1, "N"))
    assert collect_ranges(one, samples) == collect_ranges(many, samples)


def test_ranges_are_the_extremes_of_the_tensors_whatever_the_number_of_samples(samples):
    model = onnx.shape_inference.infer_shapes(residual())
    for count in (1, 31, 32, 70):
        ranges = collect_ranges(model, samples[:count])
        assert ranges["input"] == (samples[:count].min(), samples[:count].max())
        truth = session(model).run(None, {"input": samples[:count]})[0]
        np.testing.assert_allclose(ranges["output"], (truth.min(), truth.max()), rtol=1e-5)
        assert ranges["joined"][0] >= 0


def test_batch_of_a_model_with_a_reshape_is_kept(tmp_path, samples):
    b = Build(batch=1)
    x = b.op("GlobalAveragePool", [b.conv("input", "stem", 3, 16, 3)], "pooled")
    b.tensors.append(numpy_helper.from_array(np.array([1, 16], np.int64), "shape"))
    x = b.op("Reshape", [x, "shape"], "flat")
    model = b.model(b.op("MatMul", [x, b.constant("w_fc", b.rng.normal(0, 0.3, (16, 5)))], "output"))
    quantised(model, tmp_path / "q.onnx", samples[:5])
    truth = session(model).run(None, {"input": samples[:1]})[0]
    ours = session(tmp_path / "q.onnx").run(None, {"input": samples[:1]})[0]
    np.testing.assert_allclose(ours, truth, atol=0.1 * np.abs(truth).max())


def test_same_input_same_bytes_and_the_source_is_untouched(tmp_path, samples):
    source = tmp_path / "float.onnx"
    onnx.save(residual(), source)
    before = source.read_bytes()
    quantise_int8(source, tmp_path / "a.onnx", samples)
    quantise_int8(source, tmp_path / "b.onnx", samples)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert source.read_bytes() == before


def test_quiet_and_leaves_nothing_behind(tmp_path, samples, capfd, caplog, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    model = residual()
    for node in model.graph.node:
        node.name = ""
    out = tmp_path / "out"
    out.mkdir()
    quantise_int8(model.SerializeToString(), out / "q.onnx", samples)
    captured = capfd.readouterr()
    assert (captured.out, captured.err, caplog.text) == ("", "", "")
    assert list(scratch.iterdir()) == []
    assert [p.name for p in out.iterdir()] == ["q.onnx"]


def test_bad_models_and_bad_data(tmp_path, samples):
    content = residual().SerializeToString()
    with pytest.raises(ModelError, match="not an ONNX file, or a truncated one"):
        quantise_int8(content[: len(content) // 2], tmp_path / "q.onnx", samples)
    with pytest.raises(ModelError, match=r"nowhere\.onnx: cannot read the file"):
        quantise_int8(tmp_path / "nowhere.onnx", tmp_path / "q.onnx", samples)
    with pytest.raises(ModelError, match="does not run on the calibration data"):
        quantise_int8(content, tmp_path / "q.onnx", samples[:, :2])
    with pytest.raises(ModelError, match="'input' is not finite"):
        quantise_int8(content, tmp_path / "q.onnx", np.full_like(samples, np.nan))
    with pytest.raises(ModelError, match="no calibration samples"):
        quantise_int8(content, tmp_path / "q.onnx", samples[:0])
    for change in (
        lambda model: model.graph.input[0].type.tensor_type.shape.ClearField("dim"),
        lambda model: model.opset_import[0].ClearField("version"),
        lambda model: model.graph.initializer[0].ClearField("raw_data"),
    ):
        broken = residual()
        change(broken)
        with pytest.raises(ModelError):
            quantise_int8(broken.SerializeToString(), tmp_path / "q.onnx", samples)
    two = residual()
    two.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1]))
    with pytest.raises(ModelError, match="2 inputs"):
        quantise_int8(two.SerializeToString(), tmp_path / "q.onnx", samples)
    assert list(tmp_path.iterdir()) == []


def test_a_freed_batch_gives_what_single_samples_give(samples):
    fixed = residual(batch=1)
    singles = np.concatenate([session(fixed).run(None, {"input": row[None]})[0] for row in samples[:7]])
    assert free_batch(fixed) is None
    np.testing.assert_allclose(
        session(fixed).run(None, {"input": samples[:7]})[0], singles, rtol=1e-4, atol=1e-5
    )
    assert free_batch(fixed) is None


def test_a_failed_write_leaves_what_was_there(tmp_path, samples):
    content = residual().SerializeToString()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):  # noqa: PT011  # the platform chooses the subclass
        quantise_int8(content, tmp_path / "folder", samples)
    with pytest.raises(FileNotFoundError):
        quantise_int8(content, tmp_path / "missing" / "q.onnx", samples)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


#: A value (N, 8, 8, 8) behind a convolution -> an operator on it.
OPERATORS = {
    "sigmoid": operators.Sigmoid(),
    "hard sigmoid": operators.HardSigmoid(),
    "hard swish": operators.HardSwish(),
    "product": lambda x: operators.Mul()(x, operators.Sigmoid()(x)),
    "squeeze and excite": lambda x: blocks.squeeze_excite(x, 4),
    "scale": lambda x: operators.Scale(3.0)(operators.MaxPooling(2)(x)),
    "split and concat": lambda x: operators.Concat()(*reversed(blocks.channel_split(x, 3))),
    "shuffle": lambda x: blocks.channel_shuffle(x, 2),
    "permute": operators.Permute((0, 2, 3, 1)),
    "softmax of rows": lambda x: operators.Softmax()(operators.Reshape((-1, 4))(x)),
    "dropout": operators.Dropout(),
    "padding": operators.ZeroPad(1),
    "nearest": operators.Upsample(2),
    "bilinear": operators.Upsample(2, "bilinear"),
    "transposed convolution": lambda x: blocks.conv_transpose2d(x, 6, 3, bias=True),
    "grouped transposed convolution": lambda x: blocks.conv_transpose2d(x, 6, 3, groups=2, bias=True),
    "layer norm": lambda x: blocks.layer_norm(x, 1),
    "matrix product": lambda x: operators.MatMul()(x, operators.Permute((0, 1, 3, 2))(x)),
    "attention": lambda x: blocks.multi_head_attention(x, 2),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_in_an_integer_network(name, tmp_path):
    x = OPERATORS[name](blocks.conv2d(data(3, 8, 8), 8, 3, bias=True))
    candidate = SearchSpace(blocks.linear(x, 5)).candidate({})
    module = randomised(candidate)
    inputs = np.random.default_rng(0).normal(size=(32, 3, 8, 8)).astype(np.float32)
    quantised(to_onnx(candidate, module=module, batch="N"), tmp_path / "q.onnx", inputs)
    truth = module(torch.tensor(inputs)).detach().numpy()
    ours = session(tmp_path / "q.onnx").run(None, {"input": inputs})[0]
    # 25 dB, as above.
    assert (ours - truth).var() < truth.var() / 300
    read = read_onnx(tmp_path / "q.onnx", shapes={"input": (1, 3, 8, 8)})
    assert (read.bits, read.foreign) == (8, {})
    # The quantiser drops a ReLU whose clamp the zero point already makes.
    rows = [[{**r, "activation": 0} for r in kernels_of(w)] for w in (read.workload(), candidate.workload())]
    assert rows[0] == rows[1]
    assert buffers_of(read.workload()) == buffers_of(candidate.workload())


def test_batch_of_a_model_whose_reshapes_copy_it_is_freed(samples):
    candidate = SearchSpace(blocks.channel_shuffle(data(6, 4, 4), 2)).candidate({})
    model = to_onnx(candidate)
    assert free_batch(model) is None
    assert session(model).run(None, {"input": np.zeros((7, 6, 4, 4), np.float32)})[0].shape == (7, 6, 4, 4)


@pytest.mark.parametrize(
    "name", ["hard swish", "product", "squeeze and excite", "pool", "norm", "shuffle", "padding"]
)
def test_every_value_between_kernels_is_rounded(name, tmp_path):
    pooled = operators.AvgPooling(2, stride=2)(data(3, 8, 8))
    own = {
        "pool": lambda: blocks.conv2d(operators.MaxPooling(2)(pooled), 8, 3),
        "norm": lambda: operators.Relu()(
            blocks.batch_norm(operators.Add()(pooled, operators.Sigmoid()(pooled)))
        ),
    }
    x = own[name]() if name in own else OPERATORS[name](blocks.conv2d(data(3, 8, 8), 8, 3))
    candidate = SearchSpace(operators.Softmax()(blocks.linear(x, 5))).candidate({})
    inputs = np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype(np.float32)
    float_model = to_onnx(candidate, module=randomised(candidate))
    result, constants = quantised(float_model, tmp_path / "q.onnx", inputs)
    writers = {output: node.op_type for node in result.graph.node for output in node.output}
    for node in result.graph.node:
        if node.op_type != "QuantizeLinear":
            read = {writers.get(value, "input") for value in node.input if value and value not in constants}
            assert read <= {"DequantizeLinear" if node.op_type != "DequantizeLinear" else "QuantizeLinear"}, (
                node
            )
    truth = session(float_model).run(None, {"input": inputs[:1]})[0]
    ours = session(tmp_path / "q.onnx").run(None, {"input": inputs[:1]})[0]
    assert np.abs(ours - truth).max() < 0.05

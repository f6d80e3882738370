"""Bit widths in ONNX files: what ONNX Runtime computes, what is read back, and what becomes int8 beside them."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from hannah_hw import (
    CategoricalParameter,
    IntScalarParameter,
    SearchSpace,
    Tensor,
    load_space,
    search_space,
    to_onnx,
)
from hannah_hw.blocks import batch_norm, conv2d, linear, quantize
from hannah_hw.errors import ModelError
from hannah_hw.executors.fake_quantise import quantised
from hannah_hw.lowering import read_onnx
from hannah_hw.lowering.mixed import has_own_bits
from hannah_hw.lowering.quantise import quantise_int8
from hannah_hw.operators import AdaptiveAvgPooling, Add, ConvTranspose2d, Quantize, Relu
from tests.blocks import buffers_of, data, kernels_of, randomised, run_onnx


@search_space
def net():
    """Layers with a width each, behind each other and beside each other, some without any."""
    widths = CategoricalParameter([1, 2, 4, 8, 16, 32], name="widths", default=4)
    x = Relu()(batch_norm(conv2d(data(3, 8, 8), 6, 3, weight_bits=widths)))
    x = quantize(x, IntScalarParameter(2, 9, name="signed"), signed=False)
    y = batch_norm(conv2d(x, 6, 3, groups=6, weight_bits=IntScalarParameter(1, 8, name="depthwise")))
    x = quantize(Relu()(Add()(quantize(y, 8), x)), CategoricalParameter([3, 8, 32], name="sum"))
    up = Tensor("weight", (6, 2, 2, 2), grad=True, bits=widths)
    x = batch_norm(ConvTranspose2d(stride=2, groups=2)(x, up))
    x = Relu()(batch_norm(conv2d(x, 5, 1)))
    return linear(AdaptiveAvgPooling(1)(x), 4, weight_bits=widths)


def candidates(count):
    space = SearchSpace(net())
    for index, row in enumerate(space.sample_population(count, seed=2)):
        candidate = space.candidate(space.encoding.assignment(row))
        module = randomised(candidate, seed=index)
        with torch.no_grad():
            # Factors of either sign, and channels that nothing is left of.
            for name in module.plan.weights:
                if "BatchNorm" in name and name.endswith(".weight"):
                    module.weight(name)[::2] *= -1
                    module.weight(name)[1] = 0
        yield candidate, module


def test_onnx_runtime_computes_what_torch_computes():
    for index, (candidate, module) in enumerate(candidates(25)):
        x = torch.randn((2, 3, 8, 8), generator=torch.Generator().manual_seed(index))
        expected = module(x).detach().numpy()
        for fold in (True, False):
            model = to_onnx(candidate, module=module, batch=2, fold_batch_norm=fold)
            onnx.checker.check_model(model, full_check=True)
            kinds = {node.op_type for node in model.graph.node}
            assert ("BatchNormalization" in kinds) is not fold
            (computed,) = run_onnx(model, x)
            np.testing.assert_allclose(computed, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def steps_apart(module, model, x):
    """Kind of step -> how far torch is from ONNX Runtime at most, given the same operands, of the largest value."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    names = [name for node in model.graph.node for name in node.output if "/" not in name]
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    computed = dict(zip(names, map(torch.from_numpy, run_onnx(probe, x)), strict=True))
    (declared,) = module.plan.inputs
    module.eval()(x)  # leaves the operators as in evaluation
    values = {declared.id: x}
    for name, weight in module.plan.weights.items():
        kept = module.weight(name).detach()
        values[name] = kept if weight.bits is None else quantised(kept, weight.bits, weight.channel_axis)
    apart = {}
    for step in module.plan.steps:
        y = step.op._forward_implementation(*(values[name] for name in step.operands))
        values[step.op.id] = computed.get(step.op.id, y)
        share = (values[step.op.id] - y).abs().max() / y.abs().max().clamp_min(1e-6)
        apart[type(step.op).__name__] = max(apart.get(type(step.op).__name__, 0.0), float(share))
    return apart


def test_deep_networks_agree_step_by_step():
    """Sums in another order differ in the last bit, which is a whole step where a value is halfway between two.

    So the results of deep networks may differ by more than rounding; those of a step on equal operands may not.
    """
    space = load_space("resnet20_mixed")
    for index, row in enumerate(space.sample_population(6, seed=0)):
        module = randomised(space.candidate(space.encoding.assignment(row)), seed=index).train()
        (declared,) = module.plan.inputs
        x = torch.randn(declared.shape(), generator=torch.Generator().manual_seed(index))
        with torch.no_grad():
            for _ in range(20):
                module(x)  # statistics and ranges
        apart = steps_apart(module, to_onnx(module.plan, module=module, fold_batch_norm=False), x)
        assert apart.pop("Quantize") == 0.0
        assert {"Conv2d", "BatchNorm", "Add", "Linear"} <= set(apart)
        assert max(apart.values()) < 1e-5


def test_stored_weights_are_whole_multiples_of_their_scale():
    for candidate, module in candidates(6):
        model = to_onnx(candidate, module=module)
        values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        marks = [n for n in model.graph.node if n.domain == "hannah_hw" and n.input[0] in values]
        assert len(marks) == 4
        for mark in marks:
            (bits,) = (attribute.i for attribute in mark.attribute)
            if mark.op_type == "Unquantized":
                assert bits == 32
                continue
            weight, scale, low, high = (values[name] for name in mark.input)
            assert (low, high) == ((-1, 1) if bits == 1 else (-(2 ** (bits - 1) - 1), 2 ** (bits - 1) - 1))
            levels = np.rint(weight / scale)
            np.testing.assert_array_equal(levels * scale, weight)
            assert abs(levels).max() <= high
            # A folded normalisation leaves a scale an output channel, also of a transposed convolution in groups.
            assert scale.size <= 12


def test_the_reader_gives_operators_and_bits_back():
    candidate, module = next(candidates(1))
    read = read_onnx(to_onnx(candidate, module=module))
    assert (read.bits, read.foreign) == (32, {})
    kept = {op.id: (op.bits, op.signed) for op in read.order if isinstance(op, Quantize)}
    steps = candidate.plan.steps
    assert kept == {s.op.id: (s.op.bits, s.op.signed) for s in steps if isinstance(s.op, Quantize)}
    bits = {op.id: op.kernel_weight.bits for op in read.order if getattr(op, "kernel_weight", None)}
    for step in steps:
        if step.op.output_axis is not None:
            assert bits[step.op.id] == candidate.plan.weights[step.operands[1]].bits
    assert kernels_of(read.deployed()) == kernels_of(candidate.workload())


def marked():
    """A file with the marks of a weight and of a value, 4 bits each."""
    model = to_onnx(
        SearchSpace(linear(quantize(conv2d(data(1, 4, 4), 2, weight_bits=4), 4), 2)).candidate({})
    )
    weight, value = (n for n in model.graph.node if n.domain == "hannah_hw")
    return model, weight, value


def constant(model, name, values):
    """Give a constant of a file other values."""
    (tensor,) = (t for t in model.graph.initializer if t.name == name)
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(values, np.float32), name))


def refuses(model, weight, message):
    """Whether a mark is refused: that of a weight with an error, that of a value as a foreign kernel."""
    if weight:
        with pytest.raises(ModelError, match=rf"the weight 'Conv2d_0\.weight': .*{message}"):
            read_onnx(model)
        return
    read = read_onnx(model)
    assert list(read.foreign) == ["Quantize_0"]
    assert message in read.foreign["Quantize_0"]
    assert read.deployed().kernels.kinds[1] == "hannah_hw.FakeQuantize"


@pytest.mark.parametrize("weight", [True, False])
@pytest.mark.parametrize("bits", [0, 17, -4, 1000, 8, 32])
def test_bits_that_are_not_those_of_the_grid_are_not_believed(bits, weight):
    model, *marks = marked()
    marks[not weight].attribute[0].i = bits
    message = (
        "that it has" if bits in (0, 17, -4, 1000) else f"that of {bits} bits" if bits == 8 else "not keep"
    )
    refuses(model, weight, message)


@pytest.mark.parametrize("weight", [True, False])
@pytest.mark.parametrize(
    ("input_", "values", "message"),
    [(1, 0.0, "no positive number"), (1, np.nan, "no positive number"), (2, -8.0, "a grid from -8.0 to 7.0")],
)
def test_grids_that_are_none_are_refused(input_, values, message, weight):
    model, *marks = marked()
    constant(model, marks[not weight].input[input_], values)
    refuses(model, weight, message)


def test_marks_without_bits_and_with_a_computed_or_a_longer_scale_are_refused():
    model, _, value = marked()
    del value.attribute[:]
    refuses(model, weight=False, message="it says that it has None bits")
    model, _, value = marked()
    model.graph.input.append(onnx.helper.make_tensor_value_info("scale", onnx.TensorProto.FLOAT, [1]))
    value.input[1] = "scale"
    refuses(model, weight=False, message="its scale is computed")
    model, _, value = marked()
    constant(model, value.input[1], np.ones((1, 2, 1, 1)))
    refuses(model, weight=False, message="data has one scale, not 2")


def test_a_bit_has_no_zeros():
    model = to_onnx(SearchSpace(conv2d(data(1, 4, 4), 2, weight_bits=1)).candidate({}))
    assert read_onnx(model).deployed().kernels["weight_bits"].tolist() == [[1]]
    constant(model, "Conv2d_0.weight", np.zeros((2, 1, 1, 1)))
    refuses(model, weight=True, message="but there are zeros")


def test_a_function_is_read_as_what_it_computes_not_as_what_it_is_called():
    """Nobody has fewer bits because a function is called FakeQuantize."""
    model, *_ = marked()
    (function,) = model.functions
    function.node[1].op_type = "Ceil"
    read = read_onnx(model)
    rows = kernels_of(read.deployed())
    # The constant weight is computed ahead; the division folds into the convolution.
    assert [row["kind"] for row in rows] == ["conv", "Ceil", "Clip", "scale", "linear"]
    assert {row["weight_bits"] for row in rows} == {8}
    # One that does nothing is nothing: the weight has the bits of the deployment.
    del function.node[:]
    function.node.add(op_type="Identity", input=["x"], output=["y"])
    rows = kernels_of(read_onnx(model).deployed())
    assert [(row["kind"], row["weight_bits"], row["activation_bits"]) for row in rows] == [
        ("conv", 8, 8),
        ("linear", 8, 8),
    ]


def test_a_mark_without_its_function_is_foreign():
    model, *_ = marked()
    del model.functions[:]
    assert {"Conv2d_0", "Conv2d_0.weight/kept", "Quantize_0"} <= set(read_onnx(model).foreign)
    # Even where the file says what shape the value has.
    model.graph.value_info.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in {"Conv2d_0.weight/kept": (2, 1, 1, 1), "Quantize_0": (1, 2, 4, 4)}.items()
    )
    read = read_onnx(model)
    assert {"Conv2d_0", "Conv2d_0.weight/kept", "Quantize_0"} == set(read.foreign)
    assert {row["weight_bits"] for row in kernels_of(read.deployed())} == {8}


def test_functions_of_one_name_and_those_that_contain_themselves_are_refused():
    model, *_ = marked()
    model.functions.append(model.functions[0])
    with pytest.raises(ModelError, match=r"not a valid ONNX model: .*multiple local functions"):
        read_onnx(model)
    model, *_ = marked()
    (function,) = model.functions
    function.node.add(op_type=function.name, domain=function.domain, input=function.input, output=["z"])
    function.opset_import.add(domain=function.domain, version=1)
    with pytest.raises(ModelError, match=r"its function hannah_hw\.FakeQuantize contains itself"):
        read_onnx(model)


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).normal(size=(64, 3, 8, 8)).astype(np.float32)


def test_the_rest_becomes_int8_and_the_file_is_the_deployed_network(tmp_path, samples):
    for index, (candidate, module) in enumerate(candidates(8)):
        model = to_onnx(candidate, module=module, batch="N")
        path = tmp_path / f"{index}.onnx"
        quantise_int8(model.SerializeToString(), path, samples)
        read = read_onnx(path, shapes={"net_0.input": (1, 3, 8, 8)})
        assert (read.bits, read.foreign) == (8, {})
        assert kernels_of(read.workload()) == kernels_of(candidate.workload())
        assert buffers_of(read.workload()) == buffers_of(candidate.workload())
        expected, computed = run_onnx(model, samples)[0], run_onnx(onnx.load(path), samples)[0]
        # The widths given are in both; what was added is noise of 8 bits.
        assert np.abs(computed - expected).max() < 0.03 * np.abs(expected).max()


def test_a_value_of_the_deployed_network_has_no_more_numbers_than_its_bits_allow(tmp_path, samples):
    @search_space
    def n():
        x = quantize(Relu()(conv2d(data(3, 8, 8), 4, 3, weight_bits=3)), 4, signed=False)
        y = conv2d(x, 4, 3)
        return linear(Add()(x, Relu()(y)), 5)

    candidate = SearchSpace(n()).candidate({})
    model = to_onnx(candidate, module=randomised(candidate), batch="N")
    quantise_int8(model.SerializeToString(), tmp_path / "q.onnx", samples)
    file = onnx.load(tmp_path / "q.onnx")
    names = ["n_0.input/int8", "n_0.Quantize_0", "n_0.Relu_1", "n_0.Add_0", "n_0.Linear_0"]
    names += ["n_0.Conv2d_0.weight/kept", "n_0.Conv2d_1.weight"]
    del file.graph.output[:]
    file.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    counts = [len(np.unique(values)) for values in run_onnx(file, samples)[:5]]
    assert [count <= limit for count, limit in zip(counts, (256, 16, 256, 256, 256), strict=True)] == [
        True
    ] * 5
    assert counts[1] > 8
    assert min(counts[0], counts[2], counts[3]) > 100
    three, eight = run_onnx(file, samples)[5:]
    assert max(len(np.unique(channel)) for channel in three) <= 7
    assert 20 < max(len(np.unique(channel)) for channel in eight) <= 255


def test_a_model_without_own_bits_is_not_touched_by_this():
    space = SearchSpace(linear(conv2d(data(1, 4, 4), 2), 2))
    model = to_onnx(space.candidate({}))
    assert not has_own_bits(model)
    assert not model.functions
    assert [entry.domain for entry in model.opset_import] == [""]

"""Foreign forms are rewritten: they compute what they did, by ONNX Runtime, and every operator of them is read."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hannah_hw.lowering import read_onnx

RNG = np.random.default_rng(0)


def values(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def node(kind, inputs, outputs, **attributes):
    return helper.make_node(kind, inputs.split(), outputs.split(), name=f"{kind}_{outputs[0]}", **attributes)


def model(nodes, outputs, constants, x=(2, 6, 8, 10), opset=13, element=TensorProto.FLOAT):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", element, x)],
        [helper.make_tensor_value_info(name, element, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(source, x):
    session = onnxruntime.InferenceSession(source.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


def check(source):
    """Read a model; what it became computes the same."""
    onnx.checker.check_model(source, full_check=True)
    before = source.SerializeToString()
    read = read_onnx(source)
    assert source.SerializeToString() == before
    onnx.checker.check_model(read.model, full_check=True)
    value = source.graph.input[0].type.tensor_type
    x = values(*(dim.dim_value for dim in value.shape.dim)).astype(
        helper.tensor_dtype_to_np_dtype(value.elem_type)
    )
    for one, other in zip(run(source, x), run(read.model, x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(one).max())))
    return read


def types(read):
    return [node.op_type for node in read.model.graph.node]


IMAGE = {"y": (2, 6, 8, 10)}
W = {"w": values(6, 6, 3, 3)}
CONV = node("Conv", "x w", "c", pads=[1, 1, 1, 1])
ROW = values(1, 6, 1, 1)

#: Name -> model, the types of its nodes after rewriting.
FORMS = {
    "bias of a convolution": (model([CONV, node("Add", "c b", "y")], IMAGE, {**W, "b": ROW}), ["Conv"]),
    "bias before the data": (model([CONV, node("Add", "b c", "y")], IMAGE, {**W, "b": ROW}), ["Conv"]),
    "one number as bias": (
        model([CONV, node("Sub", "c b", "y")], IMAGE, {**W, "b": np.float32(0.3)}),
        ["Conv"],
    ),
    "normalisation as product and sum": (
        model([CONV, node("Mul", "c s", "m"), node("Add", "m b", "y")], IMAGE, {**W, "s": ROW, "b": 2 * ROW}),
        ["Conv"],
    ),
    "normalisation behind a bias": (
        model(
            [
                node("Conv", "x w b", "c", pads=[1, 1, 1, 1]),
                node("Mul", "c s", "m"),
                node("Sub", "m b2", "y"),
            ],
            IMAGE,
            {**W, "b": values(6), "s": ROW, "b2": ROW},
        ),
        ["Conv"],
    ),
    "depthwise": (
        model(
            [node("Conv", "x w", "c", pads=[1, 1, 1, 1], group=6), node("Div", "c s", "y")],
            IMAGE,
            {"w": values(6, 1, 3, 3), "s": ROW},
        ),
        ["Conv"],
    ),
    "transposed": (
        model(
            [node("ConvTranspose", "x w", "c"), node("Mul", "c s", "m"), node("Add", "m b", "y")],
            {"y": (2, 5, 9, 11)},
            {"w": values(6, 5, 2, 2), "s": values(1, 5, 1, 1), "b": values(5, 1, 1)},
        ),
        ["ConvTranspose"],
    ),
    "transposed in groups, whose weight holds the channels of one group": (
        model(
            [node("ConvTranspose", "x w", "c", group=2), node("Mul", "c s", "y")],
            {"y": (2, 6, 9, 11)},
            {"w": values(6, 3, 2, 2), "s": ROW},
        ),
        ["ConvTranspose", "BatchNormalization"],
    ),
    "alone": (
        model(
            [node("Mul", "x s", "m"), node("Add", "m b", "y")],
            IMAGE,
            {"s": ROW, "b": ROW[0]},
        ),
        ["BatchNormalization"],
    ),
    "less than data": (model([node("Sub", "b x", "y")], IMAGE, {"b": ROW}), ["BatchNormalization"]),
    "behind a normalisation": (
        model(
            [node("BatchNormalization", "x s b m v", "n"), node("Mul", "n t", "y")],
            IMAGE,
            {"s": values(6), "b": values(6), "m": values(6), "v": values(6) ** 2, "t": ROW},
        ),
        ["BatchNormalization"],
    ),
    "two normalisations": (
        model(
            [
                CONV,
                node("BatchNormalization", "c s b m v", "n"),
                node("BatchNormalization", "n s b m v", "y"),
            ],
            IMAGE,
            {**W, "s": values(6), "b": values(6), "m": values(6), "v": values(6) ** 2},
        ),
        ["Conv"],
    ),
    "constants as nodes": (
        model(
            [
                node("Constant", "", "w", value=numpy_helper.from_array(W["w"])),
                CONV,
                node("Constant", "", "b", value=numpy_helper.from_array(ROW)),
                node("Add", "c b", "y"),
            ],
            IMAGE,
            {},
        ),
        ["Conv"],
    ),
    "channels last and back": (
        model(
            [
                node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
                node("Relu", "t", "r"),
                node("Transpose", "r", "u", perm=[0, 3, 1, 2]),
                node("Conv", "u w", "y", pads=[1, 1, 1, 1]),
            ],
            IMAGE,
            W,
        ),
        ["Relu", "Identity", "Conv"],
    ),
    "two orders that make a third": (
        model(
            [node("Transpose", "x", "t", perm=[0, 2, 3, 1]), node("Transpose", "t", "y", perm=[0, 2, 1, 3])],
            {"y": (2, 10, 8, 6)},
            {},
        ),
        ["Transpose"],
    ),
    "a mean of positions, channels last": (
        model(
            [
                node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
                node("Clip", "t zero six", "k"),
                node("ReduceMean", "k", "y", axes=[1, -2], keepdims=0),
            ],
            {"y": (2, 6)},
            {"zero": np.float32(0), "six": np.float32(6)},
        ),
        ["Clip", "GlobalAveragePool", "Reshape"],
    ),
    "a mean in time, channels last": (
        model(
            [node("Transpose", "x", "t", perm=[0, 2, 1]), node("ReduceMean", "t a", "y", keepdims=0)],
            {"y": (2, 6)},
            {"a": np.array([1])},
            x=(2, 6, 8),
            opset=18,
        ),
        ["GlobalAveragePool", "Reshape"],
    ),
    "features, channels last": (
        model(
            [
                node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
                node("Reshape", "t s", "f"),
                node("MatMul", "f w", "m"),
                node("Add", "m b", "y"),
            ],
            {"y": (2, 5)},
            {"s": np.array([-1, 480]), "w": values(480, 5), "b": values(5)},
        ),
        ["Flatten", "Gemm"],
    ),
    "features the other way round": (
        model(
            [
                node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
                node("Flatten", "t", "f"),
                node("Gemm", "f w", "y", transB=1),
            ],
            {"y": (2, 5)},
            {"w": values(5, 480)},
        ),
        ["Flatten", "Gemm"],
    ),
    "a convolution in time of TensorFlow": (
        model(
            [
                node("Unsqueeze", "x two", "e"),
                node("Conv", "e w", "c", pads=[0, 1, 0, 1]),
                node("Squeeze", "c two", "q"),
                node("Add", "q b", "a"),
                node("Transpose", "a", "t", perm=[0, 2, 1]),
                node("Relu", "t", "r"),
                node("Transpose", "r", "y", perm=[0, 2, 1]),
            ],
            {"y": (2, 5, 8)},
            {"two": np.array([2]), "w": values(5, 6, 1, 3), "b": values(5, 1)},
            x=(2, 6, 8),
        ),
        ["Unsqueeze", "Conv", "Relu", "Squeeze", "Identity"],
    ),
    "a view that does not keep channels": (
        model(
            [CONV, node("Reshape", "c s", "f"), node("Add", "f b", "y")],
            {"y": (2, 60, 8)},
            {**W, "s": np.array([0, 60, 8]), "b": values(60, 1)},
        ),
        ["Conv", "Reshape", "BatchNormalization"],
    ),
    "read twice": (
        model(
            [CONV, node("Add", "c b", "s"), node("Mul", "c s", "y")],
            IMAGE,
            {**W, "b": ROW},
        ),
        ["Conv", "BatchNormalization", "Mul"],
    ),
    "an output too": (
        model([CONV, node("Add", "c b", "y")], {**IMAGE, "c": (2, 6, 8, 10)}, {**W, "b": ROW}),
        ["Conv", "BatchNormalization"],
    ),
    "product with a matrix and a bias": (
        model(
            [node("MatMul", "x w", "m"), node("Add", "m b", "y")],
            {"y": (2, 5)},
            {"w": values(6, 5), "b": values(5)},
            x=(2, 6),
        ),
        ["Gemm"],
    ),
    "fully connected the other way round": (
        model(
            [node("Gemm", "x w b", "m", transB=1), node("Mul", "m s", "y")],
            {"y": (2, 5)},
            {"w": values(5, 6), "b": values(5), "s": values(5)},
            x=(2, 6),
        ),
        ["Gemm"],
    ),
    "factors of a Gemm": (
        model(
            [node("Gemm", "x w b", "y", alpha=0.5, beta=2.0)],
            {"y": (2, 5)},
            {"w": values(6, 5), "b": values(5)},
            x=(2, 6),
        ),
        ["Gemm"],
    ),
    "hard sigmoid of another slope": (
        model(
            [CONV, node("HardSigmoid", "c", "h", alpha=0.2, beta=0.4), node("Mul", "c h", "y")],
            IMAGE,
            W,
        ),
        ["Conv", "BatchNormalization", "HardSigmoid", "Mul"],
    ),
    "squeeze and excite with it": (
        model(
            [CONV, node("HardSigmoid", "c", "y", alpha=0.2, beta=0.5)],
            IMAGE,
            W,
        ),
        ["Conv", "HardSigmoid"],
    ),
    "hard sigmoid of its parts": (
        model(
            [node("Add", "x three", "a"), node("Clip", "a zero six", "k"), node("Div", "k six", "y")],
            IMAGE,
            {"three": np.float32(3), "zero": np.float32(0), "six": np.float32(6)},
        ),
        ["HardSigmoid"],
    ),
    "hard swish of its parts": (
        model(
            [
                node("Add", "three x", "a"),
                node("Clip", "a zero six", "k"),
                node("Mul", "x k", "m"),
                node("Mul", "m sixth", "y"),
            ],
            IMAGE,
            {"three": np.float32(3), "zero": np.float32(0), "six": np.float32(6), "sixth": np.float32(1 / 6)},
        ),
        ["HardSigmoid", "Mul"],
    ),
    "parts": (
        model(
            [node("Split", "x parts", "a b c", axis=1), node("Concat", "c a b", "y", axis=1)],
            IMAGE,
            {"parts": np.array([1, 2, 3])},
        ),
        ["Slice", "Slice", "Slice", "Concat"],
    ),
    "parts that nobody reads": (
        model([node("Split", "x", "y b", axis=-1)], {"y": (2, 6, 8, 5)}, {}),
        ["Slice"],
    ),
    "parts by attribute": (
        model([node("Split", "x", "a y", axis=2, split=[3, 5])], {"y": (2, 6, 5, 10)}, {}, opset=11),
        ["Slice"],
    ),
    "a crop": (
        model(
            [node("Slice", "x b e", "y")],
            {"y": (2, 6, 5, 8)},
            {"b": np.array([0, 0, 1, 2]), "e": np.array([9, 2**40, -2, 10])},
        ),
        ["Slice", "Slice"],
    ),
    "all of it": (
        model([node("Slice", "x b e a", "s"), node("Relu", "s", "y")], IMAGE, {"b": [0], "e": [2], "a": [0]}),
        ["Identity", "Relu"],
    ),
    "mean of all positions": (
        model([node("ReduceMean", "x", "y", axes=[2, 3], keepdims=0)], {"y": (2, 6)}, {}),
        ["GlobalAveragePool", "Reshape"],
    ),
    "mean over rows": (
        model([node("ReduceMean", "x", "y", axes=[-1])], {"y": (2, 6, 8, 1)}, {}),
        ["AveragePool"],
    ),
    "mean in time": (
        model(
            [node("ReduceMean", "x a", "y")], {"y": (2, 6, 1)}, {"a": np.array([2])}, x=(2, 6, 8), opset=18
        ),
        ["GlobalAveragePool"],
    ),
    "nothing to expand or to convert": (
        model(
            [
                node("Expand", "x s", "e"),
                node("Cast", "e", "k", to=TensorProto.FLOAT),
                node("Relu", "k", "y"),
            ],
            IMAGE,
            {"s": np.array([2, 6, 8, 10])},
        ),
        ["Identity", "Identity", "Relu"],
    ),
}


@pytest.mark.parametrize("case", FORMS)
def test_forms_of_other_tools_compute_the_same_and_are_read(case):
    source, expected = FORMS[case]
    read = check(source)
    assert types(read) == expected
    assert read.foreign == {}


#: What looks like one of the forms and is none: it keeps its nodes.
KEPT = {
    "one number a row": model([CONV, node("Mul", "c s", "y")], IMAGE, {**W, "s": values(8, 1)}),
    "another shape": model(
        [node("Add", "x b", "y")], {"y": (2, 6, 8, 10)}, {"b": values(2, 6, 1, 1)}, x=(1, 6, 8, 10)
    ),
    "a constant over data": model([node("Div", "b x", "y")], IMAGE, {"b": ROW}),
    "division by zero": model([node("Div", "x b", "y")], IMAGE, {"b": 0 * ROW}),
    "whole numbers": model(
        [node("Add", "x b", "y")], IMAGE, {"b": np.ones((6, 1, 1), np.int32)}, element=TensorProto.INT32
    ),
    "double precision": model(
        [node("Add", "x b", "y")], IMAGE, {"b": ROW.astype(np.float64)}, element=TensorProto.DOUBLE
    ),
    "clip read twice": model(
        [
            node("Add", "x three", "a"),
            node("Clip", "a zero six", "k"),
            node("Div", "k six", "y"),
            node("Relu", "k", "z"),
        ],
        {**IMAGE, "z": (2, 6, 8, 10)},
        {"three": np.float32(4), "zero": np.float32(0), "six": np.float32(6)},
    ),
    "parts of the batch": model(
        [node("Split", "x", "y z", axis=0)], {"y": (1, 6, 8, 10), "z": (1, 6, 8, 10)}, {}
    ),
    "steps": model(
        [node("Slice", "x b e a s", "y")],
        {"y": (2, 6, 4, 10)},
        {"b": [0], "e": [8], "a": [2], "s": [2]},
    ),
    "mean of channels": model([node("ReduceMean", "x", "y", axes=[1])], {"y": (2, 1, 8, 10)}, {}),
    "factors of what is computed": model(
        [node("Gemm", "x x", "y", alpha=0.5, transB=1)], {"y": (2, 2)}, {}, x=(2, 6)
    ),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_is_another_form_computes_the_same_too(case):
    source = KEPT[case]
    if case == "division by zero":
        assert types(read_onnx(source)) == ["Div"]
        return
    read = check(source)
    if case != "clip read twice":  # the sum before it becomes a normalisation
        assert types(read) == [node.op_type for node in source.graph.node]


def test_subgraphs_read_values_too():
    # The sum of the convolution may not be folded: a branch reads the convolution.
    branch = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["t"])],
        "kept",
        [],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, (2, 6, 8, 10))],
    )
    source = model(
        [
            CONV,
            node("Add", "c b", "s"),
            node("ReduceMax", "x", "m", keepdims=0),
            node("Greater", "m zero", "g"),
            node("If", "g", "i", then_branch=branch, else_branch=branch),
            node("Mul", "s i", "y"),
        ],
        IMAGE,
        {**W, "b": ROW, "zero": np.float32(0)},
    )
    assert types(check(source))[:2] == ["Conv", "BatchNormalization"]


def test_a_quantised_model_keeps_its_nodes(tmp_path):
    from hannah_hw import load_space, to_onnx
    from hannah_hw.lowering.quantise import quantise_int8

    candidate = load_space("ds_cnn", input_shape=(1, 16, 16), max_blocks=1).candidate({})
    quantise_int8(to_onnx(candidate).SerializeToString(), tmp_path / "q.onnx", values(4, 1, 16, 16))
    source = onnx.load(tmp_path / "q.onnx")
    assert types(read_onnx(source)) == [node.op_type for node in source.graph.node]

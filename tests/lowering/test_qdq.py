"""Quick quantisation against ONNX Runtime's own quantiser: where nodes are, and what the models compute."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import hannah_hw as hw
from hannah_hw.lowering import to_onnx
from hannah_hw.lowering.qdq import quantised
from hannah_hw.lowering.quantise import quantise_int8, quantise_without_data
from hannah_hw.lowering.ranges import collect_ranges


def outputs(model, samples):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: sample[None]})[0] for sample in samples])


@pytest.mark.parametrize("name", ["ds_cnn", "mcunet", "pooled_cnn", "resnet", "tc_resnet"])
def test_it_computes_what_the_quantiser_of_onnx_runtime_computes(name, tmp_path):
    space = hw.load_space(name)
    model = to_onnx(space.candidate(space.sample(seed=5)))
    shape = [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
    samples = np.random.default_rng(0).standard_normal((6, *shape[1:])).astype(np.float32)
    quantise_int8(model.SerializeToString(), tmp_path / "int8.onnx", samples)
    theirs = onnx.load(tmp_path / "int8.onnx")
    inferred = onnx.shape_inference.infer_shapes(model)
    ours = quantised(inferred, collect_ranges(inferred, samples))
    onnx.checker.check_model(ours)
    assert sorted(n.op_type for n in ours.graph.node) == sorted(n.op_type for n in theirs.graph.node)
    expected, found = outputs(theirs, samples), outputs(ours, samples)
    # Scales are computed in other orders, so that single values round to the other side.
    assert np.abs(found - expected).max() <= 0.05 * np.abs(expected).max()


def graph(nodes, constants=(), shape=(1, 4, 6, 6)):
    return helper.make_model(
        helper.make_graph(
            nodes,
            "a",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(values.astype(np.float32), name) for name, values in constants],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )


WEIGHT = np.ones((4, 4, 1, 1))


@pytest.mark.parametrize(
    "model",
    [
        graph(
            [helper.make_node("BatchNormalization", ["x", "a", "a", "a", "a"], ["y"])], [("a", np.ones(4))]
        ),
        graph([helper.make_node("ConvTranspose", ["x", "w"], ["y"])], [("w", WEIGHT)]),
        graph([helper.make_node("Conv", ["x", "x"], ["y"])]),
        graph([helper.make_node("Mul", ["x", "w"], ["y"])], [("w", np.ones(1))]),
        graph(
            [helper.make_node("Conv", ["x", "w"], ["z"]), helper.make_node("Conv", ["z", "w"], ["y"])],
            [("w", WEIGHT)],
        ),
    ],
    ids=["normalisation", "transposed", "computed weights", "constant factor", "shared weights"],
)
def test_what_is_placed_otherwise_is_left_to_the_quantiser(model):
    assert quantised(model, {}) is None


def test_a_clamp_that_others_see_the_input_of_stays():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["z"]),
        helper.make_node("Relu", ["z"], ["r"]),
        helper.make_node("Add", ["z", "r"], ["y"]),
    ]
    model = graph(nodes, [("w", WEIGHT)])
    kinds = [node.op_type for node in quantise_without_data(model).graph.node]
    assert kinds.count("Relu") == 1
    alone = graph([*nodes[:1], helper.make_node("Relu", ["z"], ["y"])], [("w", WEIGHT)])
    assert "Relu" not in [node.op_type for node in quantise_without_data(alone).graph.node]


def test_a_model_is_not_changed():
    space = hw.load_space("ds_cnn")
    model = to_onnx(space.candidate(space.sample(seed=2)))
    before = model.SerializeToString(deterministic=True)
    quantise_without_data(model)
    assert model.SerializeToString(deterministic=True) == before

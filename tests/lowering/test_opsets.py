"""Quantising models of old operator sets."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hannah_hw.errors import ModelError
from hannah_hw.lowering import read_onnx
from hannah_hw.lowering.opsets import at_least, opset_of
from hannah_hw.lowering.quantise import quantise_int8

RNG = np.random.default_rng(0)


def values(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def network(opset):
    """A network whose Squeeze and Softmax changed with operator set 13."""
    squeeze = {"axes": [2, 3]} if opset < 13 else {}
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv"),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
        helper.make_node("Squeeze", ["p"] if squeeze else ["p", "axes"], ["s"], "squeeze", **squeeze),
        helper.make_node("Gemm", ["s", "v"], ["g"], "fc"),
        helper.make_node("Softmax", ["g"], ["y"], "softmax", axis=1),
    ]
    constants = {"w": values(8, 3, 3, 3) / 5, "b": values(8), "v": values(8, 5) / 8}
    constants |= {} if squeeze else {"axes": np.array([2, 3])}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 3, 8, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("N", 5))],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize("opset", [11, 12, 13, 17])
def test_operator_sets_from_11_on_are_quantised(opset, tmp_path):
    source = network(opset)
    samples = values(16, 3, 8, 8)
    quantise_int8(source.SerializeToString(), tmp_path / "q.onnx", samples)
    result = onnx.load(tmp_path / "q.onnx")
    assert opset_of(result) == max(opset, 13)
    kinds = ["conv", "avg_pool", "linear", "softmax"]
    assert list(read_onnx(result).workload().kernels.kinds) == kinds
    outputs = [
        onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {"x": samples[:1]}
        )[0]
        for made in (source, result)
    ]
    np.testing.assert_allclose(*outputs, atol=0.05)


def test_a_model_that_is_new_enough_is_left_alone():
    source = network(17)
    assert at_least(source, 13, "m") is source


def test_what_cannot_be_converted_is_said():
    source = network(11)
    source.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(
        ModelError, match=r"^m\.onnx: its operator set is 11, .* needs 13; it cannot be converted"
    ):
        at_least(source, 13, "m.onnx")

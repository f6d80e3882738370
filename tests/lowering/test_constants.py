"""Chains of nodes that only compute sizes are run, not priced."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hannah_hw.errors import ModelError
from hannah_hw.lowering import read_onnx
from hannah_hw.lowering.constants import MAX_ELEMENTS, fold_constants


def model(nodes, constants, output, shape=("N", 3, 8, 8)):
    graph = helper.make_graph(
        [
            helper.make_node(kind, inputs, outputs, **attributes)
            for kind, inputs, outputs, attributes in nodes
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


#: x.view(x.size(0), -1), as exporters write it.
VIEW = (
    [
        ("Shape", ["x"], ["s"], {}),
        ("Gather", ["s", "zero"], ["n"], {"axis": 0}),
        ("Unsqueeze", ["n", "axes"], ["n1"], {}),
        ("Concat", ["n1", "rest"], ["sizes"], {"axis": 0}),
        ("Reshape", ["x", "sizes"], ["flat"], {}),
        ("Softmax", ["flat"], ["y"], {}),
    ],
    {"zero": np.int64(0), "axes": np.array([0]), "rest": np.array([-1])},
)


def test_sizes_from_shapes_are_no_kernels():
    read = read_onnx(model(*VIEW, ["N", "M"]), shapes={"x": (1, 3, 8, 8)})
    assert read.foreign == {}
    assert read.workload(bits=8).kernels.kinds == ("softmax",)
    assert read.workload(bits=8).buffers.bytes.tolist() == [[192, 192]]


def test_values_are_those_of_the_nodes():
    source = onnx.shape_inference.infer_shapes(model(*VIEW, ["N", "M"], (2, 3, 8, 8)), data_prop=True)
    assert fold_constants(source)
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in source.graph.initializer}
    assert values["sizes"].tolist() == [2, -1]
    assert [node.op_type for node in source.graph.node] == ["Reshape", "Softmax"]
    assert not fold_constants(source)


def test_a_part_of_a_shape():
    nodes = [
        ("Shape", ["x"], ["s"], {"start": 1, "end": -1}),
        ("Concat", ["zero", "s", "rest"], ["sizes"], {"axis": 0}),
        ("Reshape", ["x", "sizes"], ["y"], {}),
    ]
    read = read_onnx(
        model(nodes, {"zero": np.array([0]), "rest": np.array([2, 4])}, [1, 3, 8, 2, 4], (1, 3, 8, 8))
    )
    assert read.foreign == {}


def test_large_constants_are_not_computed():
    """A few bytes could ask for any amount of memory."""
    nodes = [("ConstantOfShape", ["size"], ["c"], {}), ("Concat", ["x", "c"], ["y"], {"axis": 1})]
    for channels, computed in ((3, True), (MAX_ELEMENTS, False), (1 << 40, False)):
        source = model(nodes, {"size": np.array([1, channels, 8, 8])}, [1, channels + 3, 8, 8], (1, 3, 8, 8))
        assert fold_constants(onnx.shape_inference.infer_shapes(source)) == computed


def test_chains_that_cannot_be_run_are_an_error():
    nodes = [("Gather", ["v", "i"], ["s"], {}), ("Reshape", ["x", "s"], ["y"], {})]
    source = model(nodes, {"v": np.arange(8), "i": np.array([9, 9])}, [1, 192], (1, 3, 8, 8))
    with pytest.raises(ModelError, match="the model: its constants cannot be computed"):
        read_onnx(source)

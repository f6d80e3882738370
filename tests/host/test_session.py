"""Sessions on models that do not fit this machine."""

import pytest
from onnx import TensorProto, helper

from hannah_hw.errors import ModelError
from hannah_hw.host.graph import optimised_kernels


@pytest.mark.parametrize("size", [1 << 20, 1 << 40])
def test_inputs_that_are_larger_than_memory_are_refused(size):
    value, result = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, size, size]) for name in ("x", "y")
    )
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "huge", [value], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    with pytest.raises(ModelError, match=f"inputs of the shapes .*{size}.* take .*; give a smaller --shape"):
        optimised_kernels(model)

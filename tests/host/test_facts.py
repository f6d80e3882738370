"""The facts of this machine against the graphs that ONNX Runtime makes here."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hannah_hw.errors import TargetError
from hannah_hw.host.facts import nchwc_block, processor, this_runtime
from hannah_hw.host.session import open_session


@pytest.mark.parametrize("channels", [5, 24, 40, 64])
def test_convolutions_are_padded_to_whole_blocks(tmp_path, channels):
    weights = numpy_helper.from_array(np.ones((channels, 3, 3, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, channels, 6, 6])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    open_session(model.SerializeToString(), optimised_path=tmp_path / "optimised.onnx")
    (found,) = onnx.load(tmp_path / "optimised.onnx").graph.initializer
    block = nchwc_block()
    assert found.dims[0] == -(-channels // block) * block


def test_the_facts_are_those_of_a_target():
    found = this_runtime(threads=3)
    assert (found.version, found.threads) == (onnxruntime.__version__, 3)
    assert found.nchwc_block == nchwc_block()
    assert found.processor == processor() != ""


def test_no_threads_are_too_few():
    with pytest.raises(TargetError, match="threads: must be at least 1"):
        this_runtime(threads=0)

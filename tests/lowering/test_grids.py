"""Where the int8 form of a model rounds, counted by hand."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from hannah_hw.lowering.grids import grids_of

WEIGHT = np.random.default_rng(0).standard_normal((4, 4, 1, 1)).astype(np.float32)


def model(nodes, result, *, constants=()):
    return helper.make_model(
        helper.make_graph(
            nodes,
            "a",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 6, 6))],
            [helper.make_tensor_value_info(result, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(values, name) for name, values in [("w", WEIGHT), *constants]],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )


def test_a_clamp_is_rounded_in_place_of_what_it_clamps_and_pooling_has_the_range_of_its_input():
    found = grids_of(
        model(
            [
                helper.make_node("Conv", ["x", "w"], ["z"], name="conv"),
                helper.make_node("Relu", ["z"], ["r"], name="relu"),
                helper.make_node("MaxPool", ["r"], ["p"], name="pool", kernel_shape=[2, 2]),
                helper.make_node("Add", ["p", "p"], ["y"], name="add"),
            ],
            "y",
        )
    )
    assert found.values == {"x": "x", "r": "r", "p": "r", "y": "y"}
    assert found.weights == {"conv": True}


def test_what_the_quantiser_of_onnx_runtime_places_is_read_alike():
    """A transposed convolution is left to it; of one with groups the weight has one scale."""
    grouped = np.ones((4, 1, 2, 2), np.float32)
    found = grids_of(
        model(
            [
                helper.make_node("Conv", ["x", "w"], ["z"], name="conv"),
                helper.make_node("Relu", ["z"], ["r"], name="relu"),
                helper.make_node("ConvTranspose", ["r", "u"], ["y"], name="up", group=4),
            ],
            "y",
            constants=[("u", grouped)],
        )
    )
    assert found.values == {"x": "x", "r": "r", "y": "y"}
    assert found.weights == {"conv": True, "up": False}

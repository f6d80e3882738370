"""ONNX models as several tools write them, for the tests of the profiler."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
_info = helper.make_tensor_value_info


def tensor(name, values, dtype=np.float32):
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def random(name, *shape):
    return tensor(name, np.random.default_rng(len(name)).normal(size=shape))


def model(nodes, inputs, outputs, tensors=(), opset=17, ml=None):
    """A model; inputs and outputs are (name, type, shape) or a whole value."""
    values = [
        [value if not isinstance(value, tuple) else _info(*value) for value in side]
        for side in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "g", *values, list(tensors))
    domains = [helper.make_opsetid("", opset)]
    domains += [helper.make_opsetid("ai.onnx.ml", ml)] if ml else []
    return helper.make_model(graph, opset_imports=domains, ir_version=8)


def classifier(opset=17):
    """A torch-style export: channels first, the batch open, Gemm at the end."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="conv", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("GlobalAveragePool", ["b"], ["c"], name="pool"),
        helper.make_node("Flatten", ["c"], ["d"], name="flatten"),
        helper.make_node("Gemm", ["d", "fc"], ["y"], name="fc", transB=1),
    ]
    tensors = [random("w", 8, 3, 3, 3), random("fc", 10, 8)]
    return model(nodes, [("x", FLOAT, ["batch", 3, 16, 16])], [("y", FLOAT, ["batch", 10])], tensors, opset)


def channels_last(opset=13):
    """A TensorFlow-style export: channels last outside, transposes around the convolution."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], name="to", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "w"], ["a"], name="conv", pads=[1] * 4),
        helper.make_node("Transpose", ["a"], ["y"], name="back", perm=[0, 2, 3, 1]),
    ]
    shape = ["unk__6", 16, 16]
    return model(
        nodes, [("x", FLOAT, [*shape, 3])], [("y", FLOAT, [*shape, 8])], [random("w", 8, 3, 3, 3)], opset
    )


def quantised(opset=13):
    """A QDQ int8 model: one fully connected layer."""
    tensors = [
        tensor("s", 0.05),
        tensor("z", 0, np.int8),
        tensor("wq", np.arange(-12, 12).reshape(6, 4), np.int8),
        tensor("ws", 0.01),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["xd"], name="dx"),
        helper.make_node("DequantizeLinear", ["wq", "ws", "z"], ["wd"], name="dw"),
        helper.make_node("MatMul", ["xd", "wd"], ["y"], name="fc"),
    ]
    return model(nodes, [("x", FLOAT, [1, 6])], [("y", FLOAT, [1, 4])], tensors, opset)


def scaled_classifier():
    """A scikit-learn-style pipeline: ai.onnx.ml operators, labels as text, probabilities as a list of maps."""
    nodes = [
        helper.make_node(
            "Scaler", ["x"], ["s"], name="scaler", domain="ai.onnx.ml", offset=[0.5] * 4, scale=[2.0] * 4
        ),
        helper.make_node(
            "LinearClassifier",
            ["s"],
            ["label", "p"],
            name="linear",
            domain="ai.onnx.ml",
            coefficients=[float(i) for i in range(12)],
            intercepts=[0.0, 0.1, 0.2],
            classlabels_strings=["a", "b", "c"],
            post_transform="SOFTMAX",
        ),
        helper.make_node(
            "ZipMap", ["p"], ["maps"], name="zip", domain="ai.onnx.ml", classlabels_strings=["a", "b", "c"]
        ),
    ]
    number = helper.make_tensor_type_proto(FLOAT, [])
    maps = helper.make_value_info(
        "maps", helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.STRING, number))
    )
    return model(
        nodes, [("x", FLOAT, ["N", 4])], [("label", TensorProto.STRING, ["N"]), maps], opset=15, ml=2
    )


def text_encoder():
    """Words to numbers, as scikit-learn's encoders are exported: the input is text."""
    node = helper.make_node(
        "LabelEncoder",
        ["x"],
        ["y"],
        name="encode",
        domain="ai.onnx.ml",
        keys_strings=["0", "1"],
        values_floats=[3.0, 5.0],
    )
    return model([node], [("x", TensorProto.STRING, ["N", 2])], [("y", FLOAT, ["N", 2])], opset=15, ml=2)


def looped(turns=10):
    """A Loop that multiplies `turns` times, and an addition after it."""
    body = helper.make_graph(
        [
            helper.make_node("Mul", ["v", "v"], ["squared"], name="inside"),
            helper.make_node("Identity", ["more"], ["again"], name="more"),
        ],
        "body",
        [
            _info("i", TensorProto.INT64, []),
            _info("more", TensorProto.BOOL, []),
            _info("v", FLOAT, [1, 1000]),
        ],
        [_info("again", TensorProto.BOOL, []), _info("squared", FLOAT, [1, 1000])],
    )
    nodes = [
        helper.make_node("Loop", ["n", "", "x"], ["z"], name="loop", body=body),
        helper.make_node("Add", ["z", "x"], ["y"], name="after"),
    ]
    shape = [1, 1000]
    return model(nodes, [("x", FLOAT, shape)], [("y", FLOAT, shape)], [tensor("n", turns, np.int64)])

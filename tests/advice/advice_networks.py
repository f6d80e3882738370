"""A small network as an ONNX model, of any sizes: what advice says of a change is compared with the network itself."""

import copy

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: The sizes before a change. The sum ties pw to c4, the product c3 to se.
BASE = {
    "size": {"x": [16, 12]},
    "out_channels": {"c1": 16, "pw": 24, "c3": 8, "se": 8, "c4": 24},
    "kernel": {"c1": [5, 5], "dw": [3, 3], "pw": [1, 1], "c3": [3, 3], "se": [1, 1], "c4": [7, 7]},
    "stride": {
        "c1": [1, 1],
        "dw": [2, 2],
        "pw": [1, 1],
        "c3": [1, 1],
        "se": [1, 1],
        "c4": [1, 1],
        "pool": [2, 2],
    },
}


def changed(values):
    """The sizes with some numbers changed: ``c1.stride_0`` is the vertical stride of c1."""
    sizes = copy.deepcopy(BASE)
    for name, value in values.items():
        node, _, part = name.rpartition(".")
        kind, _, axis = part.rpartition("_")
        if kind == "out_channels":
            sizes[kind][node] = value
        else:
            sizes[kind][node][int(axis)] = value
    return sizes


def build(sizes, classes=10):
    """x -> c1 -> relu -> dw -> pw -> bn -> (c3 * sigmoid(se(mean(c3))) -> c4) + bn -> pool -> mean -> fc."""
    nodes, weights = [], []

    def conv(name, source, inputs, groups=1):
        outputs = inputs if groups > 1 else sizes["out_channels"][name]
        kernel = sizes["kernel"][name]
        shape = (outputs, inputs // groups, *kernel)
        weights.append(numpy_helper.from_array(np.full(shape, 0.5, np.float32), f"{name}.weight"))
        weights.append(numpy_helper.from_array(np.zeros(outputs, np.float32), f"{name}.bias"))
        sides = [(k - 1) // 2 for k in kernel]
        nodes.append(
            helper.make_node(
                "Conv",
                [source, f"{name}.weight", f"{name}.bias"],
                [f"{name}_out"],
                name,
                kernel_shape=kernel,
                strides=sizes["stride"][name],
                pads=[*sides, *sides],
                group=groups,
            )
        )
        return f"{name}_out", outputs

    value, channels = conv("c1", "x", 3)
    nodes.append(helper.make_node("Relu", [value], ["relu_out"], "relu"))
    value, channels = conv("dw", "relu_out", channels, channels)
    value, channels = conv("pw", value, channels)
    statistics = [f"bn.{part}" for part in ("scale", "offset", "mean", "variance")]
    weights.extend(numpy_helper.from_array(np.ones(channels, np.float32), name) for name in statistics)
    nodes.append(helper.make_node("BatchNormalization", [value, *statistics], ["bn_out"], "bn"))
    value, inner = conv("c3", "bn_out", channels)
    nodes.append(helper.make_node("GlobalAveragePool", [value], ["squeezed"], "squeeze"))
    conv("se", "squeezed", inner)
    nodes.append(helper.make_node("Sigmoid", ["se_out"], ["gate_out"], "gate"))
    nodes.append(helper.make_node("Mul", [value, "gate_out"], ["mul_out"], "mul"))
    conv("c4", "mul_out", inner)
    nodes.append(helper.make_node("Add", ["bn_out", "c4_out"], ["add_out"], "add"))
    pooling = {"kernel_shape": [2, 2], "strides": sizes["stride"]["pool"]}
    nodes.append(helper.make_node("MaxPool", ["add_out"], ["pool_out"], "pool", **pooling))
    nodes.append(helper.make_node("GlobalAveragePool", ["pool_out"], ["mean_out"], "mean"))
    weights.append(numpy_helper.from_array(np.array([1, channels]), "sizes"))
    nodes.append(helper.make_node("Reshape", ["mean_out", "sizes"], ["flat"], "flatten"))
    weights.append(numpy_helper.from_array(np.ones((classes, channels), np.float32), "fc.weight"))
    nodes.append(helper.make_node("Gemm", ["flat", "fc.weight"], ["y"], "fc", transB=1))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, *sizes["size"]["x"]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, classes])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    return model

"""Small int8 ONNX models of many operators, quantised with noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hannah_hw.firmware.layers import Network
from hannah_hw.lowering.quantise import quantise_int8


class Graph:
    """A float32 model, made node by node; widths are (channels, height, width) or (channels, length)."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0) -> None:
        self.shape, self.rng = shape, np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def constant(self, value: object, kind: type = np.float32) -> str:
        name = f"c{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: object) -> str:
        output = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def conv(
        self,
        x: str,
        cin: int,
        cout: int,
        k: tuple[int, ...],
        *,
        stride: int = 1,
        groups: int = 1,
        relu: bool = True,
        name: str | None = None,
    ) -> str:
        depth = cin // groups * int(np.prod(k))
        weights = self.rng.normal(0, 1 / np.sqrt(depth), (cout, cin // groups, *k))
        inputs = [x, self.constant(weights), self.constant(self.rng.normal(0, 0.1, cout))]
        pads = [n // 2 for n in k] * 2
        attributes = {
            "kernel_shape": list(k),
            "strides": [stride] * len(k),
            "pads": pads,
            "group": groups,
        }
        y = self.op("Conv", *inputs, name=name, **attributes)
        return self.op("Relu", y) if relu else y

    def linear(self, x: str, cin: int, cout: int) -> str:
        weights = self.rng.normal(0, 1 / np.sqrt(cin), (cin, cout))
        return self.op("Gemm", x, self.constant(weights), self.constant(self.rng.normal(0, 0.1, cout)))

    def quantised(self, path: Path, *outputs: str, samples: int = 8) -> Path:
        """Write the int8 model."""
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, *self.shape])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None) for output in outputs],
            self.tensors,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        noise = self.rng.normal(0, 1, (samples, *self.shape)).astype(np.float32)
        quantise_int8(onnx.shape_inference.infer_shapes(model).SerializeToString(), path, noise)
        return path


def pooled(path: Path) -> Path:
    """No weights: poolings, a sum, a concatenation of unequal ranges, a softmax."""
    graph = Graph((4, 9, 7))
    a = graph.op("MaxPool", "input", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    b = graph.op("AveragePool", "input", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    c = graph.op("Concat", graph.op("Add", a, b), b, "input", axis=1)
    d = graph.op("Flatten", graph.op("GlobalAveragePool", c))
    return graph.quantised(path, graph.op("Softmax", d, axis=-1))


def plain(path: Path) -> Path:
    """Convolutions in a row, odd channels, stride 2."""
    graph = Graph((3, 13, 11))
    x = graph.conv("input", 3, 10, (3, 3))
    x = graph.conv(x, 10, 15, (3, 3), stride=2)
    x = graph.conv(x, 15, 15, (3, 3), groups=15)
    x = graph.conv(x, 15, 9, (1, 1))
    x = graph.conv(x, 9, 9, (5, 5), groups=9, stride=2)
    x = graph.op("Flatten", graph.op("GlobalAveragePool", x))
    return graph.quantised(path, graph.linear(x, 9, 5))


def residual(path: Path) -> Path:
    """Two residual blocks, one of them with a projection; two outputs."""
    graph = Graph((8, 10, 10))
    x = graph.conv("input", 8, 8, (3, 3))
    y = graph.conv(graph.conv(x, 8, 8, (3, 3)), 8, 8, (3, 3), relu=False)
    x = graph.op("Relu", graph.op("Add", x, y))
    y = graph.conv(x, 8, 16, (3, 3), stride=2, relu=False)
    z = graph.conv(x, 8, 16, (1, 1), stride=2, relu=False)
    x = graph.op("Relu", graph.op("Add", y, z))
    features = graph.op("Flatten", graph.op("GlobalAveragePool", x))
    return graph.quantised(path, graph.linear(features, 16, 4), features)


def temporal(path: Path) -> Path:
    """One-dimensional convolutions, some depthwise."""
    graph = Graph((20, 49))
    x = graph.conv("input", 20, 16, (3,))
    x = graph.conv(x, 16, 24, (9,), stride=2)
    x = graph.conv(x, 24, 24, (9,), groups=24)
    x = graph.conv(x, 24, 24, (1,))
    x = graph.op("Flatten", graph.op("GlobalAveragePool", x))
    return graph.quantised(path, graph.op("Softmax", graph.linear(x, 24, 12), axis=-1))


MODELS = {"pooled": pooled, "plain": plain, "residual": residual, "temporal": temporal}


def random_inputs(network: Network, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.integers(-128, 128, network.values[i].shape).astype(np.int8) for i in network.inputs]

"""Int8 for the values of a network that have no bits of their own, where others have.

What a `hannah_hw.lowering.fake_quantise` function marks stays on its grid, which training has seen; it is computed
in float32, where sums of products of few bits are exact. Every other weight and every other value that a kernel
writes to memory is rounded to int8 by a pair of quantise and dequantise nodes: what the deployed network stores, and
what the Workload says. Biases stay float32; deployed ones have 32 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.operators.quantise import DOMAIN

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Ranges = Mapping[str, tuple[np.float32, np.float32]]

#: Operators that pass values on as they are; what they write is on the grid of what they read.
_PRESERVING: Final = frozenset(
    {"DepthToSpace", "Dropout", "Flatten", "Identity", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose"}
    | {"Unsqueeze"}
)

#: Operators whose kernels apply a clamp behind them before they write; see `hannah_hw.workload.rows.CLAMPING`.
_CLAMPING: Final = frozenset(
    {"Add", "AveragePool", "Conv", "ConvTranspose", "Gemm", "GlobalAveragePool", "MatMul", "MaxPool", "Mul"}
)
_CLAMPS: Final = frozenset({"Relu", "Clip"})

#: Operators with weights -> the axis of the output channels.
_WEIGHTS: Final = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1}


def has_own_bits(model: ModelProto) -> bool:
    """Whether some values or weights of a model say with how many bits they are kept."""
    return any(node.domain == DOMAIN for node in model.graph.node)


def quantise_others(model: ModelProto, ranges: Ranges, operators: frozenset[str]) -> ModelProto:
    """Round what has no bits of its own to int8.

    Args:
        model: A float32 model; it is not changed.
        ranges: Value name -> smallest and largest value.
        operators: ONNX types of the operators whose integer kernels read and write int8.

    Returns:
        The model with quantise and dequantise nodes.
    """
    import onnx

    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    emitter = Pairs({tensor.name: tensor for tensor in graph.initializer})
    nodes = list(graph.node)
    users: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            users.setdefault(name, []).append(node)
    outputs = {value.name for value in graph.output}
    renamed: dict[str, str] = {}
    for value in graph.input:
        taken = users.get(value.name, [])
        if value.name not in emitter.constants and any(node.op_type in operators for node in taken):
            renamed[value.name] = emitter.pair(value.name, f"{value.name}/int8", ranges[value.name])
    for node in nodes:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        emitter.weights(node)
        emitter.nodes.append(node)
        (name, *_) = node.output
        if name in ranges and _is_stored(node, users.get(name, []), name in outputs, operators):
            node.output[0] = f"{name}/float"
            emitter.pair(node.output[0], name, ranges[name])
    del graph.node[:]
    del graph.initializer[:]
    del graph.value_info[:]
    graph.node.extend(emitter.nodes)
    graph.initializer.extend(emitter.constants.values())
    return result


def _is_stored(node: NodeProto, users: list[NodeProto], is_output: bool, operators: frozenset[str]) -> bool:
    """Whether a kernel writes the value of a node to memory, as int8."""
    if node.domain == DOMAIN or node.op_type in _PRESERVING:
        return False
    if len(users) == 1 and not is_output:
        (user,) = users
        if user.domain == DOMAIN or (user.op_type in _CLAMPS and node.op_type in _CLAMPING):
            return False
    return node.op_type in operators or any(user.op_type in operators for user in users)


class Pairs:
    """Collects pairs of quantise and dequantise nodes, and their constants."""

    def __init__(self, constants: dict[str, Any]) -> None:
        self.constants = constants
        self.nodes: list[Any] = []

    def pair(self, source: str, result: str, limits: tuple[np.float32, np.float32]) -> str:
        """Round a value to int8: 256 steps from the smallest to the largest value, which include 0."""
        low, scale = min(float(limits[0]), 0.0), _step(limits)
        zero = np.int8(np.clip(np.rint(-128.0 - low / scale), -128, 127))
        rounded = f"{result}/rounded"
        grid = [self._constant(f"{result}/scale", scale), self._constant(f"{result}/zero", zero)]
        self._node("QuantizeLinear", [source, *grid], rounded)
        self._node("DequantizeLinear", [rounded, *grid], result)
        return result

    def weights(self, node: NodeProto) -> None:
        """Round the weight of a node, symmetrically with a scale an output channel."""
        from onnx import numpy_helper

        if node.op_type not in _WEIGHTS or node.input[1] not in self.constants:
            return
        name = node.input[1]
        values = np.asarray(numpy_helper.to_array(self.constants.pop(name)), np.float32)
        transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        axis = 0 if transposed else _WEIGHTS[node.op_type]
        others = tuple(dim for dim in range(values.ndim) if dim != axis)
        scale = (np.abs(values).max(others) / np.float32(127)).astype(np.float32)
        scale = np.where(scale > 0, scale, np.float32(1))
        shape = [1] * values.ndim
        shape[axis] = -1
        levels = np.clip(np.rint(values / scale.reshape(shape)), -127, 127).astype(np.int8)
        grid = [
            self._constant(f"{name}/scale", scale),
            self._constant(f"{name}/zero", np.zeros(len(scale), np.int8)),
        ]
        self._node("DequantizeLinear", [self._constant(f"{name}/int8", levels), *grid], name, axis=axis)

    def bias(self, node: NodeProto, limits: tuple[np.float32, np.float32]) -> None:
        """Round the bias of a node to int32, in steps of its sums; its weight is rounded.

        Args:
            node: With a weight and perhaps a bias of its own.
            limits: Of its input.
        """
        from onnx import numpy_helper

        if len(node.input) < 3 or node.input[2] not in self.constants:
            return
        name = node.input[2]
        values = np.asarray(numpy_helper.to_array(self.constants.pop(name)), np.float32)
        steps = numpy_helper.to_array(self.constants[f"{node.input[1]}/scale"])
        scale = (_step(limits) * steps).astype(np.float32)
        levels = np.rint(np.clip(values / scale, -(2.0**30), 2.0**30)).astype(np.int32)
        grid = [
            self._constant(f"{name}/scale", scale),
            self._constant(f"{name}/zero", np.zeros(len(scale), np.int32)),
        ]
        self._node("DequantizeLinear", [self._constant(f"{name}/int32", levels), *grid], name, axis=0)

    def _constant(self, name: str, values: NDArray[Any] | np.generic) -> str:
        from onnx import numpy_helper

        self.constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"{output}/{kind}", **attributes))


def _step(limits: tuple[np.float32, np.float32]) -> np.float32:
    """The step of an int8 grid from the smallest to the largest value, which include 0."""
    return np.float32((max(float(limits[1]), 0.0) - min(float(limits[0]), 0.0)) / 255.0 or 1.0)

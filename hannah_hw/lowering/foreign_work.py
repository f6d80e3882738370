"""Multiply-accumulates of nodes that nothing reads, by the shapes that the file gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from hannah_hw.lowering.reader import OnnxModel

#: Convolution -> which of its inputs are the weights.
_CONVOLUTIONS: Final = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}
#: Products of two matrices, of which the first input is one.
_PRODUCTS: Final = ("MatMul", "MatMulInteger", "QLinearMatMul", "Gemm")
_RECURRENT: Final = ("LSTM", "GRU", "RNN")


def foreign_macs(model: OnnxModel) -> dict[str, int | None]:
    """Multiply-accumulates of each node of a file that nothing reads; None where they are not known."""
    shapes = _shapes(model.model)
    return {name: _macs(model.sources[name], shapes) for name in model.foreign}


def _shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """Value -> its shape, of those whose sizes are all known."""
    graph = model.graph
    found = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        sizes = [axis.dim_value for axis in tensor.shape.dim]
        if tensor.HasField("shape") and all(sizes):
            found[value.name] = tuple(sizes)
    return found


def _macs(node: NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    from onnx import helper

    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    given = [shapes.get(name, ()) for name in node.input]
    result = math.prod(shapes.get(next((name for name in node.output if name), ""), (0,)))
    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type in _CONVOLUTIONS:
        weights = given[_CONVOLUTIONS[node.op_type]]
        # Each output is a sum over the input channels of its group and the elements of the kernel.
        return result * math.prod(weights[1:]) or None if weights else None
    if node.op_type == "ConvTranspose":
        return math.prod(given[0]) * math.prod(given[1][1:]) if all(given[:2]) else None
    if node.op_type in _PRODUCTS:
        shared = given[0][0 if attributes.get("transA") else -1] if given[0] else 0
        return result * shared or None
    if node.op_type in _RECURRENT:
        data, weights, recurrent = given[:3]
        # (steps, batch, inputs), and gates by inputs and by hidden values, of each direction.
        return math.prod(data[:2]) * (math.prod(weights) + math.prod(recurrent)) if all(given[:3]) else None
    if node.op_type == "Einsum":
        return _einsum(attributes["equation"].decode(), given)
    return None


def _einsum(equation: str, given: list[tuple[int, ...]]) -> int | None:
    """The product of the sizes of all indices, of a product of two."""
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    if len(terms) != 2 or "." in equation or [*map(len, terms)] != [*map(len, given)]:
        return None
    sizes = {
        index: size
        for term, shape in zip(terms, given, strict=True)
        for index, size in zip(term, shape, strict=True)
    }
    return math.prod(sizes.values())

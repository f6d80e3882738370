"""Factors and offsets a channel, as Paddle, TensorFlow and scikit-learn write biases and batch normalisations.

``Mul``, ``Div``, ``Add`` and ``Sub`` with a constant that has one number a channel become part of the layer or the
batch normalisation that computes their operand and that nobody else reads, or else a ``BatchNormalization``; so does a
``BatchNormalization`` behind such a layer.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.lowering.rewriting.graph import VIEWS, Rewritten, attributes_of

FloatArray = NDArray[np.float64]

#: ONNX's number of the element type float32.
FLOAT: Final = 1
#: Layers -> axis of the output channels in their weight.
_LAYERS: Final = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1}


def affine(graph: Rewritten, node: Any) -> list[Any] | None:
    """A ``Mul``, ``Div``, ``Add`` or ``Sub`` with a constant that has one number a channel."""
    found = _factor_and_offset(graph, node)
    if found is None:
        return None
    source, factor, offset = found
    merged = _into_producer(graph, node.output[0], source, factor, offset) or _before_view(
        graph, node, source, factor, offset
    )
    if merged is not None:
        return merged
    if graph.element_type(source) != FLOAT:
        return None
    if node.op_type in ("Mul", "Div") and (factor == factor[0]).all() and factor[0] > 0:
        return None  # one positive number, which is read as it is
    before = graph.producer(source, "Mul", "Div") if graph.read_once(source) else None
    inner = _factor_and_offset(graph, before) if before is not None else None
    if inner is not None:  # a positive number, which was left as it is
        source, factor = inner[0], factor * inner[1]
        graph.drop(before)
    return [_normalisation(graph, node, source, factor, offset)]


def normalisation(graph: Rewritten, node: Any) -> list[Any] | None:
    """A ``BatchNormalization`` behind a layer that nobody else reads: a part of the layer."""
    attributes = attributes_of(node)
    values = [graph.constant(name) for name in node.input[1:]]
    if attributes.get("training_mode", 0) or any(array is None for array in values) or len(values) != 4:
        return None
    scale, offset, mean, variance = (np.asarray(array, np.float64) for array in values)
    spread = variance + attributes.get("epsilon", 1e-5)
    if not (spread > 0).all():
        return None
    factor = scale / np.sqrt(spread)
    return _into_producer(graph, node.output[0], node.input[0], factor, offset - mean * factor)


def _before_view(
    graph: Rewritten, node: Any, source: str, factor: FloatArray, offset: FloatArray
) -> list[Any] | None:
    """The layer before a view that keeps channels, as convolutions in time have one, applying factors and offsets."""
    view = graph.producer(source, *VIEWS)
    if view is None or not graph.read_once(source):
        return None
    shape = graph.shapes.get(view.input[0], ())
    if len(shape) < 2 or shape[:2] != graph.shapes[source][:2]:
        return None
    value = graph.add_value(node.name or node.output[0], shape, source)
    merged = _into_producer(graph, value, view.input[0], factor, offset)
    if merged is None:
        return None
    copy = type(view)()
    copy.CopyFrom(view)
    copy.input[0], copy.output[0] = value, node.output[0]
    graph.drop(view)
    return [*merged, copy]


def _into_producer(
    graph: Rewritten, result: str, source: str, factor: FloatArray, offset: FloatArray
) -> list[Any] | None:
    """The layer or normalisation that computes a value, applying factors and offsets too, in its place."""
    producer = graph.producer(source, *_LAYERS, "BatchNormalization")
    if producer is None or not graph.read_once(source):
        return None
    merged = _merged(graph, producer, factor, offset)
    if merged is None:
        return None
    graph.drop(producer)
    merged.output[0] = result
    return [merged]


def _factor_and_offset(graph: Rewritten, node: Any) -> tuple[str, FloatArray, FloatArray] | None:
    """The data of a node, and what each channel of it is multiplied with and then moved by."""
    data = graph.data(node)
    if len(data) != 1 or len(node.input) != 2:
        return None
    shape = graph.shapes.get(data[0], ())
    if len(shape) < 2 or graph.shapes.get(node.output[0]) != shape:
        return None
    first = node.input[0] == data[0]
    values = graph.constant(node.input[1] if first else node.input[0])
    numbers = None if values is None else _a_channel(values, shape)
    if numbers is None or not np.isfinite(numbers).all():
        return None
    ones, zeros = np.ones_like(numbers), np.zeros_like(numbers)
    if node.op_type == "Add":
        return data[0], ones, numbers
    if node.op_type == "Sub":
        return (data[0], ones, -numbers) if first else (data[0], -ones, numbers)
    if node.op_type == "Mul":
        return data[0], numbers, zeros
    if not first or not numbers.all():
        return None  # a constant over data is no factor
    return data[0], 1 / numbers, zeros


def _a_channel(values: NDArray[Any], shape: tuple[int, ...]) -> FloatArray | None:
    """(C,) numbers of a constant that has one a channel of (N, C, ...) data, or one for all."""
    if values.dtype not in (np.float32, np.float64) or values.ndim > len(shape):
        return None
    sizes = (1,) * (len(shape) - values.ndim) + values.shape
    if any(size != 1 for axis, size in enumerate(sizes) if axis != 1) or sizes[1] not in (1, shape[1]):
        return None
    return np.broadcast_to(values.astype(np.float64).ravel(), shape[1]).copy()


def _merged(graph: Rewritten, node: Any, factor: FloatArray, offset: FloatArray) -> Any:
    """A copy of a layer or batch normalisation that applies factors and offsets too; None where it cannot."""
    from onnx import helper

    if node.op_type == "BatchNormalization":
        return _with_constants(
            graph, node, {1: lambda old: old * factor, 2: lambda old: old * factor + offset}
        )
    attributes = attributes_of(node)
    weight = graph.constant(node.input[1])
    groups = attributes.get("group", 1)
    plain_gemm = attributes.get("alpha", 1.0) == attributes.get("beta", 1.0) == 1.0
    if weight is None or not plain_gemm or (node.op_type == "ConvTranspose" and groups > 1):
        return None
    if node.op_type in ("MatMul", "Gemm") and (
        weight.ndim != 2 or len(graph.shapes.get(node.input[0], ())) != 2 or attributes.get("transA", 0)
    ):
        return None
    axis = 0 if attributes.get("transB", 0) else _LAYERS[node.op_type]
    along = factor.reshape([-1 if i == axis else 1 for i in range(weight.ndim)])
    changes: dict[int, Any] = {1: lambda old: old * along}
    bias = len(node.input) > 2 and bool(node.input[2])
    if bias:
        old = graph.constant(node.input[2])
        if old is None or old.size not in (1, factor.size):
            return None
        changes[2] = lambda old: np.broadcast_to(old.ravel(), factor.shape) * factor + offset
    result = _with_constants(graph, node, changes)
    if result is None or bias or not offset.any():
        return result
    name = graph.add_constant(f"{node.name or node.output[0]}.bias", offset.astype(weight.dtype))
    kind = "Gemm" if node.op_type == "MatMul" else node.op_type
    copy = helper.make_node(kind, [*result.input[:2], name], list(node.output), name=node.name)
    copy.attribute.extend(node.attribute)
    return copy


def _with_constants(graph: Rewritten, node: Any, changes: dict[int, Any]) -> Any:
    """A copy of a node with some constant inputs changed; None where one of them is computed."""
    copy = type(node)()
    copy.CopyFrom(node)
    for position, change in changes.items():
        old = graph.constant(node.input[position])
        if old is None or old.dtype not in (np.float32, np.float64):
            return None
        new = change(old.astype(np.float64)).astype(old.dtype)
        copy.input[position] = graph.add_constant(node.input[position], new)
    return copy


def _normalisation(graph: Rewritten, node: Any, source: str, factor: FloatArray, offset: FloatArray) -> Any:
    from onnx import helper

    near = node.name or node.output[0]
    constants = {
        "scale": factor,
        "offset": offset,
        "mean": np.zeros_like(factor),
        "variance": np.ones_like(factor),
    }
    names = [
        graph.add_constant(f"{near}.{key}", values.astype(np.float32)) for key, values in constants.items()
    ]
    return helper.make_node(
        "BatchNormalization", [source, *names], [node.output[0]], name=node.name, epsilon=0.0
    )

"""Transpositions between layouts, as TensorFlow's exports have them around operators that ONNX has channels first.

They, and views, move behind what computes each value by itself. They cancel with those that undo them, and disappear
before a mean of positions or before a fully connected layer, whose weights then take the values in the other order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hannah_hw.lowering.rewriting.graph import VIEWS, Rewritten, attributes_of
from hannah_hw.lowering.rewriting.parts import reduced_axes


def transposed(graph: Rewritten, name: str) -> tuple[Any, tuple[int, ...]] | None:
    """The transposition that computes a value which nobody else reads, and its order of the dimensions."""
    node = graph.producer(name, "Transpose")
    if node is None or not graph.read_once(name):
        return None
    rank = len(graph.shapes.get(node.input[0], ()))
    return node, tuple(attributes_of(node).get("perm", range(rank)[::-1]))


def behind(graph: Rewritten, node: Any) -> list[Any] | None:
    """An operator of single values on data in another order or shape: it computes first, so that layers take it."""
    before = graph.producer(node.input[0], "Transpose", *VIEWS)
    if before is None or not graph.read_once(node.input[0]) or graph.data(node) != [node.input[0]]:
        return None
    source, result = before.input[0], node.output[0]
    if source not in graph.shapes or len(node.output) != 1:
        return None
    copy, moved = type(node)(), type(node)()
    copy.CopyFrom(node)
    copy.input[0] = source
    copy.output[0] = graph.add_value(node.name or result, graph.shapes[source], result)
    moved.CopyFrom(before)
    moved.input[0], moved.output[0] = copy.output[0], result
    graph.drop(before)
    return [copy, moved]


def twice(graph: Rewritten, node: Any) -> list[Any] | None:
    """A transposition of transposed data: one, or none."""
    from onnx import helper

    found = transposed(graph, node.input[0])
    if found is None:
        return None
    first, order = found
    both = tuple(order[dim] for dim in attributes_of(node).get("perm", range(len(order))[::-1]))
    graph.drop(first)
    if both == tuple(range(len(both))):
        return [helper.make_node("Identity", [first.input[0]], [node.output[0]], name=node.name)]
    return [helper.make_node("Transpose", [first.input[0]], [node.output[0]], name=node.name, perm=both)]


def mean(graph: Rewritten, node: Any) -> list[Any] | None:
    """A mean that drops dimensions of transposed data: that of the data, where the others keep their order."""
    found, axes = transposed(graph, node.input[0]), reduced_axes(graph, node)
    if found is None or not axes or attributes_of(node).get("keepdims", 1):
        return None
    transposition, order = found
    over = {axis % len(order) for axis in axes}
    kept = [dim for axis, dim in enumerate(order) if axis not in over]
    if kept != sorted(kept):
        return None
    copy = type(node)()
    copy.CopyFrom(node)
    copy.input[0] = transposition.input[0]
    own = sorted(order[axis] for axis in over)
    if len(node.input) > 1:
        copy.input[1] = graph.add_constant(f"{node.name or node.output[0]}.axes", np.array(own, np.int64))
    else:
        next(attribute for attribute in copy.attribute if attribute.name == "axes").ints[:] = own
    graph.drop(transposition)
    return [copy]


def connected(graph: Rewritten, node: Any) -> list[Any] | None:
    """A fully connected layer on flattened transposed data: on flattened data, its weights in that order."""
    from onnx import helper

    flattening = graph.producer(node.input[0], "Flatten", "Reshape")
    weight, attributes = graph.constant(node.input[1]), attributes_of(node)
    if flattening is None or not graph.read_once(node.input[0]) or attributes.get("transA", 0):
        return None
    found = transposed(graph, flattening.input[0])
    if found is None or weight is None or weight.ndim != 2:
        return None
    transposition, order = found
    shape = graph.shapes.get(transposition.input[0], ())
    features = int(np.prod(shape[1:]))
    if not shape or order[0] != 0 or graph.shapes.get(node.input[0]) != (shape[0], features):
        return None
    # Where each value of the flattened transposed data lies in the flattened data.
    places = np.arange(features).reshape(shape[1:]).transpose([dim - 1 for dim in order[1:]]).ravel()
    moved = np.empty_like(weight)
    if attributes.get("transB", 0):
        moved[:, places] = weight
    else:
        moved[places] = weight
    flat = graph.add_value(flattening.output[0], (shape[0], features), node.input[0])
    copy = type(node)()
    copy.CopyFrom(node)
    copy.input[0], copy.input[1] = flat, graph.add_constant(node.input[1], moved)
    graph.drop(transposition)
    graph.drop(flattening)
    return [
        helper.make_node("Flatten", [transposition.input[0]], [flat], name=flattening.name, axis=1),
        copy,
    ]

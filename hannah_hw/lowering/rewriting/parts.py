"""Nodes that do several things at once, as the nodes that do them one after the other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hannah_hw.lowering.rewriting.channels import FLOAT
from hannah_hw.lowering.rewriting.graph import Rewritten, attributes_of


def split(graph: Rewritten, node: Any) -> list[Any] | None:
    """A ``Split`` along a dimension behind the batch: a ``Slice`` for each part that somebody reads."""
    source = node.input[0]
    shape, attributes = graph.shapes.get(source, ()), attributes_of(node)
    parts = [graph.shapes.get(name, ()) if name else () for name in node.output]
    axis = attributes.get("axis", 0) + (len(shape) if attributes.get("axis", 0) < 0 else 0)
    if not 0 < axis < len(shape) or any(len(part) != len(shape) for part in parts):
        return None
    ends = list(itertools.accumulate(part[axis] for part in parts))
    if ends[-1] != shape[axis]:
        return None
    near = node.name or node.output[0]
    return [
        _slice(graph, f"{near}:{index}", source, name, axis, end - part[axis], end)
        for index, (name, part, end) in enumerate(zip(node.output, parts, ends, strict=True))
        if graph.is_read(name)
    ]


def slices(graph: Rewritten, node: Any) -> list[Any] | None:
    """A ``Slice`` along several dimensions: one after the other; dimensions that are kept whole are left out."""
    from onnx import helper

    source, result = node.input[0], node.output[0]
    shape = graph.shapes.get(source, ())
    limits = [graph.constant(name) if name else None for name in node.input[1:5]]
    starts, ends, axes, steps = [*limits, None, None, None, None][:4]
    if not shape or starts is None or ends is None or graph.data(node) != [source]:
        return None
    if (axes is None and len(node.input) > 3 and node.input[3]) or (steps is not None and (steps != 1).any()):
        return None
    along = np.arange(starts.size) if axes is None else axes.ravel()
    wanted = []
    for axis, start, end in zip(along.tolist(), starts.ravel().tolist(), ends.ravel().tolist(), strict=True):
        begin, stop, _ = slice(start, end).indices(shape[axis])
        if (begin, stop) != (0, shape[axis]):
            wanted.append((axis % len(shape), begin, stop))
    if len(wanted) == along.size == 1:
        return None
    if not wanted:
        return [helper.make_node("Identity", [source], [result], name=node.name)]
    near, made, sizes = node.name or result, [], list(shape)
    for position, (axis, begin, stop) in enumerate(wanted):
        last = position == len(wanted) - 1
        sizes[axis] = stop - begin
        output = result if last else graph.add_value(near, sizes, result)
        made.append(_slice(graph, near if last else output, source, output, axis, begin, stop))
        source = output
    return made


def _slice(graph: Rewritten, name: str, source: str, output: str, axis: int, begin: int, end: int) -> Any:
    from onnx import helper

    numbers = {"starts": begin, "ends": end, "axes": axis}
    limits = [
        graph.add_constant(f"{name}.{key}", np.array([value], np.int64)) for key, value in numbers.items()
    ]
    return helper.make_node("Slice", [source, *limits], [output], name=name)


def reduced_axes(graph: Rewritten, node: Any) -> tuple[int, ...]:
    """The axes of an operator that reduces, which are an input from operator set 18 on; empty where not known."""
    axes = attributes_of(node).get("axes")
    if axes is None and len(node.input) > 1 and node.input[1]:
        given = graph.constant(node.input[1])
        axes = None if given is None else given.ravel().tolist()
    return tuple(axes or ())


def mean(graph: Rewritten, node: Any) -> list[Any] | None:
    """A ``ReduceMean`` over all positions, or over whole rows or columns: an average pooling, and what drops them."""
    from onnx import helper

    source, result, attributes = node.input[0], node.output[0], attributes_of(node)
    shape = graph.shapes.get(source, ())
    axes = reduced_axes(graph, node)
    if not axes or len(shape) not in (3, 4) or result not in graph.shapes:
        return None
    over = sorted(axis % len(shape) for axis in axes)
    if over[0] < 2:
        return None
    keeps = bool(attributes.get("keepdims", 1))
    sizes = [1 if axis in over else size for axis, size in enumerate(shape)]
    near = node.name or result
    pooled = result if keeps else graph.add_value(near, sizes, result)
    name = node.name if keeps else pooled
    if len(over) == len(shape) - 2:
        made = [helper.make_node("GlobalAveragePool", [source], [pooled], name=name)]
    else:
        window = [shape[axis] if axis in over else 1 for axis in range(2, len(shape))]
        made = [
            helper.make_node(
                "AveragePool", [source], [pooled], name=name, kernel_shape=window, strides=window
            )
        ]
    return made if keeps else [*made, _reshape(graph, near, pooled, result, graph.shapes[result])]


def _reshape(graph: Rewritten, near: str, source: str, result: str, shape: Sequence[int]) -> Any:
    from onnx import helper

    sizes = graph.add_constant(f"{near}.shape", np.array(shape, np.int64))
    return helper.make_node("Reshape", [source, sizes], [result], name=near)


def scaled_gemm(graph: Rewritten, node: Any) -> list[Any] | None:
    """A ``Gemm`` whose factors of product and bias are not 1: they become part of constant weights."""
    attributes = attributes_of(node)
    factors = {1: attributes.get("alpha", 1.0), 2: attributes.get("beta", 1.0)}
    positions = [position for position in factors if position < len(node.input) and node.input[position]]
    if all(factors[position] == 1.0 for position in positions):
        return None
    copy = type(node)()
    copy.CopyFrom(node)
    for position in positions:
        values = graph.constant(node.input[position])
        if values is None or values.dtype not in (np.float32, np.float64):
            return None
        new = (values.astype(np.float64) * factors[position]).astype(values.dtype)
        copy.input[position] = graph.add_constant(node.input[position], new)
    kept = [attribute for attribute in node.attribute if attribute.name not in ("alpha", "beta")]
    del copy.attribute[:]
    copy.attribute.extend(kept)
    return [copy]


def unchanged(graph: Rewritten, node: Any) -> list[Any] | None:
    """An ``Expand`` to the shape that its data has, or a ``Cast`` to the type: the value itself."""
    from onnx import helper

    source, result = node.input[0], node.output[0]
    kind = graph.element_type(source)
    if not kind or kind != graph.element_type(result):
        return None
    if source not in graph.shapes or graph.shapes[source] != graph.shapes.get(result):
        return None
    return [helper.make_node("Identity", [source], [result], name=node.name)]


def hard_sigmoid(graph: Rewritten, node: Any) -> list[Any] | None:
    """A ``HardSigmoid`` of another slope: that of 1/6 and 1/2, of its data times a number plus a number.

    ``alpha * x + beta = (6 * alpha * x + 6 * beta - 3) / 6 + 1 / 2``
    """
    from onnx import helper

    attributes = attributes_of(node)
    slope, offset = 6.0 * attributes.get("alpha", 0.2), 6.0 * attributes.get("beta", 0.5) - 3.0
    source, near = node.input[0], node.name or node.output[0]
    shape = graph.shapes.get(source)
    if shape is None or graph.element_type(source) != FLOAT:
        return None
    if math.isclose(slope, 1.0, rel_tol=1e-3) and abs(offset) < 1e-3:
        return None
    made = []
    for kind, number, skipped in (("Mul", slope, 1.0), ("Add", offset, 0.0)):
        if abs(number - skipped) > 1e-6:
            value = graph.add_value(near, shape, source)
            constant = graph.add_constant(f"{near}.number", np.array(number, np.float32))
            made.append(helper.make_node(kind, [source, constant], [value], name=value))
            source = value
    made.append(
        helper.make_node("HardSigmoid", [source], [node.output[0]], name=node.name, alpha=1.0 / 6.0, beta=0.5)
    )
    return made


def written_hard_sigmoid(graph: Rewritten, node: Any) -> list[Any] | None:
    """``min(max(x + 3, 0), 6) / 6``, also where it is multiplied with a value first, as a ``HardSigmoid``."""
    from onnx import helper

    over = _over_six(graph, node)
    if over is None or graph.element_type(node.output[0]) != FLOAT:
        return None
    clip = graph.producer(over, "Clip")
    product = graph.producer(over, "Mul")
    other = ""
    if product is not None and graph.read_once(over):
        clips = [name for name in product.input if graph.producer(name, "Clip") is not None]
        clip = graph.producer(clips[0], "Clip") if clips else None
        other = next((name for name in product.input if name not in clips[:1]), "")
    if clip is None or not graph.read_once(clip.output[0]) or _limits(graph, clip) != (0.0, 6.0):
        return None
    shifted = graph.producer(clip.input[0], "Add")
    if shifted is None or not graph.read_once(clip.input[0]):
        return None
    numbers = [graph.number(name) for name in shifted.input]
    if sorted(number for number in numbers if number is not None) != [3.0] or other == over:
        return None
    source = shifted.input[0] if numbers[0] is None else shifted.input[1]
    for gone in (clip, shifted, *([product] if other else [])):
        graph.drop(gone)
    near = node.name or node.output[0]
    result = node.output[0]
    value = graph.add_value(near, graph.shapes.get(source, ()), source) if other else result
    made = [
        helper.make_node(
            "HardSigmoid", [source], [value], name=value if other else node.name, alpha=1 / 6, beta=0.5
        )
    ]
    if other:
        made.append(helper.make_node("Mul", [value, other], [result], name=node.name))
    return made


def _over_six(graph: Rewritten, node: Any) -> str | None:
    """What a node divides by 6, or multiplies with 1/6."""
    numbers = [graph.number(name) for name in node.input]
    if node.op_type == "Div" and numbers[1] == 6.0:
        return str(node.input[0])
    for index, number in enumerate(numbers):
        if node.op_type == "Mul" and number is not None and math.isclose(number, 1 / 6, rel_tol=1e-5):
            return str(node.input[1 - index])
    return None


def _limits(graph: Rewritten, clip: Any) -> tuple[float | None, float | None]:
    """The limits of a ``Clip``, which are inputs from operator set 11 on."""
    names = [*clip.input[1:3], "", ""][:2]
    low, high = (graph.number(name) if name else None for name in names)
    return low, high

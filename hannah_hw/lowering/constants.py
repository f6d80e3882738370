"""Computing ahead what a file computes from constants and from known shapes.

Exporters write the sizes of a reshape or the sides of a padding as a chain of nodes. Such chains are run once, with
ONNX Runtime, so that the nodes that take their results can be read and their shapes be inferred.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from hannah_hw.errors import ModelError
from hannah_hw.lowering.learned_shapes import known_shapes
from hannah_hw.lowering.nodes import is_standard
from hannah_hw.lowering.runtime import calculator, runtime_errors

#: Most elements of a value that is computed ahead: sizes, sides and scales, not weights.
MAX_ELEMENTS: Final = 4096

#: Operators that are not computed ahead: those that the reader follows itself.
_KEPT: Final = frozenset({"Constant", "DequantizeLinear", "Identity", "QuantizeLinear"})


def fold_constants(model: Any, *, where: str = "the model") -> bool:
    """Replace nodes whose values follow from constants and shapes by initialisers.

    Args:
        model: An `onnx.ModelProto` with inferred shapes; it is changed.
        where: File name, for messages.

    Returns:
        Whether a node was replaced.

    Raises:
        ModelError: ONNX Runtime refuses to run such nodes.
    """
    from onnx import numpy_helper

    graph = model.graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer} | known_shapes(graph)
    known = {tensor.name for tensor in graph.initializer}
    known |= {node.output[0] for node in graph.node if is_standard(node, "Constant")}
    chain, kept = [], []
    for node in graph.node:
        shape = shapes.get(node.input[0]) if is_standard(node, "Shape") else None
        if shape is not None:
            limits = {attribute.name: attribute.i for attribute in node.attribute}
            part = np.array(shape[limits.get("start", 0) : limits.get("end", len(shape))], np.int64)
            graph.initializer.append(numpy_helper.from_array(part, node.output[0]))
            known.add(node.output[0])
        elif _can_be_run(node, known, shapes):
            chain.append(node)
            known.update(node.output)
        else:
            kept.append(node)
    if len(kept) == len(graph.node):
        return False
    taken = {name for node in kept for name in node.input} | {value.name for value in graph.output}
    wanted = [name for node in chain for name in node.output if name in taken]
    if wanted:
        graph.initializer.extend(_run(model, chain, wanted, where))
    nodes = [type(node).FromString(node.SerializeToString()) for node in kept]
    del graph.node[:]
    graph.node.extend(nodes)
    return True


def _can_be_run(node: Any, known: set[str], shapes: dict[str, tuple[int, ...]]) -> bool:
    """Whether a node's values are few and follow from known ones."""
    if not is_standard(node) or node.op_type in _KEPT or not node.input:
        return False
    if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
        return False
    return all(name in known or not name for name in node.input) and all(
        name in shapes and math.prod(shapes[name]) <= MAX_ELEMENTS
        for name in (*node.input, *node.output)
        if name
    )


def _run(model: Any, chain: list[Any], wanted: list[str], where: str) -> list[Any]:
    """Initialisers of the wanted values of a chain of nodes."""
    import onnx
    from onnx import numpy_helper

    part = onnx.ModelProto()
    part.CopyFrom(model)
    inputs = {name for node in chain for name in node.input}
    constants = [
        node for node in part.graph.node if is_standard(node, "Constant") and node.output[0] in inputs
    ]
    constants = [type(node).FromString(node.SerializeToString()) for node in constants]
    initialisers = [tensor for tensor in model.graph.initializer if tensor.name in inputs]
    for field in ("node", "initializer", "input", "output", "value_info"):
        part.graph.ClearField(field)
    part.graph.node.extend([*constants, *chain])
    part.graph.initializer.extend(initialisers)
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    try:
        values = calculator(part).run(wanted, {})
    except runtime_errors() as error:
        raise ModelError(
            f"its constants cannot be computed: {str(error).splitlines()[0]}", where=where
        ) from error
    return [numpy_helper.from_array(value, name) for name, value in zip(wanted, values, strict=True)]

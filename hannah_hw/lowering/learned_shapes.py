"""Shapes of ``ai.onnx.ml`` operators that the package onnx does not infer.

scikit-learn's models are exported to them. The rules are those of ONNX's own documentation (Operators-ml): scaling
keeps a shape, a regressor makes (N, targets), a classifier labels (N) and scores (N, classes).
"""

from __future__ import annotations

from typing import Any, Final

DOMAIN: Final = "ai.onnx.ml"

_SAME: Final = frozenset({"Scaler", "Normalizer", "Imputer", "Binarizer"})
#: Regressor -> attribute with the number of its targets; 1 without it.
_TARGETS: Final = {
    "LinearRegressor": "targets",
    "TreeEnsembleRegressor": "n_targets",
    "SVMRegressor": "",
}
_CLASSIFIERS: Final = frozenset({"LinearClassifier", "TreeEnsembleClassifier", "SVMClassifier"})
#: Attributes with the labels of classes.
_LABELS: Final = ("classlabels_ints", "classlabels_int64s", "classlabels_strings")


def add_learned_shapes(model: Any) -> bool:
    """Write the shapes that follow into a model, for shape inference to go on from; whether there were any.

    Args:
        model: An `onnx.ModelProto` after shape inference; it is changed.
    """
    from onnx import TensorProto, helper

    graph = model.graph
    known = known_shapes(graph)
    typed = {value.name for value in [*graph.value_info, *graph.output]}
    found = False
    for node in graph.node:
        if node.domain != DOMAIN or not node.input:
            continue
        for output, shape in zip(node.output, _shapes(node, known.get(node.input[0], ())), strict=False):
            if not output or not shape or min(shape) < 1 or output in known:
                continue
            known[output] = shape
            found = True
            if output in typed:
                for value in [*graph.value_info, *graph.output]:
                    if value.name == output:
                        _write(value.type.tensor_type.shape, shape)
            else:
                graph.value_info.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))
    return found


def known_shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    """Name of a value -> shape, where all of it is known.

    What ZipMap makes, a list of maps from labels to scores, has the shape of its scores.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for value in [*graph.value_info, *graph.input, *graph.output]:
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(
            dim.HasField("dim_value") and dim.dim_value >= 0 for dim in dims
        ):
            shapes[value.name] = tuple(dim.dim_value for dim in dims)
    for node in graph.node:
        if node.domain == DOMAIN and node.op_type == "ZipMap" and node.input[0] in shapes:
            shapes[node.output[0]] = shapes[node.input[0]]
    return shapes


def _shapes(node: Any, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of the outputs of a node, from that of its first input; none where no rule says."""
    if not shape:
        return []
    if node.op_type in _SAME:
        return [shape]
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type in _TARGETS:
        count = attributes.get(_TARGETS[node.op_type])
        return [(shape[0], count.i if count is not None else 1)]
    if node.op_type in _CLASSIFIERS:
        labels = [attributes[name] for name in _LABELS if name in attributes]
        classes = max((len(found.ints) + len(found.strings) for found in labels), default=0)
        return [(shape[0],), (shape[0], classes) if classes else ()]
    return []


def _write(target: Any, shape: tuple[int, ...]) -> None:
    del target.dim[:]
    for size in shape:
        target.dim.add().dim_value = size

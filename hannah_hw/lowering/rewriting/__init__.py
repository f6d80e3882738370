"""What other tools write, in the forms that the operators of this package read.

Every rule replaces nodes by others that compute the same. Transpositions go first, then forms that several nodes make
together, then factors and offsets a channel become part of the layers before them. Values between quantise and
dequantise nodes keep their form: no rule reaches over such a node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from hannah_hw.lowering.loading import PRODUCER, with_shapes
from hannah_hw.lowering.nodes import is_standard
from hannah_hw.lowering.open_shapes import GivenShapes
from hannah_hw.lowering.rewriting import channels, layouts, parts
from hannah_hw.lowering.rewriting.graph import Rewritten

__all__ = ["readable", "rewrite"]

Rule = Callable[[Rewritten, Any], list[Any] | None]

#: Most turns in which all rules are tried.
_TURNS: Final = 8
#: Operators that compute each value by itself, from nothing but it and constants.
_SINGLE: Final = ("Clip", "Elu", "Erf", "HardSigmoid", "HardSwish", "LeakyRelu", "Relu", "Sigmoid", "Tanh")
_LAYOUTS: Final[Mapping[str, tuple[Rule, ...]]] = {
    **dict.fromkeys(_SINGLE, (layouts.behind,)),
    "Gemm": (layouts.connected,),
    "MatMul": (layouts.connected,),
    "ReduceMean": (layouts.mean,),
    "Transpose": (layouts.twice,),
}
#: Operator type -> rules that are tried in turn; one that does not apply gives None.
_FORMS: Final[Mapping[str, tuple[Rule, ...]]] = {
    "Cast": (parts.unchanged,),
    "Div": (parts.written_hard_sigmoid,),
    "Expand": (parts.unchanged,),
    "Gemm": (parts.scaled_gemm,),
    "HardSigmoid": (parts.hard_sigmoid,),
    "Mul": (parts.written_hard_sigmoid,),
    "ReduceMean": (parts.mean,),
    "Slice": (parts.slices,),
    "Split": (parts.split,),
}
_CHANNELS: Final[Mapping[str, tuple[Rule, ...]]] = {
    **dict.fromkeys(("Add", "Div", "Mul", "Sub"), (channels.affine,)),
    "BatchNormalization": (channels.normalisation,),
}


def readable(model: Any, shapes: GivenShapes | None, where: str) -> Any:
    """A copy of a model with the shapes of its values, in the forms that operators read.

    What this package has written stays as it is: its operators are those of a candidate, kernel by kernel.

    Args:
        model: An `onnx.ModelProto` that is `hannah_hw.lowering.loading.checked`.
        shapes: Input name -> shape, or that of the only input; see `hannah_hw.lowering.open_shapes`.
        where: File name, for messages.

    Raises:
        ModelError: See `hannah_hw.lowering.loading.with_shapes` and `rewrite`.
    """
    shaped = with_shapes(model, shapes, where)
    _initialise(shaped.graph)
    if shaped.producer_name != PRODUCER:
        rewrite(shaped)
    return shaped


def _initialise(graph: Any) -> None:
    """Make initialisers of constants that are nodes: quantisers want them so."""
    constants = [
        node for node in graph.node if is_standard(node, "Constant") and node.attribute[0].name == "value"
    ]
    names = {node.output[0] for node in constants}
    for node in constants:
        tensor = graph.initializer.add()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
    kept = [
        type(node).FromString(node.SerializeToString()) for node in graph.node if node.output[0] not in names
    ]
    del graph.node[:]
    graph.node.extend(kept)


def rewrite(model: Any) -> bool:
    """Bring a model into the forms that operators read; whether anything was changed.

    Args:
        model: An `onnx.ModelProto` with inferred shapes; it is changed.

    Raises:
        ModelError: A constant holds other data than it says.
    """
    graph, turns = Rewritten(model), 0
    # What one rule makes can be what another one looks for.
    while turns < _TURNS and sum(_apply(graph, rules) for rules in (_LAYOUTS, _FORMS, _CHANNELS)):
        turns += 1
    if turns:
        graph.write()
    return turns > 0


def _apply(graph: Rewritten, rules: Mapping[str, tuple[Rule, ...]]) -> bool:
    """Apply rules in the order of the nodes; what they make is behind all that they look at."""
    changed = False
    for node in graph.current:
        for rule in rules.get(node.op_type, ()) if is_standard(node) else ():
            made = rule(graph, node) if graph.stands(node) else None
            if made is not None:
                graph.replace(node, made)
                changed = True
                break
    return changed

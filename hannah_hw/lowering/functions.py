"""Functions that an ONNX file defines: replaced by what they consist of, whatever they are called.

A name is no promise: a function of a stranger's file can be called as those of this package and compute something
else. What stays a function is what computes exactly what the package's own one does.
"""

from __future__ import annotations

from typing import Any, Final

from hannah_hw.errors import ModelError
from hannah_hw.lowering.fake_quantise import functions
from hannah_hw.operators.quantise import DOMAIN

#: Most nodes of a model whose functions are replaced; functions of functions can make 2**n of n.
MAX_NODES: Final = 1 << 17


def own_functions(model: Any) -> frozenset[str]:
    """Names, with their domain, of the functions of a model that are the package's own.

    Args:
        model: An `onnx.ModelProto`.
    """
    return frozenset(_name(function) for function in model.functions if _is_own(function))


def inlined(model: Any) -> Any:
    """A model without functions but the package's own; the model itself where it has no others.

    Args:
        model: An `onnx.ModelProto` that passes `check_functions` and ONNX's checker.
    """
    from onnx import inliner

    others = [function for function in model.functions if not _is_own(function)]
    if not others:
        return model
    return inliner.inline_selected_functions(model, [(function.domain, function.name) for function in others])


def _name(node: Any) -> str:
    return f"{node.domain}.{node.name}"


def _is_own(function: Any) -> bool:
    """Whether a function computes what the package's own one of its name does."""
    known = functions({_name(function)}, 1) if function.domain == DOMAIN else []
    return bool(known) and _content(function) == _content(known[0])


def _content(function: Any) -> Any:
    """All of a function that decides what it computes."""
    nodes = [
        (node.domain, node.op_type, list(node.input), list(node.output), len(node.attribute))
        for node in function.node
    ]
    attributes = list(function.attribute), len(function.attribute_proto)
    return list(function.input), list(function.output), attributes, nodes


def check_functions(model: Any, where: str) -> None:
    """Refuse functions that contain themselves or stand for far too many nodes.

    Args:
        model: An `onnx.ModelProto`.
        where: File name, for messages.

    Raises:
        ModelError: There are some.
    """
    bodies = {_name(function): function.node for function in model.functions}
    sizes: dict[str, int] = {}
    for root in bodies:
        stack, within = [root], set()
        while stack:
            name = stack[-1]
            calls = [call for call in _calls(bodies[name]) if call in bodies]
            waiting = [call for call in calls if call not in sizes]
            if waiting:
                within.add(name)
                if not within.isdisjoint(waiting):
                    raise ModelError(f"its function {waiting[0]} contains itself", where=where)
                stack.append(waiting[0])
                continue
            sizes[name] = sum(sizes.get(call, 1) for call in _calls(bodies[name]))
            within.discard(stack.pop())
    total = sum(sizes.get(call, 1) for call in _calls(model.graph.node))
    if total > MAX_NODES:
        raise ModelError(f"its functions stand for {total} nodes; at most {MAX_NODES} are read", where=where)


def _calls(nodes: Any) -> list[str]:
    """What each node computes, by name, those of subgraphs included."""
    names: list[str] = []
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        names.append(f"{node.domain}.{node.op_type}")
        for attribute in node.attribute:
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                waiting.extend(graph.node)
    return names

"""A graph of an ONNX model while it is rewritten: who computes a value, who reads it, which values are constants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.lowering.learned_shapes import known_shapes
from hannah_hw.lowering.nodes import array_of, is_standard, plain

#: Operators that give the same values in the same order another shape.
VIEWS: Final = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")


class Rewritten:
    """A graph and what rules ask of it.

    Args:
        model: An `onnx.ModelProto` with inferred shapes; it is changed.

    Attributes:
        shapes: Name of a value -> shape, where it is known.
    """

    def __init__(self, model: Any) -> None:
        self.graph = model.graph
        self.shapes = known_shapes(self.graph)
        self.nodes: list[Any] = list(self.graph.node)
        self._types = {
            value.name: value.type.tensor_type.elem_type
            for value in [*self.graph.value_info, *self.graph.input, *self.graph.output]
        }
        self._constants = {tensor.name: tensor for tensor in self.graph.initializer}
        self._constants |= {
            node.output[0]: node.attribute[0].t
            for node in self.nodes
            if is_standard(node, "Constant") and node.attribute[0].name == "value"
        }
        self._arrays: dict[str, NDArray[Any]] = {}
        self._taken = {name for node in self.nodes for name in (*node.input, *node.output)} | set(self._types)
        self._taken |= {node.name for node in self.nodes} | set(self._constants)
        self._producers = {name: node for node in self.nodes for name in node.output if name}
        self._uses = Counter(value.name for value in self.graph.output)
        self._uses.update(_inputs(self.nodes))
        self._dropped: set[int] = set()
        self._replaced: dict[int, list[Any]] = {}

    def producer(self, name: str, *types: str) -> Any:
        """The node of ONNX's own domain that computes a value, if it is of one of the types; None otherwise."""
        node = self._producers.get(name)
        return node if node is not None and is_standard(node, *types) else None

    def read_once(self, name: str) -> bool:
        """Whether one place reads a value, the outputs of the graph included."""
        return self._uses[name] == 1

    def constant(self, name: str) -> NDArray[Any] | None:
        """The values of a constant; None of what is computed.

        Raises:
            ModelError: It holds other data than it says.
        """
        if name not in self._constants:
            return None
        if name not in self._arrays:
            self._arrays[name] = array_of(self._constants[name])
        return self._arrays[name]

    def number(self, name: str) -> float | None:
        """The value of a constant that is one number; None otherwise."""
        values = self.constant(name)
        return (
            float(values.item())
            if values is not None and values.size == 1 and values.dtype.kind == "f"
            else None
        )

    def data(self, node: Any) -> list[str]:
        """Inputs of a node that are computed."""
        return [name for name in node.input if name and name not in self._constants]

    def element_type(self, name: str) -> int:
        """ONNX's number of the element type of a value; 0 where it is not known."""
        return int(self._types.get(name, 0))

    def add_constant(self, near: str, values: NDArray[Any]) -> str:
        """A new constant; returns its name, which begins with that of what it belongs to."""
        from onnx import numpy_helper

        name = self.fresh(near)
        tensor = numpy_helper.from_array(np.ascontiguousarray(values), name)
        self.graph.initializer.append(tensor)
        self._constants[name] = tensor
        return name

    def add_value(self, near: str, shape: Sequence[int], like: str) -> str:
        """A new value with the element type of another; returns its name."""
        from onnx import helper

        name, kind = self.fresh(near), self.element_type(like)
        self.graph.value_info.append(helper.make_tensor_value_info(name, kind, list(shape)))
        self.shapes[name], self._types[name] = tuple(shape), kind
        return name

    def is_read(self, name: str) -> bool:
        """Whether anything reads a value, the outputs of the graph included."""
        return self._uses[name] > 0

    def drop(self, node: Any) -> None:
        """Remove a node; what it read is read once less."""
        self._dropped.add(id(node))
        self._uses.subtract(_inputs([node]))

    def stands(self, node: Any) -> bool:
        """Whether a node was not removed."""
        return id(node) not in self._dropped

    def replace(self, node: Any, made: Sequence[Any]) -> None:
        """Put nodes in the place of one."""
        self.drop(node)
        self._replaced[id(node)] = list(made)
        self._uses.update(_inputs(made))
        self._producers.update((name, new) for new in made for name in new.output if name)

    def fresh(self, near: str) -> str:
        """A name that nothing has, beginning with another."""
        number = 1
        while f"{near}:{number}" in self._taken:
            number += 1
        self._taken.add(f"{near}:{number}")
        return f"{near}:{number}"

    @property
    def current(self) -> list[Any]:
        """The nodes that stand, with those that were put into the place of others."""
        return list(self._standing(self.nodes))

    def _standing(self, nodes: Iterable[Any]) -> Iterator[Any]:
        for node in nodes:
            if self.stands(node):
                yield node
            else:
                yield from self._standing(self._replaced.get(id(node), ()))

    def write(self) -> None:
        """Put the nodes into the graph, without constants that nobody reads any more."""
        copies = [type(node).FromString(node.SerializeToString()) for node in self.current]
        del self.graph.node[:]
        self.graph.node.extend(copies)
        read = {*_inputs(copies), *(value.name for value in self.graph.output)}
        declared = {value.name for value in self.graph.input}
        kept = [tensor for tensor in self.graph.initializer if tensor.name in read or tensor.name in declared]
        if len(kept) < len(self.graph.initializer):
            tensors = [type(tensor).FromString(tensor.SerializeToString()) for tensor in kept]
            del self.graph.initializer[:]
            self.graph.initializer.extend(tensors)


def attributes_of(node: Any) -> dict[str, Any]:
    """Name of an attribute -> its value as Python has it."""
    from onnx import helper

    return {attribute.name: plain(helper.get_attribute_value(attribute)) for attribute in node.attribute}


def _inputs(nodes: Iterable[Any]) -> Iterator[str]:
    """Every name that nodes read, those of the graphs inside of them included."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield from (name for name in node.input if name)
        for attribute in node.attribute:
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                waiting.extend(graph.node)
                yield from (value.name for value in graph.output)

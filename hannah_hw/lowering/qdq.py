"""Quantise and dequantise nodes where ONNX Runtime's quantiser puts them, for the operators that most candidates have.

That quantiser works channel by channel in Python: 0.1 to 1 second a candidate. Here the same placement takes some
milliseconds; a model with anything else in it is left to the quantiser. Which kernels ONNX Runtime makes of both is
compared by tests.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from hannah_hw.lowering.mixed import Pairs, has_own_bits

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from hannah_hw.lowering.ranges import Ranges

#: Operators with weights: their first input, weights, bias and output are quantised.
_WEIGHTED: Final = frozenset({"Conv", "Gemm", "MatMul"})
#: Operators whose output is on the grid of their first input.
_PASSING: Final = frozenset(
    {"AveragePool", "Flatten", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
)
#: Operators all of whose inputs and outputs are quantised.
_WHOLE: Final = frozenset(
    {"Add", "Concat", "GlobalAveragePool", "HardSigmoid", "HardSwish", "Mul", "Sigmoid"}
)
#: Operators that become part of the one before them: what they cut off is beyond the grid.
_CLAMPS: Final = frozenset({"Clip", "Relu"})
#: Operators that are quantised in ways that are not written here.
_ELSEWHERE: Final = frozenset({"BatchNormalization", "ConvTranspose", "Pad", "Resize"})


def quantised(model: ModelProto, ranges: Ranges) -> ModelProto | None:
    """The int8 QDQ form of a model; None where it has what only ONNX Runtime's quantiser places.

    Args:
        model: A float32 model, nodes in order; it is not changed.
        ranges: Name of a value -> smallest and largest value.
    """
    import onnx

    if has_own_bits(model):
        return None
    result = onnx.ModelProto()
    result.CopyFrom(model)
    placement = _Placement(result)
    if not all(placement.place(node) for node in placement.nodes):
        return None
    placement.write(ranges)
    return result


class _Placement:
    """Which values of a graph are quantised.

    Args:
        model: The model; `write` changes it.
    """

    def __init__(self, model: ModelProto) -> None:
        self._graph = model.graph
        self.nodes: list[NodeProto] = list(self._graph.node)
        self._constants = {tensor.name: tensor for tensor in self._graph.initializer}
        self._users = Counter(name for node in self.nodes for name in node.input)
        self._ends = {value.name for value in (*self._graph.input, *self._graph.output)}
        #: Value -> the value whose range it has.
        self._stored: dict[str, str] = {}
        #: What a removed clamp took -> what it gave.
        self._clamped: dict[str, str] = {}

    def place(self, node: NodeProto) -> bool:
        """Take a node into account; False where it is none that is written here."""
        kind = node.op_type if not node.domain else ""
        if not kind or kind in _ELSEWHERE:
            return False
        data = [name for name in node.input if name and name not in self._constants]
        if kind in _WEIGHTED:
            if not self._has_weights(node, data):
                return False
            self._store(data[0], node.output[0])
        elif kind in _PASSING:
            (source, *others) = data
            if others:
                return False
            self._store(source)
            self._stored[node.output[0]] = self._stored[source]
        elif kind in _WHOLE:
            if len(data) != len(node.input):
                return False
            self._store(*data, node.output[0])
        elif kind in _CLAMPS:
            self._clamp(node, data[0])
        return True

    def _store(self, *names: str) -> None:
        for name in names:
            self._stored.setdefault(name, name)

    def _has_weights(self, node: NodeProto, data: list[str]) -> bool:
        """Whether weights and bias are constants of this node alone."""
        own = [name for name in node.input[1:] if name]
        gains = {"alpha": 1.0, "beta": 1.0}
        return (
            len(data) == 1
            and data[0] == node.input[0]
            and all(self._users[name] == 1 for name in own)
            and len(self._constants[node.input[1]].dims) >= 2
            and all(a.f == gains[a.name] for a in node.attribute if a.name in gains)
            and all(len(self._constants[name].dims) == 1 for name in own[1:])
        )

    def _clamp(self, node: NodeProto, source: str) -> None:
        if source not in self._stored:
            return
        alone = self._users[source] == 1 and source not in self._ends
        if alone and self._stored[source] == source:
            del self._stored[source]
            self._clamped[source] = node.output[0]
        self._store(node.output[0])

    def write(self, ranges: Ranges) -> None:
        """Change the graph."""
        emitter = Pairs(dict(self._constants))
        renamed: dict[str, str] = {}
        for value in self._graph.input:
            if value.name in self._stored:
                renamed[value.name] = emitter.pair(value.name, f"{value.name}/int8", ranges[value.name])
        removed = set(self._clamped.values())
        for node in self.nodes:
            if node.op_type in _CLAMPS and node.output[0] in removed:
                continue
            source = node.input[0] if node.input else ""
            node.input[:] = [renamed.get(name, name) for name in node.input]
            if node.op_type in _WEIGHTED:
                emitter.weights(node)
                emitter.bias(node, ranges[self._stored[source]])
            emitter.nodes.append(node)
            name = self._clamped.get(node.output[0], node.output[0])
            if name in self._stored:
                node.output[0] = f"{name}/float"
                emitter.pair(node.output[0], name, ranges[self._stored[name]])
        self._replace(emitter)

    def _replace(self, emitter: Pairs) -> None:
        graph: Any = self._graph
        del graph.node[:]
        del graph.initializer[:]
        del graph.value_info[:]
        graph.node.extend(emitter.nodes)
        graph.initializer.extend(emitter.constants.values())

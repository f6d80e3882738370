"""Reading an ONNX file back into the graph language, and from there into a Workload.

The same operators that write ONNX read it; the same fusion rules that serve a space serve the file. Quantise
and dequantise nodes disappear: they say with how many bits the file's values are kept, not what is computed.
Values and weights with bits of their own are what the functions of `hannah_hw.lowering.fake_quantise` compute;
other functions of a file are read as what they consist of, whatever their names. An operator that nobody reads stays
in the graph under its ONNX name, for targets to refuse by that name.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hannah_hw.errors import HannahError, ModelError
from hannah_hw.expressions import Scalar
from hannah_hw.graph import Node, Op, Tensor, naming
from hannah_hw.graph.activity import graph_steps
from hannah_hw.graph.bits import FLOAT_BITS
from hannah_hw.graph.numbers import MOST
from hannah_hw.lowering.functions import own_functions
from hannah_hw.lowering.learned_shapes import known_shapes
from hannah_hw.lowering.loading import checked, load, name_of
from hannah_hw.lowering.nodes import ForeignOp, ForeignPart, NodeView, array_of, is_standard, plain
from hannah_hw.lowering.open_shapes import GivenShapes
from hannah_hw.lowering.rewriting import readable
from hannah_hw.operators import onnx_readers
from hannah_hw.operators.quantise import kept_bits
from hannah_hw.workload import Workload, WorkloadProgram

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

#: Element types of quantised values -> bits.
_BITS: Final = {"int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int4": 4, "uint4": 4}

#: Operators that say with how many bits a value is kept.
_QUANTISING: Final = ("QuantizeLinear", "DequantizeLinear")
#: Domain in which ONNX Runtime has quantise and dequantise nodes of more types.
_MICROSOFT: Final = "com.microsoft"

#: Why a node is not read whose output has a shape that nobody infers, or none.
UNKNOWN_SHAPE: Final = "the shape of its result is not known, or that of a single number"

#: Attributes in which a Constant node may hold its value.
_CONSTANTS: Final = frozenset({"value", "value_float", "value_floats", "value_int", "value_ints"})


class OnnxModel:
    """An ONNX file as a graph.

    Attributes:
        order: Data tensors and operators in the order of the file.
        outputs: The nodes of the graph's outputs.
        bits: Bits of its widest value between quantise and dequantise nodes: 8 for a QDQ int8 model; 32 without
            such nodes.
        foreign: Name of a node that nothing reads -> why.
        model: The `onnx.ModelProto` that was read: with the shapes of its values, in the forms that operators read.
        sources: Id of a node of the graph -> the `onnx.NodeProto` that it was read from.
        values: Name of a value of the file that depends on an input -> node of the graph. What quantise and
            dequantise nodes write is the value that they read.
    """

    def __init__(
        self,
        order: list[Node],
        outputs: list[Node],
        bits: int,
        foreign: dict[str, str],
        model: ModelProto,
        sources: dict[str, NodeProto],
        values: dict[str, Node],
    ) -> None:
        self.order = order
        self.outputs = outputs
        self.bits = bits
        self.foreign = foreign
        self.model = model
        self.sources = sources
        self.values = values

    def workload(self, *, bits: int | None = None) -> Workload:
        """The file's Workload, a population of one.

        Args:
            bits: Bits of weights and activations that have none of their own; without them, the file's.
        """
        activity: dict[str, Scalar] = dict.fromkeys((node.id for node in self.order), True)
        steps, position = graph_steps(self.order, activity)
        program = WorkloadProgram(steps, [position[o.id] for o in self.outputs], bits=bits or self.bits)
        return program.run({}, 1)

    def deployed(self) -> Workload:
        """The Workload of the integer network: quantised as the file is, to 8 bits where it is floating point."""
        return self.workload(bits=8 if self.bits == FLOAT_BITS else self.bits)


def read_onnx(source: str | os.PathLike[str] | ModelProto, *, shapes: GivenShapes | None = None) -> OnnxModel:
    """Read an ONNX model.

    Args:
        source: A file, or a model.
        shapes: Input name -> shape, or that of the only input, where the file leaves it open; an open batch alone is
            taken as 1.

    Raises:
        ModelError: No readable ONNX, or a shape that is not known.
    """
    where = name_of(source)
    model = checked(load(Path(source)) if isinstance(source, str | os.PathLike) else source, where)
    with naming.counted(""):
        return _Reader(readable(model, shapes, where), where).read()


class _Reader:
    """Turns the nodes of a file into graph nodes."""

    def __init__(self, model: Any, where: str) -> None:
        from onnx import helper, numpy_helper

        self.where = where
        self.model = model
        self.graph = model.graph
        self.constants: dict[str, Any] = {t.name: t for t in self.graph.initializer}
        for node in self.graph.node:
            if is_standard(node, "Constant") and node.attribute[0].name in _CONSTANTS:
                value = helper.get_attribute_value(node.attribute[0])
                numbers = node.attribute[0].name != "value"
                self.constants[node.output[0]] = (
                    numpy_helper.from_array(np.asarray(value)) if numbers else value
                )
        self.shapes = known_shapes(self.graph)
        self.values: dict[str, Node] = {}
        self.sources: dict[str, Any] = {}
        self.names = {value.name for value in self.graph.input}
        self.order: list[Node] = []
        self.foreign: dict[str, str] = {}
        self.bits = FLOAT_BITS
        self.weight_bits: dict[str, int] = {}
        self.functions = own_functions(model)
        self.readers = onnx_readers()

    def read(self) -> OnnxModel:
        for value in self.graph.input:
            if value.name not in self.constants:
                tensor = Tensor(value.name, self.shapes[value.name])
                tensor.id = value.name
                self.values[value.name] = tensor
                self.order.append(tensor)
        for index, node in enumerate(self.graph.node):
            if is_standard(node, "Constant"):
                continue
            if is_standard(node, *_QUANTISING) or (node.domain == _MICROSOFT and node.op_type in _QUANTISING):
                self._quantisation(node)
            elif f"{node.domain}.{node.op_type}" in self.functions and self._on_constant(node):
                self._weight(node)
            elif is_standard(node, "Identity") and self._on_constant(node):
                # How exporters write a constant that several nodes share.
                self.constants[node.output[0]] = self.constants[node.input[0]]
            else:
                self._operator(node, self._unique(node.name or f"{node.op_type}_{index}"))
        outputs = self._outputs()
        return OnnxModel(self.order, outputs, self.bits, self.foreign, self.model, self.sources, self.values)

    def _on_constant(self, node: Any) -> bool:
        """Whether the first input of a node is a constant."""
        return bool(node.input) and node.input[0] in self.constants

    def _unique(self, name: str) -> str:
        """A name that no node or input has yet; ONNX lets several nodes have the same."""
        taken, result, number = self.names, name, 1
        while result in taken:
            result, number = f"{name}:{number}", number + 1
        taken.add(result)
        return result

    def _outputs(self) -> list[Node]:
        """The nodes of the outputs that depend on an input.

        Raises:
            ModelError: None does.
        """
        found = [self.values[value.name] for value in self.graph.output if value.name in self.values]
        if not found:
            name = self.graph.output[0].name
            raise ModelError(f"the output {name!r} does not depend on an input", where=self.where)
        return found

    def _quantisation(self, node: Any) -> None:
        """Another name for the same value; the zero point's type says with how many bits it is kept."""
        source = node.input[0]
        if source in self.constants:
            self.constants[node.output[0]] = self._dequantised(node)
            return
        self.values[node.output[0]] = self._value(source)
        kind = "uint8"  # what there is without a zero point
        if len(node.input) > 2 and node.input[2]:
            zero = self.constants.get(node.input[2])
            kind = array_of(zero).dtype.name if zero is not None else ""
        bits = _BITS.get(kind, self.bits)
        self.bits = bits if self.bits == FLOAT_BITS else max(self.bits, bits)

    def _dequantised(self, node: Any) -> Any:
        """A constant behind a quantise or dequantise node; by its value where it is one number, not its code."""
        from onnx import numpy_helper

        constant = self.constants[node.input[0]]
        computed = any(name not in self.constants for name in node.input)
        if node.op_type == "QuantizeLinear" or computed or math.prod(constant.dims) != 1:
            return constant
        code, scale, *zero = (array_of(self.constants[name]) for name in node.input)
        if code.dtype.kind == "f":  # what a quantise node before this one passed on
            return constant
        if any(array.size != 1 for array in (scale, *zero)):
            raise ModelError(f"{node.name!r} has other than one scale for one number", where=self.where)
        number = (code.astype(np.float64) - sum(z.astype(np.float64) for z in zero)) * scale
        return numpy_helper.from_array(np.asarray(number, np.float32))

    def _weight(self, node: Any) -> None:
        """Another name for a weight, with the bits that it is kept with."""
        view = self._view(node, node.name)
        try:
            self.weight_bits[node.output[0]] = kept_bits(view)[0]
        except HannahError as error:
            raise ModelError(f"the weight {node.input[0]!r}: {error}", where=self.where) from error
        self.constants[node.output[0]] = self.constants[node.input[0]]

    def _value(self, name: str) -> Node:
        if name not in self.values:
            raise ModelError(f"the value {name!r} is used before it is computed", where=self.where)
        return self.values[name]

    def _view(self, node: Any, name: str) -> NodeView:
        """A node as operators see it.

        Raises:
            ModelError: Its shape is far too large, or it takes a value that nothing computes.
        """
        from onnx import helper

        result = next((name for name in node.output if name), "")
        shape = self.shapes.get(result, ())
        if math.prod(shape) > MOST:
            raise ModelError(f"{result!r} has {math.prod(shape)} values", where=self.where)
        return NodeView(
            node.op_type if is_standard(node) else f"{node.domain}.{node.op_type}",
            name,
            [self._value(i) for i in node.input if i and i not in self.constants],
            {a.name: plain(helper.get_attribute_value(a)) for a in node.attribute},
            shape,
            [self.constants.get(i) if i else None for i in node.input],
            [self.weight_bits.get(i) for i in node.input],
        )

    def _operator(self, node: Any, name: str) -> None:
        view = self._view(node, name)
        result, reason = None, self._unreadable(view)
        if not reason:
            try:
                result = self.readers[view.type].from_onnx(view)
                reason = self._mistaken(view, result)
            except HannahError as error:
                reason = str(error)
        if result is None or reason:
            self.foreign[name] = reason
            # What has no known values is one number, so that what is behind it can be read.
            shape = view.shape if view.shape and min(view.shape) > 0 else (1, 1)
            result = ForeignOp(view.type, shape)(*view.operands)
        result.id = name
        self.sources[name] = node
        self.order.append(result)
        first = next((output for output in node.output if output), "")
        for index, output in enumerate(node.output):
            if output:
                self.values[output] = result if output == first else self._part(result, output, index)

    def _unreadable(self, view: NodeView) -> str:
        """Why no operator can read a node; empty where one can try to."""
        if view.type not in self.readers or ("." in view.type and view.type not in self.functions):
            return f"no operator reads {view.type}"
        if not view.operands:
            return "it computes from nothing but constants"
        if not view.shape or min(view.shape) < 1:
            return f"its shape {view.shape} is not that of values of a batch" if view.shape else UNKNOWN_SHAPE
        return ""

    def _part(self, whole: Node, output: str, index: int) -> Node:
        """A further output of a node: part of the same foreign value, under its own shape.

        The mask of a Dropout, which nobody reads at inference, and what has no known shape are the value itself.
        """
        shape = self.shapes.get(output, ())
        if not shape or min(shape) < 1 or not isinstance(whole, ForeignOp) or shape == whole.shape():
            return whole
        part: Node = ForeignPart(shape)(whole)
        part.id = self._unique(f"{whole.id}:{index}")
        self.order.append(part)
        return part

    @staticmethod
    def _mistaken(view: NodeView, result: Node) -> str:
        """How what was read differs from what the file says; empty where it does not.

        Raises:
            SpaceError: It has no row in a Workload.
        """
        if result.shape() != view.shape:
            return f"its shape is read as {result.shape()}, but ONNX infers {view.shape}"
        if isinstance(result, Op):
            if len(result.data_operands()) != len(view.operands):
                return "it computes from values what is read only where it is constant"
            result.row()
        return ""

"""Collecting the ONNX nodes and initialisers of a candidate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.graph.bits import FLOAT_BITS, grid
from hannah_hw.graph.plan import PlanStep
from hannah_hw.lowering.fake_quantise import QuantisedWeight
from hannah_hw.operators.quantise import FAKE_QUANTISE, UNQUANTISED

FloatArray = NDArray[np.float32]


class Emitter:
    """Collects nodes and initialisers; see `hannah_hw.graph.protocols.OnnxEmitter`."""

    def __init__(
        self, weights: Mapping[str, FloatArray], quantised: Mapping[str, QuantisedWeight] | None = None
    ) -> None:
        import onnx

        self._onnx = onnx
        self.graph = onnx.GraphProto()
        self.nodes = self.graph.node
        self._quantised = dict(quantised or {})
        self.weights = {**weights, **{name: weight.values for name, weight in self._quantised.items()}}
        self._rounded: dict[str, str] = {}
        self.biases: dict[str, str] = {}
        self._constants: dict[str, NDArray[Any]] = {}
        self._step: PlanStep | None = None
        self._count = 0

    def begin(self, step: PlanStep) -> None:
        """The nodes that follow belong to a step."""
        self._step = step
        self._count = 0

    @property
    def _id(self) -> str:
        return self._step.op.id if self._step is not None else ""

    def node(self, op_type: str, inputs: list[str], **attributes: Any) -> str:
        """Add a node; its name is final only when its step is finished."""
        if self._quantised:
            inputs = [self._on_grid(name) for name in inputs]
        name = f"{self._id}/{self._count}"
        self._count += 1
        return self._add(name, op_type, inputs, attributes)

    def _add(self, name: str, op_type: str, inputs: list[str], attributes: Mapping[str, Any]) -> str:
        domain, _, op_type = op_type.rpartition(".")
        node = self.nodes.add(op_type=op_type, input=inputs, output=[name], name=name)
        if domain:
            node.domain = domain
        for key, value in sorted(attributes.items()):
            self._add_attribute(node, key, value)
        return name

    def _on_grid(self, name: str) -> str:
        """What an operator takes for a weight: itself, or what says with how many bits it is kept."""
        weight = self._quantised.get(name)
        if weight is None:
            return name
        if name not in self._rounded:
            inputs, op_type = [name], UNQUANTISED
            if weight.bits != FLOAT_BITS:
                low, high = grid(weight.bits)
                constants = {"scale": weight.scale, "low": np.float32(low), "high": np.float32(high)}
                self._constants.update({f"{name}/{key}": np.asarray(v) for key, v in constants.items()})
                inputs, op_type = [name, *(f"{name}/{key}" for key in constants)], FAKE_QUANTISE
            self._rounded[name] = self._add(f"{name}/kept", op_type, inputs, {"bits": weight.bits})
        return self._rounded[name]

    def _add_attribute(self, node: Any, name: str, value: Any) -> None:
        """Add an attribute; whole numbers, which most are, without ONNX's search for their type."""
        if isinstance(value, int):
            node.attribute.add(name=name, type=self._onnx.AttributeProto.INT, i=value)
        elif isinstance(value, list | tuple) and all(isinstance(item, int) for item in value):
            node.attribute.add(name=name, type=self._onnx.AttributeProto.INTS, ints=value)
        else:
            node.attribute.append(self._onnx.helper.make_attribute(name, value))

    def finish(self, result: str) -> str:
        """Call the node that makes a step's value, and the value, by the step's id."""
        if self._count and self.nodes[-1].output[0] == result:
            self.nodes[-1].name = self.nodes[-1].output[0] = result = self._id
        return result

    def weight(self, name: str) -> FloatArray:
        """The values of a weight."""
        return self.weights[name]

    def constant(self, suffix: str, values: NDArray[Any]) -> str:
        """Add an initialiser called by the step's id and a suffix."""
        name = f"{self._id}.{suffix}/onnx"
        self._constants[name] = values
        return name

    def transposed(self, name: str) -> str:
        """Add an initialiser of a matrix the other way round, on its grid if it has one."""
        result = self.constant("weight", np.ascontiguousarray(self.weights[name].T))
        if name in self._quantised:
            self._quantised[result] = self._quantised[name].transposed
        return result

    def scale(self, name: str, multiply: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        """Multiply the output channels of a weight."""
        if name in self._quantised:
            self._quantised[name] = self._quantised[name].scaled(multiply)
            self.weights[name] = self._quantised[name].values
        else:
            self.weights[name] = multiply(self.weights[name]).astype(np.float32)

    def extra_bias(self, step: PlanStep) -> list[str]:
        """The bias that a folded batch normalisation gave to an operator that had none."""
        name = self.biases.get(step.op.id)
        return [name] if name is not None and name not in step.operands else []

    def as_outputs(self, values: Sequence[tuple[str, str]]) -> list[str]:
        """Call values by their nodes' ids, also where a fold or an identity gave them other names.

        Args:
            values: For each output the id of its node, and what its value is called so far. An id may be there
                several times, for choices can end in one node.

        Returns:
            What the outputs are called; no two have one name.
        """
        taken = Counter(name for node in self.nodes for name in node.input)
        taken.update(value for _, value in values)
        producers = {name: node for node in self.nodes for name in node.output}
        result: list[str] = []
        for wanted, value in values:
            name, number = wanted, 1
            # A graph input keeps its name for itself.
            while name in result or (name == value and value not in producers):
                name, number = f"{wanted}:{number}", number + 1
            if name != value:
                if value in producers and taken[value] == 1:
                    producers[value].output[0] = name
                else:
                    self.nodes.add(op_type="Identity", input=[value], output=[name], name=name)
            result.append(name)
        return result

    def add_initialisers(self) -> None:
        """Add the constants that nodes take, in the order of their first use."""
        known = self.weights | self._constants
        for name in dict.fromkeys(name for node in self.nodes for name in node.input if name in known):
            values = known[name]
            self.graph.initializer.add(
                name=name,
                dims=values.shape,
                data_type=self._onnx.helper.np_dtype_to_tensor_dtype(values.dtype),
                raw_data=values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes(),
            )

"""Writing a candidate as ONNX, straight from its graph.

Names are stable: a value is called by its node's id, so that a kernel in a report, a node in the file and a
node of the space are the same word.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import SpaceError
from hannah_hw.graph.bits import FLOAT_BITS, grid
from hannah_hw.graph.plan import Plan, PlanStep
from hannah_hw.lowering.fake_quantise import VERSION, QuantisedWeight, functions
from hannah_hw.operators.quantise import DOMAIN, FAKE_QUANTISE, UNQUANTISED
from hannah_hw.spaces import Candidate

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

    from hannah_hw.executors.module import PlanModule

#: Operator set that is written: what ONNX Runtime's quantiser and TVM both read.
OPSET: Final = 18
IR_VERSION: Final = 10

FloatArray = NDArray[np.float32]


def to_onnx(
    candidate: Candidate | Plan | PlanModule,
    path: str | os.PathLike[str] | None = None,
    *,
    module: nn.Module | None = None,
    fold_batch_norm: bool = True,
    batch: int | str = 1,
    seed: int = 0,
) -> ModelProto:
    """A candidate as a float32 ONNX model.

    Args:
        candidate: The candidate, its plan, or an executor, whose assigned candidate is written with its weights.
        path: Where to write it; written whole or not at all. None: nowhere.
        module: Its torch module, whose weights are taken; without one, and without an executor, they are random.
        fold_batch_norm: Whether batch normalisations become part of the convolutions before them.
        batch: Batch size; a string makes it symbolic.
        seed: Of random weights.

    Returns:
        The model, checked by ``onnx.checker``.

    Raises:
        UnsupportedError: An operator has no ONNX form.
        SpaceError: The candidate describes no network, or the module is another candidate's.
    """
    import onnx
    from onnx import helper

    plan = candidate if isinstance(candidate, Plan) else candidate.plan
    if not isinstance(candidate, Plan | Candidate):
        module = module or candidate
    weights = _trained(plan, module) if module is not None else _random(plan, seed)
    quantised = {
        name: QuantisedWeight.of(weights[name], value.bits, value.channel_axis)
        for name, value in plan.weights.items()
        if value.bits is not None
    }
    emitter = _Emitter(weights, quantised)
    fold_batch_norm = fold_batch_norm and any(step.op.is_affine for step in plan.steps)
    folded = _fold(plan, emitter) if fold_batch_norm else set()
    names: dict[str, str] = {value.id: value.id for value in plan.inputs} | {name: name for name in weights}
    for step in plan.steps:
        if step.op.id in folded:
            names[step.op.id] = names[step.data[0]]
            continue
        emitter.begin(step)
        operands = [names[name] for name in step.operands] + emitter.extra_bias(step)
        names[step.op.id] = emitter.finish(step.op.to_onnx(emitter, operands))
    kept = {name for name in plan.outputs if names[name] == name}
    outputs = [emitter.as_output(names[name], name, names[name] in kept) for name in plan.outputs]
    shapes = {step.op.id: step.shape for step in plan.steps} | {
        value.id: value.shape() for value in plan.inputs
    }

    def information(name: str, shape: tuple[int, ...]) -> Any:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [batch, *shape[1:]])

    emitter.graph.name = "hannah_hw"
    emitter.graph.input.extend(information(value.id, value.shape()) for value in plan.inputs)
    emitter.graph.output.extend(
        information(o, shapes[name]) for o, name in zip(outputs, plan.outputs, strict=True)
    )
    emitter.add_initialisers()
    named = {f"{DOMAIN}.{node.op_type}" for node in emitter.nodes if node.domain == DOMAIN}
    domains = [helper.make_opsetid("", OPSET)] + ([helper.make_opsetid(DOMAIN, VERSION)] if named else [])
    model = helper.make_model(
        emitter.graph,
        producer_name="hannah_hw",
        functions=functions(named, OPSET),
        opset_imports=domains,
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    if path is not None:
        write_atomically(Path(path), model.SerializeToString())
    return model


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class _Emitter:
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

    def as_output(self, name: str, wanted: str, kept: bool) -> str:
        """Call a value by its node's id, also where a fold or an identity gave it another name.

        Args:
            name: What it is called so far.
            wanted: The id.
            kept: Whether another output needs the name that it has so far.
        """
        if name == wanted:
            return name
        produced = [node for node in self.nodes if name in node.output]
        used = kept or any(name in node.input for node in self.nodes)
        if produced and not used:
            produced[0].output[0] = wanted
        else:
            self.nodes.add(op_type="Identity", input=[name], output=[wanted], name=wanted)
        return wanted

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


def _trained(plan: Plan, module: nn.Module) -> dict[str, FloatArray]:
    from hannah_hw.executors.module import PlanModule

    if isinstance(module, PlanModule):
        state = {name: module.weight(name) for name in module.plan.weights}
    else:
        state = module.state_dict()
    for name, value in plan.weights.items():
        shape = tuple(state[name].shape) if name in state else None
        if shape != value.shape():
            raise SpaceError(
                f"the module is not that of the candidate: the weight {name} is {value.shape()}, but the module has "
                + (f"{shape}" if shape is not None else "none")
            )
    return {name: state[name].detach().cpu().numpy().astype(np.float32, copy=False) for name in plan.weights}


def _random(plan: Plan, seed: int) -> dict[str, FloatArray]:
    """Weights of the size that training would start from: uniform with variance 2 / fan in; vectors are 1."""
    rng = np.random.default_rng(seed)
    weights: dict[str, FloatArray] = {}
    for name, value in plan.weights.items():
        shape = value.shape()
        if len(shape) == 1:
            weights[name] = np.ones(shape, np.float32)
        else:
            bound = np.sqrt(6.0 * (shape[0] if len(shape) > 2 else shape[1]) / np.prod(shape))
            weights[name] = (2 * rng.random(shape, np.float32) - 1) * np.float32(bound)
    return weights


def _fold(plan: Plan, emitter: _Emitter) -> set[str]:
    """Scale the weights of operators whose value goes into nothing but a scale and offset a channel.

    Aliases between them keep the order of the values, so that they keep the channels if their number is the same.

    Returns:
        Ids of the scales and offsets that became part of an operator; their value is that of their operand.
    """
    producers = {step.op.id: step for step in plan.steps}
    users = plan.users()
    folded: set[str] = set()
    for step in plan.steps:
        if not step.op.is_affine:
            continue
        producer = producers.get(step.data[0])
        while (
            producer is not None
            and (_is_alias(producer) or producer.op.id in folded)
            and users[producer.op.id] == 1
        ):
            producer = producers.get(producer.data[0])
        if producer is None or producer.op.output_axis is None or users[producer.op.id] != 1:
            continue
        kernel = producer.operands[1]
        if producer.shape[1] != step.shape[1] or any(users[name] != 1 for name in producer.operands[1:]):
            continue
        scale, offset = step.op.affine([emitter.weights[name] for name in step.operands[1:]])
        emitter.scale(kernel, partial(producer.op.scaled, factors=scale))
        bias = producer.operands[2] if len(producer.operands) > 2 else f"{producer.op.id}.bias"
        old = emitter.weights.get(bias, np.zeros(len(scale), np.float32))
        emitter.weights[bias] = (old * scale + offset).astype(np.float32)
        emitter.biases[producer.op.id] = bias
        folded.add(step.op.id)
    return folded


def _is_alias(step: PlanStep) -> bool:
    """Whether a step computes nothing."""
    return step.op.output_axis is None and step.op.row().part == "view"

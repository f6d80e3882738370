"""Writing a candidate as ONNX, straight from its graph.

Names are stable: a value is called by its node's id, so that a kernel in a report, a node in the file and a
node of the space are the same word.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hannah_hw.errors import SpaceError
from hannah_hw.files import write_atomically
from hannah_hw.graph.plan import Plan
from hannah_hw.lowering.emitter import Emitter, FloatArray
from hannah_hw.lowering.fake_quantise import VERSION, QuantisedWeight, functions
from hannah_hw.lowering.folding import fold_affine
from hannah_hw.lowering.loading import PRODUCER
from hannah_hw.operators.quantise import DOMAIN
from hannah_hw.spaces import Candidate

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

    from hannah_hw.executors.module import PlanModule

#: Operator set that is written: what ONNX Runtime's quantiser and TVM both read.
OPSET: Final = 18
IR_VERSION: Final = 10


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
    emitter = Emitter(weights, quantised)
    folded = fold_affine(plan, emitter) if fold_batch_norm else set()
    names: dict[str, str] = {value.id: value.id for value in plan.inputs} | {name: name for name in weights}
    for step in plan.steps:
        if step.op.id in folded:
            names[step.op.id] = names[step.data[0]]
            continue
        emitter.begin(step)
        operands = [names[name] for name in step.operands] + emitter.extra_bias(step)
        names[step.op.id] = emitter.finish(step.op.to_onnx(emitter, operands))
    outputs = emitter.as_outputs([(name, names[name]) for name in plan.outputs])
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
        producer_name=PRODUCER,
        functions=functions(named, OPSET),
        opset_imports=domains,
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    if path is not None:
        write_atomically(Path(path), model.SerializeToString())
    return model


def _trained(plan: Plan, module: nn.Module) -> dict[str, FloatArray]:
    from hannah_hw.executors.module import PlanModule

    if isinstance(module, PlanModule):
        state = {name: module.weight(name) for name in module.plan.weights}
    else:
        state = module.state_dict()
    weights: dict[str, FloatArray] = {}
    for name, value in plan.weights.items():
        values = state[name].numpy(force=True) if name in state else None
        if values is None or values.shape != value.shape():
            raise SpaceError(
                f"the module is not that of the candidate: the weight {name} is {value.shape()}, but the module has "
                + (f"{values.shape}" if values is not None else "none")
            )
        weights[name] = values if values.dtype == np.float32 else values.astype(np.float32)
    return weights


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

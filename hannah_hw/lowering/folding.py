"""Folding scales and offsets a channel into the weights of the operators before them."""

from __future__ import annotations

from functools import partial

import numpy as np

from hannah_hw.graph.plan import Plan, PlanStep
from hannah_hw.lowering.emitter import Emitter


def foldable(plan: Plan) -> dict[str, PlanStep]:
    """Scales and offsets a channel that can become part of the operator before them.

    The value of that operator goes into nothing else. Aliases between them keep the order of the values, so that they
    keep the channels if their number is the same.

    Returns:
        Id of the scale and offset -> the step of the operator, in the order of the plan.
    """
    producers = {step.op.id: step for step in plan.steps}
    users = plan.users()
    found: dict[str, PlanStep] = {}
    for step in plan.steps:
        if not step.op.is_affine:
            continue
        producer = producers.get(step.data[0])
        while (
            producer is not None
            and (_is_alias(producer) or producer.op.id in found)
            and users[producer.op.id] == 1
        ):
            producer = producers.get(producer.data[0])
        if producer is None or producer.op.output_axis is None or users[producer.op.id] != 1:
            continue
        if producer.shape[1] != step.shape[1] or any(users[name] != 1 for name in producer.operands[1:]):
            continue
        found[step.op.id] = producer
    return found


def fold_affine(plan: Plan, emitter: Emitter) -> set[str]:
    """Scale the weights of operators by what is `foldable` into them.

    Returns:
        Ids of the scales and offsets that became part of an operator; their value is that of their operand.
    """
    affine = {step.op.id: step for step in plan.steps if step.op.is_affine}
    folded = foldable(plan)
    for identifier, producer in folded.items():
        step = affine[identifier]
        scale, offset = step.op.affine([emitter.weights[name] for name in step.operands[1:]])
        emitter.scale(producer.operands[1], partial(producer.op.scaled, factors=scale))
        bias = emitter.biases.get(producer.op.id) or (producer.operands[2:] or [None])[0]
        if bias is None and offset is None:
            continue
        old = emitter.weights[bias] if bias is not None else 0.0
        name = bias or f"{producer.op.id}.bias"
        emitter.weights[name] = (old * scale + (0.0 if offset is None else offset)).astype(np.float32)
        emitter.biases[producer.op.id] = name
    return set(folded)


def _is_alias(step: PlanStep) -> bool:
    """Whether a step computes nothing."""
    return step.op.output_axis is None and step.op.row().part == "view"

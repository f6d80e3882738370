"""Random graphs: one shape, one value and one Workload, whoever looks, or a refusal.

The symbolic shape, the shape that torch executes and the shape that ONNX Runtime computes are equal, and so are the
values; a population, a candidate and the file read back have the same Workload. What a graph cannot be is refused
with a `SpaceError` or an `UnsupportedError`, in all these places alike.
"""

import numpy as np
import onnx
import torch
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from hannah_hw import ChoiceOp, SearchSpace, to_onnx
from hannah_hw.errors import SpaceError, UnsupportedError
from hannah_hw.executors.fake_quantise import quantised
from hannah_hw.graph import resolve
from hannah_hw.graph.bits import FLOAT_BITS
from hannah_hw.lowering import read_onnx
from hannah_hw.operators import Quantize
from tests.blocks import buffers_of, kernels_of, randomised, run_onnx
from tests.conformance.random_graphs import random_graph

#: ONNX Runtime makes zeros around an average the padding of its windows, and refuses what it has made where they are
#: as many as the window is large.
WITHOUT = ("Pad_Fusion",)


def plan_of(space, values):
    """The active graph, or None where there is none."""
    try:
        return resolve(space.order, space.outputs, values)
    except SpaceError:
        return None


def values_by_name(model, inputs):
    """Name -> what ONNX Runtime computes, for all values of a file that have the name of a node."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    names = [name for node in model.graph.node for name in node.output if "/" not in name]
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return (
        dict(zip(names, map(torch.from_numpy, run_onnx(probe, *inputs, without=WITHOUT)), strict=True))
        if names
        else {}
    )


def check_values(plan, module, model, inputs):
    """Every step of torch on the values of ONNX Runtime gives the value that ONNX Runtime computes of them.

    What is folded into the weights of an earlier step is compared where the file has its value.
    """
    computed = values_by_name(model, inputs)
    written = {node.name for node in model.graph.node if node.op_type != "Identity"}
    module.eval()(*inputs)  # leaves the operators as in evaluation
    producers = {step.op.id: step for step in plan.steps}
    name_of, inside = {}, set()
    for step in plan.steps:
        name_of[step.op.id] = step.op.id
        if step.op.is_affine and step.op.id not in written:
            name_of[step.op.id] = name_of[step.data[0]]
            before = step.data[0]
            while before in producers:  # scaled: no value of torch's
                inside.add(before)
                if producers[before].op.output_axis is not None:
                    break
                before = producers[before].data[0]
    values = {value.id: x for value, x in zip(plan.inputs, inputs, strict=True)}
    for name, weight in plan.weights.items():
        kept = module.weight(name).detach()
        values[name] = kept if weight.bits is None else quantised(kept, weight.bits, weight.channel_axis)
    for step in plan.steps:
        operands = [values[name] for name in step.operands]
        y = values[step.op.id] = step.op._forward_implementation(*operands)
        assert tuple(y.shape[1:]) == step.shape[1:], step.op
        if step.op.id in inside or name_of[step.op.id] not in computed:
            continue
        other = values[step.op.id] = computed[name_of[step.op.id]]
        assert other.shape == y.shape, step.op
        largest = max(y.abs().max(), *(value.abs().max() for value in operands))
        assert (other - y).abs().max() <= 1e-4 * largest.clamp_min(1e-6), step.op


def check_candidate(space, plan, values, workload, index):
    """All sides of one network."""
    module = randomised(space, index, values)
    assert module.plan.outputs == plan.outputs
    generator = torch.Generator().manual_seed(index)
    inputs = [torch.randn((2, *v.shape()[1:]), generator=generator) for v in plan.inputs]
    expected = module(*inputs)
    expected = [expected] if isinstance(expected, torch.Tensor) else expected
    exact = not any(isinstance(s.op, Quantize) and s.op.bits != FLOAT_BITS for s in plan.steps)
    candidate = space.candidate(values)
    for fold in (True, False):
        try:
            model = to_onnx(plan, module=module, batch=2, fold_batch_norm=fold)
        except UnsupportedError as error:
            event(f"unsupported: {str(error).split()[1]}")
            return
        results = run_onnx(model, *inputs, without=WITHOUT)
        for result, given_ in zip(results, expected, strict=True):
            y = given_.detach()
            assert result.shape == y.shape
            if exact:
                assert np.abs(result - y.numpy()).max() <= 1e-4 * max(float(y.abs().max()), 1.0)
        with torch.no_grad():
            check_values(plan, module, model, inputs)
        read = read_onnx(to_onnx(plan, module=module, fold_batch_norm=fold))
        assert read.foreign == {}
        of_file = read.workload(bits=8)
        assert kernels_of(of_file) == list(workload.rows(index)) == kernels_of(candidate.workload())
        assert (
            buffers_of(of_file) == buffers_of(workload.candidate(index)) == buffers_of(candidate.workload())
        )
        assert of_file.macs[0] == workload.macs[index] == candidate.macs


def check(outputs, rng, count=4):
    """All sides of a graph, for the defaults and some other values of its parameters."""
    try:
        space = SearchSpace(outputs)
        _ = space.compiled
    except SpaceError as error:
        event(f"refused: {str(error)[:40]}")
        return
    assignments = [{}, *({p.id: p.sample(rng) for p in space.parameters.values()} for _ in range(count))]
    rows = space.encoding.positions(assignments)
    workload, shapes = space.workload(rows), space.shapes(rows)
    counts, macs = space.parameter_counts(rows), space.mac_counts(rows)
    choices = {node.id for node in space.order if isinstance(node, ChoiceOp)}
    for index, values in enumerate(assignments):
        plan = plan_of(space, values)
        assert workload.exists[index] == (plan is not None)
        event("a network" if plan is not None else "no network")
        if plan is None:
            assert not workload.kernels.active[index].any()
            assert not workload.buffers.bytes[index].any()
            continue
        expected = {step.op.id: step.shape for step in plan.steps}
        expected |= {value.id: value.shape() for value in (*plan.inputs, *plan.weights.values())}
        candidate = space.candidate(values)
        assert {k: v for k, v in candidate.shapes.items() if k not in choices} == expected
        for name, shape in candidate.shapes.items():
            assert tuple(int(np.broadcast_to(d, len(rows))[index]) for d in shapes[name]) == shape
        assert candidate.parameters == counts[index] == plan.parameters
        assert candidate.macs == macs[index]
        check_candidate(space, plan, values, workload, index)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.reuse, Phase.generate],  # a failing graph is small already, making it smaller takes minutes
)
@given(random=st.randoms(use_true_random=False))
def test_random_graphs_are_the_same_for_everybody(random):
    check(random_graph(random), np.random.default_rng(random.randrange(1000)))

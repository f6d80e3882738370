"""One truth from several sides: the compiled space, the candidate, the ONNX file, torch's own counting."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hannah_hw import ChoiceOp, SearchSpace, load_space, to_onnx
from hannah_hw.executors import BasicExecutor
from hannah_hw.graph import resolve
from hannah_hw.lowering import read_onnx
from hannah_hw.workload import Workload
from tests.blocks import buffers_of, kernels_of, nasty, randomised, run_onnx

SPACES = {
    "ds_cnn": (lambda: load_space("ds_cnn"), 100),
    "tc_resnet": (lambda: load_space("tc_resnet"), 100),
    "nasty": (lambda: SearchSpace(nasty()), 250),
}


@pytest.fixture(scope="module", params=SPACES)
def population(request):
    """A space and random canonical rows, the declared default first."""
    build, count = SPACES[request.param]
    space = build()
    X = space.sample_population(count, seed=1)
    X[0] = space.encoding.canonical(space.encoding.default[None])[0]
    return space, X


def test_space_candidate_and_onnx_file_give_the_same_workload(population):
    space, X = population
    together = space.workload(X)
    for index, row in enumerate(X):
        candidate = space.candidate(space.encoding.assignment(row))
        of_file = read_onnx(to_onnx(candidate)).workload(bits=8)
        assert kernels_of(of_file) == list(together.rows(index)) == kernels_of(candidate.workload())
        assert buffers_of(of_file) == buffers_of(together.candidate(index))
        assert buffers_of(of_file) == buffers_of(candidate.workload())
        assert of_file.macs[0] == together.macs[index] == candidate.macs
        readers = candidate.workload().reads
        named = {b: i for i, b in enumerate(candidate.workload().buffers.names)}
        columns = [named[b] for b in of_file.buffers.names]
        assert not (of_file.reads & ~readers[:, columns]).any()


def test_torch_counts_the_same_macs_parameters_and_shapes(population):
    space, X = population
    counts = space.parameter_counts(X)
    for row, count in list(zip(X, counts, strict=True))[:40]:
        candidate = space.candidate(space.encoding.assignment(row))
        module = BasicExecutor(candidate).eval()
        assert sum(p.numel() for p in module.parameters()) == count == candidate.parameters
        (declared,) = candidate.plan.inputs
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            y = module(torch.zeros(declared.shape()))
        # Each multiply-accumulate is two operations.
        assert counter.get_total_flops() == 2 * candidate.macs
        assert tuple(y.shape) == candidate.plan.steps[-1].shape
        elements = candidate.workload().buffers.bytes[0]
        assert elements[candidate.workload().buffers.output[0]].tolist() == [y.numel()]


def test_shapes_macs_and_parameters_of_a_population_are_those_of_its_candidates(population):
    space, X = population
    shapes, macs, parameters = space.shapes(X), space.mac_counts(X), space.parameter_counts(X)
    np.testing.assert_array_equal(macs, space.workload(X).macs)
    for index, row in enumerate(X[:40]):
        candidate = space.candidate_of(row)
        plan = candidate.plan
        expected = {step.op.id: step.shape for step in plan.steps}
        expected |= {value.id: value.shape() for value in (*plan.inputs, *plan.weights.values())}
        choices = {node.id for node in space.order if isinstance(node, ChoiceOp)}
        assert {k: v for k, v in candidate.shapes.items() if k not in choices} == expected
        for name, shape in candidate.shapes.items():
            assert tuple(int(np.broadcast_to(d, len(X))[index]) for d in shapes[name]) == shape
        assert candidate.macs == macs[index] == candidate.workload().macs[0]
        assert candidate.parameters == parameters[index]
        assert candidate.id == space.candidate(candidate.assignment).id


def test_onnx_runtime_computes_what_torch_computes(population):
    space, X = population
    for index, row in enumerate(X[:12]):
        candidate = space.candidate(space.encoding.assignment(row))
        module = randomised(candidate, seed=index)
        (declared,) = candidate.plan.inputs
        x = torch.randn((2, *declared.shape()[1:]), generator=torch.Generator().manual_seed(index))
        expected = module(x).detach().numpy()
        for fold in (True, False):
            model = to_onnx(candidate, module=module, batch=2, fold_batch_norm=fold)
            (computed,) = run_onnx(model, x)
            np.testing.assert_allclose(computed, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_assignments_and_rows_are_the_same_thing(population):
    space, X = population
    encoding = space.encoding
    np.testing.assert_array_equal(encoding.canonical(X), X)
    assignments = [encoding.assignment(row) for row in X]
    np.testing.assert_array_equal(encoding.encode(assignments), X)
    np.testing.assert_array_equal(encoding.encode([a.to_dict() for a in assignments]), X)
    active = encoding.active(X)
    for assignment, mask in zip(assignments, active, strict=True):
        assert set(assignment) == {name for name, on in zip(encoding.ids, mask, strict=True) if on}


def test_rows_that_differ_only_in_inactive_parameters_are_one_candidate(population):
    space, X = population
    encoding = space.encoding
    noise = encoding.sample(len(X), np.random.default_rng(9))
    rough = np.where(encoding.active(X), X, noise)
    np.testing.assert_array_equal(encoding.active(rough), encoding.active(X))
    np.testing.assert_array_equal(encoding.canonical(rough), X)
    for row, same in zip(X[:20], rough[:20], strict=True):
        one = space.candidate(encoding.assignment(row))
        two = space.candidate(encoding.assignment(same))
        assert one.id == two.id
        assert one.assignment == two.assignment


def test_different_candidates_have_different_ids(population):
    space, X = population
    distinct = np.unique(X, axis=0)
    ids = {space.candidate(space.encoding.assignment(row)).id for row in distinct}
    assert len(ids) == len(distinct)


def test_the_same_seed_gives_the_same_population(population):
    space, _ = population
    np.testing.assert_array_equal(space.sample_population(50, 3), space.sample_population(50, 3))
    assert not np.array_equal(space.sample_population(50, 3), space.sample_population(50, 4))
    assert space.sample(5) == space.sample(5)
    again = SPACES[space.name if space.name in SPACES else "nasty"][0]()
    assert again.encoding.ids == space.encoding.ids
    np.testing.assert_array_equal(again.sample_population(50, 3), space.sample_population(50, 3))
    assert again.candidate(again.sample(5)).id == space.candidate(space.sample(5)).id


def fingerprint(space, values):
    """Everything that a network is, its file and its shapes, without regard to what is called active."""
    plan = resolve(space.order, space.outputs, values)
    shapes = [(step.op.id, step.shape) for step in plan.steps]
    return to_onnx(plan).SerializeToString(deterministic=True), shapes


@pytest.mark.parametrize(("name", "rows"), [("nasty", 12), ("ds_cnn", 2), ("tc_resnet", 3)])
def test_a_parameter_is_active_if_and_only_if_changing_it_changes_the_network(name, rows):
    space = SPACES[name][0]()
    rng = np.random.default_rng(2)
    for _ in range(rows):
        values = {p.id: p.sample(rng) for p in space.parameters.values()}
        active = set(space.candidate(values).assignment)
        reference = fingerprint(space, values)
        for parameter in space.parameters.values():
            levels = parameter.levels or np.linspace(parameter.min, parameter.max, 7).tolist()
            others = [level for level in levels if level != values[parameter.id]]
            if not others:
                continue
            if len(others) > 3 and parameter.id not in active:
                others = [others[0], others[len(others) // 2], others[-1]]
            changes = any(fingerprint(space, {**values, parameter.id: v}) != reference for v in others)
            assert changes == (parameter.id in active), (parameter.id, values)


def test_a_candidate_of_a_population_is_a_population_of_one(population):
    space, X = population
    whole = space.workload(X)
    for index in (0, 7):
        one = whole.candidate(index)
        assert isinstance(one, Workload)
        assert one.size == 1
        assert one.kernels.active.all()
        assert (one.buffers.bytes > 0).all()
        # Lifetimes are in terms of the kernels that are left.
        assert (one.buffers.first <= one.buffers.last).all()
        assert (one.buffers.last < max(len(one.kernels), 1)).all()
        again = one.candidate(0)
        assert kernels_of(again) == kernels_of(one)
        assert buffers_of(again) == buffers_of(one)

"""TVM's view as a Workload: multiply-accumulates and bytes are those of our own, whatever is fused."""

import importlib.util
import os

import numpy as np
import pytest
from onnx import helper

from hannah_hw import load_space, to_onnx
from hannah_hw.estimation import lower_with_tvm
from hannah_hw.lowering import read_onnx
from hannah_hw.lowering.tvm import Lowered, TvmWorker
from hannah_hw.workload.arena import liveness_bound, plan_memory
from tests.lowering.test_tvm import MACS, WEIGHTS, answer, one_conv
from tests.lowering.test_tvm import model as model_of

needs_tvm = pytest.mark.skipif(
    importlib.util.find_spec("tvm") is None, reason="the extra tvm is not installed"
)
#: Candidates of each space; more by an environment variable.
CANDIDATES = int(os.environ.get("TVM_CANDIDATES", "2"))
#: Columns that say what a kernel computes on.
GEOMETRY = ("groups", "in_channels", "out_channels", "in_h", "in_w", "out_h", "out_w", "kernel_h", "kernel_w")
GEOMETRY += (
    "stride_h",
    "stride_w",
    "dilation_h",
    "dilation_w",
    "pad_top",
    "pad_left",
    "pad_bottom",
    "pad_right",
)


def test_one_convolution_is_one_kernel_between_two_buffers():
    model = read_onnx(one_conv())
    workload = Lowered.from_dict(answer()).workload(model)
    (row,) = workload.rows()
    assert (row["name"], row["kind"], row["macs"]) == ("conv", "conv", MACS)
    assert (row["weights"], row["bias"]) == (WEIGHTS - 4, 4)
    assert (row["kernel_h"], row["pad_left"], row["activation_bits"], row["operands"]) == (3, 1, 32, 1)
    assert workload.buffers.names == ("x", "conv")
    assert workload.buffers.kinds == ("input", "activation")
    assert workload.buffers.bytes.tolist() == [[4 * 192, 4 * 256]]
    assert workload.buffers.output.tolist() == [[False, True]]
    assert workload.reads.tolist() == [[True, False]]


def value(key, elements, name="", constant=False):
    return {"id": key, "name": name, "elements": elements, "bytes": 4 * elements, "constant": constant}


def test_a_view_is_its_operand_and_lives_as_long():
    # x -> a -> (view) v -> y, and b of a: a lives until v is read.
    def kernel(name, reads, writes, view=False):
        facts = {"macs": 0, "scratch_bytes": 0, "loops": [], "view": view, "nodes": []}
        return {"name": name, "reads": reads, "writes": writes, **facts}

    x, a, v, b, y = (value(str(i), 8, name) for i, name in enumerate(("x", "", "", "", "y")))
    rows = [
        kernel("first", [x], [a]),
        kernel("view", [a], [v], view=True),
        kernel("second", [a], [b]),
        kernel("third", [v, b], [y]),
    ]
    lowered = Lowered.from_dict({"kernels": rows, "outputs": ["y"], "planned_bytes": 0})
    workload = lowered.workload(read_onnx(one_conv()))
    assert len(workload.kernels) == 3
    assert workload.buffers.first.tolist() == [[0, 0, 1, 2]]
    assert workload.buffers.last.tolist() == [[0, 2, 2, 2]]
    assert len(set(workload.buffers.names)) == 4


def constants(workload):
    return int((workload.kernels["weights"] + workload.kernels["bias"]).sum())


@pytest.fixture(scope="module")
def worker():
    with TvmWorker() as started:
        yield started


@needs_tvm
@pytest.mark.parametrize("name", ["ds_cnn", "tc_resnet", "resnet", "mcunet", "nas_bench_201", "pooled_cnn"])
def test_candidates_agree(worker, name):
    space = load_space(name)
    for seed in range(CANDIDATES):
        candidate = space.candidate(space.sample(seed=seed))
        onnx_model = to_onnx(candidate)
        lowered, groups = lower_with_tvm(onnx_model, worker=worker)
        model = read_onnx(onnx_model)
        theirs, ours = lowered.workload(model), model.workload(bits=32)
        assert theirs.macs.tolist() == [candidate.macs] == ours.macs.tolist()
        # A batch normalisation of its own has four vectors in the file; for the integer network they are two.
        normalising = sum(row["weights"] + row["bias"] for row in ours.rows() if row["kind"] == "batch_norm")
        assert constants(theirs) == constants(ours) + normalising
        sizes = dict(zip(ours.buffers.names, ours.buffers.bytes[0].tolist(), strict=True))
        found = dict(zip(theirs.buffers.names, theirs.buffers.bytes[0].tolist(), strict=True))
        shared = sizes.keys() & found.keys()
        assert {key: sizes[key] for key in shared} == {key: found[key] for key in shared}
        # What only one side keeps in memory lies between kernels that the other side has as one.
        inside = {kernel for group in groups if group.fusion for kernel in group.kernels}
        assert sizes.keys() - found.keys() <= inside
        for side in (ours, theirs):
            assert {n for b, n in enumerate(side.buffers.names) if side.buffers.output[0, b]} <= shared
            assert {
                n for n, kind in zip(side.buffers.names, side.buffers.kinds, strict=True) if kind == "input"
            } <= shared
        rows = {row["name"]: row for row in ours.rows()}
        alike = [row for row in theirs.rows() if row["name"] in rows and row["name"] not in inside]
        assert alike
        for row in alike:
            mine = rows[row["name"]]
            assert [row[key] for key in ("kind", "macs", *GEOMETRY)] == [
                mine[key] for key in ("kind", "macs", *GEOMETRY)
            ]
        plan = plan_memory(theirs.buffers)
        assert plan.arena_bytes[0] >= liveness_bound(theirs.buffers)[0] > 0
        assert np.all(theirs.buffers.first <= theirs.buffers.last)


@needs_tvm
def test_what_is_computed_twice_is_one_value_there_from_the_first_time(worker):
    nodes = [
        helper.make_node("AveragePool", ["x"], ["p"], name="p", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("MatMul", ["p", "x"], ["m"], name="m"),
        helper.make_node("AveragePool", ["x"], ["q"], name="q", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("MatMul", ["m", "q"], ["n"], name="n"),
        helper.make_node("Add", ["n", "q"], ["y"], name="y"),
    ]
    twice = model_of(*nodes, output=(1, 3, 8, 8))
    lowered, groups = lower_with_tvm(twice, worker=worker)
    assert {kernel for group in groups for kernel in group.kernels} == {"p", "m", "q", "n", "y"}
    workload = lowered.workload(read_onnx(twice))
    assert len(set(workload.kernels.names)) == len(workload.kernels)
    first, last = workload.buffers.first[0], workload.buffers.last[0]
    for k, buffers in enumerate(workload.reads):
        assert np.all(first[buffers] <= k)
        assert np.all(last[buffers] >= k)

"""What TVM compiles for this machine computes what ONNX Runtime does, or there are no figures."""

import importlib.util
import json
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hannah_hw import load_space, to_onnx
from hannah_hw.cli import main
from hannah_hw.cli.measure_tvm import render
from hannah_hw.errors import EvaluationError, InputError, UnsupportedError
from hannah_hw.lowering.tvm import TvmWorker
from hannah_hw.measure.differences import TOLERANCE
from hannah_hw.measure.tvm_host import measure_with_tvm

needs_tvm = pytest.mark.skipif(
    importlib.util.find_spec("tvm") is None, reason="the extra tvm is not installed"
)

#: Conv 3 -> 4, 3x3, padded, on 8x8: 8 * 8 * 4 * 3 * 9 multiply-accumulates.
MACS = 6912


@pytest.fixture
def path(tmp_path):
    """A convolution, a ReLU and their sum with the convolution: two outputs, each of which is read."""
    rng = np.random.default_rng(0)
    weights = [("w", (4, 3, 3, 3)), ("b", (4,))]
    tensors = [
        numpy_helper.from_array(rng.normal(size=size).astype(np.float32), name) for name, size in weights
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Add", ["r", "y"], ["s"]),
    ]
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3 if name == "x" else 4, 8, 8))
        for name in "xyrs"
    }
    graph = helper.make_graph(nodes, "g", [values["x"], values["y"]], [values["r"], values["s"]], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "two.onnx")
    return tmp_path / "two.onnx"


def worker_that_writes(expression):
    """A process that answers with outputs that an expression makes of the true first one, ``r``."""
    kernel = {"nodes": ["c"], "macs": MACS, "reads": [], "writes": [], "scratch_bytes": 0, "loops": []}
    kernels = [kernel | {"name": "fused", "view": False}, kernel | {"name": "renames", "view": True}]
    answer = {"kernels": kernels, "outputs": ["r", "s"], "planned_bytes": 0, "target": "t", "cpu": "c"}
    answer |= {"compile_s": 1.0, "warmup": [1.0] * 9, "times": [2.0, 4.0], "kernel_times": [[1.0, 3.0], []]}
    lines = [
        "import json, sys",
        "import numpy as np, onnxruntime as ort",
        "print(json.dumps({'ready': ''}), flush=True)",
        "request = json.loads(sys.stdin.readline())",
        "session = ort.InferenceSession(request['model'])",
        "x = np.load(request['inputs'])",
        "names = [value.name for value in session.get_inputs()]",
        "r, s = session.run(None, {name: x[f'0.{i}'] for i, name in enumerate(names)})",
        f"np.savez(request['outputs'], **{{'0.0': {expression}, '0.1': s}})",
        f"print(json.dumps({{'done': {answer!r}}}), flush=True)",
        "sys.stdin.readline()",
    ]
    return TvmWorker(command=[sys.executable, "-c", "\n".join(lines)])


def test_statistics_are_those_of_the_answer(path, capsys):
    with worker_that_writes("r") as worker:
        found = measure_with_tvm(path, runs=2, inputs=1, worker=worker)
    assert (found.timing.median_s, found.timing.fastest_s, found.warmup_runs) == (3.0, 2.0, 9)
    # Two runs of 2 s and 4 s vary by a third of their mean; eight equal runs of warm-up are steady.
    assert found.timing.noisy
    assert found.steady
    assert found.difference < 1e-6
    # The view did not run.
    assert [(row.kernel.name, row.latency_s, row.share) for row in found.kernels] == [("fused", 2.0, 1.0)]
    render(found)
    shown = capsys.readouterr().out
    assert "median 3 s" in shown
    assert "1 thread" in shown
    assert "6,912" in shown


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (f"r + {2 * TOLERANCE} * r.max()", "output r differs from ONNX Runtime's by"),
        ("np.full_like(r, np.nan)", "output r differs from ONNX Runtime's by inf"),
        ("r[:, :2]", r"output r is of shape \(1, 2, 8, 8\), and ONNX Runtime's \(1, 4, 8, 8\)"),
    ],
)
def test_a_wrong_output_leaves_no_figures(path, expression, message):
    with worker_that_writes(expression) as worker, pytest.raises(EvaluationError, match=message) as raised:
        measure_with_tvm(path, runs=2, inputs=1, worker=worker)
    assert raised.value.kind == "output"


def test_an_open_batch_is_closed_by_a_shape(path, tmp_path):
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.save(model, tmp_path / "open.onnx")
    with worker_that_writes("r") as worker:
        shapes = {"x": (3, 3, 8, 8), "y": (3, 4, 8, 8)}
        found = measure_with_tvm(tmp_path / "open.onnx", shapes=shapes, runs=2, inputs=1, worker=worker)
    assert found.difference < 1e-6


def test_nothing_to_run_is_refused(path):
    with pytest.raises(InputError, match="0 runs were asked for"):
        measure_with_tvm(path, runs=0)
    with pytest.raises(InputError, match="0 inputs were asked for"):
        measure_with_tvm(path, inputs=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--runtime", "tvn"], "did you mean 'tvm'?"),
        (["--runtime", "tvm", "--core", "m4"], "--core: it is for firmware"),
        (["-t", "stm32l4r5zi", "--runs", "3"], "--runs: runs are for this machine"),
        ([], "--target: say what to measure on"),
    ],
)
def test_options_that_do_not_fit_are_named(path, capsys, options, message):
    assert main(["measure", str(path), *options]) == 2
    assert message in capsys.readouterr().err


@pytest.fixture(scope="module")
def worker():
    with TvmWorker(timeout_s=300.0) as started:
        yield started


@needs_tvm
def test_each_kernel_is_timed_and_every_output_compared(path, worker):
    found = measure_with_tvm(path, runs=3, inputs=3, worker=worker)
    assert [(row.kernel.nodes, row.kernel.macs) for row in found.kernels] == [(("c", "r", "s"), MACS)] or [
        (row.kernel.nodes, row.kernel.macs) for row in found.kernels
    ] == [(("c", "r"), MACS), (("s",), 0)]
    assert sum(row.share for row in found.kernels) == pytest.approx(1.0)
    assert found.timing.fastest_s > 0
    assert (found.checked, found.runs) == (3, 3)
    assert found.difference < 1e-6


@needs_tvm
@pytest.mark.parametrize("name", ["ds_cnn", "tc_resnet"])
def test_candidates_compute_what_onnx_runtime_does(name, worker, tmp_path):
    space = load_space(name)
    candidate = space.candidate(space.encoding.assignment(space.sample_population(2, seed=11)[1]))
    onnx.save(to_onnx(candidate), tmp_path / "m.onnx")
    found = measure_with_tvm(tmp_path / "m.onnx", runs=2, inputs=1, worker=worker)
    assert sum(row.kernel.macs for row in found.kernels) == candidate.macs
    assert found.difference < TOLERANCE
    assert worker.starts == 1


@needs_tvm
def test_what_tvm_lacks_is_a_failure_of_one_model(path, worker, tmp_path):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2, 4)) for name in "xy"]
    node = helper.make_node("Det", ["z"], ["y"])
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "shape"], ["z"]), node],
        "g",
        values[:1],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2,))],
        [numpy_helper.from_array(np.array([2, 2, 2]), "shape")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10),
        tmp_path / "det.onnx",
    )
    with pytest.raises((UnsupportedError, EvaluationError), match="TVM cannot compile and run the model"):
        measure_with_tvm(tmp_path / "det.onnx", worker=worker)
    assert measure_with_tvm(path, runs=1, worker=worker).runs == 1


@needs_tvm
def test_the_command_line_runs_on_this_machine(path, capsys):
    assert main(["measure", str(path), "--runtime", "tvm", "--runs", "4", "--inputs", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["source"] == "measured"
    assert sum(kernel["macs"] for kernel in document["kernels"]) == MACS
    assert document["latency_min_s"] <= document["latency_s"] <= document["latency_p90_s"]

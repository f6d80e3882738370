"""TVM lowers what we write to the multiply-accumulates and values that our table has; its process may die.

TVM is never imported here: what ends its process would end the tests.
"""

import importlib.util
import json
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hannah_hw import load_space, to_onnx
from hannah_hw.cli import main
from hannah_hw.cli.lowering_report import SecondView, render_lowering
from hannah_hw.errors import EvaluationError, InputError, MissingExtraError, RunError, UnsupportedError
from hannah_hw.estimation import lower_with_tvm
from hannah_hw.lowering import read_onnx
from hannah_hw.lowering.tvm import Lowered, TvmWorker, compare, process

HAVE_TVM = importlib.util.find_spec("tvm") is not None
needs_tvm = pytest.mark.skipif(not HAVE_TVM, reason="the extra tvm is not installed")

#: Conv 3 -> 4, 3x3, padded, on 8x8, and a bias: 8 * 8 * 4 * 3 * 9 multiply-accumulates.
MACS, WEIGHTS = 6912, 112


def model(*nodes, constants=(), shape=(1, 3, 8, 8), output=(1, 4, 8, 8)):
    def values(name, size):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, size)

    rng = np.random.default_rng(0)
    tensors = [
        numpy_helper.from_array(rng.normal(size=size).astype(np.float32), name) for name, size in constants
    ]
    graph = helper.make_graph(list(nodes), "g", [values("x", shape)], [values("y", output)], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def conv(output="y"):
    node = helper.make_node("Conv", ["x", "w", "b"], [output], name="conv", pads=[1, 1, 1, 1])
    return node, [("w", (4, 3, 3, 3)), ("b", (4,))]


def one_conv():
    node, constants = conv()
    return model(node, constants=constants)


def answer(**changes):
    """What a worker says of `one_conv`."""
    values = [("x", 192, False), ("", 108, True), ("", 4, True), ("y", 256, False)]
    values = [
        {"id": str(i), "name": name, "elements": n, "bytes": 4 * n, "constant": constant}
        for i, (name, n, constant) in enumerate(values)
    ]
    kernel = {
        "name": "fused_conv2d_add",
        "nodes": ["y"],
        "macs": MACS,
        "reads": values[:3],
        "writes": values[3:],
    }
    kernel |= {"scratch_bytes": 0, "loops": [], "view": False} | changes
    return {"kernels": [kernel], "outputs": ["y"], "planned_bytes": 0}


def script(*lines):
    """A command that says that it is ready and then does something else than TVM."""
    start = ["import sys, json, os, signal, time", "print(json.dumps({'ready': ''}), flush=True)"]
    return [sys.executable, "-c", "\n".join([*start, *lines])]


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setattr(process, "VERSIONS", {"no-such-distribution-of-tvm": "1"})
    with pytest.raises(MissingExtraError, match=r"pip install 'hannah-hw\[tvm\]'"):
        TvmWorker()


def test_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(process, "VERSIONS", {"numpy": "0.0.1"})
    with pytest.raises(RunError, match=r"only 0\.0\.1 is known to work: pip install numpy==0\.0\.1"):
        TvmWorker()


def test_a_worker_that_dies_fails_one_model_only(tmp_path):
    dies_once = script(
        f"again = os.path.exists({str(tmp_path / 'died')!r})",
        f"open({str(tmp_path / 'died')!r}, 'w').close()",
        "sys.stdin.readline()",
        "again or os.kill(os.getpid(), signal.SIGSEGV)",
        f"print({json.dumps({'done': answer()})!r}, flush=True)",
        "sys.stdin.readline()",
    )
    with TvmWorker(command=dies_once) as worker:
        with pytest.raises(EvaluationError, match=r"ended \(signal 11\)") as raised:
            worker.lower(one_conv())
        assert raised.value.kind == "crash"
        assert worker.lower(one_conv()) == Lowered.from_dict(answer())
        assert worker.starts == 2


@pytest.mark.parametrize(
    ("command", "kind", "message"),
    [
        ([sys.executable, "-c", "raise SystemExit('no TVM today')"], "crash", "exit code 1.*no TVM today"),
        (script("sys.stdin.readline()", "time.sleep(60)"), "timeout", "more than 0.5 s for one model"),
        (script("sys.stdin.readline()", "print('hello')"), "crash", "wrote no answer"),
    ],
)
def test_what_a_worker_can_do_wrong(command, kind, message):
    with TvmWorker(command=command, timeout_s=0.5) as worker:
        with pytest.raises(EvaluationError, match=message) as raised:
            worker.lower(one_conv())
        assert raised.value.kind == kind


def test_what_is_not_lowered_is_named():
    refuses = script("sys.stdin.readline()", "print(json.dumps({'error': 'unsupported', 'message': 'LSTM'}))")
    with TvmWorker(command=refuses) as worker, pytest.raises(UnsupportedError, match="LSTM"):
        worker.lower(one_conv())


def test_agreement_counts_what_the_layer_does():
    (group,) = compare(read_onnx(one_conv()), Lowered.from_dict(answer()))
    assert (group.kernels, group.macs, group.read, group.written) == (("conv",), MACS, 3 * 64, 4 * 64)
    assert group.tvm[0].weight_bytes == 4 * WEIGHTS
    assert group.fusion == ""


def resized(values, index, elements):
    return [value | ({"elements": elements} if i == index else {}) for i, value in enumerate(values)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"macs": MACS - 1}, "6,912 MACs, by TVM 6,911"),
        ({"reads": resized(answer()["kernels"][0]["reads"], 0, 191)}, "reads 192 elements of x, by TVM 191"),
        ({"reads": resized(answer()["kernels"][0]["reads"], 1, 107)}, "112 weights and biases, by TVM 111"),
        (
            {"writes": resized(answer()["kernels"][0]["writes"], 0, 1)},
            "writes 256 elements of conv, by TVM 1 ",
        ),
    ],
)
def test_a_disagreement_names_the_kernel(changes, message):
    with pytest.raises(EvaluationError, match=f"kernel conv, in TVM fused_conv2d_add: {message}") as raised:
        compare(read_onnx(one_conv()), Lowered.from_dict(answer(**changes)))
    assert raised.value.kind == "disagreement"


def test_features_are_for_documents(capsys, tmp_path):
    onnx.save(one_conv(), tmp_path / "m.onnx")
    command = ["estimate", str(tmp_path / "m.onnx"), "-t", "stm32l4r5zi", "--lowering", "tvm", "--features"]
    assert main(command) == 2
    assert "--features: it is for --lowering tvm with --json" in capsys.readouterr().err


def test_a_quantised_model_is_refused_before_anything_starts():
    scales = [("s", ()), ("t", ())]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s"], ["d"]),
        helper.make_node("Relu", ["d"], ["y"]),
    ]
    with pytest.raises(InputError, match="this one is quantised"):
        lower_with_tvm(model(*nodes, constants=scales, output=(1, 3, 8, 8)))


def test_an_unknown_lowering_is_refused(capsys, tmp_path):
    onnx.save(one_conv(), tmp_path / "m.onnx")
    assert main(["estimate", str(tmp_path / "m.onnx"), "-t", "stm32l4r5zi", "--lowering", "tvn"]) == 2
    assert "did you mean 'tvm'?" in capsys.readouterr().err


@pytest.fixture(scope="module")
def worker():
    with TvmWorker() as started:
        yield started


@needs_tvm
@pytest.mark.parametrize("name", ["ds_cnn", "tc_resnet", "resnet", "mcunet"])
def test_candidates_agree_with_tvm(worker, name):
    space = load_space(name)
    row = space.sample_population(2, seed=7)[1]
    candidate = space.candidate(space.encoding.assignment(row))
    lowered, groups = lower_with_tvm(to_onnx(candidate), worker=worker)
    assert sum(kernel.macs for kernel in lowered.kernels) == candidate.macs
    assert sum(len(group.kernels) for group in groups) == len(candidate.workload().candidate(0).kernels)
    assert all(group.compared for group in groups)
    assert worker.starts == 1


@needs_tvm
def test_batch_normalisations_of_their_own_agree_with_tvm(worker):
    candidate = load_space("ds_cnn", max_blocks=1).candidate({})
    lowered, groups = lower_with_tvm(to_onnx(candidate, fold_batch_norm=False), worker=worker)
    assert sum(kernel.macs for kernel in lowered.kernels) == candidate.macs
    assert all(group.compared for group in groups)


@needs_tvm
def test_a_convolution_with_its_activation_is_one_kernel(worker):
    node, constants = conv("c")
    lowered, groups = lower_with_tvm(
        model(node, helper.make_node("Relu", ["c"], ["y"], name="relu"), constants=constants), worker=worker
    )
    (kernel,) = lowered.kernels
    assert kernel.nodes == ("c", "y")
    assert (kernel.macs, kernel.read_bytes, kernel.write_bytes) == (MACS, 4 * 192, 4 * 256)
    assert kernel.weight_bytes == 4 * WEIGHTS
    # The padded input, and the values before the bias and before the activation.
    assert kernel.scratch_bytes == 4 * (3 * 10 * 10 + 2 * 256)
    assert [nest.extents for nest in kernel.loops if nest.reduced] == [(1, 4, 8, 8, 3, 3, 3)]
    assert groups[0].kernels == ("conv",)


@needs_tvm
def test_an_operator_that_tvm_lacks_leaves_the_process_alive(worker):
    node = helper.make_node("MaxUnpool", ["x", "i"], ["y"], name="odd", kernel_shape=[2, 2])
    odd = model(node, constants=[("i", (1, 3, 8, 8))], output=(1, 3, 9, 9))
    starts = worker.starts
    with pytest.raises((UnsupportedError, EvaluationError), match="TVM cannot lower"):
        worker.lower(odd)
    assert len(worker.lower(one_conv()).kernels) == 1
    assert worker.starts == max(starts, 1)


@needs_tvm
def test_what_tvm_cannot_read_or_has_no_kernel_for_is_named(worker):
    attention = helper.make_node("Attention", ["x", "w", "b"], ["y"], domain="com.microsoft")
    unread = model(attention, constants=[("w", (8, 24)), ("b", (24,))], shape=(1, 4, 8), output=(1, 4, 8))
    unread.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(UnsupportedError, match="Attention has no 'num_heads', which TVM's importer wants"):
        worker.lower(unread)
    largest = model(helper.make_node("TopK", ["x", "k"], ["y", "i"]), shape=(1, 40), output=(1, 3))
    largest.graph.initializer.append(numpy_helper.from_array(np.array([3]), "k"))
    with pytest.raises(UnsupportedError, match=r"relax\.topk is an operation that TVM has no kernel for"):
        worker.lower(largest)


@needs_tvm
def test_the_command_line_shows_both_views(capsys, tmp_path):
    onnx.save(one_conv(), tmp_path / "m.onnx")
    command = ["estimate", str(tmp_path / "m.onnx"), "-t", "stm32l4r5zi", "--lowering", "tvm", "--json"]
    assert main([*command, "--features"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["lowering"]["groups"]
    assert group["kernels"] == ["conv"]
    assert group["tvm"][0]["macs"] == MACS
    assert {len(store) for store in group["tvm"][0]["features"]} == {164}


@needs_tvm
def test_features_of_a_sum_count_its_arithmetic(worker):
    # y = x w of 3 x 6 by 6 x 5: 90 products are added to 15 sums. Numbers n are log2(1 + n); the first six of a vector
    # are products with an addition in one, sums and differences, products, quotients, comparisons and functions.
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="dense")
    dense = model(node, constants=[("w", (6, 5))], shape=(3, 6), output=(3, 5))
    (plain,) = worker.lower(dense).kernels
    (kernel,) = worker.lower(dense, features=True).kernels
    assert plain.features == ()
    assert {len(store) for store in kernel.features} == {164}
    assert np.isfinite(kernel.features).all()
    (sums,) = [store for store in kernel.features if store[2] > 0]
    assert sums[:4] == pytest.approx((0, np.log2(91), np.log2(91), 0), abs=1e-6)


def test_the_table_has_a_row_a_kernel(capsys):
    lowered = Lowered.from_dict(answer())
    render_lowering(SecondView(lowered, compare(read_onnx(one_conv()), lowered)))
    header, row, _, summary, *_ = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["kernel", "in", "TVM", "MACs"]
    assert row.split() == [
        "conv",
        "fused_conv2d_add",
        "6,912",
        "768",
        "B",
        "1.0",
        "KiB",
        "448",
        "B",
        "0",
        "B",
    ]
    assert "agree with ours in 1 of 1 groups" in summary

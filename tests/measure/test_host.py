from __future__ import annotations

import json
import tempfile
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hannah_hw.errors import ModelError
from hannah_hw.host.session import InputSpec, input_specs, open_session, random_inputs, unknown_operators
from hannah_hw.measure.profile import profile_model


def save(path, nodes, tensors=(), shape=("N", 3, 16, 16), opset=17):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
        list(tensors),
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), path)
    return path


def convolutions(path, channels=32, shape=("N", 3, 16, 16)):
    rng = np.random.default_rng(0)
    weights = {
        "w_large": rng.normal(size=(channels, shape[1], 5, 5)),
        "w_small": rng.normal(size=(4, channels, 1, 1)),
    }
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    nodes = [
        helper.make_node("Conv", ["input", "w_large"], ["a"], name="large", pads=[2] * 4),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Conv", ["b", "w_small"], ["output"], name="small"),
    ]
    return save(path, nodes, tensors, shape)


def test_a_session_computes_what_numpy_computes(tmp_path):
    path = save(tmp_path / "m.onnx", [helper.make_node("Mul", ["input", "input"], ["output"])])
    x = np.random.default_rng(0).normal(size=(2, 3, 16, 16)).astype(np.float32)
    for optimisation in ("none", "basic", "extended", "all"):
        np.testing.assert_array_equal(
            open_session(path, optimisation=optimisation).run(None, {"input": x})[0], x * x
        )
    assert open_session(path).get_providers() == ["CPUExecutionProvider"]


@pytest.mark.parametrize("keep", [0, 20, 0.5])
def test_truncated_file(tmp_path, keep):
    path = convolutions(tmp_path / "m.onnx")
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep >= 1 or keep == 0 else keep * len(content))])
    with pytest.raises(ModelError, match=r"m\.onnx: not a"):
        open_session(path)


def test_missing_file_and_not_onnx(tmp_path):
    with pytest.raises(ModelError, match=r"no\.onnx: there is no such file"):
        open_session(tmp_path / "no.onnx")
    (tmp_path / "t.onnx").write_text("a model, in words")
    with pytest.raises(ModelError, match=r"t\.onnx: not a complete ONNX file"):
        open_session(tmp_path / "t.onnx")


def test_unknown_operator_is_named(tmp_path):
    path = save(tmp_path / "m.onnx", [helper.make_node("Convolve", ["input"], ["output"])])
    with pytest.raises(ModelError, match="no kernel for the operator Convolve"):
        open_session(path)
    path = save(tmp_path / "m.onnx", [helper.make_node("Twist", ["input"], ["output"], domain="acme")])
    assert unknown_operators(path) == ["acme.Twist"]
    assert unknown_operators(convolutions(tmp_path / "known.onnx")) == []


def test_broken_graph(tmp_path):
    path = save(tmp_path / "m.onnx", [helper.make_node("Relu", ["nothing"], ["output"])])
    with pytest.raises(ModelError, match="not a valid model"):
        open_session(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"provider": "CPUExecutionProvder"}, "did you mean 'CPUExecutionProvider'"),
        ({"optimisation": "al"}, "did you mean 'all'"),
        ({"threads": 0}, "at least 1"),
    ],
)
def test_wrong_settings(tmp_path, settings, message):
    with pytest.raises(ModelError, match=message):
        open_session(convolutions(tmp_path / "m.onnx"), **settings)


def test_shapes(tmp_path):
    fixed = open_session(convolutions(tmp_path / "a.onnx"))
    assert input_specs(fixed, "a") == [InputSpec("input", np.float32, (1, 3, 16, 16))]
    assert input_specs(fixed, "a", (4, 3, 16, 16))[0].shape == (4, 3, 16, 16)
    path = convolutions(tmp_path / "b.onnx", shape=("N", 3, "H", "W"))
    dynamic = open_session(path)
    with pytest.raises(ModelError, match=r"dynamic shape \(N, 3, H, W\); give one with --shape, .*1,3,16,16"):
        input_specs(dynamic, path)
    assert input_specs(dynamic, path, {"input": [1, 3, 8, 9]})[0].shape == (1, 3, 8, 9)
    for shape in [(1, 4, 8, 8), (1, 3, 8), (1, 3, 0, 8)]:
        with pytest.raises(ModelError, match="does not fit the input 'input'"):
            input_specs(dynamic, path, shape)
    with pytest.raises(ModelError, match="did you mean 'input'"):
        input_specs(dynamic, path, {"inputs": [1, 3, 8, 8]})


def test_inputs_are_seeded_and_of_the_right_type():
    specs = [
        InputSpec("f", np.float32, (2, 3)),
        InputSpec("q", np.int8, (5000,)),
        InputSpec("i", np.int64, (9,)),
    ]
    one, two, three = (random_inputs(specs, seed) for seed in (1, 1, 2))
    for spec in specs:
        assert one[spec.name].dtype == spec.dtype
        np.testing.assert_array_equal(one[spec.name], two[spec.name])
    assert not np.array_equal(one["f"], three["f"])
    assert (one["q"].min(), one["q"].max()) == (-128, 127)


def test_profile(tmp_path, monkeypatch, capfd):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(scratch)
    path = convolutions(tmp_path / "m.onnx", channels=256, shape=("N", 3, 32, 32))
    report = profile_model(path, runs=30)
    document = json.loads(json.dumps(report.to_dict()))
    assert document["source"] == "measured"
    assert document["model"] == "m.onnx"
    assert document["provider"] == "CPUExecutionProvider"
    assert document["inputs"] == {"input": [1, 3, 32, 32]}
    assert document["versions"].keys() == {"onnxruntime", "numpy", "python"}
    assert 0 < report.latency_min_s <= report.latency_s <= report.latency_p90_s
    assert report.noisy == (report.variation > 0.1)
    assert report.warmup_runs >= 10
    # 256 x 3 x 25 x 1024 MACs against 4 x 256 x 1024: the first takes the larger part of the time.
    rows = [row for row in report.operators if row.op_type.endswith("Conv")]
    assert len(rows) == 2
    assert rows[0].share > rows[1].share
    assert sum(row.share for row in report.operators) == pytest.approx(1)
    # The same work by this test's own clock; a loose bound, since the machine may be busy.
    session = open_session(path)
    feed = {"input": np.zeros((1, 3, 32, 32), np.float32)}
    times = []
    for _ in range(30):
        started = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - started)
    assert 0.2 < report.latency_min_s / min(times) < 5
    assert list(scratch.iterdir()) == []
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_profile_states_the_settings_and_refuses_bad_ones(tmp_path):
    path = convolutions(tmp_path / "m.onnx", channels=4)
    report = profile_model(path, runs=3, optimisation="none", threads=2, shape=(2, 3, 16, 16))
    assert (report.threads, report.optimisation, report.runs) == (2, "none", 3)
    assert report.inputs == {"input": [2, 3, 16, 16]}
    # Without optimisation nothing is fused: the nodes are those of the file.
    assert [row.op_type for row in report.operators] == ["Conv", "Relu", "Conv"]
    with pytest.raises(ModelError, match="at least 1"):
        profile_model(path, runs=0)


def test_a_model_that_fails_while_running(tmp_path):
    shape = numpy_helper.from_array(np.array([7, 11], np.int64), "shape")
    path = save(tmp_path / "m.onnx", [helper.make_node("Reshape", ["input", "shape"], ["output"])], [shape])
    with pytest.raises(ModelError, match=r"m\.onnx: the model fails while running"):
        profile_model(path)

"""Models of other tools in the profiler."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from hannah_hw.errors import InputError, ModelError
from hannah_hw.host.session import input_specs, open_session, random_inputs
from hannah_hw.measure.host_comparison import compare_models
from hannah_hw.measure.host_operators import arena, operator_times
from hannah_hw.measure.profile import profile_model
from tests.measure import host_models as models


def saved(path, model):
    onnx.save(model, path)
    return path


def newest_opset():
    """The newest operator set that both packages have, by trying."""
    for opset in range(onnx.defs.onnx_opset_version(), 17, -1):
        try:
            onnxruntime.InferenceSession(
                models.classifier(opset).SerializeToString(), providers=["CPUExecutionProvider"]
            )
        except onnxruntime.capi.onnxruntime_pybind11_state.Fail:
            continue
        return opset
    raise AssertionError


@pytest.mark.parametrize("opset", [11, 13, 17, newest_opset()])
def test_operator_sets_from_11_to_the_newest(tmp_path, opset):
    path = saved(tmp_path / "m.onnx", models.classifier(opset))
    report = profile_model(path, runs=3, optimisation="none")
    # Without optimisation, the nodes are those of the file, in its order.
    assert [row.name for row in report.operators] == ["conv", "relu", "pool", "flatten", "fc"]
    assert report.inputs == {"x": [1, 3, 16, 16]}
    assert profile_model(path, runs=3, shape=(5, 3, 16, 16)).inputs == {"x": [5, 3, 16, 16]}


def test_an_operator_set_that_the_runtime_does_not_have(tmp_path):
    newest = newest_opset()
    if newest == onnx.defs.onnx_opset_version():
        pytest.skip("this ONNX Runtime has all operator sets of the package onnx")
    path = saved(tmp_path / "m.onnx", models.classifier(newest + 1))
    with pytest.raises(
        ModelError, match=rf"ai.onnx opset {newest + 1}, and ONNX Runtime .* to opset {newest}; "
    ):
        open_session(path)


@pytest.mark.parametrize(
    ("make", "types"),
    [
        (models.channels_last, ["Transpose", "Conv", "Transpose"]),
        (models.quantised, ["QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "MatMul"]),
        (models.scaled_classifier, ["Scaler", "LinearClassifier", "ZipMap"]),
        (models.text_encoder, ["LabelEncoder"]),
    ],
)
def test_exports_of_other_tools(tmp_path, make, types):
    path = saved(tmp_path / "m.onnx", make())
    # Constants behind a DequantizeLinear are not folded without optimisation.
    report = profile_model(path, runs=2, optimisation="none")
    assert sorted(row.op_type for row in report.operators) == sorted(types)
    assert {row.provider for row in report.operators} == {"CPUExecutionProvider"}


def test_texts_are_drawn(tmp_path):
    session = open_session(saved(tmp_path / "m.onnx", models.text_encoder()))
    feeds = random_inputs(input_specs(session, "m", (50, 2)))
    # The encoder maps the texts 0 and 1 to 3 and 5.
    assert set(session.run(None, feeds)[0].ravel()) == {3.0, 5.0}


def test_what_a_loop_does_counts_once(tmp_path):
    path = saved(tmp_path / "m.onnx", models.looped())
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "own")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for _ in range(5):
        session.run(None, {"x": np.ones((1, 1000), np.float32)})
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    rows = operator_times(events)
    assert [row.name for row in rows] == ["loop", "after"]
    # The runtime's own figures of the node, but for the first run.
    own = [event["dur"] for event in events if event["name"] == "loop_kernel_time"][1:]
    assert len(own) == 4
    assert rows[0].latency_s == pytest.approx(np.median(own) * 1e-6)
    # Operators of a run take no longer than the slowest run.
    runs = [event["dur"] for event in events if event["name"] == "model_run"][1:]
    assert sum(row.latency_s for row in rows) <= max(runs) * 1e-6
    assert [row.op_type for row in profile_model(path, runs=2).operators] == ["Loop", "Add"]


def node(name, start, length, **args):
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "ts": start,
        "dur": length,
        "args": {"op_name": "X", **args},
    }


def test_operators_and_arena_of_a_given_profile():
    def run(start, *durations):
        events, now = [], start + 1
        for index, duration in enumerate(durations):
            events.append(node("same", now, duration, node_index=str(index)))
            now += duration
        ends = [
            {"cat": "Session", "name": name, "ts": start, "dur": now - start, "args": {}}
            for name in ("SequentialExecutor::Execute", "model_run")
        ]
        return [*events, *ends]

    events = [*run(0, 900, 900), *run(2000, 1, 6), *run(3000, 3, 6), *run(4000, 2, 30)]
    rows = operator_times(events)
    # Two nodes of one name stay two; the first run is left out; medians of (1, 3, 2) and (6, 6, 30) microseconds.
    assert [row.latency_s for row in rows] == pytest.approx([2e-6, 6e-6])
    assert [row.share for row in rows] == pytest.approx([0.25, 0.75])
    assert arena(events) is None
    reported = [
        node("a", 0, 1, mem_arena_held="1048576", mem_in_use_peak="512"),
        node("b", 1, 1, mem_arena_held="1048576", mem_in_use_peak="4608"),
    ]
    assert (arena(reported).held_bytes, arena(reported).peak_bytes) == (1048576, 4608)


def test_the_arena_holds_what_is_alive_at_once(tmp_path):
    # Two additions of 4 MB values: one is read while the other is written.
    nodes = [
        helper.make_node("Add", ["x", "x"], ["a"]),
        helper.make_node("Add", ["a", "x"], ["b"]),
        helper.make_node("ReduceSum", ["b"], ["y"]),
    ]
    made = models.model(nodes, [("x", TensorProto.FLOAT, [1, 1 << 20])], [("y", TensorProto.FLOAT, [1, 1])])
    found = profile_model(saved(tmp_path / "m.onnx", made), runs=2, optimisation="none").arena
    if found is None:
        pytest.skip("this ONNX Runtime does not report its arena")
    assert 4 << 20 <= found.peak_bytes <= found.held_bytes


def test_comparison(tmp_path):
    small, large = models.classifier(), models.classifier()
    heavy = np.ones((256, 3, 3, 3), np.float32)
    large.graph.initializer[0].CopyFrom(models.tensor("w", heavy))
    large.graph.initializer[1].CopyFrom(models.tensor("fc", np.ones((10, 256))))
    paths = saved(tmp_path / "small.onnx", small), saved(tmp_path / "large.onnx", large)
    found = compare_models(*paths, runs=12, shape=(2, 3, 16, 16))
    document = json.loads(json.dumps(found.to_dict()))
    assert (document["model"]["model"], document["other"]["model"]) == ("small.onnx", "large.onnx")
    assert document["model"]["inputs"] == document["other"]["inputs"] == {"x": [2, 3, 16, 16]}
    assert document["pairs"] == document["model"]["runs"] == document["other"]["runs"] == 12
    # Thirty-two times the MACs take longer; the ratio is that of the medians that are reported.
    assert document["ratio"] > 1
    assert document["ratio"] == pytest.approx(document["other"]["latency_s"] / document["model"]["latency_s"])
    assert document["ratio_low"] <= document["ratio"] <= document["ratio_high"]
    assert document["confidence"] == 0.95


def external(path):
    onnx.save(models.classifier(), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    return path


def test_external_data(tmp_path):
    path = external(tmp_path / "m.onnx")
    assert len(profile_model(path, runs=2, optimisation="none").operators) == 5
    data = tmp_path / "w.bin"
    os.truncate(data, 100)
    with pytest.raises(ModelError, match=r"ends at byte 864 of 'w\.bin', which has 100; the file is cut off"):
        profile_model(path)
    data.unlink()
    with pytest.raises(
        ModelError, match=r"the weight 'w' is in the file 'w\.bin', which is not beside the model"
    ):
        profile_model(path)


def test_models_that_are_larger_than_memory(tmp_path):
    path = external(tmp_path / "m.onnx")
    found = onnx.load(path, load_external_data=False)
    # 2^42 bytes in a sparse file, which takes no room on the disk and more than a machine's memory.
    weight = found.graph.initializer[0]
    weight.dims[:] = [1 << 40, 3, 3, 3]
    next(entry for entry in weight.external_data if entry.key == "length").value = str(1 << 42)
    path.write_bytes(found.SerializeToString())
    os.truncate(tmp_path / "w.bin", 1 << 42)
    with pytest.raises(ModelError, match=r"its weights take 4096\.0 GiB, and .* of memory are free"):
        profile_model(path)
    whole = tmp_path / "whole.onnx"
    whole.touch()
    os.truncate(whole, 1 << 31)
    with pytest.raises(ModelError, match="ONNX files end at 2 GiB; export it with external data"):
        profile_model(whole)


def test_values_that_are_larger_than_memory(tmp_path):
    nodes = [helper.make_node("Expand", ["x", "s"], ["y"])]
    sizes = models.tensor("s", [1 << 20, 1 << 20, 4], np.int64)
    made = models.model(
        nodes, [("x", TensorProto.FLOAT, [1, 1, 4])], [("y", TensorProto.FLOAT, ["a", "b", 4])], [sizes]
    )
    with pytest.raises(ModelError, match=r"m\.onnx: not enough memory: it asks for 16384\.0 GiB at once"):
        profile_model(saved(tmp_path / "m.onnx", made), runs=1)


def test_a_provider_that_is_not_installed_names_those_that_are(tmp_path):
    path = saved(tmp_path / "m.onnx", models.classifier())
    installed = onnxruntime.get_available_providers()
    missing = next(name for name in onnxruntime.get_all_providers() if name not in installed)
    with pytest.raises(InputError, match=f"'{missing}' is not installed; .*{', '.join(installed)}"):
        profile_model(path, provider=missing)


def test_a_format_that_is_too_new_for_the_runtime(tmp_path):
    model = models.classifier()
    model.ir_version = 99
    path = tmp_path / "new.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"IR version 99, and ONNX Runtime .* save it with ir_version = \d+"):
        open_session(path)

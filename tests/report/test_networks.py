"""Networks as the page draws them: against a file that is written down here, and against the space's own graph."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import hannah_hw
from hannah_hw.report import read_run
from hannah_hw.report.networks import HEIGHT, WIDTH, networks, read_network
from tests.report.synthetic import write_run


def residual(path: Path, channels: int) -> None:
    """Two convolutions around which the input of the second goes: stem, body, add."""
    sizes = [("stem_w", [channels, 3, 3, 3]), ("body_w", [channels, 1, 3, 3])]
    weights = [
        helper.make_tensor(name, TensorProto.FLOAT, s, [0.5] * (s[0] * s[1] * s[2] * s[3]))
        for name, s in sizes
    ]
    nodes = [
        helper.make_node("Conv", ["x", "stem_w"], ["a"], "stem", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "body_w"], ["b"], "body", group=channels, pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["b", "a"], ["y"], "join"),
    ]
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 3, 8, 8]), ("y", None))
    ]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_a_network_that_is_written_down(tmp_path: Path) -> None:
    residual(tmp_path / "net.onnx", 4)
    network = read_network(tmp_path / "net.onnx")
    assert network.names == ("x", "stem", "body", "join")
    assert set(network.lines) == {(0, 1), (1, 2), (1, 3), (2, 3)}
    assert network.facts[0] == {"kind": "input", "out": "3x8x8"}
    # 8 x 8 in steps of 2 is 4 x 4; 4 filters of 3 x 3 x 3 are 108 weights, each used at 16 pixels.
    assert network.facts[1] == {
        "kind": "conv",
        "in": "3x8x8",
        "out": "4x4x4",
        "kernel": "3x3",
        "stride": "2x2",
        "weights": 108,
        "macs": 1728,
    }
    assert (network.facts[2]["groups"], network.facts[2]["weights"]) == (4, 36)
    assert network.facts[3] == {"kind": "add", "in": "4x4x4", "out": "4x4x4"}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_exported_candidate_is_drawn_as_it_is(tmp_path: Path, seed: int) -> None:
    space = hannah_hw.load_space("tc_resnet")
    candidate = space.candidate(space.sample(seed=seed))
    hannah_hw.to_onnx(candidate, tmp_path / "net.onnx")
    network = read_network(tmp_path / "net.onnx")
    work = candidate.workload()
    kernels = [
        name for name, _ in zip(network.names, network.facts, strict=True) if name in work.kernels.names
    ]
    assert kernels == list(work.kernels.names)
    assert sum(int(row.get("macs", 0)) for row in network.facts) == candidate.macs


def run_of(folder: Path, channels: list[int]) -> hannah_hw.report.ReportData:
    """A run whose front has models of these sizes."""
    write_run(folder, 60)
    run = read_run(folder)
    for place, position in enumerate(run.front):
        artifact = run.candidates[position].artifact
        assert artifact is not None
        if place < len(channels):
            residual(folder / artifact, channels[place])
    return run


def test_networks_of_one_form_share_their_layout(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", [4, 8, 4])
    first, second, third = (run.candidates[i].id for i in run.front[:3])
    found = networks(run)
    assert len(found["layouts"]) == 1
    assert found["of"][first]["facts"] == found["of"][third]["facts"] != found["of"][second]["facts"]
    assert found["facts"][found["of"][second]["facts"][1]]["out"] == "8x4x4"
    layout = found["layouts"][0]
    assert layout["names"] == ("x", "stem", "body", "join")
    tops = [y for _, y in layout["corners"]]
    assert tops == sorted(set(tops)), "each reads the one above it"
    assert max(x + WIDTH for x, _ in layout["corners"]) <= layout["width"]
    assert tops[-1] + HEIGHT == layout["height"]
    # Models that are none are named, with the reason; the synthetic ones are of four bytes.
    assert set(found["unread"]) == {run.candidates[i].id for i in run.front[3:]}
    assert all("not an ONNX file" in reason for reason in found["unread"].values())


def test_of_a_large_front_an_even_share_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(tmp_path / "run", [2] * 60)
    assert len(run.front) > 4
    monkeypatch.setattr("hannah_hw.report.networks.MAX_NETWORKS", 3)
    found = networks(replace(run, knee=run.front[1]))
    assert len(found["of"]) <= 4
    assert run.candidates[run.front[1]].id in found["of"]
    assert len(json.dumps(found)) < 4000


def test_a_model_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    residual(path, 4)
    assert read_network(path) is read_network(path)
    residual(path, 6)
    assert read_network(path).facts[1]["out"] == "6x4x4"


def test_files_of_strangers_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    residual(tmp_path / "net.onnx", 4)
    monkeypatch.setattr("hannah_hw.report.networks.MAX_BYTES", 100)
    with pytest.raises(hannah_hw.HannahError, match="up to 100 are read"):
        read_network(tmp_path / "net.onnx")

"""Measuring on a host: what is measured and with what; nothing here depends on how fast a machine is."""

import json
from dataclasses import replace

import onnx
import pytest

import hannah_hw as hw
from hannah_hw.cli import main
from hannah_hw.errors import InputError, ModelError
from hannah_hw.host.candidates import candidate_model
from hannah_hw.host.facts import this_runtime
from hannah_hw.host.graph import optimised_kernels
from hannah_hw.host.rows import HostRow, write_rows
from hannah_hw.host.session import open_session
from hannah_hw.measure import host_measure
from hannah_hw.measure.host_measure import host_means, measure_on_host
from hannah_hw.targets import load_target
from tests.host.learned_host import fitted, write_host


@pytest.fixture(scope="module")
def candidate():
    space = hw.load_space("ds_cnn")
    return space.candidate(space.sample(seed=1))


@pytest.fixture(scope="module")
def path(candidate, tmp_path_factory):
    folder = tmp_path_factory.mktemp("host")
    return write_host(folder, fitted([optimised_kernels(candidate_model(candidate, "float32"))]))


@pytest.fixture
def patient(monkeypatch):
    """Any two halves of a measurement agree, however busy the machine of the tests is."""
    timer = host_measure.time_subjects
    monkeypatch.setattr(host_measure, "PATIENCE", 1)
    monkeypatch.setattr(
        host_measure, "time_subjects", lambda *args, **given: timer(*args, **given, retest=1e9, rounds=4)
    )


def test_a_candidate_and_its_file_are_measured(candidate, path, patient, tmp_path):
    target = load_target(path)
    file = tmp_path / "candidate.onnx"
    file.write_bytes(candidate_model(candidate, "float32").SerializeToString())
    for model, name, weights in ((candidate, candidate.id, "random"), (file, "candidate", "the model's")):
        found = measure_on_host(model, target)
        assert (found.model, found.target, found.weights) == (name, "desk:float32", weights)
        figure = found.figures["latency_s"]
        assert (figure.unit, figure.source) == ("s", "measured")
        assert found.value("latency_s") > 0
        assert figure.error >= 0
        assert 0 <= found.calm <= 1
        assert json.loads(json.dumps(found.to_dict()))["means"] == host_means(target)


def test_a_candidate_runs_with_the_precision_of_the_target(candidate, path, patient, monkeypatch):
    opened = []

    def remember(content, **settings):
        nodes = onnx.load_from_string(content).graph.node
        opened.append(({node.op_type for node in nodes}, settings["threads"]))
        return open_session(content, **settings)

    monkeypatch.setattr(host_measure, "open_session", remember)
    measure_on_host(candidate, load_target(f"{path}:int8"))
    ((operators, threads),) = opened
    assert "QuantizeLinear" in operators
    assert threads == 1


@pytest.mark.parametrize("facts", [{"processor": "Z80"}, {"nchwc_block": 32}])
def test_another_machine_is_not_measured_here(candidate, path, tmp_path, facts):
    target = load_target(path)
    other = target.model_copy(update={"runtime": target.runtime.model_copy(update=facts)})
    with pytest.raises(InputError, match=r"calibrated on another machine: its .* measure there"):
        measure_on_host(candidate, other)
    assert host_means(target)["processor"] == this_runtime().processor


def test_a_file_that_cannot_run_is_refused(path, tmp_path):
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x0a")
    with pytest.raises(ModelError):
        measure_on_host(tmp_path / "cut.onnx", load_target(path))


def test_a_machine_that_is_slower_than_its_calibration_says_so(candidate, path, patient, tmp_path, capsys):
    kernels = {k.key: k for k in optimised_kernels(candidate_model(candidate, "float32"))}.values()
    rows = [HostRow(kernel, 1e-9 * (2 + number), 0.0, "a test") for number, kernel in enumerate(kernels)]
    write_host(tmp_path, replace(fitted([list(kernels)]), rows="rows.csv", run_seconds=1e-9))
    (tmp_path / "rows.csv").write_text(write_rows(rows))
    file = tmp_path / "candidate.onnx"
    file.write_bytes(candidate_model(candidate, "float32").SerializeToString())
    assert main(["measure", str(file), "-t", str(tmp_path / "desk.yaml"), "--json"]) == 0
    captured = capsys.readouterr()
    # A calibration in which kernels took nanoseconds was made on no machine that there is.
    assert "times as long as when the machine was calibrated" in json.loads(captured.out)["warning"]
    assert "warning: candidate: runs took" in captured.err
    # And one without its measurements cannot be compared with.
    found = measure_on_host(file, load_target(path))
    assert "not compared with the calibration" in found.figures["latency_s"].note
    assert "too few measurements of the calibration" in found.warning


def test_the_command_line_measures_on_hosts(candidate, path, patient, tmp_path, capsys):
    file = tmp_path / "candidate.onnx"
    file.write_bytes(candidate_model(candidate, "float32").SerializeToString())
    assert main(["measure", str(file), "-t", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["figures"]["latency_s"]["source"] == "measured"
    assert main(["measure", str(file), "-t", str(path)]) == 0
    assert "latency_s" in capsys.readouterr().out
    assert main(["measure", str(file), "-t", str(path), "--core", "m4"]) == 2
    assert "--core" in capsys.readouterr().err

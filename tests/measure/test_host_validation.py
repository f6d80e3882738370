"""Estimates of hosts against runs: what is compared and what is said where there is nothing to compare."""

import json

import pytest

import hannah_hw as hw
from hannah_hw.cli import main
from hannah_hw.cost import Figure
from hannah_hw.errors import MeasurementError
from hannah_hw.host.candidates import candidate_model
from hannah_hw.host.graph import optimised_kernels
from hannah_hw.measure.host_measure import HostMeasurement
from hannah_hw.measure.host_validation import HostComparison, compare_with_runs
from hannah_hw.targets import load_target
from tests.host.learned_host import fitted, write_host


@pytest.fixture(scope="module")
def candidate():
    space = hw.load_space("ds_cnn")
    return space.candidate(space.sample(seed=1))


@pytest.fixture(scope="module")
def kernels(candidate):
    return optimised_kernels(candidate_model(candidate, "float32"))


def two_milliseconds(model, target):
    """A run that takes 2 ms, whatever it is."""
    figure = Figure(2e-3, "s", "measured", 0.0, "a test")
    return HostMeasurement("a", target.label, "random", {"latency_s": figure}, {}, 1.0)


def test_an_error_is_relative_to_what_was_measured():
    row = HostComparison.of("a", estimated_s=3e-3, interval=0.2, measured_s=2e-3)
    assert row.error == pytest.approx(0.5)
    # The interval of the estimate is 2.4 to 3.6 ms.
    assert not row.inside
    assert HostComparison.of("a", 3e-3, 0.35, 2e-3).inside


def test_networks_are_compared(candidate, kernels, tmp_path):
    target = load_target(write_host(tmp_path, fitted([kernels])))
    (row,) = compare_with_runs(target, [("one", candidate)], measure=two_milliseconds)
    expected = hw.estimate(candidate, target)
    assert (row.network, row.estimated_s, row.measured_s) == ("one", expected.latency_s, 2e-3)
    assert row.interval == expected.figures["latency_s"].error
    assert row.reason is None


def test_what_has_no_price_or_no_measurement_has_a_reason(candidate, kernels, tmp_path):
    def busy(*_):
        raise MeasurementError("the machine is too busy", kind="noise")

    target = load_target(write_host(tmp_path, fitted([kernels])))
    (row,) = compare_with_runs(target, [("one", candidate)], measure=busy)
    assert row.reason == "the machine is too busy"
    assert row.estimated_s is not None
    assert row.measured_s is None
    (other,) = compare_with_runs(target.using("int8"), [("one", candidate)], measure=two_milliseconds)
    assert "was profiled" in other.reason
    assert other.estimated_s is None


def test_the_command_line(candidate, kernels, tmp_path, capsys):
    path = str(write_host(tmp_path, fitted([kernels])))
    file = tmp_path / "one.onnx"
    file.write_bytes(candidate_model(candidate, "int8").SerializeToString())
    assert main(["validate", path, "--model", str(file), "--json"]) == 1
    captured = capsys.readouterr()
    (row,) = json.loads(captured.out)["networks"]
    assert (row["network"], row["estimated_s"], row["measured_s"]) == ("one", None, None)
    assert "was profiled" in row["reason"]
    assert "error: one: " in captured.err
    assert main(["validate", path, "--calibration", "random"]) == 2
    assert "--calibration" in capsys.readouterr().err
    # The reference networks have kernels that were not measured.
    assert main(["validate", path]) == 1
    captured = capsys.readouterr()
    assert "interval holds it" in captured.out
    assert "was profiled" in captured.err
